"""Room for forgetting on a full disk: a file that only holds room, and what the system lets a file grow to."""

from __future__ import annotations

import os
import resource
from pathlib import Path

__all__ = ["LOG_SIZE", "RESERVE_SIZE", "Reserve", "largest_file"]

LOG_SIZE = 4 << 20
"""Of the write-ahead log: when it has grown to so many bytes it is moved into the file and begins anew."""
RESERVE_SIZE = 2 * LOG_SIZE + (1 << 20)
"""At the worst the log has grown by its size once more since it could not be moved into the file, and all of that has to be
moved."""


def largest_file() -> int | None:
    """To how many bytes this process may let a file grow (``ulimit -f``); None for any number."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


class Reserve:
    """A file of some megabytes that is given up when the disk is full, so that there is room to write down what is forgotten."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most = largest_file()
        self.held = False

    @property
    def size(self) -> int:
        return RESERVE_SIZE if self._most is None else min(RESERVE_SIZE, self._most)

    def hold(self) -> bool:
        """Take the room; return whether it is held."""
        try:
            number = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(number, 0, self.size)
            self.held = True
        except OSError:
            os.ftruncate(number, 0)
        finally:
            os.close(number)
        return self.held

    def give_up(self) -> None:
        """Let others have the room.

        Raises:
            OSError: if the file cannot be removed.
        """
        self.held = False
        self._path.unlink(missing_ok=True)
