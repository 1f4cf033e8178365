"""Runs that can be repeated: a virtual clock and a seeded schedule."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
import trio.testing

from spore.nursery_bundle import Bundle
from spore.nursery_bundle.chance import SEEDS

__all__ = ["run", "seeded_schedule", "wait_idle"]

T = TypeVar("T")


def run(main: Callable[..., Awaitable[T]], *args: object, seed: int = 0) -> T:
    """Run an async function as `trio.run` does, with a clock that jumps and a schedule that the seed decides.

    The same seed gives the same order of tasks and the same jitter of restarts, as long as the code under test asks
    neither the real clock nor real sockets for anything.

    Args:
        main: the async function.
        args: its arguments.
        seed: try several: each is another schedule.

    Raises:
        BaseException: whatever the function raised.
    """
    with seeded_schedule(seed):
        return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def seeded_schedule(seed: int) -> Iterator[None]:
    """A block in which `trio.run` is repeatable. It is for tests that call `trio.run` themselves."""
    # trio shuffles the tasks of each pass on purpose, and keeps these two names for Hypothesis, which does the same.
    scheduler: Any = trio._core._run
    state, sorted_first = scheduler._r.getstate(), scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    token = SEEDS.set(random.Random(seed))  # noqa: S311 - for schedules
    scheduler._r.seed(seed)
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    try:
        yield
    finally:
        SEEDS.reset(token)
        scheduler._r.setstate(state)
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = sorted_first


async def wait_idle(*bundles: Bundle) -> None:
    """Wait until none of the bundles has a message queued or in hand, all at the same moment.

    Cancellation: always a checkpoint.
    """
    await trio.lowlevel.checkpoint()
    while any(bundle.statistics().active for bundle in bundles):
        for bundle in bundles:
            await bundle.wait_idle()
