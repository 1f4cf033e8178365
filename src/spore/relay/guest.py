"""An asyncio event loop as a guest of trio, for a library that knows nothing else: no thread, so nothing to cross.

Strategy: asyncio asks its selector how long it may sleep. This one never sleeps: it looks what is ready, and where there is
nothing it stops the loop and remembers the answer. So one call of `Guest.turn` runs all that can be run now, and in between
a trio task waits for the same files (a selector is a file, too) and for the same time. Everything here is in asyncio's
public interface.

A thread of its own was measured first: it costs two hand-overs of the interpreter's lock for each message, which is
as much as everything else that a process does for it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from math import inf
from time import perf_counter_ns
from typing import Any, TypeVar

import trio

__all__ = ["Guest", "open_guest"]

T = TypeVar("T")
SLICE_NS = 500_000
"""So long the guest may run before others have their turn."""
END_S = 2.0
"""So long what was cancelled may take to end."""


class _Glance(selectors.DefaultSelector):
    """A selector that never waits."""

    def __init__(self) -> None:
        super().__init__()
        self.idle_s: float | None = 0.0
        """How long the loop would have slept when it last came to an end: None for ever, 0 if there was more to do."""
        self.until_ns = 0
        self.loop: asyncio.AbstractEventLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self.idle_s = timeout
            self.loop.stop()
        elif perf_counter_ns() > self.until_ns:
            self.idle_s = 0.0
            self.loop.stop()
        return ready


class Guest:
    """An asyncio loop in this trio thread. Made by `open_guest`."""

    def __init__(self) -> None:
        self._selector = _Glance()
        self.loop = self._selector.loop = asyncio.SelectorEventLoop(self._selector)
        self._sleep = trio.CancelScope()
        self._ended = False

    @trio.lowlevel.enable_ki_protection
    def turn(self) -> None:
        """Run what can be run now, for a time slice at most. From within the loop it does nothing: that runs already."""
        if self.loop.is_running() or self._ended:
            return
        selector = self._selector
        selector.until_ns = perf_counter_ns() + SLICE_NS
        self.loop.run_forever()
        idle_s = selector.idle_s
        self._sleep.deadline = inf if idle_s is None else trio.current_time() + idle_s

    async def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine of asyncio's returns or raises.

        Cancellation: always a checkpoint. The coroutine is cancelled, and has ended on return, unless it does not within a time.
        """
        task = self.loop.create_task(coroutine)
        done = trio.Event()
        task.add_done_callback(lambda _: done.set())
        self.turn()
        try:
            await done.wait()
        finally:
            if not task.done():
                task.cancel()
                self.turn()
                with trio.move_on_after(END_S, shield=True):
                    await done.wait()
            if task.done() and not task.cancelled():
                task.exception()  # or asyncio complains that nobody has looked at it
        return task.result()

    async def _run(self) -> None:
        """Give the loop its turns until `_end`. Whoever is cancelled needs them to clean up, so this task is not."""
        while not self._ended:
            self._sleep = trio.CancelScope(shield=True)
            self.turn()
            with self._sleep:
                if self._selector.idle_s == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._selector.fileno())

    async def _end(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            with trio.move_on_after(END_S, shield=True):
                await self.call(asyncio.wait(tasks))
        self._ended = True
        self._sleep.cancel()


@asynccontextmanager
async def open_guest() -> AsyncIterator[Guest]:
    """An asyncio loop for the length of a block.

    Cancellation: entering is no checkpoint; leaving is one, and ends what is still running in the loop.
    """
    guest = Guest()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guest._run, name="asyncio, as a guest")
            try:
                yield guest
            finally:
                await guest._end()  # noqa: ASYNC102 - it is shielded, and bounded
    finally:
        guest.loop.close()
