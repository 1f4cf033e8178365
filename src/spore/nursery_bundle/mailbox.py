"""The mailbox: a bounded memory channel with two priorities and a policy for what does not fit.

It is one object with two ends. To trio it is a `trio.abc.SendChannel` and a `trio.abc.ReceiveChannel`, and each end
behaves as that of trio's memory channel does. It is no `trio.abc.Channel`: that would be a way to and from a peer, and
here what is sent is received at the same object. The bundle uses it from inside (`put`, `pop`), without a task that
waits at the receiving end.

Read in this order: `line` (who waits to send), `store` (the policies), `ends` (the channel).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import trio
from trio.lowlevel import enable_ki_protection

from spore.nursery_bundle.ends import Ends, MailboxStatistics
from spore.nursery_bundle.policy import Loss, Overflow
from spore.nursery_bundle.store import Store

__all__ = ["Mailbox", "MailboxStatistics"]

T = TypeVar("T")

_BLOCK = Overflow.BLOCK  # because Python 3.11 takes 100 ns to look up a member of an enum


class Mailbox(Store[T], Ends[T]):
    """A bounded channel in memory.

    What differs from `trio.open_memory_channel`: the capacity is at least 1; a message may have high priority, and is
    received, and let in from the line of those who wait to send, before all of normal priority; an overflow policy
    says what happens to one message more.

    The rule of ``conflate``: of each key, the newest message of normal priority is the one that is received.

    - A message that gets in displaces the one with its key that is queued, and goes to the end of the queue: what one
      sender sends is received in the order in which it was sent. It needs no place of its own then.
    - It displaces those with its key that wait in line, too: all of them were sent before it.
    - When a place is free for a message that waits in line, the newest in line with its key takes the place, and
      displaces the others with that key. Until then none of them displaces another, because a sender that waits
      may be cancelled, and then it has sent nothing.
    - A message of high priority displaces none and is displaced by none; it waits for room like any other.

    Each message that is displaced is counted once, as ``conflated``. To its sender it is sent: a `send` that waits
    returns.

    Args:
        capacity: how many messages wait at the most; at least 1, or ``math.inf``.
        overflow: what happens to one more.
        key: for ``conflate``: what tells a message's kind, such as its instrument.
        on_loss: called with each message that the policy gives up, and why.

    Raises:
        UsageError: for a capacity below 1, or a key without ``conflate`` or the reverse. It is a `TypeError` or a
            `ValueError`, too, as what trio raises.
    """

    __slots__ = ("_receive_closed", "_send_closed")

    def __init__(
        self,
        capacity: float,
        *,
        overflow: Overflow | str = Overflow.BLOCK,
        key: Callable[[T], Hashable] | None = None,
        on_loss: Callable[[T, Loss], None] | None = None,
    ) -> None:
        super().__init__(capacity, overflow=overflow, key=key, on_loss=on_loss)
        self._send_closed = self._receive_closed = False

    @property
    def _store(self) -> Store[T]:
        return self

    def __bool__(self) -> bool:
        return True  # a channel is no collection: an empty one is not false

    def __repr__(self) -> str:
        return f"<Mailbox {len(self)} of {self.capacity}, {self.overflow}>"

    @enable_ki_protection
    def put(self, value: T, high: bool = False) -> bool:
        """Take a message without ever waiting: under ``block`` and ``conflate`` it may be one too many.

        Returns:
            Whether it was taken; if not, the policy gave it up and it is counted.

        Raises:
            MailboxFull: under ``fail``. It was not taken, and is counted.
            trio.ClosedResourceError, trio.BrokenResourceError: as `send`.
        """
        if self._send_closed or not self.receivers:
            self._refuse()
        if self.overflow is not _BLOCK or self._receiving:
            return self.accept(value, high)
        # What `accept` does in the commonest case, written out.
        if high:
            self._append(value, high)
        else:
            self.normal.append(value)
        if self.on_arrival is not None:
            self.on_arrival()
        return True

    # The same as in `Ends`, with fewer steps in between.

    @enable_ki_protection
    def send_nowait(self, value: T, high: bool = False) -> None:
        if self._send_closed or not self.receivers:
            self._refuse()
        if not self.has_room(value, high):
            raise trio.WouldBlock
        self.put(value, high)

    @enable_ki_protection
    def receive_nowait(self) -> T:
        if (self.high or self.normal) and not self._receive_closed:
            return self.pop()
        return super().receive_nowait()
