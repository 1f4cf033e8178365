"""``spore decode``: frames to JSON lines."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from spore.cli.files import CHUNK_SIZE, InputFile, label, open_input
from spore.cli.modules import Modules, load_messages
from spore.cli.progress import LateProgress
from spore.codec import RecordingDecoder
from spore.codec.plain import frame_to_plain
from spore.codec.recording import SUFFIX
from spore.errors import Damage, DecodeError, SchemaMismatch, UsageError

__all__ = ["decode"]


def decode(
    file: InputFile, /, *, hex_text: Annotated[bool, Parameter(name="--hex")] = False, module: Modules | None = None
) -> None:
    """Print the frames of a file as JSON, one a line.

    At damage, the frames before it are printed, then what is wrong and at which byte, and the exit code is 2. So it is at a message
    that was recorded with another meaning than it has here, where the file begins with its schema, which is printed as well.

    Parameters
    ----------
    file
        The file to read; - is standard input.
    hex_text
        The input is hex text; white space between the bytes is passed over.
    """
    decoder = RecordingDecoder(registry=load_messages(module or []))
    with open_input(file) as (source, size), LateProgress("decoding", size) as progress:
        try:
            for chunk in _hex_chunks(source, label(file)) if hex_text else _chunks(source):
                decoder.feed(chunk)
                for frame in decoder:
                    print(json.dumps(frame_to_plain(frame)))
                progress.advance(len(chunk) * (2 if hex_text else 1))
            decoder.end()
        except SchemaMismatch as error:
            raise UsageError(f"{label(file)}: {error}") from None
        except DecodeError as error:
            _warn(decoder, file)
            hint = " (hex text? add --hex)" if error.damage is Damage.MAGIC and not hex_text else ""
            raise UsageError(f"{label(file)}: {error}{hint}") from None
        _warn(decoder, file)


def _warn(decoder: RecordingDecoder, file: str) -> None:
    """A recording is known by its name; other files, and pipes, are what somebody looks into."""
    warning = decoder.warning(file)
    if warning is not None and file.endswith(SUFFIX):
        print(f"spore: {warning}", file=sys.stderr)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_SIZE):
        yield chunk


def _hex_chunks(source: BinaryIO, name: str) -> Iterator[bytes]:
    left = b""
    for number, line in enumerate(source, start=1):
        digits = left + b"".join(line.split())
        if (wrong := re.search(rb"[^0-9a-fA-F]", digits)) is not None:
            found = digits[wrong.start() : wrong.start() + 1].decode(errors="replace")
            raise UsageError(f"{name}, line {number}: {found!r} is no hex digit")
        whole = len(digits) // 2 * 2
        left = digits[whole:]
        yield bytes.fromhex(digits[:whole].decode())
    if left:
        raise UsageError(f"{name}: an odd number of hex digits; the last byte has only one")
