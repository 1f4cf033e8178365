"""Streams: what a sender sends to the relay's journal, named so that it is found again, and the two ends of its links.

The journal is a client of the relay that happens to live in its process. It takes frames as they are and gives them on
as they are, with the numbers that their senders gave them; so each stream is one sender's link, made durable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import attrs

from spore.codec import decode
from spore.errors import DecodeError
from spore.message import Registry
from spore.relay.control import PROTOCOL, Begin, Hello, Reason, control_frame
from spore.relay.incoming import Incoming
from spore.relay.journal_file import MAX_SEQUENCE
from spore.relay.session import Session

__all__ = ["Giver", "Origin", "Taker", "plain_hello", "schema_stream", "stable_number"]

_NOTHING_KNOWN = Registry()
WINDOW = 1_000
"""Messages that a sender may have under way to the journal."""


@attrs.frozen
class Origin:
    """Whose messages a stream of the journal holds."""

    stream: str
    """The name that senders and subscribers use."""
    digest: str
    """Of the sender's schema."""
    client: int
    link: int
    high: bool
    name: str
    """The client's."""
    sender: str
    port: str

    def key(self) -> str:
        """The stream's name in the journal."""
        return json.dumps(attrs.astuple(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of(cls, key: str) -> Origin | None:
        """The reverse; None for a stream of another kind."""
        return cls(*json.loads(key)) if key.startswith("[") else None


def schema_stream(digest: str) -> str:
    """Where the journal keeps what a schema's digest stands for."""
    return f"schema:{digest}"


def plain_hello(hello: Hello) -> bytes:
    """What is worth keeping of a client's first words: its schema."""
    return control_frame(Hello(PROTOCOL, 1, "journal", "", hello.digest, hello.schema, 0))


def stable_number(*parts: object) -> int:
    """A client number that is the same after a restart."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1 | 1


class Taker(Session):
    """The end that takes: frames are checked, and stay what they are.

    A stream of the journal has no gaps, and its name is nobody else's for a time. So a link that would leave out messages is
    none that keeps to the protocol, and is given up.
    """

    def __init__(self, client: int, has: Callable[[Incoming], None]) -> None:
        super().__init__("journal", client=client, registry=_NOTHING_KNOWN)
        self.on_announced = has

    def _take(self, link: Incoming, whole: bytes) -> None:
        try:
            answer = link.take(decode(whole, _NOTHING_KNOWN), whole)
        except DecodeError as error:
            self.damaged += 1
            try:
                answer = link.damaged(int.from_bytes(whole[8:16], "little")) if link.open else None
            except ValueError as given_up:
                self.deny(link, Reason.POISON, f"{given_up}: {error}")
                return
        if answer is not None and not isinstance(answer, bytes):
            self._say(answer)

    def _began(self, link: Incoming, begin: Begin) -> None:
        if begin.sequence > (link.received + 1 if link.known else MAX_SEQUENCE // 2):
            self.deny(link, Reason.POISON, f"{link.received + 1} was expected, and it goes on with {begin.sequence}")
        else:
            super()._began(link, begin)


class Giver(Session):
    """The end that gives one subscriber what senders with one schema have sent."""

    def __init__(self, client: int, schema: Hello) -> None:
        super().__init__("journal", client=client, registry=_NOTHING_KNOWN)
        self._schema = schema

    def _introduction(self) -> Hello:
        schema = self._schema
        return Hello(PROTOCOL, self.client, self.name, "", schema.digest, schema.schema, 0)
