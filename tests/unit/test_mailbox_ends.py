"""The ends of a mailbox beside those of trio's memory channel, in the same scenarios: closing, cloning, counting."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from spore.errors import UsageError
from spore.nursery_bundle import Mailbox, MailboxStatistics


class TrioEnds:
    """Trio's two channels as one object, as a mailbox is one."""

    def __init__(self, send: Any, receive: Any) -> None:
        self.sending, self.receiving = send, receive
        self.send, self.send_nowait = send.send, send.send_nowait
        self.receive, self.receive_nowait = receive.receive, receive.receive_nowait
        self.close_send, self.close_receive = send.close, receive.close
        self.statistics = send.statistics

    def clone(self) -> TrioEnds:
        return TrioEnds(self.sending.clone(), self.receiving.clone())

    def __enter__(self) -> TrioEnds:
        return self

    def __exit__(self, *_: object) -> None:
        self.sending.close()
        self.receiving.close()

    async def __aenter__(self) -> TrioEnds:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sending.aclose()
        await self.receiving.aclose()


def trio_ends(capacity: float) -> Any:
    return TrioEnds(*trio.open_memory_channel[Any](capacity))


@pytest.fixture(params=[trio_ends, Mailbox])
def open_ends(request: pytest.FixtureRequest) -> Callable[[float], Any]:
    return request.param


async def fails(error: type[Exception], use: Any, *args: Any) -> None:
    with pytest.raises(error):
        await use(*args)


@pytest.mark.parametrize(
    ("capacity", "error"),
    [
        ("10", TypeError),
        (1.5, TypeError),
        (1.0, TypeError),
        (None, TypeError),
        (math.nan, TypeError),
        (-math.inf, TypeError),
        (-1, ValueError),
    ],
)
def test_a_wrong_capacity(open_ends, capacity: Any, error: type[Exception]) -> None:
    """What is no int, nor infinite, is of a wrong type, and what is less than nothing a wrong value."""
    with pytest.raises(error):
        open_ends(capacity)


@pytest.mark.parametrize("capacity", [0, -1, 1.5, "10", None, math.nan])
def test_a_mailbox_names_the_wrong_capacity(capacity: Any) -> None:
    """A mailbox, which holds at least one message, says so; the error is one of Spore's and crosses processes."""
    with pytest.raises(UsageError, match=f"at least 1.*{capacity!r}") as caught:
        Mailbox(capacity)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.5, TypeError)])
async def test_a_wrong_limit_of_a_batch(limit: Any, error: type[Exception]) -> None:
    """A limit is checked as a capacity is, before anything is received."""
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put(1)
    with pytest.raises(error) as caught:
        await mailbox.receive_batch(limit)
    assert isinstance(caught.value, UsageError)
    assert len(mailbox) == 1


async def test_an_infinite_capacity(open_ends) -> None:
    """There is always room."""
    ends = open_ends(math.inf)
    for value in range(2_000):
        ends.send_nowait(value)
    assert ends.statistics().max_buffer_size == math.inf
    assert [ends.receive_nowait() for _ in range(2_000)] == list(range(2_000))


async def test_statistics_count_ends_and_are_hashable(open_ends) -> None:
    """The statistics have trio's fields, and can be keys."""
    ends = open_ends(5)
    names = ("current_buffer_used", "max_buffer_size", "open_send_channels", "open_receive_channels")
    names += ("tasks_waiting_send", "tasks_waiting_receive")
    assert [getattr(ends.statistics(), name) for name in names] == [0, 5, 1, 1, 0, 0]
    assert hash(ends.statistics()) == hash(ends.statistics())
    clone = ends.clone()
    clone.close_send()
    assert [getattr(ends.statistics(), name) for name in names] == [0, 5, 1, 2, 0, 0]
    ends.close_send()
    ends.close_send()  # a second time changes nothing
    assert [getattr(ends.statistics(), name) for name in names] == [0, 5, 0, 2, 0, 0]


def test_statistics_with_losses_are_hashable() -> None:
    """What was lost counts when statistics are compared, and does not keep them from being keys."""
    mailbox: Mailbox[int] = Mailbox(1, overflow="drop_newest")
    before = mailbox.statistics()
    mailbox.put(1)
    mailbox.put(2)
    mailbox.pop()
    after = mailbox.statistics()
    assert before != after
    assert len({before, after, mailbox.statistics()}) == 2
    assert isinstance(after, MailboxStatistics)


@pytest.mark.parametrize("how", ["with", "async with", "raised"])
async def test_leaving_a_block_closes(open_ends, how: str) -> None:
    """At the end of a with block, however it ends, both ends are closed."""
    ends = open_ends(1)
    if how == "async with":
        async with ends as same:
            assert same is ends
    elif how == "with":
        with ends as same:
            assert same is ends
    else:
        with pytest.raises(ZeroDivisionError), ends:
            raise ZeroDivisionError
    await fails(trio.ClosedResourceError, ends.send, 1)
    await fails(trio.ClosedResourceError, ends.receive)
    statistics = ends.statistics()
    assert (statistics.open_send_channels, statistics.open_receive_channels) == (0, 0)


async def test_closing_both_while_somebody_receives() -> None:
    """Who waits to receive at ends that are both closed hears that its own end is, and not that no more will come."""
    for close in (Mailbox.close, Mailbox.aclose):
        empty, full = Mailbox[int](1), Mailbox[int](1)
        full.put(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails, trio.ClosedResourceError, empty.receive)
            nursery.start_soon(fails, trio.ClosedResourceError, empty.receive_batch)
            nursery.start_soon(fails, trio.ClosedResourceError, full.send, 1)
            nursery.start_soon(fails, trio.ClosedResourceError, full.send, 2, True)
            await wait_all_tasks_blocked()
            for mailbox in (empty, full):
                result: Any = close(mailbox)
                if close is Mailbox.aclose:
                    await result
        assert full.statistics().tasks_waiting_send == empty.statistics().tasks_waiting_receive == 0


async def test_a_clone_keeps_an_end_open(open_ends) -> None:
    """The sending end is closed with the last of its clones, and until then they all lead to the same queue."""
    ends = open_ends(5)
    clone = ends.clone()
    ends.close_send()
    await fails(trio.ClosedResourceError, ends.send, 0)
    with pytest.raises(trio.ClosedResourceError):
        ends.send_nowait(0)
    await clone.send(1)
    clone.send_nowait(2)
    assert await ends.receive() == 1
    assert await clone.receive() == 2
    with pytest.raises(trio.WouldBlock):
        ends.receive_nowait()
    clone.close_send()
    for receive in (ends.receive, clone.receive):
        await fails(trio.EndOfChannel, receive)


async def test_senders_hear_when_the_last_receiver_has_gone(open_ends) -> None:
    """Sending is broken when every receiving end is closed, and not before."""
    ends = open_ends(1)
    clone = ends.clone()
    ends.send_nowait(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, trio.BrokenResourceError, ends.send, 2)
        await wait_all_tasks_blocked()
        nursery.start_soon(fails, trio.BrokenResourceError, clone.send, 3)
        await wait_all_tasks_blocked()
        ends.close_receive()
        await wait_all_tasks_blocked()
        assert ends.statistics().tasks_waiting_send == 2
        assert ends.statistics().current_buffer_used == 1
        clone.close_receive()
    for each in (ends, clone):
        await fails(trio.BrokenResourceError, each.send, 4)
        await fails(trio.ClosedResourceError, each.receive)


async def test_closing_wakes_only_who_waits_there(open_ends) -> None:
    """Who waits at one clone is not disturbed by the closing of another."""
    full, empty = open_ends(1), open_ends(1)
    full.send_nowait(0)
    other_full, other_empty = full.clone(), empty.clone()
    got = []

    async def receive() -> None:
        got.append(await empty.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, trio.ClosedResourceError, other_full.send, 1)
        nursery.start_soon(fails, trio.ClosedResourceError, other_empty.receive)
        await wait_all_tasks_blocked()
        nursery.start_soon(full.send, 2)
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        with other_full, other_empty:
            pass
        await wait_all_tasks_blocked()
        assert full.statistics().tasks_waiting_send == 1
        assert empty.statistics().tasks_waiting_receive == 1
        empty.send_nowait("value")
        assert full.receive_nowait() == 0
    assert (got, full.receive_nowait()) == (["value"], 2)


async def test_a_receiver_that_waits_hears_of_the_last_sender(open_ends) -> None:
    """The channel ends for those who wait when the last sending end is closed."""
    ends = open_ends(1)
    clone = ends.clone()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, trio.EndOfChannel, ends.receive)
        nursery.start_soon(fails, trio.EndOfChannel, clone.receive)
        await wait_all_tasks_blocked()
        ends.close_send()
        await wait_all_tasks_blocked()
        assert ends.statistics().tasks_waiting_receive == 2
        clone.close_send()


async def test_nothing_is_cloned_from_what_is_closed(open_ends) -> None:
    """A closed end has no clones, and a clone of a clone is one of the same mailbox."""
    ends = open_ends(1)
    clone = ends.clone()
    second = clone.clone()
    with ends, clone:
        pass
    for closed in (ends, clone):
        with pytest.raises(trio.ClosedResourceError):
            closed.clone()
    second.send_nowait(1)
    assert second.receive_nowait() == 1


async def test_a_clone_has_the_ends_that_were_open() -> None:
    """A clone of a mailbox of which one end is closed has the other one only."""
    mailbox: Mailbox[int] = Mailbox(2)
    keeper = mailbox.clone()
    mailbox.close_receive()
    clone = mailbox.clone()
    await fails(trio.ClosedResourceError, clone.receive)
    await clone.send(1)
    assert keeper.close_receive() == [1]
    assert clone.closed
    assert mailbox.closed


async def test_what_is_left_belongs_to_the_last_receiver() -> None:
    """Closing a clone leaves the queue to the others; the last one gets what nobody received."""
    mailbox: Mailbox[int] = Mailbox(3)
    clone = mailbox.clone()
    mailbox.put(1)
    assert mailbox.close() == []
    assert mailbox.close() == []
    assert "1 of 3" in repr(clone)
    with pytest.raises(trio.ClosedResourceError):
        mailbox.put(2)
    assert clone.close() == [1]
    with pytest.raises(trio.ClosedResourceError):
        mailbox.put(2)


async def test_a_producer_for_each_clone(open_ends) -> None:
    """Each of several producers closes its clone when it is done, and then async for is done."""
    ends = open_ends(1)

    async def produce(own: Any, values: range) -> None:
        with own:
            for value in values:
                await own.send(value)

    async with trio.open_nursery() as nursery:
        for start in (0, 10, 20):
            own = ends.clone()
            own.close_receive()
            nursery.start_soon(produce, own, range(start, start + 3))
        ends.close_send()
        source = ends if isinstance(ends, Mailbox) else ends.receiving
        received = [value async for value in source]
    assert sorted(received) == [0, 1, 2, 10, 11, 12, 20, 21, 22]


async def test_every_call_is_a_checkpoint(open_ends) -> None:
    """Sending, receiving and closing let others run, whether they wait or not, on a clone too."""
    for ends in (open_ends(1), open_ends(1).clone()):
        with assert_checkpoints():
            await ends.send(1)
        with assert_checkpoints():
            assert await ends.receive() == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.send, 2)
            with assert_checkpoints():
                assert await ends.receive() == 2
            ends.send_nowait(3)

            async def receive(ends: Any = ends) -> None:
                await wait_all_tasks_blocked()
                assert ends.receive_nowait() == 3

            nursery.start_soon(receive)
            with assert_checkpoints():
                await ends.send(4)
        with assert_checkpoints():
            async with ends:
                pass


async def test_a_batch_is_a_checkpoint() -> None:
    """A batch is a checkpoint whether it waits or not, and one that is cancelled has received nothing."""
    mailbox: Mailbox[int] = Mailbox(3)
    mailbox.put(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive_batch()
    assert scope.cancelled_caught
    with assert_checkpoints():
        assert await mailbox.receive_batch() == [1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, 2)
        with assert_checkpoints():
            assert await mailbox.receive_batch() == [2]
