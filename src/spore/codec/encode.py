"""Encoding: a message to a frame. Either the whole frame comes back or nothing was written."""

from __future__ import annotations

import operator
import struct
from zlib import crc32

from spore.codec.compile import NOT_PLAIN, codec_of
from spore.codec.frame import Frame, FrameWriter, UnknownTlv, misplaced
from spore.codec.header import HEADER_SIZE, MAGIC, MAX_PAYLOAD_SIZE, VERSION
from spore.codec.tlv import EXTENDED, tlv, tlv_size
from spore.codec.walk import check_value_size, write_message
from spore.errors import EncodeError, UsageError
from spore.message import MAX_VALUE_SIZE, Domain, MessageType, message_type

__all__ = ["encode", "encode_frame", "encode_into", "encoded_classes", "encoded_size"]


def encode(message: object, *, sequence: int, timestamp_ns: int, source: int = 0, flags: int = 0) -> bytes:
    """A message as one whole frame.

    Args:
        message: an instance of a class that `spore.message` made.
        sequence: counts up by one for each source and link; a u64.
        timestamp_ns: nanoseconds since the Unix epoch; a u64.
        source: who sends it, see `Frame.source`; a u8.
        flags: a combination of `Flags`.

    Raises:
        EncodeError: naming message, field and value, if a value has no wire form.
    """
    try:
        return _WRITERS[type(message)](message, sequence, timestamp_ns, source, flags)
    except NOT_PLAIN:
        return _encode_exactly(message, sequence, timestamp_ns, source, flags)


def encode_frame(frame: Frame) -> bytes:
    """A frame, with everything that it holds, as bytes: the reverse of decoding one.

    Raises:
        EncodeError: if an item has no wire form or cannot stand in a frame of this domain.
    """
    domain = frame.domain
    if not isinstance(domain, Domain):
        raise EncodeError("Frame", "needs a member of spore.Domain", field="domain", value=frame.domain)
    payload = b"".join([_item(item, domain, index) for index, item in enumerate(frame.items)])
    if len(payload) > MAX_PAYLOAD_SIZE:
        raise EncodeError("Frame", f"a payload of {len(payload):,} bytes, and {MAX_PAYLOAD_SIZE:,} is the most")
    return _assemble(domain, payload, frame.sequence, frame.timestamp_ns, frame.source, frame.flags)


def encode_into(
    buffer: bytearray | memoryview,
    message: object,
    *,
    at: int = 0,
    sequence: int,
    timestamp_ns: int,
    source: int = 0,
    flags: int = 0,
) -> int:
    """Write a message as a frame into a buffer that is large enough.

    Returns:
        The index behind the frame: where the next one would go.

    Raises:
        EncodeError: as `encode` does; the buffer is as it was.
        UsageError: if the frame does not fit behind ``at``; the buffer is as it was.
    """
    frame = encode(message, sequence=sequence, timestamp_ns=timestamp_ns, source=source, flags=flags)
    end = at + len(frame)
    if at < 0 or end > len(buffer):
        raise UsageError(f"a frame of {len(frame)} bytes at {at} does not fit a buffer of {len(buffer)}")
    buffer[at:end] = frame
    return end


def encoded_size(message: object) -> int:
    """The bytes of the frame that `encode` would make, without making it (only text that is not ASCII is encoded).

    Raises:
        EncodeError: if it is no message, if it is too large, or if a value has no size where one is needed.
            Other wrong values are found by `encode` only.
    """
    try:
        size = codec_of(type(message)).value_size(message)
    except NOT_PLAIN:
        size = None
    if size is None or size > MAX_VALUE_SIZE:
        size = len(write_message(_entry(message).layout, message))  # which finds the words
    return HEADER_SIZE + tlv_size(size)


def encoded_classes() -> tuple[type, ...]:
    """The message classes of which this process has encoded anything with `encode`: a proof where there must be none."""
    return tuple(_WRITERS)


_WRITERS: dict[type, FrameWriter] = {}
"""What makes frames of each class that was encoded before. A plain dict: that is the quickest to ask."""


def _encode_exactly(message: object, sequence: int, timestamp_ns: int, source: int, flags: int) -> bytes:
    """By the reference codec; and remember the compiled one for the next time."""
    entry = _entry(message)
    codec = codec_of(entry.cls)
    _WRITERS[entry.cls] = codec.write_frame
    value = write_message(entry.layout, message)
    return _assemble(entry.domain, tlv(entry.type_id, value), sequence, timestamp_ns, source, flags)


def _entry(message: object) -> MessageType:
    try:
        return message_type(type(message))
    except TypeError as error:
        raise EncodeError(type(message).__name__, str(error)) from None


def _item(item: object, domain: Domain, index: int) -> bytes:
    if isinstance(item, UnknownTlv):
        if not isinstance(item.type_id, int) or not 0 < item.type_id < EXTENDED:
            raise EncodeError("UnknownTlv", "type numbers are 1 to 254", field="type_id", value=item.type_id)
        if not isinstance(item.value, bytes):
            reason = f"needs bytes, not {type(item.value).__name__}"
            raise EncodeError("UnknownTlv", reason, field="value", value=item.value)
        check_value_size(f"UnknownTlv {item.type_id}", len(item.value))
        return tlv(item.type_id, item.value)
    entry = _entry(item)
    if (reason := misplaced(entry, domain, index)) is not None:
        raise EncodeError("Frame", reason, field=f"items[{index}]", value=item)
    return tlv(entry.type_id, write_message(entry.layout, item))


_LIMITS = {"sequence": 2**64, "timestamp_ns": 2**64, "source": 2**8, "flags": 2**3}


def _assemble(domain: Domain, payload: bytes, sequence: int, timestamp_ns: int, source: int, flags: int) -> bytes:
    try:
        head = _SUMMED.pack(MAGIC, domain, VERSION, source, flags, sequence, timestamp_ns, len(payload))
    except struct.error:
        head = None
    if head is None or head[_FLAGS_AT] > 7:
        raise _header_error(sequence=sequence, timestamp_ns=timestamp_ns, source=source, flags=flags)
    return head + crc32(payload, crc32(head)).to_bytes(4, "little") + payload


_SUMMED = struct.Struct("<IBBBBQQI")
"""The header without its checksum."""
_FLAGS_AT = 7


def _header_error(**given: object) -> EncodeError:
    """What struct has refused, by name."""
    name, value = next((name, value) for name, value in given.items() if not _is_within(value, _LIMITS[name]))
    return EncodeError("Frame", f"needs an integer from 0 to {_LIMITS[name] - 1}", field=name, value=value)


def _is_within(value: object, limit: int) -> bool:
    try:
        return 0 <= operator.index(value) < limit  # type: ignore[arg-type]
    except TypeError:
        return False
