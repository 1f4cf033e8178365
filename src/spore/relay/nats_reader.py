"""The reader: what a stream holds, on its way to one receiver in this process, in the order of each sender, each message once.

It reads by sequence: a consumer of its own, which the server may forget, gives what lies behind the last that has come; how far
the receiver is it notes itself. Duplicates and batches that came behind their successors are told by the numbers that
their senders gave. What was asked for at once bounds what can be in memory.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio

from spore.codec import HEADER_SIZE, Flags
from spore.distribution import needs
from spore.relay.bell import Bell
from spore.relay.nats_connection import NatsConnection
from spore.relay.nats_store import Mark, Store
from spore.relay.nats_trials import AHEAD, Caution, RunNote, Trials
from spore.relay.nats_writer import ORIGIN
from spore.relay.outgoing import LinkOptions, Outgoing, renumbered
from spore.relay.session import Session
from spore.relay.streams import WINDOW, Giver, Origin

with needs("nats"):
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
    from nats.js.errors import APIError

if TYPE_CHECKING:
    from spore.relay.nats import Nats

__all__ = ["Reader"]

_log = logging.getLogger("spore.relay")

REQUEST = 256
"""Messages of NATS that are asked for at once."""
READ_BYTES = 1024 * 1024
"""More is asked for only when less than this waits for the receiver."""
BEAT_S = 2.0
SILENT_S = 3 * BEAT_S
FORGOTTEN_S = 30.0
"""A consumer that nobody asks is forgotten by the server."""
NOTE_EVERY_S = 0.2
"""How far the receiver is is noted so often. It knows better itself while it lives."""
LAST_NOTE_S = 1.0
TRIM_EVERY_S = 30.0
"""What is handled is purged so often, because the servers do nothing else for that stream meanwhile, for ten milliseconds and more."""
TRIM_SHARE = 16
"""Sooner, when this part of the stream's room was read since."""
RETRY_S = 0.5
MARKED_LINKS = 1_000
_FLAGS_AT = 7


@attrs.define(eq=False)
class _Way:
    """The receiver's way through what one sender has sent."""

    key: str
    """The origin, as marks and subjects name it."""
    origin: Origin
    giver: Giver
    link: Outgoing
    last: int
    """The last number that was taken from the stream, with all before it."""
    ready: deque[bytes] = attrs.field(factory=deque)
    early: dict[int, bytes] = attrs.field(factory=dict)
    """What came before its predecessor."""


class Reader:
    """One receiver's reading of one stream.

    Args:
        nats: the way to the servers.
        store: the streams.
        stream: its name.
        receiver: the receiver's.
        join: connects a session with the switchboard.
        caution: shared by all readers of a process.
    """

    def __init__(
        self,
        nats: Nats,
        store: Store,
        stream: str,
        receiver: str,
        join: Callable[[Session], None],
        caution: Caution,
    ) -> None:
        self._nats = nats
        self._store = store
        self._stream = stream
        self._receiver = receiver
        self._join = join
        self._caution = caution
        self._trials = Trials(RunNote(), {}, store.deaths)
        self._bell, self._moved = Bell(), Bell()
        self._mark: Mark | None = None
        """As it was last noted."""
        self._known: OrderedDict[str, int] = OrderedDict()
        """By origin, how far the receiver was when this process began, and is."""
        self._given = 0
        """The last sequence of the stream that has come."""
        self._redelivered_upto = 0
        """What is there up to this sequence a predecessor may have handled."""
        self._begins_anew = False
        """Whether what this receiver has never seen may be gone already."""
        self._arrived: deque[tuple[int, bytes, bytes]] = deque()
        self._waiting_bytes = 0
        self._asked = 0
        """How many messages of the last request are still to come."""
        self._next_delivery = 1
        self._gone = False
        """Whether the consumer has to be made anew."""
        self._givers: dict[str, Giver] = {}
        self._ways: dict[str, _Way] = {}
        self._untrimmed = self._room = 0
        """Bytes that have come since the stream was last trimmed; and how many may, before it is trimmed at once."""
        self._spans: deque[tuple[int, str, int]] = deque()
        """What has come and is not handled yet: sequence in the stream, origin, and last number in the link."""

    async def run(self) -> None:
        """Read, until cancelled.

        Cancellation: always a checkpoint; how far the receiver is is noted once more, if that is possible at once.
        """
        try:
            await self._keep_reading()
        finally:
            self._caution.end(self._trials)

    async def _keep_reading(self) -> None:
        said = False
        while True:
            connection = await self._nats.connection()
            connection.on_lost.add(self._bell.ring)
            try:
                await self._begin(connection)
                said = False
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._note_often, connection)
                    while not connection.lost.is_set():
                        await self._read_over(connection)
                    nursery.cancel_scope.cancel()
            except* trio.Cancelled:
                with trio.move_on_after(LAST_NOTE_S, shield=True):
                    await self._say_farewell(connection)
                raise
            except* APIError as group:
                if not said and not connection.lost.is_set():
                    _log.error("%s: stream %s cannot be read: %s", self._receiver, self._stream, group.exceptions[0])
                said = True
            except* trio.BrokenResourceError:
                pass
            finally:
                connection.on_lost.discard(self._bell.ring)
                with trio.move_on_after(LAST_NOTE_S, shield=True), suppress(APIError):
                    await self._note(connection)
            await trio.sleep(RETRY_S)

    async def _say_farewell(self, connection: NatsConnection) -> None:
        """Note that this process ends because it is to, and died of nothing."""
        if self._mark is not None and self._caution.orderly and not connection.lost.is_set():
            with suppress(APIError, trio.BrokenResourceError):
                await self._store.set_run_note(
                    connection, self._stream, self._receiver, self._trials.note(running=False)
                )

    async def leave(self, connection: NatsConnection) -> None:
        """There will be no such receiver any more.

        Cancellation: always a checkpoint.

        Raises:
            nats.js.errors.APIError: if that cannot be noted now.
        """
        for way in self._ways.values():
            way.giver.close(way.link)
        await self._store.forget(connection, self._stream, self._receiver)

    # From the stream

    async def _begin(self, connection: NatsConnection) -> None:
        """Find out where to go on."""
        found = await self._store.ensure(connection, self._stream)
        state, self._room = found.state, (found.config.max_bytes or 0) // TRIM_SHARE
        if self._mark is None:
            mark = await self._store.mark(connection, self._stream, self._receiver)
            if mark is None:
                self._begins_anew = state.first_seq > 1
                mark = Mark(max(0, state.first_seq - 1))
                await self._store.set_mark(connection, self._stream, self._receiver, mark)
            else:
                self._redelivered_upto = state.last_seq
            note = await self._store.run_note(connection, self._stream, self._receiver)
            self._mark, self._given = mark, mark.floor
            self._known.update(mark.links)
            self._trials = Trials(note, mark.links, self._store.deaths)
            if self._trials.suspects:
                self._caution.begin(self._trials, self._bell.ring)
            await self._note_run(connection)
        if state.last_seq < self._given:
            _log.error("%s: stream %s was deleted, and what it held", self._receiver, self._stream)
            self._given, self._mark = 0, attrs.evolve(self._mark, floor=0)
            self._spans.clear()
        elif state.first_seq > self._given + 1:
            gone = state.first_seq - self._given - 1
            _log.error("%s: %d batches of stream %s are gone before they were read", self._receiver, gone, self._stream)
            self._begins_anew = True

    async def _read_over(self, connection: NatsConnection) -> None:
        """Read with one consumer until it is gone."""
        name, inbox = self._store.name_of(self._stream), self._nats.inbox()
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._given + 1,
            inactive_threshold=FORGOTTEN_S,
            mem_storage=True,
            num_replicas=1,
        )
        self._asked, self._next_delivery, self._gone = 0, 1, False
        made = await connection.ask(lambda jetstream: jetstream.add_consumer(name, config))
        subscription = await connection.subscribe(inbox, self._came)
        request = json.dumps({
            "batch": REQUEST,
            "max_bytes": max(READ_BYTES, 2 * connection.max_payload),
            "expires": round(FORGOTTEN_S / 2 * 1e9),
            "idle_heartbeat": round(BEAT_S * 1e9),
        }).encode()  # fmt: skip
        try:
            while not self._gone and not connection.lost.is_set():
                await self._place(connection)
                await self._feed(connection)
                if not self._asked and self._waiting_bytes < READ_BYTES:
                    self._asked = REQUEST
                    connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{name}.{made.name}", request, inbox)
                with trio.move_on_after(SILENT_S) as patience:
                    await self._bell.heard()
                if patience.cancelled_caught and self._asked:
                    return
        finally:
            connection.unsubscribe(subscription)

    def _came(self, data: bytes, reply: bytes, _: bytes, headers: bytes) -> None:
        """A message of the stream has come, or the server says something of the request."""
        self._bell.ring()
        status = headers[9:12]
        if status.isdigit():
            if status == b"100":
                return
            self._asked = 0
            # A request that has ended is no trouble; a consumer that has is.
            self._gone = status not in {b"404", b"408"} and b"exceeds maxbytes" not in headers.lower()
            return
        words = reply.split(b".")  # Source: ADR-15; the longer form has the domain and the account before the stream
        sequence, delivery = (words[5], words[6]) if len(words) == 9 else (words[7], words[8])
        if int(delivery) != self._next_delivery:
            self._gone = True
            return
        self._next_delivery += 1
        self._asked -= 1
        self._given = int(sequence)
        begin = headers.find(ORIGIN) + len(ORIGIN)
        self._arrived.append((self._given, headers[begin : headers.index(b"\r\n", begin)], data))
        self._waiting_bytes += len(data)
        self._untrimmed += len(data)

    # To the receiver

    async def _place(self, connection: NatsConnection) -> None:
        """Sort what has come by its senders."""
        while self._arrived:
            sequence, described, data = self._arrived[0]
            origin = Origin(*json.loads(described))
            key = sha256(origin.key().encode()).hexdigest()[:16]
            way = self._ways.get(key)
            if way is None:
                first = int.from_bytes(data[8:16], "little")
                way = self._ways[key] = await self._lead(connection, key, origin, first)
            self._arrived.popleft()
            self._spans.append((sequence, key, self._sort(way, sequence, data)))

    def _sort(self, way: _Way, at: int, data: bytes) -> int:
        """Have the frames of a batch wait, each once and in order; return the number of the last."""
        begin = number = 0
        again = at <= self._redelivered_upto
        while begin < len(data):
            end = begin + HEADER_SIZE + int.from_bytes(data[begin + 24 : begin + 28], "little")
            frame = data[begin:end]
            number = int.from_bytes(frame[8:16], "little")
            if again:
                frame = renumbered(frame, number, flags=frame[_FLAGS_AT] | Flags.REDELIVERED)
            if number > way.last and number not in way.early:
                way.early[number] = frame
            else:
                self._waiting_bytes -= len(frame)
            begin = end
        while way.last + 1 in way.early:
            way.last += 1
            way.ready.append(way.early.pop(way.last))
        if len(way.early) > WINDOW:  # more than a sender can have under way: what is missing will not come
            _log.error(
                "%s: message %d of %s is not in stream %s", self._receiver, way.last + 1, way.link.sender, self._stream
            )
            way.last = min(way.early) - 1
        return number

    async def _feed(self, connection: NatsConnection) -> None:
        """Give the receiver what it has room for, and may have."""
        for way in self._ways.values():
            if way.link.denied is not None and way.ready:
                self._waiting_bytes -= sum(map(len, way.ready))  # nobody takes it now; it stays in the stream
                way.ready.clear()
        if not self._caution.turn_of(self._trials):
            return
        if self._trials.suspects:
            await self._try(connection)
            return
        ahead = self._trials.ahead
        hungry = [way for way in self._ways.values() if way.ready and way.link.hungry]
        if due := [way for way in hungry if ahead.get(way.key, 0) < way.link.last + AHEAD // 2]:
            for way in due:
                ahead[way.key] = way.link.last + AHEAD
            await self._note_run(connection)
        for way in hungry:
            self._give(way, ahead[way.key])
            if way.ready and way.link.hungry:
                self._bell.ring()

    def _give(self, way: _Way, upto: int) -> None:
        while way.ready and way.link.hungry and way.link.last < upto:
            frame = way.ready.popleft()
            self._waiting_bytes -= len(frame)
            way.link.queue_frame(frame)

    async def _try(self, connection: NatsConnection) -> None:
        """Give the receiver messages of which a predecessor may have died: one batch, and nothing else until it is handled."""
        trials = self._trials
        if trials.trial is not None:
            key, _, last = trials.trial
            way = self._ways[key]
            self._give(way, last)
            to_come = self._handled(key) < last and self._given < self._redelivered_upto
            if (
                way.link.denied is None
                and (way.link.under_way or way.link.to_send or way.link.last < last)
                and (way.link.under_way or way.link.to_send or way.ready or to_come)
            ):
                return
            trials.end()
        ready = [way for way in self._ways.values() if way.ready and way.link.denied is None]
        for way in ready:  # what comes before a suspect was handled, and not noted
            if way.key in trials.suspects:
                self._give(way, trials.suspects[way.key][0] - 1)
        suspect = next((way for way in ready if way.ready and trials.is_suspect(way.key, way.link.last + 1)), None)
        if suspect is not None:
            await self._try_next(connection, suspect)
        elif self._given >= self._redelivered_upto and not self._arrived:
            trials.suspects.clear()
            self._caution.end(trials)
            await self._note_run(connection)
            self._bell.ring()
        elif self._waiting_bytes >= READ_BYTES:
            for other in [way for way in ready if way.ready and way.link.hungry][:1]:
                await self._try_next(connection, other)  # it is in the way of the suspects

    async def _try_next(self, connection: NatsConnection, way: _Way) -> None:
        trials, number = self._trials, way.link.last + 1
        if not way.link.hungry or way.link.under_way:
            return
        if trials.is_aside(way.key, number):
            frame = way.ready[0]
            subject = await self._store.set_aside(
                connection, self._stream, self._receiver, way.key, frame, trials.deaths
            )
            _log.error(
                "message %d of stream %r was set aside: %d processes of %r died of it; it is at %s",
                number,
                self._stream,
                trials.deaths,
                self._receiver,
                subject,
            )
            way.ready.popleft()
            self._waiting_bytes -= len(frame)
            way.giver.close(way.link)
            self._open(way, number)
            trials.passed(way.key, number)
            self._moved.ring()
            self._bell.ring()
            return
        trials.begin(way.key, number)
        self._caution.moved()
        await self._note_run(connection)
        self._give(way, trials.trial[2] if trials.trial is not None else number)

    async def _note_run(self, connection: NatsConnection) -> None:
        await self._store.set_run_note(connection, self._stream, self._receiver, self._trials.note())

    async def _lead(self, connection: NatsConnection, key: str, origin: Origin, first: int) -> _Way:
        giver = self._givers.get(origin.digest)
        if giver is None:
            schema = await self._store.schema(connection, origin.digest)
            giver = self._givers[origin.digest] = Giver(self._nats.client_number(), schema)
            self._join(giver)
        acked = self._known.get(key)
        if acked is None:  # it begins with 1, unless that was gone before this receiver came
            acked = first - 1 if self._begins_anew or first > WINDOW else 0
        way = _Way(key, origin, giver, Outgoing(0), acked)
        self._open(way, acked)
        return way

    def _open(self, way: _Way, acked: int) -> None:
        """Open the link of a way, or another one, behind a number."""
        way.link = way.giver.open(
            sender=way.origin.sender,
            port=way.origin.port,
            high=way.origin.high,
            receivers=(self._receiver,),
            options=LinkOptions(capacity=WINDOW),
        )
        way.link.resume(acked, acked, known=False)
        way.link.on_change = partial(self._changed, way)

    def _changed(self, way: _Way) -> None:
        if way.link.to_send:
            way.giver.queued(way.link)
        self._moved.ring()
        self._bell.ring()

    # How far it is

    async def _note_often(self, connection: NatsConnection) -> None:
        due, trimmed_at = True, -inf
        while True:
            with trio.move_on_at(trimmed_at + TRIM_EVERY_S if due else inf):
                await self._moved.heard()
            due = await self._note(connection) or due
            if due and (trio.current_time() >= trimmed_at + TRIM_EVERY_S or self._untrimmed >= self._room > 0):
                await self._store.trim(connection, self._stream)
                due, trimmed_at, self._untrimmed = False, trio.current_time(), 0
            await trio.sleep(NOTE_EVERY_S)

    async def _note(self, connection: NatsConnection) -> bool:
        """Note how far the receiver is; return whether that was news."""
        if self._mark is None or connection.lost.is_set():
            return False
        floor = self._mark.floor
        while self._spans and self._handled(self._spans[0][1]) >= self._spans[0][2]:
            floor = self._spans.popleft()[0]
        for key in self._ways:
            if (handled := self._handled(key)) > self._known.get(key, -1):
                self._known[key] = handled
                self._known.move_to_end(key)
        while len(self._known) > MARKED_LINKS:
            self._known.popitem(last=False)
        mark = Mark(floor, dict(self._known))
        if mark == self._mark:
            return False
        await self._store.set_mark(connection, self._stream, self._receiver, mark)
        self._mark = mark
        return True

    def _handled(self, key: str) -> int:
        return self._ways[key].link.acked_by_all
