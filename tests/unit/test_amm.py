"""The arithmetic of constant-product pools, against published figures and at its edges."""

from __future__ import annotations

import pytest

from spore.errors import AmountError, SporeError
from spore.services.amm import (
    E8,
    MAX_RESERVE,
    Arbitrage,
    Hop,
    amount_in,
    amount_out,
    best_arbitrage,
    pays,
    price_impact_e8,
)

ETHER = 10**18


@pytest.mark.parametrize(
    ("swapped", "reserve_in", "reserve_out", "expected"),
    [
        # Uniswap V2 core, test/UniswapV2Pair.spec.ts: the cases of getInputPrice, in whole tokens of 18 decimals.
        (1, 5, 10, 1662497915624478906),
        (1, 10, 5, 453305446940074565),
        (2, 5, 10, 2851015155847869602),
        (2, 10, 5, 831248957812239453),
        (1, 10, 10, 906610893880149131),
        (1, 100, 100, 987158034397061298),
        (1, 1000, 1000, 996006981039903216),
    ],
)
def test_output_is_that_of_the_published_pair(swapped, reserve_in, reserve_out, expected):
    """A pair accepts exactly this output, and not a unit more."""
    assert amount_out(swapped * ETHER, Hop(reserve_in * ETHER, reserve_out * ETHER)) == expected


def test_outputs_and_inputs_are_those_of_the_published_library():
    """Uniswap V2 periphery, test/UniswapV2Router01.spec.ts: getAmountOut(2, 100, 100) = 1, getAmountIn(1, 100, 100) = 2."""
    assert amount_out(2, Hop(100, 100)) == 1
    assert amount_in(1, Hop(100, 100)) == 2


def test_the_cheapest_input_is_cheaper_than_the_librarys_where_the_division_is_exact():
    """getAmountIn adds one to the floor; where nothing is left over that is one unit too much."""
    pool = Hop(997, 2, 997, 1000)
    assert amount_in(1, pool) == 1000
    assert amount_out(1000, pool) == 1
    assert amount_out(999, pool) == 0


def test_a_fee_is_any_fraction():
    """A quarter of a percent, and nothing at all."""
    assert amount_out(10_000, Hop(1_000_000, 1_000_000, 9975, 10_000)) == 9876
    assert amount_out(100, Hop(100, 100, 1, 1)) == 50


@pytest.mark.parametrize(
    ("amount", "hop", "name"),
    [
        (0, Hop(100, 100), "amount_in"),
        (-1, Hop(100, 100), "amount_in"),
        (1, Hop(MAX_RESERVE, 100), "amount_in"),
        (1, Hop(0, 100), "reserve_in"),
        (1, Hop(100, 0), "reserve_out"),
        (1, Hop(100, MAX_RESERVE + 1), "reserve_out"),
        (1, Hop(100, 100, 0, 1000), "fee_numerator"),
        (1, Hop(100, 100, 1001, 1000), "fee_numerator"),
    ],
)
def test_what_cannot_be_traded_is_an_error_that_names_it(amount, hop, name):
    """The error carries the value at fault; it is a ValueError and one of Spore's."""
    with pytest.raises(AmountError, match=name) as caught:
        amount_out(amount, hop)
    assert caught.value.name == name
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, SporeError)


@pytest.mark.parametrize("amount", [0, 100, 101])
def test_an_output_is_less_than_the_reserve(amount):
    """A pool never gives all that it has."""
    with pytest.raises(AmountError, match="between 1 and one unit less"):
        amount_in(amount, Hop(100, 100))


def test_an_output_whose_input_would_not_fit_is_refused():
    """Reserves are uint112: a pair would revert."""
    with pytest.raises(AmountError, match="above 2"):
        amount_in(99, Hop(MAX_RESERVE - 10, 100))


def test_price_impact_is_beside_the_fee():
    """A trade of a hundredth of the pool gets a hundredth of what is left less, whatever the fee; of a tiny one, nothing."""
    assert price_impact_e8(ETHER, Hop(100 * ETHER, 5 * ETHER, 1, 1)) == 990_099  # 1/101
    assert price_impact_e8(10**9, Hop(10**30, 10**30)) == 0
    assert price_impact_e8(1, Hop(1_000, 1_000)) == E8  # nothing comes out


def test_two_fees_need_prices_far_enough_apart():
    """Two fees of 0.3 % take 0.6027 %: a little more pays, a little less does not."""
    base = Hop(10**20, 10**20)
    assert pays(base, Hop(10**20, 10**20 * 1_006_028 // 10**6))
    assert not pays(base, Hop(10**20, 10**20 * 1_006_026 // 10**6))


def test_the_best_arbitrage_of_a_recorded_state():
    """Block 47 of the recorded session, whose contracts paid it."""
    first = Hop(320000000000000000000, 961000000000000000000000)
    second = Hop(1479806931963188304854457, 506843404192024837528)
    best = best_arbitrage(first, second)
    assert best.profit == 24227406480971605
    assert best.optimal
    assert amount_out(best.amount_mid, second) - best.amount_in == best.profit


def test_it_can_be_asked_for_at_least_so_much():
    """Below the floor there is nothing to tell."""
    first, second = Hop(1_000, 2_000, 1, 1), Hop(1_000, 1_000, 1, 1)
    best = best_arbitrage(first, second)
    assert best == Arbitrage(139, 244, 196, 57, True)
    assert best_arbitrage(first, second, at_least=best.profit) == best
    assert best_arbitrage(first, second, at_least=best.profit + 1) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Hop(0, 0), Hop(100, 200)),
        (Hop(100, 200), Hop(0, 0)),
        (Hop(1, MAX_RESERVE + 1), Hop(1, 100)),
        (Hop(100, 200, 2, 1), Hop(100, 100)),
        (Hop(100, 100), Hop(100, 100)),
        (Hop(1, 2, 1, 1), Hop(1, 1, 1, 1)),  # it pays in real numbers, and no whole unit of it
    ],
)
def test_where_there_is_no_arbitrage(first, second):
    """Empty and impossible pools, equal prices, and gains below one unit."""
    assert best_arbitrage(first, second) is None


def test_pools_are_not_filled_beyond_what_they_hold():
    """The best size would push a reserve above uint112, where the pair reverts: the best that fits is found instead."""
    first = Hop(MAX_RESERVE - 1_000, MAX_RESERVE, 1, 1)
    second = Hop(10**33, MAX_RESERVE, 1, 1)
    best = best_arbitrage(first, second)
    assert best.amount_in <= 1_000
    assert best.profit == max(amount_out(amount_out(amount, first), second) - amount for amount in range(900, 1_001))
    full = Hop(MAX_RESERVE - 50, MAX_RESERVE, 1, 1)
    best = best_arbitrage(Hop(10**20, MAX_RESERVE, 1, 1), full)
    assert best.amount_mid <= 50


def test_where_too_many_sizes_might_earn_one_more_it_says_so():
    """Both tokens are fine-grained, and the rounding of 64 sizes at the top happened to take a unit from each."""
    first = Hop(148436843268268315, 1216186190251353)
    second = Hop(2266419277610990080, 505180724567937056768)
    best = best_arbitrage(first, second)
    assert not best.optimal
    assert best.profit == 17952581431642262
    assert best_arbitrage(first, second, at_least=best.profit) == best
    assert best_arbitrage(first, second, at_least=best.profit + 1) is None
