"""Ten thousand actors, and a million messages: what they leave in memory. Nothing here measures time."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import attrs
import pytest

from spore import Actor, ActorRef, Bundle, open_bundle
from spore.testing import run

ACTORS = 10_000
MOST_BYTES_AN_ACTOR = 4_000


@attrs.define
class Link(Actor[int]):
    """Hands a number on to the next in the ring, minus one."""

    out: ActorRef[int] | None = None
    handled: int = 0

    def handle(self, message: int) -> None:
        self.handled += 1
        if message and self.out is not None:
            self.out.tell(message - 1)


@attrs.define
class AsyncLink(Actor[int]):
    """The same with an async handler."""

    out: ActorRef[int] | None = None

    async def handle(self, message: int) -> None:
        if message and self.out is not None:
            await self.out.send(message - 1)


async def start_ring(bundle: Bundle, cls: type[Any], size: int) -> ActorRef[int]:
    """A ring of actors; each is wired to the one started before it, and the first, by name, to the last."""
    first = ref = await bundle.start(cls, out=bundle.ref(f"{size - 1}"), name="0")
    for number in range(1, size):
        ref = await bundle.start(cls, out=ref, name=f"{number}")
    assert first is not ref
    return ref


@pytest.mark.parametrize("dispatch", ["inline", "queued"])
def test_a_message_goes_round_ten_thousand_actors(dispatch: str) -> None:
    """A message goes round a ring of 10,000 actors twice, through every one of them."""

    async def main() -> None:
        async with open_bundle("ring", dispatch=dispatch) as bundle:
            last = await start_ring(bundle, Link, ACTORS)
            last.tell(2 * ACTORS - 1)
            await bundle.wait_idle()
            assert {actor.handled for actor in bundle.statistics().actors.values()} == {2}

    run(main)


def test_a_message_goes_round_async_actors() -> None:
    """A message goes round a ring of async actors."""

    async def main() -> None:
        async with open_bundle("ring") as bundle:
            last = await start_ring(bundle, AsyncLink, 1_000)
            last.tell(2_999)
            await bundle.wait_idle()
            assert {actor.handled for actor in bundle.statistics().actors.values()} == {3}

    run(main)


def test_an_idle_actor_is_small() -> None:
    """An actor that was started and wired takes less than 4 kB."""

    async def main() -> float:
        async with open_bundle("ring") as bundle:
            await start_ring(bundle, Link, 10)  # so that what is made once is there
            gc.collect()
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                ref: ActorRef[int] | None = None
                for number in range(ACTORS):
                    ref = await bundle.start(Link, out=ref, name=f"more {number}")
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        return (after - before) / ACTORS

    assert run(main) < MOST_BYTES_AN_ACTOR


@pytest.mark.parametrize("dispatch", ["inline", "queued"])
def test_a_million_messages_leave_nothing(dispatch: str) -> None:
    """After a million messages, memory is where it was."""
    batch = list(range(1, 1_001))

    async def main() -> int:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            last = await bundle.start(Link, name="last")
            first = await bundle.start(Link, out=last, name="first")

            async def batches(count: int) -> None:
                for _ in range(count):
                    first.tell_many(batch)
                    await bundle.wait_idle()

            await batches(20)  # what grows to its size once
            gc.collect()
            tracemalloc.start()
            try:
                await batches(20)
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
                await batches(480)
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert bundle.statistics().actors["last"].handled >= 500_000
        return abs(after - before)

    assert run(main) < 20_000
