"""The verdict: one sentence, and a table of the criteria with what was measured and what it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from spore.migration.interval import CONFIDENCE_PERCENT, Spread
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.page.words import SPACE, amount, change, exactly, ranged
from spore.migration.report import Criterion
from spore.migration.verdict import Verdict

__all__ = ["headline", "table"]


@attrs.frozen
class _Asked:
    """What a criterion asks."""

    title: str
    meaning: str
    target: str
    said: Callable[[Any], str]


def _change(more: str, less: str, *, sign: int = 1) -> Callable[[float], str]:
    return lambda percent: change(sign * percent, more, less)


CRITERIA = {
    "bundled_message_ns": _Asked(
        "Cost of a bundled message",
        "what telling an actor takes on top of a plain call of its handler",
        f"under 100{SPACE}ns",
        lambda ns: f"{amount(ns)}{SPACE}ns",
    ),
    "latency_reduction_percent": _Asked(
        "Latency",
        "mean time from an event to the signal that it causes",
        f"at least 50{SPACE}% lower",
        _change("higher", "lower", sign=-1),
    ),
    "throughput_increase_percent": _Asked(
        "Throughput",
        "events a second, as fast as they are handled",
        f"more than 50{SPACE}% more",
        _change("more", "less"),
    ),
    "cpu_reduction_percent": _Asked(
        "CPU", "time of all processes for the same work", f"more than 30{SPACE}% less", _change("more", "less", sign=-1)
    ),
    "memory_increase_percent": _Asked(
        "Memory", "of all processes at the peak", f"less than 10{SPACE}% more", _change("more", "less")
    ),
    "identical_signals": _Asked(
        "Signals and orders",
        "the same in every run of both modes, to the last bit",
        "identical",
        lambda value: "identical" if value else "different",
    ),
    "zero_serialisation": _Asked(
        "Messages encoded when bundled",
        "actors of one process hand over the messages themselves",
        "none",
        lambda value: "none" if value else "some",
    ),
    "messages_lost": _Asked(
        "Messages lost", "in all runs of both modes", "none", lambda value: f"{value:,}" if value else "none"
    ),
}


def headline(verdict: Verdict) -> Markup:
    """The verdict in a sentence, and what is missing in another."""
    same = "Identical signals" if verdict.identical else "The signals or orders differ"
    unmet = [
        CRITERIA[name].title + (" (within noise)" if each.within_noise else "")
        for name, each in verdict.criteria.items()
        if not each.met
    ]
    count = len(verdict.criteria)
    if not unmet:
        return tag("h1", f"{same}; all {count} criteria met")
    return joined(
        [
            tag("h1", f"{same}; {count - len(unmet)} of {count} criteria met"),
            tag("p", "Not met: ", ", ".join(unmet), class_="unmet"),
        ]
    )


def table(verdict: Verdict) -> Markup:
    """The criteria, each in a row."""
    return tag(
        "table",
        tag(
            "caption",
            "What was asked of the bundled mode, what was measured, and whether that is enough. In small print: the "
            f"{CONFIDENCE_PERCENT}{SPACE}% interval over the repeats.",
        ),
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in ("criterion", "measured", "verdict")))),
        tag("tbody", *(_row(name, each, _meaning(name, verdict)) for name, each in verdict.criteria.items())),
        class_="criteria",
    )


def _meaning(name: str, verdict: Verdict) -> str:
    if name == "latency_reduction_percent" and not verdict.end_to_end:
        return "mean time from market data to signals, as no event has caused a signal"
    return CRITERIA[name].meaning


def _row(name: str, criterion: Criterion, meaning: str) -> Markup:
    asked = CRITERIA[name]
    met = tag("span", "✓ met", class_="met") if criterion.met else tag("span", "✗ not met", class_="unmet")
    noise = [tag("small", "within noise: the interval reaches across the target")] if criterion.within_noise else []
    return tag(
        "tr",
        tag("th", asked.title, tag("small", meaning), scope="row"),
        tag("td", _measured(criterion, asked.said)),
        tag("td", joined([met, tag("small", "target: ", asked.target), *noise])),
        data_criterion=name,
    )


def _measured(criterion: Criterion, said: Callable[[Any], str]) -> Markup:
    if criterion.value is None or criterion.low is None or criterion.high is None:
        return exactly(None, "not measured")
    return ranged(Spread(criterion.value, criterion.low, criterion.high), said)
