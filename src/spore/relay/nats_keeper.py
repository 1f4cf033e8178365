"""Streams in JetStream, as a switchboard's keeper: what `spore.relay.keeper` is with a file.

Follow one message: its sender's link leads to ``journal:NAME`` on the switchboard of its own process → `Writer` → the stream →
the acknowledgement, once the servers have it. In the receiver's process a `Reader` gives it on, over a link of its own.

Invariants: nothing is acknowledged that is not in its stream; what some receiver has not handled is never purged; at most a
window of each link is in memory, and of each stream what was asked for at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from spore.distribution import needs
from spore.relay.control import STREAM
from spore.relay.inside import Insiders
from spore.relay.nats_reader import RETRY_S, Reader
from spore.relay.nats_store import Store
from spore.relay.nats_trials import Caution
from spore.relay.nats_writer import Writer
from spore.relay.switchboard import Switchboard

with needs("nats"):
    from nats.js.errors import APIError

if TYPE_CHECKING:
    from spore.relay.nats import Nats

__all__ = ["NatsKeeper"]


class NatsKeeper:
    """The streams that the clients of one switchboard send to and subscribe.

    Args:
        nats: the way to the servers.
        store: the streams.
        board: the switchboard.
        flush: writes what is queued for clients.
        nursery: owns the readers.
    """

    def __init__(
        self, nats: Nats, store: Store, board: Switchboard, flush: Callable[[], None], nursery: trio.Nursery
    ) -> None:
        self._nats = nats
        self._store = store
        self._nursery = nursery
        self.caution = Caution()
        self._readers: dict[tuple[str, str], tuple[Reader, trio.CancelScope]] = {}
        self._inside = Insiders(board, flush)
        self._writer = Writer(nats, store, board.hello_of)
        self._inside.on_arrived = self._writer.arrived.ring
        self.wanted = self._writer.wanted
        board.keeper = self
        self._inside.join(self._writer.session, any_schema=True)

    @property
    def full(self) -> bool:
        """Whether a stream takes nothing more, so that its senders wait."""
        return self._writer.full

    async def run(self) -> None:
        """Keep what comes and give what is wanted, until cancelled.

        Cancellation: always a checkpoint.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._inside.exchange)
            nursery.start_soon(self._writer.run)

    def subscribed(self, stream: str, receiver: str) -> None:
        """A receiver wants what is kept of a stream, and what follows."""
        key = stream.removeprefix(STREAM), receiver
        if key not in self._readers:
            reader = Reader(self._nats, self._store, *key, self._inside.join, self.caution)
            scope = trio.CancelScope()
            self._readers[key] = reader, scope
            self._nursery.start_soon(self._read, reader, scope)

    def left(self, stream: str, receiver: str) -> None:
        """It never will again."""
        reader, scope = self._readers.pop((stream.removeprefix(STREAM), receiver), (None, None))
        if reader is not None and scope is not None:
            scope.cancel()
            self._nursery.start_soon(self._leave, reader)

    def vanished(self, subscribers: list[tuple[str, str]]) -> None:
        """Of no account: the subscribers live in this process; see `spore.relay.nats_trials`."""

    async def _read(self, reader: Reader, scope: trio.CancelScope) -> None:
        with scope:
            await reader.run()

    async def _leave(self, reader: Reader) -> None:
        while True:
            try:
                await reader.leave(await self._nats.connection())
            except APIError:
                await trio.sleep(RETRY_S)
            else:
                return
