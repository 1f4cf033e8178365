"""The laws of constant-product pools, and the best arbitrage against trying every size."""

from __future__ import annotations

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from spore.services import amm
from spore.services.amm import (
    E8,
    MAX_RESERVE,
    Hop,
    amount_in,
    amount_out,
    best_arbitrage,
    pays,
    price_impact_e8,
)

fees = st.sampled_from([(997, 1000), (9975, 10_000), (3, 4), (1, 1), (1, 2**32 - 1)])
reserves = st.integers(1, 112).flatmap(lambda bits: st.integers(1, 2**bits - 1))


@st.composite
def hops(draw: st.DrawFn, sizes: st.SearchStrategy[int] = reserves) -> Hop:
    return Hop(draw(sizes), draw(sizes), *draw(fees))


small_hops = hops(st.integers(1, 400))


@st.composite
def trades(draw: st.DrawFn) -> tuple[int, Hop]:
    hop = draw(hops())
    assume(hop.reserve_in < MAX_RESERVE)
    return draw(st.integers(1, MAX_RESERVE - hop.reserve_in)), hop


@given(trades())
def test_the_product_of_the_reserves_never_falls(trade):
    """Whatever is traded, rounding is the pool's gain; and it never gives all that it has."""
    amount, hop = trade
    out = amount_out(amount, hop)
    assert 0 <= out < hop.reserve_out
    assert (hop.reserve_in + amount) * (hop.reserve_out - out) >= hop.reserve_in * hop.reserve_out


@given(trades())
def test_the_cheapest_input_is_the_least_that_brings_an_output(trade):
    """amount_in is the inverse of amount_out from below: enough, and one unit less is not."""
    amount, hop = trade
    out = amount_out(amount, hop)
    assume(out > 0)
    needed = amount_in(out, hop)
    assert needed <= amount
    assert amount_out(needed, hop) >= out
    assert needed == 1 or amount_out(needed - 1, hop) < out


@given(trades(), st.integers(1, 2**64))
def test_more_in_brings_no_less_out(trade, more):
    """The output grows with the input, and each further unit brings no more than the units before did on average."""
    amount, hop = trade
    assume(amount + more + hop.reserve_in <= MAX_RESERVE)
    less, out = amount_out(amount, hop), amount_out(amount + more, hop)
    assert less <= out
    assert out * amount <= (less + 1) * (amount + more)


@given(trades())
def test_price_impact_is_a_share_that_grows_with_the_trade(trade):
    """It lies between nothing and everything, and is nothing but rounding beside what the formula says."""
    amount, hop = trade
    impact = price_impact_e8(amount, hop)
    assert 0 <= impact <= E8
    traded = hop.fee_numerator * amount
    ideal = traded * E8 // (hop.reserve_in * hop.fee_denominator + traded)
    assert impact >= ideal


def every_size(first: Hop, second: Hop) -> int:
    """The most that any input earns, by trying all."""
    return max((profit_of(amount, first, second) for amount in range(1, second.reserve_out)), default=0)


def profit_of(amount: int, first: Hop, second: Hop) -> int:
    middle = amount_out(amount, first)
    return (amount_out(middle, second) if middle else 0) - amount


@given(small_hops, small_hops)
@example(Hop(1, 400), Hop(1, 400))
@example(Hop(100, 400, 1, 1), Hop(100, 101, 1, 1))
@example(Hop(7, 331, 1, 1), Hop(5, 399, 1, 1))
@example(Hop(327, 380), Hop(265, 274, 1, 1))  # the least of the sizes that may earn one more is the one that does
@example(Hop(213, 286, 1, 1), Hop(190, 343))
@example(Hop(86, 333), Hop(340, 375))  # the largest
@example(Hop(224, 270, 1, 1), Hop(45, 270))
def test_the_best_arbitrage_of_small_pools_is_the_best_of_all_sizes(first, second):
    """Exactly: not a unit short, proven to be so, and realised by flooring at every hop."""
    best = best_arbitrage(first, second)
    most = every_size(first, second)
    if best is None:
        assert most <= 0
        event("nothing to earn")
        return
    event("something to earn")
    assert best.optimal
    assert best.profit == most
    assert amount_out(best.amount_in, first) == best.amount_mid
    assert amount_out(best.amount_mid, second) == best.amount_out == best.amount_in + best.profit


@given(small_hops, small_hops, st.sampled_from([slice(1), slice(-1, None)]) | st.none())
@example(Hop(4, 9), Hop(199, 268), slice(1))
def test_a_short_search_says_what_it_has_not_proven(first, second, chosen):
    """Were no more than one size tried for a unit more, in the middle or at an end of those that might give it: it would be exact
    where it says so, and else one unit short at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(amm, "SEARCH_LIMIT", 1)
        if chosen is not None:
            patch.setattr(amm, "_middle", lambda values: values[chosen])
        best = best_arbitrage(first, second)
    short = max(every_size(first, second), 0) - (best.profit if best else 0)
    event(f"{'proven' if best is None or best.optimal else 'not proven'}, short by {short}")
    assert short in ((0,) if best is not None and best.optimal else (0, 1))


@given(hops(st.integers(1, 40)), hops(st.integers(1, 3_000)))
@example(Hop(3, 40), Hop(20, 3000))
def test_pools_of_unlike_sizes_are_searched_as_well(first, second):
    """Also where one token is much coarser than the other."""
    best = best_arbitrage(first, second)
    assert (best.profit if best else 0) == max(every_size(first, second), 0)


@given(hops(), hops(), st.integers(-300, 300), st.integers(0, 2**80))
def test_no_size_beats_a_best_arbitrage_that_is_proven(first, second, near, far):
    """In pools of any size: neither a size next to it nor one far away earns more; where there is no proof, none earns two more."""
    best = best_arbitrage(first, second)
    bases = (best.amount_in + near, best.amount_in + far) if best else (abs(near), far)
    earned = best.profit if best else 0
    if best:
        event("proven" if best.optimal else "one unit short at most")
        assert earned == best.amount_out - best.amount_in > 0
    for amount in bases:
        if 0 < amount <= MAX_RESERVE - first.reserve_in:
            middle = amount_out(amount, first)
            if 0 < middle <= MAX_RESERVE - second.reserve_in:
                more = amount_out(middle, second) - amount - earned
                assert more <= (0 if best is None or best.optimal else 1)


@given(hops(), hops(), st.integers(1, 2**112))
def test_a_floor_changes_nothing_but_what_is_below_it(first, second, floor):
    """Asking for at least so much gives the same trade, or None where that earns less."""
    best = best_arbitrage(first, second)
    wanted = best if best is not None and best.profit >= floor else None
    assert best_arbitrage(first, second, at_least=floor) == wanted
    if best is not None:
        assert best_arbitrage(first, second, at_least=best.profit) == best


@given(hops(), hops())
def test_what_does_not_pay_has_no_arbitrage(first, second):
    """And never do both directions pay."""
    back = (
        Hop(second.reserve_out, second.reserve_in, second.fee_numerator, second.fee_denominator),
        Hop(first.reserve_out, first.reserve_in, first.fee_numerator, first.fee_denominator),
    )
    assert not (pays(first, second) and pays(*back))
    if not pays(first, second):
        assert best_arbitrage(first, second) is None
