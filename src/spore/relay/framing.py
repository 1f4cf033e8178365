"""A byte stream cut into frames by their headers alone: what the relay and a client have in common.

Invariant: at most one frame that is allowed to exist, and what came with its end, is held. Nothing of a payload is looked
at but the first type number, by which control messages are told from others.
"""

from __future__ import annotations

from collections.abc import Iterator

from spore.codec import HEADER_SIZE, MAGIC, MAX_FRAME_SIZE, VERSION
from spore.codec.header import DOMAINS, HEADER, header_damage
from spore.message import Domain
from spore.relay.control import FIRST_CONTROL, FIRST_IN_LINK

__all__ = ["FrameSplitter"]

_EXTENDED = 255
_SYSTEM = int(Domain.SYSTEM)
_HEADER_WORDS = HEADER.unpack_from


class FrameSplitter:
    """Feed it chunks of any size, and iterate `frames` after each.

    Args:
        max_frame_size: the largest frame to accept, in bytes, header included.
    """

    def __init__(self, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        self.data = b""
        """What the indices that `frames` yields point into."""
        self._max_frame_size = max_frame_size
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

    def frames(self) -> Iterator[tuple[int, int, int]]:
        """The whole frames that are there now: where each begins and ends in `data`, and the type number of the control
        message in it, or 0.

        Raises:
            DecodeError: when the frames before it were taken, if what follows cannot begin a frame.
        """
        data, at = self.data, self._at
        length = len(data)
        while length - at >= HEADER_SIZE:
            magic, domain, version, _, flags, _, _, size, _ = _HEADER_WORDS(data, at)
            end = at + HEADER_SIZE + size
            if (
                magic != MAGIC
                or version != VERSION
                or flags > 7
                or DOMAINS[domain] is None
                or end - at > self._max_frame_size
            ):
                break
            if end > length:
                break
            kind = 0
            if domain == _SYSTEM and size:
                kind = data[at + HEADER_SIZE]
                if kind == _EXTENDED and size > 2:
                    kind = data[at + HEADER_SIZE + 2]
                if not FIRST_CONTROL <= kind < FIRST_IN_LINK:
                    kind = 0
            yield at, end, kind
            at = end
        self._at = at
        damage = header_damage(data, at, offset=self._base + at, max_frame_size=self._max_frame_size)
        if damage is not None:
            raise damage
        size = int.from_bytes(data[at + 24 : at + 28], "little") if length - at >= HEADER_SIZE else 0
        self._wanted = HEADER_SIZE + size
