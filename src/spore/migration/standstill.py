"""A run that cannot go on: an actor that merges holds what it has for a sender that has nothing to say, and does not say so.

Who runs such a system for good has a sender that goes on sometime. A run that is played to its end would wait for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from spore.deploy import System
from spore.errors import UsageError

__all__ = ["Standstill", "watched"]

LOOK_S = 1.0
LOOKS = 5
"""So many looks in a row see the same before it counts."""


class Standstill:
    """Looks whether a system with actors that merge still moves. Made by `watched`."""

    def __init__(self, system: System) -> None:
        self._system = system
        actors = system.plan.actors
        self.merging = tuple(name for name, actor in actors.items() if actor.config.merge is not None)
        self._scope: trio.CancelScope | None = None
        self._reason = ""

    @contextmanager
    def ends(self) -> Iterator[None]:
        """A block that waits for the system.

        Raises:
            UsageError: naming the actor that holds everything up. The block was cancelled then.
        """
        if not self.merging:
            yield
            return
        with trio.CancelScope() as self._scope:
            yield
        ended, self._scope = self._scope.cancelled_caught, None
        if ended:
            raise UsageError(self._reason)

    async def run(self) -> None:
        """Look, until cancelled.

        Cancellation: always a checkpoint.
        """
        before: object = None
        same = 0
        while True:
            await trio.sleep(LOOK_S)
            waits = self._scope
            now, held = await self._look()
            same = same + 1 if waits is not None and waits is self._scope and held and now == before else 0
            before = now
            if same >= LOOKS and waits is not None:
                self._reason = self._said(held)
                waits.cancel()

    async def _look(self) -> tuple[object, dict[str, int]]:
        """What has been done by all, and what those who merge have before them."""
        units = (await self._system.statistics()).units.values()
        bundles = [unit.bundle for unit in units if unit.bundle is not None]
        actors = {name: actor for bundle in bundles for name, actor in bundle.actors.items()}
        done = {name: (actor.received, actor.handled, actor.failed) for name, actor in actors.items()}
        held = {name: actors[name].held for name in self.merging if name in actors and actors[name].held}
        return done, held

    def _said(self, held: dict[str, int]) -> str:
        name, count = next(iter(held.items()))
        senders = dict.fromkeys(edge.sender for edge in self._system.plan.edges if edge.receiver == name)
        return (
            f"nothing goes on: {name!r} merges by event time, and holds {count:,} messages until each of its senders "
            f"({', '.join(senders)}) has gone on, or has said that it is idle; "
            "have them say how far they are (advance) or that they are idle, or leave merge out"
        )


@asynccontextmanager
async def watched(system: System) -> AsyncIterator[Standstill]:
    """Look after a system for the length of a block. Where nobody merges, there is nothing to look at.

    Cancellation: leaving is a checkpoint.
    """
    standstill = Standstill(system)
    if not standstill.merging:
        yield standstill
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standstill.run)
        yield standstill
        nursery.cancel_scope.cancel()
