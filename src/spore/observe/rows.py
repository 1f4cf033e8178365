"""Rows: the actors of one look, with their rates, as a table has them: sorted, and those that somebody wants to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

from spore.deploy.reading import ActorReading, Reading
from spore.observe.rates import ActorRate, Rates

__all__ = ["SORTS", "Row", "Sort", "Totals", "rows_of", "totals_of"]

Sort: TypeAlias = Literal["busy", "waiting", "queued", "handled", "lost", "name"]
SORTS: tuple[Sort, ...] = get_args(Sort)


@attrs.frozen(kw_only=True)
class Row:
    """One actor. Rates and times are of the time between two looks, counts since its process began."""

    name: str
    bundle: str
    mode: str
    process: str
    pid: int
    state: str
    busy: float | None
    """0 to 1; see `spore.observe.rates.ActorRate.busy`."""
    per_second: float
    waiting_us: float | None
    handling_us: float | None
    queued: int
    capacity: int
    handled: int
    failed: int
    lost: Mapping[str, int]
    """By reason, those that it failed at not among them."""
    restarts: int
    error: str
    """Why it failed the last time, in one line."""

    @property
    def missing(self) -> int:
        """Messages that were lost, or at which it failed."""
        return self.failed + sum(self.lost.values())


@attrs.frozen(kw_only=True)
class Totals:
    """The whole system."""

    per_second: float
    """Messages handled."""
    encoded_per_second: float
    """Bytes written as frames."""
    saved_per_second: float
    """Bytes that would have been, too: an estimate."""
    cores: float
    """CPU time a second."""
    resident_bytes: int
    processes: int
    silent: tuple[str, ...]
    """Processes that have not answered."""
    process_restarts: int
    dead_letters: int


_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "busy": lambda row: -(row.busy or 0.0),
    "waiting": lambda row: -(row.waiting_us or 0.0),
    "queued": lambda row: -row.queued,
    "handled": lambda row: -row.per_second,
    "lost": lambda row: -row.missing,
    "name": lambda row: row.name,
}


def rows_of(reading: Reading, rates: Rates, *, sort: Sort = "busy", pattern: str = "") -> list[Row]:
    """The actors of a look.

    Args:
        reading: the look.
        rates: what has changed since the one before.
        sort: what comes first, the most of it; of those that have as much, the name decides.
        pattern: only actors with this in their name, their bundle's, or their state, in whichever case.
    """
    rows = [_row(actor, rates.actors[actor.name]) for actor in reading.actors]
    wanted = pattern.lower()
    rows = [row for row in rows if wanted in f"{row.bundle}.{row.name} {row.state}".lower()]
    return sorted(rows, key=lambda row: (_KEYS[sort](row), row.name))


def _row(actor: ActorReading, rate: ActorRate) -> Row:
    return Row(
        name=actor.name,
        bundle=actor.bundle,
        mode=actor.mode.value,
        process=actor.process,
        pid=actor.pid,
        state=actor.state,
        busy=rate.busy,
        per_second=rate.per_second,
        waiting_us=rate.waiting_us,
        handling_us=rate.handling_us,
        queued=actor.queued,
        capacity=actor.capacity,
        handled=actor.handled,
        failed=actor.failed,
        lost=actor.lost,
        restarts=actor.restarts,
        error=actor.error.text if actor.error is not None else "",
    )


def totals_of(reading: Reading, rates: Rates) -> Totals:
    """The whole of a look."""
    edges = rates.edges.values()
    return Totals(
        per_second=sum(rate.per_second for rate in rates.actors.values()),
        encoded_per_second=sum(rate.encoded_per_second for rate in edges),
        saved_per_second=sum(rate.saved_per_second for rate in edges),
        cores=sum(rate.cpu or 0.0 for rate in rates.processes.values()),
        resident_bytes=sum(process.resident_bytes or 0 for process in reading.processes),
        processes=sum(1 for process in reading.processes if process.pid),
        silent=tuple(process.name for process in reading.processes if not process.answers),
        process_restarts=sum(process.restarts for process in reading.processes),
        dead_letters=sum(process.dead_letters for process in reading.processes),
    )
