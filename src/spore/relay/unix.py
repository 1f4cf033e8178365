"""Listening at a Unix socket that is for its user alone, and in the place of one that a dead process has left."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

import trio

from spore.errors import UsageError

__all__ = ["BACKLOG", "listen_at", "remove"]

BACKLOG = 128


async def listen_at(path: str, *, who: str) -> socket.socket:
    """A socket that listens at a path, with mode 0600. It does not block.

    Args:
        path: where; at most 107 bytes.
        who: what listens there, as an error calls another one, such as ``a relay``.

    Cancellation: a checkpoint, before anything was changed.

    Raises:
        UsageError: if somebody listens there already, something else is there, or the system does not allow it.
    """
    await _make_room(path, who)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # so that there is no moment at which somebody else could connect
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise UsageError(f"cannot listen at unix:{path}: {error.strerror or error}") from None
    finally:
        os.umask(mask)
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


async def _make_room(path: str, who: str) -> None:
    """Remove the socket file of a process that has died."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        await trio.lowlevel.checkpoint()
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"{path} exists and is no socket; nothing was changed")
    probe = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await probe.connect(path)
    except ConnectionRefusedError:
        remove(path)
    except OSError as error:
        raise UsageError(f"cannot tell whether {who} listens at {path}: {error.strerror}") from None
    else:
        raise UsageError(f"{who} listens at {path} already")
    finally:
        probe.close()


def remove(path: str) -> None:
    """Remove a socket file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
