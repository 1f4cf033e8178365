"""Spore's own relay, as a contender: the relay and the clients that its users have, with every promise kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import trio

import spore
from bench.relay_contender import Contender, feed
from bench.relay_load import BenchQuote, Sink, Source
from spore.relay import Address, open_client, open_relay

__all__ = ["SporeRelay"]

TOPIC = "quotes"


@attrs.define
class Subscriber(spore.Actor[BenchQuote]):
    """Hands what comes to its sink."""

    sink: Sink
    done: trio.Event

    def handle(self, message: BenchQuote) -> None:
        self.sink.take(message)
        if self.sink.done:
            self.done.set()

    def on_error(self, error: Exception, message: BenchQuote) -> spore.Directive:
        return spore.Directive.ESCALATE


class SporeRelay(Contender):
    """A publisher to a topic, and its subscribers."""

    name = "spore"

    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        async def main() -> None:
            async with open_relay([Address(path=str(path))]):
                ready()
                await trio.sleep_forever()

        trio.run(main)

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        async def main() -> None:
            async with AsyncExitStack() as stack:
                bundle = await stack.enter_async_context(spore.open_bundle("subscribers"))
                ends = [trio.Event() for _ in sinks]
                for number, (sink, done) in enumerate(zip(sinks, ends, strict=True)):
                    client = await stack.enter_async_context(open_client(_at(path), name=f"subscriber {number}"))
                    ref = await bundle.start(Subscriber, sink=sink, done=done, name=f"subscriber {number}")
                    client.attach(ref, topics=(TOPIC,))
                    await client.wait_connected()
                ready()
                for done in ends:
                    await done.wait()

        trio.run(main)

    def send(self, path: Path, source: Source) -> None:
        async def main() -> None:
            async with open_client(_at(path), name="publisher") as client:
                topic = client.topic(TOPIC)
                await topic.wait_open(source.subscribers)
                await feed(source, topic.send)
                await client.drain()

        trio.run(main)


def _at(path: Path) -> Address:
    return Address(path=str(path))
