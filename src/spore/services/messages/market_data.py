"""Market data: what happened on chains and exchanges.

Units: prices have 8 decimals; sizes of exchanges too (``*_e8``); amounts of pools are the tokens' native units,
and fit 128 bits because a V2 pair keeps its reserves as uint112 (Uniswap V2 core, ``UniswapV2Pair._update``).
Every message carries its event time, never the time at which somebody looked.
"""

from __future__ import annotations

import spore
from spore.services.messages.shared import Side

__all__ = [
    "BookLevel",
    "ChainReorg",
    "GasPrice",
    "InstrumentListed",
    "LoanPosition",
    "OrderBook",
    "PoolListed",
    "PoolSwap",
    "PoolSync",
    "QuoteUpdate",
    "Trade",
    "TransactionEnd",
    "VolumeUpdate",
]


@spore.message(type_id=1, domain=spore.Domain.MARKET_DATA)
class Trade:
    """A trade on an exchange."""

    instrument_id: spore.U64
    venue: spore.U16
    event_time_ns: spore.TimestampNs
    trade_id: spore.U64
    price: spore.PriceE8
    size_e8: spore.U64
    aggressor: Side


@spore.record
class BookLevel:
    """One price of an order book."""

    price: spore.PriceE8
    size_e8: spore.U64
    """0 where the level is gone."""


@spore.message(type_id=3, domain=spore.Domain.MARKET_DATA)
class OrderBook:
    """Levels of an order book that changed, or all of them in a snapshot."""

    instrument_id: spore.U64
    venue: spore.U16
    event_time_ns: spore.TimestampNs
    first_update: spore.U64
    last_update: spore.U64
    snapshot: spore.Bool
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


@spore.message(type_id=4, domain=spore.Domain.MARKET_DATA)
class PoolListed:
    """A pool that a feed will tell about: what its amounts mean. Comes before anything else about the pool."""

    event_time_ns: spore.TimestampNs
    pool: spore.Address
    venue: spore.U16
    venue_name: spore.Str
    token0: spore.Address
    token1: spore.Address
    symbol0: spore.Str
    """Empty where the feed does not know."""
    symbol1: spore.Str
    decimals0: spore.U8
    decimals1: spore.U8
    fee_numerator: spore.U32
    """Of what goes in, this share of ``fee_denominator`` is traded: 997 of 1000 in Uniswap V2."""
    fee_denominator: spore.U32


@spore.message(type_id=5, domain=spore.Domain.MARKET_DATA)
class InstrumentListed:
    """An instrument of an exchange that a feed will tell about. The same ``instrument_id`` on two venues is the same
    thing to trade."""

    event_time_ns: spore.TimestampNs
    instrument_id: spore.U64
    symbol: spore.Str
    venue: spore.U16
    venue_name: spore.Str


@spore.message(type_id=6, domain=spore.Domain.MARKET_DATA)
class LoanPosition:
    """A loan against collateral as it stands after whatever changed it. A debt of 0: the loan is closed."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    tx_index: spore.U32
    log_index: spore.U32
    tx_hash: spore.Bytes32
    venue: spore.U16
    account: spore.Address
    collateral_token: spore.Address
    debt_token: spore.Address
    collateral_amount: spore.U256
    debt_amount: spore.U256
    threshold_bps: spore.U32
    """The loan is healthy while the debt is worth no more than this share of the collateral."""
    bonus_bps: spore.U32
    """What whoever closes it gets on top of the debt that he pays, as a share of that debt."""


@spore.message(type_id=9, domain=spore.Domain.MARKET_DATA)
class VolumeUpdate:
    """What was traded in a window of event time that ends at ``event_time_ns``."""

    instrument_id: spore.U64
    venue: spore.U16
    event_time_ns: spore.TimestampNs
    window_ns: spore.U64
    trades: spore.U32
    base_volume: spore.U128
    """Native units of token0 for a pool, 8 decimals for an exchange."""
    quote_volume: spore.U128


@spore.message(type_id=10, domain=spore.Domain.MARKET_DATA)
class ChainReorg:
    """The chain has taken another branch: what was told of later blocks has not happened."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    """The last block that still stands."""


@spore.message(type_id=11, domain=spore.Domain.MARKET_DATA)
class PoolSwap:
    """A swap in a pool: the flow. The state that it left is in the PoolSync just before it."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    tx_index: spore.U32
    log_index: spore.U32
    tx_hash: spore.Bytes32
    pool: spore.Address
    amount0_in: spore.U128
    amount1_in: spore.U128
    amount0_out: spore.U128
    amount1_out: spore.U128


@spore.message(type_id=14, domain=spore.Domain.MARKET_DATA)
class TransactionEnd:
    """All events of a transaction have been told: the state of its pools is one that existed."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    tx_index: spore.U32
    tx_hash: spore.Bytes32


@spore.message(type_id=16, domain=spore.Domain.MARKET_DATA)
class PoolSync:
    """The reserves of a pool after whatever changed them: the state."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    tx_index: spore.U32
    log_index: spore.U32
    tx_hash: spore.Bytes32
    pool: spore.Address
    reserve0: spore.U128
    reserve1: spore.U128


@spore.message(type_id=17, domain=spore.Domain.MARKET_DATA)
class QuoteUpdate:
    """The best bid and ask of an instrument on a venue."""

    instrument_id: spore.U64
    bid_price: spore.PriceE8
    bid_size_e8: spore.U64
    ask_price: spore.PriceE8
    ask_size_e8: spore.U64
    venue: spore.U16
    event_time_ns: spore.TimestampNs
    update_id: spore.U64


@spore.message(type_id=18, domain=spore.Domain.MARKET_DATA)
class GasPrice:
    """What gas costs from a block on."""

    event_time_ns: spore.TimestampNs
    block_number: spore.U64
    base_fee_wei: spore.U128
    priority_fee_wei: spore.U128
