"""Records and enums that messages of several domains share."""

from __future__ import annotations

import enum

import spore

__all__ = ["EventRef", "MarketRef", "Side"]


class Side(enum.IntEnum):
    """Which way: of an order, of the aggressor in a trade, of a trend."""

    BUY = 1
    SELL = 2


@spore.record
class MarketRef:
    """A market: an instrument on a venue, or a pool."""

    venue: spore.U16
    """The number that the configuration gives the venue."""
    instrument_id: spore.U64
    pool: spore.Address | None = None
    """The contract, where the market is a pool."""


@spore.record
class EventRef:
    """The event that caused a message, so that a decision can be traced back to its input."""

    event_time_ns: spore.TimestampNs
    position: spore.U64
    """The block number, or the venue's own update number."""
    tx_index: spore.U32 = 0
    log_index: spore.U32 = 0
    tx_hash: spore.Bytes32 | None = None
    """The transaction, where the event is from a chain."""
