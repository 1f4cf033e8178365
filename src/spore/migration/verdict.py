"""A comparison in numbers: measures of each mode over the repeats, criteria, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from spore.migration.compare import BUNDLED, RELAYED, Comparison, Repeat
from spore.migration.interval import Spread, spread
from spore.migration.latency import Latency, latency_of, settled
from spore.migration.report import Criterion, MigrationMetrics, MigrationReport, criteria, report_of
from spore.migration.run import Result

__all__ = ["ModeMeasures", "Verdict", "verdict_of"]


@attrs.frozen(kw_only=True)
class ModeMeasures:
    """What a mode takes, over the repeats."""

    processes: int
    messages: int
    """Events that each run for throughput was given."""
    latency_ns: dict[str, Spread]
    """Of the hop from market data to signals, by ``mean``, ``p50``, ``p99`` and ``p999``; empty where there was none to measure."""
    messages_timed: int
    """On that hop, in all runs for latency."""
    event_latency_ns: dict[str, Spread]
    """From event to signal; empty where no event has caused one."""
    signals_timed: int
    messages_per_second: Spread
    cpu_seconds_per_million: Spread
    """CPU seconds for a million events, as fast as they are handled."""
    paced_cpu_percent: Spread
    """Of one core, in the runs for latency, which have the same load in both modes."""
    peak_memory_bytes: Spread
    encoded_messages: Spread
    """By a run for throughput."""
    encoded_bytes: Spread
    lost: int
    """In all runs."""
    sustained_rate: int | None = None
    """The highest rate, in events a second, that a load test has found sustained; None where that was not searched, or none was."""
    too_much_rate: int | None = None
    """The lowest rate above it that was not."""


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
    report: MigrationReport
    """What they come to."""
    criteria: dict[str, Criterion]
    end_to_end: bool
    """Whether the latency that is judged is that from event to signal. It is that of the hop where no event causes a signal."""

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
    end_to_end = all(_timed(run.result.event_ns) for each in repeats for run in each.paced.values())
    metrics = tuple(_metrics(each, end_to_end=end_to_end) for each in repeats)
    report = report_of(metrics)
    first = repeats[0].full
    bundled = [run.result for mode, run in comparison.runs() if mode == BUNDLED]
    return Verdict(
        identical=comparison.identical,
        signals=first[BUNDLED].result.signals,
        digest={mode: first[mode].result.digest for mode in comparison.modes},
        modes={mode: _measures(comparison, mode) for mode in comparison.modes},
        metrics=metrics,
        report=report,
        criteria=criteria(
            report,
            tell_adds_ns=[each.full[BUNDLED].result.tell_adds_ns or 0.0 for each in repeats],
            identical=comparison.identical,
            encoded_bundled=sum(run.encoded_messages + run.encoded_classes for run in bundled),
            lost=sum(run.result.lost for _, run in comparison.runs()),
        ),
        end_to_end=end_to_end,
    )


def _measures(comparison: Comparison, mode: str) -> ModeMeasures:
    found = comparison.sustained.get(mode)
    full = [each.full[mode] for each in comparison.repeats]
    paced = [each.paced[mode].result for each in comparison.repeats]
    hops, events = [_timed(run.hop_ns) for run in paced], [_timed(run.event_ns) for run in paced]
    return ModeMeasures(
        processes=full[0].result.processes,
        messages=full[0].result.messages,
        latency_ns=_percentiles(hops),
        messages_timed=sum(map(_count, hops)),
        event_latency_ns=_percentiles(events),
        signals_timed=sum(map(_count, events)),
        messages_per_second=spread(run.result.messages / run.result.seconds for run in full),
        cpu_seconds_per_million=spread(run.result.cpu_seconds / run.result.messages * 1e6 for run in full),
        paced_cpu_percent=spread(run.cpu_seconds / run.seconds * 100 for run in paced),
        peak_memory_bytes=spread(run.peak_bytes for run in full),
        encoded_messages=spread(run.result.encoded_messages for run in full),
        encoded_bytes=spread(run.result.encoded_bytes for run in full),
        lost=sum(run.result.lost for name, run in comparison.runs() if name == mode),
        sustained_rate=found.sustained if found is not None else None,
        too_much_rate=found.too_much if found is not None else None,
    )


def _percentiles(found: Sequence[Latency | None]) -> dict[str, Spread]:
    """The mean and the percentiles, each over the repeats; of one that has timed nothing, nothing."""
    latencies = [each for each in found if each is not None]

    def over(measure: Callable[[Latency], float]) -> Spread:
        return spread(measure(each) for each in latencies)

    if not latencies:
        return {}
    return {
        "mean": over(lambda latency: latency.mean),
        "p50": over(lambda latency: latency.p50),
        "p99": over(lambda latency: latency.p99),
        "p999": over(lambda latency: latency.p999),
    }


def _timed(values_ns: Sequence[int]) -> Latency | None:
    values = settled(values_ns)
    return latency_of(values) if values else None


def _count(latency: Latency | None) -> int:
    return latency.count if latency is not None else 0


def _metrics(repeat: Repeat, *, end_to_end: bool) -> MigrationMetrics:
    before, after = repeat.full[RELAYED], repeat.full[BUNDLED]
    messages = after.result.messages

    def latency(result: Result) -> float | None:
        timed = _timed(result.event_ns if end_to_end else result.hop_ns)
        return timed.mean if timed is not None else None

    return MigrationMetrics(
        messages_processed=messages,
        avg_latency_before_ns=latency(repeat.paced[RELAYED].result),
        avg_latency_after_ns=latency(repeat.paced[BUNDLED].result),
        serialization_eliminated_bytes=before.result.encoded_bytes - after.result.encoded_bytes,
        cpu_usage_before=before.result.cpu_seconds / messages * 1e6,
        cpu_usage_after=after.result.cpu_seconds / messages * 1e6,
        throughput_before=messages / before.result.seconds,
        throughput_after=messages / after.result.seconds,
        memory_before=before.peak_bytes,
        memory_after=after.peak_bytes,
    )
