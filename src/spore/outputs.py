"""The standard streams of a process of Spore: they are always there, can say every character, and fail once.

Invariants:

- Descriptors 0 to 2 belong to the standard streams, whether or not the process was given them. Else a socket or a pipe takes the
  number of a stream that was closed, and whatever is printed goes there.
- No text makes an output fail. A character that the encoding has not is replaced by one that is read alike, or by its escape.
- An output that has failed says so once; from then on it takes everything and keeps nothing, so that the interpreter's last flush
  finds nothing wrong.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any

__all__ = ["STDOUT", "in_plain_words", "open_standard_streams", "write_line"]

STDIN, STDOUT = "standard input", "standard output"
"""The names of the files in the errors of standard streams."""
ERRORS = "spore.plain"
"""The error handler's name, as Python's codecs know it."""
ALIKE = str.maketrans(
    {
        "→": ">",
        "–": "-",
        "·": "-",
        "…": "~",
        "µ": "u",
        "≈": "~",
        "≥": ">=",
        "≤": "<=",
        "×": "x",
        "±": "+-",
        "✓": "+",
        "✗": "x",
        "▾": "v",
        "▏": "|",
        **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)),
    }
)
"""What Spore's own output has beyond ASCII. Where columns are to stay in line, one character stands for one."""


def in_plain_words(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler: characters that an encoding has not, as others that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(ALIKE)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(ERRORS, in_plain_words)


class _Outlet(io.FileIO):
    """Where a standard stream writes. Its first failure is raised, or passed over; later ones are none."""

    def __init__(self, handle: int, *, goes_on: bool) -> None:
        super().__init__(handle, "w", closefd=False)
        self._goes_on = goes_on
        self._failed = False

    def write(self, data: Any, /) -> int:
        if not self._failed:
            try:
                return super().write(data)
            except OSError as error:
                self._failed = True
                if not self._goes_on:
                    raise OSError(error.errno, error.strerror, STDOUT) from None
                if self.fileno() != 2:
                    reason = f"spore: {STDOUT} has failed ({error.strerror}), and this goes on without it"
                    print(reason, file=sys.stderr, flush=True)
        return memoryview(data).nbytes


class _Inlet(io.FileIO):
    """A standard input that was closed: who reads it is told which file cannot be read."""

    def readinto(self, buffer: Any, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDIN)


def open_standard_streams(*, goes_on: bool) -> None:
    """Put standard streams as described above in the place of those that the interpreter has made.

    Args:
        goes_on: whether the process goes on if its standard output fails; else the writer gets the error, an `OSError` with the
            filename `STDOUT`. A standard error that fails never stops anybody: there is nobody to be told.
    """
    for handle in (0, 1, 2):
        _occupy(handle)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Inlet(0, closefd=False)))
    sys.stderr = _text(sys.stderr, 2, goes_on=True)
    sys.stdout = _text(sys.stdout, 1, goes_on=goes_on)


def _occupy(handle: int) -> None:
    """Give a descriptor that was closed to a file that behaves as a closed one would, but for standard error, which swallows."""
    try:
        os.fstat(handle)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY if handle == 1 else os.O_WRONLY)
        if null != handle:
            os.dup2(null, handle)
            os.close(null)
        os.set_inheritable(handle, True)


def _text(given: Any, handle: int, *, goes_on: bool) -> io.TextIOWrapper:
    encoding = getattr(given, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Outlet(handle, goes_on=goes_on)),
        encoding=encoding,
        errors=ERRORS,
        line_buffering=handle == 2 or bool(getattr(given, "line_buffering", False)),
        write_through=bool(getattr(given, "write_through", False)),
    )


def write_line(handle: int, line: str) -> None:
    """Write a line to a descriptor, whole and at once.

    Raises:
        OSError: if nobody reads there any more.
    """
    rest = memoryview(line.encode() + b"\n")
    while rest:
        rest = rest[os.write(handle, rest) :]
