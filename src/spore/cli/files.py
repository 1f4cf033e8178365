"""Files and standard streams, as commands use them: ``-`` is stdin, and a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias

from cyclopts import Parameter

from spore.errors import UsageError

__all__ = ["CHUNK_SIZE", "InputFile", "label", "open_input", "open_output", "open_recording"]

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


class _Written(io.FileIO):
    """A file under a name for the time being: an error while it is written names the file that it will be."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, "w")
        self._path = path

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None


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
        with io.BufferedWriter(_Written(handle, path)) as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


@contextlib.contextmanager
def open_recording(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Where to write a file that others will rely on: whole and on the disk when the block ends, and not there before.

    It is for this user alone; one that is replaced keeps its mode.

    Raises:
        UsageError: if there is one of that name already, and it is not to be overwritten, or cannot be.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file, and cannot become one")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; add --force to replace it")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # not the name of a file nobody asked for
    try:
        with io.BufferedWriter(_Written(handle, path)) as file:
            if path.exists():
                os.fchmod(handle, stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(handle)
        beside.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """A name is on the disk once its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
