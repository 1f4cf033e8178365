"""Messages of a journal as lines of JSON, in the order in which they were sent, and only if they mean here what they meant there."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from spore.codec import UnknownTlv, decode, schema_head
from spore.codec.plain import frame_to_plain
from spore.errors import DecodeError, JournalError, UsageError
from spore.message import Difference, Registry, Schema, message_type
from spore.relay.journal_contents import Contents, DeadLetter, KeptLink, timestamp_of

__all__ = ["Lines", "Reading"]

NAMED = 5
"""So many differences an error names at the most."""


class Reading:
    """The messages of some links.

    Args:
        contents: the journal's.
        links: which.
        start: the first number in each.
        limit: at most so many messages; None for all.
    """

    def __init__(self, contents: Contents, links: list[KeptLink], start: int, limit: int | None) -> None:
        if limit is not None and limit < 0:
            raise UsageError(f"--limit is 0 or more, not {limit}")
        self._contents = contents
        self._links = links
        self._start = max(0, start)
        self._limit = limit
        self.damaged: list[str] = []
        """What could not be read, in words."""

    def frames(self) -> Iterator[tuple[KeptLink, int, bytes]]:
        """All of them: those of several links by the time at which they were sent."""
        merged = heapq.merge(*map(self._of, self._links), key=lambda each: timestamp_of(each[2]))
        return islice(merged, self._limit)

    def dead(self) -> Iterator[DeadLetter]:
        """Those that were set aside."""
        letters = (letter for letter in self._contents.dead(self._links) if letter.sequence >= self._start)
        return islice(letters, self._limit)

    def recorded(self, *, dead: bool) -> Iterator[tuple[str, bytes]]:
        """The messages, or those that were set aside: for each the digest of its sender's schema, and its frame."""
        if dead:
            return ((letter.digest, letter.frame) for letter in self.dead())
        return ((link.origin.digest, frame) for link, _, frame in self.frames())

    def head(self, digest: str) -> bytes:
        """What messages with this digest mean, as the frame that goes before them in a recording.

        Where the journal no longer knows, it is a head that says nothing, so that they are not read with the meaning of those before.
        """
        try:
            schema = self._contents.schema(digest)
        except JournalError as error:
            self.damaged.append(str(error))
            schema = Schema({})
        return schema_head(schema)

    def _of(self, link: KeptLink) -> Iterator[tuple[KeptLink, int, bytes]]:
        for sequence, frame in self._contents.frames(link, self._start, partial(self._lost, link)):
            yield link, sequence, frame

    def _lost(self, link: KeptLink, first: int, last: int) -> None:
        where = f"{self._contents.path}: stream {link.stream!r}, link {link.number}"
        self.damaged.append(f"{where}: messages {first} to {last} cannot be read; they are damaged, and were left out")


class Lines:
    """Messages as lines, for as long as they mean here what they meant to their senders.

    Args:
        contents: the journal's.
        registry: the messages that are known here.
    """

    def __init__(self, contents: Contents, registry: Registry) -> None:
        self._contents = contents
        self._registry = registry
        self._differences: dict[str, dict[int, Difference]] = {}
        """By the digest of a sender's schema, and type number."""

    def message(self, link: KeptLink, sequence: int, frame: bytes) -> dict[str, Any]:
        """A message as ``spore decode`` prints it.

        Raises:
            UsageError: if it cannot be read, or means something else here.
        """
        return self._plain(f"stream {link.stream!r}, link {link.number}, message {sequence}", link.origin.digest, frame)

    def dead(self, letter: DeadLetter) -> dict[str, Any]:
        """A dead letter, with what is known of it.

        Raises:
            UsageError: as `message`.
        """
        where = f"dead letter {letter.sequence} of stream {letter.stream!r}, link {letter.link}"
        return {
            "stream": letter.stream,
            "link": letter.link,
            "sender": letter.sender,
            "subscriber": letter.subscriber,
            "sequence": letter.sequence,
            "deaths": letter.deaths,
            "at_ns": letter.at_ns,
            "message": self._plain(where, letter.digest, letter.frame),
        }

    def _plain(self, where: str, digest: str, frame: bytes) -> dict[str, Any]:
        different = self._different(digest)
        try:
            decoded = decode(frame, self._registry)
        except DecodeError as error:
            found = [str(each) for each in different.values()]
            raise UsageError(f"{self._contents.path}: {where}: {error}{_because(found)}") from None
        types = [message_type(item).type_id for item in decoded.items if not isinstance(item, UnknownTlv)]
        if found := [str(different[type_id]) for type_id in types if type_id in different]:
            raise UsageError(f"{self._contents.path}: {where}{_because(found)}")
        return frame_to_plain(decoded)

    def _different(self, digest: str) -> dict[int, Difference]:
        if digest not in self._differences:
            found = Schema.of(self._registry).differences(self._contents.schema(digest))
            both = (each for each in found if each.here is not None and each.there is not None)
            self._differences[digest] = {each.type_id: each for each in both}
        return self._differences[digest]


def _because(differences: list[str]) -> str:
    if not differences:
        return ""
    return f": {'; '.join(differences[:NAMED])}; import the messages with which it was sent, with --module"
