"""A process with a client of the relay, for tests: does what it is told in lines of JSON, and says what has happened.

Run as ``python relay_peer.py OPTIONS``, with options as JSON. It ends when its stdin does. What its actor has handled
stands in a file, a number a line, written before the actor returns: it survives whatever happens to the process.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import attrs
import trio

import spore
from spore.relay import Address, Client, open_client

OPTIONS = json.loads(sys.argv[1])
EVERY = 50
"""Progress is told after so many messages."""


@spore.message(type_id=19, domain=spore.Domain.MARKET_DATA)  # a number that no message of Spore's has
class Numbered:
    """A message that tells its place, and is as long as one likes; in another version it counts further."""

    number: spore.U128 if OPTIONS.get("other_schema") else spore.U64
    body: spore.Bytes


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


@attrs.define
class Sink(spore.Actor[Numbered]):
    """Writes down what it handles."""

    log: int
    gate: trio.Semaphore | None = None
    count: int = 0

    def write(self, message: Numbered) -> None:
        if message.number == OPTIONS.get("dies_at"):
            os._exit(1)
        os.write(self.log, b"%d\n" % message.number)
        self.count += 1
        if self.count % EVERY == 0:
            say(handled=self.count)

    def handle(self, message: Numbered) -> None:
        self.write(message)


class GatedSink(Sink):
    """Handles so many messages as it is allowed to."""

    async def handle(self, message: Numbered) -> None:
        await self.gate.acquire()
        self.write(message)


@attrs.define
class Middle(spore.Actor[Numbered]):
    """Sends on what it gets, twice."""

    out: spore.ActorRef[Numbered]
    count: int = 0

    def handle(self, message: Numbered) -> None:
        self.out.tell(message)
        self.out.tell(message)
        self.count += 1
        say(forwarded=self.count)


class Peer:
    """What the process has."""

    def __init__(self, client: Client, bundle: spore.Bundle, nursery: trio.Nursery) -> None:
        self.client = client
        self.bundle = bundle
        self.nursery = nursery
        self.gate = trio.Semaphore(0)
        self.refs: dict[str, Any] = {}
        self.sent = 0
        self.stopping = False

    async def receive(self, actor: str, log: str, capacity: int = 100, gated: bool = False, topics: Any = ()) -> None:
        file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        kind = GatedSink if gated else Sink
        ref = await self.bundle.start(kind, log=file, gate=self.gate, name=actor, capacity=capacity)
        self.client.attach(ref, topics=tuple(topics))
        await self.client.wait_connected()
        say(receiving=actor)

    async def forward(self, to: str, capacity: int = 100) -> None:
        ref = await self.bundle.start(Middle, out=self.client.ref(to), name="middle", capacity=capacity)
        self.client.attach(ref)
        await self.client.wait_open()
        say(forwarding=to)

    async def let(self, count: int) -> None:
        for _ in range(count):
            self.gate.release()

    async def send(self, to: str, count: int = 10**9, size: int = 100, first: int | None = None) -> None:
        """Send from where it stopped, in the background."""
        self.stopping = False
        self.sent = self.sent if first is None else first
        self.nursery.start_soon(self._send, to, count, size)

    async def _send(self, to: str, count: int, size: int) -> None:
        if to not in self.refs:
            self.refs[to] = self.client.ref(to, capacity=100)
        for _ in range(count):
            if self.stopping:
                break
            try:
                await self.refs[to].send(Numbered(self.sent, b"\x5a" * size))
            except spore.SporeError as error:
                say(error=str(error), kind=type(error).__name__)
                return
            self.sent += 1
            if self.sent % EVERY == 0:
                say(sent=self.sent)
        say(stopped=self.sent)

    async def stop(self) -> None:
        self.stopping = True

    async def drain(self) -> None:
        await self.client.drain()
        say(drained=self.sent)

    async def statistics(self) -> None:
        say(statistics=attrs.asdict(self.client.statistics()))


async def main() -> None:
    where = Address.parse(OPTIONS["address"])
    tuning = {"name": OPTIONS["name"], "token": OPTIONS.get("token", ""), "heartbeat_s": OPTIONS.get("heartbeat_s", 2)}
    async with (
        open_client(where, **tuning) as client,
        spore.open_bundle(OPTIONS["name"]) as bundle,
        trio.open_nursery() as nursery,
    ):
        peer = Peer(client, bundle, nursery)
        say(started=os.getpid())
        rest = b""
        async for data in trio.lowlevel.FdStream(os.dup(0)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                nursery.start_soon(lambda c=command: getattr(peer, c.pop("do"))(**c))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main, strict_exception_groups=True)
    except* spore.SporeError as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        say(error=str(first), kind=type(first).__name__)
        raise SystemExit(3) from None
