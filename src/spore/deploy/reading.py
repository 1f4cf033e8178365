"""What a look at a running system shows, as it travels over its control socket: flat, plain, and an actor a line.

An actor's counts begin anew with each process that runs it, so they can be compared as long as `ActorReading.pid` is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic_ns

import attrs

from spore.deploy.config import Mode
from spore.deploy.ground import RELAY
from spore.deploy.plan import Plan
from spore.deploy.system import SystemStatistics
from spore.deploy.unit import UnitStatistics
from spore.nursery_bundle.statistics import ActorStatistics, Sampled
from spore.relay.statistics import OutgoingStatistics

__all__ = ["ActorReading", "ProcessReading", "Reading", "ShadowReading", "reading_of"]


@attrs.frozen(kw_only=True)
class ActorReading:
    """One actor."""

    name: str
    bundle: str
    mode: Mode
    pid: int
    state: str
    handled: int
    failed: int
    lost: dict[str, int]
    """By reason; at the actor, and at the links that lead to it."""
    queued: int
    """In its mailbox; and, where its messages come through the relay, what was sent and is not acknowledged, if that is more."""
    capacity: int
    restarts: int
    handling: Sampled
    """The time in its handler."""
    waiting: Sampled
    """The time in its mailbox."""


@attrs.frozen(kw_only=True)
class ProcessReading:
    """One process."""

    name: str
    pid: int
    """0 while there is none."""
    restarts: int = 0
    dead_letters: int = 0
    answers: bool = True
    """Whether it has said in time what it has counted."""


@attrs.frozen(kw_only=True)
class ShadowReading:
    """A bundle and its twin."""

    bundle: str
    pid: int
    state: str
    reason: str
    compared: int
    different: int
    skipped: int


@attrs.frozen(kw_only=True)
class Reading:
    """A moment's view of a system."""

    at_ns: int
    """By a clock that only goes on."""
    actors: tuple[ActorReading, ...]
    processes: tuple[ProcessReading, ...]
    shadows: tuple[ShadowReading, ...]


def reading_of(plan: Plan, statistics: SystemStatistics) -> Reading:
    """The same as `spore.deploy.SystemStatistics`, as it travels."""
    units = statistics.units
    clients = [
        client for client in (statistics.client, *(unit.client for unit in units.values())) if client is not None
    ]
    links: dict[str, list[OutgoingStatistics]] = {}
    for client in clients:
        for link in client.outgoing:
            links.setdefault(link.receiver, []).append(link)
    modes = {bundle.name: bundle.mode for bundle in plan.config.bundles}
    actors = {
        actor.name: _actor(actor, unit, modes, links.get(actor.name, ()))
        for unit in units.values()
        if unit.bundle is not None
        for actor in unit.bundle.actors.values()
        if unit.bundle.name in modes
    }
    configured = [name for bundle in plan.config.bundles for name in bundle.actors]
    return Reading(
        at_ns=monotonic_ns(),
        actors=tuple(actors[name] for name in configured if name in actors),
        processes=tuple(_processes(statistics)),
        shadows=tuple(
            ShadowReading(
                bundle=unit.shadow.bundle,
                pid=unit.pid,
                state=unit.shadow.state.value,
                reason=unit.shadow.reason,
                compared=unit.shadow.compared,
                different=unit.shadow.different,
                skipped=unit.shadow.skipped,
            )
            for unit in units.values()
            if unit.shadow is not None
        ),
    )


def _actor(
    actor: ActorStatistics, unit: UnitStatistics, modes: dict[str, Mode], links: Iterable[OutgoingStatistics]
) -> ActorReading:
    assert unit.bundle is not None  # noqa: S101 - the actor was found in it
    lost = {reason.value: count for reason, count in actor.lost.items()}
    for link in links:
        for reason, count in link.lost.items():
            lost[reason.value] = lost.get(reason.value, 0) + count
    return ActorReading(
        name=actor.name,
        bundle=unit.bundle.name,
        mode=modes[unit.bundle.name],
        pid=unit.pid,
        state=actor.state.value,
        handled=actor.handled,
        failed=actor.failed,
        lost=lost,
        queued=max(actor.queued, sum(link.outstanding for link in links)),
        capacity=actor.capacity,
        restarts=actor.restarts,
        handling=actor.handling,
        waiting=actor.waiting,
    )


def _processes(statistics: SystemStatistics) -> Iterator[ProcessReading]:
    for name, pid in statistics.processes.items():
        unit = statistics.units.get(name)
        yield ProcessReading(
            name=name,
            pid=pid,
            restarts=unit.restarts if unit is not None else statistics.relay_restarts if name == RELAY else 0,
            dead_letters=unit.bundle.dead_letters if unit is not None and unit.bundle is not None else 0,
            answers=name not in statistics.silent,
        )
