"""What is left of an actor that has ended: its counts, and a reference that leads nowhere and keeps nothing else alive."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs

from spore.nursery_bundle.interrupts import calling
from spore.nursery_bundle.log import describe
from spore.nursery_bundle.policy import Loss

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell
    from spore.nursery_bundle.overseer import Overseer

__all__ = ["Departed", "EndedCounts", "sever", "skipped_by"]


_log = logging.getLogger("spore.bundle")


@attrs.define
class EndedCounts:
    """Sums over the actors that have left a bundle while it went on."""

    actors: int = 0
    received: int = 0
    failed: int = 0
    restarts: int = 0
    lost: dict[Loss, int] = attrs.field(factory=dict)
    skipped: dict[str, int] = attrs.field(factory=dict)

    def add(self, cell: Cell) -> None:
        """Take in the counts of one."""
        self.actors += 1
        self.received += cell.sent_before + sum(edge.sent for edge in cell.edges)
        self.failed += cell.failures
        self.restarts += cell.restarts
        for reason, count in cell.lost.items():
            self.lost[reason] = self.lost.get(reason, 0) + count
        for why, count in skipped_by(cell).items():
            self.skipped[why] = self.skipped.get(why, 0) + count

    def add_lost(self, reason: Loss) -> None:
        """One of them was sent something since."""
        self.received += 1
        self.lost[reason] = self.lost.get(reason, 0) + 1


class Departed:
    """The keeper of an actor that has ended, in place of its bundle's, which it does not keep alive.

    Args:
        bundle: its name.
        overseer: the bundle's.
        left: whether the actor has left the statistics, so that what is still sent to it counts among the sums.
    """

    halted = True

    def __init__(self, bundle: str, overseer: weakref.ref[Overseer], *, left: bool) -> None:
        self.bundle = bundle
        self._overseer = overseer
        self._left = left

    def start_soon(self, run: Callable[..., Awaitable[object]], *args: Any, name: str) -> None:
        """Start nothing."""

    def lost(self, cell: Cell, message: Any, reason: Loss) -> None:
        """Keep a dead letter, if the bundle is still somebody's."""
        overseer = self._overseer()
        if overseer is not None:
            (overseer.lost_after if self._left else overseer.lost)(cell, message, reason)

    def failed(self, cell: Cell, error: Exception, message: Any) -> None:
        """Keep a dead letter; there is nobody to decide about."""
        self.lost(cell, message, Loss.FAILED)


class _Nobody:
    """In place of an actor that has ended."""


def skipped_by(cell: Cell) -> dict[str, int]:
    """What an actor says that it did not use, or said at its end. An actor whose `skipped` raises has nothing to say."""
    if cell.skipped is not None:
        return cell.skipped
    actor = getattr(cell, "actor", None)
    if actor is None:  # there is none before the first was built
        return {}
    try:
        return {str(reason): int(count) for reason, count in calling(actor.skipped).items()}
    except Exception as error:  # noqa: BLE001 - statistics are asked for when something is wrong, and must not fail then
        if cell not in _complained:
            _complained.add(cell)
            _log.warning("actor %s: skipped raised %s; nothing is known of what it skips", cell.name, describe(error))
        return {}


_complained: weakref.WeakSet[Cell] = weakref.WeakSet()
"""The cells of which that was said: statistics are asked for again and again."""


def sever(cell: Cell, keeper: Departed) -> None:
    """Let go of all that a cell knows, but for its counts."""
    cell.skipped = skipped_by(cell)
    for port in (cell.ports or {}).values():
        port.withdraw()
    for outlet in (cell.outlets or {}).values():
        cell.dispatcher.overfull.discard(outlet)
    cell.dispatcher.overfull.discard(cell)
    for edge in cell.edges:
        if edge.owner is not None and edge.owner.ports is not None:
            edge.owner.ports.pop((edge.port, cell.name), None)
        edge.owner = None
        edge.samples = None
    cell.ports = cell.outlets = None
    cell.children = cell.timers = cell.waits_for = ()
    cell.context = None
    cell.keeper = keeper
    nobody: Any = _Nobody()
    cell.actor = cell.handle = cell.build = nobody
