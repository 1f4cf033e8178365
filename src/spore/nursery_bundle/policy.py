"""What can be configured about an actor: words that mean the same in both modes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import attrs

from spore.errors import OptionError

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
    """The actor had stopped before its turn came, or before it was sent."""
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    """The bundle's drain took longer than it was given."""


def _directive(value: object) -> Directive:
    try:
        return Directive(value)
    except ValueError:
        known = ", ".join(one.value for one in Directive)
        raise OptionError(f"there is no directive {value!r:.60}; there are {known}") from None


def _number(what: str, accepts: Callable[[float], bool]) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A validator for a number; ``what`` says what would be right."""

    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not accepts(value):
            raise OptionError(f"'{field.name}' must be {what}: {value!r:.60}")  # in the words of attrs's own validators

    return check


_count = _number("an integer from 0", lambda value: isinstance(value, int) and value >= 0)
_at_least_1 = _number("an integer from 1", lambda value: isinstance(value, int) and value >= 1)
_more_than_0 = _number("above 0", lambda value: value > 0)
_not_negative = _number("0 or more", lambda value: 0 <= value < math.inf)
_share = _number("from 0 to 1", lambda value: 0 <= value <= 1)


@attrs.frozen(kw_only=True)
class Supervision:
    """What to do about failures, and how often.

    Restarts count in rows. The wait before restart number n of a row is ``min(backoff_max_s, backoff_s · 2ⁿ⁻¹)``, longer or
    shorter by up to the share ``jitter``, so that actors that failed together do not come back together. A row ends, and
    the next restart is again the first of one, once ``forgive_after`` messages in a row were handled or ``within_s`` seconds
    have passed since.

    With the defaults, an actor that fails now and then goes on for months: each failure costs its message, its state and a
    tenth of a second. One that fails again and again escalates after five restarts.
    """

    on_failure: Directive = attrs.field(default=Directive.RESTART, converter=_directive)
    """What `Actor.on_error` means where it does not decide."""
    max_restarts: int = attrs.field(default=5, validator=_count)
    within_s: float = attrs.field(default=60.0, validator=_more_than_0)
    """More than ``max_restarts`` of one row in so many seconds escalate."""
    forgive_after: int = attrs.field(default=100, validator=_at_least_1)
    """So many messages handled since the last restart end a row."""
    start_timeout_s: float = attrs.field(default=60.0, validator=_more_than_0)
    """An `Actor.on_start` that takes longer is cancelled, and has failed."""
    stop_timeout_s: float = attrs.field(default=10.0, validator=_more_than_0)
    """An `Actor.on_stop` that takes longer is cancelled, and the actor goes without it."""
    backoff_s: float = attrs.field(default=0.1, validator=_not_negative)
    backoff_max_s: float = attrs.field(default=10.0, validator=_not_negative)
    jitter: float = attrs.field(default=0.2, validator=_share)

    def backoff(self, restart: int, chance: float) -> float:
        """Seconds to wait before restart number ``restart`` (from 1), with a chance from 0 to 1."""
        wait = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(restart - 1, 60))
        return wait * (1 + self.jitter * (2 * chance - 1))
