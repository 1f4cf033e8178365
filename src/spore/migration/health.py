"""Whether a running system is healthy: what changes from one look at it to the next, held against limits.

Rule: what is counted, is counted since the system was started, or, for who wants to know what a change has led to, since the first look. A
process with another number than before has counted from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from spore.deploy.config import MonitorConfig
from spore.deploy.ended import Ended
from spore.deploy.reading import ActorReading, ProcessReading, Reading, ShadowReading
from spore.deploy.truth import Finding, Kind, Level, findings_of, undeliverable
from spore.deploy.truth import actor_place as _actor
from spore.deploy.truth import process_place as _process
from spore.nursery_bundle.letters import MEANT
from spore.nursery_bundle.policy import Loss
from spore.observe.rates import ActorRate, Counts, RateMeter
from spore.observe.warn import Warner

__all__ = ["LOOKS_RUNNING", "SILENT", "ActorHealth", "Excess", "Health", "Watch"]

LOOKS_RUNNING = 3
"""So many times running a queue has to be found too long, or a process silent: for a moment they may be."""
SILENT = "answers"
"""What is exceeded by a process that does not answer, for which there is no limit."""
LIMITED = {Kind.SILENT, Kind.LOST, Kind.FAILED, Kind.RESTARTED, Kind.CRASHED, Kind.SHADOW, "restart loop"}
"""What limits decide about."""


@attrs.frozen(kw_only=True)
class Excess:
    """A limit that is exceeded."""

    limit: str
    """As ``[monitor]`` calls it, or `SILENT`."""
    where: str
    """The actor, process or bundle, such as ``actor 'signals'``."""
    value: float
    allowed: float

    def __str__(self) -> str:
        if self.limit == SILENT:
            return f"{self.where} does not answer"
        return f"{self.where}: {self.limit} is {self.allowed:,.7g}, and this was {self.value:,.7g}"


@attrs.frozen(kw_only=True)
class ActorHealth:
    """One actor, from one look to the next."""

    name: str
    bundle: str
    mode: str
    state: str
    per_second: float
    """Messages handled."""
    waiting_us: float | None
    """The mean time in the mailbox of those that were timed; None if none was."""
    handling_us: float | None
    """The mean time in the handler."""
    queued: int
    capacity: int
    lost: Mapping[str, int]
    """Since the first look, by reason; with those that it failed at."""
    restarts: int
    """Since the first look."""

    @property
    def latency_us(self) -> float | None:
        """Waiting and being handled, as far as it was timed."""
        timed = [time for time in (self.waiting_us, self.handling_us) if time is not None]
        return sum(timed) if timed else None


@attrs.frozen(kw_only=True)
class ShadowHealth:
    """A bundle and its twin."""

    bundle: str
    state: str
    reason: str
    compared: int
    """Since the first look, like those that follow."""
    different: int
    skipped: int


@attrs.frozen(kw_only=True)
class Health:
    """What a look shows, after the first one."""

    actors: tuple[ActorHealth, ...]
    shadows: tuple[ShadowHealth, ...]
    restarts: int
    """Of processes, since the first look."""
    dead_letters: int
    """Since the first look."""
    excesses: tuple[Excess, ...]
    """What is not healthy, or has not been: of each limit and place the worst."""
    findings: tuple[Finding, ...] = ()
    """What is not as it should be now, and no limit decides about: refused links, actors that are down, rates that fell to nothing."""
    notes: tuple[Finding, ...] = ()
    """What is to be known, and is meant so or no fault of the system's."""
    before: tuple[Finding, ...] = ()
    """What had happened before the first look."""

    @property
    def healthy(self) -> bool:
        return not self.excesses and not self.findings


class Watch:
    """Looks at a system, one after the other.

    Args:
        limits: what counts as healthy.
        from_now: count from the first look on. Else what happened before it counts, too, since the system was started.
    """

    def __init__(self, limits: MonitorConfig, *, from_now: bool = False) -> None:
        self._limits = limits
        self._from_now = from_now
        self._counts = Counts(from_nothing=not from_now)
        self._warner = Warner()
        self._before: tuple[Finding, ...] | None = None
        self._rates = RateMeter()
        self._looks: dict[tuple[str, str], list[float]] = {}
        """The last values of what may be too much for a moment."""
        self._excesses: dict[tuple[str, str], Excess] = {}

    def see(self, reading: Reading) -> Health | None:
        """What a look shows; None the first time, which only says where the counts stand."""
        rates = self._rates.see(reading)
        found = self._warner.see(reading)
        if self._before is None:
            self._before = tuple(each for each in findings_of(reading) if each.level is not Level.NOTE)
        letters = undeliverable(reading)
        for process in reading.processes:
            self._see_process(process, letters[process.name])
        for ended in reading.ended:
            self._note_ended(ended)
        for actor in reading.actors:
            self._note(actor)
        shadows = tuple(self._see_shadow(shadow) for shadow in reading.shadows)
        if rates is None:
            return None
        actors = tuple(self._see_actor(actor, rates.actors[actor.name]) for actor in reading.actors)
        names = [_process(process.name) for process in reading.processes]
        return Health(
            actors=actors,
            shadows=shadows,
            restarts=sum(self._counts.total(name, "restarts") for name in names),
            dead_letters=sum(self._counts.total(name, "dead_letters") for name in names),
            excesses=tuple(self._excesses.values()),
            findings=tuple(each for each in found if each.level is not Level.NOTE and each.kind not in LIMITED),
            notes=tuple(each for each in found if each.level is Level.NOTE),
            before=self._before,
        )

    def _note_ended(self, ended: Ended) -> None:
        """Actors that are there no more have lost what they have lost."""
        where, counts = f"bundle {ended.name!r}" if ended.several else _actor(ended.name), self._counts
        for reason in Loss:
            counts.note(
                where, f"{reason} before", ended.lost.get(reason, 0) + (ended.failed if reason is Loss.FAILED else 0)
            )
        counts.note(where, "restarts before", ended.restarts)
        lost = sum(counts.total(where, f"{reason} before") for reason in Loss if reason not in MEANT)
        self._judge("max_lost", where, lost, self._limits.max_lost)
        self._judge("max_restarts", where, counts.total(where, "restarts before"), self._limits.max_restarts)

    def _see_process(self, now: ProcessReading, letters: int) -> None:
        where, counts, limits = _process(now.name), self._counts, self._limits
        if self._lasting(where, SILENT, float(not now.answers)):
            self._judge(SILENT, where, 1, 0)
        if not now.answers:
            return
        counts.note(where, "restarts", now.restarts)
        counts.note(where, "dead_letters", letters, now.pid)
        self._judge("max_restarts", where, counts.total(where, "restarts"), limits.max_restarts)
        self._judge("max_dead_letters", where, counts.total(where, "dead_letters"), limits.max_dead_letters)

    def _note(self, now: ActorReading) -> None:
        where = _actor(now.name)
        for reason in Loss:
            failed = now.failed if reason is Loss.FAILED else 0
            self._counts.note(where, reason, now.lost.get(reason, 0) + failed, now.pid)
        self._counts.note(where, "restarts", now.restarts, now.pid)
        share = self._lasting(where, "share", now.queued / now.capacity)
        self._judge("max_queue_share", where, share, self._limits.max_queue_share)

    def _see_actor(self, now: ActorReading, rate: ActorRate) -> ActorHealth:
        where, counts, limits = _actor(now.name), self._counts, self._limits
        health = ActorHealth(
            name=now.name,
            bundle=now.bundle,
            mode=now.mode.value,
            state=now.state,
            per_second=rate.per_second,
            waiting_us=rate.waiting_us,
            handling_us=rate.handling_us,
            queued=now.queued,
            capacity=now.capacity,
            lost={loss.value: count for loss in Loss if (count := counts.total(where, loss))},
            restarts=counts.total(where, "restarts"),
        )
        self._judge("max_restarts", where, health.restarts, limits.max_restarts)
        lost = sum(count for reason, count in health.lost.items() if reason not in MEANT)
        self._judge("max_lost", where, lost, limits.max_lost)
        self._judge("max_latency_us", where, health.latency_us or 0, limits.max_latency_us)
        return health

    def _see_shadow(self, now: ShadowReading) -> ShadowHealth:
        where, counts = f"bundle {now.bundle!r}", self._counts
        for what in ("compared", "different", "skipped"):
            counts.note(where, what, getattr(now, what), now.pid)
        different = counts.total(where, "different")
        self._judge("max_shadow_differences", where, different, self._limits.max_shadow_differences)
        return ShadowHealth(
            bundle=now.bundle,
            state=now.state,
            reason=now.reason,
            compared=counts.total(where, "compared"),
            different=different,
            skipped=counts.total(where, "skipped"),
        )

    def _lasting(self, where: str, what: str, value: float) -> float:
        """The least of a value in the last looks; 0 before there were enough."""
        looks = [*self._looks.get((where, what), ()), value][-LOOKS_RUNNING:]
        self._looks[where, what] = looks
        return min(looks) if len(looks) == LOOKS_RUNNING else 0.0

    def _judge(self, limit: str, where: str, value: float, allowed: float) -> None:
        known = self._excesses.get((limit, where))
        if value > allowed and (known is None or value > known.value):
            self._excesses[limit, where] = Excess(limit=limit, where=where, value=value, allowed=allowed)
