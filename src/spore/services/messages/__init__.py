"""The messages of the reference application: market data → signals → orders.

The unions are for ``match`` and for type checkers: an actor of `SignalMessage` handles one of its members.
"""

from typing import TypeAlias, Union

from spore.services.messages.execution import ExecutionReport, OrderCancel, OrderRequest, OrderStatus
from spore.services.messages.market_data import (
    BookLevel,
    ChainReorg,
    GasPrice,
    InstrumentListed,
    OrderBook,
    PoolListed,
    PoolSwap,
    PoolSync,
    QuoteUpdate,
    Trade,
    TransactionEnd,
    VolumeUpdate,
)
from spore.services.messages.shared import EventRef, MarketRef, Side
from spore.services.messages.signals import ArbitrageSignal, LiquidationSignal, MomentumSignal

__all__ = [
    "ArbitrageSignal",
    "BookLevel",
    "ChainReorg",
    "EventRef",
    "ExecutionMessage",
    "ExecutionReport",
    "GasPrice",
    "InstrumentListed",
    "LiquidationSignal",
    "MarketMessage",
    "MarketRef",
    "MomentumSignal",
    "OrderBook",
    "OrderCancel",
    "OrderRequest",
    "OrderStatus",
    "PoolListed",
    "PoolSwap",
    "PoolSync",
    "QuoteUpdate",
    "Side",
    "SignalMessage",
    "Trade",
    "TransactionEnd",
    "VolumeUpdate",
]

MarketMessage: TypeAlias = Union[
    Trade,
    OrderBook,
    VolumeUpdate,
    PoolSwap,
    PoolSync,
    QuoteUpdate,
    GasPrice,
    PoolListed,
    InstrumentListed,
    TransactionEnd,
    ChainReorg,
]
SignalMessage: TypeAlias = Union[ArbitrageSignal, MomentumSignal, LiquidationSignal]
ExecutionMessage: TypeAlias = Union[OrderRequest, OrderCancel, ExecutionReport]
