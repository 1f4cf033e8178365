"""What a mode takes: throughput, CPU, memory and what was encoded, side by side, with every run."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from spore.migration.compare import BUNDLED, RELAYED, Comparison, Repeat
from spore.migration.interval import Spread
from spore.migration.page.bars import bars
from spore.migration.page.charts import chart, columns
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.page.words import SPACE, amount, exactly, megabytes, ranged
from spore.migration.verdict import ModeMeasures, Verdict

__all__ = ["costs"]

MODES = (RELAYED, BUNDLED)
READING = "A bar is all runs of a mode together, a circle is a single run."


@attrs.frozen(kw_only=True)
class _Cost:
    """A measure of the runs."""

    title: str
    meaning: str
    of_run: Callable[[Repeat, str], float]
    """In one mode."""
    of_mode: Callable[[ModeMeasures], Spread]
    said: Callable[[float], str]


COSTS = (
    _Cost(
        title="Throughput",
        meaning="Events a second. More is better.",
        of_run=lambda repeat, mode: repeat.full[mode].result.messages / repeat.full[mode].result.seconds,
        of_mode=lambda mode: mode.messages_per_second,
        said=lambda value: f"{amount(value)}{SPACE}/s",
    ),
    _Cost(
        title="CPU",
        meaning="Seconds of CPU time for a million events, over all processes. Less is better.",
        of_run=lambda repeat, mode: repeat.full[mode].result.cpu_seconds / repeat.full[mode].result.messages * 1e6,
        of_mode=lambda mode: mode.cpu_seconds_per_million,
        said=lambda value: f"{amount(value)}{SPACE}s",
    ),
    _Cost(
        title="CPU at the same load",
        meaning="Share of one core, over all processes, in the runs for latency, in which events come at the same rate in both modes. "
        "Less is better.",
        of_run=lambda repeat, mode: repeat.paced[mode].result.cpu_seconds / repeat.paced[mode].result.seconds * 100,
        of_mode=lambda mode: mode.paced_cpu_percent,
        said=lambda value: f"{amount(value)}{SPACE}%",
    ),
    _Cost(
        title="Memory",
        meaning="The most that all processes together had at any time. Less is better.",
        of_run=lambda repeat, mode: repeat.full[mode].peak_bytes,
        of_mode=lambda mode: mode.peak_memory_bytes,
        said=megabytes,
    ),
    _Cost(
        title="Encoded",
        meaning="Bytes of the messages that were encoded to reach another process. Less is better.",
        of_run=lambda repeat, mode: repeat.full[mode].result.encoded_bytes,
        of_mode=lambda mode: mode.encoded_bytes,
        said=megabytes,
    ),
)


def costs(comparison: Comparison, verdict: Verdict) -> Markup:
    """All measures, a chart each."""
    charts = tag("div", *(_one(comparison, verdict, cost) for cost in COSTS), class_="charts")
    return joined([tag("p", READING), charts] if len(comparison.repeats) > 1 else [charts])


def _one(comparison: Comparison, verdict: Verdict, cost: _Cost) -> Markup:
    runs = {mode: [cost.of_run(each, mode) for each in comparison.repeats] for mode in MODES}
    found = {mode: cost.of_mode(verdict.modes[mode]) for mode in MODES}
    value = {mode: each.value for mode, each in found.items()}
    rows: list[tuple[str, ...]] = [("all runs", *(ranged(each, cost.said) for each in found.values()))]
    if len(comparison.repeats) > 1:
        rows += [
            (f"run {number}", *(exactly(each, cost.said(each)) for each in pair))
            for number, pair in enumerate(zip(*runs.values(), strict=True), start=1)
        ]
    return chart(
        bars(runs, value, cost.said),
        columns(cost.title, ("run", *MODES), rows),
        title=cost.title,
        meaning=cost.meaning,
        summary="Bars: " + ", ".join(f"{mode} {cost.said(each)}" for mode, each in value.items()) + ".",
    )
