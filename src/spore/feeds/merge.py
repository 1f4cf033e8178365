"""Several recorded feeds as one, in a fixed order: event time, then position in the list, then the feed's own order.

Invariant: within a source nothing overtakes. A source whose event time goes back (a chain that took another branch) is
counted as standing still until it has caught up, so that the order is one of any sources, and the sort by event time
where each is sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from spore.errors import FeedError
from spore.feeds.feed import Account, RecordedFeed
from spore.services.messages import InstrumentListed, MarketMessage, PoolListed

__all__ = ["MergedFeed", "merge"]


def merge(sources: Iterable[Iterator[MarketMessage]]) -> Iterator[MarketMessage]:
    """The messages of all sources, in the order that the module describes. One message of each is read ahead."""
    heap = []
    for index, source in enumerate(sources):
        for message in source:
            heap.append((_time_of(message, 0), index, message, source))
            break
    heapify(heap)  # no two entries have the same index, so messages are never compared
    while len(heap) > 1:
        time, index, message, source = heap[0]
        yield message
        try:
            message = next(source)
        except StopIteration:
            heappop(heap)
        else:
            heapreplace(heap, (_time_of(message, time), index, message, source))
    for _, _, message, rest in heap:
        yield message
        yield from rest


def _time_of(message: MarketMessage, before: int) -> int:
    """A message's event time; one of the user's own may have none, and then has that of the message before it."""
    time: int = getattr(message, "event_time_ns", before)
    return time


class MergedFeed(RecordedFeed):
    """Recorded feeds in the order of `merge`. A number stands for one venue in all of them."""

    def __init__(self, feeds: Sequence[RecordedFeed]) -> None:
        self.name = " ".join(feed.name for feed in feeds)
        self._feeds = tuple(feeds)

    @property
    def account(self) -> Account:
        """The sum of the sources'."""
        return sum((feed.account for feed in self._feeds), Account())

    @property
    def progress(self) -> float | None:
        """The mean of the sources' shares; None if one does not know its own."""
        shares = [feed.progress for feed in self._feeds]
        known = [share for share in shares if share is not None]
        return sum(known) / len(known) if len(known) == len(shares) else None

    def messages(self) -> Iterator[MarketMessage]:
        venues: dict[int, str] = {}
        for message in merge([feed.messages() for feed in self._feeds]):
            if isinstance(message, (InstrumentListed, PoolListed)):
                name = venues.setdefault(message.venue, message.venue_name)
                if name != message.venue_name:
                    raise FeedError(self.name, _ambiguous(message.venue, name, message.venue_name))
            yield message


def _ambiguous(venue: int, first: str, second: str) -> str:
    return (
        f"venue {venue} is {first} in one source and {second} in another; binance: and sim: number theirs from "
        f"first_venue=N on"
    )
