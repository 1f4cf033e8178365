"""Latency: the distribution of each mode as a curve, and beside it the mean and three percentiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from spore.migration.compare import BUNDLED, RELAYED, Comparison
from spore.migration.interval import Spread
from spore.migration.latency import settled
from spore.migration.page.charts import chart, columns
from spore.migration.page.curves import curves
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.page.words import SPACE, duration, ranged
from spore.migration.run import Result
from spore.migration.verdict import ModeMeasures, Verdict

__all__ = ["latency"]

MODES = (RELAYED, BUNDLED)
ROWS = {"mean": "mean", "p50": "median", "p99": f"99{SPACE}%", "p999": f"99.9{SPACE}%"}
READING = (
    f"At 99{SPACE}% a curve shows the time within which 99 of 100 were there; further right are the slowest, up to the very slowest. "
    f"Of fewer than 1,000 in a run, 99.9{SPACE}% is the slowest one. Both axes are logarithmic."
)
RUNS = " Thin lines are single runs, a thick one is all runs of a mode together."


@attrs.frozen(kw_only=True)
class _Way:
    """From where to where."""

    title: str
    meaning: str
    timed: str
    """What was."""
    of_run: Callable[[Result], tuple[int, ...]]
    of_mode: Callable[[ModeMeasures], Mapping[str, Spread]]


WAYS = (
    _Way(
        title="Event → signal",
        meaning="From the moment when an event is handed in to the moment when the signal that it causes has come out.",
        timed="signals",
        of_run=lambda run: run.event_ns,
        of_mode=lambda mode: mode.event_latency_ns,
    ),
    _Way(
        title="Market data → signals",
        meaning="From the sending of a message to the start of its handler.",
        timed="messages",
        of_run=lambda run: run.hop_ns,
        of_mode=lambda mode: mode.latency_ns,
    ),
)


def latency(comparison: Comparison, verdict: Verdict) -> Markup:
    """A chart for each way on which latency could be measured; the first one is judged."""
    measured = [way for way in WAYS if all(way.of_mode(mode) for mode in verdict.modes.values())]
    if not measured:
        return tag(
            "p",
            "It was not measured: no event has caused a signal, and no actor gets messages only from the one that gets the events.",
        )
    reading = tag("p", READING + (RUNS if len(comparison.repeats) > 1 else ""))
    return joined([reading, *(_one(comparison, verdict, way) for way in measured)])


def _one(comparison: Comparison, verdict: Verdict, way: _Way) -> Markup:
    runs = {
        mode: [times for each in comparison.repeats if (times := settled(way.of_run(each.paced[mode].result)))]
        for mode in MODES
    }
    found = {mode: way.of_mode(verdict.modes[mode]) for mode in MODES}
    said = "; ".join(
        f"{mode} {duration(each['p50'].value)} in the median, {duration(each['p99'].value)} at 99{SPACE}%"
        for mode, each in found.items()
    )
    return chart(
        curves(runs, of=way.timed),
        columns(
            f"Latency, {way.title}",
            ("latency", *MODES),
            [(title, *(ranged(found[mode][name], duration) for mode in MODES)) for name, title in ROWS.items()],
        ),
        title=way.title,
        meaning=f"{way.meaning} {sum(map(len, runs[BUNDLED])):,} {way.timed} were timed in each mode.",
        summary=f"Curves of latency by share of {way.timed}: {said}.",
    )
