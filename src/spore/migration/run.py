"""One run of one mode, in a process of its own: ``python -m spore.migration.run``.

It tells when what is measured begins, when it ends, and the result. What came out is written as frames to a file for signals
and one for orders, so that two runs can be held against each other.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

import attrs

import spore
from spore.codec.encode import encoded_classes
from spore.deploy import Hop, Mode, SystemConfig
from spore.migration.latency import event_latencies, joined
from spore.migration.loop import Looped, Paced, looped, read_whole
from spore.migration.play import Played, play_feed
from spore.migration.recording import digest
from spore.migration.resources import CpuMeter
from spore.migration.tap import recorders
from spore.migration.tell_cost import tell_adds_ns
from spore.migration.worker import Say, serve
from spore.relay.statistics import ClientStatistics

__all__ = ["ORDERS", "SIGNALS", "Result", "RunJob", "frames_of"]

SIGNALS, ORDERS = "signals.frames", "orders.frames"


@attrs.frozen(kw_only=True)
class RunJob:
    """What to run."""

    path: tuple[str, ...]
    """Where to import modules from."""
    feeds: tuple[str, ...]
    config: SystemConfig
    mode: Mode
    folder: str
    """Where to write what came out."""
    servers: tuple[int, ...] = ()
    """Processes that carry its messages and are not its own. They count."""
    loops: int = 1
    """How often to play the feed."""
    limit: int | None = None
    """How many messages to play at the most."""
    rate: float | None = None
    """Messages a second, and the signals are timed; None: as fast as they are handled."""
    hop: Hop | None = None
    """To be timed."""
    tell: bool = False
    """Measure the price of `tell` as well, afterwards."""


@attrs.frozen(kw_only=True)
class Result:
    """What a run has shown."""

    messages: int
    """Events that went in."""
    seconds: float
    """From the first event until everything had been handled."""
    cpu_seconds: float
    """In that time, over all processes."""
    memory_bytes: int
    """Of all processes, at the end of it."""
    processes: int
    encoded_messages: int
    """Frames that clients wrote to the relay, without those for the recorder, which only the comparison needs."""
    encoded_bytes: int
    """The bytes of those frames."""
    encoded_classes: int
    """Of how many classes the process of the feed has encoded a message."""
    lost: int
    signals: int
    orders: int
    """With their reports."""
    digest: str
    """Of the signals, and then of the orders with their reports."""
    losses: tuple[str, ...] = ()
    """What was lost other than by an overflow policy, a sentence for each actor."""
    hop_ns: tuple[int, ...] = ()
    """Of each message that was timed: from its sending to the start of its handler."""
    event_ns: tuple[int, ...] = ()
    """Of each signal: from the moment when the event that caused it was handed in to the moment when the signal had come out."""
    tell_adds_ns: float | None = None


async def run(job: RunJob, say: Say) -> Result:
    """Run a job in this process.

    Cancellation: always a checkpoint; nothing is left running.

    Raises:
        SporeError, ExceptionGroup: as `spore.migration.play`.
    """
    for module in job.config.modules:
        importlib.import_module(module)  # the feeds may hold what they declare
    messages = looped(await read_whole(*job.feeds), job.loops)[: job.limit]
    paced = Paced(messages, job.rate) if job.rate is not None else None
    feed = paced or Looped(messages)
    gc.collect()
    gc.freeze()  # the input is no part of what is measured
    meter = CpuMeter(lambda processes: say(event="measuring", processes=processes), besides=job.servers)
    hops = (job.hop,) if job.hop is not None else ()
    played = await play_feed(
        feed, config=job.config, mode=job.mode, hops=hops, meter=meter, time_signals=paced is not None
    )
    encoded = len(encoded_classes())  # before anything here is encoded for the digests
    recording_only = recorders(job.config)
    links = [link for client in _clients(played) for link in client.outgoing if link.receiver not in recording_only]
    recording = played.recording
    folder = Path(job.folder)
    folder.joinpath(SIGNALS).write_bytes(frames_of(recording.signals))
    folder.joinpath(ORDERS).write_bytes(frames_of(recording.executed()))
    return Result(
        messages=played.messages,
        seconds=played.idle_after_s,
        cpu_seconds=meter.seconds,
        memory_bytes=meter.bytes,
        processes=played.processes + len(job.servers),
        encoded_messages=sum(link.frames for link in links),
        encoded_bytes=sum(link.bytes for link in links),
        encoded_classes=encoded,
        lost=played.lost,
        signals=len(recording.signals),
        orders=len(recording.executed()),
        digest=digest([*recording.signals, *recording.executed()]),
        losses=tuple(str(finding) for finding in played.findings if finding.loses),
        hop_ns=tuple(joined(each for unit in played.statistics.units.values() for each in unit.hops)) if hops else (),
        event_ns=tuple(event_latencies(messages, paced.handed_ns, recording)) if paced is not None else (),
        tell_adds_ns=await tell_adds_ns() if job.tell else None,
    )


def frames_of(messages: Iterable[object]) -> bytes:
    """Messages as frames, as `spore.migration.digest` takes them."""
    return b"".join(spore.codec.encode(each, sequence=n, timestamp_ns=0) for n, each in enumerate(messages))


def _clients(played: Played) -> list[ClientStatistics]:
    known = (played.statistics.client, *(unit.client for unit in played.statistics.units.values()))
    return [client for client in known if client is not None]


if __name__ == "__main__":
    sys.exit(serve(RunJob, run))
