"""One encoder and one decoder for each message class, compiled once from its layout.

Strategy: neighbouring fields of fixed size become one `struct` call (in a message of fixed size, the
frame's header too), and everything else straight-line code without a loop over fields. Compiled code
handles only what is plainly right; on anything else it raises one of `NOT_PLAIN`, and the caller asks
the reference codec of `walk`, which either finds the exact error or accepts the value after all. So
compiled code may refuse too much, but must never accept more than `walk` or answer differently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from spore.codec.emit import NOT_PLAIN, Misfit
from spore.codec.fixed import FrameReader, FrameWriter, WholeReader, frame_reader, frame_writer, whole_reader
from spore.codec.read import Reader
from spore.codec.size import Sizer
from spore.codec.tlv import STANDARD_MAX
from spore.codec.write import Writer
from spore.message import MessageType, message_type

__all__ = ["NOT_PLAIN", "Codec", "FrameReader", "FrameWriter", "Misfit", "WholeReader", "codec_of"]


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
    write_frame: FrameWriter | None
    """A whole frame in one go; None where the message has no fixed size that fits a standard TLV."""
    read_frame: FrameReader | None
    """The reverse; None where `write_frame` is."""
    read_whole: WholeReader | None
    """The same for bytes that are one frame; None where `write_frame` is."""


def codec_of(cls: type) -> Codec:
    """The compiled codec of a message class; compiled when it is first asked for.

    Raises:
        TypeError: if it is no message class.
    """
    codec = _CODECS.get(cls)
    if codec is None:
        entry = message_type(cls)
        layout = entry.layout
        fits = layout.size is not None and layout.size <= STANDARD_MAX
        codec = _CODECS[cls] = Codec(
            entry,
            write_value=Writer().value_function(layout),
            read_value=Reader().message_function(layout),
            value_size=Sizer().function(layout),
            write_frame=frame_writer(entry) if fits else None,
            read_frame=frame_reader(entry) if fits else None,
            read_whole=whole_reader(entry) if fits else None,
        )
    return codec


_CODECS: dict[type, Codec] = {}
