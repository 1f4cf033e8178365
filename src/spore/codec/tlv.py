"""TLVs: the heads that stand before each value in a frame's payload, in the one form that is allowed."""

from __future__ import annotations

from collections.abc import Iterator

from spore.errors import Damage, DecodeError

__all__ = ["EXTENDED", "EXTENDED_HEAD_SIZE", "STANDARD_HEAD_SIZE", "STANDARD_MAX", "split_tlvs", "tlv", "tlv_size"]

STANDARD_MAX = 255
"""The most bytes of a value behind a standard head."""
STANDARD_HEAD_SIZE = 2
EXTENDED_HEAD_SIZE = 5
EXTENDED = 0xFF
"""The type number that marks an extended head."""


def tlv(type_id: int, value: bytes) -> bytes:
    """A value of at most 65,535 bytes behind its head: standard where it fits, extended where it does not."""
    size = len(value)
    if size <= STANDARD_MAX:
        return bytes((type_id, size)) + value
    return bytes((EXTENDED, 0, type_id)) + size.to_bytes(2, "little") + value


def tlv_size(value_size: int) -> int:
    """The bytes of a value of this size with its head."""
    return value_size + (STANDARD_HEAD_SIZE if value_size <= STANDARD_MAX else EXTENDED_HEAD_SIZE)


def split_tlvs(payload: bytes, *, offset: int) -> Iterator[tuple[int, int, int, int]]:
    """The TLVs of a payload that begins at ``offset`` in the stream.

    Yields:
        ``(type_id, head, start, stop)``: indices of the payload where the head and the value begin and end.

    Raises:
        DecodeError: at a head that is cut, not canonical or says more than there is.
    """
    at, end = 0, len(payload)
    while at < end:
        extended = payload[at] == EXTENDED
        start = at + (EXTENDED_HEAD_SIZE if extended else STANDARD_HEAD_SIZE)
        if start > end:
            raise DecodeError(Damage.TLV, "the payload ends inside the head of a TLV", offset=offset + at)
        if extended:
            _check_extended(payload, at, offset)
            type_id, size = payload[at + 2], int.from_bytes(payload[at + 3 : at + 5], "little")
        else:
            type_id, size = payload[at], payload[at + 1]
        if type_id == 0:
            raise DecodeError(Damage.TYPE, "type number 0 belongs to no domain", offset=offset + at)
        if start + size > end:
            reason = f"a TLV of type {type_id} says {size} bytes, and {end - start} are left in the payload"
            raise DecodeError(Damage.TLV, reason, offset=offset + at)
        yield type_id, at, start, start + size
        at = start + size


def _check_extended(payload: bytes, at: int, offset: int) -> None:
    if payload[at + 1] != 0:
        reason = f"an extended head begins ff 00, and this is ff {payload[at + 1]:02x}"
        raise DecodeError(Damage.FORM, reason, offset=offset + at + 1)
    if payload[at + 2] == EXTENDED:
        raise DecodeError(Damage.FORM, "255 marks an extended head and is no type number", offset=offset + at + 2)
    size = int.from_bytes(payload[at + 3 : at + 5], "little")
    if size <= STANDARD_MAX:
        reason = f"an extended head for {size} bytes, which fit the standard form"
        raise DecodeError(Damage.FORM, reason, offset=offset + at + 3)
