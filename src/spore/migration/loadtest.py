"""A load test: one mode under a steady load for a while, in fresh processes, and what was seen of it over time.

The load is the acceptance criterion's, messages every 10 ms, and an open loop: nothing is put off because the pipeline is busy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cattrs
import trio

from spore.deploy import SystemConfig
from spore.errors import UsageError
from spore.migration.load import LoadJob, LoadResult
from spore.migration.load_report import MAX_LATE_NS, LoadTest, Sample
from spore.migration.loop import read_whole
from spore.migration.resources import written_bytes
from spore.migration.tap import entries, tapped
from spore.migration.worker import open_worker

__all__ = ["MAX_RATE", "MAX_SECONDS", "MAX_WARM_UP_S", "WARM_UP", "check_load", "loadtest"]

MAX_RATE = 1_000_000
MAX_SECONDS = 86_400.0
WARM_UP = 0.1
"""The share of a test in which nothing counts as late: processes are fresh, and what is needed once is made then."""
MAX_WARM_UP_S = 1.0
SAMPLES = 240
"""At the most: a test that lasts long is looked at less often."""
SAMPLE_S = 0.25
"""How often at the most: seldom enough to take nothing that counts from what is measured."""


async def loadtest(
    *specs: str,
    config: SystemConfig,
    mode: str,
    rate: int,
    seconds: float,
    watch: Callable[[Sample], None] | None = None,
) -> LoadTest:
    """Put a pipeline under load.

    Args:
        specs: recorded feeds, as `spore.feeds.open_feed` opens them. They are read into memory, and played over and over.
        config: the pipeline, with the modes of its bundles. Its own feeds are left out.
        mode: what to call that, for the report.
        rate: messages a second.
        seconds: how long.
        watch: told each sample.

    Cancellation: always a checkpoint; what was started is ended.

    Raises:
        ConfigError, UsageError, FeedError: before anything was started.
        RunFailed: if the test has not come to its end.
    """
    check_load(rate, seconds)
    entries(config)
    tapped(config)
    await read_whole(*specs)
    job = LoadJob(
        path=tuple(entry or str(Path.cwd()) for entry in sys.path),
        feeds=specs,
        config=config,
        rate=rate,
        seconds=seconds,
        patience_s=MAX_LATE_NS / 1e9,
        warm_up_s=min(MAX_WARM_UP_S, WARM_UP * seconds),
        sample_s=max(SAMPLE_S, seconds / SAMPLES),
    )
    measured: list[int] = []
    samples: list[Sample] = []
    result: LoadResult | None = None
    async with open_worker("spore.migration.load", job, mode=mode) as events:
        async for event in events:
            match event:
                case {"event": "measuring", "processes": processes}:
                    measured = processes or measured
                case {"event": "sample", **facts}:
                    memory = await trio.to_thread.run_sync(written_bytes, measured)
                    samples.append(Sample(**facts, memory_bytes=memory))
                    if watch is not None:
                        watch(samples[-1])
                case {"event": "result", "result": found}:
                    result = cattrs.structure(found, LoadResult)
    assert result is not None  # noqa: S101 - the events end with it, or with an error
    return LoadTest(mode=mode, rate=rate, seconds=seconds, result=result, samples=tuple(samples))


def check_load(rate: int, seconds: float) -> None:
    """Refuse what is no load.

    Raises:
        UsageError: with what would be one.
    """
    if not 1 <= rate <= MAX_RATE:
        raise UsageError(f"a load is 1 to {MAX_RATE:,} messages a second, not {rate:,}")
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"a load test lasts more than 0 and at most {MAX_SECONDS:,.0f} seconds, not {seconds:g}")
