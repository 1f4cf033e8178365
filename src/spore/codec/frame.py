"""A decoded frame, what may stand in one, and the signatures of what writes and reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from spore.codec.header import Flags
from spore.errors import UsageError
from spore.message import Domain, MessageType, freeze

__all__ = ["Frame", "FrameReader", "FrameWriter", "UnknownTlv", "WholeReader", "misplaced"]


@freeze
class UnknownTlv:
    """A TLV whose type is not registered here. It is kept as it is and passes through unchanged."""

    type_id: int
    value: bytes


@freeze
class Frame:
    """A frame: the header's facts, and what its payload holds."""

    domain: Domain
    source: int
    """Who sent it: 1–19 collectors, 20–39 strategies, 40–59 execution, 60–79 system services, 80–99 relays, 0 unspecified."""
    flags: Flags
    sequence: int
    timestamp_ns: int
    """Nanoseconds since the Unix epoch."""
    items: tuple[object, ...]
    """Messages and `UnknownTlv`, in the order of the payload."""

    @property
    def message(self) -> object:
        """The frame's message: its first item, what any later ones accompany.

        Raises:
            UsageError: if the frame is empty or begins with a TLV that is not known here.
        """
        if not self.items or isinstance(self.items[0], UnknownTlv):
            raise UsageError(f"frame {self.sequence} holds no message that is known here; see its items")
        return self.items[0]


class FrameWriter(Protocol):
    """Encodes one message as a whole frame."""

    def __call__(self, message: Any, sequence: int, timestamp_ns: int, source: int, flags: int, /) -> bytes: ...


FrameReader = Callable[[bytes, int], "tuple[Frame, int]"]
"""``(data, at)`` → the frame that begins at an index, and the index behind it."""
WholeReader = Callable[[bytes], Frame]
"""The one frame that is exactly these bytes."""


def misplaced(entry: MessageType, domain: Domain, index: int) -> str | None:
    """Why a message may not be item number ``index`` of a frame of this domain; None if it may.

    The first message decides the domain, so that each has exactly one encoding. Messages of the system
    domain (a trace context, say) may accompany it in any domain.
    """
    if entry.domain is domain or (index > 0 and entry.domain is Domain.SYSTEM):
        return None
    return (
        f"{entry.name} ({entry.type_id}) belongs to {entry.domain.label} and cannot stand in a frame of {domain.label}"
    )
