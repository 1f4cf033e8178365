"""What was counted of actors that are there no more: those that were stopped, and those that were switched to another mode.

A bundle keeps sums over its actors that have ended. Here they get names again, as far as the system itself has stopped the actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.statistics import EndedStatistics

if TYPE_CHECKING:
    from spore.deploy.unit import UnitStatistics

__all__ = ["Ended", "ended_of", "joined_by_name", "of_unit", "without"]

K = TypeVar("K")


@attrs.frozen(kw_only=True)
class Ended:
    """What was counted of an actor by those that are there no more, from the beginning of the run."""

    name: str
    """The actor, or the bundle."""
    several: bool = False
    """Whether it is about actors of a bundle that have ended by themselves, all together."""
    failed: int = 0
    lost: Mapping[str, int] = attrs.field(factory=dict)
    """By reason."""
    restarts: int = 0


def joined_by_name(found: Iterable[Ended]) -> tuple[Ended, ...]:
    """The sums of those that have one name."""
    known: dict[tuple[str, bool], Ended] = {}
    for one in found:
        before = known.get((one.name, one.several), Ended(name=one.name))
        known[one.name, one.several] = Ended(
            name=one.name,
            several=one.several,
            failed=before.failed + one.failed,
            lost=dict(Counter(before.lost) + Counter(one.lost)),
            restarts=before.restarts + one.restarts,
        )
    return tuple(known.values())


def ended_of(unit: UnitStatistics) -> Iterator[Ended]:
    """Of those that have ended while their process goes on: each that the system has stopped, and the others together."""
    if unit.bundle is not None:
        rest = unit.bundle.ended
        for name, ended in unit.left.items():
            rest = without(rest, ended)
            yield _ended(name, ended)
        if rest.actors or rest.received:
            yield attrs.evolve(_ended(unit.bundle.name, rest), several=True)


def of_unit(unit: UnitStatistics) -> Iterator[Ended]:
    """Of all actors of a unit, which is about to leave."""
    yield from ended_of(unit)
    for actor in unit.bundle.actors.values() if unit.bundle is not None else ():
        yield Ended(name=actor.name, failed=actor.failed, lost=_by_name(actor.lost), restarts=actor.restarts)


def without(sums: EndedStatistics, others: EndedStatistics) -> EndedStatistics:
    """The sums over those that are not among some others."""
    return EndedStatistics(
        actors=sums.actors - others.actors,
        received=sums.received - others.received,
        handled=sums.handled - others.handled,
        failed=sums.failed - others.failed,
        lost=_less(sums.lost, others.lost),
        restarts=sums.restarts - others.restarts,
        skipped=_less(sums.skipped, others.skipped),
    )


def _less(counts: Mapping[K, int], others: Mapping[K, int]) -> dict[K, int]:
    return {what: left for what, count in counts.items() if (left := count - others.get(what, 0))}


def _ended(name: str, ended: EndedStatistics) -> Ended:
    return Ended(name=name, failed=ended.failed, lost=_by_name(ended.lost), restarts=ended.restarts)


def _by_name(lost: Mapping[Loss, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in lost.items()}
