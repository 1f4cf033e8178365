"""What a person should look at: found by comparing a look with those before it.

Rule: for a moment anything may be. What is warned of has lasted for some looks, or has happened several times, or must never be at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs

from spore.deploy.reading import ActorReading, Reading

__all__ = ["GROWING_LOOKS", "LOOP_RESTARTS", "LOOP_S", "STALL_LOOKS", "Warner"]

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
MOST = 50
"""Warnings of one look that are told."""


@attrs.define
class _Seen:
    """An actor, as it was."""

    pid: int
    handled: int
    queued: int
    idle_looks: int = 0
    grown_looks: int = 0
    grown_from: int = 0
    full_looks: int = 0


class Warner:
    """Looks, one after the other."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._restarts: dict[str, deque[tuple[int, int]]] = {}
        """By place: when, in ns, there had been how many; only where there were any."""

    def see(self, reading: Reading) -> list[dict[str, Any]]:
        """What is to be warned of now, as JSON can say it: ``kind``, ``where``, ``actor`` if it is one, and ``text``."""
        found = [*self._shadows(reading), *self._processes(reading), *self._actors(reading)]
        return found[:MOST]

    def _shadows(self, reading: Reading) -> Iterator[dict[str, Any]]:
        for twin in reading.shadows:
            if twin.different:
                text = f"{twin.different:,} of {twin.compared:,} messages differ between the bundle and its twin"
                yield _warning(
                    "shadow difference", f"bundle {twin.bundle}", f"{text}: {twin.first}" if twin.first else text
                )

    def _processes(self, reading: Reading) -> Iterator[dict[str, Any]]:
        for process in reading.processes:
            if not process.answers:
                yield _warning("silent", process.name, "the process does not answer")
            if text := self._loop(process.name, process.restarts, reading.at_ns):
                yield _warning("restart loop", process.name, text)

    def _actors(self, reading: Reading) -> Iterator[dict[str, Any]]:
        seen = {}
        for actor in reading.actors:
            known = self._seen.get(actor.name)
            if known is None or known.pid != actor.pid:
                known = _Seen(actor.pid, actor.handled, actor.queued)
            else:
                _follow(known, actor)
            seen[actor.name] = known
            if actor.restarts and (text := self._loop(f"actor {actor.name}", actor.restarts, reading.at_ns)):
                yield _about(actor, "restart loop", f"{text}; {actor.error.text}" if actor.error is not None else text)
            if known.idle_looks >= STALL_LOOKS:
                yield _about(
                    actor, "stall", f"{actor.queued:,} are queued, and for {known.idle_looks} looks none was handled"
                )
            elif (
                known.grown_looks >= GROWING_LOOKS and actor.queued - known.grown_from >= GROWING_SHARE * actor.capacity
            ):
                text = (
                    f"from {known.grown_from:,} to {actor.queued:,} in {known.grown_looks} looks, of {actor.capacity:,}"
                )
                yield _about(actor, "growing queue", text)
            elif known.full_looks >= STALL_LOOKS:
                yield _about(
                    actor, "full queue", f"{actor.queued:,} of {actor.capacity:,} for {known.full_looks} looks"
                )
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


def _follow(known: _Seen, now: ActorReading) -> None:
    known.idle_looks = known.idle_looks + 1 if now.queued and now.handled == known.handled else 0
    if now.queued <= known.queued:
        known.grown_looks = 0
    else:
        known.grown_from = known.grown_from if known.grown_looks else known.queued
        known.grown_looks += 1
    known.full_looks = known.full_looks + 1 if now.queued >= FULL_SHARE * now.capacity else 0
    known.handled, known.queued = now.handled, now.queued


def _warning(kind: str, where: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "where": where, "actor": None, "text": text}


def _about(actor: ActorReading, kind: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "where": f"actor {actor.name}", "actor": actor.name, "text": text}
