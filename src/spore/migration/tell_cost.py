"""What `tell` adds to the bare call of a handler: the price of a bundled message.

The two are taken in turns, because the difference is small, and the median of the differences counts. The handler is small
but realistic, what a signal generator does first: it keeps the last price by instrument.
"""

from __future__ import annotations

import gc
import statistics
from time import perf_counter_ns
from typing import Any

import attrs

import spore
from spore.services.messages import QuoteUpdate

__all__ = ["tell_adds_ns"]

MESSAGES = 1_000
"""Told in one turn: a single one is too short to time."""
TURNS = 200


@attrs.define
class LastPrice(spore.Actor[Any]):
    """Keeps the last price by instrument."""

    last: dict[int, int] = attrs.field(factory=dict)

    def handle(self, message: Any) -> None:
        match message:
            case QuoteUpdate():
                self.last[message.instrument_id] = (message.bid_price + message.ask_price) // 2


async def tell_adds_ns(*, turns: int = TURNS) -> float:
    """Nanoseconds a message.

    Cancellation: entering and leaving the bundle are checkpoints.
    """
    messages = [_quote(number) for number in range(MESSAGES)]
    async with spore.open_bundle("tell") as bundle:
        tell = (await bundle.start(LastPrice)).tell
        handle = LastPrice().handle
        found = []
        collecting = gc.isenabled()
        gc.disable()
        try:
            for _ in range(turns):
                began = perf_counter_ns()
                for message in messages:
                    handle(message)
                between = perf_counter_ns()
                for message in messages:
                    tell(message)
                found.append(perf_counter_ns() - between - (between - began))
        finally:
            if collecting:
                gc.enable()
    return statistics.median(found) / MESSAGES


def _quote(number: int) -> QuoteUpdate:
    return QuoteUpdate(
        instrument_id=number % 10,
        bid_price=300_000_000_000 + number,
        bid_size_e8=150_000_000,
        ask_price=300_001_000_000 + number,
        ask_size_e8=150_000_000,
        venue=2,
        event_time_ns=1_700_000_000_000_000_000 + number,
        update_id=number,
    )
