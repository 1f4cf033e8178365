"""What a journal holds, for people: read beside the relay that writes it, which does not notice, or without one.

Strategy: each question is one short transaction, so nothing here keeps the relay's log from being moved into the file. What is
damaged is passed over, and said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import attrs

from spore.errors import JournalError, JournalFailed, SporeError, UsageError
from spore.message import Schema
from spore.relay.control import STREAM, Hello, control_of
from spore.relay.journal_file import BUSY_S, FILE_NAME, check_journal
from spore.relay.journal_layout import PAGE_SIZE
from spore.relay.journal_reasons import explained
from spore.relay.streams import Origin, schema_stream

__all__ = ["Contents", "DeadLetter", "KeptLink", "journal_at", "open_contents", "timestamp_of"]

READ_AT_ONCE = 256
_TIMESTAMP = slice(16, 24)


@attrs.frozen
class KeptLink:
    """What one sender has sent to a stream and is still there."""

    number: int
    """By which commands name it."""
    key: str
    """The stream's name in the file."""
    origin: Origin
    first: int
    """The first message that is there; the one behind ``last`` if none is."""
    last: int
    messages: int
    bytes: int
    oldest_ns: int | None
    """When the first message was sent; None if there is none."""
    newest_ns: int | None
    marks: dict[str, int]
    """By subscriber: the last message that it has handled."""
    damaged: bool = False
    """Whether a part cannot be read, so that counts are of the rest."""

    @property
    def stream(self) -> str:
        return self.origin.stream.removeprefix(STREAM)


@attrs.frozen
class DeadLetter:
    """A message that was set aside."""

    link: int
    stream: str
    sender: str
    subscriber: str
    sequence: int
    deaths: int
    at_ns: int
    key: str
    digest: str
    frame: bytes = attrs.field(repr=False)


def journal_at(directory: Path) -> Path:
    """The file of the journal in a directory.

    Raises:
        UsageError: if there is none.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise UsageError(
            f"{directory}: there is no journal here ({FILE_NAME}); give the directory of spore relay --journal"
        )
    return path


@contextmanager
def open_contents(directory: Path) -> Iterator[Contents]:
    """The contents of a journal for the length of a block. Nothing is written.

    Raises:
        UsageError: if there is no journal.
        JournalError: if it cannot be read.
    """
    path = journal_at(directory)
    with _in_words(path):
        connection = _connect(path)
    with closing(connection):
        yield Contents(path, connection)


class Contents:
    """A journal that is open for reading. Made by `open_contents`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @property
    def used_bytes(self) -> int:
        """What counts against the journal's limit."""
        (pages,), (free,) = self._rows("PRAGMA page_count")[0], self._rows("PRAGMA freelist_count")[0]
        return int(pages - free) * PAGE_SIZE

    def links(self, stream: str | None = None, link: int | None = None) -> list[KeptLink]:
        """What each sender has sent, in the order of the streams' names.

        Args:
            stream: of this stream only.
            link: of this link only.

        Raises:
            UsageError: if there is no such stream, or link.
        """
        name = stream.removeprefix(STREAM) if stream is not None else None
        everything = [self._link(*row) for row in self._rows("SELECT id, name, last FROM streams") if row[1][:1] == "["]
        everything.sort(key=lambda each: (each.stream, each.number))
        found = [each for each in everything if name in {None, each.stream} and link in {None, each.number}]
        if not found and (name is not None or link is not None):
            wanted = f"stream {name!r}" if name is not None else "stream"
            wanted += f" with link {link}" if link is not None else ""
            known = ", ".join(f"{each.stream!r} (link {each.number})" for each in everything) or "none"
            raise UsageError(f"{self.path}: there is no {wanted}; there is {known}")
        return found

    def _link(self, number: int, key: str, last: int) -> KeptLink:
        origin = Origin.of(key)
        if origin is None:
            raise JournalError(str(self.path), f"{key!r} is no stream")
        marks = dict(self._rows("SELECT receiver, sequence FROM marks WHERE stream = ?", key))
        try:
            query = "SELECT count(*), coalesce(sum(length(frame)), 0), min(sequence) FROM frames WHERE stream = ?"
            ((messages, size, first),) = self._rows(query, number)
            query = "SELECT substr(frame, 17, 8) FROM frames WHERE stream = ? ORDER BY sequence {} LIMIT 1"
            oldest, newest = (self._rows(query.format(order), number) for order in ("ASC", "DESC"))
        except JournalFailed:
            return self._counted(KeptLink(number, key, origin, last + 1, last, 0, 0, None, None, marks))
        first = last + 1 if first is None else first
        return KeptLink(number, key, origin, first, last, messages, size, _ns(oldest), _ns(newest), marks)

    def _counted(self, link: KeptLink) -> KeptLink:
        """A link of which a part is damaged, with what can be read of it."""
        messages = size = 0
        first: int | None = None
        times: list[int] = []
        for sequence, frame in self.frames(link, lost=lambda _, __: None):
            first = sequence if first is None else first
            messages, size = messages + 1, size + len(frame)
            times = [*times[:1], timestamp_of(frame)]
        oldest, newest = (times[0], times[-1]) if times else (None, None)
        first = link.first if first is None else first
        return attrs.evolve(
            link, first=first, messages=messages, bytes=size, oldest_ns=oldest, newest_ns=newest, damaged=True
        )

    def behind(self, link: KeptLink, subscriber: str) -> int:
        """How many messages of a link a subscriber has not handled."""
        if link.damaged:
            return max(0, link.last - max(link.marks.get(subscriber, 0), link.first - 1))
        query = "SELECT count(*) FROM frames WHERE stream = ? AND sequence > ?"
        ((count,),) = self._rows(query, link.number, link.marks.get(subscriber, -1))
        return int(count)

    def before(self, link: KeptLink, number: int) -> int:
        """How many messages of a link have numbers below this one."""
        ((count,),) = self._rows("SELECT count(*) FROM frames WHERE stream = ? AND sequence < ?", link.number, number)
        return int(count)

    def frames(
        self, link: KeptLink, start: int = 0, lost: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """The messages of a link, with their numbers.

        Args:
            link: which.
            start: the first number that is wanted.
            lost: called with the first and the last number of what is damaged and was passed over; without it that is an error.
        """
        query = "SELECT sequence, frame FROM frames WHERE stream = ? AND sequence >= ? ORDER BY sequence LIMIT ?"
        step, at_once = 1, READ_AT_ONCE
        damaged = None
        while start <= link.last:
            try:
                rows = self._rows(query, link.number, start, at_once)
            except JournalError:
                if lost is None:
                    raise
                if at_once > 1:
                    at_once = 1  # up to the damage
                    continue
                damaged, start, step = start if damaged is None else damaged, start + step, step * 2
                continue
            if damaged is not None and lost is not None:
                lost(damaged, min(start, link.last + 1) - 1)
                damaged, step = None, 1
            if not rows:
                return
            yield from rows
            start = rows[-1][0] + 1
        if damaged is not None and lost is not None:
            lost(damaged, link.last)

    def schema(self, digest: str) -> Schema:
        """What a sender meant by its messages.

        Raises:
            JournalError: if that is not there, or is damaged.
        """
        rows = self._rows(
            "SELECT frame FROM frames JOIN streams ON streams.id = stream WHERE name = ? LIMIT 1", schema_stream(digest)
        )
        hello = None
        with suppress(SporeError):
            hello = control_of(rows[0][0]) if rows else None
        if not isinstance(hello, Hello):
            raise JournalError(str(self.path), f"schema {digest} is not there: what its messages mean is not known")
        return Schema({line.type_id: line.text for line in hello.schema})

    def dead(self, links: list[KeptLink]) -> Iterator[DeadLetter]:
        """The messages of some links that were set aside, in their order."""
        if not self._rows("SELECT 1 FROM sqlite_schema WHERE name = 'dead'"):
            return
        query = "SELECT receiver, sequence, deaths, at_ns, frame FROM dead WHERE stream = ? ORDER BY sequence, receiver"
        for each in links:
            for receiver, sequence, deaths, at_ns, frame in self._rows(query, each.key):
                sender, digest = f"{each.origin.name}/{each.origin.sender}", each.origin.digest
                yield DeadLetter(
                    each.number, each.stream, sender, receiver, sequence, deaths, at_ns, each.key, digest, frame
                )

    def _rows(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # whatever the query is for
        with _in_words(self.path):
            return self._connection.execute(query, values).fetchall()


def timestamp_of(frame: bytes) -> int:
    """When a frame was sent, in nanoseconds since the epoch, as its header says."""
    return int.from_bytes(frame[_TIMESTAMP], "little")


def _ns(rows: list[tuple[bytes]]) -> int | None:
    return int.from_bytes(rows[0][0], "little") if rows else None


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explained(str(path), error) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file for reading: beside its relay where that is possible, and from a medium that cannot be written if need be."""
    log = path.with_name(f"{path.name}-wal")
    modes = ["mode=rw", "mode=ro"] + ([] if log.exists() and log.stat().st_size else ["immutable=1"])
    for mode in modes:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S, isolation_level=None
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            check_journal(connection, path)
            connection.execute("SELECT count(*) FROM streams").fetchone()
        except (sqlite3.Error, JournalError) as error:
            connection.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} or mode == modes[-1]:
                raise
        else:
            return connection
    raise AssertionError("there is a last mode")
