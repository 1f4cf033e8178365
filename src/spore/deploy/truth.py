"""What an operator has to know of a system, in sentences: the one place from which the commands, the dashboard, the metrics and the exit codes have it.

Rule: counts are those since the system was started, as far as the processes that counted are still there or have handed over. What an overflow
policy gave up is named, and is no fault: whoever chose the policy has meant it.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import attrs

from spore.deploy.ended import Ended
from spore.deploy.ground import RELAY
from spore.deploy.reading import ActorReading, EdgeReading, Reading
from spore.nursery_bundle.letters import MEANT
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.ref import OUTSIDE

__all__ = ["Finding", "Kind", "Level", "actor_place", "findings_of", "process_place", "undeliverable"]

MOST_ROWS = 5
COMPARED = ("starting", "following", "resting", "ended")
"""States of a twin in which all goes as it is meant."""
DOWN = ("suspended", "stopped")
"""States of an actor that handles nothing."""


class Level(enum.StrEnum):
    """How bad it is."""

    LOSS = "loss"
    """Messages were lost, or will be: `spore run` ends with exit code 1."""
    FAULT = "fault"
    """Something is not as it should be, and nothing is known to be lost by it."""
    NOTE = "note"
    """To be known, and meant so or no fault of the system's."""


class Kind(enum.StrEnum):
    """What is found."""

    SILENT = "silent"
    DENIED = "denied link"
    LOST = "lost"
    FAILED = "failed"
    NOT_HANDLED = "not handled"
    """At the end: what was sent, and had not come to its actor's turn."""
    GIVEN_UP = "given up"
    """By an overflow policy."""
    RESTARTED = "restarted"
    CRASHED = "crashed"
    """A process, once for each time."""
    STOPPED = "stopped"
    BLOCKED = "blocked"
    UNREAD = "unread"
    SHADOW = "shadow difference"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class Finding:
    """Something that an operator has to know."""

    kind: str
    """One of `Kind`, or what a view finds that compares several looks."""
    level: Level
    where: str
    """The actor, process, bundle or feed, such as ``actor 'signals'``."""
    text: str
    """What is with it, in one line."""
    actor: str | None = None
    """The actor's name, if it is about one."""
    count: int = 1
    """How many messages or restarts it is about."""

    @property
    def loses(self) -> bool:
        """Whether messages are lost by it."""
        return self.level is Level.LOSS

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def findings_of(reading: Reading, *, over: bool = False) -> tuple[Finding, ...]:
    """Everything that is to be known of a look, the worst first.

    Args:
        reading: the look.
        over: whether it is the last one, after every actor has ended: what is queued then was not handled.
    """
    found = [*_processes(reading), *_actors(reading, over=over)]
    if not over:
        found += [*_stopped(reading), *_blocked(reading)]
    found += [*_shadows(reading), *_feeds(reading)]
    levels = tuple(Level)
    return tuple(sorted(found, key=lambda finding: levels.index(finding.level)))


def actor_place(name: str) -> str:
    """As a finding calls an actor."""
    return f"actor {name!r}"


def process_place(name: str) -> str:
    """As a finding calls a process."""
    return f"process {name!r}" if name in {OUTSIDE, RELAY} else f"the process of {name}"


def undeliverable(reading: Reading) -> dict[str, int]:
    """Dead letters by process, without those that overflow policies have made."""
    at_links = _given_up_at_links(reading.edges)
    meant: Counter[str] = Counter()
    for actor in reading.actors:
        gone: Mapping[str, int] = at_links.get(actor.name, {})
        meant[actor.process] += sum(actor.lost.get(reason, 0) - gone.get(reason, 0) for reason in MEANT)
    return {process.name: max(0, process.dead_letters - meant[process.name]) for process in reading.processes}


def _given_up_at_links(edges: Iterable[EdgeReading]) -> dict[str, Counter[str]]:
    """By receiver and reason; these are in `ActorReading.lost`, too."""
    found: dict[str, Counter[str]] = {}
    for edge in edges:
        found.setdefault(edge.receiver, Counter()).update(edge.lost)
    return found


def _processes(reading: Reading) -> Iterator[Finding]:
    for process in reading.processes:
        where = process_place(process.name)
        if not process.answers:
            yield Finding(kind=Kind.SILENT, level=Level.FAULT, where=where, text="does not answer")
        for denied in process.denied:
            yield Finding(kind=Kind.DENIED, level=Level.LOSS, where=where, text=f"a link is refused: {denied}")
        if unread := sum(process.unread.values()):
            text = f"{unread:,} frames of plain senders could not be read ({_reasons(process.unread)})"
            yield Finding(kind=Kind.UNREAD, level=Level.FAULT, where=where, text=text, count=unread)
        if process.restarts:
            lost = "" if process.name == RELAY else ", without the state of its actors"
            text = f"restarted {_times(process.restarts)}{lost}"
            yield Finding(kind=Kind.RESTARTED, level=Level.FAULT, where=where, text=text, count=process.restarts)
    for incident in reading.incidents:
        at = datetime.fromtimestamp(incident.at_ns / 1e9, UTC).isoformat(sep=" ", timespec="seconds")
        where = process_place(incident.where)
        yield Finding(kind=Kind.CRASHED, level=Level.FAULT, where=where, text=f"{incident.text} ({at[:19]} UTC)")


def _actors(reading: Reading, *, over: bool) -> Iterator[Finding]:
    before = {ended.name: ended for ended in reading.ended if not ended.several}
    there = {actor.name for actor in reading.actors}
    for actor in reading.actors:
        past = before.get(actor.name)
        lost = Counter(actor.lost) + Counter(past.lost if past is not None else {})
        failed = actor.failed + (past.failed if past is not None else 0)
        yield from _losses(actor.name, failed, lost, _left(actor.queued + actor.held, actor.lost) if over else 0)
        yield from _restarts(actor.name, actor.restarts + (past.restarts if past is not None else 0), actor)
        yield from _skips(actor_place(actor.name), actor.skipped, actor.name)
    unsent: Counter[str] = Counter()
    at_links: dict[str, Counter[str]] = {}
    for each in reading.unsent:
        unsent[each.receiver] += each.messages if over else 0  # until the end it is only under way
        at_links.setdefault(each.receiver, Counter()).update(each.lost)
    for name in dict.fromkeys([*before, *unsent]):
        if name not in there:
            past = before.get(name, Ended(name=name))
            lost = Counter(past.lost) + at_links.get(name, Counter())
            yield from _losses(name, past.failed, lost, _left(unsent[name], past.lost))
            yield from _restarts(name, past.restarts, None)
    for several in reading.ended:
        if several.several:
            where = f"bundle {several.name!r}"
            told = (
                *_losses(several.name, several.failed, several.lost, 0),
                *_restarts(several.name, several.restarts, None),
            )
            for finding in told:
                text = f"of its actors that have ended: {finding.text}"
                yield attrs.evolve(finding, where=where, actor=None, text=text)


def _left(unacknowledged: int, lost: Mapping[str, int]) -> int:
    """Of what was not acknowledged, how much had not come to the actor: what it lost at its end is not acknowledged either."""
    return max(0, unacknowledged - sum(lost.get(reason, 0) for reason in (Loss.DEADLINE, Loss.CANCELLED)))


def _losses(name: str, failed: int, lost: Mapping[str, int], queued: int) -> Iterator[Finding]:
    where = actor_place(name)
    bad = {reason: count for reason, count in lost.items() if reason not in MEANT and count}
    meant = {reason: count for reason, count in lost.items() if reason in MEANT and count}
    if queued:
        text = f"{_messages(queued)} had been sent to it and {_were(queued)} not handled at the end"
        yield Finding(kind=Kind.NOT_HANDLED, level=Level.LOSS, where=where, text=text, actor=name, count=queued)
    if bad:
        count, text = sum(bad.values()), f"{_messages(sum(bad.values()))} lost ({_reasons(bad)})"
        yield Finding(kind=Kind.LOST, level=Level.LOSS, where=where, text=text, actor=name, count=count)
    if failed:
        text = f"{_messages(failed)} not handled to the end, because its handler raised"
        yield Finding(kind=Kind.FAILED, level=Level.LOSS, where=where, text=text, actor=name, count=failed)
    if meant:
        count = sum(meant.values())
        text = f"{_messages(count)} given up, as its overflow policy says ({_reasons(meant)})"
        yield Finding(kind=Kind.GIVEN_UP, level=Level.NOTE, where=where, text=text, actor=name, count=count)


def _restarts(name: str, restarts: int, actor: ActorReading | None) -> Iterator[Finding]:
    if restarts:
        last = f"; the last error: {actor.error.text}" if actor is not None and actor.error is not None else ""
        text = f"restarted {_times(restarts)}, without its state{last}"
        where = actor_place(name)
        yield Finding(kind=Kind.RESTARTED, level=Level.FAULT, where=where, text=text, actor=name, count=restarts)


def _skips(where: str, skipped: Mapping[str, int], actor: str | None) -> Iterator[Finding]:
    if count := sum(skipped.values()):
        text = f"{count:,} skipped ({_reasons(skipped)})"
        yield Finding(kind=Kind.SKIPPED, level=Level.NOTE, where=where, text=text, actor=actor, count=count)


def _stopped(reading: Reading) -> Iterator[Finding]:
    for name in reading.stopped:
        text = "has ended, and takes no messages"
        yield Finding(kind=Kind.STOPPED, level=Level.FAULT, where=actor_place(name), text=text, actor=name)


def _blocked(reading: Reading) -> Iterator[Finding]:
    """Who waits for whom: from each actor that has no room to the one at the end of the row, which holds up all before it."""
    actors = {actor.name: actor for actor in reading.actors}
    waits = {edge.sender: edge.receiver for edge in reading.edges if edge.full and _waits_at(actors, edge.receiver)}
    held_up: dict[str, list[str]] = {}
    for first in [sender for sender in waits if sender not in waits.values()] or list(waits)[
        :1
    ]:  # or they wait in a ring
        row = [first]
        while (following := waits.get(row[-1])) is not None and following not in row:
            row.append(following)
        held_up.setdefault(row[-1], []).append(" → ".join(row))
    for name, rows in held_up.items():
        last = actors[name]
        state = f"is {last.state}" if last.state in DOWN else f"has {last.queued:,} of {last.capacity:,} queued"
        text = f"it {state}, and holds up {'; '.join(rows[:MOST_ROWS])}" + ("; …" if len(rows) > MOST_ROWS else "")
        level = (
            Level.FAULT if last.state in DOWN else Level.NOTE
        )  # a sender that is faster is slowed down: so it is meant
        yield Finding(kind=Kind.BLOCKED, level=level, where=actor_place(name), text=text, actor=name, count=len(rows))


def _waits_at(actors: Mapping[str, ActorReading], name: str) -> bool:
    """Whether senders wait for room at an actor."""
    actor = actors.get(name)
    return actor is not None and actor.overflow.value in {"block", "conflate"}


def _shadows(reading: Reading) -> Iterator[Finding]:
    for twin in reading.shadows:
        where = f"bundle {twin.bundle!r}"
        if twin.different:
            text = f"{twin.different:,} of {twin.compared:,} messages differ between the bundle and its twin"
            text = f"{text}: {twin.first}" if twin.first else text
            yield Finding(kind=Kind.SHADOW, level=Level.FAULT, where=where, text=text, count=twin.different)
        if twin.state not in COMPARED:
            reason = f": {twin.reason}" if twin.reason else ""
            yield Finding(kind=Kind.SHADOW, level=Level.NOTE, where=where, text=f"its twin is {twin.state}{reason}")
        if twin.skipped:
            text = f"{twin.skipped:,} skipped by its twin"
            yield Finding(kind=Kind.SKIPPED, level=Level.NOTE, where=where, text=text, count=twin.skipped)


def _feeds(reading: Reading) -> Iterator[Finding]:
    for feed in reading.feeds:
        yield from _skips(feed.name, feed.skipped, None)


def _reasons(counts: Mapping[Loss, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items())


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
