"""Threads: how messages get into a bundle from a thread that is not its own.

Strategy: crossing into trio's thread costs as much as hundreds of messages. So messages wait in a queue, and one crossing takes all that are
there. The queue is bounded: the pressure of the bundle reaches the thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import trio

from spore.errors import ActorStopped, MailboxFull
from spore.nursery_bundle.checks import check_whole
from spore.nursery_bundle.ref import ActorRef

__all__ = ["ThreadPort", "open_thread_port"]

M = TypeVar("M", contravariant=True)


class ThreadPort(Generic[M]):
    """Where any thread may send an actor's messages. Made by `open_thread_port`.

    What one thread sends is handled in that order.
    """

    def __init__(self, ref: ActorRef[M], capacity: int) -> None:
        self._ref = ref
        self._capacity = capacity
        self._token = trio.lowlevel.current_trio_token()
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._due = False
        self._closed = False
        self._arrived = trio.Event()
        self._thread = threading.get_ident()

    @property
    def name(self) -> str:
        """The receiver's."""
        return self._ref.name

    def tell(self, message: M) -> None:
        """Hand over a message and do not wait.

        Raises:
            MailboxFull: if as many as the port holds have not crossed yet.
            ActorStopped: once the port is closed.
        """
        with self._changed:
            self._check_open()
            if len(self._waiting) >= self._capacity:
                raise MailboxFull(
                    self.name, f"{self._capacity} messages of other threads wait to cross; use send, which waits"
                )
            self._put(message)

    def send(self, message: M) -> None:
        """Hand over a message; block the calling thread first while as many as the port holds have not crossed.

        Raises:
            ActorStopped: once the port is closed, also while this waits; the message was not sent then.
            RuntimeError: in the bundle's own thread, which must not be blocked.
        """
        if threading.get_ident() == self._thread:
            raise RuntimeError(
                "this is the bundle's own thread, which a blocking send would stop; await ref.send(message) there"
            )
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._capacity)
            self._check_open()
            self._put(message)

    def _check_open(self) -> None:
        if self._closed:
            raise ActorStopped(self.name, "the port for other threads is closed")

    def _put(self, message: M) -> None:
        self._waiting.append(message)
        if not self._due:
            self._due = True
            self._token.run_sync_soon(self._arrived.set)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            with self._changed:
                batch, self._waiting = self._waiting, deque()
                self._due = False
                self._arrived = trio.Event()
                self._changed.notify_all()
                closed = self._closed
            await self._deliver(batch)
            if closed and not self._waiting:
                return

    async def _deliver(self, batch: deque[M]) -> None:
        try:
            while batch:
                try:
                    await self._ref.send(batch[0])
                except ActorStopped:
                    self._ref.tell(batch[0])  # which makes it a dead letter
                except MailboxFull:
                    pass  # counted where it was refused
                batch.popleft()
        finally:
            self._tell_all(batch)  # cancelled: nothing more is waited for, and nothing goes missing

    def _tell_all(self, messages: deque[M]) -> None:
        while messages:
            with suppress(MailboxFull):  # counted where it was refused
                self._ref.tell(messages.popleft())

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._arrived.set()


@asynccontextmanager
async def open_thread_port(ref: ActorRef[M], *, capacity: int = 1_000) -> AsyncIterator[ThreadPort[M]]:
    """A way into a bundle from other threads, for the length of a block.

    Args:
        ref: the actor that gets what comes through the port.
        capacity: how many messages may wait to cross.

    Cancellation: leaving waits until all that was sent has been handed over. Cancelled, what waits is told at once, past the mailbox's
    capacity if need be.
    """
    check_whole(capacity, "the capacity of a thread port", least=1)
    port = ThreadPort(ref, capacity)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port._run)
            try:
                yield port
            finally:
                port._close()
    finally:
        port._tell_all(port._waiting)  # what there is only if it was cancelled
