"""How all of it was measured, in words that need no other document."""

from __future__ import annotations

import attrs

from spore.migration.compare import MAX_LOAD, Comparison
from spore.migration.interval import CONFIDENCE_PERCENT
from spore.migration.latency import WARM_UP
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.page.words import SPACE

__all__ = ["About", "method", "modes"]

DEFINITIONS = {
    "Cost of a bundled message": "Measured in the bundled process after each run for throughput: many messages told to an actor, and the "
    "same messages given to its handler by plain calls, in turns; the difference, for one message.",
    "Throughput": "Events of the input divided by the time from the first one until everything that follows from them was handled.",
    "CPU and memory": "Sums over all processes: the feed's, the actors' and the relay's. CPU is user and system time, without the start "
    "of processes. Of memory that processes share, each counts its part.",
    "Encoded": "What was encoded to reach another process. What only this comparison needs, to collect the results, is left out, in both "
    "modes.",
    "Identical": "Signals, orders and their reports of every run, compared by a digest of all their bytes.",
}


@attrs.frozen(kw_only=True)
class About:
    """What a comparison does not know of itself."""

    feed: str
    """What was played."""
    command: str
    """What measures again."""
    machine: str
    """Where it was measured, and when."""


def modes() -> Markup:
    """What is compared."""
    return tag(
        "p",
        "The same recorded events went through the same actors in two ways. ",
        tag("strong", "Bundled", class_="bundled"),
        ", all actors share one process and hand each other the messages themselves. ",
        tag("strong", "Relayed", class_="relayed"),
        ", each actor is a process of its own, and every message is encoded, sent through a relay and decoded. This page says whether the "
        "same came out, and what bundling saves.",
    )


def method(comparison: Comparison, about: About) -> Markup:
    """Definitions, each of something that the page shows."""
    said = {
        "Input": joined([tag("code", about.feed), _played(comparison)]),
        "Runs": _runs(comparison),
        "Values": _values(len(comparison.repeats)),
        "Latency": _latency(comparison),
        **DEFINITIONS,
        "Machine": about.machine,
        "To measure again": tag("code", about.command),
    }
    return tag("dl", *(piece for title, text in said.items() for piece in (tag("dt", title), tag("dd", text))))


def _played(comparison: Comparison) -> str:
    if comparison.loops == 1:
        return f", {comparison.events:,} events, played once."
    return f", {comparison.events:,} events, played {comparison.loops:,} times in a row, with its clock moved on each time."


def _runs(comparison: Comparison) -> str:
    count = len(comparison.repeats)
    times, again = ("once", "once") if count == 1 else (f"{count} times", "as often")
    return (
        f"After a warm-up that is thrown away, each mode was run {times} as fast as it could, for throughput, CPU and memory, and {again} "
        f"at {comparison.rate:,.0f} events a second, for latency. The modes took turns, each run in fresh processes."
    )


def _values(count: int) -> str:
    if count == 1:
        return "Of one repeat, so that nothing is known of how much they vary. --repeat 3 or more tells."
    return (
        f"Geometric means over {count} repeats; in small print the interval that the true mean lies in with {CONFIDENCE_PERCENT}{SPACE}% "
        "confidence, by Student's t on the logarithms. A change is of the two modes in one repeat, so that what slows down both cancels "
        "out. Where a target lies in the interval, more repeats may turn the verdict."
    )


def _latency(comparison: Comparison) -> Markup:
    hop = comparison.hop
    ends = (
        [
            "Market data → signals: from ",
            tag("code", hop.sender),
            " to the handler of ",
            tag("code", hop.receiver),
            ". ",
        ]
        if hop is not None
        else []
    )
    return joined(
        [
            "Event → signal: from the handing in of an event, or from when it was due if those before it held it up, to the start of the "
            "handler that records the signal. ",
            *ends,
            "The clock is one that all processes of a machine share. Events come at a fixed rate, at most "
            f"{MAX_LOAD * 100:g}{SPACE}% of what the slower mode can carry: a queue that is full has no latency, only a length. The first "
            f"{WARM_UP * 100:g}{SPACE}% of each run do not count.",
        ]
    )
