"""One run: a feed through a system, from its first event to the last signal, and what came out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from time import perf_counter
from typing import Any, Protocol

import attrs
import trio

from spore.deploy import Hop, Mode, SystemConfig, open_system
from spore.deploy.reading import reading_of
from spore.deploy.system import SystemStatistics
from spore.deploy.truth import Finding, findings_of
from spore.errors import FeedError, UsageError
from spore.feeds import Account, Feed, RecordedFeed, open_feed
from spore.migration.recording import Recorder, Recording, TimedRecorder
from spore.migration.standstill import watched
from spore.migration.tap import entries, recorders, tapped

__all__ = ["Meter", "Played", "lost_in", "play", "play_feed"]


@attrs.frozen(kw_only=True)
class Played:
    """What one run has shown."""

    recording: Recording
    account: Account
    """What the feed has read."""
    messages: int
    """How many events went in, counted once however many actors got them."""
    lost: int
    """How many messages were not handled, for whatever reason, in all processes."""
    seconds: float
    """From the first event to the end of the last actor, without the start of processes."""
    idle_after_s: float
    """From the first event to the moment when everything had been handled: without the end of processes, too."""
    processes: int
    statistics: SystemStatistics
    """Of the moment when everything had been handled."""
    findings: tuple[Finding, ...] = ()
    """What is to be known of the run at its end, the worst first: what was lost, and what an overflow policy gave up."""

    @property
    def whole(self) -> bool:
        """Whether every message was handled, or given up by an overflow policy."""
        return not any(finding.loses for finding in self.findings)

    failure: FeedError | None = None
    """Why a live feed has ended before it was told to. What it had sent by then was handled."""


class Meter(Protocol):
    """Told when what is to be measured begins, and when it has ended."""

    def begin(self, processes: Mapping[str, int]) -> None:
        """Everything has started; the numbers of all processes, as in `SystemStatistics.processes`."""

    def end(self) -> None:
        """Everything was handled, and everything still runs."""


async def play(
    *specs: str,
    config: SystemConfig,
    mode: Mode | None = None,
    watch: Callable[[Feed, int], None] | None = None,
    reading: trio.CancelScope | None = None,
) -> Played:
    """Play feeds through a system and record what comes out.

    Args:
        specs: what `spore.feeds.open_feed` opens.
        config: the system. Its own feeds are left out.
        mode: the mode of every bundle, in place of the configuration's.
        watch: told, after each batch, the feed and how many messages were sent.
        reading: cancelled from outside, ends the reading early; what was sent by then is handled.

    Cancellation: always a checkpoint. Cancelled, everything stops at once.

    Raises:
        ConfigError, UsageError, FeedError: before anything was started; a FeedError also where a recorded feed breaks off, or a live
            one before its first event; and a UsageError where nothing goes on because an actor that merges waits for a sender that says nothing.
        ExceptionGroup: as `spore.open_system`.
    """
    heads = entries(config)
    system_config = tapped(config if mode is None else config.in_mode(mode))
    async with open_feed(*specs) as feed:
        return await _play(feed, heads, system_config, watch=watch, reading=reading)


async def play_feed(
    feed: Feed,
    *,
    config: SystemConfig,
    mode: Mode | None = None,
    hops: tuple[Hop, ...] = (),
    meter: Meter | None = None,
    time_signals: bool = False,
) -> Played:
    """The same for a feed that is open, with what is to be measured.

    Args:
        feed: not read yet.
        config: as for `play`.
        mode: as for `play`.
        hops: those that are to be timed; what was noted is in the statistics.
        meter: told of the beginning and the end.
        time_signals: note when each signal comes, in `Recording.signals_at_ns`.

    Cancellation: as `play`.

    Raises:
        ConfigError, UsageError, FeedError, ExceptionGroup: as `play`.
    """
    system_config = tapped(config if mode is None else config.in_mode(mode))
    return await _play(feed, entries(config), system_config, hops=hops, meter=meter, time_signals=time_signals)


async def _play(
    feed: Feed,
    heads: tuple[str, ...],
    config: SystemConfig,
    *,
    watch: Callable[[Feed, int], None] | None = None,
    reading: trio.CancelScope | None = None,
    hops: tuple[Hop, ...] = (),
    meter: Meter | None = None,
    time_signals: bool = False,
) -> Played:
    recordings = {name: Recording() for name in recorders(config)}
    recorder = TimedRecorder if time_signals else Recorder
    local: Any = {name: (recorder, {"recording": recording}) for name, recording in recordings.items()}
    sent = 0
    failure: FeedError | None = None
    async with open_system(config, local=local, hops=hops) as system, watched(system) as standstill:
        refs = [system.ref(name) for name in heads]
        if meter is not None:
            meter.begin((await system.statistics()).processes)
        began = perf_counter()
        with reading or trio.CancelScope():
            try:
                async with aclosing(feed.batches()) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        with trio.CancelScope(shield=True), standstill.ends():  # a batch is sent whole, to all
                            for ref in refs:
                                await ref.send_many(batch)
                        sent += len(batch)
                        if watch is not None:
                            watch(feed, sent)
            except FeedError as error:
                if isinstance(feed, RecordedFeed) or not sent:
                    raise
                failure = error  # what a live feed has told cannot be had again
        with suppress(*(() if meter is not None else (UsageError,))), standstill.ends():
            await system.wait_idle()  # what is held is handled when everybody stops, but then it is not measured
        idle_after = perf_counter() - began
        if meter is not None:
            meter.end()
        statistics = await system.statistics()
    seconds = perf_counter() - began
    return Played(
        recording=Recording.joined(tuple(recordings.values())),
        account=feed.account,
        messages=sent,
        lost=lost_in(statistics),
        seconds=seconds,
        idle_after_s=idle_after,
        processes=len({*statistics.processes.values(), os.getpid()}),
        statistics=statistics,
        findings=findings_of(reading_of(system.plan, system.last), over=True) if system.last is not None else (),
        failure=failure,
    )


def lost_in(statistics: SystemStatistics) -> int:
    """What was given up by a mailbox, or before it got there by a link."""
    units = statistics.units.values()
    bundles = [unit.bundle for unit in units if unit.bundle is not None]
    clients = [client for client in (statistics.client, *(unit.client for unit in units)) if client is not None]
    actors = (actor.lost for bundle in bundles for actor in bundle.actors.values())
    ended = (bundle.ended.lost for bundle in bundles)
    links = (link.lost for client in clients for link in client.outgoing)
    return sum(sum(lost.values()) for lost in (*actors, *ended, *links))
