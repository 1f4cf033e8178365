"""What a load test comes to: whether the pipeline sustains the load, and whether its memory stays flat.

Each check has a limit that is stated with it. One of which nothing can be said, because the test was too short or nothing came out,
is not met and not failed.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import attrs

from spore.migration.load import LoadResult

__all__ = ["MAX_LATE_NS", "MIN_SECONDS_FOR_MEMORY", "Check", "LoadTest", "Sample"]

MAX_LATE_NS = 100_000_000
"""So late 99 % of all may be at the most: ten bursts. Who falls behind is later than that before long, and who only was held up is not."""
MAX_GROWTH_S = MAX_LATE_NS / 1e9
"""By what is due in this time the queues may grow from the first quarter of a test to the last."""
MAX_MB_A_MINUTE = 5.0
"""Memory is flat below that. At 10,000 messages a second it is 8 bytes for each, and nothing in Python is as small."""
MIN_SECONDS_FOR_MEMORY = 20.0
"""In a shorter test the slope is that of what is made once."""


@attrs.frozen(kw_only=True)
class Sample:
    """A moment of a load test."""

    at_s: float
    """Since its beginning."""
    sent: int
    """Messages, so far."""
    waiting: int
    """Messages that were due and not sent, in a mailbox, or between two processes."""
    late_ns: int
    """Of what came out since the last sample, the latest: by how much, after the event that has led to it was due."""
    memory_bytes: int
    """Of all processes together, what they have filled themselves: `spore.migration.resources.written_bytes`."""


@attrs.frozen(kw_only=True)
class Check:
    """Something that a load test is held to."""

    value: float | None
    """None where nothing can be said."""
    limit: float
    """At the most."""

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.value <= self.limit


@attrs.frozen(kw_only=True)
class LoadTest:
    """A load test that has come to its end."""

    mode: str
    rate: int
    """Messages a second."""
    seconds: float
    result: LoadResult
    samples: tuple[Sample, ...]
    """In the order of their times, the last at the end: at least that one, however slow the pipeline was to answer."""

    @property
    def checks(self) -> dict[str, Check]:
        """By name.

        - ``unsent``: events that were still not sent `MAX_LATE_NS` after the end.
        - ``sending_p99_ns``: how late the load itself was: it must not be the one that falls behind.
        - ``output_p99_ns``: how late signals and orders came out; unknown if none did.
        - ``queue_growth``: messages, from the median of the first quarter of the samples to that of the last.
        - ``lost``: messages.
        - ``memory_mb_per_minute``: the slope over the second half; unknown for less than `MIN_SECONDS_FOR_MEMORY`.
        """
        result = self.result
        late = float(MAX_LATE_NS)
        slope = _mb_per_minute(self.samples) if self.seconds >= MIN_SECONDS_FOR_MEMORY else None
        return {
            "unsent": Check(value=result.planned - result.sent, limit=0),
            "sending_p99_ns": Check(value=result.sending.p99, limit=late),
            "output_p99_ns": Check(value=result.output.p99 if result.output.count else None, limit=late),
            "queue_growth": Check(value=_growth(self.samples), limit=self.rate * MAX_GROWTH_S),
            "lost": Check(value=result.lost, limit=0),
            "memory_mb_per_minute": Check(value=slope, limit=MAX_MB_A_MINUTE),
        }

    @property
    def flat(self) -> bool | None:
        """Whether memory stays as it is; None where the test was too short to tell."""
        return self.checks["memory_mb_per_minute"].met

    @property
    def sustained(self) -> bool:
        """Whether the pipeline can go on like this: all was sent in time, queues do not grow, nothing is late and nothing was lost."""
        return all(check.met is not False for name, check in self.checks.items() if name != "memory_mb_per_minute")

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "mode": self.mode,
            "rate": self.rate,
            "seconds": self.seconds,
            "sustained": self.sustained,
            "memory_flat": self.flat,
            "checks": {name: {**attrs.asdict(check), "met": check.met} for name, check in self.checks.items()},
            "result": attrs.asdict(self.result),
            "samples": [attrs.asdict(sample) for sample in self.samples],
        }


def _growth(samples: Sequence[Sample]) -> float:
    quarter = max(1, len(samples) // 4)
    waiting = [sample.waiting for sample in samples]
    return statistics.median(waiting[-quarter:]) - statistics.median(waiting[:quarter])


def _mb_per_minute(samples: Sequence[Sample]) -> float | None:
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return None
    slope = statistics.linear_regression([each.at_s for each in half], [each.memory_bytes for each in half]).slope
    return slope * 60 / 1e6
