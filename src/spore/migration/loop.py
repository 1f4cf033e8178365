"""A recording in memory, played as often as it takes for a run that lasts long enough to be measured.

Each time its clock is moved on by the length of the recording, so that event time never runs backwards. Paced, a message
is sent when it is due, whatever has become of those before it: an open loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import cast

import attrs
import trio

from spore.errors import UsageError
from spore.feeds import Account, Feed, RecordedFeed, open_feed
from spore.services.messages import MarketMessage

__all__ = ["Looped", "Paced", "looped", "read_whole"]


async def read_whole(*specs: str) -> list[MarketMessage]:
    """All messages of recorded feeds.

    Cancellation: a checkpoint for each batch.

    Raises:
        UsageError: for a feed that has no end, or nothing in it.
        FeedError: as `spore.feeds.open_feed`, and where the feed breaks off.
    """
    async with open_feed(*specs) as feed:
        if not isinstance(feed, RecordedFeed):
            raise UsageError(f"feed {feed.name!r} is live, and two runs need the same input; record it first: spore record")
        found: list[MarketMessage] = []
        async with aclosing(cast("AsyncIterator[Sequence[MarketMessage]]", feed.batches())) as batches:  # type: ignore[type-var]
            async for batch in batches:
                found += batch
    if not found:
        raise UsageError(f"feed {feed.name!r} has no market data in it, so there is nothing to compare")
    return found


def looped(messages: Sequence[MarketMessage], times: int) -> list[MarketMessage]:
    """The messages so many times, one recording after the other."""
    length_ns = messages[-1].event_time_ns - messages[0].event_time_ns + 1
    found = list(messages)
    for turn in range(1, times):
        found += [attrs.evolve(each, event_time_ns=each.event_time_ns + turn * length_ns) for each in messages]
    return found


class Looped(RecordedFeed):
    """Messages that are in memory already, so that reading them costs a run nothing."""

    def __init__(self, messages: Sequence[MarketMessage]) -> None:
        self.name = "memory"
        self._messages = messages
        self._account = Account(len(messages), len(messages))

    @property
    def account(self) -> Account:
        return self._account

    def messages(self) -> Iterator[MarketMessage]:
        return iter(self._messages)


class Paced(Feed):
    """The same, each message at its time.

    Args:
        messages: what to play.
        rate: messages a second.
    """

    def __init__(self, messages: Sequence[MarketMessage], rate: float) -> None:
        self.name = "memory"
        self._messages = messages
        self._rate = rate
        self._account = Account(len(messages), len(messages))

    @property
    def account(self) -> Account:
        return self._account

    async def batches(self) -> AsyncIterator[Sequence[MarketMessage]]:
        began = trio.current_time()
        at = 0
        while at < len(self._messages):
            await trio.sleep_until(began + at / self._rate)
            due = int((trio.current_time() - began) * self._rate) + 1
            batch = self._messages[at : max(due, at + 1)]
            yield batch
            at += len(batch)
