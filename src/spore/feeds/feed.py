"""What a feed is: messages of market data in one fixed order, and an account of everything that was read for them.

Follow one event: a source's own form (a line of a file, a message of a node) → a decoder, which either makes messages
of it or counts it by reason → `Feed.batches`, which hands them on in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice

import attrs
import trio

from spore.errors import FeedError
from spore.services.messages import MarketMessage

__all__ = ["BATCH", "Account", "Feed", "RecordedFeed"]

BATCH = 256
"""How many messages a recorded feed hands on at once."""


@attrs.define
class Account:
    """What has become of all that was read: ``read == used + sum(skipped.values())`` between any two batches."""

    read: int = 0
    """Frames, lines or logs that came in."""
    used: int = 0
    """Of these, the ones that became messages."""
    skipped: dict[str, int] = attrs.field(factory=dict)
    """The others, by reason."""

    def use(self) -> None:
        """One more was read, and is used."""
        self.read += 1
        self.used += 1

    def skip(self, reason: str) -> None:
        """One more was read, and is not used."""
        self.read += 1
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def __add__(self, other: Account) -> Account:
        reasons = sorted({*self.skipped, *other.skipped})
        return Account(
            self.read + other.read,
            self.used + other.used,
            {reason: self.skipped.get(reason, 0) + other.skipped.get(reason, 0) for reason in reasons},
        )


class Feed(ABC):
    """One source of messages. It is read once, from its beginning to its end."""

    name: str
    """As it was asked for."""

    @property
    @abstractmethod
    def account(self) -> Account:
        """What was read so far."""

    @property
    def progress(self) -> float | None:
        """The share of the whole that has been read, from 0 to 1; None where nobody knows how long it is."""
        return None

    @abstractmethod
    def batches(self) -> AsyncIterator[Sequence[MarketMessage]]:
        """The messages, in order, some at a time.

        Cancellation: a checkpoint before each batch; those that were handed on are whole.

        Raises:
            FeedError: where the source cannot be read, with its place. What came before was handed on.
        """


class RecordedFeed(Feed):
    """A feed that is there already, so that it can be read as fast as it is wanted, and merged with others."""

    @abstractmethod
    def messages(self) -> Iterator[MarketMessage]:
        """The messages, one by one, in the order of `event_time_ns`.

        Raises:
            FeedError: as `batches`.
        """

    async def batches(self) -> AsyncIterator[Sequence[MarketMessage]]:
        messages = self.messages()
        while True:
            await trio.lowlevel.checkpoint()
            batch: list[MarketMessage] = []
            try:
                batch.extend(islice(messages, BATCH))
            except FeedError:
                if batch:
                    yield batch
                raise
            if not batch:
                return
            yield batch
