"""The mailbox against a model of two lists, under every policy, with senders that wait and are cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from spore.errors import MailboxFull
from spore.nursery_bundle import Loss, Mailbox, Overflow

Value = tuple[int, int]
"""Key and number; each value is unique."""


class Model:
    """What a mailbox does, in lists: obviously right and slow."""

    def __init__(self, capacity: int, overflow: Overflow) -> None:
        self.capacity, self.overflow = capacity, overflow
        self.high: list[Value] = []
        self.normal: list[Value] = []
        self.waiting: list[tuple[Value, bool]] = []
        self.lost: list[tuple[Value, Loss]] = []

    def __len__(self) -> int:
        return len(self.high) + len(self.normal)

    def append(self, value: Value, high: bool) -> None:
        if self.overflow is Overflow.CONFLATE and not high:
            for older in [older for older in self.normal if older[0] == value[0]]:
                self.normal.remove(older)
                self.lost.append((older, Loss.CONFLATED))
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
        while self.waiting and len(self) < self.capacity:
            self.append(*self.waiting.pop(0))
        return value


key, high = st.integers(0, 2), st.booleans()
steps = st.one_of(
    st.tuples(st.sampled_from(["put", "put", "send_nowait", "send"]), key, high),
    st.tuples(st.sampled_from(["pop", "receive_nowait", "receive_batch", "cancel"]), st.integers(0, 3), high),
)


@given(st.integers(1, 3), st.sampled_from(Overflow), st.lists(steps, max_size=40), st.booleans())
@settings(max_examples=150, deadline=None)
def test_it_does_what_two_lists_do(capacity: int, overflow: Overflow, program: list[Any], close_sending: bool) -> None:
    """Whatever is done with it, the mailbox holds, gives, refuses and loses exactly what the model does."""
    trio.run(_compare, capacity, overflow, program, close_sending, clock=trio.testing.MockClock(autojump_threshold=0))


async def _compare(capacity: int, overflow: Overflow, program: list[Any], close_sending: bool) -> None:
    model = Model(capacity, overflow)
    lost: list[tuple[Value, Loss]] = []
    mailbox: Mailbox[Value] = Mailbox(
        capacity,
        overflow=overflow,
        key=(lambda value: value[0]) if overflow is Overflow.CONFLATE else None,
        on_loss=lambda value, reason: lost.append((value, reason)),
    )
    scopes: dict[Value, trio.CancelScope] = {}
    ended: dict[Value, str] = {}

    async def send(value: Value, high: bool) -> None:
        with trio.CancelScope() as scopes[value]:
            try:
                await mailbox.send(value, high)
            except MailboxFull:
                ended[value] = "full"
            except trio.BrokenResourceError:
                ended[value] = "broken"
            except trio.ClosedResourceError:
                ended[value] = "closed"
            else:
                ended[value] = "taken"

    async with trio.open_nursery() as nursery:
        for number, (step, argument, is_high) in enumerate(program):
            value = (argument, number)
            if step == "put":
                assert _outcome(lambda: mailbox.put(value, is_high)) == model.put(value, is_high)  # noqa: B023
            elif step == "send_nowait":
                expected = "wait" if model.would_block(value, is_high) else model.put(value, is_high)
                told = "taken" if expected == "lost" else expected  # a channel's sender does not hear of it
                assert _outcome(lambda: mailbox.send_nowait(value, is_high)) == told  # noqa: B023
            elif step == "send":
                nursery.start_soon(send, value, is_high)
                await trio.testing.wait_all_tasks_blocked()
                if model.would_block(value, is_high):
                    model.waiting.append((value, is_high))
                    assert value not in ended
                else:
                    assert ended[value] == ("full" if model.put(value, is_high) == "full" else "taken")
            elif step == "cancel":
                if model.waiting:
                    gone, _ = model.waiting.pop(argument % len(model.waiting))
                    scopes[gone].cancel()
                    await trio.testing.wait_all_tasks_blocked()
                    assert gone not in ended
            elif step == "receive_batch" and len(model):
                expected_batch = []
                while len(model) and (not argument or len(expected_batch) < argument):
                    expected_batch.append(model.pop())
                assert await mailbox.receive_batch(argument or None) == expected_batch
            elif step == "receive_nowait" and not len(model):
                with pytest.raises(trio.WouldBlock):
                    mailbox.receive_nowait()
            elif len(model):
                assert (mailbox.pop() if step == "pop" else mailbox.receive_nowait()) == model.pop()
            assert lost == model.lost
            assert len(mailbox) == len(model)
            assert mailbox.statistics().tasks_waiting_send == len(model.waiting)
            assert sum(mailbox.statistics().lost.values()) == len(lost)
        if close_sending:
            mailbox.close_send()
        assert mailbox.close_receive() == [*model.high, *model.normal]
        await trio.testing.wait_all_tasks_blocked()
        for value, _ in model.waiting:
            assert ended[value] == ("closed" if close_sending else "broken")


def _outcome(put: Callable[[], Any]) -> str:
    try:
        taken = put()
    except MailboxFull:
        return "full"
    except trio.WouldBlock:
        return "wait"
    return "lost" if taken is False else "taken"
