"""What was counted of actors that are there no more: those that were stopped, and those that were switched to another mode.

Of actors that have ended while their bundle went on there are sums; those that a system stops at its end are still there by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.statistics import EndedStatistics

if TYPE_CHECKING:
    from spore.deploy.unit import UnitStatistics

__all__ = ["Ended", "ended_of", "joined_by_name", "of_unit"]


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
    """Of those that have ended while their process goes on, all together."""
    ended = unit.bundle.ended if unit.bundle is not None else EndedStatistics()
    if unit.bundle is not None and (ended.actors or ended.received):
        yield Ended(
            name=unit.bundle.name, several=True, failed=ended.failed, lost=_by_name(ended.lost), restarts=ended.restarts
        )


def of_unit(unit: UnitStatistics) -> Iterator[Ended]:
    """Of all actors of a unit, which is about to leave."""
    yield from ended_of(unit)
    for actor in unit.bundle.actors.values() if unit.bundle is not None else ():
        yield Ended(name=actor.name, failed=actor.failed, lost=_by_name(actor.lost), restarts=actor.restarts)


def _by_name(lost: Mapping[Loss, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in lost.items()}
