"""What bench.nats compares: Spore's link over NATS, and plain nats-py on asyncio doing the same work.

The same message objects, encoded and decoded by the same codec; nothing is lost, so that where the receiver is slow the
sender waits. Core NATS drops what a slow consumer does not take, so the plain one needs what every user of it needs who
must not lose messages: the receiver says now and then how far it is, and the sender keeps to a window, here the link's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sysconfig
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import ClassVar

import nats
import trio
from nats.aio.msg import Msg

import spore
from bench.relay_contender import Contender, feed
from bench.relay_load import BenchQuote, Sink, Source
from bench.relay_spore import Subscriber
from spore.codec import decode, encode
from spore.relay import open_client
from spore.relay.nats import StreamOptions, open_inlet, open_nats

__all__ = ["PlainNats", "PlainStream", "SporeNats", "SporeStream"]

WINDOW = 1_000
"""Messages under way; what a link has by default."""
PATIENCE_S = 20.0
"""So long a place in the window may take."""


class _OverNats(Contender):
    """A server in between. The file at the path has its port."""

    settings: ClassVar[str] = ""

    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        config = path.with_suffix(".conf")
        config.write_text(f"listen: 127.0.0.1:{port}\n{self.settings.format(store=path.with_suffix('.store'))}")
        if os.fork() == 0:  # says when it listens; the process itself becomes the server, so that its CPU time counts
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    path.write_text(str(port))
                    ready()
                    os._exit(0)
                time.sleep(0.01)
        server = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or "nats-server"
        os.execvp(server, [server, "-c", str(config), "-l", os.devnull])

    @staticmethod
    def address(path: Path) -> str:
        return f"nats://127.0.0.1:{path.read_text()}"


class SporeNats(_OverNats):
    """A link to an inlet."""

    name = "spore"

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        async def main() -> None:
            (sink,) = sinks
            async with AsyncExitStack() as stack:
                way = await stack.enter_async_context(open_nats(self.address(path), name="receiver"))
                inlet = await stack.enter_async_context(open_inlet(way, "bench"))
                client = await stack.enter_async_context(open_client(name="receiver", connect=inlet.connect))
                bundle = await stack.enter_async_context(spore.open_bundle("receiver"))
                done = trio.Event()
                client.attach(await bundle.start(Subscriber, sink=sink, done=done, name="desk"))
                await client.wait_connected()
                await inlet.wait_listening()
                ready()
                await done.wait()

        trio.run(main)

    def send(self, path: Path, source: Source) -> None:
        async def main() -> None:
            async with (
                open_nats(self.address(path), name="sender") as way,
                open_client(name="sender", connect=lambda: way.connect("bench")) as client,
            ):
                desk = client.ref("desk")
                await desk.wait_open()
                await feed(source, desk.send)
                await client.drain()

        trio.run(main)


class _OverStream(_OverNats):
    """The server writes everything to its disk before it acknowledges it."""

    settings: ClassVar[str] = "jetstream {{ store_dir: {store}, sync_interval: always }}\n"


class SporeStream(_OverStream):
    """A link to a stream, and another one from there."""

    name = "spore"

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        async def main() -> None:
            (sink,) = sinks
            async with AsyncExitStack() as stack:
                way = await stack.enter_async_context(open_nats(self.address(path), name="receiver", durable=True))
                inlet = await stack.enter_async_context(open_inlet(way, "receiver", streams=StreamOptions()))
                client = await stack.enter_async_context(open_client(name="receiver", connect=inlet.connect))
                bundle = await stack.enter_async_context(spore.open_bundle("receiver"))
                done = trio.Event()
                desk = await bundle.start(Subscriber, sink=sink, done=done, name="desk")
                client.attach(desk, streams=("bench",))
                await client.wait_connected()
                await inlet.wait_listening()
                ready()
                await done.wait()

        trio.run(main)

    def send(self, path: Path, source: Source) -> None:
        async def main() -> None:
            async with (
                open_nats(self.address(path), name="sender", durable=True) as way,
                open_inlet(way, "sender", streams=StreamOptions()) as inlet,
                open_client(name="sender", connect=inlet.connect) as client,
            ):
                stream = client.stream("bench", inside=True)
                await stream.wait_open()
                await feed(source, stream.send)
                await client.drain()

        trio.run(main)


class PlainNats(_OverNats):
    """nats-py as its documentation shows it."""

    name = "nats-py"

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        async def main() -> None:
            (sink,) = sinks
            client = await nats.connect(self.address(path))
            done = asyncio.Event()
            taken = 0

            async def take(message: Msg) -> None:
                nonlocal taken
                sink.take(decode(message.data).message)
                taken += 1
                if taken % (WINDOW // 4) == 0:
                    await client.publish("taken", str(taken).encode())
                if sink.done:
                    done.set()

            await client.subscribe("quotes", cb=take)
            await client.flush()
            ready()
            await done.wait()
            await client.close()

        asyncio.run(main())

    def send(self, path: Path, source: Source) -> None:
        async def main() -> None:
            client = await nats.connect(self.address(path))
            window, sent = _Window(), 0
            await client.subscribe("taken", cb=window.note)
            await client.flush()

            async def send(message: BenchQuote) -> None:
                nonlocal sent
                await window.room(sent)
                await client.publish("quotes", encode(message, sequence=sent, timestamp_ns=message.due_ns))
                sent += 1

            await _feed(source, send)
            await client.flush()
            await client.close()

        asyncio.run(main())


class PlainStream(_OverStream):
    """nats-py's JetStream: published without waiting for each acknowledgement, and read in order."""

    name = "nats-py"

    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        async def main() -> None:
            (sink,) = sinks
            client = await nats.connect(self.address(path))
            jetstream = client.jetstream()
            await jetstream.add_stream(name="bench", subjects=["quotes"])
            done = asyncio.Event()

            async def take(message: Msg) -> None:
                sink.take(decode(message.data).message)
                if sink.done:
                    done.set()

            await jetstream.subscribe("quotes", cb=take, ordered_consumer=True)
            ready()
            await done.wait()
            await client.close()

        asyncio.run(main())

    def send(self, path: Path, source: Source) -> None:
        async def main() -> None:
            client = await nats.connect(self.address(path))
            jetstream = client.jetstream(publish_async_max_pending=WINDOW)
            sent = 0

            async def send(message: BenchQuote) -> None:
                nonlocal sent
                frame = encode(message, sequence=sent, timestamp_ns=message.due_ns)
                await jetstream.publish_async("quotes", frame, wait_stall=PATIENCE_S)
                sent += 1

            await _feed(source, send)
            await jetstream.publish_async_completed()
            await client.close()

        asyncio.run(main())


class _Window:
    """How much is under way."""

    def __init__(self) -> None:
        self._taken = 0
        self._moved = asyncio.Event()

    async def note(self, message: Msg) -> None:
        self._taken = int(message.data)
        self._moved.set()

    async def room(self, sent: int) -> None:
        while sent - self._taken >= WINDOW:
            self._moved.clear()
            await self._moved.wait()


async def _feed(source: Source, send: Callable[[BenchQuote], Awaitable[object]]) -> None:
    """Send all of a source from asyncio."""
    source.start()
    if not source.paced:
        for message in source.flood():
            await send(message)
        return
    fired = asyncio.Event()
    asyncio.get_running_loop().add_reader(source, fired.set)
    while not source.finished:
        await fired.wait()
        fired.clear()
        for message in source.due():
            await send(message)
    asyncio.get_running_loop().remove_reader(source)
