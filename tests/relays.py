"""A relay and its clients in one process, over real sockets, with the virtual clock: what the tests of the relay share."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from spore import Bundle, open_bundle, testing
from spore.codec import Decoder
from spore.message import REGISTRY, Schema
from spore.relay import Address, Client, Relay, Switchboard, open_client, open_relay
from spore.relay.control import CONTROL, PROTOCOL, Hello, SchemaLine, control_frame
from spore.services.messages import OrderCancel

__all__ = ["Place", "Raw", "hello", "numbers", "order", "place", "run", "until"]

T = TypeVar("T")
PATIENCE_S = 3_600
"""Of the virtual clock. Heartbeats never end, so a test that waits in vain would not either."""


def order(number: int, at: int | None = None) -> OrderCancel:
    """A message that tells its number."""
    return OrderCancel(number if at is None else at, number, "")


def numbers(messages: list[Any]) -> list[int]:
    return [message.order_id for message in messages]


def hello(**changes: Any) -> Hello:
    """A client's first words, with the schema of all messages that there are in this process."""
    schema = Schema.of(REGISTRY)
    facts: dict[str, Any] = {
        "protocol": PROTOCOL,
        "client": 7,
        "name": "raw",
        "token": "",
        "digest": bytes.fromhex(schema.digest),
        "schema": tuple(SchemaLine(number, schema.texts[number]) for number in sorted(schema.texts)),
        "heartbeat_ms": 2_000,
    }
    return Hello(**facts | changes)


class Place:
    """Where one test's relay listens. Its sockets are in a folder with a short name, as sockets have to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "r"
        self.address = Address(path=str(self.path))
        self.raws: list[Raw] = []

    def relay(self, board: Switchboard | None = None) -> AbstractAsyncContextManager[Relay]:
        return open_relay([self.address], board=board)

    def client(self, name: str, **options: Any) -> AbstractAsyncContextManager[Client]:
        return open_client(self.address, name=name, **options)

    @asynccontextmanager
    async def node(self, name: str, **options: Any) -> AsyncIterator[tuple[Bundle, Client]]:
        """A process, as it were: a bundle with a client, connected."""
        async with self.client(name, **options) as client, open_bundle(name) as bundle:
            await client.wait_connected()
            yield bundle, client

    @asynccontextmanager
    async def three(self) -> AsyncIterator[tuple[Bundle, Client, Client]]:
        """A relay, a receiver's bundle and client, and a sender's client."""
        async with self.relay(), self.node("receiver") as (bundle, receiver), self.client("sender") as sender:
            yield bundle, receiver, sender

    async def raw(self) -> Raw:
        """A connection on which the test says everything itself."""
        sock = trio.socket.socket(socket.AF_UNIX)
        await sock.connect(str(self.path))
        self.raws.append(Raw(sock))
        return self.raws[-1]


class Raw:
    """A connection without a client."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self._decoder = Decoder(registry=CONTROL)
        self._heard: list[Any] = []

    async def say(self, *controls: object) -> None:
        for control in controls:
            await self.sock.send(control_frame(control))

    async def hello(self, **changes: Any) -> None:
        await self.say(hello(**changes))

    async def hear(self, kind: type) -> Any:
        """The next control message of a kind; others before it are dropped."""
        while True:
            while self._heard:
                control = self._heard.pop(0)
                if type(control) is kind:
                    return control
            data = await self.sock.recv(65_536)
            assert data, f"the relay has closed the connection, and {kind.__name__} was waited for"
            self._decoder.feed(data)
            self._heard += [frame.items[0] for frame in self._decoder]

    async def end(self) -> None:
        """Wait until the relay has closed the connection."""
        while await self.sock.recv(65_536):
            pass


@pytest.fixture
def place() -> Iterator[Place]:
    """A place for a relay."""
    with tempfile.TemporaryDirectory(prefix="spore-") as folder:
        place = Place(Path(folder))
        yield place
        for raw in place.raws:
            os.close(raw.sock.detach())  # its own close is for inside of trio.run


def run(main: Callable[[], Awaitable[T]], *, seed: int = 0) -> T:
    """As `spore.testing.run`, for a test that may wait in vain while heartbeats go on."""

    async def with_patience() -> T:
        with trio.fail_after(PATIENCE_S):
            return await main()

    return testing.run(with_patience, seed=seed)


async def until(condition: Any) -> None:
    """Let everything run until a condition holds; if nothing else happens any more, it fails."""
    for _ in range(1_000):
        if condition():
            return
        await wait_all_tasks_blocked()
        await trio.sleep(0.01)  # of the virtual clock
    raise AssertionError("what was waited for has not happened")
