"""A way: one subscriber's, through what one sender has sent to a stream."""

from __future__ import annotations

import attrs

from spore.relay.outgoing import Outgoing
from spore.relay.streams import Giver

__all__ = ["Way"]


@attrs.define(eq=False)
class Way:
    """One subscriber's way through what one sender has sent."""

    key: str
    receiver: str
    giver: Giver
    link: Outgoing
    noted: int
    """How far the journal knows the subscriber to be; -1 if it knows nothing of it yet."""

    @property
    def name(self) -> tuple[str, str]:
        """The stream's name in the journal, and the receiver's."""
        return self.key, self.receiver

    @property
    def process(self) -> int:
        """The process in which the subscriber is, or was at the last."""
        return self.link.members[self.receiver].incarnation

    @property
    def open(self) -> bool:
        """Whether the subscriber is there and takes messages."""
        return self.link.accepted and self.link.denied is None
