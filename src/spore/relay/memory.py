"""A connection inside one process: what one end writes, the other reads, and nothing is copied on the way."""

from __future__ import annotations

from collections import deque

import trio

from spore.relay.carrier import Carrier

__all__ = ["CAPACITY", "MemoryCarrier"]

CAPACITY = 1024 * 1024
"""Bytes that one direction holds before its writer has to wait."""


class _Way:
    """One direction."""

    def __init__(self) -> None:
        self.reader: MemoryCarrier
        self.data: deque[bytes] = deque()
        self.size = 0
        self.ended = False
        self.changed = trio.lowlevel.ParkingLot()


class MemoryCarrier(Carrier):
    """One end. Made by `pair`."""

    def __init__(self, out: _Way, incoming: _Way) -> None:
        self._out = out
        self._in = incoming
        incoming.reader = self

    @classmethod
    def pair(cls) -> tuple[MemoryCarrier, MemoryCarrier]:
        """Both ends of a new connection."""
        one, other = _Way(), _Way()
        return cls(one, other), cls(other, one)

    def send_nowait(self, data: bytes) -> int:
        way = self._out
        if way.ended:
            raise trio.BrokenResourceError("the other end has closed it")
        eager = way.reader.eager
        if eager is not None and not way.data and eager(data):  # the whole, or what follows could overtake the rest
            return len(data)
        size = min(len(data), CAPACITY - way.size)
        if size <= 0:
            return 0
        way.data.append(bytes(data[:size]))
        way.size += size
        way.changed.unpark_all()
        return size

    async def send_all(self, data: bytes | memoryview) -> None:
        left = bytes(data)
        await trio.lowlevel.checkpoint()
        while left:
            done = self.send_nowait(left)
            left = left[done:]
            if not done:
                await self._out.changed.park()

    async def receive(self) -> bytes:
        way = self._in
        self.waited = False
        while not way.data:
            if way.ended:
                return b""
            self.waited = True
            await way.changed.park()
        data = way.data.popleft()
        way.size -= len(data)
        way.changed.unpark_all()
        return data

    def close(self) -> None:
        for way in (self._out, self._in):
            way.ended = True
            way.changed.unpark_all()
