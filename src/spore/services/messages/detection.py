"""Detections: what market data tells the signal generator, with all that is needed to size it exactly.

Domain: signal, because this is the input of strategies. A token's price is ``usd_q112``: USD with 8 decimals for one native
unit, as a fixed-point number with 112 fractional bits (as Uniswap V2's ``UQ112x112``), so that
``amount * usd_q112 >> 112`` is what an amount is worth, in USD with 8 decimals.
"""

from __future__ import annotations

import spore
from spore.services.messages.shared import EventRef, MarketRef

__all__ = [
    "MarketSnapshot",
    "MarketVolume",
    "PoolEvaluation",
    "PoolHop",
    "PoolOpportunity",
    "PriceTick",
    "TokenPrice",
    "VenueOpportunity",
]


@spore.record
class PoolHop:
    """A pool as a trade through it sees it."""

    market: MarketRef
    reserve_in: spore.U128
    reserve_out: spore.U128
    fee_numerator: spore.U32
    fee_denominator: spore.U32


@spore.record
class PoolOpportunity:
    """Two pools of one token pair whose prices are further apart than their fees."""

    first: PoolHop
    second: PoolHop
    token_in: spore.Address
    token_mid: spore.Address
    usd_q112: spore.U256 | None
    """Of ``token_in``; None where nobody knows."""


@spore.message(type_id=20, domain=spore.Domain.SIGNAL)
class PoolEvaluation:
    """A transaction changed pools: what pays on the state that it left."""

    event_time_ns: spore.TimestampNs
    cause: EventRef
    changed: tuple[spore.Address, ...]
    """The pools that changed. What was told before of any of them no longer holds."""
    native_usd_q112: spore.U256 | None
    """Of the token that gas is paid in; None where nobody knows, or nothing pays."""
    opportunities: tuple[PoolOpportunity, ...]
    """Each direction that pays, of the pairs of the pools that changed."""


@spore.message(type_id=21, domain=spore.Domain.SIGNAL)
class VenueOpportunity:
    """An instrument is bid for on one venue above what is asked for it on another, by more than the fees."""

    event_time_ns: spore.TimestampNs
    buy: MarketRef
    sell: MarketRef
    ask_price: spore.PriceE8
    ask_size_e8: spore.U64
    bid_price: spore.PriceE8
    bid_size_e8: spore.U64
    fee_bps: spore.U32
    """Of both trades together, as a share of what is spent."""
    in_usd: spore.Bool
    """Whether the prices are in USD or what counts as such."""
    cause: EventRef


@spore.message(type_id=22, domain=spore.Domain.SIGNAL)
class PriceTick:
    """The price of an instrument on a venue has changed."""

    event_time_ns: spore.TimestampNs
    market: MarketRef
    price: spore.PriceE8
    cause: EventRef


@spore.record
class TokenPrice:
    """What a token is worth."""

    token: spore.Address
    usd_q112: spore.U256


@spore.record
class MarketVolume:
    """What was traded on a market in a window."""

    market: MarketRef
    trades: spore.U32
    base_volume: spore.U128
    """Native units of token0 for a pool, 8 decimals for an exchange."""
    quote_volume: spore.U128


@spore.message(type_id=23, domain=spore.Domain.SIGNAL)
class MarketSnapshot:
    """A window of event time has ended: what has changed in it. Windows in which nothing did are not told."""

    event_time_ns: spore.TimestampNs
    """The end of the window: a multiple of its length."""
    window_ns: spore.U64
    block_number: spore.U64
    """The last block that was heard of."""
    pools_changed: spore.U32
    native_usd_q112: spore.U256 | None
    """Of the token that gas is paid in; None where nobody knows."""
    prices: tuple[TokenPrice, ...]
    """The new prices of the tokens of loans, as far as they changed."""
    volumes: tuple[MarketVolume, ...]
    """In the order in which the markets first traded in the window."""
