"""What a look comes to, as the page is told it: plain values, rounded to what a person reads, so that what rests is not told again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from spore.deploy.ended import Ended
from spore.deploy.reading import ActorReading, EdgeReading, LetterReading, ProcessReading, Reading
from spore.deploy.truth import Finding
from spore.observe.dashboard.sheet import Row
from spore.observe.rates import ActorRate, EdgeRate, ProcessRate, RateMeter
from spore.observe.warn import Warner

__all__ = ["ACTOR_COLUMNS", "EDGE_COLUMNS", "Teller", "Told"]

ACTOR_COLUMNS = (
    *("name", "bundle", "process", "pid", "mode", "state"),
    *("busy", "per_second", "waiting_ns", "handling_ns", "queued", "capacity", "blocked"),
    *("handled", "failed", "lost", "reasons", "restarts", "last_error", "last_error_ms"),
    *("dispatch", "overflow", "held", "skipped", "before"),
)
"""``busy`` is a share, ``reasons`` what was lost, by reason, and ``before`` what was counted by processes of the actor that are there no more."""
EDGE_COLUMNS = (
    *("key", "sender", "port", "receiver", "route", "reason"),
    *("messages", "per_second", "bytes_encoded", "bytes_saved"),
    *("outstanding", "window", "full", "denied"),
)
NO_ACTOR = ActorRate(
    per_second=0.0, failed_per_second=0.0, lost_per_second=0.0, waiting_us=None, handling_us=None, busy=None
)
NO_EDGE = EdgeRate(per_second=0.0, encoded_per_second=0.0, saved_per_second=0.0)
NO_PROCESS = ProcessRate(cpu=None)
MOST_WARNINGS = 50
"""Of one look, the worst, are told."""
MOST_LETTERS = 200


@attrs.frozen(kw_only=True)
class Told:
    """What is told of a look."""

    source: dict[str, Any]
    """How what is looked at is: ``state`` (``live``, ``none``, ``silent``), and about that ``text`` and ``hint``."""
    sections: dict[str, Any] = attrs.field(factory=dict)
    """By name. What is not there is as it was."""
    rows: dict[str, Iterable[Row]] = attrs.field(factory=dict)
    """Of the sheets, by their names."""
    point: dict[str, Any] | None = None
    """Of the history."""


class Teller:
    """Is shown one look after the other."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._meter = RateMeter()
        self._warner = Warner()

    def nothing(self, text: str, hint: str) -> Told:
        """Nothing runs. What runs next begins anew."""
        self._begin()
        empty: dict[str, Any] = {name: [] for name in ("bundles", "processes", "shadows", "letters", "warnings")}
        source = {"state": "none", "text": text, "hint": hint}
        return Told(source=source, sections={"totals": None, **empty}, rows={"actors": (), "edges": ()})

    def silent(self, text: str) -> Told:
        """It does not answer. What was known of it stays."""
        return Told(source={"state": "silent", "text": text, "hint": ""})

    def tell(self, reading: Reading) -> Told:
        """A look."""
        rates = self._meter.see(reading)
        actor_rates: Mapping[str, ActorRate] = rates.actors if rates is not None else {}
        edge_rates: Mapping[tuple[str, str, str], EdgeRate] = rates.edges if rates is not None else {}
        process_rates: Mapping[str, ProcessRate] = rates.processes if rates is not None else {}
        processes = [_process(each, process_rates.get(each.name, NO_PROCESS)) for each in reading.processes]
        totals = _totals(reading, actor_rates)
        before = {ended.name: ended for ended in reading.ended if not ended.several}
        sections = {
            "totals": totals,
            "bundles": list(_bundles(reading, actor_rates, {each["name"]: each["cpu"] for each in processes})),
            "processes": processes,
            "shadows": [attrs.asdict(shadow) for shadow in reading.shadows],
            "letters": [attrs.asdict(letter) for letter in _newest(reading.letters)],
            "warnings": [_warning(finding) for finding in self._warner.see(reading)[:MOST_WARNINGS]],
        }
        kept = ("per_second", "waiting_ns", "handling_ns", "message_ns", "queued", "lost", "restarts", "dead_letters")
        return Told(
            source={"state": "live", "text": "", "hint": ""},
            sections=sections,
            rows={
                "actors": [
                    _actor(each, actor_rates.get(each.name, NO_ACTOR), before.get(each.name)) for each in reading.actors
                ],
                "edges": list(_edges(reading.edges, edge_rates)),
            },
            point={name: totals[name] for name in kept} if rates is not None else None,
        )


def _newest(letters: Iterable[LetterReading]) -> list[LetterReading]:
    """So many as are told, the newest first: the newest of each actor and reason before the second newest of any."""
    piles: dict[tuple[str, str], list[LetterReading]] = {}
    for letter in sorted(letters, key=_when, reverse=True):
        piles.setdefault((letter.actor, letter.reason), []).append(letter)
    by_turns = (letter for turn in itertools.zip_longest(*piles.values()) for letter in turn if letter is not None)
    return sorted(itertools.islice(by_turns, MOST_LETTERS), key=_when, reverse=True)


def _when(letter: LetterReading) -> tuple[int, str, int]:
    return letter.at_ns, letter.process, letter.number


def _warning(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "level": finding.level.value,
        "where": finding.where,
        "actor": finding.actor,
        "text": finding.text,
        "count": finding.count,
    }


def _actor(now: ActorReading, rate: ActorRate, before: Ended | None) -> Row:
    return (
        now.name,
        now.bundle,
        now.process,
        now.pid,
        now.mode.value,
        now.state,
        _rounded(rate.busy),
        _rounded(rate.per_second),
        _ns(rate.waiting_us),
        _ns(rate.handling_us),
        now.queued,
        now.capacity,
        now.blocked,
        now.handled,
        now.failed,
        sum(now.lost.values()),
        now.lost,
        now.restarts,
        now.error.text if now.error is not None else None,
        now.error.at_ns // 1_000_000 if now.error is not None else None,
        now.dispatch.value,
        now.overflow.value,
        now.held,
        now.skipped,
        {"failed": before.failed, "lost": dict(before.lost), "restarts": before.restarts}
        if before is not None
        else None,
    )


def _edges(edges: Iterable[EdgeReading], rates: Mapping[tuple[str, str, str], EdgeRate]) -> Iterator[Row]:
    for now in edges:
        yield (
            f"{now.sender}.{now.port} → {now.receiver}",
            now.sender,
            now.port,
            now.receiver,
            now.route.value,
            now.reason,
            now.messages,
            _rounded(rates.get((now.sender, now.port, now.receiver), NO_EDGE).per_second),
            now.encoded_bytes,
            now.saved_bytes,
            now.outstanding,
            now.window,
            now.full,
            now.denied,
        )


def _process(now: ProcessReading, rate: ProcessRate) -> dict[str, Any]:
    return {
        "name": now.name,
        "pid": now.pid,
        "restarts": now.restarts,
        "answers": now.answers,
        "reconnects": now.reconnects,
        "denied": now.denied,
        "cpu": _rounded(rate.cpu),
        "memory_bytes": now.resident_bytes,
    }


def _totals(reading: Reading, rates: Mapping[str, ActorRate]) -> dict[str, Any]:
    actors: tuple[ActorReading | Ended, ...] = (*reading.actors, *reading.ended)
    waiting, handling = _mean_ns(rates.values(), "waiting_us"), _mean_ns(rates.values(), "handling_us")
    return {
        "actors": reading.total,
        "per_second": _rounded(sum(rate.per_second for rate in rates.values())),
        "waiting_ns": waiting,
        "handling_ns": handling,
        "message_ns": (waiting or 0) + (handling or 0) if waiting is not None or handling is not None else None,
        "queued": sum(actor.queued for actor in reading.actors),
        "handled": sum(actor.handled for actor in reading.actors),
        "failed": sum(actor.failed for actor in actors),
        "lost": sum(sum(actor.lost.values()) for actor in actors),
        "restarts": sum(actor.restarts for actor in actors) + sum(process.restarts for process in reading.processes),
        "dead_letters": sum(process.dead_letters for process in reading.processes),
    }


def _mean_ns(rates: Iterable[ActorRate], name: str) -> int | None:
    """Over all messages: an actor counts as often as it has handled one."""
    known = [(rate.per_second, us) for rate in rates if (us := getattr(rate, name)) is not None and rate.per_second]
    messages = sum(per_second for per_second, _ in known)
    return _ns(sum(per_second * us for per_second, us in known) / messages) if messages else None


def _bundles(
    reading: Reading, rates: Mapping[str, ActorRate], cpus: Mapping[str, float | None]
) -> Iterator[dict[str, Any]]:
    members: dict[str, list[ActorReading]] = {}
    for actor in reading.actors:
        members.setdefault(actor.bundle, []).append(actor)
    for name, actors in members.items():
        cpu = [cpus.get(process) for process in dict.fromkeys(actor.process for actor in actors)]
        yield {
            "name": name,
            "node": reading.node,
            "mode": actors[0].mode.value,
            "actors": len(actors),
            "per_second": _rounded(sum(rates.get(actor.name, NO_ACTOR).per_second for actor in actors)),
            "cpu": _rounded(sum(each or 0.0 for each in cpu)) if any(each is not None for each in cpu) else None,
            "queued": sum(actor.queued for actor in actors),
            "failed": sum(actor.failed for actor in actors),
            "lost": sum(sum(actor.lost.values()) for actor in actors),
            "restarts": sum(actor.restarts for actor in actors),
        }


def _rounded(value: float | None) -> float | None:
    """To three digits."""
    return None if value is None else float(f"{value:.3g}") if value < 1_000 else round(value)


def _ns(us: float | None) -> int | None:
    return None if us is None else round(us * 1_000)
