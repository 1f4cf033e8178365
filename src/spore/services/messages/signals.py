"""Signals: what a strategy concluded. USD figures have 8 decimals; amounts are the tokens' native units."""

from __future__ import annotations

import spore
from spore.services.messages.shared import EventRef, MarketRef, Side

__all__ = ["ArbitrageSignal", "LiquidationSignal", "MomentumSignal"]


@spore.message(type_id=32, domain=spore.Domain.SIGNAL)
class ArbitrageSignal:
    """Buy in one market, sell in the other, end with more of the token that one began with."""

    event_time_ns: spore.TimestampNs
    first: MarketRef
    second: MarketRef
    token_in: spore.Address | None
    """The token that goes in and comes out; None between exchanges."""
    token_mid: spore.Address | None
    """The token held between the two trades."""
    amount_in: spore.U128
    amount_mid: spore.U128
    profit: spore.U128
    """Of ``token_in``, before gas."""
    profit_usd_e8: spore.MoneyE8 | None
    """None where nobody knows what ``token_in`` is worth; so also below."""
    gas_usd_e8: spore.MoneyE8 | None
    slippage_usd_e8: spore.MoneyE8 | None
    """What is lost at worst if the prices move as far as the order allows."""
    net_profit_usd_e8: spore.MoneyE8 | None
    """Profit less gas and slippage."""
    spread_bps: spore.U32
    """How far apart the two prices are, in hundredths of a percent."""
    expires_at_ns: spore.TimestampNs
    cause: EventRef


@spore.message(type_id=33, domain=spore.Domain.SIGNAL)
class MomentumSignal:
    """A fast average of the price has crossed a slow one."""

    event_time_ns: spore.TimestampNs
    market: MarketRef
    side: Side
    fast_average: spore.PriceE8
    slow_average: spore.PriceE8
    strength_bps: spore.U32
    cause: EventRef


@spore.message(type_id=34, domain=spore.Domain.SIGNAL)
class LiquidationSignal:
    """A loan that may be closed by anybody, with what that pays."""

    event_time_ns: spore.TimestampNs
    venue: spore.U16
    account: spore.Address
    collateral_token: spore.Address
    debt_token: spore.Address
    collateral_amount: spore.U256
    debt_amount: spore.U256
    health_factor_e8: spore.U64
    """Below 1.0 (100_000_000) the loan may be closed."""
    bonus_bps: spore.U32
    net_profit_usd_e8: spore.MoneyE8 | None
    """What the bonus pays for closing the whole loan, less gas; None where nobody knows what gas costs."""
    cause: EventRef
