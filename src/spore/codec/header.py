"""The 32-byte header of a frame: its layout, its limits, and what a receiver can say from it alone.

Strategy: the happy path unpacks all 32 bytes at once. Whatever that path does not like goes to
`header_damage`, which looks at the bytes in the order in which they arrive and needs only those that are
there, so that a receiver can refuse a stream at its first wrong byte.
"""

from __future__ import annotations

import enum
from struct import Struct

from spore.errors import Damage, DecodeError, UsageError
from spore.message import Domain, freeze

__all__ = [
    "DOMAINS",
    "FLAGS",
    "HEADER",
    "HEADER_SIZE",
    "MAGIC",
    "MAX_FRAME_SIZE",
    "MAX_PAYLOAD_SIZE",
    "SUMMED_SIZE",
    "VERSION",
    "Flags",
    "Header",
    "frame_prefix",
    "header_damage",
    "peek",
]

MAGIC = 0xDEADBEEF
VERSION = 1
HEADER = Struct("<IBBBBQQII")
"""magic, relay_domain, version, source, flags, sequence, timestamp, payload_size, checksum"""
HEADER_SIZE = HEADER.size
SUMMED_SIZE = 28
"""The checksum covers this much of the header and then the payload."""
MAX_FRAME_SIZE = 16 * 1024 * 1024
MAX_PAYLOAD_SIZE = MAX_FRAME_SIZE - HEADER_SIZE


class Flags(enum.IntFlag):
    """The flags of a frame; the other five bits are reserved and must be 0."""

    NONE = 0
    HIGH_PRIORITY = 1
    REPLY = 2
    REDELIVERED = 4


FLAGS = tuple(Flags(bits) for bits in range(8))
"""Every combination, so that a decoder need not construct one (an IntFlag takes 300 ns to look up)."""
DOMAINS: tuple[Domain | None, ...] = (None, *Domain, *[None] * (255 - len(Domain)))
"""The domain behind each value of the header's byte; None where there is none."""


def frame_prefix(domain: Domain) -> bytes:
    """The bytes of a header before the source, which are the same in all frames of a domain."""
    return _MAGIC_BYTES + bytes((domain, VERSION))


_MAGIC_BYTES = MAGIC.to_bytes(4, "little")


@freeze
class Header:
    """The header of a frame whose payload may not even have arrived: what a router needs."""

    domain: Domain
    source: int
    flags: Flags
    sequence: int
    timestamp_ns: int
    payload_size: int
    """Bytes."""
    checksum: int
    """As the sender gave it. Nothing has compared it with the payload yet."""

    @property
    def frame_size(self) -> int:
        """Bytes of the whole frame, this header included."""
        return HEADER_SIZE + self.payload_size


def header_damage(
    data: bytes | bytearray | memoryview, at: int, *, offset: int, max_frame_size: int = MAX_FRAME_SIZE
) -> DecodeError | None:
    """What is wrong with a header of which any number of bytes is there, or None if nothing is so far.

    Args:
        data: holds the header, or as much of it as has arrived, from index ``at`` on.
        offset: the position of that index in the stream, for the error.
        max_frame_size: the largest frame that is allowed, in bytes.
    """
    head = bytes(data[at : at + HEADER_SIZE])
    if not _MAGIC_BYTES.startswith(head[:4]):
        reason = f"a frame begins with {_MAGIC_BYTES.hex(' ')}, and this is {head[:4].hex(' ')}"
        return DecodeError(Damage.MAGIC, reason, offset=offset)
    if len(head) > 4 and DOMAINS[head[4]] is None:
        known = ", ".join(f"{domain.value} {domain.label}" for domain in Domain)
        return DecodeError(Damage.DOMAIN, f"there is no relay domain {head[4]}; there are {known}", offset=offset + 4)
    if len(head) > 5 and head[5] != VERSION:
        reason = f"version {head[5]} of the frame format, and this is a reader of version {VERSION}"
        return DecodeError(Damage.VERSION, reason, offset=offset + 5)
    if len(head) > 7 and head[7] >= len(FLAGS):
        return DecodeError(Damage.FLAGS, f"flags {head[7]:#010b} have a reserved bit set", offset=offset + 7)
    if len(head) >= SUMMED_SIZE:
        size = HEADER_SIZE + int.from_bytes(head[24:28], "little")
        if size > max_frame_size:
            reason = f"a frame of {size:,} bytes, and {max_frame_size:,} is the most"
            return DecodeError(Damage.SIZE, reason, offset=offset + 24)
    return None


def peek(data: bytes | bytearray | memoryview, at: int = 0) -> Header | None:
    """Read the header at an index and nothing behind it: neither checksum nor payload is looked at.

    Returns:
        The header, or None when not all its 32 bytes are there and those that are could begin one.

    Raises:
        DecodeError: if no frame can begin like this; its offset is an index into ``data``.
        UsageError: if ``at`` lies outside the data.
    """
    if not 0 <= at <= len(data):
        raise UsageError(f"peek at {at}, and there are {len(data)} bytes")
    if (damage := header_damage(data, at, offset=at)) is not None:
        raise damage
    if len(data) - at < HEADER_SIZE:
        return None
    _, domain, _, source, flags, sequence, timestamp_ns, size, checksum = HEADER.unpack_from(data, at)
    return Header(Domain(domain), source, FLAGS[flags], sequence, timestamp_ns, size, checksum)
