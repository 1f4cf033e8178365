"""What Spore is compared with: trio's memory channel, asyncio.Queue, Pykka and xoscar, as their manuals say.

Everything runs in this process. In a burst of xoscar's the caller awaits each ``tell``: that is how it tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from queue import SimpleQueue
from time import perf_counter_ns
from typing import Any

import pykka
import trio
import xoscar  # type: ignore[import-untyped]

from bench.bundle_work import Counter, Latch, Once, P, Scene, quotes, timed
from bench.measure import Run

__all__ = ["in_asyncio", "pykka_ask", "pykka_burst", "queue_burst", "trio_burst", "trio_chain", "trio_fan_out"]
__all__ += ["trio_round_trip", "trio_stream", "xoscar_ask", "xoscar_burst"]

CAPACITY = 1_000
"""Of each channel and queue; a mailbox holds as many unless it is told otherwise."""


@asynccontextmanager
async def trio_stream(size: int) -> AsyncIterator[Once]:
    """One task awaits ``send``, another goes ``async for``: as a pipeline on trio is written."""
    async with _trio_tasks(size, 1) as (ends, latch):
        yield _sending(ends, latch, size)


@asynccontextmanager
async def trio_chain(size: int, length: int) -> AsyncIterator[Once]:
    """A chain of tasks that pass on what they receive, by ``await send``."""
    async with _trio_tasks(size, 1) as (ends, latch), trio.open_nursery() as nursery:
        entrance = ends[0]
        for _ in range(length - 1):
            onward = entrance
            entrance, receive = trio.open_memory_channel[Any](CAPACITY)
            nursery.start_soon(_forward, receive, onward)
        yield _sending([entrance], latch, size)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def trio_fan_out(size: int, receivers: int) -> AsyncIterator[Once]:
    """One task sends each message to several others."""
    async with _trio_tasks(size * receivers, receivers) as (ends, latch):
        yield _sending(ends, latch, size)


@asynccontextmanager
async def trio_burst(size: int) -> AsyncIterator[Once]:
    """``send_nowait`` of a burst; the other task, once woken, takes what is there by ``receive_nowait``."""
    latch = Latch()
    handle = Counter(size, latch.open).handle
    send, receive = trio.open_memory_channel[Any](CAPACITY)
    burst = quotes(size)

    async def serve() -> None:
        while True:
            handle(await receive.receive())
            try:
                while True:
                    handle(receive.receive_nowait())
            except trio.WouldBlock:
                pass

    async def once() -> None:
        send_nowait = send.send_nowait
        for message in burst:
            send_nowait(message)
        await latch.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield once
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def trio_round_trip() -> AsyncIterator[Once]:
    """A request through one channel, the answer through another."""
    send_request, requests = trio.open_memory_channel[Any](1)
    send_answer, answers = trio.open_memory_channel[Any](1)
    handle = Counter().handle
    (message,) = quotes(1)

    async def serve() -> None:
        async for request in requests:
            await send_answer.send(handle(request))

    async def once() -> None:
        await send_request.send(message)
        await answers.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield once
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _trio_tasks(size: int, count: int) -> AsyncIterator[tuple[list[trio.MemorySendChannel[Any]], Latch]]:
    """Tasks that receive, and the latch that opens when they have received so many messages together."""
    latch = Latch()
    handle = Counter(size, latch.open).handle

    async def serve(receive: trio.MemoryReceiveChannel[Any]) -> None:
        async for message in receive:
            handle(message)

    async with trio.open_nursery() as nursery:
        ends = []
        for _ in range(count):
            send, receive = trio.open_memory_channel[Any](CAPACITY)
            nursery.start_soon(serve, receive)
            ends.append(send)
        yield ends, latch
        nursery.cancel_scope.cancel()


async def _forward(receive: trio.MemoryReceiveChannel[Any], send: trio.MemorySendChannel[Any]) -> None:
    async for message in receive:
        await send.send(message)


def _sending(ends: list[trio.MemorySendChannel[Any]], latch: Latch, size: int) -> Once:
    messages = quotes(size)

    async def once() -> None:
        for message in messages:
            for end in ends:
                await end.send(message)
        await latch.wait()

    return once


def in_asyncio(scene: Scene[P], *args: P.args, **kwargs: P.kwargs) -> Run:
    """A case that plays in asyncio."""

    async def main(iterations: int) -> float:
        async with scene(*args, **kwargs) as once:
            return await timed(iterations, once)

    return lambda iterations: asyncio.run(main(iterations))


@asynccontextmanager
async def queue_burst(size: int) -> AsyncIterator[Once]:
    """``put_nowait`` of a burst into an `asyncio.Queue`; a task gets and handles."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue(CAPACITY)
    burst, finished = quotes(size), loop.create_future()
    handle = Counter(size, lambda: finished.set_result(None)).handle

    async def serve() -> None:
        while True:
            handle(await queue.get())

    async def once() -> None:
        nonlocal finished
        finished = loop.create_future()
        put = queue.put_nowait
        for message in burst:
            put(message)
        await finished

    task = asyncio.create_task(serve())
    yield once
    task.cancel()


class XoscarActor(xoscar.Actor):  # type: ignore[misc]
    """An actor in a pool without subprocesses: in this one."""

    def __init__(self, every: int) -> None:
        self.finished = asyncio.Queue[None]()
        self.counter = Counter(every, lambda: self.finished.put_nowait(None))

    async def handle(self, message: Any) -> None:
        self.counter.handle(message)


@asynccontextmanager
async def xoscar_burst(size: int) -> AsyncIterator[Once]:
    """``tell`` a burst."""
    burst = quotes(size)
    async with _xoscar_actor(size) as (ref, finished):
        tell = ref.handle.tell

        async def once() -> None:
            for message in burst:
                await tell(message)
            await finished.get()

        yield once


@asynccontextmanager
async def xoscar_ask() -> AsyncIterator[Once]:
    (message,) = quotes(1)
    async with _xoscar_actor(-1) as (ref, _):
        handle = ref.handle
        yield lambda: handle(message)


@asynccontextmanager
async def _xoscar_actor(every: int) -> AsyncIterator[tuple[Any, asyncio.Queue[None]]]:
    # It leaves futures behind that nobody looks at; asyncio would print each.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        ref = await xoscar.create_actor(XoscarActor, every, address=pool.external_address, uid="counter")
        actor = pool._actors[b"counter"]
        yield ref, actor.finished


class PykkaActor(pykka.ThreadingActor):
    """An actor with a thread of its own."""

    def __init__(self, every: int, done: Callable[[], object]) -> None:
        super().__init__()
        self.on_receive = Counter(every, done).handle  # type: ignore[method-assign]


def pykka_burst(size: int) -> Run:
    """``tell`` a burst."""
    burst = quotes(size)

    def run(iterations: int) -> float:
        finished: SimpleQueue[None] = SimpleQueue()
        ref = PykkaActor.start(size, lambda: finished.put(None))
        try:
            began = perf_counter_ns()
            for _ in range(iterations):
                for message in burst:
                    ref.tell(message)
                finished.get()
            return (perf_counter_ns() - began) / iterations
        finally:
            ref.stop()

    return run


def pykka_ask(iterations: int) -> float:
    (message,) = quotes(1)
    ref = PykkaActor.start(-1, int)
    try:
        began = perf_counter_ns()
        for _ in range(iterations):
            ref.ask(message)
        return (perf_counter_ns() - began) / iterations
    finally:
        ref.stop()
