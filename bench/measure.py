"""What all benches share: take samples, compare, report.

Strategy: the machine is slow at times, so nothing is compared across time. Every round takes one sample
of every case, in turn (A B C A B C …); a ratio is taken within a round, and its median is reported.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TypeAlias

import attrs
from rich.console import Console
from rich.table import Table

__all__ = [
    "Case",
    "Expectation",
    "Result",
    "Run",
    "arguments",
    "calling",
    "conclude",
    "measure",
    "progress_line",
    "report",
    "run_bench",
    "save",
]

Run: TypeAlias = Callable[[int], float | None]
"""Does a number of iterations. A case that times itself returns its figure for one; otherwise the harness does."""


def _with_others(_: int) -> float:
    raise TypeError("this case is a figure of a run that has several; its bench takes the samples")


@attrs.frozen
class Case:
    """One thing to measure."""

    name: str
    """``group: case``; the table draws a line between groups."""
    run: Run = _with_others
    baseline: str | None = attrs.field(default=None, kw_only=True)
    """The case that this one is compared with."""
    unit: str = attrs.field(default="ns", kw_only=True)
    per: int = attrs.field(default=1, kw_only=True)
    """Operations in one iteration; the value is for one of them."""

    @property
    def group(self) -> str:
        return self.name.partition(": ")[0]


@attrs.frozen
class Result:
    """A case and its samples, one a round."""

    case: Case
    samples: tuple[float, ...]

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between these two lies the middle half of the samples."""
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    def ratios(self, other: Result) -> tuple[float, ...]:
        """Of each round this case's sample divided by the other's."""
        return tuple(mine / its for mine, its in zip(self.samples, other.samples, strict=True))

    def ratio(self, other: Result) -> float:
        """The median of `ratios`."""
        return statistics.median(self.ratios(other))


@attrs.frozen
class Expectation:
    """What a case is held to: a limit on its ratio to each of some others, or on its value where there are none."""

    text: str
    case: str
    others: tuple[str, ...] = ()
    limit: float = attrs.field(default=1.0, kw_only=True)
    at_least: bool = attrs.field(default=False, kw_only=True)
    """The limit is the least instead of the most; for a throughput, say."""

    def judge(self, results: Mapping[str, Result]) -> tuple[bool, str]:
        """Whether it is met, and the line that says so and by how much: of several others the worst decides."""
        mine = results[self.case]
        found = {other: mine.ratio(results[other]) for other in self.others} or {self.case: mine.value}
        worst = (min if self.at_least else max)(found, key=found.__getitem__)
        excess = found[worst] / self.limit - 1
        met = excess >= 0 if self.at_least else excess <= 0
        against = f" (against {worst})" if self.others else ""
        return met, f"{self.text}: {'met with' if met else 'NOT met by'} {abs(excess):.1%}{' to spare' * met}{against}"


def calling(function: Callable[[], object]) -> Run:
    """A plain callable as what a case runs. It costs a call each time; a case of some 100 ns loops itself."""

    def run(iterations: int) -> None:
        for _ in repeat(None, iterations):
            function()

    return run


def measure(
    cases: Sequence[Case],
    *,
    rounds: int,
    sample_s: float = 0.03,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Callable[[str], object] = lambda _: None,
) -> dict[str, Result]:
    """Take a sample of each case in each round.

    Args:
        cases: what to measure, with names of their own.
        rounds: samples of each case.
        sample_s: how long a sample should take; the iterations are found by trying, which also warms up.
        clock: nanoseconds.
        progress: is told what goes on.
    """
    names = [case.name for case in cases]
    if unknown := {case.baseline for case in cases} - {None, *names}:
        raise ValueError(f"no case for the baselines {unknown}")
    if len(set(names)) < len(names):
        raise ValueError("two cases have the same name")
    iterations: dict[str, int] = {}
    for case in cases:
        progress(f"warming up: {case.name}")
        iterations[case.name] = _calibrate(case.run, sample_s * 1e9, clock)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        gc.collect()
        for case in cases:
            progress(f"round {number} of {rounds}: {case.name}")
            count = iterations[case.name]
            took, own = _timed(case.run, count, clock)
            samples[case.name].append((took / count if own is None else own) / case.per)
    return {case.name: Result(case, tuple(samples[case.name])) for case in cases}


def _calibrate(run: Run, sample_ns: float, clock: Callable[[], int]) -> int:
    iterations = 1
    while (took := _timed(run, iterations, clock)[0]) < sample_ns / 2:
        iterations = max(2 * iterations, min(100 * iterations, int(iterations * sample_ns / max(took, 1))))
    return max(1, round(iterations * sample_ns / took))


def _timed(run: Run, iterations: int, clock: Callable[[], int]) -> tuple[int, float | None]:
    with _gc_off():
        begin = clock()
        own = run(iterations)
        return clock() - begin, own


@contextmanager
def _gc_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def report(title: str, results: Mapping[str, Result], console: Console) -> None:
    """Print the table. A baseline in the case's own group is named without the group."""
    table = Table("case", title=title, title_justify="left")
    for heading in ("value", "unit", "middle half", "baseline", "ratio"):
        table.add_column(heading, justify="left" if heading in ("unit", "baseline") else "right", no_wrap=True)
    group = None
    for name, result in results.items():
        case = result.case
        if group not in (None, case.group):
            table.add_section()
        group = case.group
        baseline, ratio = "", ""
        if case.baseline is not None:
            baseline = case.baseline.removeprefix(f"{group}: ")
            ratio = f"{result.ratio(results[case.baseline]):.2f}"
        low, high = result.quartiles
        table.add_row(name, _number(result.value), case.unit, f"{_number(low)}–{_number(high)}", baseline, ratio)
    console.print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Write the figures as JSON. The file is either the old one or the new one, never a part."""
    rows = []
    for name, result in results.items():
        base = None if result.case.baseline is None else results[result.case.baseline]
        rows.append({
            "case": name,
            "value": result.value,
            "unit": result.case.unit,
            "baseline": base and base.case.name,
            "baseline_value": base and base.value,
            "ratio": base and result.ratio(base),
            "samples": result.samples,
            "ratios": base and result.ratios(base),
        })  # fmt: skip
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every bench has; a bench may add its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=_positive, default=15, metavar="N", help="samples of each case (default 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--require", action="store_true", help="exit with 1 if an expectation is not met")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def run_bench(
    options: argparse.Namespace, title: str, cases: Sequence[Case], expectations: Sequence[Expectation] = ()
) -> int:
    """Measure, print the table and a verdict for each expectation, write the JSON; return the exit code."""
    with progress_line() as progress:
        results = measure(cases, rounds=options.rounds, progress=progress)
    return conclude(options, title, results, expectations)


def conclude(
    options: argparse.Namespace,
    title: str,
    results: Mapping[str, Result],
    expectations: Sequence[Expectation] = (),
) -> int:
    """Print the table and a verdict for each expectation, write the JSON; return the exit code.

    An expectation of a case that was left out is not judged, and said to be so.
    """
    console = Console(width=None if sys.stdout.isatty() else 140)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    report(f"{title} · {python} · medians of {options.rounds} rounds", results, console)
    verdicts = []
    for expectation in expectations:
        if {expectation.case, *expectation.others} <= results.keys():
            met, text = expectation.judge(results)
            verdicts.append(met)
            console.print(text, style="green" if met else "bold red", highlight=False, soft_wrap=True)
        else:
            console.print(f"{expectation.text}: not judged, for lack of figures", highlight=False, soft_wrap=True)
    if options.json is not None:
        save(options.json, results)
    return int(options.require and not all(verdicts))


@contextmanager
def progress_line() -> Iterator[Callable[[str], object]]:
    """A line on the terminal, if there is one, that says what goes on and is cleared in the end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        show("")
