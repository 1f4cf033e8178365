"""Files and standard streams, as commands use them: ``-`` is stdin, and a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

from cyclopts import Parameter

__all__ = ["CHUNK_SIZE", "InputFile", "label", "open_input", "open_output"]

CHUNK_SIZE = 1 << 16

InputFile: TypeAlias = Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)]
"""A file to read, or ``-``."""


def label(path: str) -> str:
    """How an error names the input."""
    return "<stdin>" if path == "-" else path


@contextlib.contextmanager
def open_input(path: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The bytes of a file, or of stdin for ``-``, and how many there are where that is known."""
    if path == "-":
        yield sys.stdin.buffer, None
        return
    with Path(path).open("rb") as file:
        status = os.fstat(file.fileno())
        yield file, status.st_size or None


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Where to write bytes: stdout, or a file that takes its place only once the block ends without an error."""
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # not the name of a file nobody asked for
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
