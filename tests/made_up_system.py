"""A system that nobody runs, with a place in it for everything that a page can show. Its numbers grow from look to look."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from spore.deploy import Mode, Route
from spore.deploy.reading import ActorReading, EdgeReading, LetterReading, ProcessReading, Reading, ShadowReading
from spore.errors import ControlError, NothingRuns
from spore.nursery_bundle.statistics import LastError, Sampled

__all__ = ["MadeUpSystem", "actor", "reading"]

SECOND_NS = 1_000_000_000
FIRST = ("market_data", "signal_generator", "recorder", "execution")
ERROR = LastError(text="ValueError: <b>no</b> price above zero", message="SwapEvent", at_ns=1_700_000_000 * SECOND_NS)


def _letter(number: int, **changes: Any) -> LetterReading:
    usual = LetterReading(
        process="bundle 'core'",
        pid=7,
        number=number,
        actor="recorder",
        sender="signal_generator",
        reason="stopped",
        message="ArbitrageSignal",
        text=f"ArbitrageSignal(signal_id={number}, …)",
        error="",
        at_ns=(1_700_000_000 - 100 + number) * SECOND_NS,
    )
    return attrs.evolve(usual, **changes)


TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/desk/prices.py", line 31, in handle
    raise ValueError("<b>no</b> price above zero")
ValueError: <b>no</b> price above zero
"""
LETTERS = (
    _letter(1),
    *(_letter(number, actor="actor_00008", reason="dropped_oldest", text="SwapEvent(…)") for number in range(2, 20)),
    _letter(20, actor="actor_00006", reason="failed", message="SwapEvent", error=ERROR.text, traceback=TRACEBACK),
)


def actor(name: str = "signals", **changes: Any) -> ActorReading:
    """One that has handled a thousand messages."""
    usual = ActorReading(
        name=name,
        bundle="core",
        process="bundle 'core'",
        mode=Mode.SHARED_MEMORY,
        pid=7,
        state="running",
        handled=1_000,
        failed=0,
        lost={},
        queued=0,
        capacity=1_000,
        restarts=0,
        handling=Sampled(count=4, total_ns=12_000, max_ns=5_000),
        waiting=Sampled(),
    )
    return attrs.evolve(usual, **changes)


def reading(*actors: ActorReading, at_s: float = 0.0, **changes: Any) -> Reading:
    """A look at some actors."""
    process = ProcessReading(name="bundle 'core'", pid=7, cpu_s=0.5 * at_s, resident_bytes=40_000_000, dead_letters=20)
    usual = Reading(
        at_ns=round(at_s * SECOND_NS), node="lab", total=len(actors), actors=actors, processes=(process,), shadows=()
    )
    return attrs.evolve(usual, **changes)


@attrs.define
class MadeUpSystem:
    """A `spore.observe.source.Source` of so many actors, a look a second by its own clock."""

    count: int = 12
    looks: int = 0
    error: ControlError | NothingRuns | None = None
    """Raised instead of an answer."""

    async def look(self, actors: tuple[str, ...] = ()) -> Reading:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.looks += 1
        names = [FIRST[number] if number < len(FIRST) else f"actor_{number:05}" for number in range(self.count)]
        found = tuple(self._actor(number, name) for number, name in enumerate(names))
        twin = ShadowReading(
            bundle="core", pid=7, state="following", reason="", compared=100 * self.looks, different=1, skipped=0
        )
        return reading(
            *found,
            at_s=self.looks,
            edges=tuple(self._edge(number, names) for number in range(1, self.count)),
            shadows=(attrs.evolve(twin, first="ArbitrageSignal.spread_bps: 271 and 272"),),
            letters=LETTERS,
        )

    def _actor(self, number: int, name: str) -> ActorReading:
        handled = self.looks * (10_000 // (number + 1) + 1)
        made = actor(name, bundle="core" if number < len(FIRST) else f"pools_{number % 5}", handled=handled)
        made = attrs.evolve(made, handling=Sampled(count=4 * self.looks, total_ns=12_000 * self.looks, max_ns=5_000))
        if number == 5:
            return attrs.evolve(made, queued=min(100 * self.looks, 900))
        if number == 6:
            return attrs.evolve(made, state="suspended", failed=3, restarts=self.looks, error=ERROR)
        if number == 7:
            return attrs.evolve(made, handled=4, queued=9)
        if number == 8:
            return attrs.evolve(made, mode=Mode.RELAY, bundle="reports", lost={"dropped_oldest": 12})
        return made

    def _edge(self, number: int, names: list[str]) -> EdgeReading:
        relayed = number % 7 == 1
        messages = self.looks * (10_000 // number + 1)
        return EdgeReading(
            sender=names[number - 1],
            port="out",
            receiver=names[number],
            route=Route.RELAY if relayed else Route.REFERENCE,
            reason="they are in different processes" if relayed else "both are in the same bundle",
            pid=7,
            messages=messages,
            encoded_bytes=170 * messages if relayed else 0,
            saved_bytes=0 if relayed else 164 * messages,
            window=1_000,
            full=number in {5, 6},  # what is suspended holds up who sends to it, and those before
        )
