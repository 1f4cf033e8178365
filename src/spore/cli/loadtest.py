"""``spore loadtest``: whether a pipeline sustains a load, and the highest that it does."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import trio
from cyclopts import Parameter

from spore.cli.compare import WIDTH
from spore.cli.console import kept_in, output_console
from spore.cli.files import open_recording
from spore.cli.loadtest_table import show_found, show_test
from spore.cli.modules import Modules
from spore.cli.progress import LateProgress
from spore.cli.replay import MODES, pipeline
from spore.deploy import SystemConfig
from spore.migration.find_max import START_RATE, STEP_SECONDS, FoundMax
from spore.migration.find_max import find_max as search_max
from spore.migration.load_report import LoadTest, Sample
from spore.migration.loadtest import check_load
from spore.migration.loadtest import loadtest as run_test
from spore.migration.told import test_facts
from spore.observe.records import Record, keep_record

__all__ = ["NOT_SUSTAINED", "loadtest"]

NOT_SUSTAINED = 1
"""The exit code where the load was too much, something was lost, or memory grew."""
SECONDS = 60.0


def loadtest(
    config: Path | None = None,
    *,
    mode: Literal["bundled", "relayed"] | None = None,
    feed: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = ("sample",),
    rate: int = START_RATE,
    seconds: float | None = None,
    find_max: bool = False,
    json: Path | None = None,
    module: Modules | None = None,
    force: bool = False,
) -> int:
    """Put a pipeline under a steady load, and say whether it sustains it, with memory and queues over time.

    Every 10 ms the messages are sent that are due by then, whatever has become of those before: an open loop. So a stall shows, because
    latency counts from the moment when an event was due to the moment when the signal or order that it led to had come out (recorded,
    in relayed mode in another process). A tenth of the test, at most a second, is a warm-up in which nothing counts as late.

    The load is sustained if 99 % of the messages were sent, and 99 % of the signals and orders came out, within 100 ms of when they were
    due; if no more than is due in 100 ms waits at the end than at the beginning (medians of a quarter of the test); and if nothing was
    lost. Memory, as far as the processes have filled it themselves, is flat if it grows by at most 5 MB a minute in the second half; under
    20 seconds that is not judged.

    Exit codes: 0 sustained, nothing lost and memory flat · 1 not so, or, with --find-max, no rate was sustained · 2 bad input or
    configuration, or a run has failed · 130 interrupted.

    Examples: `spore loadtest --mode relayed` is the acceptance criterion's load, a minute long; `spore loadtest pipeline.toml --mode
    bundled --find-max` takes about one as well.

    Parameters
    ----------
    config
        The pipeline; by default the reference one: market data, signal generator, paper execution.
    mode
        Run all actors in one process (bundled), or each in one of its own (relayed); by default as the configuration says.
    feed
        What to play, recorded: sample, evm-logs:FILE, binance:FILE,FILE, sim:seed=1,events=100000 or FILE.frames. Given several
        times, they are merged by event time. It is kept in memory and played over and over, each message with the moment when it
        is due as its event time.
    rate
        Messages a second; with --find-max, the rate to begin with.
    seconds
        How long; by default 60, and with --find-max 5 for each rate.
    find_max
        Search the highest rate that is sustained: doubled until it is too much, then halved in between, to 5 %. A rate is too much
        when two tests in a row say so.
    json
        Write the result to this file.
    force
        Replace the file if it is there.
    """
    lasting = seconds if seconds is not None else STEP_SECONDS if find_max else SECONDS
    check_load(rate, lasting)
    name = mode or "as configured"
    loaded = pipeline(config, module)
    chosen = loaded if mode is None else loaded.in_mode(MODES[mode])
    found: LoadTest | FoundMax
    with ExitStack() as stack:
        # Opened first, so that nothing is run for a file that cannot be written.
        file = stack.enter_context(open_recording(json, overwrite=force)) if json is not None else None
        facts = {"feed": " + ".join(feed), "config": str(config) if config is not None else None, "mode": name}
        record = stack.enter_context(keep_record("loadtest", **facts, rate=rate, seconds=lasting, find_max=find_max))
        if find_max:
            found = _search(feed, record, config=chosen, mode=name, seconds=lasting, start=rate)
        else:
            found = _run(feed, record, config=chosen, mode=name, seconds=lasting, rate=rate)
        if file is not None:
            file.write(jsonlib.dumps(found.plain(), indent=2).encode() + b"\n")
    console = output_console(width=WIDTH)
    with kept_in(json, record.path):
        if isinstance(found, FoundMax):
            show_found(found, console)
        else:
            show_test(found, console)
        sys.stdout.flush()
    if isinstance(found, FoundMax):
        return 0 if found.sustained is not None else NOT_SUSTAINED
    return 0 if found.sustained and found.flat is not False else NOT_SUSTAINED


def _run(
    feed: Sequence[str], record: Record, *, config: SystemConfig, mode: str, seconds: float, rate: int
) -> LoadTest:
    with LateProgress("loading", None, in_bytes=False) as progress:

        def watch(sample: Sample) -> None:
            at_s, memory = int(sample.at_s), sample.memory_bytes / 1e6
            what = f"{mode}, {at_s} s: {sample.waiting:,} waiting, {memory:,.0f} MB"
            progress.reach(at_s, total=int(seconds), what=what)
            record.tell("progress", what=what, done=sample.at_s, total=seconds)
            record.tell("sample", **attrs.asdict(sample))

        run = partial(run_test, *feed, config=config, mode=mode, seconds=seconds, rate=rate, watch=watch)
        test = trio.run(run)
    record.tell("end", **_without_samples(test))
    return test


def _search(
    feed: Sequence[str], record: Record, *, config: SystemConfig, mode: str, seconds: float, start: int
) -> FoundMax:
    with LateProgress("searching", None, in_bytes=False) as progress:

        def watch(tests: Sequence[LoadTest], rate: int) -> None:
            last = tests[-1] if tests else None
            before = f", {last.rate:,} {'sustained' if last.sustained else 'too many'}" if last is not None else ""
            what = f"{mode}: {rate:,} a second{before}"
            progress.reach(len(tests), total=None, what=what)
            if last is not None:
                record.tell("measured", **test_facts(last))
            record.tell("progress", what=what, done=len(tests), total=None)

        run = partial(search_max, *feed, config=config, mode=mode, seconds=seconds, start=start, watch=watch)
        found = trio.run(run)
    record.tell("measured", **test_facts(found.tests[-1]))
    record.tell("end", sustained_rate=found.sustained, too_much_rate=found.too_much)
    return found


def _without_samples(test: LoadTest) -> dict[str, Any]:
    """As JSON can say it; each sample was told when it was taken."""
    return {key: value for key, value in test.plain().items() if key != "samples"}
