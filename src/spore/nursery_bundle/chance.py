"""Where a bundle's chances come from: the machine, or a seed that a test has set for a whole run.

Two things about a run are left to chance: when a restart happens, and after how many messages the dispatcher gives
way, because that depends on how long they take. No result may depend on either; a seeded run has both decided.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter_ns

__all__ = ["SEEDS", "chances", "slice_clock"]

STEP_NS = 50_000
"""How far the clock of a seeded run moves each time that it is read: a time slice then is some hundred messages."""

SEEDS: ContextVar[random.Random | None] = ContextVar("SEEDS", default=None)
"""Seeds for the bundles opened in this context; see `spore.testing.run`."""


def chances(seed: int | None) -> random.Random:
    """The random numbers of one bundle. They decide when a restart happens, never what a message leads to."""
    seeds = SEEDS.get()
    if seed is None and seeds is not None:
        seed = seeds.getrandbits(64)
    return random.Random(seed)  # noqa: S311 - for jitter


def slice_clock() -> Callable[[], int]:
    """The clock by which a bundle measures time slices, in nanoseconds."""
    return perf_counter_ns if SEEDS.get() is None else itertools.count(0, STEP_NS).__next__
