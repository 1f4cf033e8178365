"""What a migration saves, from what was measured: `MigrationMetrics` → `MigrationReport`, and the verdict on each criterion.

Before is relayed, after is bundled. Every number is the median over the repeats, with the lowest and the highest beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

import attrs

__all__ = ["Criterion", "MigrationMetrics", "MigrationReport", "Spread", "criteria", "spread"]


@attrs.frozen(kw_only=True)
class MigrationMetrics:
    """What one repeat has measured in both modes."""

    messages_processed: int
    """Events that each mode was given."""
    avg_latency_before_ns: float
    """Of the hop from market data to signals, under a load that both modes carry."""
    avg_latency_after_ns: float
    serialization_eliminated_bytes: int
    """What the relayed run has encoded, less what the bundled one has."""
    cpu_usage_before: float
    """CPU seconds for a million events, over all processes."""
    cpu_usage_after: float
    throughput_before: float
    """Events a second, as fast as they are handled."""
    throughput_after: float
    memory_before: int
    """Bytes at the peak, over all processes."""
    memory_after: int

    def report(self) -> MigrationReport:
        """What it comes to."""
        return MigrationReport(
            latency_reduction=-_change(self.avg_latency_before_ns, self.avg_latency_after_ns),
            throughput_increase=_change(self.throughput_before, self.throughput_after),
            serialization_saved_mb=self.serialization_eliminated_bytes / 1e6,
            cpu_reduction=-_change(self.cpu_usage_before, self.cpu_usage_after),
            memory_change=_change(self.memory_before, self.memory_after),
        )


@attrs.frozen(kw_only=True)
class MigrationReport:
    """What going from relayed to bundled changes, in percent of before unless it says otherwise."""

    latency_reduction: float
    throughput_increase: float
    serialization_saved_mb: float
    """Megabytes, of 10⁶ bytes."""
    cpu_reduction: float
    memory_change: float
    """Above 0: bundled takes more."""


@attrs.frozen
class Spread:
    """A measure over the repeats."""

    value: float
    """The median."""
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """The median of some values, of which there is at least one, with the lowest and the highest."""
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1])


@attrs.frozen
class Criterion:
    """A measure, what it has to be, and whether it is. A value of None was not measured, and is not met."""

    value: float | bool | None
    low: float | bool | None
    high: float | bool | None
    target: float | bool
    met: bool


def criteria(
    metrics: Sequence[MigrationMetrics],
    *,
    tell_adds_ns: Sequence[float],
    identical: bool,
    encoded_bundled: int,
    lost: int,
    hop_measured: bool = True,
) -> dict[str, Criterion]:
    """The verdicts, by name.

    Args:
        metrics: one for each repeat.
        tell_adds_ns: what `tell` adds to the bare call of a handler, of each repeat.
        identical: whether all runs gave the same signals and orders.
        encoded_bundled: messages, and classes of messages, that bundled runs have encoded.
        lost: messages that were not handled, in all runs.
        hop_measured: whether there was a hop whose latency could be measured.

    Source: the targets are the acceptance criteria of the system that Spore succeeds.
    """
    reports = [each.report() for each in metrics]
    nothing = Criterion(None, None, None, 50, met=False)
    latency = _judged([each.latency_reduction for each in reports], 50, lambda value: value >= 50)
    return {
        "bundled_message_ns": _judged(tell_adds_ns, 100, lambda value: value < 100),
        "latency_reduction_percent": latency if hop_measured else nothing,
        "throughput_increase_percent": _judged(
            [each.throughput_increase for each in reports], 50, lambda value: value > 50
        ),
        "cpu_reduction_percent": _judged([each.cpu_reduction for each in reports], 30, lambda value: value > 30),
        "memory_increase_percent": _judged([each.memory_change for each in reports], 10, lambda value: value < 10),
        "identical_signals": _exactly(identical, True),
        "zero_serialisation": _exactly(encoded_bundled == 0, True),
        "messages_lost": _exactly(lost, 0),
    }


def _judged(values: Sequence[float], target: float, is_met: Callable[[float], bool]) -> Criterion:
    found = spread(values)
    return Criterion(found.value, found.low, found.high, target, met=is_met(found.value))


def _exactly(value: float | bool, target: float | bool) -> Criterion:
    return Criterion(value, value, value, target, met=value == target)


def _change(before: float, after: float) -> float:
    """In percent of before; 0 where there was nothing before, and no share of it can be told."""
    return (after - before) / before * 100 if before else 0.0
