"""One encoder and one decoder for each message class, compiled once from its layout.

Strategy: neighbouring fields of fixed size become one `struct` call (in a message of fixed size, with the
frame's header), and everything else straight-line code without a loop over fields. Compiled code
handles only what is plainly right; on anything else it raises one of `NOT_PLAIN`, and the caller asks
the reference codec of `walk`, which either finds the exact error or accepts the value after all. So
compiled code may refuse too much, but must never accept more than `walk` or answer differently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from spore.codec import fixed, varying
from spore.codec.emit import NOT_PLAIN, Misfit
from spore.codec.frame import FrameReader, FrameWriter, WholeReader
from spore.codec.read import Reader
from spore.codec.size import Sizer
from spore.codec.tlv import STANDARD_MAX
from spore.codec.write import Writer
from spore.message import MessageType, message_type

__all__ = ["NOT_PLAIN", "Codec", "Misfit", "codec_of"]


@attrs.frozen
class Codec:
    """The compiled functions of one message class. All raise one of `NOT_PLAIN` on what is not plainly right."""

    entry: MessageType
    write_value: Callable[[Any], bytes]
    """The bytes of the message's fields."""
    read_value: Callable[[bytes, int, int], Any]
    """``(data, start, stop)`` → the message that is exactly those bytes."""
    value_size: Callable[[Any], int]
    """The bytes that the message's fields would take."""
    write_frame: FrameWriter
    read_frame: FrameReader
    """For frames of this message alone, its TLV's head in the standard form."""
    read_whole: WholeReader
    """The same for bytes that are one frame and nothing else."""
    read_extended: FrameReader | None
    """As `read_frame`, the head in the extended form; None where the message always fits the standard one."""


def codec_of(cls: type) -> Codec:
    """The compiled codec of a message class; compiled when it is first asked for.

    Raises:
        TypeError: if it is no message class.
    """
    codec = _CODECS.get(cls)
    if codec is None:
        entry = message_type(cls)
        size = entry.layout.size
        build = _varying if size is None or size > STANDARD_MAX else _fixed
        codec = _CODECS[cls] = build(entry)
    return codec


_CODECS: dict[type, Codec] = {}


def _fixed(entry: MessageType) -> Codec:
    return Codec(
        entry,
        Writer().value_function(entry.layout),
        Reader().message_function(entry.layout),
        Sizer().function(entry.layout),
        write_frame=fixed.frame_writer(entry),
        read_frame=fixed.frame_reader(entry),
        read_whole=fixed.whole_reader(entry),
        read_extended=None,
    )


def _varying(entry: MessageType) -> Codec:
    write_value, read_value = Writer().value_function(entry.layout), Reader().message_function(entry.layout)
    read_frame = varying.standard_reader(entry, read_value)
    return Codec(
        entry,
        write_value,
        read_value,
        Sizer().function(entry.layout),
        write_frame=varying.frame_writer(entry, write_value),
        read_frame=read_frame,
        read_whole=varying.whole(read_frame),
        read_extended=varying.extended_reader(entry, read_value),
    )
