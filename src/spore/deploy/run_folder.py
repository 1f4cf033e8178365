"""Folders that live as long as a run: for sockets and for what a comparison writes. The next run removes what a killed one has left.

Invariant: whoever made a folder holds the lock in it, which the system lets go of however that process ends. So a folder whose lock can be
had is nobody's any more.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from spore.errors import UsageError

__all__ = ["LONGEST", "RUN_USER", "SHORT", "open_run_folder", "runtime_folder", "short_enough"]

Purpose: TypeAlias = Literal["run", "compare", "nats"]

RUN_USER = "/run/user"
"""Source: pam_systemd(8)."""
LONGEST = 107
"""Bytes of a socket's path. Source: unix(7); 108 bytes with the one that ends it."""
SHORT = "/tmp"  # noqa: S108 - what is made there is made for one user alone, and checked
"""Where sockets are if the usual folder for temporary files has too long a name."""
LOCK = "lock"
NAME = re.compile(r"spore-(run|compare|nats)-[a-z0-9_]{8}")
"""As `tempfile.mkdtemp` makes them."""
ROOM = len("/spore-run-12345678/relay")
"""Bytes that a relay's socket in such a folder takes behind the name of the folder's parent."""


def runtime_folder() -> Path | None:
    """The folder of this user for sockets, if the system has one. A job of cron finds the one that a login has."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime and os.access(f"{RUN_USER}/{os.getuid()}", os.W_OK):
        runtime = f"{RUN_USER}/{os.getuid()}"
    return Path(runtime) if runtime else None


def short_enough(folder: Path, room: int = ROOM) -> bool:
    """Whether the path of a socket in such a folder is not too long.

    Args:
        folder: the folder.
        room: how many bytes come behind its name.
    """
    return len(os.fsencode(folder)) + room <= LONGEST


@contextmanager
def open_run_folder(purpose: Purpose, *, sockets: bool = False) -> Iterator[Path]:
    """A folder for this user alone, for the length of a block. What killed processes have left beside it is removed first.

    Args:
        purpose: what it is for, which is a part of its name.
        sockets: whether sockets are to be in it, whose paths must be short.

    Raises:
        UsageError: if there is no place for it.
    """
    parent = _parent(sockets=sockets)
    _sweep(parent)
    path, lock = _made(parent, purpose)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _parent(*, sockets: bool) -> Path:
    usual = Path(tempfile.gettempdir()).absolute()
    if not sockets:
        return usual
    places = [usual, *([runtime] if (runtime := runtime_folder()) is not None else []), Path(SHORT)]
    for place in places:
        if short_enough(place) and os.access(place, os.W_OK | os.X_OK):
            return place
    tried = ", ".join(map(str, places))
    raise UsageError(
        f"there is no place for the relay's socket, whose path has at most {LONGEST} bytes: {tried} are too long or cannot be written to; "
        "set TMPDIR or XDG_RUNTIME_DIR to a folder with a shorter name, or socket in [relay]"
    )


def _made(parent: Path, purpose: Purpose) -> tuple[Path, int]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=f"spore-{purpose}-", dir=parent))
        except OSError as error:
            raise UsageError(f"cannot make a folder for this run in {parent}: {error.strerror}; set TMPDIR") from None
        with suppress(FileNotFoundError):  # a sweep has taken it for one that was left behind
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if _locked(lock) and _is_at(lock, path / LOCK):
                return path, lock
            os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove the folders of processes that have ended without doing it themselves. What cannot be told, or removed, stays."""
    try:
        names = [name for name in os.listdir(parent) if NAME.fullmatch(name)]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            found = (parent / name).lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
                continue
            lock = os.open(parent / name / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if _locked(lock):
                    shutil.rmtree(parent / name, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), file.lstat())
    except FileNotFoundError:
        return False
