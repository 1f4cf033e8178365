"""Whole frames of messages whose size is fixed and fits a standard TLV, in one go: header, TLV and fields.

Strategy: what does not change in such a frame is a constant, and all the rest is one `struct`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from spore.codec.frame import Frame, FrameReader, FrameWriter, WholeReader
from spore.codec.header import FLAGS, SUMMED_SIZE, frame_prefix
from spore.codec.read import Reader
from spore.codec.tlv import STANDARD_HEAD_SIZE
from spore.codec.write import Writer
from spore.message import MessageType, open_twin

__all__ = ["frame_reader", "frame_writer", "whole_reader"]


def frame_writer(entry: MessageType) -> FrameWriter:
    """Header and fields in one struct, without the checksum; then that is put in between the two."""
    emit, frame = Writer(), _FixedFrame(entry)
    emit.refuse_if("flags > 7")
    emit.codes = _SUMMED_CODES
    emit.values = [repr(frame.prefix), "source", "flags", "sequence", "timestamp_ns", repr(frame.sizes)]
    emit.contents(entry.layout, "value")
    pack = emit.refer("pack", emit.take_struct().pack)
    join = emit.refer("join", frame.parts.pack)
    emit.lines.append(f"summed = {pack}({', '.join(emit.values)})")
    # The join's first part has as many bytes as stand before the checksum, so it need not be cut to size.
    result = f"{join}(summed, crc32(summed), summed[{SUMMED_SIZE}:])"
    return emit.build("value, sequence, timestamp_ns, source, flags", result)  # type: ignore[no-any-return]


def frame_reader(entry: MessageType) -> FrameReader:
    """A frame out of a longer run of bytes."""
    frame = _FixedFrame(entry)
    return _reader(entry, frame, frame.parts.unpack_from, "data, at", f"frame, at + {frame.parts.size}")  # type: ignore[no-any-return]


def whole_reader(entry: MessageType) -> WholeReader:
    """A frame and nothing else: that so many bytes are there is what struct checks itself."""
    frame = _FixedFrame(entry)
    return _reader(entry, frame, frame.parts.unpack, "data", "frame")  # type: ignore[no-any-return]


_SUMMED_CODES = "6sBBQQ6s"
"""Before the fields, in what is summed: prefix, source, flags, sequence, timestamp, sizes."""


class _FixedFrame:
    """The constants in the frames of a message whose size is fixed and fits a standard TLV."""

    def __init__(self, entry: MessageType) -> None:
        size = entry.layout.size or 0
        payload_size = STANDARD_HEAD_SIZE + size
        self.prefix = frame_prefix(entry.domain)
        self.sizes = struct.pack("<IBB", payload_size, entry.type_id, size)
        """The payload's size and the TLV's head: neighbours once the checksum between them is taken out."""
        self.parts = struct.Struct(f"<{SUMMED_SIZE}sI{payload_size}s")
        """The summed part of the header, the checksum, the payload."""


def _reader(entry: MessageType, frame: _FixedFrame, cut: Callable[..., Any], signature: str, result: str) -> Any:
    """Checks all that `decode` would: the checksum, and what is constant in the header and in the TLV's head as bytes."""
    emit = Reader()
    emit.scope |= {"FLAGS": FLAGS, "Frame": Frame, "OpenFrame": open_twin(Frame), "domain": entry.domain, "cut": cut}
    emit.codes = _SUMMED_CODES
    emit.names = ["prefix", "source", "flags", "sequence", "timestamp_ns", "sizes"]
    made = emit.read(entry.layout)
    unpack = emit.refer("unpack", emit.take_struct().unpack)
    emit.lines += [
        f"head, checksum, payload = cut({signature})",
        # To join the two takes less time than to sum them one after the other, and then one unpack does for both.
        "summed = head + payload",
        "if crc32(summed) != checksum: raise Misfit",
        f"{', '.join(emit.names)} = {unpack}(summed)",
        f"if prefix != {frame.prefix!r} or sizes != {frame.sizes!r}: raise Misfit",
        *emit.later,
        "frame = OpenFrame()",
    ]
    # There are no FLAGS with a reserved bit: the index is out of range, which is a refusal, too.
    values = {"flags": "FLAGS[flags]", "items": f"({made},)"}
    for name in ("domain", "source", "flags", "sequence", "timestamp_ns", "items"):
        emit.lines.append(f"frame.{name} = {values.get(name, name)}")
    emit.lines.append("frame.__class__ = Frame")
    return emit.build(signature, result)
