"""A run, started in a fresh process and listened to. The process, and all that it has started, end with the block that waits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import attrs
import cattrs
import trio

from spore.deploy.spec import to_json
from spore.errors import RunFailed
from spore.migration.resources import proportional_bytes
from spore.migration.run import Result, RunJob

__all__ = ["SAMPLE_S", "Measured", "launch"]

SAMPLE_S = 0.25
"""How often memory is looked at: seldom enough to take nothing that counts from what is measured."""
GRACE_S = 5.0
"""So long a run that is not wanted any more may take to stop what it has started."""


@attrs.frozen
class Measured:
    """A run and what was seen of it from outside."""

    result: Result
    peak_bytes: int
    """The most memory that all its processes together were seen to have, from the first event until all was handled."""


async def launch(job: RunJob) -> Measured:
    """Run a job in a fresh process.

    Cancellation: always a checkpoint; the process is ended, and what it has started with it.

    Raises:
        RunFailed: if it has failed, or died.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "spore.migration.run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # so that Ctrl-C reaches the one who decides, and nobody else
    )
    try:
        return await _listen(process, job)
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


async def _listen(process: trio.Process, job: RunJob) -> Measured:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with suppress(trio.BrokenResourceError):  # it has ended already, which shows below
        await process.stdin.send_all(to_json(job).encode() + b"\n")
    peak = 0
    result: Result | None = None
    reason: str | None = None
    sampling = trio.CancelScope()
    async with trio.open_nursery() as nursery:

        async def sample(processes: list[int]) -> None:
            nonlocal peak
            with sampling:
                while True:
                    peak = max(peak, await trio.to_thread.run_sync(proportional_bytes, processes))
                    await trio.sleep(SAMPLE_S)

        async with aclosing(_events(process)) as events:
            async for event in events:
                match event["event"]:
                    case "measuring" if event["processes"]:
                        nursery.start_soon(sample, event["processes"])
                    case "measuring":
                        sampling.cancel()
                    case "failed":
                        reason = str(event["reason"])
                    case "result":
                        result = cattrs.structure(event["result"], Result)
        sampling.cancel()
    if result is None:
        code = await process.wait()
        raise RunFailed(job.mode.value, reason or f"its process ended with exit code {code}")
    return Measured(result, max(peak, result.memory_bytes))


async def _events(process: trio.Process) -> AsyncGenerator[dict[str, Any], None]:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    rest = b""
    while data := await process.stdout.receive_some():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
