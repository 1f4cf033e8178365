"""The outlets: what the journal holds, on its way to subscribers, each as far as it has room, from where it left off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import attrs
import trio

from spore.errors import JournalFull
from spore.relay.bell import Bell
from spore.relay.outgoing import LinkOptions, Outgoing
from spore.relay.session import Session
from spore.relay.shelf import Shelf
from spore.relay.streams import WINDOW, Giver, stable_number

__all__ = ["Outlets"]

READ_BYTES = 256 * 1024
NOTE_EVERY_S = 0.2
"""How far subscribers have come is noted so often; it costs a synced write. They know it better themselves while they live."""


@attrs.define(eq=False)
class Way:
    """One subscriber's way through what one sender has sent."""

    key: str
    receiver: str
    giver: Giver
    link: Outgoing
    noted: int
    """How far the journal knows the subscriber to be; -1 if it knows nothing of it yet."""


class Outlets:
    """All links from the journal.

    Args:
        shelf: where it comes from.
        join: connects a session with the relay.
    """

    def __init__(self, shelf: Shelf, join: Callable[[Session], None]) -> None:
        self._shelf = shelf
        self._join = join
        self._hungry, self._moved = Bell(), Bell()
        self._givers: dict[tuple[str, str], Giver] = {}
        """By schema and receiver."""
        self._ways: dict[tuple[str, str], Way] = {}
        self._leaving: list[str] = []

    # For the switchboard, and the intake

    def subscribed(self, stream: str, receiver: str) -> None:
        """A receiver wants what is kept of a stream, and what follows."""
        self._shelf.subscribers.setdefault(stream, {})[receiver] = None
        for key in self._shelf.keys(stream):
            self._lead(key, receiver)

    def left(self, stream: str, receiver: str) -> None:
        """It never will again."""
        self._shelf.subscribers.get(stream, {}).pop(receiver, None)
        for key in self._shelf.keys(stream):
            self._shelf.marks[key].pop(receiver, None)
            way = self._ways.pop((key, receiver), None)
            if way is not None:
                way.giver.close(way.link)
        self._leaving.append(receiver)
        self._moved.ring()

    def added(self, new: Iterable[str]) -> None:
        """There is more on the disk, and of these keys there was nothing before."""
        for key in new:
            for receiver in self._shelf.subscribers.get(self._shelf.origins[key].stream, ()):
                self._lead(key, receiver)
        self._hungry.ring()

    # With trio

    async def run(self) -> None:
        """Send each subscriber what it has room for.

        Cancellation: always a checkpoint.
        """
        while True:
            await self._hungry.heard()
            for way in tuple(self._ways.values()):
                while way.link.hungry and way.link.last < self._shelf.ends[way.key][1]:
                    frames = await trio.to_thread.run_sync(self._shelf.journal.read, way.key, way.link.last, READ_BYTES)
                    for sequence, frame in frames:
                        if way.link.hungry and sequence == way.link.last + 1:
                            way.link.queue_frame(frame)

    async def note(self) -> None:
        """Note how far subscribers have come, now and then.

        Cancellation: always a checkpoint; a note that is being written is on the disk before.
        """
        while True:
            await self._moved.heard()
            marks, leaving, self._leaving = self._new_marks(), self._leaving, []
            try:
                await trio.to_thread.run_sync(self._write, marks, leaving)
            except JournalFull:
                self._leaving += leaving
                self._moved.ring()
            else:
                self._noted(marks)
            await trio.sleep(NOTE_EVERY_S)

    def finish(self) -> None:
        """Note it once more. It blocks while the disk does."""
        with suppress(JournalFull):
            self._write(self._new_marks(), self._leaving)

    def _write(self, marks: list[tuple[str, str, int]], leaving: list[str]) -> None:
        for receiver in leaving:
            self._shelf.journal.forget(receiver)
        self._shelf.journal.set_marks(marks)

    def _new_marks(self) -> list[tuple[str, str, int]]:
        ways = self._ways.values()
        return [(way.key, way.receiver, way.link.acked_by_all) for way in ways if way.link.acked_by_all > way.noted]

    def _noted(self, marks: list[tuple[str, str, int]]) -> None:
        for key, receiver, sequence in marks:
            way = self._ways.get((key, receiver))
            if way is not None:
                way.noted = self._shelf.marks[key][receiver] = sequence

    # The ends of links

    def _lead(self, key: str, receiver: str) -> None:
        """Open the way from what one sender has sent to a subscriber."""
        if (key, receiver) in self._ways:
            return
        origin = self._shelf.origins[key]
        giver = self._giver(origin.digest, receiver)
        link = giver.open(
            sender=origin.sender,
            port=origin.port,
            high=origin.high,
            receivers=(receiver,),
            options=LinkOptions(capacity=WINDOW),
            channel=self._shelf.numbers[key],
        )
        mark = self._shelf.marks[key].get(receiver, -1)
        first, last = self._shelf.ends[key]
        link.resume(max(mark, first - 1), last, known=mark >= 0)
        way = self._ways[key, receiver] = Way(key, receiver, giver, link, mark)
        link.on_change = partial(self._changed, way)
        self._moved.ring()

    def _giver(self, digest: str, receiver: str) -> Giver:
        giver = self._givers.get((digest, receiver))
        if giver is None:
            number = stable_number(self._shelf.identity, digest, receiver)
            giver = self._givers[digest, receiver] = Giver(number, self._shelf.schemas[digest])
            self._join(giver)
        return giver

    def _changed(self, way: Way) -> None:
        if way.link.to_send:
            way.giver.queued(way.link)
        if way.link.acked_by_all > way.noted:
            self._moved.ring()
        self._hungry.ring()
