"""The messages of the reference application: market data → signals → orders.

The unions are for ``match`` and for type checkers: an actor of `SignalMessage` handles one of its members.
"""

from typing import TypeAlias, Union

from spore.services.messages.execution import ExecutionReport, OrderCancel, OrderRequest, OrderStatus
from spore.services.messages.market_data import (
    BookLevel,
    GasPrice,
    OrderBook,
    PoolSwap,
    PoolSync,
    QuoteUpdate,
    Trade,
    VolumeUpdate,
)
from spore.services.messages.shared import EventRef, MarketRef, Side
from spore.services.messages.signals import ArbitrageSignal, LiquidationSignal, MomentumSignal

__all__ = [
    "ArbitrageSignal",
    "BookLevel",
    "EventRef",
    "ExecutionMessage",
    "ExecutionReport",
    "GasPrice",
    "LiquidationSignal",
    "MarketMessage",
    "MarketRef",
    "MomentumSignal",
    "OrderBook",
    "OrderCancel",
    "OrderRequest",
    "OrderStatus",
    "PoolSwap",
    "PoolSync",
    "QuoteUpdate",
    "Side",
    "SignalMessage",
    "Trade",
    "VolumeUpdate",
]

MarketMessage: TypeAlias = Union[Trade, OrderBook, VolumeUpdate, PoolSwap, PoolSync, QuoteUpdate, GasPrice]
SignalMessage: TypeAlias = Union[ArbitrageSignal, MomentumSignal, LiquidationSignal]
ExecutionMessage: TypeAlias = Union[OrderRequest, OrderCancel, ExecutionReport]
