"""What commands that measure keep of themselves while they run, for whoever wants to watch: JSON, an object a line, a file a run.

The files are in a folder of this user alone, few and small. A line is written whole, and a reader ignores one that is not. Whoever
writes a file holds a lock on it, which the system lets go of however that process ends: so a file without a lock and without
an end is that of a run that was killed.

Rule: a record is a courtesy. That it cannot be kept is never a reason for the command to fail.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["MAX_BYTES", "MAX_KEPT", "Record", "keep_record", "records_folder"]

MAX_KEPT = 20
"""Files; of more, the oldest are removed."""
MAX_BYTES = 1_000_000
"""Of a file. A load test tells 240 samples of a hundred bytes each; what comes after that much is not told, but the end is."""
FILE_NAME = re.compile(r"\d{8}T\d{12}Z-[a-z]+-\d+\.jsonl")


def records_folder() -> Path:
    """Where the records of this user are.

    Source: XDG Base Directory Specification, ``XDG_STATE_HOME``.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "spore" / "runs"


class Record:
    """A record that is being written. Made by `keep_record`.

    Args:
        file: its descriptor; None where none can be kept.
        path: its name.
    """

    def __init__(self, file: int | None, path: Path | None = None) -> None:
        self.path = path
        self._file = file
        self._size = 0
        self._ended = False

    def tell(self, event: str, **facts: Any) -> None:
        """Note something that can be said in JSON.

        Args:
            event: what it is: ``begin``, ``progress``, ``measured``, ``sample``, or ``end``, after which nothing is noted.
            facts: what there is to know of it.
        """
        if self._file is None or self._ended:
            return
        line = json.dumps({"event": event, **facts}).encode() + b"\n"
        self._ended = event == "end"
        if self._size + len(line) > MAX_BYTES and not self._ended:
            return
        try:
            self._size += os.write(self._file, line)
        except OSError:
            self._file = None


@contextmanager
def keep_record(command: str, **facts: Any) -> Iterator[Record]:
    """A record for the length of a block. If the block has not told of an end, one is told, with the error if there is one.

    Args:
        command: whose, in one word.
        facts: what it was told to do.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError: nobody knows this user's home
        _remove_old(records_folder())
    file: int | None = None
    path: Path | None = None
    with suppress(OSError, RuntimeError):
        file, path = _created(command)
    record = Record(file, path)
    try:
        record.tell("begin", command=command, at=datetime.now(UTC).isoformat(timespec="seconds"), **facts)
        yield record
        record.tell("end")
    except BaseException as error:
        record.tell("end", error=_cause(error))
        raise
    finally:
        if file is not None:
            os.close(file)


def _created(command: str) -> tuple[int, Path]:
    """A file of its own and its name, locked before there is anything in it."""
    folder = records_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{folder} is not this user's alone")
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{command}-{os.getpid()}.jsonl"
    hidden = path.with_name(f".{path.name}")  # from readers, who would hold the lock for a moment
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(hidden, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(path)
    except OSError:
        os.close(file)
        raise
    return file, path


def _remove_old(folder: Path) -> None:
    kept = sorted((path for path in folder.iterdir() if FILE_NAME.fullmatch(path.name)), reverse=True)
    for path in kept[MAX_KEPT - 1 :]:
        path.unlink(missing_ok=True)


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) or type(error).__name__
