"""What is wrong with a journal, in words: from SQLite's and the system's errors to what happened and what to do about it."""

from __future__ import annotations

import sqlite3

from spore.errors import JournalError, JournalFailed, JournalFull

__all__ = ["explained", "is_full"]

_ELSEWHERE = "give another directory"
_REASONS = {
    sqlite3.SQLITE_BUSY: f"another process has it open; stop that process, or {_ELSEWHERE}",
    sqlite3.SQLITE_LOCKED: f"another process has it open; stop that process, or {_ELSEWHERE}",
    sqlite3.SQLITE_NOTADB: f"this is not a journal but some other file; {_ELSEWHERE}",
    sqlite3.SQLITE_CORRUPT: "it is damaged; save what can be read with `spore journal export`, move the directory away, and restart the relay",
    sqlite3.SQLITE_FULL: "there is no room left on the disk, or under the limit of file sizes (ulimit -f); make room",
    sqlite3.SQLITE_READONLY: "it cannot be written; make the file, its directory and its file system writable for this user",
    sqlite3.SQLITE_PERM: "it cannot be opened; give this user the permission to read and write the file and its directory",
    sqlite3.SQLITE_AUTH: "it cannot be opened; give this user the permission to read and write the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; see that its directory is there and that this user may read and write it",
    sqlite3.SQLITE_IOERR: "the disk fails, or a limit is reached (quota, ulimit -f); see to the disk and the limits",
}


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error says that there is no room."""
    return _code(error) == sqlite3.SQLITE_FULL


def explained(path: str, error: sqlite3.Error | OSError) -> JournalError:
    """What an error of SQLite or of the system means for a journal."""
    if isinstance(error, OSError):
        return JournalFailed(
            path, f"{error.strerror or error}; see to the disk, the directory and this user's permissions"
        )
    code = _code(error)
    reason = f"{_REASONS[code]} ({_named(error)})" if code in _REASONS else _named(error)
    return (JournalFull if code == sqlite3.SQLITE_FULL else JournalFailed)(path, reason)


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # the upper bits say which kind of the error it is


def _named(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{error}, {name}" if name else str(error)
