"""From cells to statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.statistics import ActorStatistics, BundleStatistics, EdgeStatistics, Sampled

__all__ = ["report"]


def report(
    name: str, cells: Iterable[Cell], dead_letters: int, defects: int, dispatcher: Dispatcher
) -> BundleStatistics:
    """A moment's view of a bundle."""
    cells = tuple(cells)
    return BundleStatistics(
        name=name,
        actors={cell.name: _actor(cell) for cell in cells},
        edges=tuple(_edges(cells)),
        dead_letters=dead_letters,
        defects=defects,
        active=dispatcher.active,
    )


def _actor(cell: Cell) -> ActorStatistics:
    received = sum(edge.sent for edge in cell.edges)
    lost = sum(cell.lost.values())
    queued = len(cell.mailbox) + (len(cell.merge) if cell.merge is not None else 0)
    actor: Actor[Any] | None = getattr(cell, "actor", None)  # there is none before the first was built
    return ActorStatistics(
        name=cell.name,
        state=cell.state,
        received=received + (len(cell.merge) if cell.merge is not None else 0),
        handled=received - cell.failures - lost - len(cell.mailbox),
        failed=cell.failures,
        lost=dict(cell.lost),
        queued=queued,
        capacity=cell.mailbox.capacity,
        restarts=cell.restarts,
        handling=cell.handling or Sampled(),
        waiting=cell.waiting or Sampled(),
        skipped=dict(actor.skipped()) if actor is not None else {},
    )


def _edges(cells: tuple[Cell, ...]) -> Iterable[EdgeStatistics]:
    for cell in cells:
        for edge in cell.edges:
            yield EdgeStatistics(edge.sender, edge.port, cell.name, edge.sent, edge.verified)
