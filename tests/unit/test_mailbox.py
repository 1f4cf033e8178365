"""The mailbox, first beside trio's memory channel in the same scenarios, then in what is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from spore.errors import MailboxFull, UsageError
from spore.nursery_bundle import Loss, Mailbox


@attrs.define
class Ends:
    """Both ends of a channel, whoever made it."""

    send: Any
    receive: Any
    close_send: Callable[[], object]
    close_receive: Callable[[], object]
    statistics: Callable[[], Any]


def trio_channel(capacity: int) -> Ends:
    send, receive = trio.open_memory_channel[Any](capacity)
    return Ends(send, receive, send.close, receive.close, send.statistics)


def spore_mailbox(capacity: int) -> Ends:
    mailbox: Mailbox[Any] = Mailbox(capacity)
    return Ends(mailbox, mailbox, mailbox.close_send, mailbox.close_receive, mailbox.statistics)


@pytest.fixture(params=[trio_channel, spore_mailbox])
def open_channel(request: pytest.FixtureRequest) -> Callable[[int], Ends]:
    return request.param


async def test_first_in_first_out(open_channel) -> None:
    """What was sent first is received first."""
    ends = open_channel(3)
    for value in range(3):
        await ends.send.send(value)
    assert [await ends.receive.receive() for _ in range(3)] == [0, 1, 2]


async def test_full_and_empty_would_block(open_channel) -> None:
    """A full channel takes nothing at once, and an empty one gives nothing at once."""
    ends = open_channel(1)
    with pytest.raises(trio.WouldBlock):
        ends.receive.receive_nowait()
    ends.send.send_nowait("a")
    with pytest.raises(trio.WouldBlock):
        ends.send.send_nowait("b")
    assert ends.receive.receive_nowait() == "a"


async def test_send_waits_for_room(open_channel) -> None:
    """A send to a full channel goes on when something was received, and senders get in in the order they came."""
    ends = open_channel(1)
    done = []

    async def sender(value: int) -> None:
        await ends.send.send(value)
        done.append(value)

    await ends.send.send(0)
    async with trio.open_nursery() as nursery:
        for value in (1, 2, 3):
            nursery.start_soon(sender, value)
            await wait_all_tasks_blocked()
        assert done == []
        assert ends.statistics().tasks_waiting_send == 3
        received = []
        for expected_done in ([1], [1, 2], [1, 2, 3]):
            received.append(await ends.receive.receive())
            await wait_all_tasks_blocked()
            assert done == expected_done
    assert [*received, ends.receive.receive_nowait()] == [0, 1, 2, 3]


async def test_receive_waits_for_a_value(open_channel) -> None:
    """A receive from an empty channel gets the next value, and receivers are served in the order they came."""
    ends = open_channel(1)
    got = []

    async def receiver(name: str) -> None:
        got.append((name, await ends.receive.receive()))

    async with trio.open_nursery() as nursery:
        for name in ("first", "second"):
            nursery.start_soon(receiver, name)
            await wait_all_tasks_blocked()
        assert ends.statistics().tasks_waiting_receive == 2
        ends.send.send_nowait(1)
        ends.send.send_nowait(2)
    assert sorted(got) == [("first", 1), ("second", 2)]
    assert ends.statistics().current_buffer_used == 0


async def test_end_of_channel_after_the_rest(open_channel) -> None:
    """After the sending end is closed the rest is received, then the channel ends, for async for too."""
    ends = open_channel(5)
    for value in range(3):
        ends.send.send_nowait(value)
    ends.close_send()
    assert [value async for value in ends.receive] == [0, 1, 2]
    with pytest.raises(trio.EndOfChannel):
        await ends.receive.receive()
    with pytest.raises(trio.EndOfChannel):
        ends.receive.receive_nowait()


async def test_close_send_ends_a_waiting_receive(open_channel) -> None:
    """A receiver that waits hears that nothing more will come."""
    ends = open_channel(1)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receiver() -> None:
            with pytest.raises(trio.EndOfChannel):
                await ends.receive.receive()

        await wait_all_tasks_blocked()
        ends.close_send()


async def test_sending_to_nobody_is_broken(open_channel) -> None:
    """Once nobody receives any more, sending fails, at once and for those who wait."""
    ends = open_channel(1)
    ends.send.send_nowait(0)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def sender() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await ends.send.send(1)

        await wait_all_tasks_blocked()
        ends.close_receive()
    with pytest.raises(trio.BrokenResourceError):
        ends.send.send_nowait(2)
    with pytest.raises(trio.BrokenResourceError):
        await ends.send.send(2)


async def test_a_closed_end_cannot_be_used(open_channel) -> None:
    """An end that was closed refuses its own side, before anything else is looked at."""
    ends = open_channel(1)
    ends.send.send_nowait(0)
    ends.close_receive()
    ends.close_send()
    for use in (ends.send.send, ends.send.send_nowait):
        with pytest.raises(trio.ClosedResourceError):
            await _called(use, 1)
    for use in (ends.receive.receive, ends.receive.receive_nowait):
        with pytest.raises(trio.ClosedResourceError):
            await _called(use)


async def test_closing_while_one_waits(open_channel) -> None:
    """Whoever waits at an end that is closed gets ClosedResourceError."""
    full, empty = open_channel(1), open_channel(1)
    full.send.send_nowait(0)

    async def closed(use: Any, *args: Any) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await use(*args)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed, full.send.send, 1)
        nursery.start_soon(closed, empty.receive.receive)
        await wait_all_tasks_blocked()
        full.close_send()
        empty.close_receive()
    assert full.receive.receive_nowait() == 0
    with pytest.raises(trio.EndOfChannel):
        full.receive.receive_nowait()


async def test_a_cancelled_sender_has_not_sent(open_channel, autojump_clock) -> None:
    """A send that is cancelled while it waits leaves nothing behind and does not keep others out."""
    ends = open_channel(1)
    ends.send.send_nowait(0)
    with trio.move_on_after(1) as scope:
        await ends.send.send("never")
    assert scope.cancelled_caught
    assert ends.statistics().tasks_waiting_send == 0
    assert ends.receive.receive_nowait() == 0
    with pytest.raises(trio.WouldBlock):
        ends.receive.receive_nowait()


async def test_a_cancelled_receiver_has_received_nothing(open_channel, autojump_clock) -> None:
    """A receive that is cancelled while it waits takes nothing from those after it."""
    ends = open_channel(1)
    with trio.move_on_after(1) as scope:
        await ends.receive.receive()
    assert scope.cancelled_caught
    assert ends.statistics().tasks_waiting_receive == 0
    ends.send.send_nowait("kept")
    assert ends.receive.receive_nowait() == "kept"


async def test_cancelled_before_it_begins(open_channel) -> None:
    """In a cancelled scope nothing is sent and nothing received, though it could be at once."""
    ends = open_channel(2)
    ends.send.send_nowait("there")
    with trio.CancelScope() as scope:
        scope.cancel()
        await ends.send.send("more")
    with trio.CancelScope() as scope:
        scope.cancel()
        await ends.receive.receive()
    assert ends.statistics().current_buffer_used == 1
    assert ends.receive.receive_nowait() == "there"


async def test_a_value_handed_over_survives_cancellation(open_channel) -> None:
    """A receiver that is cancelled after its value was handed over still has it."""
    ends = open_channel(1)
    got = []
    scope = trio.CancelScope()

    async def receiver() -> None:
        with scope:
            got.append(await ends.receive.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await wait_all_tasks_blocked()
        ends.send.send_nowait("value")
        scope.cancel()
    assert got == ["value"]


async def test_every_call_is_a_checkpoint(open_channel) -> None:
    """Sending and receiving let others run, whether they wait or not."""
    ends = open_channel(1)
    with assert_checkpoints():
        await ends.send.send(1)
    with assert_checkpoints():
        await ends.receive.receive()
    with assert_checkpoints():
        await ends.send.aclose()


async def test_aclose_closes_though_cancelled(open_channel) -> None:
    """Closing in a cancelled scope closes."""
    ends = open_channel(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await ends.send.aclose()
    with pytest.raises(trio.ClosedResourceError):
        ends.send.send_nowait(1)


async def test_statistics(open_channel) -> None:
    """The statistics say how much is buffered, how much could be, and who waits."""
    ends = open_channel(2)
    ends.send.send_nowait(1)
    view = ends.statistics()
    assert (view.current_buffer_used, view.max_buffer_size) == (1, 2)
    assert (view.tasks_waiting_send, view.tasks_waiting_receive) == (0, 0)


def test_it_is_a_channel_to_trio() -> None:
    """A mailbox passes for both ends of a trio channel, and is true even when empty."""
    mailbox: Mailbox[int] = Mailbox(1)
    assert isinstance(mailbox, trio.abc.SendChannel)
    assert isinstance(mailbox, trio.abc.ReceiveChannel)
    assert not isinstance(mailbox, trio.abc.Channel)  # which leads to a peer and back
    assert mailbox
    assert len(mailbox) == 0
    assert repr(mailbox) == "<Mailbox 0 of 1, block>"


# What is its own


def drained(mailbox: Mailbox[Any]) -> list[Any]:
    return [mailbox.pop() for _ in range(len(mailbox))]


def test_high_before_normal() -> None:
    """High priority is received before normal, and each in the order of its arrival."""
    mailbox: Mailbox[str] = Mailbox(10)
    for value in ("n1", "H1", "n2", "H2"):
        mailbox.put(value, value.startswith("H"))
    assert drained(mailbox) == ["H1", "H2", "n1", "n2"]
    with pytest.raises(IndexError):
        mailbox.pop()


def test_put_runs_a_blocking_mailbox_over() -> None:
    """Under block, put takes what does not fit, and loses nothing."""
    mailbox: Mailbox[int] = Mailbox(2)
    assert all(mailbox.put(value) for value in range(5))
    assert not mailbox.has_room(9)
    assert mailbox.statistics().current_buffer_used == 5
    assert drained(mailbox) == [0, 1, 2, 3, 4]
    assert mailbox.statistics().lost == {}


async def test_senders_wait_until_an_overrun_has_gone() -> None:
    """A sender gets in only when there is less than the capacity, not when an overrun shrinks."""
    mailbox: Mailbox[int] = Mailbox(2)
    for value in range(4):
        mailbox.put(value)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, 4)
        await wait_all_tasks_blocked()
        assert [mailbox.pop(), mailbox.pop()] == [0, 1]
        assert mailbox.statistics().tasks_waiting_send == 1
        assert mailbox.pop() == 2
    assert drained(mailbox) == [3, 4]


def losses(mailbox: Mailbox[Any]) -> list[tuple[Any, Loss]]:
    told: list[tuple[Any, Loss]] = []
    mailbox.on_loss = lambda value, reason: told.append((value, reason))
    return told


def test_fail_refuses_and_counts() -> None:
    """Under fail, what does not fit is refused with MailboxFull, counted, and what is there stays."""
    mailbox: Mailbox[int] = Mailbox(2, overflow="fail")
    told = losses(mailbox)
    for value in range(2):
        mailbox.put(value)
    for refused in (mailbox.put, mailbox.send_nowait):
        with pytest.raises(MailboxFull, match="2 places"):
            refused(9)
    assert mailbox.has_room(9)
    assert drained(mailbox) == [0, 1]
    assert told == [(9, Loss.FULL)] * 2
    assert mailbox.statistics().lost == {Loss.FULL: 2}


def test_fail_is_patient_for_a_block() -> None:
    """What was taken in it takes no place from what comes after it, until there is no more than there is room for."""
    mailbox: Mailbox[int] = Mailbox(2, overflow="fail")
    with mailbox.patient():
        for number in range(5):
            mailbox.put(number)
    for number in (5, 6):
        mailbox.put(number)
    with pytest.raises(MailboxFull):
        mailbox.put(7)
    assert [mailbox.pop() for _ in range(7)] == list(range(7))
    for number in (8, 9):
        mailbox.put(number)
    with pytest.raises(MailboxFull):
        mailbox.put(10)


def test_drop_newest_keeps_what_is_there() -> None:
    """Under drop_newest, what does not fit is given up and counted."""
    mailbox: Mailbox[int] = Mailbox(2, overflow="drop_newest")
    told = losses(mailbox)
    assert [mailbox.put(value) for value in range(4)] == [True, True, False, False]
    assert drained(mailbox) == [0, 1]
    assert told == [(2, Loss.DROPPED_NEWEST), (3, Loss.DROPPED_NEWEST)]
    assert mailbox.statistics().lost == {Loss.DROPPED_NEWEST: 2}


def test_drop_oldest_makes_room() -> None:
    """Under drop_oldest, the oldest makes room for the newest."""
    mailbox: Mailbox[int] = Mailbox(2, overflow="drop_oldest")
    told = losses(mailbox)
    assert all(mailbox.put(value) for value in range(4))
    assert drained(mailbox) == [2, 3]
    assert told == [(0, Loss.DROPPED_OLDEST), (1, Loss.DROPPED_OLDEST)]


def test_drop_oldest_spares_high_priority() -> None:
    """What is dropped is the oldest of normal priority; among high only, high makes room, and normal has to go."""
    mailbox: Mailbox[str] = Mailbox(2, overflow="drop_oldest")
    told = losses(mailbox)
    mailbox.put("H1", True)
    mailbox.put("n1")
    mailbox.put("H2", True)
    assert mailbox.put("n2") is False
    mailbox.put("H3", True)
    assert [value for value, _ in told] == ["n1", "n2", "H1"]
    assert drained(mailbox) == ["H2", "H3"]


def test_conflate_keeps_the_newest_of_each_key() -> None:
    """Under conflate, the newest of a key takes the place of the one before, at the end of the queue."""
    mailbox: Mailbox[tuple[str, int]] = Mailbox(2, overflow="conflate", key=lambda value: value[0])
    told = losses(mailbox)
    for value in (("a", 1), ("b", 2), ("a", 3)):
        mailbox.send_nowait(value)
    assert told == [(("a", 1), Loss.CONFLATED)]
    assert not mailbox.has_room(("c", 4))
    with pytest.raises(trio.WouldBlock):
        mailbox.send_nowait(("c", 4))
    mailbox.send_nowait(("b", 5))
    assert mailbox.statistics().lost == {Loss.CONFLATED: 2}
    assert drained(mailbox) == [("a", 3), ("b", 5)]


def test_conflate_leaves_high_priority_alone() -> None:
    """High priority is not conflated, so it waits for room even where its key is known."""
    mailbox: Mailbox[str] = Mailbox(2, overflow="conflate", key=lambda value: value[0])
    mailbox.send_nowait("a1")
    mailbox.send_nowait("a2", True)
    assert not mailbox.has_room("a3", True)
    with pytest.raises(trio.WouldBlock):
        mailbox.send_nowait("a3", True)
    assert drained(mailbox) == ["a2", "a1"]


async def test_conflate_waits_for_another_key() -> None:
    """With as many keys as there is room for, another key waits."""
    mailbox: Mailbox[str] = Mailbox(1, overflow="conflate", key=lambda value: value[0])
    told = losses(mailbox)
    mailbox.send_nowait("a1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, "b1")
        await wait_all_tasks_blocked()
        assert mailbox.statistics().tasks_waiting_send == 1
        assert mailbox.pop() == "a1"
    assert drained(mailbox) == ["b1"]
    assert told == []


async def test_a_newer_value_displaces_those_that_wait() -> None:
    """A value that gets in is newer than those of its key in line: they are sent, and counted, and do not come later."""
    mailbox: Mailbox[str] = Mailbox(1, overflow="conflate", key=lambda value: value[0])
    told = losses(mailbox)
    admitted = []
    mailbox.send_nowait("a1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, "b1")
        await wait_all_tasks_blocked()
        nursery.start_soon(lambda: mailbox.send_when_room("b2", admitted=lambda: admitted.append("b2")))
        await wait_all_tasks_blocked()
        mailbox.put("b3")  # the bundle's way in runs over, so that both a1 and b3 are there
        assert mailbox.statistics().tasks_waiting_send == 0
        assert admitted == ["b2"]
    assert drained(mailbox) == ["a1", "b3"]
    assert told == [("b1", Loss.CONFLATED), ("b2", Loss.CONFLATED)]


async def test_the_newest_in_line_gets_in_for_its_key() -> None:
    """Of those in line with one key, the newest takes the place that is free, and no older one comes after it."""
    mailbox: Mailbox[str] = Mailbox(1, overflow="conflate", key=lambda value: value[0])
    told = losses(mailbox)
    mailbox.send_nowait("x1")
    async with trio.open_nursery() as nursery:
        for value in ("a1", "b1", "a2"):
            nursery.start_soon(mailbox.send, value)
            await wait_all_tasks_blocked()
        assert mailbox.pop() == "x1"
        assert mailbox.statistics().tasks_waiting_send == 1
        assert mailbox.pop() == "a2"
        assert mailbox.pop() == "b1"
    assert told == [("a1", Loss.CONFLATED)]


async def test_what_was_never_sent_displaces_nothing() -> None:
    """A sender in line that is cancelled has displaced none of its key that waits, too."""
    mailbox: Mailbox[str] = Mailbox(1, overflow="conflate", key=lambda value: value[0])
    mailbox.send_nowait("x1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.send, "a1")
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await mailbox.send_when_room("a2")
        assert mailbox.pop() == "x1"
    assert drained(mailbox) == ["a1"]
    assert mailbox.statistics().lost == {}


async def test_who_is_called_about_a_loss_may_use_the_mailbox() -> None:
    """A loss is reported when everything is in its place: what then sends has sent something newer."""
    mailbox: Mailbox[str] = Mailbox(3, overflow="conflate", key=lambda value: value[0])
    told = []

    def on_loss(value: str, _: Loss) -> None:
        told.append(value)
        if value == "a1":
            mailbox.put("a3")

    mailbox.on_loss = on_loss
    mailbox.put("a1")
    mailbox.put("a2")
    assert told == ["a1", "a2"]
    assert drained(mailbox) == ["a3"]
    assert mailbox.statistics().lost == {Loss.CONFLATED: 2}


@pytest.mark.parametrize("overflow", ["block", "conflate"])
async def test_high_priority_is_let_in_first(overflow: str) -> None:
    """Of those in line, the ones of high priority get in first, also if they came last."""
    mailbox: Mailbox[str] = Mailbox(1, overflow=overflow, key=str if overflow == "conflate" else None)
    mailbox.send_nowait("first")
    async with trio.open_nursery() as nursery:
        for value in ("n1", "H1", "n2", "H2"):
            nursery.start_soon(mailbox.send, value, value.startswith("H"))
            await wait_all_tasks_blocked()
        assert [mailbox.pop() for _ in range(5)] == ["first", "H1", "H2", "n1", "n2"]


async def test_waiting_for_room_that_is_there() -> None:
    """Whoever gets in line though there is room, or though the mailbox is closed, does not wait for ever."""
    mailbox: Mailbox[int] = Mailbox(1)
    taken = []
    with assert_checkpoints():
        await mailbox.send_when_room(1, admitted=lambda: taken.append(True))
    assert (drained(mailbox), taken) == ([1], [True])
    mailbox.close_receive()
    with pytest.raises(trio.BrokenResourceError):
        await mailbox.send_when_room(2)


async def test_receive_batch() -> None:
    """A batch is what is there, at most the limit, and waits for at least one."""
    mailbox: Mailbox[int] = Mailbox(10)
    for value in range(5):
        mailbox.put(value)
    mailbox.put(9, True)
    assert await mailbox.receive_batch(2) == [9, 0]
    with assert_checkpoints():
        assert await mailbox.receive_batch() == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="at least 1"):
        await mailbox.receive_batch(0)

    got = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receiver() -> None:
            got.append(await mailbox.receive_batch())

        await wait_all_tasks_blocked()
        mailbox.put(7)
    assert got == [[7]]
    mailbox.close_send()
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive_batch()


async def test_a_batch_lets_waiting_senders_in() -> None:
    """Receiving a batch takes what waiting senders bring as room appears."""
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put(0)
    async with trio.open_nursery() as nursery:
        for value in (1, 2):
            nursery.start_soon(mailbox.send, value)
            await wait_all_tasks_blocked()
        assert await mailbox.receive_batch() == [0, 1, 2]


def test_closing_returns_what_was_left() -> None:
    """Closing the receiving end returns what nobody received, in order, for the caller to account for."""
    mailbox: Mailbox[str] = Mailbox(1, overflow="conflate", key=str)
    assert mailbox.close_receive() == []
    plain: Mailbox[int] = Mailbox(3)
    plain.put(1)
    plain.put(2)
    plain.put(3, True)
    assert not plain.closed
    assert plain.close() == [3, 1, 2]
    assert plain.closed
    assert len(plain) == 0


def test_arrivals_are_announced_unless_somebody_waits() -> None:
    """The bundle hears of each message that it has to see to."""
    mailbox: Mailbox[int] = Mailbox(3)
    heard = []
    mailbox.on_arrival = lambda: heard.append(len(mailbox))
    mailbox.put(1)
    mailbox.send_nowait(2)
    assert heard == [1, 2]


async def test_admission_is_told_when_it_happens() -> None:
    """Who waits to send is told at the moment when the message is taken, before it runs again."""
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put(0)
    taken = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: mailbox.send_when_room(1, admitted=lambda: taken.append(True)))
        await wait_all_tasks_blocked()
        assert taken == []
        mailbox.pop()
        assert taken == [True]


def test_policies_that_mean_nothing() -> None:
    """An unknown policy is refused with the known ones, and a key goes with conflate only."""
    with pytest.raises(UsageError, match="drop_oldest"):
        Mailbox(1, overflow="explode")
    with pytest.raises(UsageError, match="key"):
        Mailbox(1, overflow="conflate")
    with pytest.raises(UsageError, match="key"):
        Mailbox(1, key=str)
    with pytest.raises(UsageError, match="'price' cannot be called"):
        Mailbox(1, overflow="conflate", key="price")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="5 cannot be called"):
        Mailbox(1, on_loss=5)  # type: ignore[arg-type]


async def _called(use: Any, *args: Any) -> None:
    result = use(*args)
    if hasattr(result, "__await__"):
        await result
