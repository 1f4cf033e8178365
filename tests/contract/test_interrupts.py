"""Ctrl-C at drawn moments of a busy bundle: always a clean end by KeyboardInterrupt, with counts that add up.

The moment is a line of Spore's code, of a handler, or of trio that is about to run in the bundle's thread; a trace function raises SIGINT
there, so that trio's own handler decides what becomes of it, as it does for a key that somebody presses.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from types import FrameType
from typing import Any

import attrs
import pytest
import trio
from tests.actors import balance

import spore
from spore import Actor, ActorRef, Supervision, open_bundle
from spore.errors import ActorStopped, AskError, MailboxFull

MOMENTS = int(os.environ.get("SPORE_INTERRUPTS", "120"))
"""So many interrupts; a thousand in `make interrupts`."""


@attrs.define
class Plain(Actor[Any]):
    out: ActorRef[Any] | None = None
    seen: int = 0

    def handle(self, message: Any) -> Any:
        self.seen += 1
        if message == 13:
            raise ValueError
        if self.out is not None:
            self.out.tell(message)
        return self.seen

    def on_stop(self) -> None:
        self.seen = -1


@attrs.define
class Async(Plain):
    async def handle(self, message: Any) -> Any:
        self.seen += 1
        if message % 7 == 0:
            await trio.lowlevel.checkpoint()
        if message == 13:
            raise ValueError
        if self.out is not None:
            await self.out.send(message)
        return self.seen


async def busy(bundle: spore.Bundle) -> None:
    """Everything that a bundle does, over and over: sends that wait, asks, timers, failures, starts and stops."""
    again = Supervision(backoff_s=0.0, max_restarts=10**6)
    last = await bundle.start(Async, name="last", capacity=2, supervision=again)
    plain = await bundle.start(Plain, out=last, name="plain", supervision=again)
    first = await bundle.start(Async, out=plain, name="first", capacity=3, supervision=again)
    newest = await bundle.start(
        Plain,
        out=last,
        name="newest",
        overflow="conflate",
        key=lambda number: number % 3,
        capacity=3,
        supervision=again,
    )
    bundle.every(0.0001, newest, make=lambda: 5)

    async def feed(ref: ActorRef[Any], seed: int) -> None:
        chances = random.Random(seed)
        while True:
            try:
                match chances.randrange(6):
                    case 0:
                        ref.tell(chances.randrange(20))
                    case 1:
                        ref.tell_many(range(3))
                    case 2:
                        await ref.send(chances.randrange(20))
                    case 3:
                        await ref.send_many([1, 2, 13])
                    case 4:
                        await ref.ask(chances.randrange(20))
                    case _:
                        await trio.lowlevel.checkpoint()
            except (AskError, ActorStopped, MailboxFull):
                await trio.lowlevel.checkpoint()

    async def come_and_go() -> None:
        while True:
            some = await bundle.start(Async, out=last)
            some.tell_many([1, 2, 3])
            await bundle.stop(some)

    async with trio.open_nursery() as nursery:
        for number, ref in enumerate((first, plain, newest, last)):
            nursery.start_soon(feed, ref, number)
        nursery.start_soon(come_and_go)


def interrupted_after(lines: int, dispatch: str) -> spore.Bundle:
    """Run a busy bundle and interrupt it at so manieth a line; return what is left of it."""
    kept: list[spore.Bundle] = []
    where: list[str] = []
    left = lines

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if event == "line" and _is_ours(frame):
            left -= 1
            if left <= 0:
                sys.settrace(None)
                frame.f_trace = None
                where[:] = traceback.format_stack(frame)
                signal.raise_signal(signal.SIGINT)
        return trace

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch, seed=lines) as bundle:
            kept.append(bundle)
            sys.settrace(trace)
            sys._getframe().f_trace = trace
            try:
                with trio.fail_after(60):
                    await busy(bundle)
            finally:
                sys.settrace(None)

    before = sys.gettrace()
    try:
        trio.run(main)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - whatever else comes is what the test looks for
        raised = error
    else:
        pytest.fail("nothing was interrupted")
    finally:
        sys.settrace(before)
    assert _only_interrupts(raised), f"after {lines} lines, {dispatch}: {raised!r}\n{''.join(where)}"
    return kept[0]


def _is_ours(frame: FrameType | None) -> bool:
    """Whether a line is the test's, Spore's, or one of trio that Spore has called. What trio does for a test's own code is trio's matter:
    an interrupt in the midst of ``nursery.start_soon`` leaves half a task."""
    innermost = frame
    while frame is not None:
        if "/spore/" in frame.f_code.co_filename:
            return True
        if frame.f_code.co_filename == __file__:
            return frame is innermost
        frame = frame.f_back
    return False


def _only_interrupts(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_only_interrupts(each) for each in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize("dispatch", ["inline", "queued"])
def test_an_interrupt_at_any_line_is_a_clean_end(dispatch: str) -> None:
    """Each message is handled, has failed, or is lost for a reason that is counted; trio's own state stays whole."""
    seed = int(os.environ.get("SPORE_SEED", "1"))
    chances = random.Random(f"{seed} {dispatch}")
    for _ in range(MOMENTS // 2):
        bundle = interrupted_after(chances.randrange(200, 40_000), dispatch)
        for name in bundle.statistics().actors:
            counts = balance(bundle, name)
            assert counts["handled"] >= 0
        assert all(actor.queued == 0 for actor in bundle.statistics().actors.values())
