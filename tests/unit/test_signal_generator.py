"""The signal generator: sizes, costs, thresholds, momentum and loans."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from tests.market import E18, SECOND, end, gas, loan, named, q

from spore.errors import SettingError, UsageError
from spore.services import SignalGenerator, amm
from spore.services.messages import (
    ArbitrageSignal,
    EventRef,
    LiquidationSignal,
    MarketRef,
    MarketSnapshot,
    MomentumSignal,
    OrderRequest,
    PoolEvaluation,
    PoolHop,
    PoolOpportunity,
    PriceTick,
    Side,
    TokenPrice,
    VenueOpportunity,
)
from spore.services.signal_generator import ARBITRAGE_GAS, LIQUIDATION_GAS

USD = 10**8
GWEI = 10**9


def hop(name: str, reserve_in: int, reserve_out: int) -> PoolHop:
    return PoolHop(MarketRef(1, 0, named(name)), reserve_in, reserve_out, 997, 1000)


def opportunity(
    first: str = "p1", second: str = "p2", *, out: int = 1_100, size: int = E18, usd: int | None = 2_000
) -> PoolOpportunity:
    """Pools of a hundred and of a hundred and ten for the same: some 2 % of profit."""
    price = None if usd is None else q(usd, 18)
    hops = hop(first, 100 * size, 1_000 * size), hop(second, 1_000 * size, out * size // 10)
    return PoolOpportunity(*hops, named("WETH"), named("AAA"), price)


def evaluation(
    *opportunities: PoolOpportunity, block: int = 1, changed: tuple[str, ...] = ("p1",), native: int | None = 2_000
) -> PoolEvaluation:
    time_ns, tx_hash = block * SECOND, end(block=block).tx_hash
    cause = EventRef(time_ns, block, 0, 0, tx_hash)
    price = None if native is None else q(native, 18)
    return PoolEvaluation(time_ns, cause, tuple(named(name) for name in changed), price, opportunities)


def snapshot(*, block: int = 1, native: int | None = 2_000, **prices: int) -> MarketSnapshot:
    told = tuple(TokenPrice(named(token), q(usd, 6 if token == "USDC" else 18)) for token, usd in prices.items())
    return MarketSnapshot(block * SECOND, SECOND, block, 0, None if native is None else q(native, 18), told, ())


def signals(generator: SignalGenerator, *messages: Any) -> list[Any]:
    return [made for message in messages for made in generator.process(message)]


# Arbitrage between pools


def test_a_signal_is_sized_exactly_and_priced_with_all_costs():
    """The best size; profit in USD rounded down, gas and slippage rounded up, and what is left."""
    generator = SignalGenerator(gas_price_wei=3 * GWEI, slippage_bps=10)
    found, told = opportunity(), evaluation(opportunity())
    signal, order = generator.process(told)
    best = amm.best_arbitrage(amm.Hop(100 * E18, 1_000 * E18), amm.Hop(1_000 * E18, 110 * E18))
    assert (signal.amount_in, signal.amount_mid, signal.profit) == (best.amount_in, best.amount_mid, best.profit)
    assert (signal.first, signal.second) == (found.first.market, found.second.market)
    assert (signal.token_in, signal.token_mid) == (named("WETH"), named("AAA"))
    assert signal.profit_usd_e8 == best.profit * 2_000 * USD // E18
    assert signal.gas_usd_e8 == ARBITRAGE_GAS * 3 * GWEI * 2_000 * USD // E18
    slipped = -(-best.amount_out * 10 // 10_000)
    assert signal.slippage_usd_e8 == -(-slipped * q(2_000, 18) >> 112)
    assert signal.net_profit_usd_e8 == signal.profit_usd_e8 - signal.gas_usd_e8 - signal.slippage_usd_e8
    assert signal.spread_bps == 1_000
    assert signal.expires_at_ns == SECOND + 12 * SECOND
    assert signal.cause == told.cause
    assert order == OrderRequest(
        event_time_ns=SECOND,
        order_id=1,
        side=Side.BUY,
        route=(signal.first, signal.second),
        token_in=named("WETH"),
        amount_in=best.amount_in,
        min_amount_out=best.amount_out - slipped,
        limit_price=None,
        max_gas_usd_e8=signal.gas_usd_e8,
        expires_at_ns=signal.expires_at_ns,
        cause=told.cause,
    )


def test_what_an_order_brings_at_worst_is_the_net_profit():
    """At the least amount that the order allows, after gas, the net profit is what is left, up to rounding."""
    signal, order = SignalGenerator(slippage_bps=50).process(evaluation(opportunity()))
    worst = (order.min_amount_out - order.amount_in) * 2_000 * USD // E18 - order.max_gas_usd_e8
    assert abs(worst - signal.net_profit_usd_e8) <= 2


def test_thresholds_decide_about_orders_exactly():
    """A net profit pays that is a hundred-millionth above the threshold, and not one that equals it; gas may equal its limit."""
    (signal, _) = SignalGenerator().process(evaluation(opportunity()))
    net, cost = (Decimal(value).scaleb(-8) for value in (signal.net_profit_usd_e8, signal.gas_usd_e8))
    tick = Decimal(1).scaleb(-8)
    assert len(SignalGenerator(min_profit_usd=net - tick, max_gas_cost=cost).process(evaluation(opportunity()))) == 2
    assert signals(SignalGenerator(min_profit_usd=net), evaluation(opportunity())) == []
    assert signals(SignalGenerator(max_gas_cost=cost - tick), evaluation(opportunity())) == []


def test_without_slippage_the_threshold_is_as_exact():
    """Nothing is left out before it is sized that would pay after all."""
    (signal, _) = SignalGenerator(slippage_bps=0).process(evaluation(opportunity()))
    least = Decimal(signal.net_profit_usd_e8 - 1).scaleb(-8)
    assert len(SignalGenerator(slippage_bps=0, min_profit_usd=least).process(evaluation(opportunity()))) == 2


def test_all_opportunities_are_told_before_the_thresholds():
    """With the same figures, but without an order where it does not pay."""
    found = evaluation(opportunity(size=10**9))
    assert signals(SignalGenerator(), found) == []
    (signal,) = signals(SignalGenerator(all_opportunities=True), found)
    assert signal.profit > 0
    assert signal.net_profit_usd_e8 < 0


@pytest.mark.parametrize(("usd", "native"), [(None, 2_000), (2_000, None)])
def test_without_prices_there_are_no_orders(usd, native):
    """What nobody can price is told as such, if all is told, and traded never."""
    found = evaluation(opportunity(usd=usd), native=native)
    assert signals(SignalGenerator(), found) == []
    (signal,) = signals(SignalGenerator(all_opportunities=True), found)
    assert signal.net_profit_usd_e8 is None
    assert (signal.profit_usd_e8 is None) is (usd is None)
    assert (signal.gas_usd_e8 is None) is (native is None)


def test_amounts_that_no_field_can_hold_are_unknown():
    """A price that makes a profit of more than 92 billion USD is none to act on."""
    (signal,) = signals(SignalGenerator(all_opportunities=True), evaluation(opportunity(usd=10**12)))
    assert signal.profit_usd_e8 is None
    dear = evaluation(opportunity(usd=90 * 10**9, size=10**17), native=90 * 10**9)
    (signal,) = signals(SignalGenerator(all_opportunities=True, gas_price_wei=7 * 10**12, slippage_bps=10_000), dear)
    assert signal.net_profit_usd_e8 is None


def test_a_price_of_nothing_is_worth_nothing():
    """A token whose price rounds to 0 pays no order."""
    found = attrs.evolve(opportunity(), usd_q112=0)
    assert signals(SignalGenerator(min_profit_usd=Decimal(0)), evaluation(found)) == []


def test_an_opportunity_without_a_whole_unit_of_profit_is_none():
    """Prices may be apart by more than the fees and no whole unit be left of it."""
    found = PoolOpportunity(hop("p1", 5, 100), hop("p2", 100, 6), named("WETH"), named("AAA"), None)
    assert signals(SignalGenerator(all_opportunities=True), evaluation(found)) == []


def test_the_last_gas_price_holds():
    """Base fee and priority fee, for every signal from then on."""
    generator = SignalGenerator(all_opportunities=True)
    generator.process(gas(5 * GWEI))
    (signal, _) = generator.process(evaluation(opportunity()))
    assert signal.gas_usd_e8 == ARBITRAGE_GAS * 5 * GWEI * 2_000 * USD // E18


def test_orders_count_up():
    """Each has its own number."""
    generator = SignalGenerator()
    made = signals(generator, evaluation(opportunity("p1", "p2"), opportunity("p3", "p4")), evaluation(opportunity()))
    assert [order.order_id for order in made if isinstance(order, OrderRequest)] == [1, 2, 3]


def test_what_stands_is_told_again_after_each_transaction():
    """Until one of its pools changes: with the same amounts, the new transaction, and no second order."""
    generator = SignalGenerator(all_opportunities=True)
    first, order = generator.process(evaluation(opportunity("p1", "p2")))
    assert isinstance(order, OrderRequest)
    again, other, _ = generator.process(evaluation(opportunity("p3", "p4"), block=2, changed=("p3",)))
    assert isinstance(other, ArbitrageSignal)
    assert again == attrs.evolve(
        first, event_time_ns=2 * SECOND, expires_at_ns=14 * SECOND, cause=evaluation(block=2).cause
    )
    assert [made.first.pool for made in generator.process(evaluation(block=3, changed=("p9",)))] == [
        named("p1"),
        named("p3"),
    ]
    assert [made.first.pool for made in generator.process(evaluation(block=4, changed=("p2",)))] == [named("p3")]
    assert generator.process(evaluation(block=5, changed=("p4", "p3"))) == []


def test_what_stands_is_not_told_again_by_default():
    """An opportunity is told when it changes."""
    generator = SignalGenerator()
    assert len(generator.process(evaluation(opportunity("p1", "p2")))) == 2
    assert generator.process(evaluation(block=2, changed=("p9",))) == ()


# Arbitrage between exchanges


def venues(*, ask: int, bid: int, size: int = 10**8, fee: int = 10, in_usd: bool = True) -> VenueOpportunity:
    cause = EventRef(SECOND, 42)
    return VenueOpportunity(SECOND, MarketRef(1, 5), MarketRef(2, 5), ask, size, bid, 3 * size, fee, in_usd, cause)


def test_exchanges_are_traded_for_what_both_show():
    """The smaller size, with fees of what is spent; what is spent is rounded up."""
    signal, order = SignalGenerator(slippage_bps=0).process(venues(ask=1_000 * USD, bid=1_020 * USD, size=150_000_000))
    spent, got = 1_500 * USD, 1_530 * USD
    assert (signal.amount_in, signal.amount_mid, signal.token_in) == (spent, 150_000_000, None)
    assert signal.profit == signal.net_profit_usd_e8 == got - spent - spent // 1_000
    assert (signal.spread_bps, signal.gas_usd_e8) == (200, 0)
    assert (order.amount_in, order.min_amount_out) == (spent, spent + signal.profit)
    assert order.route == (MarketRef(1, 5), MarketRef(2, 5))


def test_exchanges_without_usd_and_without_profit():
    """What is quoted in something else is told without an order, if all is told; what rounds to nothing is not told."""
    found = venues(ask=1_000 * USD, bid=1_020 * USD, in_usd=False)
    assert signals(SignalGenerator(), found) == []
    (signal,) = signals(SignalGenerator(all_opportunities=True), found)
    assert signal.net_profit_usd_e8 is None
    assert signals(SignalGenerator(all_opportunities=True), venues(ask=1_000, bid=1_020, size=1)) == []


# Momentum


def tick(price: int, *, at: int = 1, venue: int = 1) -> PriceTick:
    return PriceTick(at * SECOND, MarketRef(venue, 5), price, EventRef(at * SECOND, at))


def momentum(*prices: int, **settings: int) -> list[Any]:
    generator = SignalGenerator(**{"fast_window": 2, "slow_window": 4, "momentum_threshold_bps": 0, **settings})
    return signals(generator, *(tick(price, at=at) for at, price in enumerate(prices, 1)))


def test_a_crossing_of_the_averages_is_a_signal():
    """Falling first: which side the averages begin on is no crossing."""
    (up, down) = momentum(100, 90, 80, 70, 95, 120, 120, 60, 50)
    assert up == MomentumSignal(
        6 * SECOND, MarketRef(1, 5), Side.BUY, 107, 91, (430 - 365) * 10_000 // 365, EventRef(6 * SECOND, 6)
    )
    assert (down.side, down.event_time_ns) == (Side.SELL, 8 * SECOND)


def test_equal_averages_and_small_differences_are_no_crossing():
    """Below the threshold nothing has crossed, in either direction."""
    assert momentum(100, 100, 100, 100, 100) == []
    prices = (1000, 1000, 990, 990, 1000, 1001, 1001, 1002, 990, 990)
    assert [signal.side for signal in momentum(*prices)] == [Side.BUY, Side.SELL]
    assert [signal.side for signal in momentum(*prices, momentum_threshold_bps=50)] == [Side.BUY, Side.SELL]
    assert [signal.side for signal in momentum(*prices, momentum_threshold_bps=60)] == []


def test_markets_have_averages_of_their_own():
    """Another venue's prices do not mix in."""
    generator = SignalGenerator(fast_window=1, slow_window=2, momentum_threshold_bps=0)
    made = signals(generator, *(tick(price, venue=venue) for price in (5, 4, 6) for venue in (1, 2)))
    assert [signal.market.venue for signal in made] == [1, 2]


# Loans


def test_a_loan_is_told_when_it_may_be_closed():
    """Once, as prices fall; again after it has been healthy; with the bonus less gas."""
    generator = SignalGenerator(gas_price_wei=0)
    unsafe = loan("l1", E18, 1_600 * 10**6)  # 80 % of 2,000 USD
    assert signals(generator, unsafe, snapshot(WETH=2_001, USDC=1)) == []
    (told,) = signals(generator, snapshot(block=2, WETH=1_999))
    assert told == LiquidationSignal(
        event_time_ns=2 * SECOND,
        venue=7,
        account=named("l1"),
        collateral_token=named("WETH"),
        debt_token=named("USDC"),
        collateral_amount=E18,
        debt_amount=1_600 * 10**6,
        health_factor_e8=99_950_000 - 1,
        bonus_bps=500,
        net_profit_usd_e8=80 * USD,
        cause=EventRef(SECOND, 1, 0, 0, unsafe.tx_hash),
    )
    assert signals(generator, snapshot(block=3, WETH=1_990), snapshot(block=4, WETH=2_001)) == []
    assert len(signals(generator, snapshot(block=5, WETH=1_990))) == 1


def test_a_loan_that_changes_is_looked_at_anew():
    """With the prices that are known; one that is closed is forgotten."""
    generator = SignalGenerator(gas_price_wei=0)
    assert signals(generator, snapshot(WETH=1_000, USDC=1), loan("l1", E18, 700 * 10**6)) == []
    assert len(signals(generator, loan("l1", E18, 900 * 10**6), loan("l1", E18, 901 * 10**6, block=2))) == 2
    assert signals(generator, loan("l1", E18, 0), snapshot(WETH=1, USDC=1)) == []


def test_loans_that_do_not_pay_are_not_told():
    """Unless everything is: then also where nobody knows what gas costs."""
    small = loan("l1", E18 // 1_000, 2 * 10**6)
    prices = snapshot(WETH=2_000, USDC=1)
    assert signals(SignalGenerator(), small, prices) == []
    (told,) = signals(SignalGenerator(all_opportunities=True), small, prices)
    assert told.net_profit_usd_e8 == 10_000_000 - LIQUIDATION_GAS * 10 * GWEI * 2_000 * USD // E18
    unpriced = snapshot(native=None, WETH=2_000, USDC=1)
    (told,) = signals(SignalGenerator(all_opportunities=True), small, unpriced)
    assert told.net_profit_usd_e8 is None
    assert signals(SignalGenerator(), small, unpriced) == []


def test_loans_beyond_the_limit_are_counted():
    """And not followed; a place that is given up can be taken."""
    generator = SignalGenerator(loans_to_monitor=1)
    signals(generator, loan("l1", 1, 1), loan("l2", 1, 1), loan("l1", 1, 0), loan("l2", 1, 1))
    assert generator.skipped == {"loan beyond loans_to_monitor": 1}


# Settings


def test_usd_become_integers_exactly():
    """Eight decimals, no more, and no floats."""
    exact = SignalGenerator(min_profit_usd=Decimal("10.00000001"), max_gas_cost=50)
    assert (exact._min_profit_e8, exact._max_gas_e8) == (1_000_000_001, 50 * USD)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"min_profit_usd": 10.0},
            r'min_profit_usd = 10.0: must be a decimal amount of USD, such as Decimal\("10.0"\)',
        ),
        ({"max_gas_cost": Decimal("1e-9")}, "max_gas_cost = .*more than the 8 decimals"),
        ({"slippage_bps": 10_001}, "slippage_bps = 10001: must be an integer from 0 to 10000"),
        ({"fast_window": 200}, "fast_window = 200: must be below slow_window, which is 200"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, complaint):
    """With the name of the setting, its value, and what would be right."""
    with pytest.raises(SettingError, match=complaint):
        SignalGenerator(**settings)


def test_a_message_that_is_none_of_its_own_is_refused():
    """By name."""
    with pytest.raises(UsageError, match="does not handle TransactionEnd"):
        SignalGenerator().process(end())
