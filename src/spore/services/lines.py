"""Signals, orders and reports as JSON-ready lines, for files and people.

Amounts, prices and times are decimal strings (integers beyond 2⁵³ do not survive every JSON reader); USD are strings with their 8
decimals written out; addresses and hashes are 0x-prefixed hex. A value that nobody knows is null. Messages of other pipelines are written
field by field.
"""

from __future__ import annotations

from typing import Any

import spore
from spore.message import REGISTRY
from spore.services.messages import (
    ArbitrageSignal,
    EventRef,
    ExecutionReport,
    LiquidationSignal,
    MarketRef,
    MomentumSignal,
    OrderCancel,
    OrderRequest,
)

__all__ = ["line_of"]


def line_of(message: object) -> dict[str, Any]:
    """A message as a dict whose ``kind`` says what it is.

    Raises:
        TypeError: if it is no message.
    """
    match message:
        case ArbitrageSignal():
            return _arbitrage(message)
        case MomentumSignal():
            return {
                "kind": "momentum",
                **_market("", message.market),
                "side": message.side.name.lower(),
                "fast_average": _usd(message.fast_average),
                "slow_average": _usd(message.slow_average),
                "strength_bps": message.strength_bps,
                "event_time_ns": str(message.event_time_ns),
                "position": str(message.cause.position),
            }
        case LiquidationSignal():
            return {
                "kind": "liquidation",
                **_cause(message.cause),
                "venue": message.venue,
                "account": _hex(message.account),
                "collateral_token": _hex(message.collateral_token),
                "debt_token": _hex(message.debt_token),
                "collateral_amount": str(message.collateral_amount),
                "debt_amount": str(message.debt_amount),
                "health_factor": _usd(message.health_factor_e8),
                "bonus_bps": message.bonus_bps,
                "net_profit_usd": _usd(message.net_profit_usd_e8),
                "event_time_ns": str(message.event_time_ns),
            }
        case OrderRequest():
            return {
                "kind": "order",
                "order_id": str(message.order_id),
                **_cause(message.cause),
                "side": message.side.name.lower(),
                "route": [_market("", market) for market in message.route],
                "token_in": _hex(message.token_in),
                "amount_in": str(message.amount_in),
                "min_amount_out": str(message.min_amount_out),
                "limit_price": _usd(message.limit_price),
                "max_gas_usd": _usd(message.max_gas_usd_e8),
                "event_time_ns": str(message.event_time_ns),
                "expires_at_ns": str(message.expires_at_ns),
            }
        case OrderCancel():
            return {
                "kind": "cancel",
                "order_id": str(message.order_id),
                "reason": message.reason,
                "event_time_ns": str(message.event_time_ns),
            }
        case ExecutionReport():
            return {
                "kind": "report",
                "order_id": str(message.order_id),
                "status": message.status.name.lower(),
                **_cause(message.cause),
                "filled_in": str(message.filled_in),
                "filled_out": str(message.filled_out),
                "gas_usd": _usd(message.gas_usd_e8),
                "reason": message.reason,
                "event_time_ns": str(message.event_time_ns),
            }
        case _ if type(message) in REGISTRY:
            return {"kind": type(message).__name__, **spore.to_plain(message)}
        case _:
            raise TypeError(f"{type(message).__qualname__} is no message")


def _arbitrage(signal: ArbitrageSignal) -> dict[str, Any]:
    money = {
        "profit_usd": _usd(signal.profit_usd_e8),
        "gas_usd": _usd(signal.gas_usd_e8),
        "slippage_usd": _usd(signal.slippage_usd_e8),
        "net_profit_usd": _usd(signal.net_profit_usd_e8),
        "spread_bps": signal.spread_bps,
        "event_time_ns": str(signal.event_time_ns),
        "expires_at_ns": str(signal.expires_at_ns),
    }
    amounts = {
        "amount_in": str(signal.amount_in),
        "amount_mid": str(signal.amount_mid),
        "profit": str(signal.profit),
    }
    if signal.first.pool is None:
        return {
            "kind": "cross_venue",
            "position": str(signal.cause.position),
            **_market("first_", signal.first),
            **_market("second_", signal.second),
            **amounts,
            **money,
        }
    return {
        "kind": "arbitrage",
        **_cause(signal.cause),
        "first_pool": _hex(signal.first.pool),
        "second_pool": _hex(signal.second.pool),
        "token_in": _hex(signal.token_in),
        "token_mid": _hex(signal.token_mid),
        **amounts,
        **money,
    }


def _cause(cause: EventRef) -> dict[str, Any]:
    """The block and transaction, or the update of an exchange, that caused a message."""
    if cause.tx_hash is None:
        return {"position": str(cause.position)}
    return {"block": cause.position, "tx_index": cause.tx_index, "tx_hash": _hex(cause.tx_hash)}


def _market(prefix: str, market: MarketRef) -> dict[str, Any]:
    if market.pool is not None:
        return {f"{prefix}venue": market.venue, f"{prefix}pool": _hex(market.pool)}
    return {f"{prefix}venue": market.venue, f"{prefix}instrument_id": str(market.instrument_id)}


def _hex(data: bytes | None) -> str | None:
    return None if data is None else f"0x{data.hex()}"


def _usd(value_e8: int | None) -> str | None:
    if value_e8 is None:
        return None
    units, rest = divmod(abs(value_e8), 10**8)
    return f"{'-' if value_e8 < 0 else ''}{units}.{rest:08}"
