"""The intake: what clients send to streams, on its way to the disk, and acknowledged once it is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import trio

from spore.errors import JournalFull
from spore.relay.bell import Bell
from spore.relay.control import Hello, Policy
from spore.relay.incoming import Incoming
from spore.relay.shelf import Shelf
from spore.relay.streams import WINDOW, Origin, Taker, stable_number

__all__ = ["Intake"]

_log = logging.getLogger("spore.relay")

FULL_RETRY_S = 1.0
MAX_STREAMS = 1_000


class Intake:
    """All links to the journal.

    Args:
        shelf: where it goes.
        hello_of: how a client has introduced itself.
        added: told the keys of what is there for the first time, or again more of it.
    """

    def __init__(
        self, shelf: Shelf, hello_of: Callable[[int], Hello | None], added: Callable[[Iterable[str]], None]
    ) -> None:
        self.full = False
        self.arrived = Bell()
        self.session = Taker(stable_number(shelf.identity), self._announced)
        self.session.on_closed = self._closed
        self._shelf = shelf
        self._hello_of = hello_of
        self._added = added
        self._links: dict[Incoming, str] = {}
        for stream in shelf.streams():
            self._take(stream)

    def wanted(self, stream: str) -> str | None:
        """Somebody sends to a stream; return why that cannot be, if it cannot."""
        if stream not in self.session.attached:
            if len(self.session.attached) >= MAX_STREAMS:
                return f"the relay's journal has {MAX_STREAMS:,} streams already"
            self._take(stream)
        return None

    async def run(self) -> None:
        """Write what arrives, a batch at a time.

        Cancellation: always a checkpoint. A batch that is being written is on the disk, or not, before.

        Raises:
            JournalError: if the journal fails for another reason than a lack of room.
        """
        while True:
            await self.arrived.heard()
            batch = [(link, key, len(link.arrived)) for link, key in self._links.items() if link.arrived]
            records = self._shelf.unsaved_schemas()
            for link, key, count in batch:
                records += [(key, sequence, _frame(item)) for sequence, item, _ in islice(link.arrived, count)]
            if batch and await self._append(records):
                for link, _, count in batch:
                    for _ in range(count):
                        link.done(link.arrived.popleft()[0])
                    self.session.handled(link)
                self.session.acknowledge()
                self.session.on_send()

    async def _append(self, records: list[tuple[str, int, bytes]]) -> bool:
        """Write a batch; return whether there was room. If not, it is due again soon."""
        try:
            await trio.to_thread.run_sync(self._shelf.journal.append, records)
        except JournalFull as error:
            if not self.full:
                _log.error("%s; senders to its streams wait", error)
            self.full = True
            if not await self._make_room():
                await trio.sleep(FULL_RETRY_S)
            self.arrived.ring()
            return False
        if self.full:
            _log.warning("the journal has room again")
            self.full = False
        self._added(self._shelf.appended(records))
        return True

    async def _make_room(self) -> bool:
        try:
            return await trio.to_thread.run_sync(self._shelf.trim)
        except JournalFull:
            return False

    def _take(self, stream: str) -> None:
        self.session.attach(stream, window=WINDOW, policy=Policy.BLOCK)

    def _announced(self, link: Incoming) -> None:
        """Somebody sends to a stream, perhaps again."""
        hello = self._hello_of(link.client)
        if hello is None or link in self._links:
            return
        digest = hello.digest.hex()
        key = self._shelf.add(
            Origin(link.receiver, digest, link.client, link.link, link.high, link.client_name, link.sender, link.port),
            hello,
        )
        if key in self._shelf.ends:
            link.resume(self._shelf.ends[key][1])
        self._links[link] = key

    def _closed(self, link: Incoming) -> None:
        if not link.arrived:
            self._links.pop(link, None)


def _frame(item: Any) -> bytes:
    """What a `Taker` takes are frames."""
    assert isinstance(item, bytes)  # noqa: S101 - see there
    return item
