"""One load test of one mode, in a process of its own: ``python -m spore.migration.load``.

It tells which processes there are when the load begins, a sample now and then, and the result. Nothing is kept of what comes out: it is
counted, and how late it is goes into a distribution, so that memory that grows is the pipeline's own.
"""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import aclosing
from time import perf_counter_ns
from typing import Any

import attrs
import trio

import spore
from spore.deploy import System, SystemConfig, open_system
from spore.deploy.system import SystemStatistics
from spore.errors import UsageError
from spore.migration.bursts import BURSTS_HZ, Bursts, Endless
from spore.migration.lateness import Lateness, LatenessSummary
from spore.migration.loop import read_whole
from spore.migration.play import lost_in
from spore.migration.resources import CpuMeter
from spore.migration.tap import entries, recorders, tapped
from spore.migration.worker import Say, serve
from spore.services.messages import ExecutionReport, OrderRequest

__all__ = ["LoadJob", "LoadResult", "run_load"]


@attrs.frozen(kw_only=True)
class LoadJob:
    """What to run."""

    path: tuple[str, ...]
    """Where to import modules from."""
    feeds: tuple[str, ...]
    config: SystemConfig
    rate: int
    """Messages a second."""
    seconds: float
    patience_s: float
    """So long after the end the last messages may still go out."""
    warm_up_s: float
    """So long from the beginning nothing counts as late."""
    sample_s: float
    """How often to look at the queues."""


@attrs.frozen(kw_only=True)
class LoadResult:
    """What it has shown."""

    planned: int
    """Events that were due."""
    sent: int
    """Of these, the ones that went in. The others were so late that they were left out."""
    lost: int
    """Messages that failed, were given up, or have disappeared, anywhere in the pipeline."""
    seconds: float
    """From the first event until everything had been handled."""
    cpu_seconds: float
    """In that time, over all processes."""
    processes: int
    signals: int
    orders: int
    reports: int
    sending: LatenessSummary
    """Of each burst after the warm-up: from the moment when it was due to its sending."""
    output: LatenessSummary
    """Of each signal and order after the warm-up: from the moment when the event that has led to it was due to that when it had come out."""


@attrs.define
class Output:
    """What has come out so far."""

    late: Lateness = attrs.field(factory=Lateness)
    """Of signals and orders, whose event time is that of the event which has led to them."""
    timed_from_ns: int = 0
    """The event time from which on that counts."""
    signals: int = 0
    orders: int = 0
    reports: int = 0


@attrs.define
class OutputCounter(spore.Actor[Any]):
    """Counts what it gets, and forgets it."""

    output: Output

    def handle(self, message: Any) -> None:
        if isinstance(message, ExecutionReport):  # whose event time may be that of a fill that was due later
            self.output.reports += 1
            return
        if isinstance(message, OrderRequest):
            self.output.orders += 1
        else:
            self.output.signals += 1
        event_time_ns = getattr(message, "event_time_ns", -1)  # a signal of the user's own may have none
        if event_time_ns >= self.output.timed_from_ns:
            self.output.late.add(perf_counter_ns() - event_time_ns)


async def run_load(job: LoadJob, say: Say) -> LoadResult:
    """Do a load test in this process.

    Cancellation: always a checkpoint; nothing is left running.

    Raises:
        ConfigError, UsageError, FeedError: before anything was started.
        UsageError: also if a process has died and was started again, and what it had counted is gone.
        ExceptionGroup: as `spore.open_system`.
    """
    for module in job.config.modules:
        importlib.import_module(module)  # the feeds may hold what they declare
    heads = entries(job.config)
    recording = Endless(await read_whole(*job.feeds))
    bursts = Bursts(recording, rate=job.rate, seconds=job.seconds, patience_s=job.patience_s, warm_up_s=job.warm_up_s)
    output = Output()
    gc.collect()
    gc.freeze()  # the recording is no part of what is measured
    meter = CpuMeter(lambda processes: say(event="measuring", processes=processes))
    local: Any = {name: (OutputCounter, {"output": output}) for name in recorders(job.config)}
    async with open_system(tapped(job.config), local=local) as system:
        refs = [system.ref(name) for name in heads]
        meter.begin((await system.statistics()).processes)
        sampler = _Sampler(system, bursts, output, say)
        bursts.begin()
        output.timed_from_ns = bursts.timed_from_ns
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sampler.run, job.sample_s)
            async with aclosing(bursts.batches()) as batches:
                async for batch in batches:
                    for ref in refs:
                        await ref.send_many(batch)
                    sampler.sent += len(batch)
            nursery.cancel_scope.cancel()
        await sampler.sample()
        await system.wait_idle()
        seconds = bursts.age_s
        meter.end()
        statistics = await system.statistics()
    return LoadResult(
        planned=bursts.planned,
        sent=sampler.sent,
        lost=_lost(statistics, heads, sampler.sent),
        seconds=seconds,
        cpu_seconds=meter.seconds,
        processes=len(set(statistics.processes.values())),
        signals=output.signals,
        orders=output.orders,
        reports=output.reports,
        sending=bursts.late.summary(),
        output=output.late.summary(),
    )


class _Sampler:
    """Tells now and then how much waits, and how late the latest was since it told that last."""

    def __init__(self, system: System, bursts: Bursts, output: Output, say: Say) -> None:
        self.sent = 0
        self._system = system
        self._bursts = bursts
        self._output = output
        self._say = say

    async def run(self, every_s: float) -> None:
        at_s = 0.5 / BURSTS_HZ  # between two bursts: what has just become due does not wait
        while True:
            await trio.sleep(max(0.0, at_s - self._bursts.age_s))
            await self.sample()
            at_s += every_s

    async def sample(self) -> None:
        waiting = waiting_in(await self._system.statistics())
        self._say(
            event="sample",
            at_s=self._bursts.age_s,
            sent=self.sent,
            waiting=waiting + max(0, self._bursts.due() - self.sent),
            late_ns=self._output.late.take_recent_ns(),
        )


def waiting_in(statistics: SystemStatistics) -> int:
    """How many messages are in a mailbox or between two processes. One that has come by a link and waits in a mailbox is known to both
    ends, and counts once."""
    units = statistics.units.values()
    clients = [client for client in (statistics.client, *(unit.client for unit in units)) if client is not None]
    waiting = sum(link.outstanding for client in clients for link in client.outgoing)
    for unit in units:
        queued = (
            sum(actor.queued + actor.held for actor in unit.bundle.actors.values()) if unit.bundle is not None else 0
        )
        arrived = sum(link.waiting for link in unit.client.incoming) if unit.client is not None else 0
        waiting += max(0, queued - arrived)
    return waiting


def _lost(statistics: SystemStatistics, heads: tuple[str, ...], sent: int) -> int:
    """What was given up or has failed, and of what was sent to the heads, what nothing else is known of."""
    died = [label for label, unit in statistics.units.items() if unit.restarts]
    if died:
        raise UsageError(f"{', '.join(died)} has died and was started again, so that nobody knows what it had handled")
    bundles = [unit.bundle for unit in statistics.units.values() if unit.bundle is not None]
    actors = {name: actor for bundle in bundles for name, actor in bundle.actors.items()}
    links = statistics.client.outgoing if statistics.client is not None else ()
    missing = 0
    for head in heads:
        known = actors[head].received + sum(sum(link.lost.values()) for link in links if link.receiver == head)
        missing += max(0, sent - known)
    return missing + lost_in(statistics) + sum(actor.failed for actor in actors.values())


if __name__ == "__main__":
    sys.exit(serve(LoadJob, run_load))
