"""The contract of a bundle, held against drawn programs: `make contract` runs 100,000 of them, some hundred run otherwise.

`python -m tests.property.test_contract_machine SEED [inline|queued]` shows one of them.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.property.contract_books import Broken
from tests.property.contract_world import World

from spore.testing import run

SHARDS = 8
RUNS = int(os.environ.get("SPORE_CONTRACT_RUNS", "600"))
FIRST = os.environ.get("SPORE_SEED", "0" if os.environ.get("SPORE_HYPOTHESIS") in ("ci", "light") else "")
"""The first seed. Without one, each run of the tests takes others."""


@contextmanager
def nothing_warns() -> Iterator[list[str]]:
    """A block in which warnings are errors, those in finalizers too, and the log is off."""
    found: list[str] = []
    before = sys.unraisablehook, logging.root.manager.disable

    def note(unraisable: Any) -> None:
        found.append(f"{unraisable.exc_value!r} in {unraisable.object!r}")

    sys.unraisablehook = note
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield found
    finally:
        sys.unraisablehook = before[0]
        logging.disable(before[1])


def run_program(seed: int, dispatch: str) -> World:
    """Run one program.

    Raises:
        Broken: with its seed, if the contract was.
    """
    worlds: list[World] = []

    async def main() -> None:
        worlds.append(World(seed, dispatch))
        await worlds[0].run()

    with nothing_warns() as found:
        try:
            run(main, seed=seed)
        except (Exception, BaseExceptionGroup) as error:
            worlds[0].books.wrong(f"{error!r} came out")
            raise Broken(report(worlds[0], seed, dispatch)) from error
    for warning in found:
        worlds[0].books.wrong(warning)
    if worlds[0].books.wrongs:
        raise Broken(report(worlds[0], seed, dispatch))
    return worlds[0]


def report(world: World, seed: int, dispatch: str) -> str:
    wrongs = "\n".join(f"- {wrong}" for wrong in dict.fromkeys(world.books.wrongs))
    return (
        f"seed {seed}, {dispatch}:\n{wrongs}\nSee it: python -m tests.property.test_contract_machine {seed} {dispatch}"
    )


def run_programs(first: int, count: int, dispatch: str) -> None:
    for seed in range(first, first + count):
        run_program(seed, dispatch)
    with nothing_warns() as found:
        gc.collect()
    assert not found, f"one of seeds {first} to {first + count - 1}, {dispatch}: {found}"


@pytest.mark.parametrize("dispatch", ["inline", "queued"])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_contract_holds(shard: int, dispatch: str) -> None:
    """Each accepted message is handled once or is one dead letter, each life has two ends, counts add up, and nothing is stuck or left."""
    first = int(FIRST) if FIRST else random.SystemRandom().randrange(2**40)
    count = RUNS // SHARDS // 2
    run_programs(first + shard * count, count, dispatch)


def main() -> None:
    """Show one program, or try many: ``--many FIRST COUNT``."""
    if sys.argv[1] == "--many":
        first, count, began, failures = int(sys.argv[2]), int(sys.argv[3]), time.perf_counter(), 0
        for seed, dispatch in itertools.product(range(first, first + count), ("inline", "queued")):
            try:
                run_program(seed, dispatch)
            except Broken as broken:
                failures += 1
                sys.stdout.write(f"{broken}\n")
                sys.stdout.flush()
        took = time.perf_counter() - began
        sys.stdout.write(f"{2 * count} programs from seed {first}, {failures} broke the contract, {took:.0f} s\n")
        return
    worlds: list[World] = []
    seed, dispatch = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "inline"

    async def show() -> None:
        worlds.append(World(seed, dispatch))
        await worlds[0].run()

    try:
        with nothing_warns():
            run(show, seed=seed)
    finally:
        sys.stdout.write(f"{worlds[0].books.story()}\n")


if __name__ == "__main__":
    main()
