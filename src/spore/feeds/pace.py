"""A recorded feed at a rate: each message when it is due, whatever has become of those before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import count, islice

import trio

from spore.errors import FeedError
from spore.feeds.feed import RecordedFeed
from spore.services.messages import MarketMessage

__all__ = ["at_rate"]

TICK_S = 0.01
"""Messages that are due within so long are sent together."""


async def at_rate(feed: RecordedFeed, rate: float) -> AsyncGenerator[Sequence[MarketMessage], None]:
    """The messages of a feed in order, so many a second: by trio's clock, and none before it is due.

    Args:
        feed: not read yet.
        rate: messages a second, above 0.

    Cancellation: a checkpoint before each batch; those that were handed on are whole.

    Raises:
        FeedError: as `spore.feeds.Feed.batches`.
    """
    messages = feed.messages()
    began, sent = trio.current_time(), 0
    tick_s = max(TICK_S, 1 / rate)
    for tick in count(1):
        await trio.sleep_until(began + tick * tick_s)
        due = round(tick * tick_s * rate)
        batch: list[MarketMessage] = []
        try:
            batch.extend(islice(messages, due - sent))
        except FeedError:
            if batch:
                yield batch
            raise
        if batch:
            yield batch
        sent += len(batch)
        if sent < due:
            return
