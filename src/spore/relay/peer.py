"""What the relay remembers of one connection: its receivers, its links, and what is queued for it.

Invariants: a member is in its link's ``members`` and in its peer's ``announced``, or in neither; ``out_bytes`` counts what is in ``out``
and what a task still writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import attrs

from spore.codec import MAX_FRAME_SIZE
from spore.errors import RelayRefused
from spore.relay.control import ANNOUNCED, Hello, Open
from spore.relay.framing import FrameSplitter

__all__ = ["FIRST_FRAME", "HIGH_WATER", "PLAIN_BYTES", "Limits", "Link", "Member", "Peer"]

MiB = 1024 * 1024
HIGH_WATER = 16 * MiB
"""Bytes queued for one connection beyond which whoever sends to it is not read."""
PLAIN_BYTES = 4 * MiB
"""At most so many bytes of a plain sender are under way to a subscriber, but always one frame. As many as a link has;
see `spore.relay.outgoing`."""
FIRST_FRAME = 128 * 1024
"""The largest frame of somebody who has not shown the token yet. A `Hello` is a TLV, and so has 64 KiB at most."""


@attrs.frozen(kw_only=True)
class Limits:
    """What one client, and all together, may make the relay remember."""

    frame_size: int = MAX_FRAME_SIZE
    channels: int = 10_000
    receivers: int = 10_000
    routes: int = 100_000
    """The receivers of its links, and the topics of its receivers, together; and the links that lead to it."""
    names: int = 200
    """Bytes of a name, in UTF-8."""
    messages: int = 1_000
    """Messages in a schema."""
    places: int = 500_000
    """Channels, receivers, topics and receivers of links, of all clients together. One takes some 500 bytes."""
    unfinished: int = 128 * MiB
    """Bytes of frames that have begun and not ended, of all connections together."""
    unfinished_plain: int = 32 * MiB
    """The same, of those that have not said `Hello`."""


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
    sizes: deque[int] = attrs.field(factory=deque)
    """The bytes of each frame of a plain sender that was passed on and not acknowledged, in order."""
    under_way: int = 0
    """Their sum."""
    handled: int = 0

    @property
    def outstanding(self) -> int:
        """Frames of a plain sender that were passed on and not acknowledged."""
        return len(self.sizes)

    @property
    def full(self) -> bool:
        """Whether no more of a plain sender is to be passed on."""
        return len(self.sizes) >= self.window or self.under_way >= PLAIN_BYTES

    def passed_on(self, size: int) -> None:
        """A frame of a plain sender is under way."""
        self.sizes.append(size)
        self.under_way += size

    def acked(self, handled: int) -> None:
        """All frames of a plain sender up to this one give back the places that they took."""
        for _ in range(min(handled - self.handled, len(self.sizes))):
            self.under_way -= self.sizes.popleft()
        self.handled = max(self.handled, handled)


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

    def __init__(self, number: int, now_s: float, limits: Limits, origin: str = "") -> None:
        self.number = number
        self.origin = origin or f"connection {number}"
        """Where it comes from, which it cannot choose: its host, or its process."""
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
        self.begun_at: float | None = None
        """When the frame began that has not come to its end yet; None where there is none."""
        self.unfinished = 0
        """How many bytes of it are held."""
        self.token = 0
        """Which of the relay's tokens it has shown: 1 or 2; 0 for none."""
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
    def title(self) -> str:
        """What it is called in a log."""
        return self.name or f"connection {self.number}"

    @property
    def congested(self) -> Iterator[Peer]:
        """Those to whom frames from here go and who have too much queued already."""
        return self.congested_at(HIGH_WATER)

    def congested_at(self, most: int) -> Iterator[Peer]:
        """Those to whom frames from here go and who have more than so many bytes queued, or no room for frames of a plain sender."""
        route = self.route
        if self.plain:  # what it sends goes to the topics of several domains, and it does not say which comes next
            for link in self.channels.values():
                for member in link.members.values():
                    if member.peer.out_bytes > most or member.full:
                        yield member.peer
        elif isinstance(route, Link):
            for member in route.members.values():
                if member.peer.out_bytes > most:
                    yield member.peer
        elif route is not None and route[0].peer.out_bytes > most:
            yield route[0].peer

    def take(self) -> list[bytes]:
        """What is to be written now."""
        out, self.out = self.out, []
        return out
