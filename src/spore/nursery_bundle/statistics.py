"""What can be known of a running bundle: exact counts, and times from samples."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from spore.nursery_bundle.policy import Dispatch, Loss, Overflow

__all__ = [
    "SAMPLE_EVERY",
    "ActorState",
    "ActorStatistics",
    "BundleStatistics",
    "EdgeStatistics",
    "EndedStatistics",
    "LastError",
    "LetterStatistics",
    "Sampled",
]

SAMPLE_EVERY = 256
"""The first message of a sender, and one in so many, is timed: two clock readings cost more than a message. Integers up to here Python has made already, so
that counting down from here makes none.

Source: CPython, ``_PY_NSMALLPOSINTS``."""


class ActorState(enum.Enum):
    """Where an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    """Failed, and waiting to be restarted. Its mailbox fills."""
    STOPPED = "stopped"


@attrs.define
class Sampled:
    """Durations of which some were measured, in nanoseconds."""

    count: int = 0
    total_ns: int = 0
    max_ns: int = 0

    def add(self, duration_ns: int, count: int = 1) -> None:
        """Add a measurement, or the sum of several that were measured together."""
        self.count += count
        self.total_ns += duration_ns
        self.max_ns = max(self.max_ns, duration_ns // count)

    @property
    def mean_ns(self) -> float | None:
        return self.total_ns / self.count if self.count else None


@attrs.frozen
class EdgeStatistics:
    """What one sender sent to one receiver."""

    sender: str
    """The sender's name, or ``outside`` for what the bundle does not know."""
    port: str
    """The field of the sender that holds the reference; empty for ``outside``."""
    receiver: str
    sent: int
    """Messages accepted, or given up by the receiver's overflow policy."""
    verified: int
    """Messages and replies that were also encoded, decoded and compared."""
    saved_bytes: int = 0
    """What the messages would have taken as frames: an estimate, see `spore.nursery_bundle.scales`. 0 where nobody weighs them."""


@attrs.frozen
class LastError:
    """Why an actor has failed the last time, in its handler or at a restart."""

    text: str
    """One line."""
    message: str
    """The class of the message at fault; empty at a restart."""
    at_ns: int
    """Since the Unix epoch."""


@attrs.frozen
class LetterStatistics:
    """A dead letter, to be read."""

    number: int
    """It was the bundle's so manieth, from 1."""
    actor: str
    """Who did not handle it."""
    sender: str
    """Who sent it, where one sender alone has sent the actor anything; else empty, because a mailbox does not know."""
    reason: Loss
    message: str
    """Its class."""
    text: str
    """Its ``repr``, shortened."""
    error: str
    """One line; empty where no handler raised."""
    at_ns: int = 0
    """When it became a dead letter, since the Unix epoch."""
    traceback: str = ""
    """Where the error was raised, as Python prints it, with its end if it is long; empty where no handler raised."""


@attrs.frozen
class ActorStatistics:
    """A moment's view of one actor. ``received = handled + failed + lost + queued + held``."""

    name: str
    state: ActorState
    received: int
    handled: int
    """Including the one that it is handling now."""
    failed: int
    lost: Mapping[Loss, int]
    """Messages that were not handled, by reason; those that failed are not among them."""
    queued: int
    capacity: int
    restarts: int
    handling: Sampled
    """The time in the handler, and in those that it called inline."""
    waiting: Sampled
    """The time in the mailbox."""
    overflow: Overflow = Overflow.BLOCK
    dispatch: Dispatch = Dispatch.INLINE
    """As it is: an async handler's messages are queued, whatever was configured."""
    blocked: int = 0
    """How many senders in this process wait for room in its mailbox."""
    error: LastError | None = None
    """The last one of any of its incarnations in this bundle."""
    held: int = 0
    """How many messages its merge holds back, until other senders have moved past them."""
    skipped: Mapping[str, int] = attrs.field(factory=dict)
    """What the actor itself says that it did not use, by reason: see `Actor.skipped`."""


@attrs.frozen
class EndedStatistics:
    """Sums over the actors that have stopped while their bundle went on. ``received = handled + failed + lost``."""

    actors: int = 0
    """How many."""
    received: int = 0
    handled: int = 0
    failed: int = 0
    lost: Mapping[Loss, int] = attrs.field(factory=dict)
    """By reason, with what was sent to them since."""
    restarts: int = 0
    skipped: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class BundleStatistics:
    """A moment's view of a bundle."""

    name: str
    actors: Mapping[str, ActorStatistics]
    edges: tuple[EdgeStatistics, ...]
    dead_letters: int
    defects: int
    """What the guards found: see `Bundle.defects`."""
    active: int
    """Actors with messages queued or in hand."""
    ended: EndedStatistics = attrs.field(factory=EndedStatistics)
    """The actors that have stopped while the bundle went on. They are not among ``actors``."""
