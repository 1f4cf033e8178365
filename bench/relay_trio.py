"""The bare relays on trio: no handshake, no sequence numbers, no routes. What a link adds is to be seen beside them.

One of them sends each frame by itself, as a naive port does. The other collects: the sender leaves frames to a task
that sends all there are once it runs, and the relay forwards in one go whatever whole frames arrived in one go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import Struct

import trio

from bench.bundle_work import Latch
from bench.relay_contender import Contender, feed
from bench.relay_load import BenchQuote, Sink, Source
from spore.codec import HEADER_SIZE, Decoder, encode

__all__ = ["CHUNK_SIZE", "RECEIVER", "SENDER", "BatchedRelay", "OneFrameRelay", "frame_ends"]

CHUNK_SIZE = 65_536
"""The most that is read from a socket at once, and what a sender lets accumulate."""
SENDER, RECEIVER = b"S", b"R"
"""The first byte of a connection. The relay sends it back when the connection counts."""

_size_at = Struct("<I").unpack_from
_SIZE_OFFSET = 24


def frame_ends(data: bytes | bytearray) -> list[int]:
    """Where each whole frame ends."""
    ends, at, length = [], 0, len(data)
    while at + HEADER_SIZE <= length:
        at += HEADER_SIZE + _size_at(data, at + _SIZE_OFFSET)[0]
        if at <= length:
            ends.append(at)
    return ends


class _TrioRelay(Contender):
    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        trio.run(self._serve, path, ready)

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        trio.run(_receive, path, sinks, ready)

    def send(self, path: Path, source: Source) -> None:
        trio.run(self._send, path, source)

    async def _serve(self, path: Path, ready: Callable[[], None]) -> None:
        subscribers: list[trio.SocketStream] = []

        async def handle(stream: trio.SocketStream) -> None:
            role = await stream.receive_some(1)
            if role == RECEIVER:
                subscribers.append(stream)
            await stream.send_all(role)
            if role == SENDER:
                await self._forward(stream, subscribers)
            else:
                await trio.sleep_forever()

        listening = trio.socket.socket(socket.AF_UNIX)
        await listening.bind(str(path))
        listening.listen()
        ready()
        await trio.serve_listeners(handle, [trio.SocketListener(listening)])

    async def _forward(self, sender: trio.SocketStream, subscribers: list[trio.SocketStream]) -> None:
        raise NotImplementedError

    async def _send(self, path: Path, source: Source) -> None:
        raise NotImplementedError


class OneFrameRelay(_TrioRelay):
    """Each frame is sent by itself, by the sender and by the relay."""

    name = "trio, one frame a send"

    async def _forward(self, sender: trio.SocketStream, subscribers: list[trio.SocketStream]) -> None:
        held = bytearray()
        async for chunk in sender:
            held += chunk
            begin = 0
            for end in frame_ends(held):
                frame = held[begin:end]
                for subscriber in subscribers:
                    await subscriber.send_all(frame)
                begin = end
            del held[:begin]

    async def _send(self, path: Path, source: Source) -> None:
        stream = await _connect(path, SENDER)
        sequence = 0

        async def send(message: BenchQuote) -> None:
            nonlocal sequence
            await stream.send_all(encode(message, sequence=sequence, timestamp_ns=message.due_ns))
            sequence += 1

        await feed(source, send)


class BatchedRelay(_TrioRelay):
    """The sender collects frames, and the relay forwards runs of them."""

    name = "trio, batched"

    async def _forward(self, sender: trio.SocketStream, subscribers: list[trio.SocketStream]) -> None:
        held = b""
        async for chunk in sender:
            data = held + chunk if held else bytes(chunk)  # no copy: these are bytes
            ends = frame_ends(data)
            if not ends:
                held = data
                continue
            run, held = (data, b"") if ends[-1] == len(data) else (data[: ends[-1]], data[ends[-1] :])
            for subscriber in subscribers:
                await subscriber.send_all(run)

    async def _send(self, path: Path, source: Source) -> None:
        flusher = _Flusher(await _connect(path, SENDER))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flusher.run)
            await feed(source, flusher.send)
            flusher.end()


class _Flusher:
    """Frames wait until a task of its own comes round to send them, all that there are."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._frames: list[bytes] = []
        self._size = 0
        self._sequence = 0
        self._wake, self._room = Latch(), Latch()
        self._ending = False

    async def send(self, message: BenchQuote) -> None:
        frame = encode(message, sequence=self._sequence, timestamp_ns=message.due_ns)
        self._sequence += 1
        while self._size >= CHUNK_SIZE:
            await self._room.wait()
        if not self._frames:
            self._wake.open()
        self._frames.append(frame)
        self._size += len(frame)

    async def run(self) -> None:
        while self._frames or not self._ending:
            await self._wake.wait()
            data = b"".join(self._frames)
            self._frames.clear()
            self._size = 0
            self._room.open()
            if data:
                await self._stream.send_all(data)

    def end(self) -> None:
        self._ending = True
        self._wake.open()


async def _receive(path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
    async with trio.open_nursery() as nursery:
        for sink in sinks:
            nursery.start_soon(_take, await _connect(path, RECEIVER), sink)
        ready()


async def _take(stream: trio.SocketStream, sink: Sink) -> None:
    decoder, take = Decoder(), sink.take
    async for chunk in stream:
        decoder.feed(chunk)
        for frame in decoder:
            take(frame.message)
        if sink.done:
            return


async def _connect(path: Path, role: bytes) -> trio.SocketStream:
    stream = await trio.open_unix_socket(path)
    await stream.send_all(role)
    if await stream.receive_some(1) != role:
        raise ConnectionError(f"the relay at {path} has closed the connection")
    return stream
