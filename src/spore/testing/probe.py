"""Probes: actors that remember what they received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import trio

from spore.errors import UsageError
from spore.nursery_bundle import Actor, ActorRef, Bundle

__all__ = ["Probe", "start_probe"]

M = TypeVar("M")


@attrs.define(eq=False)
class Probe(Actor[M], Generic[M]):
    """An actor that keeps every message, in order, and answers what it is told to. Made by `start_probe`."""

    answer: Callable[[M], Any] | None = None
    received: list[M] = attrs.field(factory=list, init=False)
    """All messages so far."""
    _ref: ActorRef[M] | None = attrs.field(default=None, init=False)
    _arrived: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False, repr=False)

    @property
    def ref(self) -> ActorRef[M]:
        """The reference to wire and to send to."""
        if self._ref is None:
            raise UsageError("a probe has a reference once it is started; use start_probe")
        return self._ref

    def handle(self, message: M) -> Any:
        self.received.append(message)
        self._arrived.unpark_all()
        return self.answer(message) if self.answer is not None else None

    async def wait_for(self, count: int) -> list[M]:
        """Wait until so many messages have come, and return all that have.

        Cancellation: a checkpoint if it waits; nothing is lost.
        """
        while len(self.received) < count:
            await self._arrived.park()
        return list(self.received)


async def start_probe(
    bundle: Bundle, name: str = "probe", *, answer: Callable[[Any], Any] | None = None, **options: Any
) -> Probe[Any]:
    """Start a probe.

    Args:
        bundle: where.
        name: its name there.
        answer: what an ask gets, by message; it may raise.
        options: as for `Bundle.start`.

    Cancellation: as `Bundle.start`.
    """
    probe: Probe[Any] = Probe(answer)
    probe._ref = await bundle.start(lambda: probe, name=name, **options)
    return probe
