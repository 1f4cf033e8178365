"""One run: a feed through a system, from its first event to the last signal, and what came out."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import aclosing
from time import perf_counter

import attrs
import trio

from spore.deploy import Mode, SystemConfig, open_system
from spore.deploy.system import SystemStatistics
from spore.feeds import Account, Feed, open_feed
from spore.migration.recording import Recorder, Recording
from spore.migration.tap import RECORDER, entries, tapped

__all__ = ["Played", "play"]


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
    processes: int


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
        ConfigError, UsageError, FeedError: before anything was started; a FeedError also where the feed breaks off.
        ExceptionGroup: as `spore.open_system`.
    """
    recording = Recording()
    heads = entries(config)
    system_config = tapped(config if mode is None else config.in_mode(mode))
    sent = 0
    async with open_feed(*specs) as feed:
        async with open_system(system_config, local={RECORDER: (Recorder, {"recording": recording})}) as system:
            refs = [system.ref(name) for name in heads]
            began = perf_counter()
            with reading or trio.CancelScope():
                async with aclosing(feed.batches()) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        with trio.CancelScope(shield=True):  # a batch is sent whole, to all
                            for ref in refs:
                                await ref.send_many(batch)
                        sent += len(batch)
                        if watch is not None:
                            watch(feed, sent)
            await system.wait_idle()
            statistics = await system.statistics()
        seconds = perf_counter() - began
    return Played(
        recording=recording,
        account=feed.account,
        messages=sent,
        lost=_lost(statistics),
        seconds=seconds,
        processes=len({*statistics.processes.values(), os.getpid()}),
    )


def _lost(statistics: SystemStatistics) -> int:
    bundles = [unit.bundle for unit in statistics.units.values() if unit.bundle is not None]
    return sum(sum(actor.lost.values()) for bundle in bundles for actor in bundle.actors.values())
