"""The result of a load test, or of a search for the highest load, as one table and a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spore.cli.narrow import Fitting
from spore.migration.find_max import FoundMax
from spore.migration.lateness import LatenessSummary
from spore.migration.load_report import LoadTest

__all__ = ["show_found", "show_test"]

BARS = "▁▂▃▄▅▆▇█"
BAR_COUNT = 16
WHY = {
    "unsent": "sends too late",
    "sending_p99_ns": "sends too late",
    "output_p99_ns": "signals late",
    "queue_growth": "queues grow",
    "lost": "messages lost",
}
"""What it means that a check is not met, in few words."""


def show_test(test: LoadTest, console: Console) -> None:
    """Print a load test."""
    result, checks, samples = test.result, test.checks, test.samples
    table = Table(
        title=f"{test.mode}: {test.rate:,} events a second for {test.seconds:g} s, every 10 ms",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "", "over time", "limit"):
        table.add_column(heading, overflow="fold")

    def row(name: str, value: str, over_time: str = "", check: str = "", limit: str = "") -> None:
        table.add_row(name, value, over_time, _mark(checks[check].met, limit) if check else "")

    waiting = [sample.waiting for sample in samples]
    memory = [sample.memory_bytes for sample in samples]
    late = f"99 % ≤ {checks['output_p99_ns'].limit / 1e6:,.0f} ms"
    growth, slope = checks["queue_growth"], checks["memory_mb_per_minute"]
    row("processes", f"{result.processes}")
    row("events sent", f"{result.sent:,} of {result.planned:,}", check="unsent", limit="all")
    row("messages lost", f"{result.lost:,}", check="lost", limit="none")
    row("came out", f"{_counted(result.signals, 'signal')}, {_counted(result.orders, 'order')}")
    row("sent late by", _late(result.sending), check="sending_p99_ns", limit=late)
    row(
        "event to output",
        _late(result.output),
        _bars([sample.late_ns for sample in samples]),
        "output_p99_ns",
        late,
    )
    row(
        "waiting",
        f"first {waiting[0]:,}, last {waiting[-1]:,}, most {max(waiting):,}",
        _bars(waiting),
        "queue_growth",
        f"growth ≤ {growth.limit:,.0f}",
    )
    grows = "too short to judge" if slope.value is None else f"{slope.value:+,.1f} MB/min"
    row(
        "memory",
        f"{memory[0] / 1e6:,.1f} to {memory[-1] / 1e6:,.1f} MB, {grows}",
        _bars(memory),
        "memory_mb_per_minute",
        f"≤ {slope.limit:g} MB/min",
    )
    row("CPU", f"{result.cpu_seconds / result.seconds:.2f} cores")
    console.print(Fitting(table))
    console.print(_sentence(test), highlight=False)
    console.print(
        "Event to output: from the moment when an event was due to that when its signal or order had come out. Waiting: due and not "
        "sent, in a mailbox, or between processes. Memory: what all processes have filled, without their libraries. Over time: bars from 0 to the most, each for a part of the test.",
        style="dim",
        highlight=False,
    )


def show_found(found: FoundMax, console: Console) -> None:
    """Print a search."""
    first = found.tests[0]
    table = Table(
        title=f"{first.mode}: {first.seconds:g} s for each rate", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("events a second", "event to output, 99 %", "most waiting", "lost"):
        table.add_column(heading, justify="right")
    table.add_column("sustained")
    for test in found.tests:
        output = test.result.output
        table.add_row(
            f"{test.rate:,}",
            f"{output.p99 / 1e6:,.1f} ms" if output.count else "–",
            f"{max(sample.waiting for sample in test.samples):,}",
            f"{test.result.lost:,}",
            f"{_mark(test.sustained, '')} {', '.join(_reasons(test))}".strip(),
        )
    console.print(Fitting(table))
    if found.sustained is None:
        said = f"[red]{first.mode} sustains none of these rates[/]"
    else:
        more = f"{found.too_much:,} are too many" if found.too_much is not None else "no more were tried"
        said = f"[green]{first.mode} sustains {found.sustained:,} events a second[/] · {more}"
    console.print(said, highlight=False)


def _sentence(test: LoadTest) -> str:
    sustained = "[green]sustained[/]" if test.sustained else f"[red]not sustained[/] ({', '.join(_reasons(test))})"
    lost = "nothing lost" if not test.result.lost else f"[red]{test.result.lost:,} lost[/]"
    memory = {True: "memory flat", False: "[red]memory grows[/]", None: "too short to judge memory"}[test.flat]
    return f"{sustained} · {lost} · {memory}"


def _reasons(test: LoadTest) -> list[str]:
    """Why it was not sustained; nothing if it was."""
    return list(dict.fromkeys(why for name, why in WHY.items() if test.checks[name].met is False))


def _mark(met: bool | None, limit: str) -> str:
    return f"{ {True: '[green]✓[/]', False: '[red]✗[/]', None: '[dim]–[/]'}[met] } {limit}".rstrip()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _late(found: LatenessSummary) -> str:
    if not found.count:
        return "nothing to time"
    return f"median {found.p50 / 1e6:,.1f}, 99 % {found.p99 / 1e6:,.1f}, most {found.max / 1e6:,.1f} ms"


def _bars(values: Sequence[float]) -> str:
    """A line of bars over time, from 0 to the most of the values. Each stands for the most of its part of the time."""
    count = min(BAR_COUNT, len(values))
    highest = [max(values[len(values) * n // count : len(values) * (n + 1) // count]) for n in range(count)]
    scale = (len(BARS) - 1) / (max(highest) or 1)
    return "".join(BARS[round(value * scale)] for value in highest)
