"""A connection of the link over NATS: a stream of bytes in numbered chunks, one subject each way.

Core NATS delivers at most once, and drops what a slow consumer does not take. So every chunk has a number, and where one is
missing the connection is lost, for the link to begin another and send again. And every chunk says how many bytes of
the other direction were read, so that no more than `WINDOW_BYTES` are under way and nobody is slow: what has to wait, waits at
its sender, as with a socket.

    chunk = number (u64, from 1) + bytes read of the other direction (u64) + bytes of the stream, perhaps none

An empty message is the end of the stream. Each chunk names the subject of the way back, where the server says at once when nobody
listens any more.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

import trio

from spore.distribution import needs
from spore.relay.carrier import Carrier
from spore.relay.nats_connection import NatsConnection

with needs("nats"):
    from nats.aio.subscription import Subscription

__all__ = ["WINDOW_BYTES", "NatsCarrier"]

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes that may be under way in one direction. As many as one link may have; see `spore.relay.outgoing`."""
CHUNK_BYTES = 64 * 1024
"""Nobody who reads has more in hand at once, so that others have their turn; the most that is read from a socket, too."""
APART = 1_000
"""So many chunks wait by themselves; more are joined, so that many small ones take no more memory than a few large ones."""
HEAD = Struct("<QQ")


class NatsCarrier(Carrier):
    """One end.

    Args:
        connection: with the server.
        back: the subject of what comes here. No other end may ever have had it.
        to: the subject of what goes out, if it is known yet.
    """

    def __init__(self, connection: NatsConnection, back: str, to: str = "") -> None:
        self.to = to
        self._connection = connection
        self._back = back
        self._most = min(connection.max_payload - HEAD.size, CHUNK_BYTES)
        self._subscription: Subscription | None = None
        self._answer: bytes | None = None
        self._error = ""
        """Why nothing more can be sent, nor comes."""
        self._ended = False
        """Whether the other end has closed the stream."""
        self._changed = trio.lowlevel.ParkingLot()
        """Where whoever reads waits."""
        self._room = trio.lowlevel.ParkingLot()
        self._arrived: deque[bytes] = deque()
        self._number = self._taken = 0
        self._sent = self._granted = 0
        """Bytes that were sent, and how many of them the other end has read."""
        self._came = self._read = self._told = 0

    async def listen(self) -> None:
        """Take what comes from now on.

        Cancellation: always a checkpoint.

        Raises:
            trio.BrokenResourceError: if the connection with the server is lost.
        """
        self._connection.on_lost.add(self._server_lost)
        self._subscription = await self._connection.subscribe(self._back, self._take)

    def wish(self, subject: str, wish: bytes) -> None:
        """Publish a wish to connect; the `answer` comes back here."""
        self._connection.publish(subject, wish, self._back)

    async def answer(self) -> bytes:
        """The first message, which is no chunk: what became of the wish to connect.

        Cancellation: a checkpoint if it waits.

        Raises:
            ConnectionRefusedError: if nobody listens.
            trio.BrokenResourceError: if the connection with the server is lost.
        """
        while self._answer is None:
            if self._ended:
                raise ConnectionRefusedError("nobody listens there")
            if self._error:
                raise trio.BrokenResourceError(self._error)
            await self._changed.park()
        return self._answer

    def send_nowait(self, data: bytes) -> int:
        self._check()
        if self._ended:
            raise trio.BrokenResourceError("the other end has closed it")
        room = WINDOW_BYTES - (self._sent - self._granted)
        size = min(len(data), room)
        for begin in range(0, size, self._most):
            self._publish(data[begin : min(begin + self._most, size)])
        return max(0, size)

    async def send_all(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        await trio.lowlevel.checkpoint()
        while left:
            done = self.send_nowait(left)  # type: ignore[arg-type]  # joined with the chunk's head before it goes on
            left = left[done:]
            if not done:
                await self._room.park()

    async def receive(self) -> bytes:
        self.waited = False
        while not self._arrived:
            if self._ended:
                return b""
            self._check()
            self.waited = True
            await self._changed.park()
        data = self._arrived.popleft()
        self._was_read(data)
        return data

    def _was_read(self, data: bytes) -> None:
        self._read += len(data)
        if self._read - self._told >= WINDOW_BYTES // 4 and not self._error and not self._ended:
            self._publish(b"")

    def close(self) -> None:
        self._connection.on_lost.discard(self._server_lost)
        if self._subscription is not None:
            if self.to and not self._ended and not self._connection.lost.is_set():
                self._connection.publish(self.to, b"")
            self._connection.unsubscribe(self._subscription)
            self._subscription = None
        self._lose("closed")

    def _publish(self, data: bytes) -> None:
        self._number += 1
        self._sent += len(data)
        self._told = self._read
        self._connection.publish(self.to, b"".join((HEAD.pack(self._number, self._read), data)), self._back)

    def _take(self, data: bytes, *_: bytes) -> None:
        if not data:  # the other end says so, or the server says that it is not there
            self._ended = True
            self._wake()
        elif self._answer is None and not self._taken and not self.to:
            self._answer = data
            self._wake()
        else:
            self._take_chunk(data)

    def _take_chunk(self, data: bytes) -> None:
        number, granted = HEAD.unpack_from(data) if len(data) >= HEAD.size else (0, 0)
        if number != self._taken + 1:
            self._lose(f"chunk {self._taken + 1} is missing: {number} has come")
            return
        self._taken = number
        if granted > self._granted:
            self._granted = granted
            self._room.unpark_all()
        if len(data) > HEAD.size:
            data = data[HEAD.size :]
            self._came += len(data)
            if self._came - self._read > WINDOW_BYTES:
                self._lose(f"the other end does not keep to the window of {WINDOW_BYTES:,} bytes")
            elif not self._arrived and self.eager is not None and self.eager(data):
                self._was_read(data)
            elif len(self._arrived) >= APART and len(self._arrived[-1]) + len(data) <= CHUNK_BYTES:
                self._arrived[-1] += data
            else:
                self._arrived.append(data)
                self._changed.unpark_all()

    def _check(self) -> None:
        if self._error:
            raise trio.BrokenResourceError(self._error)

    def _server_lost(self) -> None:
        self._lose(f"the connection with NATS is lost: {self._connection.error}")

    def _lose(self, error: str) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        self._changed.unpark_all()
        self._room.unpark_all()
