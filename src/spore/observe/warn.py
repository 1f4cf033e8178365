"""What a person should look at: what is to be known of a look, and what is found by comparing it with those before it.

Rule: for a moment anything may be. What is found by comparing has lasted for some looks, or has happened several times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import attrs

from spore.deploy.reading import ActorReading, Reading
from spore.deploy.truth import Finding, Kind, Level, actor_place, findings_of, process_place

__all__ = ["EXPECTED", "GROWING_LOOKS", "LOOP_RESTARTS", "LOOP_S", "QUIET_LOOKS", "STALL_LOOKS", "Warner"]

STALL_LOOKS = 4
"""An actor with a queue that has handled nothing in so many looks running stalls."""
GROWING_LOOKS = 6
"""A queue that has grown from each look to the next, so many times running, grows."""
GROWING_SHARE = 0.05
"""By so much of the capacity at least, or it is none that matters."""
FULL_SHARE = 0.9
"""Of its capacity: as ``max_queue_share`` of `spore.deploy.MonitorConfig`."""
LOOP_RESTARTS = 3
LOOP_S = 60.0
"""So many restarts in that time are a loop."""
DOWN_LOOKS = 3
"""So many looks running an actor may be starting, or suspended."""
QUIET_LOOKS = 3
"""For so many looks running an actor has to have handled nothing, before its rate has fallen to nothing."""
EXPECTED = 100
"""So many messages it would have handled meanwhile, had it gone on as before: fewer may be chance."""
USUAL_PAUSES = 3
"""A pause that is no longer than so many of the longest before is one of an actor whose messages come in bursts."""


@attrs.define
class _Seen:
    """An actor, as it was."""

    pid: int
    handled: int
    queued: int
    quiet_since_ns: int
    """When it was last seen to have handled something, or first seen."""
    idle_looks: int = 0
    quiet_looks: int = 0
    down_looks: int = 0
    grown_looks: int = 0
    grown_from: int = 0
    full_looks: int = 0
    longest_pause_ns: int = 0
    """Of those that have ended."""


class Warner:
    """Looks, one after the other."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._restarts: dict[str, deque[tuple[int, int]]] = {}
        """By place: when, in ns, there had been how many; only where there were any."""

    def see(self, reading: Reading) -> list[Finding]:
        """What is to be known now, the worst first."""
        trends = [*self._processes(reading), *self._actors(reading)]
        looping = {finding.where for finding in trends if finding.kind == "restart loop"}
        known = [each for each in findings_of(reading) if not (each.kind == Kind.RESTARTED and each.where in looping)]
        levels = tuple(Level)
        return sorted([*trends, *known], key=lambda finding: levels.index(finding.level))

    def _processes(self, reading: Reading) -> Iterator[Finding]:
        for process in reading.processes:
            where = process_place(process.name)
            if text := self._loop(where, process.restarts, reading.at_ns):
                yield Finding(kind="restart loop", level=Level.FAULT, where=where, text=text)

    def _actors(self, reading: Reading) -> Iterator[Finding]:
        seen = {}
        ages = {process.name: process.age_s for process in reading.processes}
        for actor in reading.actors:
            known = self._seen.get(actor.name)
            if known is None or known.pid != actor.pid:
                known = _Seen(actor.pid, actor.handled, actor.queued, reading.at_ns)
            else:
                _follow(known, actor, reading.at_ns)
            seen[actor.name] = known
            if actor.restarts and (text := self._loop(actor_place(actor.name), actor.restarts, reading.at_ns)):
                yield _about(actor, "restart loop", f"{text}; {actor.error.text}" if actor.error is not None else text)
            yield from _trend(known, actor)
            if fallen := _fallen(known, actor, ages, reading.at_ns):
                yield _about(actor, "rate fell to nothing", fallen)
        self._seen = seen

    def _loop(self, where: str, restarts: int, at_ns: int) -> str:
        """Whether something is being restarted again and again, in words."""
        known = self._restarts.get(where)
        if known is None:
            if restarts:
                self._restarts[where] = deque([(at_ns, restarts)], maxlen=64)
            return ""
        if known[-1][1] != restarts:
            known.append((at_ns, restarts))
        while len(known) > 1 and known[1][0] < at_ns - LOOP_S * 1e9:
            known.popleft()
        count = restarts - known[0][1]
        return f"restarted {count:,} times in the last {LOOP_S:g} s" if count >= LOOP_RESTARTS else ""


def _trend(known: _Seen, actor: ActorReading) -> Iterator[Finding]:
    if known.down_looks >= DOWN_LOOKS:
        yield _about(actor, "down", f"it is {actor.state}, for {known.down_looks} looks")
    if known.idle_looks >= STALL_LOOKS:
        yield _about(actor, "stall", f"{actor.queued:,} are queued, and for {known.idle_looks} looks none was handled")
    elif known.grown_looks >= GROWING_LOOKS and actor.queued - known.grown_from >= GROWING_SHARE * actor.capacity:
        text = f"from {known.grown_from:,} to {actor.queued:,} in {known.grown_looks} looks, of {actor.capacity:,}"
        yield _about(actor, "growing queue", text, Level.NOTE)
    elif known.full_looks >= STALL_LOOKS:
        text = f"{actor.queued:,} of {actor.capacity:,} for {known.full_looks} looks"
        yield _about(actor, "full queue", text, Level.NOTE)


def _fallen(known: _Seen, actor: ActorReading, ages: Mapping[str, float | None], at_ns: int) -> str:
    """Whether an actor has handled nothing for longer than its rate so far explains, in words."""
    pause_ns = at_ns - known.quiet_since_ns
    before_s = (ages.get(actor.process) or 0.0) - pause_ns / 1e9
    if known.quiet_looks < QUIET_LOOKS or before_s <= 0 or pause_ns <= USUAL_PAUSES * known.longest_pause_ns:
        return ""
    rate = actor.handled / before_s
    if rate * pause_ns / 1e9 < EXPECTED:
        return ""
    return f"it handled {rate:,.0f} messages a second before, and none in the last {pause_ns / 1e9:,.0f} s"


def _follow(known: _Seen, now: ActorReading, at_ns: int) -> None:
    idle = now.handled == known.handled
    known.idle_looks = known.idle_looks + 1 if now.queued and idle else 0
    known.down_looks = known.down_looks + 1 if now.state in {"suspended", "starting"} else 0
    if idle:
        known.quiet_looks += 1
    else:
        if known.quiet_looks:
            known.longest_pause_ns = max(known.longest_pause_ns, at_ns - known.quiet_since_ns)
        known.quiet_since_ns, known.quiet_looks = at_ns, 0
    if now.queued <= known.queued:
        known.grown_looks = 0
    else:
        known.grown_from = known.grown_from if known.grown_looks else known.queued
        known.grown_looks += 1
    known.full_looks = known.full_looks + 1 if now.queued >= FULL_SHARE * now.capacity else 0
    known.handled, known.queued = now.handled, now.queued


def _about(actor: ActorReading, kind: str, text: str, level: Level = Level.FAULT) -> Finding:
    return Finding(kind=kind, level=level, where=actor_place(actor.name), text=text, actor=actor.name)
