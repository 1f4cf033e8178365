"""Latency, of a hop and from event to signal: the notes of the two ends joined, and what a distribution comes to.

A join is refused rather than guessed: if the ends of a hop have not counted the same, a number may not be the same message. Signals are
joined with their events by the cause that they name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from spore.deploy import Hop, HopTimes, SystemConfig, make_plan
from spore.distribution import needs
from spore.errors import UsageError
from spore.migration.cause import events_behind
from spore.migration.recording import Recording
from spore.migration.tap import entries

with needs("cli"):
    from hdrh.histogram import HdrHistogram

__all__ = ["Latency", "curve_of", "event_latencies", "histogram_of", "hop_of", "joined", "latency_of", "settled"]

MAX_NS = 3_600_000_000_000
"""An hour: more is counted as that."""
WARM_UP = 0.1
"""The share of a run's first messages that are not timed: processes are fresh, and what is needed once is made then."""
DIGITS = 3
"""Significant digits of a percentile."""
POINTS_PER_DECADE = 24
"""Of a curve."""


@attrs.frozen(kw_only=True)
class Latency:
    """A distribution, in nanoseconds."""

    count: int
    mean: float
    p50: int
    p99: int
    p999: int
    max: int


def hop_of(config: SystemConfig) -> Hop | None:
    """The hop market data → signals: the first port of the actor that gets the events, if it alone leads to its receiver."""
    heads = entries(config)
    edges = make_plan(attrs.evolve(config, feeds=())).edges
    for edge in edges:
        alone = sum(other.receiver == edge.receiver for other in edges) == 1
        if edge.sender == heads[0] and edge.receiver not in heads and alone:
            return Hop(sender=edge.sender, port=edge.port, receiver=edge.receiver)
    return None


def joined(times: Iterable[HopTimes]) -> list[int]:
    """Nanoseconds from each message's sending to the start of its handler, of every message that was timed.

    Raises:
        UsageError: if there are not two ends, or they have not counted the same messages.
    """
    ends = {each.sent: each for each in times}
    if len(ends) != 2:
        raise UsageError(f"a hop has two ends that are measured, and here are {len(ends)}")
    sent, handled = ends[True], ends[False]
    if sent.hop != handled.hop or sent.count != handled.count or len(sent.at_ns) != len(handled.at_ns):
        raise UsageError(
            f"{sent.count:,} messages were sent and {handled.count:,} handled; only if all were can they be told apart by number"
        )
    return [end - begin for begin, end in zip(sent.at_ns, handled.at_ns, strict=True)]


def event_latencies(events: Sequence[Any], handed_ns: Sequence[int], recording: Recording) -> list[int]:
    """Nanoseconds from the handing in of an event to the coming out of a signal, of every signal that an event has caused at once.

    A loan's signal may wait for a price that makes the loan unsound. How long that takes is the market's time.

    Args:
        events: what was played.
        handed_ns: when each was handed in, by `time.perf_counter_ns`.
        recording: the signals, timed.
    """
    found = []
    signals = recording.signals
    for signal, at_ns, number in zip(signals, recording.signals_at_ns, events_behind(signals, events), strict=True):
        if number is not None and signal.event_time_ns == events[number].event_time_ns:
            found.append(at_ns - handed_ns[number])
    return found


def settled(values_ns: Sequence[int]) -> Sequence[int]:
    """The values without those of the warm-up."""
    return values_ns[int(len(values_ns) * WARM_UP) :]


def latency_of(values_ns: Sequence[int]) -> Latency:
    """What a distribution comes to.

    Raises:
        UsageError: for none.
    """
    if not values_ns:
        raise UsageError("no message was timed, so there is no latency to speak of")
    histogram = histogram_of(values_ns)
    p50, p99, p999 = (int(histogram.get_value_at_percentile(each)) for each in (50, 99, 99.9))
    return Latency(
        count=len(values_ns), mean=sum(values_ns) / len(values_ns), p50=p50, p99=p99, p999=p999, max=max(values_ns)
    )


def histogram_of(values_ns: Iterable[int]) -> HdrHistogram:
    """The values as a histogram, which answers with percentiles."""
    histogram = HdrHistogram(1, MAX_NS, DIGITS)
    for value in values_ns:
        histogram.record_value(min(max(value, 1), MAX_NS))
    return histogram


def curve_of(values_ns: Sequence[int]) -> dict[float, int]:
    """Nanoseconds within which all messages but one in so many were there, to the last one."""
    steps = max(1, round(POINTS_PER_DECADE * math.log10(len(values_ns))))
    one_in = [len(values_ns) ** (step / steps) for step in range(steps + 1)]
    percentiles = [100 - 100 / each for each in one_in[:-1]] + [100]
    found = histogram_of(values_ns).get_percentile_to_value_dict(percentiles)
    return {each: int(found[percentile]) for each, percentile in zip(one_in, percentiles, strict=True)}
