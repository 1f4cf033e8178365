"""How late things were, as a distribution that takes the same memory for ten of them as for ten million."""

from __future__ import annotations

import attrs

from spore.distribution import needs

with needs("cli"):
    from hdrh.histogram import HdrHistogram

__all__ = ["Lateness", "LatenessSummary"]

MAX_NS = 3_600_000_000_000
"""An hour: a percentile beyond that is given as that."""
DIGITS = 3
"""Significant digits of a percentile."""


@attrs.frozen(kw_only=True)
class LatenessSummary:
    """A distribution, in nanoseconds. All is 0 where there was nothing."""

    count: int
    p50: int
    p99: int
    p999: int
    max: int


class Lateness:
    """Durations, counted as they come."""

    def __init__(self) -> None:
        self.count = 0
        self.max_ns = 0
        self._recent_ns = 0
        self._histogram = HdrHistogram(1, MAX_NS, DIGITS)

    def add(self, duration_ns: int) -> None:
        """One more."""
        self.count += 1
        self.max_ns = max(self.max_ns, duration_ns)
        self._recent_ns = max(self._recent_ns, duration_ns)
        self._histogram.record_value(min(max(duration_ns, 1), MAX_NS))

    def take_recent_ns(self) -> int:
        """The longest since this was asked last; 0 if there was none."""
        recent, self._recent_ns = self._recent_ns, 0
        return recent

    def summary(self) -> LatenessSummary:
        """What it comes to."""
        p50, p99, p999 = (
            min(int(self._histogram.get_value_at_percentile(each)), self.max_ns) for each in (50, 99, 99.9)
        )
        return LatenessSummary(count=self.count, p50=p50, p99=p99, p999=p999, max=self.max_ns)
