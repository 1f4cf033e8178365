"""What `tell` adds to the bare call of a handler: the price of a bundled message.

Both are taken in turns so short that the machine is the same for both, each first as often as the other, and the median of the
differences counts: what disturbs a turn makes it an outlier, and does not move the median. A machine that others share is slow for
tenths of a second, too. So there are several medians, and the least counts, as the standard library's `timeit` has it: what disturbs only
ever adds. The handler is small but realistic, what a
signal generator does first: it keeps the last price by instrument. It is called again and again, as in ``python -m bench.bundle``, which
prints the same figure when it runs beside this: the figure is the machine's as well, and moves with its load.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import attrs

import spore
from spore.services.messages import QuoteUpdate

__all__ = ["tell_adds_ns"]

MESSAGES = 100
"""Told in one turn: a single one is too short to time."""
TURNS = 2_000
"""For a median."""
MEDIANS = 8


@attrs.define
class LastPrice(spore.Actor[Any]):
    """Keeps the last price by instrument."""

    last: dict[int, int] = attrs.field(factory=dict)

    def handle(self, message: Any) -> None:
        match message:
            case QuoteUpdate():
                self.last[message.instrument_id] = (message.bid_price + message.ask_price) // 2


async def tell_adds_ns(*, turns: int = TURNS) -> float:
    """Nanoseconds a message, of an idle actor in a bundle of its own: its count, its supervision, and one message in 256 timed.

    Cancellation: entering and leaving the bundle are checkpoints.
    """
    messages = [_quote(number) for number in range(MESSAGES)]
    async with spore.open_bundle("tell") as bundle:
        tell = (await bundle.start(LastPrice)).tell
        handle = LastPrice().handle

        # Two loops, because Python fits a call to what it calls.
        def told_ns() -> int:
            began = perf_counter_ns()
            for message in messages:
                tell(message)
            return perf_counter_ns() - began

        def called_ns() -> int:
            began = perf_counter_ns()
            for message in messages:
                handle(message)
            return perf_counter_ns() - began

        with _no_collection():
            return min(_median(told_ns, called_ns, turns) for _ in range(MEDIANS)) / MESSAGES


def _median(told_ns: Callable[[], int], called_ns: Callable[[], int], turns: int) -> float:
    found = []
    for turn in range(turns):
        if turn % 2:
            told, called = told_ns(), called_ns()
        else:
            called, told = called_ns(), told_ns()
        found.append(told - called)
    return statistics.median(found)


@contextmanager
def _no_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


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
