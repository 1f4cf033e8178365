"""The ends of a mailbox: a channel for sending and a channel for receiving, in one object, as often as it is cloned.

They behave as the ends of trio's memory channel do, and the store behind them does the work.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, Self, TypeVar

import attrs
import trio
from trio.lowlevel import enable_ki_protection

from spore.nursery_bundle.arguments import check_limit
from spore.nursery_bundle.policy import Loss, Overflow
from spore.nursery_bundle.store import Store

__all__ = ["Clone", "Ends", "MailboxStatistics"]

T = TypeVar("T")


@attrs.frozen
class MailboxStatistics:
    """A moment's view of a mailbox."""

    current_buffer_used: int
    """Messages that wait to be received; more than the size only for a moment, see `Mailbox.put`."""
    max_buffer_size: float
    """An int, or ``math.inf``."""
    open_send_channels: int
    """The mailbox and its clones, as far as their sending ends are open."""
    open_receive_channels: int
    tasks_waiting_send: int
    tasks_waiting_receive: int
    lost: Mapping[Loss, int] = attrs.field(hash=False)
    """Messages that the overflow policy gave up, by reason."""


class Ends(trio.abc.SendChannel[T], trio.abc.ReceiveChannel[T]):
    """A sending end and a receiving end of one store, each of which can be closed."""

    __slots__ = ()
    _send_closed: bool
    _receive_closed: bool

    @property
    @abstractmethod
    def _store(self) -> Store[T]:
        """What the ends lead to."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent from here: this sending end is closed, or every receiving end is."""
        return self._send_closed or not self._store.receivers

    def statistics(self) -> MailboxStatistics:
        store = self._store
        return MailboxStatistics(
            current_buffer_used=len(store),
            max_buffer_size=store.capacity,
            open_send_channels=store.senders,
            open_receive_channels=store.receivers,
            tasks_waiting_send=len(store.sending or ()),
            tasks_waiting_receive=store.tasks_waiting_receive,
            lost=dict(store.lost),
        )

    @enable_ki_protection
    def clone(self) -> Clone[T]:
        """Another pair of ends of this mailbox, as far as they are open here.

        The sending end of the mailbox is closed when that of every clone is, and the receiving end likewise.

        Raises:
            trio.ClosedResourceError: if both ends are closed here.
        """
        if self._send_closed and self._receive_closed:
            raise trio.ClosedResourceError
        return Clone(self._store, sends=not self._send_closed, receives=not self._receive_closed)

    # The sending end

    @enable_ki_protection
    def send_nowait(self, value: T, high: bool = False) -> None:
        """Send at once.

        Raises:
            trio.WouldBlock: under ``block`` and ``conflate``, if there is no room.
            MailboxFull, trio.ClosedResourceError, trio.BrokenResourceError: as `send`.
        """
        store = self._store
        if self._send_closed or not store.receivers:
            self._refuse()
        if not store.has_room(value, high):
            raise trio.WouldBlock
        store.accept(value, high)

    @enable_ki_protection
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
            await self._store.wait_to_send(value, high, None, self)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    @enable_ki_protection
    async def send_when_room(self, value: T, high: bool = False, *, admitted: Callable[[], None] | None = None) -> None:
        """Wait in line to send. To be called when there is no room. Under ``fail``, too, it waits.

        Args:
            value: the message.
            high: as for `send`.
            admitted: called at the moment when the message is taken, which is before this returns.

        Cancellation: always a checkpoint. If it is cancelled, the message was not sent.

        Raises:
            MailboxFull, trio.ClosedResourceError, trio.BrokenResourceError: as `send`.
        """
        store = self._store
        # Under ``fail``, who waits was refused nothing: it brings what was accepted elsewhere.
        full = len(store) >= store.capacity if store.overflow is Overflow.FAIL else not store.has_room(value, high)
        if full and not self.closed:
            await store.wait_to_send(value, high, admitted, self)
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        self.send_nowait(value, high)
        if admitted is not None:
            admitted()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def _refuse(self) -> None:
        if self._send_closed:
            raise trio.ClosedResourceError
        raise trio.BrokenResourceError

    # The receiving end

    @enable_ki_protection
    def receive_nowait(self) -> T:
        """Receive at once.

        Raises:
            trio.WouldBlock: if there is nothing.
            trio.EndOfChannel: if there is nothing and the sending end is closed.
            trio.ClosedResourceError: if this end is closed.
        """
        if self._receive_closed:
            raise trio.ClosedResourceError
        store = self._store
        if store.high or store.normal:
            return store.pop()
        if not store.senders:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    @enable_ki_protection
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
            return await self._store.wait_to_receive(self)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return value

    @enable_ki_protection
    async def receive_batch(self, limit: int | None = None) -> list[T]:
        """Receive all that is there, at least one and at most ``limit`` messages, in the order of `receive`.

        Cancellation: always a checkpoint. If it is cancelled, nothing was received.

        Raises:
            UsageError: for a limit below 1.
            trio.EndOfChannel, trio.ClosedResourceError: as `receive`.
        """
        check_limit(limit)
        batch = [await self.receive()]
        store = self._store
        while (limit is None or len(batch) < limit) and (store.high or store.normal):
            batch.append(store.pop())
        return batch

    # Closing

    def close_send(self) -> None:
        """Send no more messages from here. After the last sending end, what waits is received, then comes `trio.EndOfChannel`."""
        self._close(sending=True, receiving=False)

    def close_receive(self) -> list[T]:
        """Receive no more messages here. After the last receiving end, senders get `trio.BrokenResourceError`.

        Returns:
            What nobody received, for the caller to account for.
        """
        return self._close(sending=False, receiving=True)

    def close(self) -> list[T]:
        """Close both ends, and return what nobody received."""
        return self._close(sending=True, receiving=True)

    @enable_ki_protection
    def _close(self, *, sending: bool, receiving: bool) -> list[T]:
        sending, receiving = sending and not self._send_closed, receiving and not self._receive_closed
        self._send_closed |= sending  # type: ignore[misc] # the slots are the subclasses'
        self._receive_closed |= receiving  # type: ignore[misc]
        return self._store.close_end(self, sending=sending, receiving=receiving)

    @enable_ki_protection
    async def aclose(self) -> None:
        """Close both ends.

        Cancellation: a checkpoint; the ends are closed even when it is cancelled.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Clone(Ends[T], Generic[T]):
    """More ends of a mailbox; `Mailbox.clone` and `Clone.clone` make them."""

    __slots__ = ("_of", "_receive_closed", "_send_closed")

    def __init__(self, store: Store[T], *, sends: bool, receives: bool) -> None:
        self._of = store
        self._send_closed, self._receive_closed = not sends, not receives
        store.senders += sends
        store.receivers += receives

    @property
    def _store(self) -> Store[T]:
        return self._of

    def __repr__(self) -> str:
        return f"<Clone of {self._of!r}>"
