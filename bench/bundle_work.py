"""The work that Spore and its peers do in the bundle bench, and how it is timed.

A case opens its *scene* (actors, tasks, threads) in a loop of its own, and times, without the set-up, how long it
takes to do something *once*: to hand over a burst of messages and wait until the handler has seen the last, say.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import cycle, islice
from time import perf_counter_ns
from typing import Any, ParamSpec, TypeAlias

import attrs
import trio

from bench.measure import Run
from spore.services.messages import QuoteUpdate

__all__ = ["Counter", "FirstStep", "Latch", "Once", "Scene", "Tally", "difference", "in_trio", "quotes", "timed"]

P = ParamSpec("P")
Once: TypeAlias = Callable[[], Awaitable[object]]
Scene: TypeAlias = Callable[P, AbstractAsyncContextManager[Once]]

_KINDS = tuple(
    QuoteUpdate(
        instrument_id=n % 10,
        bid_price=300_000_000_000 + n,
        bid_size_e8=150_000_000,
        ask_price=300_001_000_000 + n,
        ask_size_e8=150_000_000,
        venue=2,
        event_time_ns=1_700_000_000_000_000_000 + n,
        update_id=n,
    )
    for n in range(100)
)


def quotes(count: int) -> list[QuoteUpdate]:
    """So many quotes of ten instruments."""
    return list(islice(cycle(_KINDS), count))


@attrs.define
class Tally:
    """The trivial handler."""

    count: int = 0

    def handle(self, message: Any) -> None:
        self.count += 1


@attrs.define
class Counter:
    """The handler of what is waited for: counts, and at each multiple of ``every`` says so."""

    every: int = 1
    done: Callable[[], object] = int
    left: int = attrs.field(default=attrs.Factory(lambda self: self.every, takes_self=True))

    def handle(self, message: Any) -> None:
        self.left -= 1
        if not self.left:
            self.left = self.every
            self.done()


@attrs.define
class FirstStep:
    """A small but realistic handler: what a signal generator does first, keep the last price by instrument."""

    last: dict[int, int] = attrs.field(factory=dict)
    count: int = 0

    def handle(self, message: Any) -> None:
        match message:
            case QuoteUpdate():
                self.last[message.instrument_id] = (message.bid_price + message.ask_price) // 2
                self.count += 1


class Latch:
    """A trio task waits, another lets it go on: the cheapest way there is, so that it covers no difference."""

    __slots__ = ("_open", "_task")

    def __init__(self) -> None:
        self._open = False
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> None:
        if not self._open:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        self._open = False

    def open(self) -> None:
        self._open = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def _abandon(self, _: Any) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


def in_trio(scene: Scene[P], *args: P.args, **kwargs: P.kwargs) -> Run:
    """A case that plays in trio."""

    async def main(iterations: int) -> float:
        async with scene(*args, **kwargs) as once:
            return await timed(iterations, once)

    return lambda iterations: trio.run(main, iterations)


async def timed(iterations: int, once: Once) -> float:
    """Nanoseconds for doing something once, when it has been done before."""
    await once()
    began = perf_counter_ns()
    for _ in range(iterations):
        await once()
    return (perf_counter_ns() - began) / iterations


def difference(iterations: int, less: Callable[[], object], more: Callable[[], object]) -> float:
    """By how many nanoseconds one thing takes longer than another: taken in turns, because the difference is small."""
    found = []
    for _ in range(iterations):
        began = perf_counter_ns()
        less()
        between = perf_counter_ns()
        more()
        found.append(perf_counter_ns() - between - (between - began))
    return statistics.median(found)
