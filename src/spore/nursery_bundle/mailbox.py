"""The mailbox: a bounded memory channel with two priorities and a policy for what does not fit.

It is one object with both ends of a channel. As a channel it behaves as trio's memory channel does. The
bundle uses the same object from inside (`put`, `pop`), without a task that waits at the receiving end.

Invariants: a task waits to receive only while the mailbox is empty, and to send only while it is full;
a value is in exactly one of: a waiting sender's hands, the queue, a receiver's hands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import attrs
import outcome
import trio

from spore.errors import MailboxFull, UsageError
from spore.nursery_bundle.policy import Loss, Overflow

__all__ = ["Mailbox", "MailboxStatistics"]

T = TypeVar("T")


@attrs.frozen
class MailboxStatistics:
    """A moment's view of a mailbox."""

    current_buffer_used: int
    """Messages that wait to be received; more than the size only for a moment, see `Mailbox.put`."""
    max_buffer_size: int
    tasks_waiting_send: int
    tasks_waiting_receive: int
    lost: Mapping[Loss, int]
    """Messages that the overflow policy gave up, by reason."""


class _Keyed(Generic[T]):
    """A queue that holds one value a key, the newest, in the order of their arrival."""

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self.key = key
        self.values: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self.values)

    def append(self, value: T) -> None:
        self.values[self.key(value)] = value

    def popleft(self) -> T:
        return self.values.pop(next(iter(self.values)))

    def displace(self, value: T) -> tuple[T, ...]:
        """Take out the value with the same key, if there is one. The newer goes to the end of the queue, so
        that what one sender sends is still received in the order in which it was sent."""
        key = self.key(value)
        return (self.values.pop(key),) if key in self.values else ()


class Mailbox(trio.abc.Channel[T]):
    """A bounded channel in memory.

    Args:
        capacity: how many messages wait at the most; at least 1.
        overflow: what happens to one more.
        key: for ``conflate``: what tells a message's kind, such as its instrument.
        on_loss: called with each message that the policy gives up, and why.

    Raises:
        UsageError: for a capacity below 1, or a key without ``conflate`` or the reverse.
    """

    __slots__ = (
        "_receive_closed",
        "_receiving",
        "_send_closed",
        "backlog",
        "capacity",
        "high",
        "lost",
        "normal",
        "on_arrival",
        "on_loss",
        "overflow",
        "sending",
    )

    def __init__(
        self,
        capacity: int,
        *,
        overflow: Overflow | str = Overflow.BLOCK,
        key: Callable[[T], Hashable] | None = None,
        on_loss: Callable[[T, Loss], None] | None = None,
    ) -> None:
        if not isinstance(capacity, int) or capacity < 1:
            raise UsageError(f"a mailbox holds at least 1 message, so its capacity cannot be {capacity!r}")
        try:
            self.overflow = Overflow(overflow)
        except ValueError:
            known = ", ".join(Overflow)
            raise UsageError(f"there is no overflow policy {overflow!r}; there are {known}") from None
        if (self.overflow is Overflow.CONFLATE) != (key is not None):
            raise UsageError("a key, and only with it, the policy conflate: the newest of each key is kept")
        self.capacity = capacity
        self.normal: deque[T] | _Keyed[T] = deque() if key is None else _Keyed(key)
        self.high: deque[T] | tuple[()] = ()  # a deque takes 600 bytes, and most mailboxes never need this one
        self.lost: dict[Loss, int] = {}
        self.backlog = 0
        """So many more ``fail`` has room for, until it is back within its capacity; see `patient`."""
        self.on_arrival: Callable[[], None] | None = None
        """Called when there is something to `pop` and no task waits for it: how the bundle hears of it."""
        self.on_loss = on_loss
        self.sending: dict[trio.lowlevel.Task, tuple[T, bool, Callable[[], None] | None]] | None = None
        self._receiving: dict[trio.lowlevel.Task, None] | None = None
        self._send_closed = False
        self._receive_closed = False

    def __len__(self) -> int:
        return len(self.normal) + len(self.high)

    def __bool__(self) -> bool:
        return True  # a channel is no collection: an empty one is not false

    @property
    def closed(self) -> bool:
        """Whether either end is closed, so that nothing can be sent."""
        return self._send_closed or self._receive_closed

    def __repr__(self) -> str:
        return f"<Mailbox {len(self)} of {self.capacity}, {self.overflow}>"

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(
            current_buffer_used=len(self),
            max_buffer_size=self.capacity,
            tasks_waiting_send=len(self.sending or ()),
            tasks_waiting_receive=len(self._receiving or ()),
            lost=dict(self.lost),
        )

    # The sending end

    def put(self, value: T, high: bool = False) -> bool:
        """Take a message without ever waiting: under ``block`` it may be one too many.

        Returns:
            Whether it was taken; if not, the policy gave it up and it is counted.

        Raises:
            MailboxFull: under ``fail``. It was not taken, and is counted.
            trio.ClosedResourceError, trio.BrokenResourceError: as `send`.
        """
        if self._send_closed or self._receive_closed:
            self._refuse()
        if self.overflow is not Overflow.BLOCK and not self._make_room(value, high):
            return False
        if self._receiving:
            self._hand_over(value)
        else:
            self._append(value, high)
            if self.on_arrival is not None:
                self.on_arrival()
        return True

    def has_room(self, value: T, high: bool = False) -> bool:
        """Whether a message can be sent at once: always, but under ``block`` and ``conflate`` when full."""
        if len(self.normal) + len(self.high) < self.capacity:
            return True
        if self.overflow is Overflow.BLOCK:
            return False
        if isinstance(self.normal, _Keyed):
            return not high and self.normal.key(value) in self.normal.values
        return True

    def send_nowait(self, value: T, high: bool = False) -> None:
        """Send at once.

        Raises:
            trio.WouldBlock: under ``block`` and ``conflate``, if there is no room.
            MailboxFull, trio.ClosedResourceError, trio.BrokenResourceError: as `send`.
        """
        if self._send_closed or self._receive_closed:
            self._refuse()
        if not self.has_room(value, high):
            raise trio.WouldBlock
        self.put(value, high)

    async def send(self, value: T, high: bool = False) -> None:
        """Send a message, waiting for room where the policy is to wait.

        Cancellation: always a checkpoint. If it is cancelled, the message was not sent.

        Raises:
            MailboxFull: under ``fail``.
            trio.ClosedResourceError: if the sending end is closed, before or while this waits.
            trio.BrokenResourceError: if the receiving end is.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.send_nowait(value, high)
        except trio.WouldBlock:
            await self.send_when_room(value, high)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_when_room(self, value: T, high: bool = False, *, admitted: Callable[[], None] | None = None) -> None:
        """Wait in line to send. To be called when there is no room.

        Args:
            value: the message.
            high: as for `send`.
            admitted: called at the moment when the message is taken, which is before this returns.

        Cancellation: a checkpoint. If it is cancelled, the message was not sent.
        """
        task = trio.lowlevel.current_task()
        if self.sending is None:
            self.sending = {}
        waiting = self.sending
        waiting[task] = (value, high, admitted)

        def abort(_: Any) -> trio.lowlevel.Abort:
            del waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """A block in which ``fail`` refuses nothing: what was sent while nobody could take it comes all at once.

        Until that has gone, it takes no place from what comes after it.
        """
        if self.overflow is not Overflow.FAIL:
            yield
            return
        self.overflow = Overflow.BLOCK
        try:
            yield
        finally:
            self.overflow = Overflow.FAIL
            self.backlog = len(self)

    def _append(self, value: T, high: bool) -> None:
        if not high:
            self.normal.append(value)
        elif isinstance(self.high, deque):
            self.high.append(value)
        else:
            self.high = deque((value,))

    def _refuse(self) -> None:
        if self._send_closed:
            raise trio.ClosedResourceError
        raise trio.BrokenResourceError

    def _make_room(self, value: T, high: bool) -> bool:
        """Apply a policy that may lose something; return whether the value is to be taken."""
        if isinstance(self.normal, _Keyed):
            for older in () if high else self.normal.displace(value):
                self._lose(older, Loss.CONFLATED)
            return True
        if len(self) < self.capacity:
            self.backlog = 0
            return True
        if self.overflow is Overflow.FAIL:
            if len(self) < self.capacity + self.backlog:
                return True
            self._lose(value, Loss.FULL)
            raise MailboxFull("mailbox", f"its {self.capacity} places are taken")
        if self.overflow is Overflow.DROP_NEWEST:
            self._lose(value, Loss.DROPPED_NEWEST)
            return False
        if not self.normal and not high:  # full of what is more urgent
            self._lose(value, Loss.DROPPED_OLDEST)
            return False
        self._lose((self.normal or self.high).popleft(), Loss.DROPPED_OLDEST)  # type: ignore[union-attr]
        return True

    def _lose(self, value: T, reason: Loss) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + 1
        if self.on_loss is not None:
            self.on_loss(value, reason)

    # The receiving end

    def pop(self) -> T:
        """The next message: high priority before normal, and first in, first out in each.

        Raises:
            IndexError: if there is none.
        """
        if not self.high and not self.normal:
            raise IndexError("pop from an empty mailbox")
        value: T = self.high.popleft() if isinstance(self.high, deque) and self.high else self.normal.popleft()
        if self.sending:
            self.admit()
        return value

    def admit(self) -> None:
        """Let those who wait to send do so, as far as there is room."""
        waiting = self.sending or {}
        while waiting and len(self) < self.capacity:
            self._admit_one(next(iter(waiting)))

    def _admit_one(self, task: trio.lowlevel.Task) -> None:
        value, high, admitted = (self.sending or {}).pop(task)
        if isinstance(self.normal, _Keyed) and not high:
            for older in self.normal.displace(value):
                self._lose(older, Loss.CONFLATED)
        self._append(value, high)
        if admitted is not None:
            admitted()
        trio.lowlevel.reschedule(task)

    def turn_away(self) -> None:
        """Refuse those who wait to send, with `trio.BrokenResourceError`. What is queued stays."""
        self._wake_all(self.sending, trio.BrokenResourceError)

    def let_in(self, may: Callable[[trio.lowlevel.Task], bool]) -> None:
        """Let some of those in who wait to send, whether or not there is room."""
        for task in [task for task in self.sending or () if may(task)]:
            self._admit_one(task)

    def receive_nowait(self) -> T:
        """Receive at once.

        Raises:
            trio.WouldBlock: if there is nothing.
            trio.EndOfChannel: if there is nothing and the sending end is closed.
            trio.ClosedResourceError: if this end is closed.
        """
        if self._receive_closed:
            raise trio.ClosedResourceError
        if self.high or self.normal:
            return self.pop()
        if self._send_closed:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    async def receive(self) -> T:
        """Receive the next message.

        Cancellation: always a checkpoint. If it is cancelled, nothing was received.

        Raises:
            trio.EndOfChannel: once the sending end is closed and everything was received.
            trio.ClosedResourceError: if this end is closed, before or while this waits.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            value = self.receive_nowait()
        except trio.WouldBlock:
            return await self._receive_when_any()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return value

    async def receive_batch(self, limit: int | None = None) -> list[T]:
        """Receive all that is there, at least one and at most ``limit`` messages, in the order of `receive`.

        Cancellation: always a checkpoint. If it is cancelled, nothing was received.

        Raises:
            UsageError: for a limit below 1.
            trio.EndOfChannel, trio.ClosedResourceError: as `receive`.
        """
        if limit is not None and limit < 1:
            raise UsageError(f"a batch holds at least 1 message, not {limit}")
        batch = [await self.receive()]
        while (limit is None or len(batch) < limit) and (self.high or self.normal):
            batch.append(self.pop())
        return batch

    async def _receive_when_any(self) -> T:
        task = trio.lowlevel.current_task()
        if self._receiving is None:
            self._receiving = {}
        waiting = self._receiving
        waiting[task] = None

        def abort(_: Any) -> trio.lowlevel.Abort:
            del waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        value: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return value

    def _hand_over(self, value: T) -> None:
        waiting = self._receiving or {}
        task = next(iter(waiting))
        del waiting[task]
        trio.lowlevel.reschedule(task, outcome.Value(value))

    # Closing

    def close_send(self) -> None:
        """No more messages will come. Those that wait are still received, then comes `trio.EndOfChannel`."""
        self._send_closed = True
        self._wake_all(self.sending, trio.ClosedResourceError)
        self._wake_all(self._receiving, trio.EndOfChannel)

    def close_receive(self) -> list[T]:
        """No more messages will be received. Senders get `trio.BrokenResourceError`.

        Returns:
            What nobody received, for the caller to account for.
        """
        self._receive_closed = True
        left = [*self.high]
        while self.normal:
            left.append(self.normal.popleft())
        self.high = ()
        self._wake_all(self.sending, trio.BrokenResourceError)
        self._wake_all(self._receiving, trio.ClosedResourceError)
        return left

    def close(self) -> list[T]:
        """Close both ends, and return what nobody received."""
        self.close_send()
        return self.close_receive()

    async def aclose(self) -> None:
        """Close both ends.

        Cancellation: a checkpoint; the ends are closed even when it is cancelled.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    @staticmethod
    def _wake_all(waiting: dict[trio.lowlevel.Task, Any] | None, error: type[BaseException]) -> None:
        for task in list(waiting or ()):
            trio.lowlevel.reschedule(task, outcome.Error(error()))
        if waiting:
            waiting.clear()
