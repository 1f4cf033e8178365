"""A recorded feed at a rate."""

from contextlib import aclosing

import pytest
import trio

from spore.errors import FeedError
from spore.feeds import Account, RecordedFeed, at_rate


class Numbers(RecordedFeed):
    """So many numbers, and then perhaps an error."""

    def __init__(self, count, *, broken=False):
        self.name = "numbers"
        self.count = count
        self.broken = broken

    @property
    def account(self):
        return Account()

    def messages(self):
        yield from range(self.count)
        if self.broken:
            raise FeedError(self.name, "is broken", line=7)


async def played(feed, rate, *, held_up=-1):
    """When each batch came, in ms, and what was in it."""
    began, found = trio.current_time(), []
    async with aclosing(at_rate(feed, rate)) as batches:
        async for batch in batches:
            found.append((round((trio.current_time() - began) * 1_000), batch))
            if len(found) == held_up:
                await trio.sleep(1)
    return found


async def test_a_slow_rate_is_one_message_after_the_other(autojump_clock):
    """None before it is due, and the first one as late as the others."""
    assert await played(Numbers(3), 2) == [(500, [0]), (1_000, [1]), (1_500, [2])]


@pytest.mark.parametrize("rate", [100, 101, 150, 333.3, 1_000, 25_000])
async def test_a_fast_rate_is_batches_in_which_nothing_is_left_out(autojump_clock, rate):
    """A hundred a second, and in the end it comes to the rate."""
    found = await played(Numbers(int(rate)), rate)
    assert [number for _, batch in found for number in batch] == list(range(int(rate)))
    assert found[-1][0] == pytest.approx(1_000, abs=20)
    assert all(batch for _, batch in found)


async def test_who_is_held_up_gets_what_is_due_at_once(autojump_clock):
    """An open loop: the rest is in time again."""
    found = await played(Numbers(300), 100, held_up=1)
    assert sum(at <= 1_010 for at, _ in found) == 101
    assert found[-1] == (3_000, [299])


async def test_what_came_before_an_error_is_handed_on(autojump_clock):
    """As without a rate."""
    found = []

    async def read() -> None:
        async for batch in at_rate(Numbers(15, broken=True), 1_000):
            found.extend(batch)

    with pytest.raises(FeedError, match="is broken"):
        await read()
    assert found == list(range(15))
