"""What waits at the sender because the window is full or nobody is there: bounded, with the policies of a mailbox.

The names and meanings are those of `spore.nursery_bundle.Overflow`. Nothing here has a sequence number yet, so what a
policy gives up leaves no gap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import attrs

from spore.errors import MailboxFull
from spore.nursery_bundle.policy import Loss, Overflow

__all__ = ["Waiting", "WaitingRoom"]


@attrs.frozen(eq=False)
class Waiting:
    """A message that has been encoded, and has no sequence number."""

    frame: bytes
    ask: Any = None
    """Where the answer goes, if somebody waits for one."""
    key: Hashable = None


class WaitingRoom:
    """A queue with an overflow policy: ``block`` until the receiver has told its own.

    ``block`` never refuses: whoever can wait asks `has_room` first.

    Args:
        receiver: whose messages they are, for errors.
        capacity: how many may wait.
        on_loss: called with what the policy gave up, and why.
    """

    def __init__(self, receiver: str, capacity: int, on_loss: Callable[[Waiting, Loss], None]) -> None:
        self.overflow = Overflow.BLOCK
        self._capacity = capacity
        self._paused = False
        self._backlog = 0
        """So many more ``fail`` has room for, until it is back within its capacity."""
        self._receiver = receiver
        self._on_loss = on_loss
        self._queue: dict[Hashable, Waiting] = {}
        """By kind under ``conflate``, and else by a running number. A dict keeps the order of arrival."""
        self._number = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Waiting]:
        """What waits, in order."""
        return iter(self._queue.values())

    @property
    def asks(self) -> tuple[Any, ...]:
        """Where the answers go to those that wait, for whom somebody waits."""
        return tuple(waiting.ask for waiting in self._queue.values() if waiting.ask is not None)

    def adopt(self, overflow: Overflow, capacity: int, *, keyed: bool, paused: bool = False) -> None:
        """Do as the receiver does. Without a key nothing can be conflated here, and the sender waits.

        While it pauses, ``fail`` refuses nothing. What waits when the pause is over, or when the policy is told for the first time,
        takes no place from what comes after it.
        """
        if not paused and (self._paused or self.overflow is Overflow.BLOCK):
            self._backlog = len(self._queue)
        self._paused = paused
        self.overflow = overflow if keyed or overflow is not Overflow.CONFLATE else Overflow.BLOCK
        self._capacity = capacity

    def has_room(self, key: Hashable, *, awaited: bool = False) -> bool:
        """Whether one more of this kind would not have to wait: only ``block`` and ``conflate`` have senders wait.

        Args:
            awaited: somebody waits for the answer, so that it takes the place of no other.
        """
        if len(self._queue) < self._capacity or self.overflow not in {Overflow.BLOCK, Overflow.CONFLATE}:
            return True
        return self.overflow is Overflow.CONFLATE and not awaited and ("key", key) in self._queue

    def put(self, waiting: Waiting) -> None:
        """Take one more, or give something up for it.

        Raises:
            MailboxFull: under ``fail``.
        """
        if self.overflow is Overflow.CONFLATE and waiting.ask is None:
            kind = ("key", waiting.key)
            if (older := self._queue.pop(kind, None)) is not None:
                self._on_loss(older, Loss.CONFLATED)
            self._queue[kind] = waiting
            return
        if len(self._queue) < self._capacity:
            self._backlog = 0
        else:
            room = self._paused or len(self._queue) < self._capacity + self._backlog
            if self.overflow is Overflow.FAIL and not room:
                self._on_loss(waiting, Loss.FULL)
                raise MailboxFull(self._receiver, f"its {self._capacity} places are taken")
            if self.overflow is Overflow.DROP_NEWEST:
                self._on_loss(waiting, Loss.DROPPED_NEWEST)
                return
            if self.overflow is Overflow.DROP_OLDEST:
                oldest = next((kind for kind in self._queue if not _is_latest(kind)), None)
                self._on_loss(waiting if oldest is None else self._queue.pop(oldest), Loss.DROPPED_OLDEST)
                if oldest is None:
                    return
        self._number += 1
        self._queue[self._number] = waiting

    def put_latest(self, waiting: Waiting) -> None:
        """Take what is no message, in place of an older one of its kind. No policy gives it up."""
        kind = ("latest", waiting.key)
        self._queue.pop(kind, None)
        self._queue[kind] = waiting

    def clear(self) -> int:
        """Forget everything; return how many messages that was."""
        messages = sum(not _is_latest(kind) for kind in self._queue)
        self._queue.clear()
        return messages

    def pop(self) -> Waiting:
        """The one that has waited longest.

        Raises:
            KeyError: if there is none.
        """
        try:
            first = next(iter(self._queue))
        except StopIteration:
            raise KeyError("nothing waits") from None
        return self._queue.pop(first)


def _is_latest(kind: Hashable) -> bool:
    return isinstance(kind, tuple) and kind[0] == "latest"
