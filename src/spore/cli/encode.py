"""``spore encode``: JSON lines to frames, the reverse of ``spore decode``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from spore.cli.files import InputFile, label, open_input, open_output
from spore.cli.modules import Modules, load_messages
from spore.cli.progress import LateProgress
from spore.codec import encode_frame
from spore.codec.plain import frame_from_plain
from spore.errors import CodecError, ConversionError, UsageError
from spore.message import Registry

__all__ = ["encode"]


def encode(
    file: InputFile,
    /,
    *,
    hex_text: Annotated[bool, Parameter(name="--hex")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    module: Modules | None = None,
) -> None:
    """Write the frames that a file of JSON lines describes, in the form that ``spore decode`` prints.

    Parameters
    ----------
    file
        The file to read; - is standard input.
    hex_text
        Write hex text, one frame a line, instead of bytes.
    output
        Write to this file instead of standard output; it appears only when all frames are in it.
    """
    if output is None and not hex_text and sys.stdout.isatty():
        raise UsageError("frames are binary and would garble the terminal; add --hex or --output FILE")
    registry = load_messages(module or [])
    with (
        open_input(file) as (source, size),
        LateProgress("encoding", size) as progress,
        open_output(output) as out,
    ):
        for number, line in enumerate(source, start=1):
            if line.strip():
                frame = _frame(line, f"{label(file)}, line {number}", registry)
                out.write(f"{frame.hex()}\n".encode() if hex_text else frame)
            progress.advance(len(line))


def _frame(line: bytes, where: str, registry: Registry) -> bytes:
    try:
        return encode_frame(frame_from_plain(json.loads(line.rstrip(), object_pairs_hook=_object), registry=registry))
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}, column {error.colno}: no JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: no UTF-8: {error.reason} at byte {error.start} of the line") from None
    except (ConversionError, CodecError) as error:
        raise UsageError(f"{where}: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ConversionError("Frame", (f"the key {twice!r} is there twice",))
    return found
