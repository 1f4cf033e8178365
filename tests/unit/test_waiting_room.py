"""What waits at the sender, under each policy, against lists."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spore.errors import MailboxFull
from spore.nursery_bundle import Loss, Overflow
from spore.relay.waiting import Waiting, WaitingRoom


class Room:
    """A waiting room, and what it has lost."""

    def __init__(self, overflow: Overflow, capacity: int) -> None:
        self.lost: list[tuple[bytes, Loss]] = []
        self.room = WaitingRoom("actor", 100, lambda waiting, reason: self.lost.append((waiting.frame, reason)))
        self.room.adopt(overflow, capacity, keyed=True)

    def put(self, *frames: bytes, **facts: Any) -> None:
        for frame in frames:
            self.room.put(Waiting(frame, **facts))

    def rest(self) -> list[bytes]:
        return [self.room.pop().frame for _ in range(len(self.room))]


def test_block_never_refuses():
    """Whoever cannot wait runs it over; who can asks first."""
    one = Room(Overflow.BLOCK, 1)
    assert one.room.has_room(None)
    one.put(b"1")
    assert not one.room.has_room(None)
    one.put(b"2")
    assert (one.rest(), one.lost) == ([b"1", b"2"], [])


def test_fail_tells_the_sender():
    """What has no room was not accepted, and is counted."""
    one = Room(Overflow.FAIL, 1)
    one.put(b"1")
    assert one.room.has_room(None)
    with pytest.raises(MailboxFull, match="its 1 places are taken"):
        one.put(b"2")
    assert (one.rest(), one.lost) == ([b"1"], [(b"2", Loss.FULL)])


def test_fail_refuses_nothing_in_a_pause():
    """What has come meanwhile then takes no place from what comes after it, until there is no more than there is room for."""
    one = Room(Overflow.FAIL, 2)
    one.room.adopt(Overflow.FAIL, 2, keyed=True, paused=True)
    one.put(b"1", b"2", b"3")
    one.room.adopt(Overflow.FAIL, 2, keyed=True)
    one.put(b"4", b"5")
    with pytest.raises(MailboxFull):
        one.put(b"6")
    assert one.rest() == [b"1", b"2", b"3", b"4", b"5"]
    one.put(b"7", b"8")
    with pytest.raises(MailboxFull):
        one.put(b"9")


def test_the_newest_or_the_oldest_is_dropped():
    """Nobody waits, and what is dropped is counted by why."""
    newest, oldest = Room(Overflow.DROP_NEWEST, 2), Room(Overflow.DROP_OLDEST, 2)
    for one in (newest, oldest):
        one.put(b"1", b"2", b"3")
        assert one.room.has_room(None)
    assert (newest.rest(), newest.lost) == ([b"1", b"2"], [(b"3", Loss.DROPPED_NEWEST)])
    assert (oldest.rest(), oldest.lost) == ([b"2", b"3"], [(b"1", Loss.DROPPED_OLDEST)])


def test_conflate_keeps_the_newest_of_each_kind():
    """A newer one takes the place of the one with its key; another key waits; what is asked is not conflated."""
    one = Room(Overflow.CONFLATE, 2)
    one.put(b"a1", key="a")
    one.put(b"b1", key="b")
    assert one.room.has_room("a")
    assert not one.room.has_room("c")
    assert not one.room.has_room("a", awaited=True)
    one.put(b"a?", key="a", ask="somebody")
    one.put(b"a2", key="a")
    assert one.room.asks == ("somebody",)
    assert (one.rest(), one.lost) == ([b"b1", b"a?", b"a2"], [(b"a1", Loss.CONFLATED)])


def test_without_a_key_nothing_is_conflated():
    """The sender waits instead."""
    one = Room(Overflow.CONFLATE, 1)
    one.room.adopt(Overflow.CONFLATE, 1, keyed=False)
    assert one.room.overflow is Overflow.BLOCK


@pytest.mark.parametrize("overflow", Overflow)
def test_what_is_no_message_is_not_given_up(overflow):
    """The latest of each kind waits in its place whatever the policy, and is no loss and no message."""
    one = Room(overflow, 2)
    one.room.put_latest(Waiting(b"time 1", key="Advance"))
    one.put(b"1", key=1)
    one.room.put_latest(Waiting(b"idle", key="Idle"))
    one.room.put_latest(Waiting(b"time 2", key="Advance"))
    assert one.lost == []
    if overflow is Overflow.DROP_OLDEST:
        one.put(b"2")
        assert one.lost == [(b"1", Loss.DROPPED_OLDEST)]
        assert one.rest() == [b"idle", b"time 2", b"2"]
    else:
        assert one.room.clear() == 1
        assert len(one.room) == 0


def test_a_room_full_of_what_is_no_message():
    """Where there is nothing else to give up, the new message is."""
    one = Room(Overflow.DROP_OLDEST, 1)
    one.room.put_latest(Waiting(b"idle", key="Idle"))
    one.put(b"1")
    assert (one.rest(), one.lost) == ([b"idle"], [(b"1", Loss.DROPPED_OLDEST)])


def test_there_is_nothing_to_take():
    """An empty room says so."""
    with pytest.raises(KeyError, match="nothing waits"):
        Room(Overflow.BLOCK, 1).room.pop()


@given(
    st.sampled_from(Overflow),
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(["put", "put", "pop", "ask"]), st.integers(0, 3)), max_size=40),
)
def test_it_does_what_a_list_does(overflow, capacity, program):
    """Whatever is put and taken, what waits and what was lost are what a list says."""
    one = Room(overflow, capacity)
    model: list[tuple[bytes, int, bool]] = []
    lost: list[tuple[bytes, Loss]] = []
    for number, (step, kind) in enumerate(program):
        new = (bytes([number]), kind, step == "ask")
        full = len(model) >= capacity
        if step == "pop":
            if model:
                assert one.room.pop().frame == model.pop(0)[0]
            continue
        if overflow is Overflow.CONFLATE and step == "put":
            older = [old for old in model if old[1] == kind and not old[2]]
            for old in older:
                model.remove(old)
                lost.append((old[0], Loss.CONFLATED))
        elif full and overflow is Overflow.FAIL:
            lost.append((new[0], Loss.FULL))
            with pytest.raises(MailboxFull):
                one.put(new[0], key=kind)
            continue
        elif full and overflow is Overflow.DROP_NEWEST:
            lost.append((new[0], Loss.DROPPED_NEWEST))
            one.put(new[0], key=kind)
            continue
        elif full and overflow is Overflow.DROP_OLDEST:
            lost.append((model.pop(0)[0], Loss.DROPPED_OLDEST))
        model.append(new)
        one.put(new[0], key=kind, ask="somebody" if step == "ask" else None)
        assert one.lost == lost
        assert len(one.room) == len(model)
    assert one.rest() == [frame for frame, _, _ in model]
