"""Nodes within a test's process: each with a way to real servers, an inlet, a client of its own, and a bundle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import attrs
import trio

from spore import Bundle, open_bundle
from spore.relay import Client, Switchboard, open_client
from spore.relay.nats import Inlet, Nats, StreamOptions, open_inlet, open_nats

__all__ = ["Node", "node", "run", "until"]

T = TypeVar("T")
PATIENCE_S = 60
"""Only a failure ever takes it."""


@attrs.define
class Node:
    """What a process of a system has."""

    nats: Nats
    inlet: Inlet
    client: Client
    bundle: Bundle
    _stack: AsyncExitStack

    async def client_of(self, inlet: str, **options: Any) -> Client:
        """One to another node's inlet, for as long as this node lives."""
        opened = open_client(name=self.client.session.name, connect=partial(self.nats.connect, inlet), **options)
        return await self._stack.enter_async_context(opened)


@asynccontextmanager
async def node(
    address: str, name: str, *, streams: StreamOptions | None = None, heartbeat_s: float = 2.0
) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(open_nats(address, name=name, durable=streams is not None))
        inlet = await enter(open_inlet(nats, name, board=Switchboard(heartbeat_s=heartbeat_s), streams=streams))
        client = await enter(open_client(name=name, connect=inlet.connect))
        bundle = await enter(open_bundle(name))
        yield Node(nats, inlet, client, bundle, stack)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """In real time, because a real server keeps it."""

    async def with_patience() -> T:
        with trio.fail_after(PATIENCE_S):
            return await main()

    return trio.run(with_patience)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what becomes true, and nobody tells."""
    while not condition():  # noqa: ASYNC110 - it is about what is beyond this process
        await trio.sleep(0.01)
