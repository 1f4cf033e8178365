"""The highest rate that a mode sustains: doubled until it is too much, then halved in between, a short load test for each.

Somebody else's load on the machine can make a test fail, and nothing can make an impossible one succeed. So a rate counts as too much
only when two tests in a row say so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from spore.deploy import SystemConfig
from spore.migration.load_report import LoadTest
from spore.migration.loadtest import MAX_RATE, loadtest

__all__ = ["START_RATE", "STEP_SECONDS", "FoundMax", "find_max", "search"]

START_RATE = 10_000
STEP_SECONDS = 5.0
"""How long each test lasts unless it is told otherwise. Who falls behind by 2 % is late after that."""
MIN_RATE = 100
"""A message a burst: whoever cannot carry that is not searched any further."""
TRIES = 2
RESOLUTION = 0.05
"""The search ends when the highest rate and the first that was too much are no further apart."""


@attrs.frozen(kw_only=True)
class FoundMax:
    """What a search has found."""

    sustained: int | None
    """The highest rate that was sustained, in messages a second; None if none was."""
    too_much: int | None
    """The lowest rate above it that was not; None if all were."""
    tests: tuple[LoadTest, ...]
    """All tests, in the order of the search. At least one."""

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "mode": self.tests[0].mode,
            "seconds": self.tests[0].seconds,
            "sustained_rate": self.sustained,
            "too_much_rate": self.too_much,
            "tests": [test.plain() for test in self.tests],
        }


async def find_max(
    *specs: str,
    config: SystemConfig,
    mode: str,
    seconds: float = STEP_SECONDS,
    start: int = START_RATE,
    watch: Callable[[Sequence[LoadTest], int], None] | None = None,
) -> FoundMax:
    """Search the highest rate that a pipeline sustains.

    Args:
        specs: as for `loadtest`.
        config: as for `loadtest`.
        mode: as for `loadtest`.
        seconds: how long each test lasts.
        start: the rate to begin with.
        watch: told, before each test, those before it and its rate.

    Cancellation: always a checkpoint; what was started is ended.

    Raises:
        ConfigError, UsageError, FeedError, RunFailed: as `loadtest`.
    """
    tests: list[LoadTest] = []

    async def sustains(rate: int) -> bool:
        for _ in range(TRIES):
            if watch is not None:
                watch(tests, rate)
            tests.append(await loadtest(*specs, config=config, mode=mode, rate=rate, seconds=seconds))
            if tests[-1].sustained:
                return True
        return False

    sustained, too_much = await search(sustains, start)
    return FoundMax(sustained=sustained, too_much=too_much, tests=tuple(tests))


async def search(sustains: Callable[[int], Awaitable[bool]], start: int) -> tuple[int | None, int | None]:
    """The highest rate that is sustained, and the lowest one tried above it that is not; None where there is no such rate.

    Cancellation: as ``sustains``, which is awaited at least once.
    """
    low: int | None = None
    high: int | None = None
    rate: int | None = start
    while rate is not None:
        if await sustains(rate):
            low = rate
        else:
            high = rate
        rate = _next(low, high)
    return low, high


def _next(low: int | None, high: int | None) -> int | None:
    """The rate to try next, given the highest that was sustained and the lowest that was not; None where the search ends."""
    if high is None:
        assert low is not None  # noqa: S101 - one of them is known after the first try
        return min(2 * low, MAX_RATE) if low < MAX_RATE else None
    if low is None:
        return max(high // 2, MIN_RATE) if high > MIN_RATE else None
    middle = (low + high) // 2
    return middle if high - low > RESOLUTION * low and middle > low else None
