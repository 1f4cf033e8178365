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
from spore.codec import RecordingDecoder, encode_frame, is_schema_head, schema_head
from spore.codec.plain import frame_from_plain
from spore.codec.recording import SUFFIX
from spore.errors import CodecError, ConversionError, DecodeError, SchemaMismatch, UsageError
from spore.message import Registry, Schema

__all__ = ["encode"]


def encode(
    file: InputFile,
    /,
    *,
    hex_text: Annotated[bool, Parameter(name="--hex")] = False,
    schema: bool = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    module: Modules | None = None,
) -> None:
    """Write the frames that a file of JSON lines describes, in the form that ``spore decode`` prints.

    A recording, an output whose name ends in .frames, begins with the schema of its messages; if the lines do, that one is kept.

    Parameters
    ----------
    file
        The file to read; - is standard input.
    hex_text
        Write hex text, one frame a line, instead of bytes.
    schema
        Begin with the schema wherever the frames go.
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
        checked: RecordingDecoder | None = None
        begun = not (schema or (output is not None and output.suffix == SUFFIX))
        for number, line in enumerate(source, start=1):
            if line.strip():
                where = f"{label(file)}, line {number}"
                frame, is_head = _frame(line, where, registry)
                if is_head and checked is None:
                    checked = RecordingDecoder(registry=registry)
                if not (begun or is_head):
                    out.write(_written(schema_head(Schema.of(registry)), hex_text))
                begun = True
                if checked is not None:
                    _check(checked, frame, where)
                out.write(_written(frame, hex_text))
            progress.advance(len(line))
        if not begun:
            out.write(_written(schema_head(Schema.of(registry)), hex_text))


def _written(frame: bytes, hex_text: bool) -> bytes:
    return f"{frame.hex()}\n".encode() if hex_text else frame


def _check(checked: RecordingDecoder, frame: bytes, where: str) -> None:
    """A frame that is written by today's layouts must not stand behind a schema that says otherwise."""
    try:
        checked.feed(frame)
        for _ in checked:
            pass
    except (SchemaMismatch, DecodeError) as error:
        raise UsageError(
            f"{where}: the schema in these lines is another one than that of the messages here: {error}"
        ) from None


def _frame(line: bytes, where: str, registry: Registry) -> tuple[bytes, bool]:
    """What a line describes, and whether that is the head of a recording."""
    try:
        frame = frame_from_plain(json.loads(line.rstrip(), object_pairs_hook=_object), registry=registry)
        return encode_frame(frame), is_schema_head(frame)
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
