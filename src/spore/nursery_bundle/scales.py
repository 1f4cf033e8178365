"""Scales: what messages that were passed by reference would have taken as frames.

Strategy: nothing is weighed when it is sent. Whoever looks weighs one message of each edge, one of those that are timed anyway
(`spore.nursery_bundle.statistics.SAMPLE_EVERY`), and takes it for all that were sent since somebody looked the last time. So the sum
only grows, it is exact where all messages of an edge have one size, and it stays behind by what was sent before the first was timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spore.nursery_bundle.local import LocalRef

__all__ = ["Scales", "SizeOf"]

SizeOf = Callable[[Any], int]
"""What a message takes as a frame, in bytes; 0 for one that cannot travel. This layer knows no codec."""


class Scales:
    """The scales of one bundle.

    Args:
        size_of: what one message takes.
    """

    def __init__(self, size_of: SizeOf) -> None:
        self._size_of = size_of
        self._weighed: dict[LocalRef[Any], tuple[int, int]] = {}
        """Of each edge: how many messages, and what they take."""

    def weigh(self, edge: LocalRef[Any]) -> int:
        """What all messages of an edge would have taken so far, in bytes."""
        count, total = self._weighed.get(edge, (0, 0))
        sent = edge.sent
        if sent > count and edge.sample is not None:
            total += (sent - count) * self._size_of(edge.sample)
            self._weighed[edge] = sent, total
        return total
