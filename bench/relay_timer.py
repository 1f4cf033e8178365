"""A clock that any event loop can wait for: a Linux timer that is a file descriptor.

Event loops sleep in milliseconds (epoll's unit), each in its own way, and a paced load would measure that instead of
the transport. This fires when it is due and is waited for as a socket is, by trio, asyncio and a blocking read alike.
"""

from __future__ import annotations

import ctypes
import os
import time

__all__ = ["Ticker"]

_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_NS = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Ticker:
    """Fires every so many nanoseconds of `time.monotonic_ns`, the first time at ``begin_ns``."""

    def __init__(self, interval_ns: int) -> None:
        # `os.timerfd_create` is there from Python 3.13 on.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_CLOEXEC))
        self.interval_ns = interval_ns
        self.begin_ns = 0

    def start(self) -> None:
        """Fire for the first time in a moment."""
        self.begin_ns = time.monotonic_ns() + 10_000_000
        when = _Itimerspec(
            _Timespec(*divmod(self.interval_ns, _NS)),
            _Timespec(*divmod(self.begin_ns, _NS)),
        )
        _checked(self._libc.timerfd_settime(self._fd, _TIMER_ABSTIME, ctypes.byref(when), None))

    def fileno(self) -> int:
        """Readable when it has fired and was not read since."""
        return self._fd

    def read(self) -> int:
        """How many times it has fired since it was last read; blocks until it has."""
        return int.from_bytes(os.read(self._fd, 8), "little")


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
