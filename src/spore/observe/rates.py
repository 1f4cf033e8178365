"""Rates: what has changed from one look at a system to the next. Every view has them from here.

Rule: where a count stood when it was seen first is where it begins, and a process with another number than before has counted from
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from spore.deploy.reading import ActorReading, EdgeReading, ProcessReading, Reading

__all__ = ["ActorRate", "Counts", "EdgeRate", "ProcessRate", "RateMeter", "Rates"]


class Counts:
    """Counts of others, as far as somebody has watched them grow.

    Args:
        from_nothing: a count that is seen for the first time has begun at nothing, and not where it stands.
    """

    def __init__(self, *, from_nothing: bool = False) -> None:
        self._from_nothing = from_nothing
        self._last: dict[tuple[str, str], tuple[int, int]] = {}
        self._totals: dict[tuple[str, str], int] = {}

    def note(self, where: str, what: str, value: int, pid: int = 0) -> int:
        """Look at a count, and return by how much it has grown since the last look.

        Args:
            where: whose it is.
            what: its name.
            value: where it stands.
            pid: the number of the process that counts; the count of another one has begun at nothing.
        """
        last, last_pid = self._last.get((where, what), (0 if self._from_nothing else value, pid))
        grown = value - last if pid == last_pid and value >= last else value
        self._last[where, what] = value, pid
        self._totals[where, what] = self.total(where, what) + grown
        return grown

    def total(self, where: str, what: str) -> int:
        """By how much it has grown since the first look, or since it began at nothing."""
        return self._totals.get((where, what), 0)


@attrs.frozen(kw_only=True)
class ActorRate:
    """One actor, from one look to the next."""

    per_second: float
    """Messages handled."""
    failed_per_second: float
    lost_per_second: float
    """By any reason but failing."""
    waiting_us: float | None
    """The mean time in the mailbox of those that were timed; None if none was."""
    handling_us: float | None
    """The mean time in the handler."""
    busy: float | None
    """The share of the time that it was in its handler, 0 to 1; None if it was never timed.

    An estimate: the mean time of those messages that were timed (of all so far, if none was since the last look), for each that was
    handled. What it calls inline is in it, and so is what an async handler waits for.
    """


@attrs.frozen(kw_only=True)
class EdgeRate:
    """One edge, from one look to the next."""

    per_second: float
    """Messages sent."""
    encoded_per_second: float
    """Bytes written as frames."""
    saved_per_second: float
    """Bytes that would have been, had the messages not been passed by reference; see `EdgeReading.saved_bytes`."""


@attrs.frozen(kw_only=True)
class ProcessRate:
    """One process, from one look to the next."""

    cpu: float | None
    """The share of one core that it took; more than 1 for one with several busy threads. None if it cannot be told."""


@attrs.frozen(kw_only=True)
class Rates:
    """What has changed from one look to the next."""

    seconds: float
    """How long that was."""
    actors: Mapping[str, ActorRate]
    edges: Mapping[tuple[str, str, str], EdgeRate]
    """By sender, port and receiver."""
    processes: Mapping[str, ProcessRate]


class RateMeter:
    """Is shown one look after the other, and says what has changed."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._at_ns: int | None = None

    def see(self, reading: Reading) -> Rates | None:
        """What has changed since the last look; None the first time, which only says where the counts stand."""
        before, self._at_ns = self._at_ns, reading.at_ns
        seconds = max(reading.at_ns - before, 1) / 1e9 if before is not None else 1.0
        rates = Rates(
            seconds=seconds,
            actors={actor.name: self._actor(actor, seconds) for actor in reading.actors},
            edges={(edge.sender, edge.port, edge.receiver): self._edge(edge, seconds) for edge in reading.edges},
            processes={process.name: self._process(process, seconds) for process in reading.processes},
        )
        return rates if before is not None else None

    def _actor(self, now: ActorReading, seconds: float) -> ActorRate:
        where, note, pid = f"actor {now.name}", self._counts.note, now.pid
        handled = note(where, "handled", now.handled, pid)
        failed = note(where, "failed", now.failed, pid)
        means: dict[str, float | None] = {}
        for what, sampled in (("waiting", now.waiting), ("handling", now.handling)):
            total = note(where, f"{what} ns", sampled.total_ns, pid)
            timed = note(where, f"{what} timed", sampled.count, pid)
            means[what] = total / timed / 1_000 if timed else None
        mean_us = means["handling"]
        if mean_us is None and now.handling.mean_ns is not None:
            mean_us = now.handling.mean_ns / 1_000
        return ActorRate(
            per_second=handled / seconds,
            failed_per_second=failed / seconds,
            lost_per_second=note(where, "lost", sum(now.lost.values()), pid) / seconds,
            waiting_us=means["waiting"],
            handling_us=means["handling"],
            busy=None if mean_us is None else min(1.0, mean_us * (handled + failed) / 1e6 / seconds),
        )

    def _edge(self, now: EdgeReading, seconds: float) -> EdgeRate:
        where, note, pid = f"edge {now.sender}.{now.port} → {now.receiver}", self._counts.note, now.pid
        return EdgeRate(
            per_second=note(where, "messages", now.messages, pid) / seconds,
            encoded_per_second=note(where, "encoded", now.encoded_bytes, pid) / seconds,
            saved_per_second=note(where, "saved", now.saved_bytes, pid) / seconds,
        )

    def _process(self, now: ProcessReading, seconds: float) -> ProcessRate:
        if now.cpu_s is None:
            return ProcessRate(cpu=None)
        used_us = self._counts.note(f"process {now.name}", "cpu µs", round(now.cpu_s * 1e6), now.pid)
        return ProcessRate(cpu=used_us / 1e6 / seconds)
