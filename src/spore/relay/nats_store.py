"""How streams are named and made in JetStream, and what is remembered beside them: how far receivers are, and schemas.

    SPORE_<system>_<stream>   spore.<system>.stream.<stream>.<origin>     batches of frames, an origin for each sender's link
    SPORE_<system>            spore.<system>.meta.mark.<stream>.<receiver>      the last one of each subject is kept
                              spore.<system>.meta.run.<stream>.<receiver>       what its process is about to do
                              spore.<system>.meta.dead.<stream>.<receiver>.<origin>.<number>
                              spore.<system>.meta.schema.<digest>

A stream refuses what is new when it is full, so nothing is lost that was acknowledged; what all receivers are done with is
purged. A stream that is there already stays as it is: whoever has made it, or changed its limits, knows why.
"""

from __future__ import annotations

import json

import attrs

from spore.distribution import needs
from spore.relay.control import Hello, control_of
from spore.relay.nats_connection import NatsConnection
from spore.relay.nats_options import token_of
from spore.relay.nats_trials import DEFAULT_DEATHS, RunNote
from spore.relay.streams import plain_hello

with needs("nats"):
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
    from nats.js.errors import APIError, NotFoundError

__all__ = ["Mark", "Store", "StreamOptions"]


@attrs.frozen(kw_only=True)
class StreamOptions:
    """How streams are made that are not there yet."""

    max_bytes: int = attrs.field(default=1 << 30, validator=attrs.validators.gt(0))
    """Beyond this a stream is full, and its senders wait. As much as a relay's journal takes."""
    replicas: int = attrs.field(default=1, validator=attrs.validators.in_((1, 3, 5)))
    """On how many servers each message is before it is acknowledged. With 3 the loss of one server stops nothing."""
    deaths: int = attrs.field(default=DEFAULT_DEATHS, validator=attrs.validators.ge(1))
    """A message is set aside when so many processes died while they had it in hand. It counts for streams that are there already, too."""
    duplicates_s: float = attrs.field(default=120.0, validator=attrs.validators.gt(0))
    """So long the server itself drops what is published again. Beyond that the link's own numbers do."""


@attrs.frozen
class Mark:
    """How far a receiver is with a stream."""

    floor: int = 0
    """Everything up to this sequence of the stream it has handled."""
    links: dict[str, int] = attrs.field(factory=dict)
    """By origin, the number up to which it has handled the link's messages, those of late among them that are above the floor."""


class Store:
    """The streams of one system.

    Args:
        prefix: of its subjects.
        system: its name.
        options: for the streams that it makes.
    """

    def __init__(self, prefix: str, system: str, options: StreamOptions) -> None:
        self._prefix = prefix
        self._options = options
        self.deaths = options.deaths
        self._meta = f"SPORE_{token_of(system).replace('_', '%5F')}"  # so that no two names of streams can be one

    def name_of(self, stream: str) -> str:
        """What JetStream calls a stream."""
        return f"{self._meta}_{token_of(stream)}"

    def subject_of(self, stream: str, origin: str) -> str:
        """Where one sender's messages go."""
        return f"{self._prefix}.stream.{token_of(stream)}.{origin}"

    async def ensure(self, connection: NatsConnection, stream: str) -> StreamInfo:
        """Have a stream, and return what it is and what is in it.

        Cancellation: always a checkpoint.

        Raises:
            nats.js.errors.APIError: if that cannot be done now.
        """
        config = StreamConfig(
            name=self.name_of(stream),
            description=f"Spore: what was sent to stream {stream!r}",
            subjects=[self.subject_of(stream, "*")],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=self._options.max_bytes,
            num_replicas=self._options.replicas,
            duplicate_window=self._options.duplicates_s,
        )
        return await self._made(connection, config)

    async def _made(self, connection: NatsConnection, config: StreamConfig) -> StreamInfo:
        name = config.name or ""
        try:
            return await connection.ask(lambda jetstream: jetstream.stream_info(name))
        except NotFoundError:
            return await connection.ask(lambda jetstream: jetstream.add_stream(config))

    async def trim(self, connection: NatsConnection, stream: str) -> None:
        """Forget what all its receivers are done with.

        Cancellation: always a checkpoint.

        Raises:
            nats.js.errors.APIError: if that cannot be done now.
        """
        name, subjects = self.name_of(stream), f"{self._prefix}.meta.mark.{token_of(stream)}.*"
        known = await connection.ask(lambda jetstream: jetstream.stream_info(self._meta, subjects_filter=subjects))
        floors = [(await self._mark_at(connection, subject)).floor for subject in known.state.subjects or {}]
        if floors and (floor := min(floors)):
            await connection.ask(lambda jetstream: jetstream.purge_stream(name, seq=floor + 1))

    # Beside the streams

    async def mark(self, connection: NatsConnection, stream: str, receiver: str) -> Mark | None:
        """How far a receiver is; None if it has never been there. Cancellation and errors: as `ensure`."""
        await self._ensure_meta(connection)
        try:
            return await self._mark_at(connection, self._mark_subject(stream, receiver))
        except NotFoundError:
            return None

    async def set_mark(self, connection: NatsConnection, stream: str, receiver: str, mark: Mark) -> None:
        """Note how far it is. Cancellation and errors: as `ensure`."""
        subject, data = self._mark_subject(stream, receiver), json.dumps(attrs.asdict(mark)).encode()
        await connection.ask(lambda jetstream: jetstream.publish(subject, data))

    async def forget(self, connection: NatsConnection, stream: str, receiver: str) -> None:
        """It will not come again. Cancellation and errors: as `ensure`."""
        for subject in (self._run_subject(stream, receiver), self._mark_subject(stream, receiver)):
            await self._purge(connection, subject)

    async def _purge(self, connection: NatsConnection, subject: str) -> None:
        await connection.ask(lambda jetstream: jetstream.purge_stream(self._meta, subject=subject))

    async def run_note(self, connection: NatsConnection, stream: str, receiver: str) -> RunNote:
        """What its last process was about to do. Cancellation and errors: as `ensure`."""
        subject = self._run_subject(stream, receiver)
        try:
            found = await connection.ask(lambda jetstream: jetstream.get_last_msg(self._meta, subject))
        except NotFoundError:
            return RunNote()
        try:
            return RunNote.from_json(found.data or b"{}")
        except (ValueError, TypeError, LookupError, AttributeError):
            return RunNote()  # of a later version, say; counting begins anew

    async def set_run_note(self, connection: NatsConnection, stream: str, receiver: str, note: RunNote) -> None:
        """Note what its process is about to do. Cancellation and errors: as `ensure`."""
        subject, data = self._run_subject(stream, receiver), note.to_json()
        await connection.ask(lambda jetstream: jetstream.publish(subject, data))

    async def set_aside(
        self, connection: NatsConnection, stream: str, receiver: str, origin: str, frame: bytes, deaths: int
    ) -> str:
        """Keep a message that its receiver is not given any more; return the subject. Cancellation and errors: as `ensure`."""
        number = int.from_bytes(frame[8:16], "little")
        subject = f"{self._prefix}.meta.dead.{token_of(stream)}.{token_of(receiver)}.{origin}.{number}"
        headers = {"Spore-Deaths": str(deaths)}
        await connection.ask(lambda jetstream: jetstream.publish(subject, frame, headers=headers))
        return subject

    async def set_schema(self, connection: NatsConnection, hello: Hello) -> None:
        """Note what a client means by its messages. Cancellation and errors: as `ensure`."""
        await self._ensure_meta(connection)
        subject, data = f"{self._prefix}.meta.schema.{hello.digest.hex()}", plain_hello(hello)
        await connection.ask(lambda jetstream: jetstream.publish(subject, data))

    async def schema(self, connection: NatsConnection, digest: str) -> Hello:
        """What clients with this digest mean. Cancellation and errors: as `ensure`."""
        subject = f"{self._prefix}.meta.schema.{digest}"
        found = await connection.ask(lambda jetstream: jetstream.get_last_msg(self._meta, subject))
        hello = control_of(found.data or b"")
        if not isinstance(hello, Hello):
            raise APIError(description=f"{subject} holds no schema")
        return hello

    async def _ensure_meta(self, connection: NatsConnection) -> None:
        config = StreamConfig(
            name=self._meta,
            description="Spore: how far the receivers of streams are, and what messages mean",
            subjects=[f"{self._prefix}.meta.>"],
            storage=StorageType.FILE,
            max_msgs_per_subject=1,
            num_replicas=self._options.replicas,
        )
        await self._made(connection, config)

    def _mark_subject(self, stream: str, receiver: str) -> str:
        return f"{self._prefix}.meta.mark.{token_of(stream)}.{token_of(receiver)}"

    def _run_subject(self, stream: str, receiver: str) -> str:
        return f"{self._prefix}.meta.run.{token_of(stream)}.{token_of(receiver)}"

    async def _mark_at(self, connection: NatsConnection, subject: str) -> Mark:
        found = await connection.ask(lambda jetstream: jetstream.get_last_msg(self._meta, subject))
        return Mark(**json.loads(found.data or b"{}"))
