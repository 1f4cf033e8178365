"""Execution: orders out, reports back. Amounts are the tokens' native units, or 8 decimals on an exchange."""

from __future__ import annotations

import enum

import spore
from spore.services.messages.shared import EventRef, MarketRef, Side

__all__ = ["ExecutionReport", "OrderCancel", "OrderRequest", "OrderStatus"]


class OrderStatus(enum.IntEnum):
    """How far an order has come."""

    ACCEPTED = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6


@spore.message(type_id=40, domain=spore.Domain.EXECUTION)
class OrderRequest:
    """Trade along a route: one market, or two in one atomic transaction."""

    event_time_ns: spore.TimestampNs
    order_id: spore.U64
    side: Side
    route: tuple[MarketRef, ...]
    token_in: spore.Address | None
    amount_in: spore.U128
    min_amount_out: spore.U128
    """Less than this and the whole order is void."""
    limit_price: spore.PriceE8 | None
    max_gas_usd_e8: spore.MoneyE8
    expires_at_ns: spore.TimestampNs
    cause: EventRef


@spore.message(type_id=43, domain=spore.Domain.EXECUTION)
class OrderCancel:
    """Withdraw an order as far as it is not filled."""

    event_time_ns: spore.TimestampNs
    order_id: spore.U64
    reason: spore.Str


@spore.message(type_id=45, domain=spore.Domain.EXECUTION)
class ExecutionReport:
    """What has become of an order."""

    event_time_ns: spore.TimestampNs
    order_id: spore.U64
    status: OrderStatus
    filled_in: spore.U128
    filled_out: spore.U128
    gas_usd_e8: spore.MoneyE8
    reason: spore.Str
    """Why it was rejected, cancelled or expired; empty otherwise."""
    cause: EventRef
