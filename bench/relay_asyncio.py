"""A relay on asyncio's streams, written as they are meant to be: write, then drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.relay_contender import Contender
from bench.relay_load import BenchQuote, Sink, Source
from bench.relay_trio import CHUNK_SIZE, RECEIVER, SENDER, frame_ends
from spore.codec import Decoder, encode

__all__ = ["AsyncioRelay"]


class AsyncioRelay(Contender):
    """A stream writer tries to send at once and buffers the rest; the relay forwards whatever whole frames arrived."""

    name = "asyncio streams"

    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        asyncio.run(_serve(path, ready))

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        asyncio.run(_receive(path, sinks, ready))

    def send(self, path: Path, source: Source) -> None:
        asyncio.run(_send(path, source))


async def _serve(path: Path, ready: Callable[[], None]) -> None:
    subscribers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        role = await reader.readexactly(1)
        if role == RECEIVER:
            subscribers.append(writer)
        writer.write(role)
        held = b""
        while role == SENDER and (chunk := await reader.read(CHUNK_SIZE)):
            data = held + chunk if held else chunk
            ends = frame_ends(data)
            if not ends:
                held = data
                continue
            run, held = data[: ends[-1]], data[ends[-1] :]
            for subscriber in subscribers:
                subscriber.write(run)
            for subscriber in subscribers:
                await subscriber.drain()
        if role == RECEIVER:
            await reader.read()

    server = await asyncio.start_unix_server(handle, path)
    ready()
    await server.serve_forever()


async def _receive(path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
    connections = [await _connect(path, RECEIVER) for _ in sinks]
    ready()
    await asyncio.gather(*[
        _take(reader, sink) for (reader, _), sink in zip(connections, sinks, strict=True)
    ])  # fmt: skip


async def _take(reader: asyncio.StreamReader, sink: Sink) -> None:
    decoder, take = Decoder(), sink.take
    while not sink.done and (chunk := await reader.read(CHUNK_SIZE)):
        decoder.feed(chunk)
        for frame in decoder:
            take(frame.message)


async def _send(path: Path, source: Source) -> None:
    loop = asyncio.get_running_loop()
    _, writer = await _connect(path, SENDER)
    sequence = 0

    async def send(message: BenchQuote) -> None:
        nonlocal sequence
        writer.write(encode(message, sequence=sequence, timestamp_ns=message.due_ns))
        sequence += 1
        await writer.drain()

    source.start()
    if source.paced:
        fired = asyncio.Event()
        loop.add_reader(source, fired.set)
        while not source.finished:
            await fired.wait()
            fired.clear()
            for message in source.due():
                await send(message)
        loop.remove_reader(source)
    else:
        for message in source.flood():
            await send(message)
    writer.close()
    await writer.wait_closed()


async def _connect(path: Path, role: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(role)
    await reader.readexactly(1)
    return reader, writer
