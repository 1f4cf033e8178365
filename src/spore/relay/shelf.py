"""The shelf: what the keeper knows of its journal without asking it. Whose streams there are, and who reads them.

Invariants: it says nothing of frames that are not on the disk; an origin is known before its first frame is written, and
a schema is written in the same batch as the first frame that needs it.
"""

from __future__ import annotations

import random

from spore.errors import JournalFailed, SporeError
from spore.relay.control import Hello, control_of
from spore.relay.journal import Journal
from spore.relay.streams import Origin, plain_hello, schema_stream

__all__ = ["Shelf"]

_IDENTITY = "identity"


class Shelf:
    """The journal's contents, by their names.

    Args:
        journal: open. Other processes may forget what is in it; see `look`.

    Raises:
        JournalError: if the journal cannot be read, or holds what no relay has written.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.ends = journal.ends()
        """By key: the first and last sequence that are on the disk."""
        self.numbers = {key: journal.number(key) for key in self.ends}
        self.origins: dict[str, Origin] = {}
        """By key: all streams that have frames, and those that are about to."""
        self.schemas: dict[str, Hello] = {}
        """By digest."""
        self.marks: dict[str, dict[str, int]] = {}
        """By key and receiver: how far the journal knows it to be."""
        self.subscribers: dict[str, dict[str, None]] = {}
        """By stream: who wants what is kept there, whether it is connected or not."""
        self._unsaved: dict[str, Hello] = {}
        self._stale = False
        """Whether another process has changed something that is not known here yet."""
        self.identity = self._recall()
        """The number that tells this journal from all others, for as long as its directory exists."""

    def _recall(self) -> int:
        marks = self.journal.marks()
        if _IDENTITY not in marks:
            self.journal.set_mark(_IDENTITY, "", random.SystemRandom().getrandbits(62))
            marks = self.journal.marks()
        for key in self.ends:
            try:
                self._recall_stream(key, marks)
            except (ValueError, TypeError, LookupError, SporeError) as error:
                if isinstance(error, JournalFailed):
                    raise
                reason = f"{error!r}; move the directory away to begin with an empty one"
                raise JournalFailed(self.journal.path, f"its stream {key[:200]!r} cannot be read: {reason}") from error
        return marks[_IDENTITY][""]

    def _recall_stream(self, key: str, marks: dict[str, dict[str, int]]) -> None:
        origin = Origin.of(key)
        if origin is not None:
            self.origins[key] = origin
            self.marks[key] = marks.get(key, {})
            for receiver in self.marks[key]:
                self.subscribers.setdefault(origin.stream, {})[receiver] = None
            return
        hello = control_of(self.journal.read(key, -1, 1)[0][1])
        if not isinstance(hello, Hello):
            raise TypeError(f"{type(hello).__name__} is no schema")
        self.schemas[hello.digest.hex()] = hello

    def streams(self) -> list[str]:
        """The names of the streams that have frames."""
        return sorted({origin.stream for origin in self.origins.values()})

    def keys(self, stream: str) -> list[str]:
        """What is on the disk of a stream: a key for each sender's link."""
        return [key for key, origin in self.origins.items() if origin.stream == stream and key in self.ends]

    def add(self, origin: Origin, hello: Hello) -> str:
        """Somebody is about to send to a stream; return the key of what he sends."""
        key = origin.key()
        self.origins[key] = origin
        self.marks.setdefault(key, {})
        if origin.digest not in self.schemas:
            self.schemas[origin.digest] = self._unsaved[origin.digest] = hello
        return key

    def unsaved_schemas(self) -> list[tuple[str, int, bytes]]:
        """Records for the schemas that are not on the disk yet."""
        return [(schema_stream(digest), 0, plain_hello(hello)) for digest, hello in self._unsaved.items()]

    def appended(self, records: list[tuple[str, int, bytes]], numbers: dict[str, int]) -> list[str]:
        """Records are on the disk now; return the keys of which there was nothing before.

        Args:
            records: as they were appended.
            numbers: as the journal has returned them.
        """
        new = []
        for key, sequence, _ in records:
            known = self.ends.get(key)
            if known is None:
                self.numbers[key] = numbers[key]
                if key in self.origins:
                    new.append(key)
            self.ends[key] = (known[0] if known is not None else sequence, sequence)
        self._unsaved.clear()
        return new

    def trim(self) -> bool:
        """Forget what all subscribers of a stream have acknowledged; return whether there was any. It blocks.

        What has no subscriber is kept: one may come.
        """
        trimmed = False
        for key, origin in tuple(self.origins.items()):
            known = self.marks.get(key, {})
            upto = min((known.get(receiver, -1) for receiver in self.subscribers.get(origin.stream, ())), default=-1)
            first, _ = self.ends.get(key, (0, -1))
            if upto >= first:
                try:
                    self.journal.trim(key, upto)
                finally:
                    self.ends[key] = self.journal.ends()[key]
                trimmed = True
        return trimmed

    def look(self) -> tuple[dict[str, tuple[int, int]], dict[str, dict[str, int]]] | None:
        """Look whether another process has forgotten something; return the ends and the marks as they are then. It blocks."""
        self._stale |= self.journal.look()
        if not self._stale:
            return None
        found = self.journal.ends(), self.journal.marks()
        self._stale = False
        return found

    def adopt(
        self, ends: dict[str, tuple[int, int]], marks: dict[str, dict[str, int]]
    ) -> tuple[list[str], list[tuple[str, str]]]:
        """Another process has forgotten something.

        Args:
            ends: as `look` has found them, perhaps with what is being appended at this moment.
            marks: as well.

        Returns:
            The keys whose first messages are gone, and the receivers of keys that are not known any more.
        """
        shorter = []
        for key, (first, last) in self.ends.items():
            if (now := ends.get(key, (first, last))[0]) > first:
                self.ends[key] = (now, last)
                shorter.append(key)
        gone = [(key, name) for key, known in self.marks.items() for name in known if name not in marks.get(key, {})]
        for key, receiver in gone:
            del self.marks[key][receiver]
        return shorter, gone
