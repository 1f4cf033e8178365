"""The lines of a file, compressed or not, each with its number: the one place where recorded files are read.

A line is cut off at a limit before it is held, and whatever a damaged file does comes out as a FeedError at the line
where it happens; the lines before it have been handed on by then.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from spore.errors import FeedError

__all__ = ["LINE_LIMIT", "LineFile"]

LINE_LIMIT = 8 << 20
"""Bytes in a line. A log of a transaction that spends a whole Ethereum block's gas on its data has under 4 MiB: 8 gas
a byte (the Yellow Paper's G_logdata), hex digits twice that, and 30 million gas."""


class LineFile:
    """A file of lines, which is read once. A name that ends in ``.gz`` is one of a gzip file."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            FeedError: if it is not there, or is no file.
        """
        self.path = path
        self.line = 0
        """The number of the line that was read last, from 1."""
        self._bytes_read = 0
        try:
            self._size = path.stat().st_size
            self._regular = path.is_file()
        except OSError as error:
            raise FeedError(str(path), f"cannot be read: {error.strerror}") from None
        if path.is_dir():
            raise FeedError(str(path), "is a folder; give a file in it")

    @property
    def progress(self) -> float | None:
        """The share of the bytes on the disk that has been read; None for a pipe."""
        if not self._regular:
            return None
        return min(1.0, self._bytes_read / self._size) if self._size else 1.0

    def __iter__(self) -> Iterator[bytes]:
        """The lines, without their ends.

        Raises:
            FeedError: with the line, where the file is damaged, ends too soon, or has too long a line.
        """
        try:
            with self.path.open("rb") as raw:
                if self.path.suffix == ".gz":
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield from self._lines(unpacked, raw)
                else:
                    yield from self._lines(raw, raw)
        except OSError as error:  # gzip's own among them
            raise self.error(f"cannot be read: {error.strerror or error}") from None

    def _lines(self, source: gzip.GzipFile | io.BufferedReader, raw: io.BufferedReader) -> Iterator[bytes]:
        while True:
            try:
                line = source.readline(LINE_LIMIT + 1)
            except EOFError:
                raise self.error("the gzip file ends in the middle: it was cut off") from None
            except zlib.error as error:
                raise self.error(f"the gzip file is damaged: {error}") from None
            self._bytes_read = raw.tell()
            if not line:
                return
            self.line += 1
            if len(line) > LINE_LIMIT:
                raise FeedError(str(self.path), f"a line of more than {LINE_LIMIT} bytes", line=self.line)
            yield line.rstrip(b"\r\n")

    def error(self, reason: str) -> FeedError:
        """What is wrong after the last whole line."""
        return FeedError(str(self.path), reason, line=self.line + 1)
