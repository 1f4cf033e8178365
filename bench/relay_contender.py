"""What can be measured in the relay bench: a transport with three entry points, each for a process of its own.

The work is the same for all, whole message object to whole message object: `send` encodes with `spore.codec`, the
bytes go through a Unix socket to the relay and through another to every subscriber, and `receive` decodes each frame and
gives the message to the subscriber's sink. Nothing is dropped: where a receiver is slow, the sender waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar

import trio

from bench.relay_load import BenchQuote, Sink, Source

__all__ = ["Contender", "feed"]


class Contender(ABC):
    """One transport. Each method runs alone in a fresh process, which may run any event loop."""

    name: ClassVar[str]
    has_relay: ClassVar[bool] = True
    """Whether there is a relay in between. Without one, `receive` is called first and listens."""

    @abstractmethod
    def relay(self, path: Path, ready: Callable[[], None]) -> None:
        """Serve on a Unix socket at this path until the process is terminated.

        Args:
            path: where there is nothing yet, in a directory of the run's own.
            ready: to be called when it listens.
        """

    @abstractmethod
    def receive(self, path: Path, sinks: Sequence[Sink], ready: Callable[[], None]) -> None:
        """Be as many subscribers as there are sinks, each with a connection and a decoder of its own.

        Args:
            path: where the relay listens by now.
            sinks: each takes every message; return when all of them are done.
            ready: to be called when all are subscribed for certain, so that no message passes them by.
        """

    @abstractmethod
    def send(self, path: Path, source: Source) -> None:
        """Connect, call ``source.start()``, send all that the source has; return when all has been handed over.

        The connection may be left open: the process is killed when the subscribers have taken everything.
        """


async def feed(source: Source, send: Callable[[BenchQuote], Awaitable[object]]) -> None:
    """Send all of a source from trio. The connection must be up."""
    source.start()
    if not source.paced:
        for message in source.flood():
            await send(message)
    while not source.finished:
        await trio.lowlevel.wait_readable(source)
        for message in source.due():
            await send(message)
