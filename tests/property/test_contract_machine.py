"""Drawn bundles against the contract. A failure names its seed: ``SPORE_SEED=… SPORE_CONTRACT_RUNS=1`` runs that program again."""

from __future__ import annotations

import os
import random

import pytest
from tests.property.contract_world import check

RUNS = int(os.environ.get("SPORE_CONTRACT_RUNS", "1500"))
PARTS = 6


def first_seed() -> int:
    if "SPORE_SEED" in os.environ:
        return int(os.environ["SPORE_SEED"])
    return 1 if os.environ.get("SPORE_HYPOTHESIS") in {"ci", "light"} else random.SystemRandom().randrange(2**40)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("part", range(PARTS))
def test_a_drawn_bundle_keeps_the_contract(part: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever actors, failures, starts, stops, restarts and cancellations are drawn, in both dispatches, in nested bundles."""
    caplog.set_level("CRITICAL")
    seed = first_seed() + part * 10**9
    for number in range(seed, seed + max(1, RUNS // PARTS)):
        try:
            check(number)
        except BaseException as error:
            error.add_note(f"SPORE_SEED={number - part * 10**9} (part {part}, seed {number})")
            raise
        caplog.clear()
