"""The file under a journal: made, recognised, locked, opened again after an error, and its errors in words.

Strategy: SQLite with a write-ahead log that is synced at every commit. One process writes to it, which a lock on a file beside
it shows; others may look into it meanwhile, and forget what is in it, in transactions of their own. A file is only touched when it is
certain whose it is; and it is written only as long as it is still there, under its name, because what is written to a file that
was removed is lost.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spore.errors import JournalError, JournalFailed, JournalFull
from spore.relay.journal_layout import APPLICATION_ID, LAYOUT, LAYOUT_VERSION, PAGE_SIZE
from spore.relay.journal_reasons import explained, is_full
from spore.relay.journal_reserve import LOG_SIZE, Reserve, largest_file

__all__ = ["FILE_NAME", "LOCK_NAME", "MAX_SEQUENCE", "JournalFile", "check_journal"]

FILE_NAME = "journal.sqlite"
LOCK_NAME = "lock"
BUSY_S = 5.0
"""So long a call waits for another process that writes: `spore journal forget` does, for a moment."""
GIVEN_BACK = 256 << 20
"""A full disk gets up to a quarter of so many bytes back at a time."""
MAX_SEQUENCE = (1 << 63) - 1
"""SQLite's largest integer. At a million a second it lasts for 290,000 years."""
_SAME_AGAIN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CORRUPT}
"""Errors after which another connection to the file would be no better than this one."""


class JournalFile:
    """A connection that one call at a time may use."""

    def __init__(self, path: Path) -> None:
        """Open the file at a path, or make it, and the directories above it, for their owner alone.

        Raises:
            JournalError: if it is no journal or cannot be had; it is left as it is.
        """
        self.path = path
        self.reopened = 0
        """How often it was opened again, so that what is known of it may be out of date."""
        self._reserve = Reserve(path.with_name("reserve"))
        self._log = path.with_name(f"{path.name}-wal")
        self._turn = threading.Lock()
        self._closed = self._suspect = False
        self._lock = -1
        try:
            _make(path)
            self._lock = self._take_lock(path.with_name(LOCK_NAME))
            self._identity = _identity(path)
            self._log_identity: tuple[int, int] | None = None
            self.connection = _connect(path)
        except (OSError, sqlite3.Error) as error:
            self._release()
            raise explained(str(path), error) from error
        except JournalError:
            self._release()
            raise
        try:
            with self.turn():
                self._recognise()
                self._prepare()
            self._reserve.hold()
        except BaseException:
            self.connection.close()
            self._release()
            raise

    def close(self) -> None:
        """Close the file. What SQLite may have to say against that changes nothing: what was to be on the disk is there."""
        with self._turn:
            self._closed = True
            with suppress(sqlite3.Error):
                self.connection.close()
            self._release()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """One call at a time has the connection; SQLite's errors, and the system's, come out in Spore's words.

        After an error of the disk the next call begins with the file opened again.
        """
        with self._turn:
            if self._closed:
                raise self.error("it was closed")
            try:
                if self._suspect:
                    self._reopen()
                yield self.connection
            except UnicodeEncodeError as error:
                raise self.error(f"the name {error.object!r} is no text that can be written") from error
            except (sqlite3.Error, OSError) as error:
                self._suspect |= getattr(error, "sqlite_errorcode", 0) & 0xFF not in _SAME_AGAIN
                raise explained(str(self.path), error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the body's changes are on the disk when it ends, or none if it raises. Within a `turn`."""
        self._check_there()
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
            if not is_full(error):
                raise
            self._reserve.give_up()
            self._ask("PRAGMA wal_checkpoint(TRUNCATE)")
            with self.transaction() as connection:
                change(connection)
            self._give_back()
            self._reserve.hold()

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
        if not self._reserve.held and not self._reserve.hold():
            raise JournalFull(
                str(self.path), f"there is no room left on the disk for a reserve of {self._reserve.size:,} bytes"
            )

    def error(self, reason: str, stream: str | None = None, sequence: int | None = None) -> JournalError:
        return JournalError(str(self.path), reason, stream=stream, sequence=sequence)

    def used_bytes(self) -> int:
        """Pages in use, without those that are free to be used again. Within a `turn`."""
        pages: int = self._ask("PRAGMA page_count") - self._ask("PRAGMA freelist_count")
        return pages * PAGE_SIZE

    def version(self) -> tuple[int, int]:
        """Another one than before if another connection has changed something. Within a `turn`."""
        return self.reopened, self._ask("PRAGMA data_version")

    # Whether it is still the file that it was

    def _check_there(self) -> None:
        """What is written to a file that was removed, or replaced, is gone with this process."""
        if self._moved(self.path, self._identity):
            reason = "it was removed or replaced; put it back, or restart the relay to begin with what is there"
            raise JournalFailed(str(self.path), reason)
        if self._log_identity is None:
            with suppress(FileNotFoundError):
                self._log_identity = _identity(self._log)
        elif self._moved(self._log, self._log_identity):
            self._suspect = True  # opening it again moves what the log held into the file, and makes another log
            raise JournalFailed(str(self.path), f"its log {self._log.name} was removed or replaced")

    @staticmethod
    def _moved(path: Path, identity: tuple[int, int]) -> bool:
        try:
            return _identity(path) != identity
        except (FileNotFoundError, NotADirectoryError):
            return True

    def _reopen(self) -> None:
        """Begin anew with the same file."""
        if self._moved(self.path, self._identity):
            self._check_there()
        with suppress(sqlite3.Error):
            self._ask("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            self.connection.close()
        self._log_identity = None
        self.connection = _connect(self.path)
        self.reopened += 1
        check_journal(self.connection, self.path)
        self._prepare()
        self._suspect = False

    # At the beginning

    def _take_lock(self, path: Path) -> int:
        number = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(number)
            if not isinstance(error, BlockingIOError):
                raise
            reason = "another process has it open; stop that process, or give another directory"
            raise JournalFailed(str(self.path), reason) from None
        return number

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _recognise(self) -> None:
        self.connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # counts for a file that is empty
        if self._is_new():
            self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that it can be given back to a full disk
            return
        check_journal(self.connection, self.path)
        if (damage := self._ask("PRAGMA quick_check(1)")) != "ok":
            raise explained(str(self.path), _damaged(damage))

    def _prepare(self) -> None:
        if (mode := self._ask("PRAGMA journal_mode = WAL")) != "wal":
            raise self.error(f"there can be no write-ahead log here; the file system allows {mode}")
        log_size = LOG_SIZE
        if (most := largest_file()) is not None:
            log_size = min(LOG_SIZE, most // 4)
            self._ask(f"PRAGMA max_page_count = {max(1, most // PAGE_SIZE)}")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {max(1, log_size // PAGE_SIZE)}")
        self.connection.execute(f"PRAGMA journal_size_limit = {log_size}")
        if self._is_new():
            self.connection.executescript(LAYOUT)

    def _is_new(self) -> bool:
        """Nothing was ever written there, or its making was cut short."""
        return not self._ask("PRAGMA application_id") and not self._ask("SELECT count(*) FROM sqlite_schema")

    def _ask(self, question: str) -> Any:
        return self.connection.execute(question).fetchone()[0]


def check_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a database is a journal that this program reads.

    Raises:
        JournalError: if not.
        sqlite3.Error: if it is no database, or cannot be read.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalError(str(path), "this is another program's database; give another directory")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != LAYOUT_VERSION:
        reason = f"its layout is version {version}, and this program reads version {LAYOUT_VERSION}"
        raise JournalError(str(path), f"{reason}; use the program that wrote it, or give another directory")


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions begin where `transaction` says so. Not made anew: that would be an empty one.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )


def _damaged(text: str) -> sqlite3.Error:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


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
