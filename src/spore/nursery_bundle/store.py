"""The store of a mailbox: what is queued, who waits, and what a policy does with a value that does not fit.

Invariants: a task waits to receive only while nothing is queued, and to send only while there is no room for its
value; a value is in exactly one of: a waiting sender's hands, the queue, a receiver's hands. Under ``conflate`` a key
is queued or in line, never both.

A function that has taken a value calls out (`on_loss`) only when everything is in its place, so that what is called
may use the mailbox. Whatever moves values or tasks is protected from `KeyboardInterrupt`: an interrupt in the middle
would leave a task in line that nobody could wake any more, or wake one that has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

import outcome
import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import MailboxFull
from spore.nursery_bundle.arguments import check_callable, check_capacity, check_overflow
from spore.nursery_bundle.line import Keyed, Line, Waiter
from spore.nursery_bundle.policy import Loss, Overflow

__all__ = ["Store"]

T = TypeVar("T")

# Under names of their own, because Python 3.11 takes 100 ns to look up a member of an enum.
_BLOCK, _FAIL, _CONFLATE, _DROP_NEWEST = Overflow.BLOCK, Overflow.FAIL, Overflow.CONFLATE, Overflow.DROP_NEWEST
_FULL, _CONFLATED = Loss.FULL, Loss.CONFLATED
_OLDEST, _NEWEST = Loss.DROPPED_OLDEST, Loss.DROPPED_NEWEST


class Store(Generic[T]):
    """What the ends of a mailbox share."""

    __slots__ = (
        "_receiving",
        "backlog",
        "capacity",
        "high",
        "lost",
        "normal",
        "on_arrival",
        "on_loss",
        "overflow",
        "receivers",
        "senders",
        "sending",
    )

    def __init__(
        self,
        capacity: float,
        *,
        overflow: Overflow | str = Overflow.BLOCK,
        key: Callable[[T], Hashable] | None = None,
        on_loss: Callable[[T, Loss], None] | None = None,
    ) -> None:
        check_capacity(capacity)
        self.overflow = check_overflow(overflow, key)
        check_callable("on_loss", on_loss)
        self.capacity = cast("int", capacity)  # math.inf, too, is only ever compared, and subtracted from
        self.normal: deque[T] | Keyed[T] = deque() if key is None else Keyed(key)
        self.high: deque[T] | tuple[()] = ()  # a deque takes 600 bytes, and most mailboxes never need this one
        self.lost: dict[Loss, int] = {}
        self.backlog = 0
        """So many more ``fail`` has room for, until it is back within its capacity; see `patient`."""
        self.on_arrival: Callable[[], None] | None = None
        """Called when there is something to `pop` and no task waits for it: how the bundle hears of it."""
        self.on_loss = on_loss
        """Called with each message that the policy gives up."""
        self.sending: Line | None = None
        self._receiving: dict[trio.lowlevel.Task, object] | None = None
        self.senders = self.receivers = 1
        """How many sending ends, and how many receiving ends, are open."""

    def __len__(self) -> int:
        return len(self.normal) + len(self.high)

    @property
    def tasks_waiting_receive(self) -> int:
        return len(self._receiving or ())

    # Taking values

    def has_room(self, value: T, high: bool = False) -> bool:
        """Whether a message can be sent at once: always, but under ``block`` and ``conflate`` when full."""
        if len(self.normal) + len(self.high) < self.capacity:
            return True
        if self.overflow is _BLOCK:
            return False
        if isinstance(self.normal, Keyed):
            return not high and self.normal.key(value) in self.normal.values
        return True

    @enable_ki_protection
    def accept(self, value: T, high: bool) -> bool:
        """Take a value as the policy says, and return whether it was taken. The ends are known to be open.

        Raises:
            MailboxFull: under ``fail``.
        """
        older: list[T] = []
        reason = _OLDEST
        overflow = self.overflow
        if overflow is not _BLOCK and overflow is not _CONFLATE:
            if len(self.normal) + len(self.high) < self.capacity:
                self.backlog = 0
            elif overflow is _FAIL:
                if len(self) >= self.capacity + self.backlog:
                    self._lose((value,), _FULL)
                    raise MailboxFull("mailbox", f"its {self.capacity} places are taken")
            elif overflow is _DROP_NEWEST:
                self._lose((value,), _NEWEST)
                return False
            elif self.normal or high:
                older.append((self.normal or self.high).popleft())  # type: ignore[union-attr]
            else:  # full of what is more urgent
                self._lose((value,), _OLDEST)
                return False
        if self._receiving:
            task = next(iter(self._receiving))
            del self._receiving[task]
            trio.lowlevel.reschedule(task, outcome.Value(value))
        else:
            if overflow is _CONFLATE and not high:
                keyed: Keyed[T] = self.normal  # type: ignore[assignment]
                reason = _CONFLATED
                key = keyed.key(value)
                older = keyed.replace(key, value)
                if self.sending:
                    older += [_let_in(self.sending, task) for task in self.sending.with_key(key)]
            else:
                self._append(value, high)
            if self.on_arrival is not None:
                self.on_arrival()
        if older:
            self._lose(older, reason)
        return True

    @enable_ki_protection
    async def wait_to_send(self, value: T, high: bool, admitted: Callable[[], None] | None, end: object) -> None:
        """Wait in line. Cancellation: a checkpoint. If it is cancelled, the value was not taken."""
        task = trio.lowlevel.current_task()
        if self.sending is None:
            self.sending = Line()
        line = self.sending
        keyed, key = (True, self.normal.key(value)) if isinstance(self.normal, Keyed) and not high else (False, None)
        line.enter(task, Waiter(value, high, keyed, key, admitted, end))

        def abort(_: Any) -> trio.lowlevel.Abort:
            line.leave(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    @enable_ki_protection
    def admit(self) -> None:
        """Let those who wait to send do so, as far as there is room: high priority before normal.

        Under ``conflate`` a key takes one place, and that with the newest of the values in line.
        """
        line = self.sending
        older: list[T] = []
        while line and len(self.normal) + len(self.high) < self.capacity:
            older += self._admit(line, line.first())
        if older:
            self._lose(older, _CONFLATED)

    def _admit(self, line: Line, task: trio.lowlevel.Task) -> list[T]:
        """Let one in, and all with its key; return the older values that have given way."""
        waiter = line[task]
        if not waiter.keyed:
            self._append(_let_in(line, task), waiter.high)
            return []
        *others, newest = [_let_in(line, fellow) for fellow in line.with_key(waiter.key)]
        return [*cast("Keyed[T]", self.normal).replace(waiter.key, newest), *others]

    @enable_ki_protection
    def let_in(self, may: Callable[[trio.lowlevel.Task], bool]) -> None:
        """Let some of those in who wait to send, whether or not there is room."""
        line = self.sending
        if not line:
            return
        older: list[T] = []
        for task in [task for task in line if may(task)]:
            if task in line:  # else it was let in with another one of its key
                older += self._admit(line, task)
        if older:
            self._lose(older, _CONFLATED)

    @enable_ki_protection
    def turn_away(self) -> None:
        """Refuse those who wait to send, with `trio.BrokenResourceError`. What is queued stays."""
        self._wake_senders(None, trio.BrokenResourceError)

    @contextmanager
    @enable_ki_protection
    def patient(self) -> Iterator[None]:
        """A block in which ``fail`` refuses nothing: what was sent while nobody could take it comes all at once.

        Until that has gone, it takes no place from what comes after it.
        """
        if self.overflow is not _FAIL:
            yield
            return
        self.overflow = _BLOCK
        try:
            yield
        finally:
            self.overflow = _FAIL
            self.backlog = len(self)

    def _append(self, value: T, high: bool) -> None:
        if not high:
            self.normal.append(value)
        elif isinstance(self.high, deque):
            self.high.append(value)
        else:
            self.high = deque((value,))

    def _lose(self, values: list[T] | tuple[T, ...], reason: Loss) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + len(values)
        if self.on_loss is not None:
            for value in values:
                self.on_loss(value, reason)

    # Giving values

    @enable_ki_protection
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

    @enable_ki_protection
    async def wait_to_receive(self, end: object) -> T:
        """Wait for a value. Cancellation: a checkpoint. If it is cancelled, nothing was taken."""
        task = trio.lowlevel.current_task()
        if self._receiving is None:
            self._receiving = {}
        waiting = self._receiving
        waiting[task] = end

        def abort(_: Any) -> trio.lowlevel.Abort:
            del waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        value: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return value

    # Closing

    @enable_ki_protection
    def close_end(self, end: object, *, sending: bool, receiving: bool) -> list[T]:
        """Close what an end has open still, and return what nobody can receive any more."""
        left: list[T] = []
        if sending:
            self.senders -= 1
            self._wake_senders(end, trio.ClosedResourceError)
        if receiving:
            self.receivers -= 1
            self._wake_receivers(end, trio.ClosedResourceError)
        if sending and not self.senders:
            self._wake_receivers(None, trio.EndOfChannel)
        if receiving and not self.receivers:
            left += self.high
            while self.normal:
                left.append(self.normal.popleft())
            self.high = ()
            self._wake_senders(None, trio.BrokenResourceError)
        return left

    def _wake_senders(self, end: object | None, error: type[BaseException]) -> None:
        line = self.sending or Line()
        for task, waiter in list(line.items()):
            if end is None or waiter.end is end:
                line.leave(task)
                trio.lowlevel.reschedule(task, outcome.Error(error()))

    def _wake_receivers(self, end: object | None, error: type[BaseException]) -> None:
        waiting = self._receiving or {}
        for task, of in list(waiting.items()):
            if end is None or of is end:
                del waiting[task]
                trio.lowlevel.reschedule(task, outcome.Error(error()))


def _let_in(line: Line, task: trio.lowlevel.Task) -> Any:
    """Have a task go on that waited to send, and return what it brought."""
    waiter = line.leave(task)
    if waiter.admitted is not None:
        waiter.admitted()
    trio.lowlevel.reschedule(task)
    return waiter.value
