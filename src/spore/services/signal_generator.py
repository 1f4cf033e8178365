"""Signals: what market data detected, sized exactly, priced, and turned into orders where it pays.

Strategy: sizes come from `spore.services.amm`, USD from the prices that came with the detection, and every rounding is against us:
profits down, costs up. Settings in USD become integers once, exactly. The same detections give the same signals, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, Union

import attrs

from spore.errors import SettingError, UsageError
from spore.services import amm
from spore.services.loans import HEALTHY_E8, Loan, LoanBook
from spore.services.messages import (
    ArbitrageSignal,
    EventRef,
    GasPrice,
    LiquidationSignal,
    LoanPosition,
    MarketRef,
    MarketSnapshot,
    OrderRequest,
    PoolEvaluation,
    PoolHop,
    PoolOpportunity,
    PriceTick,
    Side,
    Signal,
    SignalMessage,
    VenueOpportunity,
)
from spore.services.momentum import Averages
from spore.services.prices import FRACTION_BITS
from spore.services.settings import BPS, MAX_MONEY_E8, MS, usd, usd_e8, whole
from spore.services.standing import StandingSignals, told_again

__all__ = ["ARBITRAGE_GAS", "LIQUIDATION_GAS", "Decision", "SignalGenerator"]

ARBITRAGE_GAS = 136_000
"""Of one transaction with a transfer and two swaps. Source: measured on the published Uniswap V2 contracts (135,817 to 135,829
in the recorded session)."""
LIQUIDATION_GAS = 400_000
"""Of a liquidation that takes the collateral in kind: a round figure, as lending contracts differ."""

Decision: TypeAlias = Union[Signal, OrderRequest]

NOTHING: Sequence[Decision] = ()
_E8 = 10**8
_U32 = 2**32 - 1
_TIMES = 2**64 - 1


@attrs.define
class SignalGenerator:
    """Decides what is worth telling and what is worth an order."""

    min_profit_usd: Decimal = attrs.field(default=Decimal(10), validator=usd)
    """What the net profit of an order has to be above."""
    max_gas_cost: Decimal = attrs.field(default=Decimal(50), validator=usd)
    """The most USD that an order may spend on gas."""
    all_opportunities: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """Tell every direction that pays after each transaction, whatever it is worth in USD and whether or not the transaction
    changed it. Orders stay what they are without. Each transaction then costs as much as there are opportunities that stand."""
    slippage_bps: int = attrs.field(default=10, validator=whole(0, BPS))
    """How much less than expected an order may bring, in hundredths of a percent of all that it brings."""
    signal_lifetime_ms: int = attrs.field(default=12_000, validator=whole(1, 86_400_000))
    """How long a signal holds, in event time. One slot of Ethereum."""
    gas_price_wei: int = attrs.field(default=10 * 10**9, validator=whole(0))
    """What gas costs while nobody has told: a round figure."""
    fast_window: int = attrs.field(default=50, validator=whole(1, 100_000))
    """How many price changes the fast average is over."""
    slow_window: int = attrs.field(default=200, validator=whole(2, 100_000))
    """How many the slow one is over."""
    momentum_threshold_bps: int = attrs.field(default=1, validator=whole(0, BPS))
    """How far apart the averages must be to have crossed."""
    loans_to_monitor: int = attrs.field(default=10_000, validator=whole(1))
    """Loans beyond so many are counted, but not followed."""

    skipped: dict[str, int] = attrs.field(factory=dict, init=False)
    """What was not used, by reason."""
    loans: LoanBook = attrs.field(init=False)
    standing: StandingSignals = attrs.field(factory=StandingSignals, init=False)
    averages: dict[tuple[int, int], tuple[MarketRef, Averages]] = attrs.field(factory=dict, init=False)
    """By instrument and venue."""
    native_q112: int | None = attrs.field(default=None, init=False)
    """The price of what gas is paid in, as it was told last."""
    wei_per_gas: int = attrs.field(init=False)
    orders: int = attrs.field(default=0, init=False)
    """How many orders there have been: their ids count from 1."""
    _min_profit_e8: int = attrs.field(init=False)
    _max_gas_e8: int = attrs.field(init=False)
    _lifetime_ns: int = attrs.field(init=False)
    _handlers: dict[type, Callable[[Any], Sequence[Decision]]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.fast_window >= self.slow_window:
            reason = f"must be below slow_window, which is {self.slow_window}"
            raise SettingError("fast_window", self.fast_window, reason)
        self.loans = LoanBook(self.loans_to_monitor, self.skipped)
        self.wei_per_gas = self.gas_price_wei
        self._min_profit_e8 = usd_e8("min_profit_usd", self.min_profit_usd)
        self._max_gas_e8 = usd_e8("max_gas_cost", self.max_gas_cost)
        self._lifetime_ns = self.signal_lifetime_ms * MS
        self._handlers = {
            PoolEvaluation: self.process_evaluation,
            VenueOpportunity: self.process_venue_opportunity,
            PriceTick: self.process_tick,
            MarketSnapshot: self.process_snapshot,
            GasPrice: self.process_gas_price,
            LoanPosition: self.process_loan,
        }

    def process(self, message: SignalMessage) -> Sequence[Decision]:
        """Handle one message.

        Returns:
            Signals and orders; an order comes right after its signal.

        Raises:
            UsageError: if it is none that market data tells.
        """
        try:
            handler = self._handlers[type(message)]
        except KeyError:
            raise UsageError(f"the signal generator does not handle {type(message).__qualname__}") from None
        return handler(message)

    def process_evaluation(self, evaluation: PoolEvaluation) -> Sequence[Decision]:
        """Size what pays after a transaction."""
        if evaluation.native_usd_q112 is not None:
            self.native_q112 = evaluation.native_usd_q112
        if not (evaluation.opportunities or self.all_opportunities):
            return NOTHING
        sized = [self.enhance_signal(opportunity, evaluation) for opportunity in evaluation.opportunities]
        if not self.all_opportunities:
            return [decision for signal in sized if signal is not None for decision in self._ordered(signal)]
        self.standing.forget(evaluation.changed)
        told: list[Decision] = [told_again(signal, evaluation) for signal in self.standing]
        for signal in sized:
            if signal is not None:
                self.standing.add(signal)
                told += self._ordered(signal)
        return told

    def enhance_signal(self, opportunity: PoolOpportunity, evaluation: PoolEvaluation) -> ArbitrageSignal | None:
        """The best size of an opportunity and what it is worth.

        Returns:
            None where no size earns a whole unit of the token, or, unless all opportunities are told, where even the best could not
            be worth the least profit after gas.
        """
        first, second = opportunity.first, opportunity.second
        price = opportunity.usd_q112
        gas = self._gas_usd_e8(ARBITRAGE_GAS)
        if self.all_opportunities:
            best = amm.best_arbitrage(_hop(first), _hop(second))
        elif price and gas is not None:
            worthwhile = -(-((self._min_profit_e8 + 1 + gas) << FRACTION_BITS) // price)
            best = amm.best_arbitrage(_hop(first), _hop(second), at_least=worthwhile)
        else:
            return None
        if best is None:
            return None
        profit = None if price is None else _worth(best.profit, price)
        slippage = None if price is None else _worth_up(self._slippage(best.amount_out), price)
        spread = first.reserve_out * second.reserve_out * BPS // (first.reserve_in * second.reserve_in) - BPS
        return ArbitrageSignal(
            evaluation.event_time_ns,
            first.market,
            second.market,
            opportunity.token_in,
            opportunity.token_mid,
            best.amount_in,
            best.amount_mid,
            best.profit,
            profit,
            gas,
            slippage,
            _net(profit, gas, slippage),
            min(spread, _U32),
            self._expiry(evaluation.event_time_ns),
            evaluation.cause,
        )

    def process_venue_opportunity(self, found: VenueOpportunity) -> Sequence[Decision]:
        """Size what pays between two exchanges: as much as both sides show."""
        size = min(found.ask_size_e8, found.bid_size_e8)
        spent = -(-size * found.ask_price // _E8)
        got = size * found.bid_price // _E8
        profit = got - spent - -(-spent * found.fee_bps // BPS)
        if profit <= 0:
            return NOTHING
        slippage = self._slippage(spent + profit)
        profit_usd = _money(profit) if found.in_usd else None
        slippage_usd = _money(slippage) if found.in_usd else None
        return self._ordered(
            ArbitrageSignal(
                found.event_time_ns,
                found.buy,
                found.sell,
                None,
                None,
                spent,
                size,
                profit,
                profit_usd,
                0,
                slippage_usd,
                _net(profit_usd, 0, slippage_usd),
                min((found.bid_price - found.ask_price) * BPS // found.ask_price, _U32),
                self._expiry(found.event_time_ns),
                found.cause,
            )
        )

    def process_tick(self, tick: PriceTick) -> Sequence[Decision]:
        """Follow a price's averages."""
        key = (tick.market.instrument_id, tick.market.venue)
        known = self.averages.get(key)
        if known is None:
            known = self.averages[key] = (tick.market, self.fresh_averages())
        signal = known[1].add(tick)
        return NOTHING if signal is None else (signal,)

    def process_snapshot(self, snapshot: MarketSnapshot) -> Sequence[Decision]:
        """Look again at the loans whose tokens have new prices."""
        if snapshot.native_usd_q112 is not None:
            self.native_q112 = snapshot.native_usd_q112
        if not snapshot.prices:
            return NOTHING
        touched = self.loans.reprice(snapshot.prices)
        return [signal for loan in touched if (signal := self._liquidation(loan, snapshot.event_time_ns)) is not None]

    def process_gas_price(self, message: GasPrice) -> Sequence[Decision]:
        """Gas costs this from now on."""
        self.wei_per_gas = message.base_fee_wei + message.priority_fee_wei
        return NOTHING

    def process_loan(self, position: LoanPosition) -> Sequence[Decision]:
        """Follow a loan."""
        loan = self.loans.put(position)
        signal = None if loan is None else self._liquidation(loan, position.event_time_ns)
        return NOTHING if signal is None else (signal,)

    def fresh_averages(self) -> Averages:
        """Averages of a market of which nothing is known yet."""
        return Averages(self.fast_window, self.slow_window, self.momentum_threshold_bps)

    def _ordered(self, signal: ArbitrageSignal) -> Sequence[Decision]:
        """A signal as far as it is to be told, with its order if it pays."""
        net, gas = signal.net_profit_usd_e8, signal.gas_usd_e8
        if net is None or gas is None or net <= self._min_profit_e8 or gas > self._max_gas_e8:
            return (signal,) if self.all_opportunities else NOTHING
        self.orders += 1
        amount_out = signal.amount_in + signal.profit
        order = OrderRequest(
            signal.event_time_ns,
            self.orders,
            Side.BUY,
            (signal.first, signal.second),
            signal.token_in,
            signal.amount_in,
            amount_out - self._slippage(amount_out),
            None,
            gas,
            signal.expires_at_ns,
            signal.cause,
        )
        return (signal, order)

    def _liquidation(self, loan: Loan, time_ns: int) -> LiquidationSignal | None:
        position = loan.position
        health = self.loans.health_e8(position)
        if health is None:
            return None
        if health >= HEALTHY_E8:
            loan.told = False
            return None
        gas = self._gas_usd_e8(LIQUIDATION_GAS)
        net = _net(_money(self.loans.bonus_usd_e8(position)), gas, 0)
        worthwhile = net is not None and gas is not None and net > self._min_profit_e8 and gas <= self._max_gas_e8
        if loan.told or not (worthwhile or self.all_opportunities):
            return None
        loan.told = True
        return LiquidationSignal(
            time_ns,
            position.venue,
            position.account,
            position.collateral_token,
            position.debt_token,
            position.collateral_amount,
            position.debt_amount,
            health,
            position.bonus_bps,
            net,
            EventRef(
                position.event_time_ns, position.block_number, position.tx_index, position.log_index, position.tx_hash
            ),
        )

    def _gas_usd_e8(self, gas: int) -> int | None:
        if self.native_q112 is None:
            return None
        return _worth_up(gas * self.wei_per_gas, self.native_q112)

    def _slippage(self, amount: int) -> int:
        return -(-amount * self.slippage_bps // BPS)

    def _expiry(self, time_ns: int) -> int:
        return min(time_ns + self._lifetime_ns, _TIMES)


def _hop(hop: PoolHop) -> amm.Hop:
    return amm.Hop(hop.reserve_in, hop.reserve_out, hop.fee_numerator, hop.fee_denominator)


def _worth(amount: int, q112: int) -> int | None:
    return _money(amount * q112 >> FRACTION_BITS)


def _worth_up(amount: int, q112: int) -> int | None:
    return _money(-(-amount * q112 >> FRACTION_BITS))


def _money(value_e8: int) -> int | None:
    """The value, or None where it is more than a field can say, which no price that is right gives."""
    return value_e8 if value_e8 <= MAX_MONEY_E8 else None


def _net(profit: int | None, gas: int | None, slippage: int | None) -> int | None:
    if profit is None or gas is None or slippage is None:
        return None
    net = profit - gas - slippage
    return net if net >= -MAX_MONEY_E8 else None
