"""Actors with every kind of port and setting, for plans. They need not run."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

import attrs

import spore
from spore.services import messages
from spore.services.messages import (
    ArbitrageSignal,
    ExecutionReport,
    MomentumSignal,
    OrderCancel,
    OrderRequest,
    PoolSync,
    QuoteUpdate,
    Trade,
    VolumeUpdate,
)

if TYPE_CHECKING:
    from spore.services.messages import Trade as Unseen

M = TypeVar("M")
Market = Union[Trade, QuoteUpdate]
Signals = Union[ArbitrageSignal, MomentumSignal]
Orders = Union[OrderRequest, OrderCancel, ExecutionReport]


@attrs.define
class Feedless(spore.Actor[Market]):
    signals: spore.ActorRef[Signals]


@attrs.define
class Strategy(spore.Actor[Signals]):
    execution: spore.ActorRef[Orders] | None = None
    recorder: spore.ActorRef | None = None  # type: ignore[type-arg]
    limit: int = 5


@attrs.define
class Desk(spore.Actor[Union[OrderRequest, "messages.OrderCancel"]]):
    recorder: spore.ActorRef[Any] | None = None


@attrs.define
class Other(spore.Actor[Orders]):
    pass


@attrs.define
class Anything(spore.Actor[Any]):
    def handle(self, message: Any) -> None: ...


class Plain(spore.Actor[QuoteUpdate]):
    def handle(self, message: QuoteUpdate) -> None: ...


@attrs.define
class Passing(spore.Actor[M], Generic[M]):
    out: spore.ActorRef[QuoteUpdate]


@attrs.define
class Quotes(Passing[QuoteUpdate]):
    pass


@attrs.define
class Volumes(spore.Actor[VolumeUpdate]):
    pass


@attrs.define
class Service:
    profit: Decimal
    pools: int = attrs.field(default=10, validator=attrs.validators.le(100))


@attrs.define
class Serving(spore.Actor[PoolSync]):
    inner: Service
    out: spore.ActorRef[PoolSync] | None = None
    label: str = ""


@attrs.frozen
class Unregistered:
    value: int


@attrs.define
class Sends(spore.Actor[Unregistered]):
    out: spore.ActorRef[Unregistered]


@attrs.define
class Unreadable(spore.Actor[PoolSync]):
    out: spore.ActorRef[Unseen] | None = None


NOT_AN_ACTOR = 5
