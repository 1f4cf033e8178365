"""The file under a journal: made, recognised, locked, and its errors in words.

Strategy: SQLite with a write-ahead log that is synced at every commit, and a lock held as long as the file is open. A file
is only touched when it is certain whose it is.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spore.errors import JournalError, JournalFull

__all__ = ["FILE_NAME", "MAX_SEQUENCE", "JournalFile"]

FILE_NAME = "journal.sqlite"
APPLICATION_ID = 0x53504F52
"""``SPOR`` in the file's header: whose file it is."""
LAYOUT_VERSION = 1
PAGE_SIZE = 16_384
"""Frames up to a quarter of a page lie within it; larger ones take pages of their own. An order book is 2,400 bytes."""
LOG_SIZE = 4 << 20
"""Of the write-ahead log: when it has grown to so many bytes it is moved into the file and begins anew."""
RESERVE_SIZE = 2 * LOG_SIZE + (1 << 20)
"""Of a file that only holds room, so that on a full disk there is some for forgetting: at the worst the log has grown by
its size once more since it could not be moved into the file, and all of that has to be moved."""
GIVEN_BACK = 256 << 20
"""A full disk gets up to a quarter of so many bytes back at a time."""
MAX_SEQUENCE = (1 << 63) - 1
"""SQLite's largest integer. At a million a second it lasts for 290,000 years."""

_LAYOUT = f"""
BEGIN IMMEDIATE;
CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
CREATE TABLE frames (stream INTEGER, sequence INTEGER, frame BLOB NOT NULL, PRIMARY KEY (stream, sequence)) WITHOUT ROWID;
CREATE TABLE marks (stream TEXT, receiver TEXT, sequence INTEGER NOT NULL, PRIMARY KEY (stream, receiver)) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT_VERSION};
COMMIT;
"""

_REASONS = {
    sqlite3.SQLITE_BUSY: "another process has it open",
    sqlite3.SQLITE_NOTADB: "this is not a journal but some other file",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_FULL: "there is no room left on the disk",
}


class JournalFile:
    """A connection that one call at a time may use."""

    def __init__(self, path: Path) -> None:
        """Open the file at a path, or make it, and the directories above it, for their owner alone.

        Raises:
            JournalError: if it is no journal or cannot be had; it is left as it is.
        """
        self.path = path
        self._reserve = path.with_name("reserve")
        self._reserved = False
        self._lock = threading.Lock()
        self._closed = False
        try:
            _make(path)
            # isolation_level None: transactions begin where `transaction` says so.
            self.connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(str(path), f"it cannot be opened: {error}") from error
        try:
            with self.turn():
                self._recognise()
                self._prepare()
            self._hold_reserve()
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.connection.close()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """One call at a time has the connection; SQLite's errors come out in Spore's words."""
        with self._lock:
            if self._closed:
                raise self.error("it was closed")
            try:
                yield self.connection
            except UnicodeEncodeError as error:
                raise self.error(f"the name {error.object!r} is no text that can be written") from error
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the upper bits say which kind of the error it is
                reason = f"{_REASONS[code]} ({error})" if code in _REASONS else str(error)
                raise (JournalFull if code == sqlite3.SQLITE_FULL else JournalError)(str(self.path), reason) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the body's changes are on the disk when it ends, or none if it raises. Within a `turn`."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # after some errors SQLite has rolled back by itself
                self.connection.execute("ROLLBACK")
            raise

    def shrink(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Make a change, in a transaction, after which less is in use, or hardly more.

        On a full disk the reserve is given up for it, and what it has freed is given back to the disk. Within a `turn`.
        """
        try:
            with self.transaction() as connection:
                change(connection)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
                raise
            self._reserved = False
            self._reserve.unlink(missing_ok=True)
            self._ask("PRAGMA wal_checkpoint(TRUNCATE)")
            with self.transaction() as connection:
                change(connection)
            self._give_back()
            self._hold_reserve()

    def _give_back(self) -> None:
        """Give free pages back to the disk, in steps, because pages that are moved go through the log."""
        for _ in range(GIVEN_BACK // LOG_SIZE):
            # By a script, because `execute` would free one page.
            self.connection.executescript(f"PRAGMA incremental_vacuum({LOG_SIZE // PAGE_SIZE // 4})")
            self._ask("PRAGMA wal_checkpoint(TRUNCATE)")
            if not self._ask("PRAGMA freelist_count"):
                break

    def check_room(self) -> None:
        """Before anything is added: there must be a reserve, so that it can be forgotten again.

        Raises:
            JournalFull: if the disk has no room for one.
        """
        if not self._reserved:
            self._hold_reserve()
        if not self._reserved:
            raise JournalFull(
                str(self.path), f"there is no room left on the disk for a reserve of {RESERVE_SIZE:,} bytes"
            )

    def _hold_reserve(self) -> None:
        try:
            number = os.open(self._reserve, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(number, 0, RESERVE_SIZE)
            self._reserved = True
        except OSError:
            os.ftruncate(number, 0)
        finally:
            os.close(number)

    def error(self, reason: str, stream: str | None = None, sequence: int | None = None) -> JournalError:
        return JournalError(str(self.path), reason, stream=stream, sequence=sequence)

    def used_bytes(self) -> int:
        """Pages in use, without those that are free to be used again. Within a `turn`."""
        pages: int = self._ask("PRAGMA page_count") - self._ask("PRAGMA freelist_count")
        return pages * PAGE_SIZE

    def _recognise(self) -> None:
        self.connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # counts for a file that is empty
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if self._is_new():
            self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that it can be given back to a full disk
            return
        if self._ask("PRAGMA application_id") != APPLICATION_ID:
            raise self.error("this is another program's database")
        if (version := self._ask("PRAGMA user_version")) != LAYOUT_VERSION:
            raise self.error(f"its layout is version {version}, and this program reads version {LAYOUT_VERSION}")
        if (damage := self._ask("PRAGMA quick_check(1)")) != "ok":
            raise self.error(f"it is damaged: {damage}")

    def _prepare(self) -> None:
        if (mode := self._ask("PRAGMA journal_mode = WAL")) != "wal":
            raise self.error(f"there can be no write-ahead log here; the file system allows {mode}")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_SIZE // PAGE_SIZE}")
        self.connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE}")
        if self._is_new():
            self.connection.executescript(_LAYOUT)

    def _is_new(self) -> bool:
        """Nothing was ever written there, or its making was cut short."""
        return not self._ask("PRAGMA application_id") and not self._ask("SELECT count(*) FROM sqlite_schema")

    def _ask(self, question: str) -> Any:
        return self.connection.execute(question).fetchone()[0]


def _make(path: Path) -> None:
    for directory in reversed(path.parents):
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            _sync(directory.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        _sync(path.parent)


def _sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
