"""The intake: what clients send to streams, on its way to the disk, and acknowledged once it is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import trio

from spore.errors import JournalError, JournalFailed, JournalFull
from spore.relay.bell import Bell
from spore.relay.control import Hello, Policy, Reason
from spore.relay.incoming import Incoming
from spore.relay.shelf import Shelf
from spore.relay.streams import WINDOW, Origin, Taker, stable_number
from spore.relay.trouble import RETRY_S, Trouble

__all__ = ["Intake"]

_log = logging.getLogger("spore.relay")

MAX_STREAMS = 1_000


class Intake:
    """All links to the journal.

    Args:
        shelf: where it goes.
        hello_of: how a client has introduced itself.
        added: told the keys of what is there for the first time, or again more of it.
        trouble: what is wrong with the journal.
    """

    def __init__(
        self,
        shelf: Shelf,
        hello_of: Callable[[int], Hello | None],
        added: Callable[[Iterable[str]], None],
        trouble: Trouble,
    ) -> None:
        self.arrived = Bell()
        self.session = Taker(stable_number(shelf.identity), self._announced)
        self.session.on_closed = self._closed
        self._shelf = shelf
        self._hello_of = hello_of
        self._added = added
        self._trouble = trouble
        self._apart = False
        """Whether links are written one by one, because what all have sent together could not be."""
        self._most = WINDOW
        """How many messages of a link are written at once."""
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
        """Write what arrives, a batch at a time. What cannot be written is tried again; its senders wait.

        Cancellation: always a checkpoint. A batch that is being written is on the disk, or not, before.
        """
        while True:
            await self.arrived.heard()
            links = [link for link in self._links if link.arrived]
            parts = [[link] for link in links] if self._apart else [links] if links else []
            done = [await self._write(part) for part in parts]
            if all(done):
                self._apart, self._most = False, WINDOW
                self._trouble.over("appending")
            else:
                self._most = max(1, self._most // 2)  # a large batch may be what finds no room
                self.arrived.ring()

    async def _write(self, links: list[Incoming]) -> bool:
        """Write what has come over some links, as much as is to be written at once; return whether there is nothing more to be done
        about it now."""
        counts = [(link, min(len(link.arrived), self._most)) for link in links]
        records = self._shelf.unsaved_schemas()
        for link, count in counts:
            key = self._links[link]
            records += [(key, sequence, _frame(item)) for sequence, item, _ in islice(link.arrived, count)]
        try:
            numbers = await trio.to_thread.run_sync(self._shelf.journal.append, records)
        except (JournalFull, JournalFailed) as error:
            await self._wait(error)
            return False
        except JournalError as error:
            self._refuse(links, error)
            return False
        self._added(self._shelf.appended(records, numbers))
        for link, count in counts:
            for _ in range(count):
                link.done(link.arrived.popleft()[0])
            self.session.handled(link)
            if link.arrived:
                self.arrived.ring()
        self.session.acknowledge()
        self.session.on_send()
        return True

    async def _wait(self, error: JournalError) -> None:
        """Nothing could be written: make room, if that is what is needed, or wait a while."""
        self._trouble.happened("appending", error, "senders to its streams wait")
        if isinstance(error, JournalFull):
            try:
                if await trio.to_thread.run_sync(self._shelf.trim):
                    return
            except JournalError as failed:
                error = failed
        else:
            self._apart = True
        await trio.sleep(RETRY_S)

    def _refuse(self, links: list[Incoming], error: JournalError) -> None:
        """What has come contradicts what is there: give up the link whose it is, and no other."""
        if len(links) > 1:
            self._apart = True
            return
        (link,) = links
        _log.error("%s; the link of %r is given up", error, link.client_name)
        self.session.deny(link, Reason.JOURNAL, str(error))
        link.arrived.clear()
        del self._links[link]

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
