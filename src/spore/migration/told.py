"""What is told of a comparison or a load test while it goes on, as JSON can say it: see `spore.observe.records`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from spore.migration.latency import curve_of, latency_of, settled
from spore.migration.launch import Measured
from spore.migration.load_report import LoadTest

__all__ = ["measured_facts", "test_facts"]


def measured_facts(mode: str, turn: int, measured: Measured) -> dict[str, Any]:
    """A run of a comparison: of one for latency the distributions, and of one for throughput what it took.

    ``latency`` and ``hop`` are from event to signal and of the hop from market data to signals, in nanoseconds; their ``curve`` says for
    one message in so many how long it took at least.
    """
    result = measured.result
    facts: dict[str, Any] = {"mode": mode, "turn": turn, "processes": result.processes, "lost": result.lost}
    if result.hop_ns or result.event_ns:
        return facts | {"latency": _distribution(result.event_ns), "hop": _distribution(result.hop_ns)}
    return facts | {
        "messages_per_second": result.messages / result.seconds,
        "cpu_seconds_per_million": result.cpu_seconds / result.messages * 1e6,
        "peak_memory_bytes": measured.peak_bytes,
        "encoded_messages": result.encoded_messages,
        "encoded_bytes": result.encoded_bytes,
        "signals": result.signals,
        "digest": result.digest,
    }


def test_facts(test: LoadTest) -> dict[str, Any]:
    """A load test of a search that has ended."""
    return {
        "mode": test.mode,
        "rate": test.rate,
        "sustained": test.sustained,
        "output_p99_ns": test.result.output.p99 if test.result.output.count else None,
        "lost": test.result.lost,
    }


def _distribution(values_ns: Sequence[int]) -> dict[str, Any] | None:
    values = settled(values_ns)
    if not values:
        return None
    return {**attrs.asdict(latency_of(values)), "curve": [list(point) for point in curve_of(values).items()]}
