"""Where a system is reached while it runs, and that one process at a time runs a configuration.

Invariant: who holds the lock beside the socket runs the configuration. The system itself lets go of a lock however its process
ends, so a socket without a lock is what a dead run has left, and a lock without a socket is a run that begins or ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from spore.deploy.run_folder import SHORT, runtime_folder, short_enough
from spore.errors import UsageError
from spore.relay import Address
from spore.relay.unix import listen_at, remove

__all__ = ["claim", "runner_of", "socket_path"]

ROOM = len("/0123456789abcdef.control")
"""Bytes that a socket's own name takes of its path."""
LOOK_S = 0.1
"""Who looks whether a lock is held holds it for a moment. Longer than so long it is no look."""


def socket_path(config: str | Path, socket: str | None = None, node: str = "") -> Path:
    """Where the run of a configuration file is reached.

    Args:
        config: the file, which need not be there.
        socket: what the file says about it: a path, seen from the file's folder.
        node: the node that is run, where the file has several: on one machine each is reached for itself.

    Raises:
        UsageError: if the path is too long for a socket.
    """
    file = os.path.realpath(config)
    if socket is not None:
        path = Path(file).parent / (f"{socket}.{node}" if node else socket)
    else:
        what = os.fsencode(file) + (b"\0" + node.encode() if node else b"")
        path = _folder() / f"{hashlib.sha256(what).hexdigest()[:16]}.control"
    Address(path=str(path))
    return path


def _folder() -> Path:
    """The private directory of this user for sockets of runs: the first whose name is short enough for the path of a socket."""
    runtime = runtime_folder()
    own = f"spore-{os.getuid()}"
    folders = [*([runtime / "spore"] if runtime is not None else []), Path(tempfile.gettempdir()) / own]
    return next((folder for folder in folders if short_enough(folder, ROOM)), Path(SHORT) / own)


@asynccontextmanager
async def claim(path: Path, what: str | Path) -> AsyncIterator[socket.socket]:
    """Be the one who runs a configuration, for the length of a block, and listen at its socket, which has mode 0600.

    Args:
        path: of `socket_path`.
        what: what is run, for the error.

    Cancellation: entering is a checkpoint. The socket is removed in any case.

    Raises:
        UsageError: if another process runs it, with its number; or if that place is not safe, or taken by something else.
    """
    if path.parent == _folder():
        _make_private(path.parent)
        _sweep(path.parent)
    lock = await _locked(path, what)
    try:
        sock = await listen_at(str(path), who="another process")
        try:
            yield sock
        finally:
            sock.close()
            remove(str(path))
    finally:
        _lock_file(path).unlink(missing_ok=True)  # before it is let go: who gets it has to find it under its name
        os.close(lock)


def runner_of(path: Path) -> int | None:
    """The number of the process that runs what is reached there, whether or not it answers; None if nobody does.

    Raises:
        UsageError: if that cannot be told.
    """
    try:
        lock = os.open(_lock_file(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot tell whether something runs: {_lock_file(path)}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number_in(lock)
    finally:
        os.close(lock)
    return None


def _sweep(folder: Path) -> None:
    """Remove the sockets of runs that were killed. What cannot be told, or removed, stays."""
    for file in folder.glob("*.control.lock"):
        with suppress(OSError):
            lock = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if _taken(lock) and _is_at(lock, file):
                    remove(str(file.with_suffix("")))
                    file.unlink()
            finally:
                os.close(lock)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


async def _locked(path: Path, what: str | Path) -> int:
    file = _lock_file(path)
    patience = trio.current_time() + LOOK_S
    while True:
        try:
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"cannot listen for commands: {file}: {error.strerror}") from None
        if not _taken(lock):
            number = _number_in(lock)
            os.close(lock)
            if trio.current_time() < patience:
                await trio.sleep(LOOK_S / 10)
                continue
            raise UsageError(
                f"{what} is run already, by process {number or '…'}; end that one first, or run a copy of the file"
            )
        if _is_at(lock, file):
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
        os.close(lock)  # whoever had it has just removed it


def _taken(lock: int) -> bool:
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


def _number_in(lock: int) -> int:
    """The number that its holder has written; 0 if it has not yet."""
    text = os.pread(lock, 20, 0)
    return int(text) if text.isdigit() else 0


def _make_private(folder: Path) -> None:
    """Make a directory for this user alone, or be sure that it is one.

    Raises:
        UsageError: if it is not, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UsageError(
            f"cannot listen for commands in {folder}: {error.strerror}; set XDG_RUNTIME_DIR, or socket in [control]"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"{folder} has to be a directory that is for user {os.getuid()} alone (mode 0700), and is not; "
            "remove it, set XDG_RUNTIME_DIR, or socket in [control]"
        )
