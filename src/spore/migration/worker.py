"""A job in a process of its own, and both ends of what is said with it.

The process is told its job in one JSON line on stdin, and tells what happens in one JSON object a line, of which the last is the result or
why there is none. It ends when stdin does, and what it has started with it, so that nothing outlives whoever wanted it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar

import cattrs
import trio

from spore.deploy.child import first_cause
from spore.deploy.spec import from_json, to_json
from spore.errors import RunFailed
from spore.outputs import open_standard_streams, write_line
from spore.relay.environment import child_environment

__all__ = ["Say", "open_worker", "serve"]

J = TypeVar("J")
Say = Callable[..., None]
"""Tells an event: its fields, as JSON can say them."""

GRACE_S = 5.0
"""So long a process that is not wanted any more may take to stop what it has started."""


@asynccontextmanager
async def open_worker(module: str, job: Any, *, mode: str) -> AsyncIterator[AsyncGenerator[dict[str, Any], None]]:
    """A fresh process at work on a job, and what it tells: events, of which the last has the result.

    Args:
        module: what to run, which calls `serve`.
        job: what `serve` is to be given.
        mode: of the run, for the error.

    Cancellation: leaving the block is a checkpoint; the process is ended, and what it has started with it.

    Raises:
        RunFailed: from the events, if the process has failed, or died.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,  # so that Ctrl-C reaches the one who decides, and nobody else
    )
    try:
        async with aclosing(_events(process, job, mode)) as events:
            yield events
    finally:
        with trio.CancelScope(shield=True):
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()
            with trio.move_on_after(GRACE_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _events(process: trio.Process, job: Any, mode: str) -> AsyncGenerator[dict[str, Any], None]:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101
    with suppress(trio.BrokenResourceError):  # it has ended already, which shows below
        await process.stdin.send_all(to_json(job).encode() + b"\n")
    rest = b""
    while data := await process.stdout.receive_some():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "failed":
                raise RunFailed(mode, event["reason"])
            yield event
            if event["event"] == "result":
                return
    raise RunFailed(mode, f"its process ended with exit code {await process.wait()}")


def serve(kind: type[J], work: Callable[[J, Say], Awaitable[Any]]) -> int:
    """Do the job that stdin tells, in this process, and return the exit code.

    Args:
        kind: the job's class.
        work: does it, may say events, and returns the result, an attrs object.
    """
    open_standard_streams(goes_on=True)  # what actors print is no reason to fail, whoever has stopped reading it
    out = os.dup(1)
    os.dup2(2, 1)  # and no part of the result
    logging.getLogger("spore.feeds").setLevel(logging.ERROR)  # whoever wants the job has read the feeds, and was warned

    def say(**event: Any) -> None:
        write_line(out, json.dumps(event))

    try:
        return trio.run(_serve, kind, work, say)
    except BrokenPipeError:  # nobody wants it any more
        return 1
    finally:
        os.close(out)


async def _serve(kind: type[J], work: Callable[[J, Say], Awaitable[Any]], say: Say) -> int:
    result: Any = None
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        line = b""
        while not line.endswith(b"\n"):
            more = await stdin.receive_some()
            if not more:
                return 1
            line += more
        job: Any = from_json(line, kind)
        sys.path[:] = job.path
        try:
            async with trio.open_nursery() as nursery:

                async def end_with_stdin() -> None:
                    while await stdin.receive_some():
                        pass
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_with_stdin)
                result = await work(job, say)
                nursery.cancel_scope.cancel()
        except* Exception as group:  # noqa: BLE001 - whatever it is, it is told
            error = first_cause(group)
            with suppress(BrokenPipeError):  # nobody listens any more
                say(event="failed", reason=f"{type(error).__name__}: {error}")
    if result is None:
        return 1
    say(event="result", result=cattrs.unstructure(result))
    return 0
