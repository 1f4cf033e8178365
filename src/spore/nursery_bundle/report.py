"""From cells to statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from spore.nursery_bundle.cell import Cell, Failure
from spore.nursery_bundle.departed import EndedCounts, skipped_by
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.letters import DeadLetters
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.policy import Dispatch
from spore.nursery_bundle.scales import Scales
from spore.nursery_bundle.statistics import (
    ActorStatistics,
    BundleStatistics,
    EdgeStatistics,
    EndedStatistics,
    LastError,
    LetterStatistics,
    Sampled,
)

__all__ = ["LONGEST", "LONGEST_TRACEBACK", "MOST", "report", "report_letters"]

LONGEST = 200
"""Characters of what is said of a message, or an error."""
LONGEST_TRACEBACK = 4_000
"""Characters of a traceback."""
MOST = 100
"""Letters of one bundle that are reported at a time, if not more of each kind are asked for: a look at it stays small however many actors fail."""


def report(
    name: str,
    cells: Mapping[str, Cell],
    dead_letters: int,
    defects: int,
    dispatcher: Dispatcher,
    ended: EndedCounts,
    *,
    scales: Scales | None = None,
    actors: Collection[str] | None = None,
) -> BundleStatistics:
    """A moment's view of a bundle, or of these of its actors and what is sent to them."""
    wanted = tuple(cells.values() if actors is None else (cells[actor] for actor in actors if actor in cells))
    return BundleStatistics(
        name=name,
        actors={cell.name: _actor(cell) for cell in wanted},
        edges=tuple(_edges(wanted, scales)),
        dead_letters=dead_letters,
        defects=defects,
        active=dispatcher.active,
        ended=EndedStatistics(
            actors=ended.actors,
            received=ended.received,
            handled=ended.received - ended.failed - sum(ended.lost.values()),
            failed=ended.failed,
            lost=dict(ended.lost),
            restarts=ended.restarts,
            skipped=dict(ended.skipped),
        ),
    )


def _actor(cell: Cell) -> ActorStatistics:
    received = cell.sent_before + sum(edge.sent for edge in cell.edges)
    held = len(cell.merge) if cell.merge is not None else 0
    return ActorStatistics(
        name=cell.name,
        state=cell.state,
        received=received + held,
        handled=cell.handled,
        failed=cell.failures,
        lost=dict(cell.lost),
        queued=len(cell.mailbox),
        held=held,
        capacity=cell.mailbox.capacity,
        restarts=cell.restarts,
        handling=cell.handling or Sampled(),
        waiting=cell.waiting or Sampled(),
        overflow=cell.mailbox.overflow,
        dispatch=Dispatch.INLINE if cell.inline and not cell.is_async else Dispatch.QUEUED,
        blocked=len(cell.mailbox.sending or ()),
        error=_last_error(cell.failure) if cell.failure is not None else None,
        skipped=dict(skipped_by(cell)),
    )


def _edges(cells: Iterable[Cell], scales: Scales | None) -> Iterable[EdgeStatistics]:
    for cell in cells:
        for edge in cell.edges:
            saved = scales.weigh(edge) if scales is not None else 0
            yield EdgeStatistics(edge.sender, edge.port, cell.name, edge.sent, edge.verified, saved)


def _last_error(failure: Failure) -> LastError:
    return LastError(_cut(failure.text), failure.message, failure.at_ns)


def report_letters(letters: DeadLetters, cells: Mapping[str, Cell], last: int) -> Iterator[LetterStatistics]:
    """So many of the last dead letters of each actor and reason, oldest first; more than `MOST` in all only where that many are asked for."""
    for number, letter in letters.last(last, max(last, MOST)):
        yield LetterStatistics(
            number=number,
            actor=letter.actor,
            sender=_only_sender(cells.get(letter.actor)),
            reason=letter.reason,
            message=kind_of(letter.message),
            text=_shortened(letter.message),
            error=_said(letter.error.kind, letter.error.text) if letter.error is not None else "",
            at_ns=letter.at_ns,
            traceback=_end_of(letter.error.traceback) if letter.error is not None else "",
        )


def _only_sender(cell: Cell | None) -> str:
    senders = {edge.sender for edge in cell.edges if edge.sent} if cell is not None else set()
    return senders.pop() if len(senders) == 1 else ""


def _said(kind: str, text: str) -> str:
    """An error in one line."""
    words = " ".join(text[: 10 * LONGEST].split())
    return _cut(f"{kind}: {words}" if words else kind)


def _end_of(traceback: str) -> str:
    """A traceback that is too long without its beginning: the error is at its end."""
    if len(traceback) <= LONGEST_TRACEBACK:
        return traceback
    kept = traceback[-LONGEST_TRACEBACK:]
    return f"…\n{kept[kept.find(chr(10)) + 1 :]}"


def _shortened(message: Any) -> str:
    try:
        return _cut(repr(message))
    except Exception:  # noqa: BLE001 - nor is a message that cannot be shown a reason to show none
        return _cut(object.__repr__(message))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
