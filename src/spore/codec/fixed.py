"""Whole frames of messages whose size is fixed and fits a standard TLV, in one go: header, TLV and fields.

Strategy: what does not change in such a frame is a constant, and all the rest is one `struct`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from spore.codec.frame import Frame
from spore.codec.header import FLAGS, MAGIC, SUMMED_SIZE, VERSION
from spore.codec.read import Reader
from spore.codec.tlv import STANDARD_HEAD_SIZE
from spore.codec.write import Writer
from spore.message import MessageType, open_twin

__all__ = ["FrameReader", "FrameWriter", "frame_reader", "frame_writer"]


class FrameWriter(Protocol):
    """Encodes one message as a whole frame."""

    def __call__(self, message: Any, sequence: int, timestamp_ns: int, source: int, flags: int, /) -> bytes: ...


FrameReader = Callable[[bytes, int], "tuple[Frame, int] | None"]
"""``(data, at)`` → the frame that begins at an index and the index behind it; None if it is not plainly right."""


def frame_writer(entry: MessageType) -> FrameWriter:
    """Header and fields in one struct, without the checksum; then that is put in between the two."""
    emit, frame = Writer(), _FixedFrame(entry)
    emit.refuse_if("flags > 7")
    emit.codes = "6sBBQQ6s"
    emit.values = [repr(frame.prefix), "source", "flags", "sequence", "timestamp_ns", repr(frame.sizes)]
    emit.contents(entry.layout, "value")
    pack = emit.refer("pack", emit.take_struct().pack)
    split = emit.refer("split", struct.Struct(f"{SUMMED_SIZE}s{frame.payload_size}s").unpack)
    join = emit.refer("join", frame.parts.pack)
    emit.lines += [f"summed = {pack}({', '.join(emit.values)})", f"head, payload = {split}(summed)"]
    return emit.build(  # type: ignore[no-any-return]
        "value, sequence, timestamp_ns, source, flags", f"{join}(head, crc32(summed), payload)"
    )


def frame_reader(entry: MessageType) -> FrameReader:
    """Checks all that `decode` would, with the constants of the header compared as bytes."""
    emit, frame = Reader(), _FixedFrame(entry)
    emit.scope |= {"FLAGS": FLAGS, "Frame": Frame, "OpenFrame": open_twin(Frame), "domain": entry.domain}
    cut = emit.refer("cut", frame.parts.unpack_from)
    header = emit.refer("unpack", struct.Struct("<6sBBQQI").unpack)
    emit.lines += [
        f"head, checksum, payload = {cut}(data, at)",
        "if crc32(payload, crc32(head)) != checksum: return None",
        f"prefix, source, flags, sequence, timestamp_ns, size = {header}(head)",
    ]
    emit.take("H")
    made = emit.read(entry.layout)
    tlv_head = emit.names[0]
    unpack = emit.refer("unpack", emit.take_struct().unpack)
    emit.lines += [
        f"{', '.join(emit.names)}, = {unpack}(payload)",
        f"if prefix != {frame.prefix!r} or size != {frame.payload_size} "
        f"or {tlv_head} != {frame.tlv_head} or flags > 7: return None",
        *emit.later,
        "frame = OpenFrame()",
    ]
    values = {"flags": "FLAGS[flags]", "items": f"({made},)"}
    for name in ("domain", "source", "flags", "sequence", "timestamp_ns", "items"):
        emit.lines.append(f"frame.{name} = {values.get(name, name)}")
    emit.lines.append("frame.__class__ = Frame")
    return emit.build("data, at", f"frame, at + {frame.parts.size}")  # type: ignore[no-any-return]


class _FixedFrame:
    """The constants in the frames of a message whose size is fixed and fits a standard TLV."""

    def __init__(self, entry: MessageType) -> None:
        size = entry.layout.size or 0
        self.payload_size = STANDARD_HEAD_SIZE + size
        self.prefix = struct.pack("<IBB", MAGIC, entry.domain, VERSION)
        """The bytes before the source."""
        self.sizes = struct.pack("<IBB", self.payload_size, entry.type_id, size)
        """The payload's size and, behind the checksum, the TLV's head."""
        self.tlv_head = entry.type_id | size << 8
        self.parts = struct.Struct(f"<{SUMMED_SIZE}sI{self.payload_size}s")
        """The summed part of the header, the checksum, the payload."""
