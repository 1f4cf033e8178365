"""What the relay remembers of one connection: its receivers, its links, and what is queued for it.

Invariants: a member is in its link's ``members`` and in its peer's ``announced``, or in neither; ``out_bytes`` counts what is in ``out``
and what a task still writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from spore.codec import MAX_FRAME_SIZE
from spore.errors import RelayRefused
from spore.relay.control import ANNOUNCED, Hello, Open
from spore.relay.framing import FrameSplitter

__all__ = ["HIGH_WATER", "Limits", "Link", "Member", "Peer"]

HIGH_WATER = 16 * 1024 * 1024
"""Bytes queued for one connection beyond which whoever sends to it is not read."""


@attrs.frozen(kw_only=True)
class Limits:
    """What one client may make the relay remember."""

    frame_size: int = MAX_FRAME_SIZE
    channels: int = 10_000
    receivers: int = 10_000
    routes: int = 100_000
    """The receivers of its links, and the topics of its receivers, together."""
    names: int = 200
    """Bytes of a name, in UTF-8."""
    messages: int = 1_000
    """Messages in a schema."""


@attrs.define(eq=False)
class Member:
    """A receiver of a link that is there now."""

    peer: Peer
    receiver: str
    channel: int
    """The number of the link on the receiver's connection."""
    index: int
    begun: bool = False
    window: int = 0
    """How many frames of a plain sender it lets be under way; 0 before it has said so."""
    outstanding: int = 0
    """Frames of a plain sender that were passed on and not acknowledged."""
    handled: int = 0


@attrs.define(eq=False)
class Link:
    """A link that a client has opened."""

    peer: Peer
    opening: Open
    members: dict[str, Member] = attrs.field(factory=dict)
    next_index: int = 1
    plain: bool = False


class Peer:
    """One connection."""

    def __init__(self, number: int, now_s: float, limits: Limits) -> None:
        self.number = number
        self.client = 0
        self.name = ""
        self.hello: Hello | None = None
        self.plain = False
        """Whether it speaks frames and nothing else."""
        self.closing = False
        """Whether it is to be closed once what is queued has been written."""
        self.held = False
        """Whether it is not read now, because those to whom it sends have too much queued."""
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.heard_at = now_s
        self.spoke_at = now_s
        self.splitter = FrameSplitter(limits.frame_size)
        self.channels: dict[int, Link] = {}
        self.announced: dict[int, tuple[Link, Member]] = {}
        self.receivers: dict[str, tuple[str, ...]] = {}
        self.routes = 0
        """See `Limits.routes`."""
        self.route: Link | tuple[Link, Member] | None = None
        """Where the frames of messages from here go."""
        self.sending_over = 0
        self.next_channel = ANNOUNCED
        self.refused: RelayRefused | None = None
        self.deliver: Callable[[bytes], None] | None = None
        """Takes what is for this peer, if it lives in the relay's own process."""
        self.any_schema = False
        """Whether it takes messages as they are, whatever they mean."""

    def __repr__(self) -> str:
        return f"<Peer {self.number} {self.name or 'unknown'}>"

    @property
    def congested(self) -> Iterator[Peer]:
        """Those to whom frames from here go and who have too much queued already."""
        route = self.route
        if isinstance(route, Link):
            for member in route.members.values():
                full = route.plain and member.outstanding >= member.window
                if member.peer.out_bytes > HIGH_WATER or full:
                    yield member.peer
        elif route is not None and route[0].peer.out_bytes > HIGH_WATER:
            yield route[0].peer

    def take(self) -> list[bytes]:
        """What is to be written now."""
        out, self.out = self.out, []
        return out
