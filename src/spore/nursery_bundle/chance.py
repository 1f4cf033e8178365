"""Where a bundle's chances come from: the machine's entropy, or a seed that a test has set for a whole run."""

from __future__ import annotations

import random
from contextvars import ContextVar

__all__ = ["SEEDS", "chances"]

SEEDS: ContextVar[random.Random | None] = ContextVar("SEEDS", default=None)
"""Seeds for the bundles opened in this context; see `spore.testing.run`."""


def chances(seed: int | None) -> random.Random:
    """The random numbers of one bundle. They decide when a restart happens, never what a message leads to."""
    seeds = SEEDS.get()
    if seed is None and seeds is not None:
        seed = seeds.getrandbits(64)
    return random.Random(seed)  # noqa: S311 - for jitter
