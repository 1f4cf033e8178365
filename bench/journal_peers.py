"""What a journal of frames could stand on: SQLite and LMDB, each in the ways of making a write durable that it has.

The layout is the same: ordered by stream and sequence. Each is opened on a directory of its own.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from struct import Struct

import lmdb

__all__ = ["PEERS", "Engine", "Record"]

Record = tuple[int, int, bytes]
"""Stream, sequence, frame."""


class Engine(ABC):
    """What a journal needs."""

    @abstractmethod
    def append(self, records: Sequence[Record]) -> None:
        """Add records at the end, all or none."""

    @abstractmethod
    def read(self, stream: int) -> list[tuple[int, bytes]]:
        """All records of a stream, in order."""

    @abstractmethod
    def trim(self, stream: int, upto: int) -> None:
        """Forget the records of a stream up to this sequence."""

    @abstractmethod
    def close(self) -> None: ...


class Sqlite(Engine):
    """A write-ahead log. FULL syncs it at every commit; NORMAL only before it is moved into the file."""

    def __init__(self, directory: Path, synchronous: str) -> None:
        self._connection = connection = sqlite3.connect(directory / "journal", isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(
            "CREATE TABLE frames (stream INTEGER, sequence INTEGER, frame BLOB, PRIMARY KEY (stream, sequence))"
            " WITHOUT ROWID"
        )

    def append(self, records: Sequence[Record]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO frames VALUES (?, ?, ?)", records)
        self._connection.execute("COMMIT")

    def read(self, stream: int) -> list[tuple[int, bytes]]:
        return self._connection.execute(
            "SELECT sequence, frame FROM frames WHERE stream = ? ORDER BY sequence", (stream,)
        ).fetchall()

    def trim(self, stream: int, upto: int) -> None:
        self._connection.execute("DELETE FROM frames WHERE stream = ? AND sequence <= ?", (stream, upto))

    def close(self) -> None:
        self._connection.close()


class Lmdb(Engine):
    """A mapped B+tree that is copied on write. ``metasync`` and ``sync`` say what is synced at a commit."""

    _key = Struct(">QQ")

    def __init__(self, directory: Path, *, sync: bool = True, metasync: bool = True) -> None:
        self._environment = lmdb.open(str(directory / "journal"), map_size=2**30, sync=sync, metasync=metasync)

    def append(self, records: Sequence[Record]) -> None:
        key = self._key.pack
        with self._environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti([(key(stream, sequence), frame) for stream, sequence, frame in records], append=True)

    def read(self, stream: int) -> list[tuple[int, bytes]]:
        found, unpack = [], self._key.unpack
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            cursor.set_range(self._key.pack(stream, 0))
            for key, frame in cursor:
                its_stream, sequence = unpack(key)
                if its_stream != stream:
                    break
                found.append((sequence, frame))
        return found

    def trim(self, stream: int, upto: int) -> None:
        end = self._key.pack(stream, upto)
        with self._environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            there = cursor.set_range(self._key.pack(stream, 0))
            while there and cursor.key() <= end:
                there = cursor.delete()

    def close(self) -> None:
        self._environment.close()


PEERS: Mapping[str, Callable[[Path], Engine]] = {
    "SQLite, FULL": partial(Sqlite, synchronous="FULL"),
    "SQLite, NORMAL": partial(Sqlite, synchronous="NORMAL"),
    "LMDB, sync": Lmdb,
    "LMDB, no metasync": partial(Lmdb, metasync=False),
    "LMDB, no sync": partial(Lmdb, sync=False),
}
