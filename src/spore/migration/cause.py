"""Which event of the input is behind a signal or an order: the one whose place the message names as its cause.

A place is the time of an event, and its position on its chain or at its venue. Only some events make market data conclude anything, and
only those are looked for: a transaction has its place in common with its first log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from spore.services.messages import LoanPosition, QuoteUpdate, Trade, TransactionEnd

__all__ = ["event_behind", "events_behind"]

Place: TypeAlias = tuple[int, int, int, int]
"""Event time, position, and the numbers of transaction and log, which are 0 where there are none."""


def event_behind(message: Any, events: Iterable[Any]) -> int | None:
    """The number, from 0, of the event behind a message; None as for `events_behind`."""
    (number,) = events_behind([message], events)
    return number


def events_behind(messages: Iterable[Any], events: Iterable[Any]) -> list[int | None]:
    """The number, from 0, of the event behind each message.

    None where a message names no cause, or the input has no such event or several: no guess is made.
    """
    places: dict[Place, int | None] = {}
    for number, event in enumerate(events):
        place = _place(event)
        if place is not None:
            places[place] = None if place in places else number
    return [_found(getattr(each, "cause", None), places) for each in messages]


def _place(event: Any) -> Place | None:
    match event:
        case TransactionEnd():
            return (event.event_time_ns, event.block_number, event.tx_index, 0)
        case LoanPosition():
            return (event.event_time_ns, event.block_number, event.tx_index, event.log_index)
        case QuoteUpdate():
            return (event.event_time_ns, event.update_id, 0, 0)
        case Trade():
            return (event.event_time_ns, event.trade_id, 0, 0)
    return None


def _found(cause: Any, places: dict[Place, int | None]) -> int | None:
    if cause is None:
        return None
    return places.get((cause.event_time_ns, cause.position, cause.tx_index, cause.log_index))
