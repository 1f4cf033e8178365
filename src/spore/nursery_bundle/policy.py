"""What can be configured about an actor: words that mean the same in both modes."""

from __future__ import annotations

import enum

import attrs

__all__ = ["Directive", "Dispatch", "Loss", "Overflow", "Supervision"]


class Overflow(enum.StrEnum):
    """What happens to a message for which the mailbox has no room."""

    BLOCK = "block"
    """Lossless: `send` waits; `tell` may run the mailbox over for a moment."""
    FAIL = "fail"
    """The sender gets `spore.errors.MailboxFull`."""
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    CONFLATE = "conflate"
    """A newer message takes the place of the one with the same key, full or not; with as many keys as the
    mailbox has room for, another key waits as under ``block``."""


class Dispatch(enum.StrEnum):
    """How a message reaches an idle actor with a plain handler. The results are the same."""

    INLINE = "inline"
    """`tell` runs the handler itself."""
    QUEUED = "queued"
    """`tell` queues the message and the bundle's dispatcher runs the handler."""


class Directive(enum.Enum):
    """What is to become of an actor whose handler raised. The message at fault is a dead letter in any case."""

    RESUME = "resume"
    """Go on with the next message, with the same actor."""
    RESTART = "restart"
    """Go on with a fresh actor from the factory; the mailbox is kept."""
    STOP = "stop"
    """End this actor; what is left in its mailbox becomes dead letters."""
    ESCALATE = "escalate"
    """End the whole bundle with the exception, or restart it whole, as the bundle's own supervision says."""


class Loss(enum.StrEnum):
    """Why a message was not handled, or not to its end."""

    FULL = "full"
    DROPPED_OLDEST = "dropped_oldest"
    DROPPED_NEWEST = "dropped_newest"
    CONFLATED = "conflated"
    FAILED = "failed"
    """Its handler raised."""
    STOPPED = "stopped"
    """The actor had stopped before its turn came."""
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    """The bundle's drain took longer than it was given."""


@attrs.frozen(kw_only=True)
class Supervision:
    """What to do about failures, and how often.

    The wait before restart number n of a row is ``min(backoff_max_s, backoff_s · 2ⁿ⁻¹)``, longer or shorter by up
    to the share ``jitter``, so that actors that failed together do not come back together.
    """

    on_failure: Directive = Directive.RESTART
    """What `Actor.on_error` means where it does not decide."""
    max_restarts: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    within_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    """More than ``max_restarts`` in so many seconds escalate."""
    backoff_s: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    backoff_max_s: float = attrs.field(default=10.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(
        default=0.2, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1))
    )

    def backoff(self, restart: int, chance: float) -> float:
        """Seconds to wait before restart number ``restart`` (from 1), with a chance from 0 to 1."""
        wait = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(restart - 1, 60))
        return wait * (1 + self.jitter * (2 * chance - 1))
