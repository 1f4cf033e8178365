"""The relay's memory on disk: the frames of each stream in order, and how far each receiver has come.

Invariant: what a call has returned for is on the disk and stays there, whatever ends the process or the machine; what a
call has raised for has not happened at all. The memory beside the file changes only after the file has.

SQLite or LMDB was decided by ``python -m bench.journal``, which measures both. With every commit synced, which is what
durable means here, a batch of frames costs about the same on either: the disk decides. LMDB reads back in half the time,
trims in half the time, and its file is half the size, for SQLite's contains a write-ahead log of some megabytes. But
catching up is bound by the frames' way through the relay, and LMDB would be a dependency with compiled code, whose map
must be sized in advance; SQLite comes with Python, and everybody has tools to look into its file. What either gains by
syncing less is not to be had: a batch that was acknowledged must survive a power failure.

What SQLite cannot tell: damage inside the write-ahead log of a process that was killed looks like the log's end; and
damage inside a frame's own bytes looks like other bytes, which the frame's checksum shows when it is decoded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs

from spore.errors import JournalFull
from spore.relay.journal_dead import DeadLetters
from spore.relay.journal_file import FILE_NAME, MAX_SEQUENCE, JournalFile

__all__ = ["Journal"]

LIMIT_BYTES = 1 << 30
TRIM_BYTES = 1 << 20


@attrs.define
class _Stream:
    """What is known of a stream without asking the file."""

    id: int
    first: int = 0
    """The first sequence that is there; ``last + 1`` if none is."""
    last: int = -1
    """The last sequence that ever was there: it stays when frames are trimmed."""


class Journal:
    """Frames by stream and sequence, in a file that only one process at a time may keep open.

    It blocks while the disk does: call it from a worker thread, many records at a time. Calls from several threads take
    turns. Any call may raise JournalFailed, when the disk fails or the file is gone, and JournalFull where it writes; the next call then
    begins with the file opened again.
    """

    def __init__(self, file: JournalFile, limit_bytes: int) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._streams: dict[str, _Stream] = {}
        self._version = (0, 0)
        self.dead = DeadLetters(file)
        """Messages that were set aside, and what leads to that."""

    @classmethod
    def open(cls, directory: Path, *, limit_bytes: int = LIMIT_BYTES) -> Journal:
        """Open the journal in a directory; both are made, for their owner alone, if they are not there.

        Args:
            directory: nothing else needs to be in it.
            limit_bytes: the most that frames and index may take, in whole pages. The write-ahead log beside the file
                takes some megabytes more, or as much as the largest batch, and so does a reserve for full disks.

        Raises:
            JournalError: if there is no journal to be had: another process has it, the file is another program's, of
                another version, or damaged. The file is left as it is.
        """
        journal = cls(JournalFile(directory / FILE_NAME), limit_bytes)
        try:
            journal.look()
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def path(self) -> str:
        """The file, for errors."""
        return str(self._file.path)

    def close(self) -> None:
        """Close the file. Everything is on the disk already; any other call raises JournalError from now on."""
        self._file.close()

    def look(self) -> bool:
        """Look whether the file was changed by another process, as ``spore journal forget`` does; return whether it was."""
        with self._file.turn() as connection:
            version = self._file.version()
            if version == self._version:
                return False
            self._recall(connection)
            self._version = version
            return True

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        with self._file.turn() as connection:
            if self._file.reopened != self._version[0]:
                self._recall(connection)  # what has raised before may have happened all the same
            yield connection

    def append(self, records: Sequence[tuple[str, int, bytes]]) -> dict[str, int]:
        """Add frames behind the last ones of their streams: all or none, and durable on return.

        A record that is there already, byte for byte, is taken as done: who has not heard that a batch was appended may
        append it again.

        Args:
            records: stream, sequence and frame of each; in each stream the sequences ascend, with gaps or without.

        Returns:
            The number of each stream; see `number`.

        Raises:
            JournalError: if a sequence is not behind the stream's last one and other bytes, or none any more, are there.
            JournalFull: if the disk or the limit has no room for them.
        """
        with self._turn():
            ends: dict[str, int] = {}
            new, again = [], []
            for record in records:
                stream, sequence, _ = record
                end = ends.get(stream)
                if end is None:
                    end = self._streams[stream].last if stream in self._streams else -1
                if end < sequence <= MAX_SEQUENCE:
                    ends[stream] = sequence
                    new.append(record)
                else:
                    again.append(record)
            if new:
                self._file.check_room()
            self._streams |= self._write(ends, new, again)
            for stream, sequence, _ in new:
                known = self._streams[stream]
                if known.first > known.last:
                    known.first = sequence
                known.last = sequence
            return {stream: self._streams[stream].id for stream, _, _ in records}

    def read(self, stream: str, after: int, limit_bytes: int) -> list[tuple[int, bytes]]:
        """The frames of a stream behind a sequence, in order.

        Args:
            stream: one that is not known has no frames.
            after: the last sequence that the reader has; -1 for all. What was trimmed is not there any more: compare
                the first sequence with what was expected.
            limit_bytes: frames come as long as they are no more than this together, but at least one if there is one.
        """
        with self._turn() as connection:
            known = self._streams.get(stream)
            if known is None or after >= known.last:
                return []
            found: list[tuple[int, bytes]] = []
            size = 0
            rows = connection.execute(
                "SELECT sequence, frame FROM frames WHERE stream = ? AND sequence > ? ORDER BY sequence",
                (known.id, max(after, -1)),
            )
            for sequence, frame in rows:
                size += len(frame)
                if found and size > limit_bytes:
                    break
                found.append((sequence, frame))
            rows.close()
            return found

    def ends(self) -> dict[str, tuple[int, int]]:
        """The first and the last sequence of each stream that ever had frames.

        Where all are trimmed, the first is the one behind the last: what came is not forgotten with the frames.
        """
        with self._file.turn():
            return {name: (known.first, known.last) for name, known in self._streams.items()}

    def trim(self, stream: str, upto: int) -> None:
        """Forget the frames of a stream up to and with a sequence: when everyone has acknowledged them, say.

        In steps, each of which stays done whatever becomes of the next. The room is used again; the file shrinks only on a
        full disk. A stream or frames that are not there are forgotten already.

        Raises:
            JournalFull: if the disk has no room, and not even the reserve helps, for forgetting is written down too.
        """
        with self._turn() as connection:
            known = self._streams.get(stream)
            if known is None or upto < known.first:
                return
            upto = min(upto, known.last)
            while known.first <= upto:
                self._file.shrink(partial(_forget, known.id, self._trim_step(connection, known.id, upto)))
                known.first = _first(connection, known.id, known.last)

    def _trim_step(self, connection: sqlite3.Connection, stream_id: int, upto: int) -> int:
        """How far to forget at once: as much as the log should hold, because what is deleted goes through it."""
        query = "SELECT sequence, length(frame) FROM frames WHERE stream = ? AND sequence <= ? ORDER BY sequence"
        size = 0
        last = upto
        rows = connection.execute(query, (stream_id, upto))
        for last, length in rows:  # noqa: B007 - the last one that was looked at
            size += length
            if size > TRIM_BYTES:
                break
        else:
            last = upto
        rows.close()
        return last

    def set_mark(self, stream: str, receiver: str, sequence: int) -> None:
        """Note that a receiver has acknowledged a stream up to a sequence. See `set_marks`."""
        self.set_marks([(stream, receiver, sequence)])

    def set_marks(self, marks: Sequence[tuple[str, str, int]]) -> None:
        """Note how far receivers have acknowledged streams: all or none, and durable on return.

        A mark never goes back: acknowledgements say "up to here", so an older one says nothing new.

        Args:
            marks: stream, receiver and sequence of each; the stream need not be known yet.
        """
        with self._file.turn():
            for stream, _, sequence in marks:
                self._check_range(stream, sequence)
            query = (
                "INSERT INTO marks VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)"
            )
            self._file.shrink(lambda file: file.executemany(query, marks))

    def forget(self, receiver: str, streams: Sequence[str] | None = None) -> None:
        """Forget how far a receiver has come: it will not come again.

        Args:
            receiver: its name.
            streams: with these streams; by default with all.
        """

        def change(file: sqlite3.Connection) -> None:
            if streams is None:
                file.execute("DELETE FROM marks WHERE receiver = ?", (receiver,))
            for stream in streams or ():
                file.execute("DELETE FROM marks WHERE stream = ? AND receiver = ?", (stream, receiver))

        with self._file.turn():
            self._file.shrink(change)

    def number(self, stream: str) -> int:
        """The number of a stream that has frames, which it keeps for ever.

        Raises:
            KeyError: if it never had any.
        """
        with self._file.turn():
            return self._streams[stream].id

    def marks(self) -> dict[str, dict[str, int]]:
        """How far each receiver has acknowledged, by stream and receiver."""
        found: dict[str, dict[str, int]] = {}
        with self._file.turn() as connection:
            for stream, receiver, sequence in connection.execute("SELECT stream, receiver, sequence FROM marks"):
                found.setdefault(stream, {})[receiver] = sequence
        return found

    @property
    def used_bytes(self) -> int:
        """What counts against the limit: pages in use, without those that trimming has freed."""
        with self._file.turn():
            return self._file.used_bytes()

    def _write(
        self, ends: dict[str, int], new: Sequence[tuple[str, int, bytes]], again: Sequence[tuple[str, int, bytes]]
    ) -> dict[str, _Stream]:
        """Write records in one transaction; returns the streams that did not exist before."""
        added: dict[str, _Stream] = {}
        with self._file.transaction() as connection:
            for stream, last in ends.items():
                if (known := self._streams.get(stream)) is not None:
                    connection.execute("UPDATE streams SET last = ? WHERE id = ?", (last, known.id))
                else:
                    query = "INSERT INTO streams (name, last) VALUES (?, ?) RETURNING id"
                    added[stream] = _Stream(connection.execute(query, (stream, last)).fetchone()[0])
            streams = self._streams | added if added else self._streams
            connection.executemany(
                "INSERT INTO frames VALUES (?, ?, ?)",
                [(streams[stream].id, sequence, frame) for stream, sequence, frame in new],
            )
            for stream, sequence, frame in again:
                self._check_range(stream, sequence)
                self._check_present(connection, streams[stream], stream, sequence, frame)
            if new and (used := self._file.used_bytes()) > self._limit_bytes:
                reason = (
                    f"with {len(new)} more frames it would take {used:,} bytes, and its limit is {self._limit_bytes:,}"
                )
                raise JournalFull(str(self._file.path), reason)
        return added

    def _check_range(self, stream: str, sequence: int) -> None:
        if not 0 <= sequence <= MAX_SEQUENCE:
            raise self._file.error(f"sequences are 0 to {MAX_SEQUENCE}", stream, sequence)

    def _check_present(
        self, connection: sqlite3.Connection, known: _Stream, stream: str, sequence: int, frame: bytes
    ) -> None:
        query = "SELECT frame FROM frames WHERE stream = ? AND sequence = ?"
        row = connection.execute(query, (known.id, sequence)).fetchone()
        if row is None:
            reason = "it is not behind the last one, and there is nothing (any more) to compare it with"
            raise self._file.error(reason, stream, sequence)
        if row[0] != frame:
            raise self._file.error("it is there with other bytes", stream, sequence)

    def _recall(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, name, last FROM streams").fetchall()
        self._streams = {name: _Stream(number, _first(connection, number, last), last) for number, name, last in rows}


def _forget(stream_id: int, upto: int, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM frames WHERE stream = ? AND sequence <= ?", (stream_id, upto))


def _first(connection: sqlite3.Connection, stream_id: int, last: int) -> int:
    """The first sequence of a stream, or the one behind its last if it has no frames."""
    row = connection.execute("SELECT min(sequence) FROM frames WHERE stream = ?", (stream_id,)).fetchone()
    first: int = last + 1 if row[0] is None else row[0]
    return first
