"""Whole frames of messages whose size depends on their values, or is too large for a standard TLV.

Strategy: the fields are what the compiled codec of values makes of them; all that stands before them is one
`struct`, of which there are two, one for each form of a TLV's head.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any
from zlib import crc32

from spore.codec.emit import Misfit
from spore.codec.frame import Frame, FrameReader, FrameWriter, WholeReader
from spore.codec.header import FLAGS, HEADER_SIZE, SUMMED_SIZE, frame_prefix
from spore.codec.tlv import EXTENDED, EXTENDED_HEAD_SIZE, STANDARD_HEAD_SIZE, STANDARD_MAX
from spore.message import MessageType, open_twin

__all__ = ["extended_reader", "frame_writer", "standard_reader", "whole"]


def frame_writer(entry: MessageType, write_value: Callable[[Any], bytes]) -> FrameWriter:
    """Header, head and fields without the checksum; then that is put in between."""
    prefix, standard, extended = frame_prefix(entry.domain), _standard_mark(entry), _extended_mark(entry)
    standard_head, extended_head = Struct("<6sBBQQI1sB").pack, Struct("<6sBBQQI3sH").pack

    def write_frame(message: Any, sequence: int, timestamp_ns: int, source: int, flags: int, /) -> bytes:
        if flags > 7:
            raise Misfit
        value = write_value(message)
        size = len(value)
        if size <= STANDARD_MAX:
            payload_size = STANDARD_HEAD_SIZE + size
            head = standard_head(prefix, source, flags, sequence, timestamp_ns, payload_size, standard, size)
        else:
            payload_size = EXTENDED_HEAD_SIZE + size
            head = extended_head(prefix, source, flags, sequence, timestamp_ns, payload_size, extended, size)
        summed = head + value
        return head[:SUMMED_SIZE] + crc32(summed).to_bytes(4, "little") + summed[SUMMED_SIZE:]

    return write_frame


ValueReader = Callable[[bytes, int, int], Any]


def standard_reader(entry: MessageType, read_value: ValueReader) -> FrameReader:
    """A frame whose one TLV has a standard head."""
    return _reader(entry, read_value, Struct("<6sBBQQII1sB"), _standard_mark(entry), least=0)


def extended_reader(entry: MessageType, read_value: ValueReader) -> FrameReader:
    """A frame whose one TLV has an extended head; for a value that fits a standard one that is not canonical."""
    return _reader(entry, read_value, Struct("<6sBBQQII3sH"), _extended_mark(entry), least=STANDARD_MAX + 1)


def whole(read_frame: FrameReader) -> WholeReader:
    """A frame and nothing behind it."""

    def read_whole(data: bytes) -> Frame:
        frame, end = read_frame(data, 0)
        if end != len(data):
            raise Misfit
        return frame

    return read_whole


def _standard_mark(entry: MessageType) -> bytes:
    """The head of the TLV up to its length."""
    return bytes((entry.type_id,))


def _extended_mark(entry: MessageType) -> bytes:
    return bytes((EXTENDED, 0, entry.type_id))


def _reader(entry: MessageType, read_value: ValueReader, head: Struct, mark: bytes, *, least: int) -> FrameReader:
    """Checks all that `decode` would, with what is constant compared as bytes."""
    domain, open_frame, unpack, head_size = entry.domain, open_twin(Frame), head.unpack_from, head.size
    prefix, tlv_head_size = frame_prefix(domain), head.size - HEADER_SIZE

    def read_frame(data: bytes, at: int) -> tuple[Frame, int]:
        (found, source, flags, sequence, timestamp_ns, payload_size, checksum, found_mark, size) = unpack(data, at)
        start = at + head_size
        end = start + size
        if (
            found != prefix
            or found_mark != mark
            or payload_size != tlv_head_size + size
            or size < least
            or end > len(data)
            # To join the two takes less time than to sum them one after the other.
            or crc32(data[at : at + SUMMED_SIZE] + data[at + HEADER_SIZE : end]) != checksum
        ):
            raise Misfit
        frame = open_frame()
        frame.domain = domain
        frame.source = source
        frame.flags = FLAGS[flags]
        frame.sequence = sequence
        frame.timestamp_ns = timestamp_ns
        frame.items = (read_value(data, start, end),)
        frame.__class__ = Frame
        return frame, end

    return read_frame
