"""What a migration saves, from what was measured: `MigrationMetrics` → `MigrationReport`, and the verdict on each criterion.

Before is relayed, after is bundled. Every number is over the repeats, with its interval (see `spore.migration.interval`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from spore.migration.interval import Spread, ratio_change, spread

__all__ = ["Criterion", "MigrationMetrics", "MigrationReport", "Spread", "criteria", "report_of"]


MEGABYTE = 1_048_576


@attrs.frozen(kw_only=True)
class MigrationMetrics:
    """What one repeat has measured in both modes."""

    messages_processed: int
    """Events that each mode was given."""
    avg_latency_before_ns: float | None
    """From event to signal under a load that both modes carry; where no event causes a signal, of the hop from market data to
    signals; None where neither could be measured."""
    avg_latency_after_ns: float | None
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


@attrs.frozen(kw_only=True)
class MigrationReport:
    """What going from relayed to bundled changes, in percent of before unless it says otherwise."""

    latency_reduction: Spread | None
    """None where no latency could be measured."""
    throughput_increase: Spread
    serialization_saved_mb: Spread
    """Megabytes of 1,048,576 bytes, as the system that Spore succeeds counts them."""
    cpu_reduction: Spread
    memory_change: Spread
    """Above 0: bundled takes more."""


def report_of(metrics: Sequence[MigrationMetrics]) -> MigrationReport:
    """What the metrics of the repeats come to, of which there is at least one."""
    latencies = [
        (each.avg_latency_before_ns, each.avg_latency_after_ns)
        for each in metrics
        if each.avg_latency_before_ns is not None and each.avg_latency_after_ns is not None
    ]
    return MigrationReport(
        latency_reduction=_reduction(latencies) if latencies else None,
        throughput_increase=ratio_change((each.throughput_before, each.throughput_after) for each in metrics),
        serialization_saved_mb=spread(each.serialization_eliminated_bytes / MEGABYTE for each in metrics),
        cpu_reduction=_reduction((each.cpu_usage_before, each.cpu_usage_after) for each in metrics),
        memory_change=ratio_change((each.memory_before, each.memory_after) for each in metrics),
    )


def _reduction(pairs: Iterable[tuple[float, float]]) -> Spread:
    change = ratio_change(pairs)
    return Spread(-change.value, -change.high, -change.low)


@attrs.frozen
class Criterion:
    """A measure, what it has to be, and whether it is. A value of None was not measured, and is not met."""

    value: float | bool | None
    low: float | bool | None
    """From here to ``high`` the true value lies with 95 % confidence, if there were several repeats."""
    high: float | bool | None
    target: float | bool
    met: bool
    """Whether ``value`` is."""

    @property
    def within_noise(self) -> bool:
        """Whether the target lies in the interval, so that more repeats may turn the verdict."""
        return self.low is not None and self.high is not None and self.low < self.target < self.high


def criteria(
    report: MigrationReport, *, tell_adds_ns: Sequence[float], identical: bool, encoded_bundled: int, lost: int
) -> dict[str, Criterion]:
    """The verdicts, by name.

    Args:
        report: what the repeats come to.
        tell_adds_ns: what `tell` adds to the bare call of a handler, of each repeat.
        identical: whether all runs gave the same signals and orders.
        encoded_bundled: messages, and classes of messages, that bundled runs have encoded.
        lost: messages that were not handled, in all runs.

    Source: the targets are the acceptance criteria of the system that Spore succeeds.
    """
    return {
        "bundled_message_ns": _judged(spread(tell_adds_ns), 100, lambda value: value < 100),
        "latency_reduction_percent": _judged(report.latency_reduction, 50, lambda value: value >= 50),
        "throughput_increase_percent": _judged(report.throughput_increase, 50, lambda value: value > 50),
        "cpu_reduction_percent": _judged(report.cpu_reduction, 30, lambda value: value > 30),
        "memory_increase_percent": _judged(report.memory_change, 10, lambda value: value < 10),
        "identical_signals": _exactly(identical, True),
        "zero_serialisation": _exactly(encoded_bundled == 0, True),
        "messages_lost": _exactly(lost, 0),
    }


def _judged(found: Spread | None, target: float, is_met: Callable[[float], bool]) -> Criterion:
    if found is None:
        return Criterion(None, None, None, target, met=False)
    return Criterion(found.value, found.low, found.high, target, met=is_met(found.value))


def _exactly(value: float | bool, target: float | bool) -> Criterion:
    return Criterion(value, value, value, target, met=value == target)
