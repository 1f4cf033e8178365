"""What a look at a running system shows, as it travels over its control socket: flat, plain, and an actor a line.

Counts begin anew with each process that counts, so they can be compared as long as its number, `ActorReading.pid` or
`EdgeReading.pid`, is the same. Times are sampled: of an inline actor one message in 256 is timed, of a queue one batch in eight or more.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from time import monotonic_ns

import attrs

from spore.deploy.config import Mode
from spore.deploy.ended import Ended, ended_of, joined_by_name
from spore.deploy.ground import RELAY, Incident
from spore.deploy.plan import Edge, Plan, Route
from spore.deploy.resources import age_s, cpu_seconds, resident_bytes
from spore.deploy.system import SystemStatistics
from spore.deploy.unit import UnitStatistics
from spore.nursery_bundle.policy import Dispatch, Loss, Overflow
from spore.nursery_bundle.ref import OUTSIDE
from spore.nursery_bundle.statistics import ActorState, ActorStatistics, EdgeStatistics, LastError, Sampled
from spore.relay.statistics import OutgoingStatistics

__all__ = [
    "ActorReading",
    "EdgeReading",
    "FeedReading",
    "LetterReading",
    "ProcessReading",
    "Reading",
    "ShadowReading",
    "UnsentReading",
    "joined",
    "reading_of",
]

EdgeKey = tuple[str, str, str]
"""Sender, port, receiver."""


@attrs.frozen(kw_only=True)
class ActorReading:
    """One actor."""

    name: str
    bundle: str
    process: str = ""
    """The name of its `ProcessReading`."""
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
    overflow: Overflow = Overflow.BLOCK
    dispatch: Dispatch = Dispatch.INLINE
    """How a message reaches it when it is idle."""
    blocked: int = 0
    """How many senders in its process wait for room in its mailbox."""
    restarts: int
    error: LastError | None = None
    """Why it has failed the last time."""
    handling: Sampled
    """The time in its handler, and in those that it called inline."""
    waiting: Sampled
    """The time in its mailbox."""
    held: int = 0
    """Messages that a merge by event time holds back until its other senders have gone on."""
    skipped: dict[str, int] = attrs.field(factory=dict)
    """What it says that it did not use, by reason; see `spore.Actor.skipped`."""

    @property
    def busy_ns(self) -> float | None:
        """The time in its handler since it began: an estimate, the mean of what was timed for each message; None if nothing was."""
        mean = self.handling.mean_ns
        return None if mean is None else mean * (self.handled + self.failed)


@attrs.frozen(kw_only=True)
class EdgeReading:
    """A port that leads to an actor; or what comes to one from outside of all actors."""

    sender: str
    """An actor, a feed such as ``feeds[0]``, or ``outside``."""
    port: str
    """Empty for ``outside``."""
    receiver: str
    route: Route
    reason: str
    """Why this route."""
    pid: int
    """The process that counts: the sender's."""
    messages: int
    encoded_bytes: int = 0
    """Written as frames, those written again included. 0 by reference."""
    saved_bytes: int = 0
    """By reference: what the messages would have taken as frames. An estimate from one message in 256; see
    `spore.nursery_bundle.scales`."""
    outstanding: int = 0
    """Through the relay: accepted, and not acknowledged yet."""
    window: int = 0
    """Through the relay: how many of them may be under way. By reference: the receiver's capacity."""
    full: bool = False
    """Whether a sender that waits for room would have to wait now."""
    denied: str = ""
    """Why nothing more is taken; empty while it is."""
    lost: dict[str, int] = attrs.field(factory=dict)
    """Through the relay: what the receiver's policy gave up before it left, by reason. It is in `ActorReading.lost`, too."""


@attrs.frozen(kw_only=True)
class LetterReading:
    """A dead letter."""

    process: str
    pid: int
    number: int
    """It was the so manieth of its process, from 1."""
    actor: str
    sender: str
    """Empty where several have sent to the actor: a mailbox does not know who sent what."""
    reason: str
    message: str
    """Its class."""
    text: str
    """Its ``repr``, at most 200 characters."""
    error: str
    """One line; empty where no handler raised."""
    at_ns: int = 0
    """When it became a dead letter, since the Unix epoch."""
    traceback: str = ""
    """Where the error was raised, as Python prints it; empty where no handler raised."""


@attrs.frozen(kw_only=True)
class ProcessReading:
    """One process."""

    name: str
    """``outside`` is the one that was started by hand, and controls the others."""
    pid: int
    """0 while there is none."""
    restarts: int = 0
    dead_letters: int = 0
    answers: bool = True
    """Whether it has said in time what it has counted."""
    reconnects: int = 0
    """How often its connection to the relay was lost."""
    cpu_s: float | None = None
    """User and system time so far; None while there is no process."""
    resident_bytes: int | None = None
    """Its memory, what it shares with others included."""
    age_s: float | None = None
    """How long it has been there; None while there is no process."""
    denied: tuple[str, ...] = ()
    """The links from it and to it that are refused, each with why."""
    unread: dict[str, int] = attrs.field(factory=dict)
    """Frames of plain senders that could not be read, by reason."""


@attrs.frozen(kw_only=True)
class FeedReading:
    """What a feed has read."""

    name: str
    read: int
    used: int
    skipped: dict[str, int]
    """The others, by reason."""


@attrs.frozen(kw_only=True)
class UnsentReading:
    """What was sent to an actor that is none of `Reading.actors`, and is not acknowledged."""

    sender: str
    receiver: str
    messages: int
    lost: dict[str, int] = attrs.field(factory=dict)
    """What the receiver's policy gave up before it left, by reason."""


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
    first: str = ""
    """The first difference, in one line."""


@attrs.frozen(kw_only=True)
class Reading:
    """A moment's view of a system, or of a part of it."""

    at_ns: int
    """By a clock that only goes on."""
    node: str = ""
    """The machine's name."""
    total: int = 0
    """How many actors the configuration has; `actors` may be some of them."""
    actors: tuple[ActorReading, ...]
    """In the order of the configuration, those whose process has answered."""
    edges: tuple[EdgeReading, ...] = ()
    """Those that lead to these actors, and whose counts are known."""
    processes: tuple[ProcessReading, ...]
    shadows: tuple[ShadowReading, ...]
    letters: tuple[LetterReading, ...] = ()
    """The last dead letters of each process, oldest first."""
    feeds: tuple[FeedReading, ...] = ()
    stopped: tuple[str, ...] = ()
    """Actors of the configuration that have ended while their process goes on."""
    ended: tuple[Ended, ...] = ()
    """What was counted of actors by those that are there no more."""
    incidents: tuple[Incident, ...] = ()
    """What has happened to processes since the system was started, the last hundred."""
    unsent: tuple[UnsentReading, ...] = ()
    """What was sent to actors that are on other nodes, or have ended, and is not acknowledged."""


def joined(parts: Sequence[Reading]) -> Reading:
    """Looks at one part of a system after the other as one; what is not of single actors is of the first."""
    return attrs.evolve(
        parts[0],
        actors=tuple(actor for part in parts for actor in part.actors),
        edges=tuple(edge for part in parts for edge in part.edges),
        stopped=tuple(name for part in parts for name in part.stopped),
        ended=tuple({(one.name, one.several): one for part in parts for one in part.ended}.values()),
        unsent=tuple(unsent for part in parts for unsent in part.unsent),
    )


def reading_of(plan: Plan, statistics: SystemStatistics, wanted: Collection[str] | None = None) -> Reading:
    """The same as `spore.deploy.SystemStatistics`, as it travels.

    Args:
        plan: what runs.
        statistics: what was counted.
        wanted: the names of the actors that were asked for; by default all.
    """
    units = statistics.units
    links = statistics.links()
    to_actor: dict[str, list[OutgoingStatistics]] = {}
    for link, _ in links:
        to_actor.setdefault(link.receiver, []).append(link)
    modes = {bundle.name: bundle.mode for bundle in plan.config.bundles}
    actors = {
        actor.name: _actor(actor, unit, modes, to_actor.get(actor.name, ()))
        for unit in units.values()
        if unit.bundle is not None
        for actor in unit.bundle.actors.values()
        if unit.bundle.name in modes
    }
    configured = [name for bundle in plan.config.bundles for name in bundle.actors]
    return Reading(
        at_ns=monotonic_ns(),
        node=platform.node(),
        total=len(configured),
        actors=tuple(actors[name] for name in configured if name in actors),
        edges=tuple(_edges(plan, units, links, actors)),
        processes=tuple(_processes(statistics)),
        shadows=tuple(_shadows(units.values())),
        letters=tuple(_letters(units.values())),
        feeds=tuple(_feeds(units.values())),
        stopped=tuple(_stopped(plan, statistics, wanted)),
        ended=tuple(_ended(statistics)),
        incidents=statistics.incidents,
        unsent=tuple(_unsent(plan, links, actors)),
    )


def _actor(
    actor: ActorStatistics, unit: UnitStatistics, modes: Mapping[str, Mode], links: Iterable[OutgoingStatistics]
) -> ActorReading:
    assert unit.bundle is not None  # noqa: S101 - the actor was found in it
    return ActorReading(
        name=actor.name,
        bundle=unit.bundle.name,
        process=unit.label,
        mode=modes[unit.bundle.name],
        pid=unit.pid,
        state=actor.state.value,
        handled=actor.handled,
        failed=actor.failed,
        lost=_summed(actor.lost, *(link.lost for link in links)),
        queued=max(actor.queued + actor.held, sum(link.outstanding for link in links)),
        capacity=actor.capacity,
        overflow=actor.overflow,
        dispatch=actor.dispatch,
        blocked=actor.blocked,
        restarts=actor.restarts,
        error=actor.error,
        handling=actor.handling,
        waiting=actor.waiting,
        held=actor.held,
        skipped=dict(actor.skipped),
    )


def _summed(*losses: Mapping[Loss, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for lost in losses:
        for reason, count in lost.items():
            total[reason.value] = total.get(reason.value, 0) + count
    return total


def _edges(
    plan: Plan,
    units: Mapping[str, UnitStatistics],
    sent: Iterable[tuple[OutgoingStatistics, int]],
    actors: Mapping[str, ActorReading],
) -> Iterator[EdgeReading]:
    """Those of the plan, and then those that come from outside. What came over a link is counted at its sender's end alone."""
    over: dict[EdgeKey, list[tuple[OutgoingStatistics, int]]] = {}
    for link, pid in sent:
        over.setdefault((link.sender, link.port, link.receiver), []).append((link, pid))
    inside: dict[EdgeKey, tuple[EdgeStatistics, int]] = {
        (edge.sender, edge.port, edge.receiver): (edge, unit.pid)
        for unit in units.values()
        if unit.bundle is not None
        for edge in unit.bundle.edges
    }
    planned = {(edge.sender, edge.port, edge.receiver): edge for edge in plan.edges}
    for key, edge in planned.items():
        if edge.receiver not in actors:
            continue
        if edge.route is Route.RELAY and (links := over.get(key) or over.get((edge.sender, "", edge.receiver))):
            yield _relayed(key, edge.reason, links)  # a feed's own links know of no port
        elif edge.route is Route.REFERENCE and key in inside:
            yield _by_reference(edge, *inside[key], actors[edge.receiver])
    for key, found in over.items():
        if key[0] == OUTSIDE and key[2] in actors:
            yield _relayed(key, "it comes from another process", found)
    for key, (counted, pid) in inside.items():
        if key[0] == OUTSIDE and counted.sent and key not in over and key[2] in actors:
            reason = "it comes from the same process"
            edge = Edge(OUTSIDE, key[1], key[2], Route.REFERENCE, reason, "")
            yield _by_reference(edge, counted, pid, actors[key[2]])


def _relayed(key: EdgeKey, reason: str, found: list[tuple[OutgoingStatistics, int]]) -> EdgeReading:
    """An edge with its links: one, and one more where something was sent with high priority."""
    links = [link for link, _ in found]
    return EdgeReading(
        sender=key[0],
        port=key[1],
        receiver=key[2],
        route=Route.RELAY,
        reason=reason,
        pid=found[0][1],
        messages=sum(link.sent for link in links),
        encoded_bytes=sum(link.bytes for link in links),
        outstanding=sum(link.outstanding for link in links),
        window=sum(link.window for link in links),
        full=any(link.outstanding >= link.window for link in links),
        denied=next((link.denied for link in links if link.denied), ""),
        lost=_summed(*(link.lost for link in links)),
    )


def _by_reference(edge: Edge, counted: EdgeStatistics, pid: int, receiver: ActorReading) -> EdgeReading:
    return EdgeReading(
        sender=edge.sender,
        port=edge.port,
        receiver=edge.receiver,
        route=Route.REFERENCE,
        reason=edge.reason,
        pid=pid,
        messages=counted.sent,
        saved_bytes=counted.saved_bytes,
        window=receiver.capacity,
        full=receiver.queued >= receiver.capacity,
    )


def _processes(statistics: SystemStatistics) -> Iterator[ProcessReading]:
    for name, pid in statistics.processes.items():
        unit = statistics.units.get(name)
        client = statistics.client if name == OUTSIDE else unit.client if unit is not None else None
        cpu_s, memory, age = _taken(pid)
        denied = (*client.denied, *client.refused) if client is not None else ()
        yield ProcessReading(
            name=name,
            pid=pid,
            restarts=unit.restarts if unit is not None else statistics.relay_restarts if name == RELAY else 0,
            dead_letters=unit.bundle.dead_letters if unit is not None and unit.bundle is not None else 0,
            answers=name not in statistics.silent,
            reconnects=client.reconnects if client is not None else 0,
            cpu_s=cpu_s,
            resident_bytes=memory,
            age_s=age,
            denied=tuple(dict.fromkeys(denied)),
            unread=dict(client.unread) if client is not None else {},
        )


def _taken(pid: int) -> tuple[float | None, int | None, float | None]:
    """CPU time, memory and age of a process; None of one that has just ended."""
    try:
        return (cpu_seconds([pid]), resident_bytes(pid), age_s(pid)) if pid else (None, None, None)
    except OSError:
        return None, None, None


def _stopped(plan: Plan, statistics: SystemStatistics, wanted: Collection[str] | None) -> Iterator[str]:
    """Actors that a process that has answered should have, and has not, or that take nothing any more."""
    for unit in plan.own:
        found = statistics.units.get(unit.label)
        if found is None or found.bundle is None:
            continue
        for name in unit.actors:
            actor = found.bundle.actors.get(name)
            if (wanted is None or name in wanted) and (actor is None or actor.state is ActorState.STOPPED):
                yield name


def _ended(statistics: SystemStatistics) -> Iterable[Ended]:
    """Of each name once: what was counted before a switch, and by those who are there."""
    units = (one for unit in statistics.units.values() for one in ended_of(unit))
    return joined_by_name((*statistics.ended, *units))


def _feeds(units: Iterable[UnitStatistics]) -> Iterator[FeedReading]:
    for unit in units:
        if (account := unit.account) is not None:
            yield FeedReading(
                name=unit.label, read=account["read"], used=account["used"], skipped=dict(account["skipped"])
            )


def _unsent(
    plan: Plan, links: Iterable[tuple[OutgoingStatistics, int]], actors: Collection[str]
) -> Iterator[UnsentReading]:
    """What is kept for an actor by a journal is not among it."""
    for link, _ in links:
        if (link.outstanding or link.lost) and link.receiver in plan.actors and link.receiver not in actors:
            yield UnsentReading(
                sender=link.sender, receiver=link.receiver, messages=link.outstanding, lost=_summed(link.lost)
            )


def _shadows(units: Iterable[UnitStatistics]) -> Iterator[ShadowReading]:
    for unit in units:
        if (shadow := unit.shadow) is not None:
            yield ShadowReading(
                bundle=shadow.bundle,
                pid=unit.pid,
                state=shadow.state.value,
                reason=shadow.reason,
                compared=shadow.compared,
                different=shadow.different,
                skipped=shadow.skipped,
                first=str(shadow.first) if shadow.first is not None else "",
            )


def _letters(units: Iterable[UnitStatistics]) -> Iterator[LetterReading]:
    for unit in units:
        for letter in unit.letters:
            yield LetterReading(
                process=unit.label,
                pid=unit.pid,
                number=letter.number,
                actor=letter.actor,
                sender=letter.sender,
                reason=letter.reason.value,
                message=letter.message,
                text=letter.text,
                error=letter.error,
                at_ns=letter.at_ns,
                traceback=letter.traceback,
            )
