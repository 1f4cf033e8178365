"""A recording in memory, played as often as it takes for a run that lasts long enough to be measured.

Each time its clock is moved on by the length of the recording, and with it everything that counts up, such as the number
of the block: what has happened before is no news, and a pipeline that knows it does nothing. Paced, a message is sent
when it is due, whatever has become of those before it: an open loop.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from time import perf_counter_ns
from typing import Any

import attrs
import trio

from spore.errors import UsageError
from spore.feeds import Account, Feed, RecordedFeed, feed_of
from spore.services.messages import MarketMessage

__all__ = ["Looped", "Paced", "looped", "read_whole", "steps_of"]

COUNTING_UP = ("event_time_ns", "block_number", "update_id", "first_update", "last_update", "trade_id")
"""The fields by which market data is put in order. Those with one unit are moved together."""
UPDATES = COUNTING_UP[2:5]


async def read_whole(*specs: str) -> list[MarketMessage]:
    """All messages of recorded feeds.

    Cancellation: a checkpoint before anything is read.

    Raises:
        UsageError: for a feed that has no end, or nothing in it.
        FeedError: as `spore.feeds.feed_of`, and where the feed breaks off.
    """
    feed = feed_of(*specs)
    if not isinstance(feed, RecordedFeed):
        raise UsageError(
            f"feed {feed.name!r} is live, and what is played more than once is recorded first: spore record"
        )
    await trio.lowlevel.checkpoint()
    found = list(feed.messages())
    if not found:
        raise UsageError(f"feed {feed.name!r} has no market data in it, so there is nothing to play")
    return found


def looped(messages: Sequence[MarketMessage], times: int) -> list[MarketMessage]:
    """The messages so many times, one recording after the other."""
    steps = steps_of(messages)
    found = list(messages)
    for turn in range(1, times):
        for each in messages:
            moved = {name: getattr(each, name) + turn * step for name, step in steps[type(each)].items()}
            found.append(_evolve(each, **moved))
    return found


def steps_of(messages: Iterable[MarketMessage]) -> dict[type, dict[str, int]]:
    """For each class of some messages, by how much each of its fields that count up is moved on from one turn to the next."""
    ends: dict[str, tuple[int, int]] = {}
    fields: dict[type, list[str]] = {}
    for each in messages:
        if type(each) not in fields:
            fields[type(each)] = [name for name in COUNTING_UP if hasattr(each, name)]
        for name in fields[type(each)]:
            value = getattr(each, name)
            low, high = ends.get(name, (value, value))
            ends[name] = (min(low, value), max(high, value))
    steps = {name: high - low + 1 for name, (low, high) in ends.items()}
    steps |= dict.fromkeys(UPDATES, max((steps.get(name, 0) for name in UPDATES), default=0))
    return {cls: {name: steps[name] for name in names} for cls, names in fields.items()}


_evolve: Any = attrs.evolve  # which does not know that messages are attrs classes


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
        self.handed_ns = array("q")
        """The moment from which each message counts, by `time.perf_counter_ns`: when the feed woke to send it, or, where it was
        still busy with those before, when it was due. So waiting for room is not left out, and the timer's lateness is."""
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
            free = trio.current_time()
            await trio.sleep_until(began + at / self._rate)
            now, now_ns = trio.current_time(), perf_counter_ns()
            end = max(int((now - began) * self._rate) + 1, at + 1)
            batch = self._messages[at:end]
            for number in range(at, at + len(batch)):
                due = began + number / self._rate
                self.handed_ns.append(now_ns - int((now - due) * 1e9) if due < free else now_ns)
            yield batch
            at += len(batch)
