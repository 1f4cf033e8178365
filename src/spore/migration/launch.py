"""A run, started in a fresh process and listened to. The process, and all that it has started, end with the block that waits."""

from __future__ import annotations

import attrs
import cattrs
import trio

from spore.errors import RunFailed
from spore.migration.resources import proportional_bytes
from spore.migration.run import Result, RunJob
from spore.migration.worker import open_worker

__all__ = ["SAMPLE_S", "Measured", "launch"]

SAMPLE_S = 0.25
"""How often memory is looked at: seldom enough to take nothing that counts from what is measured."""


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
    peak = 0
    result: Result | None = None
    failure: RunFailed | None = None
    sampling = trio.CancelScope()

    async def sample(processes: list[int]) -> None:
        nonlocal peak
        with sampling:
            while True:
                peak = max(peak, await trio.to_thread.run_sync(proportional_bytes, processes))
                await trio.sleep(SAMPLE_S)

    async with open_worker("spore.migration.run", job, mode=job.mode.value) as events, trio.open_nursery() as nursery:
        try:
            async for event in events:
                match event["event"]:
                    case "measuring" if event["processes"]:
                        nursery.start_soon(sample, event["processes"])
                    case "measuring":
                        sampling.cancel()
                    case "result":
                        result = cattrs.structure(event["result"], Result)
        except RunFailed as error:  # raised below, and not in a group
            failure = error
        sampling.cancel()
    if failure is not None:
        raise failure
    assert result is not None  # noqa: S101 - the events end with it, or with an error
    return Measured(result, max(peak, result.memory_bytes))
