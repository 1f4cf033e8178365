"""A comparison in numbers: measures of each mode with their spread, criteria, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from spore.migration.compare import BUNDLED, MODES, RELAYED, Comparison, Repeat
from spore.migration.latency import Latency, latency_of, settled
from spore.migration.report import Criterion, MigrationMetrics, Spread, criteria, spread

__all__ = ["ModeMeasures", "Verdict", "verdict_of"]


@attrs.frozen(kw_only=True)
class ModeMeasures:
    """What a mode takes, over the repeats."""

    processes: int
    messages: int
    """Events that each run for throughput was given."""
    latency_ns: dict[str, Spread]
    """By ``mean``, ``p50``, ``p99`` and ``p999``; empty where there was no hop to measure."""
    messages_per_second: Spread
    cpu_seconds_per_million: Spread
    """CPU seconds for a million events."""
    peak_memory_bytes: Spread
    encoded_messages: Spread
    """By a run for throughput."""
    encoded_bytes: Spread
    lost: int
    """In all runs."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What a comparison comes to."""

    identical: bool
    signals: int
    """Of a run for throughput."""
    digest: dict[str, str]
    """Of its signals and orders, by mode."""
    modes: dict[str, ModeMeasures]
    metrics: tuple[MigrationMetrics, ...]
    """One for each repeat."""
    criteria: dict[str, Criterion]

    @property
    def all_met(self) -> bool:
        return all(each.met for each in self.criteria.values())

    def plain(self, comparison: Comparison) -> dict[str, Any]:
        """As JSON can say it."""
        divergence = comparison.divergence
        return {
            "identical": self.identical,
            "signals": self.signals,
            "digest": self.digest,
            "first_divergence": divergence.plain() if divergence is not None else None,
            "modes": {name: attrs.asdict(mode) for name, mode in self.modes.items()},
            "criteria": {name: attrs.asdict(each) for name, each in self.criteria.items()},
        }


def verdict_of(comparison: Comparison) -> Verdict:
    """Sum up a comparison."""
    repeats = comparison.repeats
    metrics = tuple(_metrics(each) for each in repeats)
    first = repeats[0].full
    bundled = [run.result for mode, run in comparison.runs() if mode == BUNDLED]
    return Verdict(
        identical=comparison.identical,
        signals=first[BUNDLED].result.signals,
        digest={mode: first[mode].result.digest for mode in MODES},
        modes={mode: _measures(comparison, mode) for mode in MODES},
        metrics=metrics,
        criteria=criteria(
            metrics,
            tell_adds_ns=[each.full[BUNDLED].result.tell_adds_ns or 0.0 for each in repeats],
            identical=comparison.identical,
            encoded_bundled=sum(run.encoded_messages + run.encoded_classes for run in bundled),
            lost=sum(run.result.lost for _, run in comparison.runs()),
            hop_measured=comparison.hop is not None,
        ),
    )


def _measures(comparison: Comparison, mode: str) -> ModeMeasures:
    full = [each.full[mode] for each in comparison.repeats]
    paced = [each.paced[mode].result for each in comparison.repeats]
    latencies = [latency_of(settled(run.hop_ns)) for run in paced if run.hop_ns]

    def over(measure: Callable[[Latency], float]) -> Spread:
        return spread(measure(each) for each in latencies)

    return ModeMeasures(
        processes=full[0].result.processes,
        messages=full[0].result.messages,
        latency_ns={
            "mean": over(lambda latency: latency.mean),
            "p50": over(lambda latency: latency.p50),
            "p99": over(lambda latency: latency.p99),
            "p999": over(lambda latency: latency.p999),
        }
        if latencies
        else {},
        messages_per_second=spread(run.result.messages / run.result.seconds for run in full),
        cpu_seconds_per_million=spread(run.result.cpu_seconds / run.result.messages * 1e6 for run in full),
        peak_memory_bytes=spread(run.peak_bytes for run in full),
        encoded_messages=spread(run.result.encoded_messages for run in full),
        encoded_bytes=spread(run.result.encoded_bytes for run in full),
        lost=sum(run.result.lost for name, run in comparison.runs() if name == mode),
    )


def _metrics(repeat: Repeat) -> MigrationMetrics:
    before, after = repeat.full[RELAYED], repeat.full[BUNDLED]
    messages = after.result.messages
    hops = {mode: settled(run.result.hop_ns) for mode, run in repeat.paced.items()}
    latency = {mode: latency_of(values).mean if values else 0.0 for mode, values in hops.items()}
    return MigrationMetrics(
        messages_processed=messages,
        avg_latency_before_ns=latency[RELAYED],
        avg_latency_after_ns=latency[BUNDLED],
        serialization_eliminated_bytes=before.result.encoded_bytes - after.result.encoded_bytes,
        cpu_usage_before=before.result.cpu_seconds / messages * 1e6,
        cpu_usage_after=after.result.cpu_seconds / messages * 1e6,
        throughput_before=messages / before.result.seconds,
        throughput_after=messages / after.result.seconds,
        memory_before=before.peak_bytes,
        memory_after=after.peak_bytes,
    )
