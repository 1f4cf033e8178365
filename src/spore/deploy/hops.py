"""Hops under measurement: when messages leave a port, and when the receiver's handler begins with them.

Nothing is added to a message. Both ends count, each notes the clock of every Nth message, and because a link keeps the
order, equal numbers are the same message. The clock is monotonic and shared by all processes of one machine. A measured
system pays for it, alike in every mode; one that is not measured runs none of this.
"""

from __future__ import annotations

from array import array
from time import perf_counter_ns

import attrs

__all__ = ["Hop", "HopTimes", "Probe"]


@attrs.frozen(kw_only=True)
class Hop:
    """A port and the actor behind it. No other port may lead to that actor: its handler does not know who sends."""

    sender: str
    port: str
    receiver: str
    every: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    """One message in so many is timed; all are counted."""


@attrs.frozen(kw_only=True)
class HopTimes:
    """What one end of a hop has noted."""

    hop: Hop
    sent: bool
    """Whether it is the sender's end."""
    count: int
    at_ns: tuple[int, ...]
    """`time.perf_counter_ns` at the messages number ``every``, ``2 · every``, …"""


class Probe:
    """One end of a hop, while it runs: a `spore.nursery_bundle.ports.Watcher`. It outlives restarts of its actor."""

    __slots__ = ("_at_ns", "_every", "count", "hop", "sent")

    def __init__(self, hop: Hop, *, sent: bool) -> None:
        self.hop = hop
        self.sent = sent
        self.count = 0
        self._every = hop.every
        self._at_ns = array("q")

    def note(self, _: object) -> None:
        """One more message."""
        self.count = count = self.count + 1
        if not count % self._every:
            self._at_ns.append(perf_counter_ns())

    def times(self) -> HopTimes:
        return HopTimes(hop=self.hop, sent=self.sent, count=self.count, at_ns=tuple(self._at_ns))
