"""The outlets: what the journal holds, on its way to subscribers, each as far as it has room, from where it left off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from math import inf

import attrs
import trio

from spore.errors import JournalError, JournalFull
from spore.relay.bell import Bell
from spore.relay.deaths import Deaths
from spore.relay.journal_dead import Aside
from spore.relay.outgoing import LinkOptions
from spore.relay.session import Session
from spore.relay.shelf import Shelf
from spore.relay.streams import WINDOW, Giver, stable_number
from spore.relay.trouble import RETRY_S, Trouble
from spore.relay.way import Way

__all__ = ["Outlets"]

_log = logging.getLogger("spore.relay")

READ_BYTES = 256 * 1024
NOTE_EVERY_S = 0.2
"""How far subscribers have come is noted so often; it costs a synced write. They know it better themselves while they live."""


@attrs.frozen
class _Note:
    """What is to be written of subscribers."""

    marks: list[tuple[str, str, int]]
    leaving: list[str]
    aside: list[Aside]
    records: dict[tuple[str, str], str | None]


class Outlets:
    """All links from the journal.

    Args:
        shelf: where it comes from.
        join: connects a session with the relay.
        trouble: what is wrong with the journal.
        deaths: what is known of the deaths of subscribers.
    """

    def __init__(self, shelf: Shelf, join: Callable[[Session], None], trouble: Trouble, deaths: Deaths) -> None:
        self._shelf = shelf
        self._join = join
        self._trouble = trouble
        self._deaths = deaths
        self._over = False
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
            self._close(key, receiver)
        self._leaving.append(receiver)
        self._moved.ring()

    def vanished(self, subscribers: list[tuple[str, str]]) -> None:
        """A process is gone without a farewell. At the end of the relay that says nothing."""
        if not self._over:
            names = [(key, receiver) for stream, receiver in subscribers for key in self._shelf.keys(stream)]
            self._deaths.vanished(self._ways[name] for name in names if name in self._ways)
            self._moved.ring()

    def forgotten(self, shorter: list[str], gone: list[tuple[str, str]]) -> None:
        """Another process has forgotten the first messages of some keys, or how far some receivers are. One that is there is known again
        at once."""
        for key, receiver in gone:
            way = self._ways.get((key, receiver))
            if way is not None and way.open:
                way.noted = -1
                self._moved.ring()
                continue
            self._close(key, receiver)
            stream = self._shelf.origins[key].stream
            if not any(receiver in self._shelf.marks[other] for other in self._shelf.keys(stream)):
                self._shelf.subscribers.get(stream, {}).pop(receiver, None)
        for way in tuple(self._ways.values()):
            if way.key in shorter and way.link.last < self._shelf.ends[way.key][0] - 1:
                self._close(way.key, way.receiver)
                self._lead(way.key, way.receiver)
        self._hungry.ring()

    def _close(self, key: str, receiver: str) -> None:
        self._deaths.forget((key, receiver))
        way = self._ways.pop((key, receiver), None)
        if way is not None:
            way.giver.close(way.link)

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
        failed = False
        while True:
            with trio.move_on_after(RETRY_S if failed or self._deaths.pending else inf):
                await self._hungry.heard()
            failed = False
            for way in tuple(self._ways.values()):
                failed |= not await self._give(way)

    async def _give(self, way: Way) -> bool:
        """Send a subscriber what it has room for; return whether all of that could be read."""
        link, doing = way.link, f"reading {way.key}"
        while link.hungry and link.last < self._shelf.ends[way.key][1] and (most := self._allowed(way)):
            try:
                size = READ_BYTES if most > 1 else 1
                frames = await trio.to_thread.run_sync(self._shelf.journal.read, way.key, link.last, size)
            except JournalError as error:
                stream = self._shelf.origins[way.key].stream
                self._trouble.happened(doing, error, f"{way.receiver!r}, which reads {stream!r}, waits")
                return False
            self._trouble.over(doing)
            last = link.last
            for sequence, frame in frames:
                if link.hungry and sequence == link.last + 1 and self._allowed(way):
                    self._deaths.given(way)
                    link.queue_frame(frame)
            if link.last == last:
                break  # what is next was forgotten, which is about to be noticed, or there is no room any more
        return True

    def _allowed(self, way: Way) -> int:
        return self._deaths.allowed(way, self._ways.values())

    async def note(self) -> None:
        """Note how far subscribers have come, now and then, and what they died of.

        Cancellation: always a checkpoint; a note that is being written is on the disk before.
        """
        while True:
            await self._moved.heard()
            note = self._news()
            self._leaving = []
            try:
                await trio.to_thread.run_sync(self._write, note)
            except JournalError as error:
                if not isinstance(error, JournalFull):  # which concerns senders, and is told when they have to wait
                    self._trouble.happened("noting", error, "how far subscribers have come is not noted")
                self._leaving += note.leaving
                self._moved.ring()
                await trio.sleep(RETRY_S)
            else:
                self._trouble.over("noting")
                self._noted(note)
                await trio.sleep(NOTE_EVERY_S)

    def finish(self) -> None:
        """Note it once more: nobody who vanishes from now on has died. It blocks while the disk does."""
        self._over = True
        try:
            self._write(self._news())
        except JournalError as error:
            _log.warning(
                "%s; subscribers that come again may be sent again what they have handled, marked as such", error
            )

    def _write(self, note: _Note) -> None:
        journal = self._shelf.journal
        if note.aside or note.records:
            journal.dead.write(note.aside, note.records)  # first: a mark must not pass what is to be set aside
        for receiver in note.leaving:
            journal.forget(receiver)
        journal.set_marks(note.marks)

    def _news(self) -> _Note:
        for way in self._ways.values() if self._deaths.pending else ():
            self._deaths.settle(way)
        return _Note(self._new_marks(), self._leaving, *self._deaths.unsaved())

    def _new_marks(self) -> list[tuple[str, str, int]]:
        ways = self._ways.values()
        return [(way.key, way.receiver, way.link.acked_by_all) for way in ways if way.link.acked_by_all > way.noted]

    def _noted(self, note: _Note) -> None:
        self._deaths.saved(note.aside, note.records)
        for each in note.aside:
            name = self._shelf.origins[each.stream].stream
            _log.error(
                "message %d of stream %r was set aside: %d processes of %r died of it; spore journal show --dead shows it",
                each.sequence,
                name,
                each.deaths,
                each.receiver,
            )
        for key, receiver, sequence in note.marks:
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
        link.resume(max(mark, first - 1), last, known=mark >= 0 or self._deaths.is_known((key, receiver)))
        way = self._ways[key, receiver] = Way(key, receiver, giver, link, mark)
        link.on_change = partial(self._changed, way)
        link.on_accept = partial(self._came, way)
        self._moved.ring()

    def _giver(self, digest: str, receiver: str) -> Giver:
        giver = self._givers.get((digest, receiver))
        if giver is None:
            number = stable_number(self._shelf.identity, digest, receiver)
            giver = self._givers[digest, receiver] = Giver(number, self._shelf.schemas[digest])
            self._join(giver)
        return giver

    def _came(self, way: Way, successor: bool) -> None:
        if self._deaths.pending:
            self._deaths.returned(way, successor)
            self._moved.ring()

    def _changed(self, way: Way) -> None:
        if way.link.to_send:
            way.giver.queued(way.link)
        if way.link.acked_by_all > way.noted:
            self._moved.ring()
        self._hungry.ring()
