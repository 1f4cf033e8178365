"""A byte stream cut into frames by their headers alone: what the relay and a client have in common.

Invariant: at most one frame that is allowed to exist, and what came with its end, is held. Nothing of a payload is looked
at but the first type number, by which control messages are told from others.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from spore.codec import HEADER_SIZE, MAGIC, MAX_FRAME_SIZE, VERSION
from spore.codec.header import DOMAINS, HEADER, SUMMED_SIZE, header_damage
from spore.codec.tlv import EXTENDED
from spore.errors import Damage, DecodeError
from spore.message import Domain
from spore.relay.control import FIRST_CONTROL, FIRST_IN_LINK

__all__ = ["FrameSplitter"]

_SYSTEM = int(Domain.SYSTEM)
_header_at = HEADER.unpack_from


class FrameSplitter:
    """Feed it chunks of any size, and iterate `runs` after each.

    Args:
        max_frame_size: the largest frame to accept, in bytes, header included.
    """

    def __init__(self, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        self.data = b""
        """What the indices that `runs` yields point into."""
        self.max_frame_size = max_frame_size
        self._later = bytearray()
        self._wanted = 0
        """So many bytes must have come before there is anything new to see."""
        self._base = 0
        self._at = 0
        """The bytes of `data` that were yielded as frames."""

    @property
    def buffered(self) -> int:
        """Bytes that are held and belong to no frame that was yielded."""
        return len(self.data) - self._at + len(self._later)

    @property
    def begun(self) -> int:
        """How large the frame that has begun says it is, header included; 0 while its header is not there."""
        head = self.data[self._at : self._at + HEADER_SIZE]
        return HEADER_SIZE + int.from_bytes(head[24:28], "little") if len(head) >= SUMMED_SIZE else 0

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes of the stream, when all frames of those before have been iterated."""
        if self._at:
            self._base += self._at
            self.data = self.data[self._at :]
            self._at = 0
        if self.data or self._later:
            self._later += chunk
            if len(self.data) + len(self._later) >= self._wanted:
                self.data += self._later
                self._later = bytearray()
        else:
            self.data = chunk

    def passed(self, end: int) -> None:
        """While `runs` yields each frame: what follows up to this index of `data` was taken as frames, too."""
        self._at = end
        self._wanted = 0

    def runs(self, *, each: bool = False) -> Iterator[tuple[int, int, int, int]]:
        """The whole frames that are there now, those with messages in runs as long as they can be: where each begins and
        ends in `data`, how many frames it is, and the type number of the control message in it, or 0.

        Args:
            each: every frame by itself.

        Raises:
            DecodeError: when the frames before it were taken, if what follows cannot begin a frame.
        """
        data, at, limit, domains = self.data, self._at, self.max_frame_size, DOMAINS
        length = len(data)
        run, count = at, 0
        damage: DecodeError | None = None
        while length - at >= HEADER_SIZE:
            magic, domain, version, _, flags, _, _, size, checksum = _header_at(data, at)
            end = at + HEADER_SIZE + size
            if end > length or magic != MAGIC or version != VERSION or flags > 7 or end - at > limit:
                break
            if domain == _SYSTEM:
                kind = data[at + HEADER_SIZE] if size else 0
                if kind == EXTENDED and size > 2:
                    kind = data[at + HEADER_SIZE + 2]
                if FIRST_CONTROL <= kind < FIRST_IN_LINK:
                    if count:
                        yield run, at, count, 0
                    yield at, end, 1, kind
                    at = run = end
                    count = 0
                    limit = self.max_frame_size  # which that message may have changed
                    continue
                # It may be a control message that was damaged: a lost Route would send messages the wrong way.
                if crc32(data[at + HEADER_SIZE : end], crc32(data[at : at + SUMMED_SIZE])) != checksum:
                    damage = DecodeError(Damage.CHECKSUM, "the checksum is wrong", offset=self._base + at + SUMMED_SIZE)
                    break
            elif domains[domain] is None:
                break
            at = end
            count += 1
            if each:
                self._at = at
                yield run, at, 1, 0
                at = run = self._at
                count = 0
        if count:
            yield run, at, count, 0
        self._at = at
        if at == length:
            self._wanted = 0
            return
        damage = damage or header_damage(data, at, offset=self._base + at, max_frame_size=limit)
        if damage is not None:
            raise damage
        self._wanted = self.begun
