"""What the pair says: positions to the risk monitor, alerts to whoever records them. Values are in wei."""

from __future__ import annotations

import enum

import spore
from spore.services.messages import EventRef

__all__ = ["Limit", "LimitAlert", "PositionUpdate"]


class Limit(enum.IntEnum):
    """What is limited."""

    POSITION = 1
    """The value of what is held of one token, long or short."""
    GROSS = 2
    """The values of all tokens together, long and short alike."""


@spore.message(type_id=70, domain=spore.Domain.SIGNAL)
class PositionUpdate:
    """A transaction has changed what the desk holds of a token."""

    event_time_ns: spore.TimestampNs
    token: spore.Address
    amount: spore.I256
    """Native units of the token; below 0 where the desk owes it."""
    value_wei: spore.I256
    """At the price of the pool that has traded it last."""
    cause: EventRef


@spore.message(type_id=71, domain=spore.Domain.SIGNAL)
class LimitAlert:
    """A limit is exceeded, or is kept again."""

    event_time_ns: spore.TimestampNs
    limit: Limit
    token: spore.Address | None
    """None where all are meant."""
    exceeded: spore.Bool
    value_wei: spore.U256
    limit_wei: spore.U256
    cause: EventRef
