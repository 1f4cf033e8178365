"""The writer: what clients send to streams, on its way to JetStream, and acknowledged once it is there.

What has arrived of a link goes out in batches, each of them one message of NATS, without waiting for the acknowledgements of
those before. After a lost connection, a refusal, or silence, everything that was not acknowledged is published again, in order
and in the same batches, with the same ids. So the stream may have a batch twice, or one behind its successor: the numbers in the
frames tell, and `spore.relay.nats_reader` puts them right.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio

from spore.distribution import needs
from spore.relay.bell import Bell
from spore.relay.control import STREAM, Hello, Policy, Reason
from spore.relay.incoming import Incoming
from spore.relay.nats_connection import NatsConnection
from spore.relay.nats_store import Store
from spore.relay.streams import WINDOW, Origin, Taker

with needs("nats"):
    from nats.js.errors import APIError

if TYPE_CHECKING:
    from spore.relay.nats import Nats

__all__ = ["ORIGIN", "Writer"]

_log = logging.getLogger("spore.relay")

ORIGIN = b"Spore-Origin: "
"""The header that says whose messages a batch holds; see `spore.relay.streams.Origin`."""
BATCH_BYTES = 256 * 1024
ANSWER_S = 5.0
"""Without any acknowledgement for so long, everything is published again."""
RETRY_S = 0.5
MAX_STREAMS = 1_000


@attrs.define(eq=False)
class _Batch:
    """Consecutive messages of one link."""

    link: Incoming
    first: int
    last: int
    stream: str
    subject: str
    headers: bytes
    data: bytes


@attrs.frozen
class _Source:
    """A link that leads to a stream."""

    stream: str
    origin: str
    """A short name of whose messages they are."""
    header: bytes
    hello: Hello


class Writer:
    """All links to streams, from one switchboard.

    Args:
        nats: the way to the servers.
        store: the streams.
        hello_of: how a client has introduced itself.
    """

    def __init__(self, nats: Nats, store: Store, hello_of: Callable[[int], Hello | None]) -> None:
        self.full = False
        """Whether a stream took nothing more when it was last tried, so that its senders wait."""
        self.arrived = Bell()
        self.session = Taker(nats.client_number(), self._announced)
        self.session.on_closed = self._closed
        self._nats = nats
        self._store = store
        self._hello_of = hello_of
        self._sources: dict[Incoming, _Source] = {}
        self._window: dict[int, _Batch] = {}
        """What was published and not acknowledged, in order, by the numbers in the subjects of its acknowledgements."""
        self._numbers = count(1)
        self._failure = ""
        self._acks = 0

    def wanted(self, stream: str) -> str | None:
        """Somebody sends to a stream; return why that cannot be, if it cannot."""
        if stream not in self.session.attached:
            if len(self.session.attached) >= MAX_STREAMS:
                return f"this process sends to {MAX_STREAMS:,} streams already"
            self.session.attach(stream, window=WINDOW, policy=Policy.BLOCK)
        return None

    async def run(self) -> None:
        """Write what arrives, until cancelled.

        Cancellation: always a checkpoint. What was not acknowledged by then may be in its stream or not.
        """
        while True:
            connection = await self._nats.connection()
            connection.on_lost.add(self.arrived.ring)
            try:
                await self._write_over(connection)
            except trio.BrokenResourceError:
                await connection.lost.wait()
            finally:
                connection.on_lost.discard(self.arrived.ring)

    async def _write_over(self, connection: NatsConnection) -> None:
        answers = self._nats.inbox()
        await connection.subscribe(f"{answers}.*", self._answered)
        prepared: set[str] = set()
        again = True
        while not connection.lost.is_set():
            self._failure = ""
            new = self._pack(connection.max_payload)
            self._window |= new
            try:
                await self._prepare(connection, prepared)
            except APIError as error:
                self._failure = str(error.description or error)
            else:
                for number, batch in (self._window if again else new).items():
                    connection.publish(batch.subject, batch.data, f"{answers}.{number}", batch.headers)
                again = False
            acks = self._acks
            with trio.move_on_after(ANSWER_S if self._window else inf) as patience:
                if not self._failure:
                    await self.arrived.heard()
            if self._failure and not connection.lost.is_set():
                await self._wait_for_room(self._failure)
                again = True
            elif patience.cancelled_caught and acks == self._acks:
                _log.warning("%s: JetStream does not acknowledge; publishing again", self._nats.name)
                again = True

    async def _wait_for_room(self, failure: str) -> None:
        if not self.full:
            streams = ", ".join(sorted({batch.stream for batch in self._window.values()}))
            _log.error("%s: stream %s takes nothing more; its senders wait: %s", self._nats.name, streams, failure)
        self.full = True
        await trio.sleep(RETRY_S)

    def _answered(self, data: bytes, _: bytes, subject: bytes, __: bytes) -> None:
        """An acknowledgement has come, or a refusal; or nobody was there, which is an empty one."""
        answer = json.loads(data) if data else {"error": {"description": "JetStream is not there now"}}
        if "error" in answer:
            self._failure = answer["error"].get("description", "it does not say why")
            self.arrived.ring()
            return
        batch = self._window.pop(int(subject[subject.rindex(b".") + 1 :]), None)
        if batch is None:
            return
        self._acks += 1
        if self.full:
            _log.warning("%s: stream %s has room again", self._nats.name, batch.stream)
            self.full = False
        for sequence in range(batch.first, batch.last + 1):
            batch.link.done(sequence)
        self.session.handled(batch.link)
        self.session.acknowledge()
        self.session.on_send()

    # What arrives

    def _announced(self, link: Incoming) -> None:
        hello = self._hello_of(link.client)
        if hello is None or link in self._sources:
            return
        stream, digest = link.receiver.removeprefix(STREAM), hello.digest.hex()
        origin = Origin(stream, digest, link.client, link.link, link.high, link.client_name, link.sender, link.port)
        short = sha256(origin.key().encode()).hexdigest()[:16]
        header = ORIGIN + json.dumps(attrs.astuple(origin)).encode() + b"\r\n\r\n"
        self._sources[link] = _Source(stream, short, header, hello)

    def _closed(self, link: Incoming) -> None:
        if not link.arrived:
            self._sources.pop(link, None)

    def _pack(self, max_payload: int) -> dict[int, _Batch]:
        """What has arrived, in batches."""
        batches = {}
        for link, source in self._sources.items():
            while link.arrived:
                batch = self._next_batch(link, source, max_payload)
                if batch is None:
                    break
                batches[next(self._numbers)] = batch
        return batches

    def _next_batch(self, link: Incoming, source: _Source, max_payload: int) -> _Batch | None:
        arrived = link.arrived
        frames: list[bytes] = []
        first = arrived[0][0]
        last, size = first - 1, 0
        most = max_payload - len(source.header) - 100  # for the other header
        while arrived and (not frames or size + len(arrived[0][1]) <= min(most, BATCH_BYTES)):  # type: ignore[arg-type]
            last, item, _ = arrived.popleft()
            assert isinstance(item, bytes)  # noqa: S101 - what a `Taker` takes are frames
            frames.append(item)
            size += len(item)
        if size > most:
            text = f"message {last} has {size:,} bytes, and the NATS server takes {most:,}; raise its max_payload"
            self.session.deny(link, Reason.JOURNAL, text)
            arrived.clear()
            return None
        headers = b"NATS/1.0\r\nNats-Msg-Id: %s-%d\r\n%s" % (source.origin.encode(), first, source.header)
        subject = self._store.subject_of(source.stream, source.origin)
        return _Batch(link, first, last, source.stream, subject, headers, b"".join(frames))

    async def _prepare(self, connection: NatsConnection, prepared: set[str]) -> None:
        """Have the streams that are written to, and the schemas of what is written."""
        for source in tuple(self._sources.values()):
            if source.stream not in prepared:
                await self._store.ensure(connection, source.stream)
                prepared.add(source.stream)
            digest = source.hello.digest.hex()
            if digest not in prepared:
                await self._store.set_schema(connection, source.hello)
                prepared.add(digest)
