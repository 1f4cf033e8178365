"""What comes from plain senders and cannot be read: counted by reason, so that it is seen, and its place is given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from spore.relay.incoming import Incoming

__all__ = ["Unread"]


class Unread:
    """The frames of plain senders that a client could not read."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By reason: a `spore.errors.Damage`, or ``unknown`` for a message that is not known here."""
        self.on_frame: Callable[[Incoming, str, str], None] = _nothing
        """Called with each: over which link it came, the reason in a word, and in more."""

    def add(self, link: Incoming, reason: str, text: str) -> None:
        """One has come."""
        self.counts[reason] += 1
        self.on_frame(link, reason, text)


def _nothing(_: Incoming, __: str, ___: str) -> None:
    pass
