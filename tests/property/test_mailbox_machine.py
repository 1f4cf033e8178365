"""The mailbox against a model of lists, under every policy, with clones, and with tasks that wait and are cancelled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spore.errors import MailboxFull
from spore.nursery_bundle import Loss, Mailbox, Overflow

Value = tuple[int, int]
"""Key and number. Each value is unique, and a value that is sent later has a higher number."""


@attrs.frozen
class Waiting:
    """A sender in line."""

    value: Value
    high: bool
    end: int


class Model:
    """What a mailbox does, in lists: obviously right and slow."""

    def __init__(self, capacity: float, overflow: Overflow) -> None:
        self.capacity, self.overflow = capacity, overflow
        self.high: list[Value] = []
        self.normal: list[Value] = []
        self.line: list[Waiting] = []
        self.receiving: list[int] = []
        self.received: dict[int, Value] = {}
        self.lost: list[tuple[Value, Loss]] = []

    def __len__(self) -> int:
        return len(self.high) + len(self.normal)

    def append(self, value: Value, high: bool) -> None:
        """A value gets in: to the receiver that waits first, or into the queue, where it displaces what is older."""
        if self.receiving:
            self.received[self.receiving.pop(0)] = value
            return
        if self.overflow is Overflow.CONFLATE and not high:
            for older in [older for older in self.normal if older[0] == value[0]]:
                self.normal.remove(older)
                self.lost.append((older, Loss.CONFLATED))
            for waiting in [each for each in self.line if not each.high and each.value[0] == value[0]]:
                self.line.remove(waiting)
                self.lost.append((waiting.value, Loss.CONFLATED))
        (self.high if high else self.normal).append(value)

    def put(self, value: Value, high: bool) -> str:
        if len(self) >= self.capacity:
            if self.overflow is Overflow.FAIL:
                self.lost.append((value, Loss.FULL))
                return "full"
            if self.overflow is Overflow.DROP_NEWEST:
                self.lost.append((value, Loss.DROPPED_NEWEST))
                return "lost"
            if self.overflow is Overflow.DROP_OLDEST:
                if not self.normal and not high:
                    self.lost.append((value, Loss.DROPPED_OLDEST))
                    return "lost"
                self.lost.append(((self.normal or self.high).pop(0), Loss.DROPPED_OLDEST))
        self.append(value, high)
        return "taken"

    def would_block(self, value: Value, high: bool) -> bool:
        if len(self) < self.capacity:
            return False
        if self.overflow is Overflow.CONFLATE and not high and any(older[0] == value[0] for older in self.normal):
            return False
        return self.overflow in (Overflow.BLOCK, Overflow.CONFLATE)

    def pop(self) -> Value | None:
        if not len(self):
            return None
        value = (self.high or self.normal).pop(0)
        while self.line and len(self) < self.capacity:
            first = next((each for each in self.line if each.high), self.line[0])
            if self.overflow is Overflow.CONFLATE and not first.high:
                first = [each for each in self.line if not each.high and each.value[0] == first.value[0]][-1]
            self.line.remove(first)
            self.append(first.value, first.high)
        return value


key, high = st.integers(0, 2), st.booleans()
steps = st.one_of(
    st.tuples(st.sampled_from(["put", "put", "send_nowait", "send", "send"]), key, high),
    st.tuples(st.sampled_from(["pop", "pop", "receive_nowait", "receive_batch", "receive"]), st.integers(0, 3), high),
    st.tuples(st.sampled_from(["cancel", "cancel_receive", "clone", "close_clone"]), st.integers(0, 3), high),
)


@given(st.sampled_from([1, 2, 3, math.inf]), st.sampled_from(Overflow), st.lists(steps, max_size=40), st.booleans())
# Two wait with one key, a third replaces the first in the queue: the second must not displace the third.
@example(
    1,
    Overflow.CONFLATE,
    [
        ("put", 1, False),
        ("send", 0, False),
        ("send", 0, False),
        ("pop", 0, False),
        ("put", 0, False),
        ("pop", 0, False),
    ],
    False,
)
# The key of one that waits gets into the queue.
@example(1, Overflow.CONFLATE, [("put", 1, False), ("send", 0, False), ("put", 0, False)], False)
# The newest in line is cancelled: the older has not been displaced by what was never sent.
@example(
    1,
    Overflow.CONFLATE,
    [("put", 1, False), ("send", 0, False), ("send", 0, False), ("cancel", 1, False), ("pop", 0, False)],
    False,
)
# One of high priority is let in first, and is not conflated with those of its key.
@example(
    1,
    Overflow.CONFLATE,
    [
        ("put", 1, False),
        ("send", 0, False),
        ("send", 0, True),
        ("send", 0, False),
        ("pop", 0, False),
        ("pop", 0, False),
    ],
    False,
)
@example(1, Overflow.BLOCK, [("put", 1, False), ("send", 0, False), ("send", 0, True), ("pop", 0, False)], False)
@settings(max_examples=200, deadline=None)
def test_it_does_what_lists_do(capacity: float, overflow: Overflow, program: list[Any], close_sending: bool) -> None:
    """Whatever is done with it, the mailbox holds, gives, refuses and loses exactly what the model does."""
    trio.run(_compare, capacity, overflow, program, close_sending, clock=trio.testing.MockClock(autojump_threshold=0))


async def _compare(capacity: float, overflow: Overflow, program: list[Any], close_sending: bool) -> None:
    model = Model(capacity, overflow)
    lost: list[tuple[Value, Loss]] = []
    mailbox: Mailbox[Value] = Mailbox(
        capacity,
        overflow=overflow,
        key=(lambda value: value[0]) if overflow is Overflow.CONFLATE else None,
        on_loss=lambda value, reason: lost.append((value, reason)),
    )
    ends: list[Any] = [mailbox]
    scopes: dict[Any, trio.CancelScope] = {}
    ended: dict[Value, str] = {}
    received: dict[int, Any] = {}
    out: list[Any] = []
    raised: set[Value] = set()

    async def send(value: Value, high: bool, end: int) -> None:
        with trio.CancelScope() as scopes[value]:
            try:
                await ends[end].send(value, high)
            except MailboxFull:
                ended[value] = "full"
            except trio.BrokenResourceError:
                ended[value] = "broken"
            except trio.ClosedResourceError:
                ended[value] = "closed"
            else:
                ended[value] = "taken"

    async def receive(number: int) -> None:
        with trio.CancelScope() as scopes[number]:
            try:
                received[number] = await mailbox.receive()
                out.append(received[number])
            except trio.EndOfChannel:
                received[number] = "end"
            except trio.ClosedResourceError:
                received[number] = "closed"

    async with trio.open_nursery() as nursery:
        for number, (step, argument, is_high) in enumerate(program):
            value = (argument, number)
            end = number % len(ends)
            if step in {"put", "send_nowait", "send"} and is_high:
                raised.add(value)
            if step == "put":
                assert _outcome(lambda: mailbox.put(value, is_high)) == model.put(value, is_high)  # noqa: B023
            elif step == "send_nowait":
                expected = "wait" if model.would_block(value, is_high) else model.put(value, is_high)
                told = "taken" if expected == "lost" else expected  # a channel's sender does not hear of it
                assert _outcome(lambda: ends[end].send_nowait(value, is_high)) == told  # noqa: B023
            elif step == "send":
                nursery.start_soon(send, value, is_high, end)
                await trio.testing.wait_all_tasks_blocked()
                if model.would_block(value, is_high):
                    model.line.append(Waiting(value, is_high, end))
                    assert value not in ended
                else:
                    assert ended[value] == ("full" if model.put(value, is_high) == "full" else "taken")
            elif step == "cancel":
                if model.line:
                    gone = model.line.pop(argument % len(model.line))
                    scopes[gone.value].cancel()
                    await trio.testing.wait_all_tasks_blocked()
                    assert gone.value not in ended
            elif step == "cancel_receive":
                if model.receiving:
                    scopes[model.receiving.pop(argument % len(model.receiving))].cancel()
                    await trio.testing.wait_all_tasks_blocked()
            elif step == "clone":
                ends.append(ends[end].clone())
            elif step == "close_clone":
                if len(ends) > 1:
                    gone_end = 1 + argument % (len(ends) - 1)
                    ends.pop(gone_end).close()
                    await trio.testing.wait_all_tasks_blocked()
                    for waiting in [each for each in model.line if each.end == gone_end]:
                        assert ended[waiting.value] == "closed"
                        model.line.remove(waiting)
                    model.line = [attrs.evolve(each, end=each.end - (each.end > gone_end)) for each in model.line]
            elif step == "receive":
                nursery.start_soon(receive, number)
                await trio.testing.wait_all_tasks_blocked()
                if len(model):
                    model.received[number] = model.pop()
                else:
                    model.receiving.append(number)
            elif step == "receive_batch" and len(model):
                expected_batch = []
                while len(model) and (not argument or len(expected_batch) < argument):
                    expected_batch.append(model.pop())
                assert await ends[end].receive_batch(argument or None) == expected_batch
                out += expected_batch
            elif step == "receive_nowait" and not len(model):
                with pytest.raises(trio.WouldBlock):
                    ends[end].receive_nowait()
            elif len(model):
                got = mailbox.pop() if step == "pop" else ends[end].receive_nowait()
                assert got == model.pop()
                out.append(got)
            await trio.testing.wait_all_tasks_blocked()
            assert received == model.received
            assert lost == model.lost
            assert len(mailbox) == len(model)
            statistics = mailbox.statistics()
            assert statistics.tasks_waiting_send == len(model.line) == len(mailbox.sending or ())
            assert statistics.tasks_waiting_receive == len(model.receiving)
            assert statistics.open_send_channels == statistics.open_receive_channels == len(ends)
            assert sum(statistics.lost.values()) == len(lost)
            hash(statistics)
        for clone in ends[1:]:
            clone.close()
        await trio.testing.wait_all_tasks_blocked()
        for waiting in [each for each in model.line if each.end]:
            assert ended[waiting.value] == "closed"
        model.line = [each for each in model.line if not each.end]
        if close_sending:
            mailbox.close_send()
        left = mailbox.close_receive()
        assert left == [*model.high, *model.normal]
        await trio.testing.wait_all_tasks_blocked()
        for waiting in model.line:
            assert ended[waiting.value] == ("closed" if close_sending else "broken")
        for number in model.receiving:
            assert received[number] == ("end" if close_sending else "closed")
    if overflow is Overflow.CONFLATE:
        _newest_of_each_key([value for value in [*out, *left] if value not in raised])


def _newest_of_each_key(values: list[Value]) -> None:
    """Of each key, what is received later was sent later."""
    for key in {value[0] for value in values}:
        numbers = [number for of, number in values if of == key]
        assert numbers == sorted(numbers)


def _outcome(put: Callable[[], Any]) -> str:
    try:
        taken = put()
    except MailboxFull:
        return "full"
    except trio.WouldBlock:
        return "wait"
    return "lost" if taken is False else "taken"
