"""Scales: what messages that were passed by reference would have taken as frames.

Strategy: nothing is weighed when it is sent. Of each edge the messages that are timed anyway, one in
`spore.nursery_bundle.statistics.SAMPLE_EVERY`, are kept until somebody looks; they are weighed then, and those that were sent since the
last look are taken to weigh what those that were weighed so far do in the mean. So the sum only grows, and it is exact where all
messages of an edge have one size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attrs

from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.log import describe, kind_of

__all__ = ["Scales", "SizeOf"]

_log = logging.getLogger("spore.bundle")

SizeOf = Callable[[Any], int]
"""What a message takes as a frame, in bytes; 0 for one that cannot travel. This layer knows no codec."""


@attrs.define
class Weight:
    """Of one edge."""

    weighed: int = 0
    """How many messages were weighed …"""
    bytes: int = 0
    """… and what they take."""
    sent: int = 0
    """How many messages there were at the last look …"""
    total: int = 0
    """… and what they are taken to weigh."""


class Scales:
    """The scales of one bundle.

    Args:
        size_of: what one message takes.
    """

    def __init__(self, size_of: SizeOf) -> None:
        self._size_of = size_of

    def weigh(self, edge: LocalRef[Any]) -> int:
        """What all messages of an edge would have taken so far, in bytes."""
        sent = edge.sent
        if not sent:
            return 0
        weight: Weight | None = edge.weight
        if weight is None:
            weight = edge.weight = Weight()
        while edge.samples:
            message = edge.samples.popleft()
            try:
                weight.bytes += self._size_of(message)
            except Exception as error:  # noqa: BLE001 - statistics must not fail at a message that cannot be weighed
                _log.warning("a %s could not be weighed: %s", kind_of(message), describe(error))
            else:
                weight.weighed += 1
        if sent > weight.sent and weight.weighed:
            weight.total += (sent - weight.sent) * weight.bytes // weight.weighed
            weight.sent = sent
        return weight.total
