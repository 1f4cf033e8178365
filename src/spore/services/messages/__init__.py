"""The messages of the reference application: market data → signals → orders.

The unions are for ``match`` and for type checkers: an actor of `SignalMessage` handles one of its members. Market data comes
in as `MarketMessage`, goes to the signal generator as `SignalMessage`, leaves that as `Signal` for people and programs and as
`ExecutionMessage` for the execution; a recorder gets `RecordedMessage`.
"""

from typing import TypeAlias, Union

from spore.services.messages.detection import (
    MarketSnapshot,
    MarketVolume,
    PoolEvaluation,
    PoolHop,
    PoolOpportunity,
    PriceTick,
    TokenPrice,
    VenueOpportunity,
)
from spore.services.messages.execution import ExecutionReport, OrderCancel, OrderRequest, OrderStatus
from spore.services.messages.market_data import (
    BookLevel,
    ChainReorg,
    GasPrice,
    InstrumentListed,
    LoanPosition,
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
    "LoanPosition",
    "MarketMessage",
    "MarketRef",
    "MarketSnapshot",
    "MarketVolume",
    "MomentumSignal",
    "OrderBook",
    "OrderCancel",
    "OrderRequest",
    "OrderStatus",
    "PoolEvaluation",
    "PoolHop",
    "PoolListed",
    "PoolOpportunity",
    "PoolSwap",
    "PoolSync",
    "PriceTick",
    "QuoteUpdate",
    "RecordedMessage",
    "Side",
    "Signal",
    "SignalMessage",
    "TokenPrice",
    "Trade",
    "TransactionEnd",
    "VenueOpportunity",
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
    LoanPosition,
    TransactionEnd,
    ChainReorg,
]
SignalMessage: TypeAlias = Union[PoolEvaluation, VenueOpportunity, PriceTick, MarketSnapshot, GasPrice, LoanPosition]
Signal: TypeAlias = Union[ArbitrageSignal, MomentumSignal, LiquidationSignal]
ExecutionMessage: TypeAlias = Union[OrderRequest, OrderCancel]
RecordedMessage: TypeAlias = Union[Signal, OrderRequest, ExecutionReport]
