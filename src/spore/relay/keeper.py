"""The keeper: the relay's journal at work, as a client of the relay that lives in its process.

Follow one message: its sender's link leads to ``journal:NAME`` → `Taker` → the journal, in batches → the acknowledgement, once
it is on the disk. For each subscriber a `Giver` reads it back and sends it, and what the subscriber has acknowledged is
noted, so that a restarted one goes on from there, and so does a restarted relay.

Invariants: nothing is acknowledged that is not on the disk; what some subscriber has not acknowledged is never trimmed; at
most a window of each link is in memory.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice

import attrs
import trio

from spore.errors import JournalFull, RelayError
from spore.relay.control import Hello, Policy, control_of
from spore.relay.incoming import Incoming
from spore.relay.journal import Journal
from spore.relay.outgoing import LinkOptions, Outgoing
from spore.relay.session import Session
from spore.relay.streams import WINDOW, Giver, Origin, Taker, plain_hello, schema_stream, stable_number
from spore.relay.switchboard import Peer, Switchboard

__all__ = ["Keeper"]

_log = logging.getLogger("spore.relay")

READ_BYTES = 256 * 1024
NOTE_EVERY_S = 0.2
"""How far subscribers have come is noted so often; it costs a synced write. They know it better themselves while they live."""
FULL_RETRY_S = 1.0
MAX_STREAMS = 1_000
_IDENTITY = "identity"


@attrs.define(eq=False)
class Way:
    """One subscriber's way through what one sender has sent."""

    key: str
    receiver: str
    giver: Giver
    link: Outgoing
    noted: int
    """How far the journal knows the subscriber to be; -1 if it knows nothing of it yet."""


class Bell:
    """Rung as often as one likes, and heard once."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Have whoever listens go on."""
        self._rung.set()

    async def heard(self) -> None:
        """Wait until it is rung, or was since the last time.

        Cancellation: always a checkpoint.
        """
        await self._rung.wait()
        self._rung = trio.Event()


class Keeper:
    """A journal, and its links to and from the clients of a relay.

    Args:
        journal: its memory, open. Closing it is the caller's.
        board: the relay's switchboard.
        flush: writes what is queued for clients.
    """

    def __init__(self, journal: Journal, board: Switchboard, flush: Callable[[], None]) -> None:
        self.full = False
        """Whether the journal has no room, so that senders to its streams wait."""
        self._journal = journal
        self._board = board
        self._flush = flush
        self._said, self._arrived, self._hungry, self._moved = Bell(), Bell(), Bell(), Bell()
        self._peers: dict[Session, Peer] = {}
        self._schemas: dict[str, Hello] = {}
        self._unsaved: dict[str, Hello] = {}
        self._origins: dict[str, Origin] = {}
        """By key: all streams that have frames, and those that are about to."""
        self._ends = journal.ends()
        self._numbers = {key: journal.number(key) for key in self._ends}
        self._marks: dict[str, dict[str, int]] = {}
        self._subscribers: dict[str, dict[str, None]] = {}
        self._incoming: dict[Incoming, str] = {}
        self._givers: dict[tuple[str, str], Giver] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._leaving: list[str] = []
        self._identity = self._recall()
        self._taker = Taker(stable_number(self._identity), self._announced)
        self._taker.on_closed = self._closed
        for stream in sorted({origin.stream for origin in self._origins.values()}):
            self._take_stream(stream)
        board.keeper = self
        self._join(self._taker)

    def _recall(self) -> int:
        """Read what the journal knows; return the number that tells it from all others."""
        marks = self._journal.marks()
        if _IDENTITY not in marks:
            self._journal.set_mark(_IDENTITY, "", random.SystemRandom().getrandbits(62))
            marks = self._journal.marks()
        for key in self._ends:
            origin = Origin.of(key)
            if origin is None:
                hello = control_of(self._journal.read(key, -1, 1)[0][1])
                assert isinstance(hello, Hello)  # noqa: S101 - nothing else is written there
                self._schemas[hello.digest.hex()] = hello
            else:
                self._origins[key] = origin
                self._marks[key] = marks.get(key, {})
                for receiver in self._marks[key]:
                    self._subscribers.setdefault(origin.stream, {})[receiver] = None
        return marks[_IDENTITY][""]

    # For the switchboard

    def wanted(self, stream: str) -> str | None:
        if stream not in self._taker.attached:
            if len(self._taker.attached) >= MAX_STREAMS:
                return f"the relay's journal has {MAX_STREAMS:,} streams already"
            self._take_stream(stream)
        return None

    def subscribed(self, stream: str, receiver: str) -> None:
        self._subscribers.setdefault(stream, {})[receiver] = None
        for key, origin in self._origins.items():
            if origin.stream == stream and key in self._ends:
                self._lead(key, receiver)

    def left(self, stream: str, receiver: str) -> None:
        self._subscribers.get(stream, {}).pop(receiver, None)
        for key, origin in self._origins.items():
            if origin.stream == stream:
                self._marks.get(key, {}).pop(receiver, None)
                way = self._ways.pop((key, receiver), None)
                if way is not None:
                    way.giver.close(way.link)
        self._leaving.append(receiver)
        self._moved.ring()

    # With trio

    async def run(self) -> None:
        """Keep what comes and give what is wanted, until cancelled.

        Cancellation: always a checkpoint. A batch that is being written is on the disk before.

        Raises:
            JournalError: if the journal fails for another reason than a lack of room.
        """
        async with trio.open_nursery() as nursery:
            for task in (self._exchange, self._keep, self._give, self._note):
                nursery.start_soon(task)

    def finish(self) -> None:
        """Note, at the end, how far everybody has come. It blocks while the disk does."""
        with suppress(JournalFull):
            self._journal.set_marks(self._new_marks())

    async def _exchange(self) -> None:
        """Pass on to the switchboard what the two kinds of ends say."""
        while True:
            now_s = trio.current_time()
            for session, peer in tuple(self._peers.items()):
                data = session.data_to_send(now_s)
                if data:
                    self._board.receive(peer, data, now_s)
            self._flush()
            await self._said.heard()

    async def _keep(self) -> None:
        """Write what has arrived, and acknowledge it."""
        while True:
            await self._arrived.heard()
            links = [(link, key, len(link.arrived)) for link, key in self._incoming.items() if link.arrived]
            records = [(schema_stream(digest), 0, plain_hello(hello)) for digest, hello in self._unsaved.items()]
            for link, key, count in links:
                records += [(key, sequence, frame) for sequence, frame, _ in islice(link.arrived, count)]  # type: ignore[misc]
            if not links or not await self._append(records):
                continue
            for link, key, count in links:
                for _ in range(count):
                    link.done(link.arrived.popleft()[0])
                self._taker.handled(link)
                known = self._ends.get(key)
                self._ends[key] = (known[0] if known else link.handled - count + 1, link.handled)
                if known is None:
                    for receiver in self._subscribers.get(self._origins[key].stream, ()):
                        self._lead(key, receiver)
            self._unsaved.clear()
            self._taker.acknowledge()
            self._said.ring()
            self._hungry.ring()

    async def _append(self, records: list[tuple[str, int, bytes]]) -> bool:
        """Write a batch; return whether there was room. If not, it is due again soon."""
        try:
            await trio.to_thread.run_sync(self._journal.append, records)
        except JournalFull as error:
            if not self.full:
                _log.error("%s; senders to its streams wait", error)
            self.full = True
            if not await trio.to_thread.run_sync(self._trim):
                await trio.sleep(FULL_RETRY_S)
            self._arrived.ring()
            return False
        if self.full:
            _log.warning("the journal has room again")
            self.full = False
        for key in {record[0] for record in records} - self._numbers.keys():
            self._numbers[key] = self._journal.number(key)
        return True

    def _trim(self) -> bool:
        """Forget what all subscribers of a stream have acknowledged; return whether there was any. In a thread."""
        ends = self._journal.ends()
        for key, origin in tuple(self._origins.items()):
            marks = [
                self._marks.get(key, {}).get(receiver, -1) for receiver in self._subscribers.get(origin.stream, ())
            ]
            if key in ends and min(marks, default=-1) >= ends[key][0]:
                self._journal.trim(key, min(marks))
        return self._journal.ends() != ends

    async def _give(self) -> None:
        """Send each subscriber what it has room for."""
        while True:
            await self._hungry.heard()
            for way in tuple(self._ways.values()):
                while way.link.hungry and way.link.last < self._ends[way.key][1]:
                    frames = await trio.to_thread.run_sync(self._journal.read, way.key, way.link.last, READ_BYTES)
                    for sequence, frame in frames:
                        if way.link.hungry and sequence == way.link.last + 1:
                            way.link.queue_frame(frame)

    async def _note(self) -> None:
        """Note how far subscribers have come, now and then."""
        while True:
            await self._moved.heard()
            marks, leaving, self._leaving = self._new_marks(), self._leaving, []
            try:
                for receiver in leaving:
                    await trio.to_thread.run_sync(self._journal.forget, receiver)
                await trio.to_thread.run_sync(self._journal.set_marks, marks)
            except JournalFull:
                self._leaving += leaving
                self._moved.ring()
            else:
                self._noted(marks)
            await trio.sleep(NOTE_EVERY_S)

    def _new_marks(self) -> list[tuple[str, str, int]]:
        return [
            (way.key, way.receiver, way.link.acked_by_all)
            for way in self._ways.values()
            if way.link.acked_by_all > way.noted
        ]

    def _noted(self, marks: list[tuple[str, str, int]]) -> None:
        for key, receiver, sequence in marks:
            self._marks[key][receiver] = sequence
            if (way := self._ways.get((key, receiver))) is not None:
                way.noted = sequence

    # The ends of links

    def _join(self, session: Session) -> None:
        now_s = trio.current_time()
        peer = self._peers[session] = self._board.connect(now_s)
        peer.deliver = partial(self._deliver, session)
        peer.any_schema = session is self._taker
        session.on_send = self._said.ring
        session.connected(now_s)

    def _deliver(self, session: Session, data: bytes) -> None:
        try:
            if session.receive(data, trio.current_time()):
                self._arrived.ring()
        except RelayError as error:  # some client has made it so; that must not be the end of all
            _log.warning("the journal begins anew with the relay: %s", error)
            self._board.disconnect(self._peers[session])
            self._join(session)

    def _take_stream(self, stream: str) -> None:
        self._taker.attach(stream, window=WINDOW, policy=Policy.BLOCK)

    def _announced(self, link: Incoming) -> None:
        """Somebody sends to a stream, perhaps again."""
        hello = self._board.hello_of(link.client)
        if hello is None or link in self._incoming:
            return
        digest = hello.digest.hex()
        origin = Origin(
            link.receiver, digest, link.client, link.link, link.high, link.client_name, link.sender, link.port
        )
        key = origin.key()
        if digest not in self._schemas:
            self._schemas[digest] = self._unsaved[digest] = hello
        if key in self._ends:
            link.resume(self._ends[key][1])
        self._origins[key] = origin
        self._marks.setdefault(key, {})
        self._incoming[link] = key

    def _closed(self, link: Incoming) -> None:
        if not link.arrived:
            self._incoming.pop(link, None)

    def _lead(self, key: str, receiver: str) -> None:
        """Open the way from what one sender has sent to a subscriber."""
        if (key, receiver) in self._ways:
            return
        origin = self._origins[key]
        giver = self._givers.get((origin.digest, receiver))
        if giver is None:
            number = stable_number(self._identity, origin.digest, receiver)
            giver = self._givers[origin.digest, receiver] = Giver(number, self._schemas[origin.digest])
            self._join(giver)
        link = giver.open(
            sender=origin.sender,
            port=origin.port,
            high=origin.high,
            receivers=(receiver,),
            options=LinkOptions(capacity=WINDOW),
            channel=self._numbers[key],
        )
        mark = self._marks[key].get(receiver, -1)
        first, last = self._ends[key]
        link.resume(max(mark, first - 1), last, known=mark >= 0)
        way = self._ways[key, receiver] = Way(key, receiver, giver, link, mark)
        link.on_change = partial(self._changed, way)
        self._moved.ring()

    def _changed(self, way: Way) -> None:
        if way.link.to_send:
            way.giver.queued(way.link)
        if way.link.acked_by_all > way.noted:
            self._moved.ring()
        self._hungry.ring()
