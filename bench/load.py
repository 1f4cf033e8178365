"""The acceptance criterion's load on the reference pipeline: 100 events every 10 ms for a minute, bundled and relayed, and the highest
rate that each sustains.

latency     from the moment when an event was due to that when the signal or order that it led to had come out: an open loop, so that
            who falls behind is late
memory      of all processes, what they have filled themselves, without libraries: its slope over the second half of the minute
waiting     the most events that were due and not sent, in a mailbox, or between two processes, at once
highest     the rate is doubled until it is too much, then halved in between, to 5 %; a rate is too much when two tests say so

The events are those of the recorded session that comes with Spore, over and over. Everything runs in fresh processes, and all
count; bundled, the making of the load is part of the one process. A round takes about six minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from bench.measure import Case, Expectation, Result, arguments, conclude, progress_line
from spore.deploy import load_config
from spore.migration.compare import BUNDLED, JUDGED, MODES, RELAYED
from spore.migration.find_max import STEP_SECONDS, find_max
from spore.migration.load_report import MAX_LATE_NS, MAX_MB_A_MINUTE, MIN_SECONDS_FOR_MEMORY, LoadTest
from spore.migration.loadtest import loadtest
from spore.samples import PIPELINE

RATE = 10_000
SECONDS = 60.0
COMPARED = {"latency p50", "latency p99", "memory, most", "CPU", "highest rate"}
"""The figures of which one mode's is a multiple of the other's."""
Figures = dict[str, tuple[float, str]]
"""By name of the case: the value and its unit."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of the steady load (default {SECONDS:g})")
    parser.add_argument(
        "--step-seconds",
        type=float,
        default=STEP_SECONDS,
        help=f"of each rate that is tried (default {STEP_SECONDS:g})",
    )
    options = parser.parse_args(argv)
    samples: dict[str, tuple[str, list[float]]] = {}
    try:
        for _ in range(options.rounds):
            for name, (value, unit) in trio.run(play, options.seconds, options.step_seconds).items():
                samples.setdefault(name, (unit, []))[1].append(value)
    except KeyboardInterrupt:
        return 130
    title = f"load: {RATE:,} events a second for {options.seconds:g} s, and the highest rate"
    return conclude(options, title, results_of(samples), EXPECTATIONS)


async def play(seconds: float, step_seconds: float) -> Figures:
    """One round: the steady load in each mode, then the search in each."""
    found: Figures = {}
    config = load_config(PIPELINE)
    with progress_line() as progress:
        for mode in JUDGED:
            progress(f"{mode}: {RATE:,} events a second for {seconds:g} s")
            test = await loadtest("sample", config=config.in_mode(MODES[mode]), mode=mode, rate=RATE, seconds=seconds)
            found |= steady(test)
        for mode in JUDGED:

            def tell(mode: str, tests: Sequence[LoadTest], rate: int) -> None:
                progress(f"{mode}: {rate:,} events a second, after {len(tests)} tests")

            most = await find_max(
                "sample", config=config.in_mode(MODES[mode]), mode=mode, seconds=step_seconds, watch=partial(tell, mode)
            )
            # None at all counts as one, of which a ratio can be taken.
            found[f"highest rate: {mode}"] = (most.sustained or 1, "events/s")
    return found


def steady(test: LoadTest) -> Figures:
    """The figures of a steady load. Memory is left out where the test was too short to tell."""
    result, mode = test.result, test.mode
    figures: Figures = {
        f"latency p50: {mode}": (result.output.p50 / 1e6, "ms"),
        f"latency p99: {mode}": (result.output.p99 / 1e6, "ms"),
        f"sent late, p99: {mode}": (result.sending.p99 / 1e6, "ms"),
        f"waiting, most: {mode}": (max(sample.waiting for sample in test.samples), "events"),
        f"lost or unsent: {mode}": (result.lost + result.planned - result.sent, "events"),
        f"memory, most: {mode}": (max(sample.memory_bytes for sample in test.samples) / 1e6, "MB"),
        f"CPU: {mode}": (result.cpu_seconds / result.sent * 1e6, "µs/event"),
    }
    slope = test.checks["memory_mb_per_minute"].value
    if slope is not None:
        figures[f"memory slope: {mode}"] = (slope, "MB/min")
    return figures


def results_of(samples: Mapping[str, tuple[str, Sequence[float]]]) -> dict[str, Result]:
    """All samples of each figure, figure by figure; some have the relayed mode as the baseline."""
    results = {}
    for figure in dict.fromkeys(name.partition(": ")[0] for name in samples):
        for mode in JUDGED:
            name = f"{figure}: {mode}"
            unit, values = samples[name]
            baseline = f"{figure}: {RELAYED}" if mode == BUNDLED and figure in COMPARED else None
            results[name] = Result(Case(name, unit=unit, baseline=baseline), tuple(values))
    return results


EXPECTATIONS = [
    expectation
    for mode in JUDGED
    for expectation in (
        Expectation(
            f"{mode}: 99 % of the signals and orders within {MAX_LATE_NS / 1e6:g} ms of when their event was due",
            f"latency p99: {mode}",
            limit=MAX_LATE_NS / 1e6,
        ),
        Expectation(f"{mode}: nothing lost, and all sent", f"lost or unsent: {mode}", limit=0.5),
        Expectation(
            f"{mode}: memory is flat, at most {MAX_MB_A_MINUTE:g} MB a minute (judged from {MIN_SECONDS_FOR_MEMORY:g} s on)",
            f"memory slope: {mode}",
            limit=MAX_MB_A_MINUTE,
        ),
        Expectation(f"{mode}: sustains {RATE:,} events a second", f"highest rate: {mode}", limit=RATE, at_least=True),
    )
] + [
    Expectation(
        "bundled sustains at least 1.5 times the rate that relayed does",
        f"highest rate: {BUNDLED}",
        (f"highest rate: {RELAYED}",),
        limit=1.5,
        at_least=True,
    )
]


if __name__ == "__main__":
    sys.exit(main())
