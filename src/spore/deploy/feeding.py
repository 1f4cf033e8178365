"""A feed that runs in a process of its own, and sends what it reads to its actors."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import attrs
import trio

from spore import feeds
from spore.deploy.links import Links, open_links
from spore.deploy.shards import together
from spore.deploy.spec import FeedSpec
from spore.deploy.unit import UnitStatistics

__all__ = ["RunningFeed"]


class RunningFeed:
    """A feed at work. It answers to what a `spore.deploy.unit.RunningUnit` does."""

    def __init__(self, spec: FeedSpec) -> None:
        self.spec = spec
        self.label = spec.label
        self.started = trio.Event()
        """Set when its actors know it, and it could read."""
        self._links: Links | None = None
        self._feed: Any = None
        self._to_read = trio.Event()
        self._reading = trio.CancelScope()
        self._ended = trio.Event()
        self._to_leave = trio.Event()

    async def run(self) -> None:
        """Read the feed to its end, or until it is to stop, and keep what is under way until it is to leave.

        Cancellation: always a checkpoint.

        Raises:
            ExceptionGroup: with `spore.errors.FeedError` where the source cannot be read.
        """
        spec = self.spec
        for module in spec.modules:
            importlib.import_module(module)
        async with open_links(spec.link, spec.label) as self._links:
            links = [self._links.ref(target, sender=spec.name) for target in spec.targets]
            refs = together((ref, each.shards, each.by) for ref, each in zip(links, spec.targets, strict=True))
            async with feeds.open_feed(*spec.feed.source) as self._feed:
                for link in links:
                    await link.wait_open()
                self.started.set()
                with self._reading:
                    await self._to_read.wait()
                    async with aclosing(self._batches()) as batches:
                        async for batch in batches:
                            for ref in refs:
                                await ref.send_many(batch)
            for ref in refs:
                ref.idle()
            self._ended.set()
            await self._to_leave.wait()

    def _batches(self) -> AsyncGenerator[Sequence[Any], None]:
        rate = self.spec.feed.rate
        return self._feed.batches() if rate is None else feeds.at_rate(self._feed, rate)

    async def read(self) -> None:
        """Begin to read. An actor that merges has to know every feed before the first of them sends.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        self._to_read.set()

    async def wait_ended(self) -> None:
        """Wait until everything has been read and sent.

        Cancellation: a checkpoint.
        """
        await self._ended.wait()

    async def settle(self, receivers: tuple[str, ...], *, idle: bool) -> int:
        """As `spore.deploy.unit.RunningUnit.settle`. What has not been read yet has not been sent.

        Cancellation: always a checkpoint.
        """
        if self._links is None:
            return 0
        await self._links.drain(*receivers)
        return sum(link.counts.sent for link in self._links.outgoing)

    async def statistics(self, actors: Collection[str] | None = None, *, letters: int = 0) -> UnitStatistics:
        """Counts of what was read and sent, as of `spore.deploy.unit.RunningUnit.statistics`.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        client = self._links.statistics(actors) if self._links is not None else None
        account: Mapping[str, Any] | None = attrs.asdict(self._feed.account) if self._feed is not None else None
        return UnitStatistics(label=self.label, pid=os.getpid(), restarts=0, client=client, account=account)

    async def lift_bounds(self) -> None:
        """Everything is about to end: read no more.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        self._reading.cancel()

    async def finish(self) -> None:
        """As `spore.deploy.unit.RunningUnit.finish`.

        Cancellation: a checkpoint.
        """
        self._reading.cancel()
        await self._ended.wait()

    async def part(self) -> None:
        """As `spore.deploy.unit.RunningUnit.part`.

        Cancellation: always a checkpoint.
        """
        if self._links is not None:
            await self._links.part()

    def leave(self) -> None:
        """Be gone. What others have not handled of what was sent from here is given up."""
        self._reading.cancel()
        self._to_leave.set()
