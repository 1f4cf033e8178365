"""Constant-product pools, exactly: what comes out, what must go in, and the best trade against two of them.

Strategy: integers from end to end, rounded at every hop as the pool's contract rounds. The best two-pool arbitrage starts
at the closed form of the real-valued optimum and then proves itself: no integer trade can earn one unit more than the
trade returned where every size that could is tried (see `best_arbitrage`).

In all formulas ``n/d`` is a pool's fee fraction, ``x`` the token that the arbitrage begins and ends with, ``y`` the one
held in between, ``xa, ya`` the reserves of the first pool and ``yb, xb`` those of the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isqrt
from typing import NamedTuple

from spore.errors import AmountError

__all__ = [
    "E8",
    "MAX_RESERVE",
    "SEARCH_LIMIT",
    "Arbitrage",
    "Hop",
    "amount_in",
    "amount_out",
    "best_arbitrage",
    "pays",
    "price_impact_e8",
]

MAX_RESERVE = 2**112 - 1
"""The most that a pair can hold of a token. Source: Uniswap V2 core, ``UniswapV2Pair._update``, reserves are uint112."""
E8 = 10**8
SEARCH_LIMIT = 64
"""How many sizes `best_arbitrage` tries for one more unit of profit, where more than these might give it."""


class Hop(NamedTuple):
    """A pool as a trade through it sees it. Amounts are native units."""

    reserve_in: int
    reserve_out: int
    fee_numerator: int = 997
    """Of what goes in, this share of ``fee_denominator`` is traded. Source: Uniswap V2 periphery,
    ``UniswapV2Library.getAmountOut``."""
    fee_denominator: int = 1000


class Arbitrage(NamedTuple):
    """A trade through two pools that ends with more of the token that it began with. Amounts are native units."""

    amount_in: int
    amount_mid: int
    amount_out: int
    profit: int
    optimal: bool
    """Whether it is proven that no other size earns more. Otherwise another could earn one unit more, never two."""


NO_ARBITRAGE = Arbitrage(0, 0, 0, 0, False)


def amount_out(amount: int, hop: Hop) -> int:
    """What comes out for an input: ``floor(n·x·r_out / (d·r_in + n·x))``.

    Raises:
        AmountError: if the input is not positive, would fill the pool beyond `MAX_RESERVE`, or the pool cannot be
            traded with.
    """
    _check(hop)
    if amount <= 0:
        raise AmountError("amount_in", amount, "what goes in must be positive")
    if amount + hop.reserve_in > MAX_RESERVE:
        raise AmountError("amount_in", amount, f"the pool holds {hop.reserve_in} and at most 2**112 - 1 of a token")
    return _out(amount, hop)


def amount_in(amount: int, hop: Hop) -> int:
    """The cheapest input that brings at least this output: ``ceil(d·r_in·y / (n·(r_out − y)))``.

    Uniswap's own ``getAmountIn`` adds one to the floor instead, which is one unit more where the division leaves nothing.

    Raises:
        AmountError: if the output is not positive, as large as the reserve or larger, or needs an input that would fill
            the pool beyond `MAX_RESERVE`, or if the pool cannot be traded with.
    """
    _check(hop)
    if not 0 < amount < hop.reserve_out:
        raise AmountError(
            "amount_out", amount, f"a pool of {hop.reserve_out} gives between 1 and one unit less than that"
        )
    needed = _cheapest(amount, hop)
    if needed + hop.reserve_in > MAX_RESERVE:
        raise AmountError(
            "amount_out", amount, f"needs {needed} more than the pool's {hop.reserve_in}, above 2**112 - 1"
        )
    return needed


def price_impact_e8(amount: int, hop: Hop) -> int:
    """How much worse than the pool's price a trade of this size is, beside the fee, in hundred-millionths.

    The price before the trade, less the fee, would give ``n·x·r_out / (d·r_in)``; the impact is the share of this that
    `amount_out` does not give: ``floor(1e8·(1 − out·d·r_in / (n·x·r_out)))``. It includes the rounding of the output.

    Raises:
        AmountError: as `amount_out`.
    """
    out = amount_out(amount, hop)
    without_impact = hop.fee_numerator * amount * hop.reserve_out
    return (without_impact - out * hop.fee_denominator * hop.reserve_in) * E8 // without_impact


def pays(first: Hop, second: Hop) -> bool:
    """Whether the two prices are further apart than the two fees, so that some real-valued size earns something."""
    return (
        first.fee_numerator * second.fee_numerator * first.reserve_out * second.reserve_out
        > first.fee_denominator * second.fee_denominator * first.reserve_in * second.reserve_in
    )


def best_arbitrage(first: Hop, second: Hop, *, at_least: int = 1) -> Arbitrage | None:
    """The trade through both pools that earns most, or None where no size earns ``at_least`` so much.

    With ``N = na·nb·ya·xb``, ``D0 = da·db·xa·yb`` and ``D1 = na·(db·yb + nb·ya)`` a real-valued input earns
    ``N·x / (D0 + D1·x) − x``, which is largest at ``(√(N·D0) − D0) / D1`` and then ``(√N − √D0)² / D1``. Rounding makes
    a staircase of it, so the sizes around that point are tried, each with its cheapest input. To earn ``p + 1`` after
    rounding, a size must earn at least that before: this holds between the roots of one quadratic in ``x`` and of another
    in ``y``. If one of these intervals has no more than `SEARCH_LIMIT` integers, all are tried, which decides; else the ones
    in its middle are, and then those in the interval for ``p + 2``: any of these earns, rounded twice by less than a unit, at
    least ``p + 1``. So what is returned is never two units short.

    Neither pool is ever filled beyond `MAX_RESERVE`. Where a pool is empty, or its reserves or fee are out of range, there is
    no trade, hence None.

    Source: the derivative of the earnings set to zero; the rounding argument is the one above.
    """
    if not (_tradable(first) and _tradable(second)):
        return None
    xa, ya, na, da = first
    yb, xb, nb, db = second
    n, d0 = na * nb * ya * xb, da * db * xa * yb
    if n <= d0:
        return None
    d1 = na * (db * yb + nb * ya)
    root = isqrt(4 * n * d0)
    bound = (n + d0 - root - (root * root < 4 * n * d0)) // d1
    if bound < at_least or bound <= 0:
        return None
    most_x = MAX_RESERVE - xa
    most_y = min(MAX_RESERVE - yb, _out(most_x, first))
    start = min((root // 2 - d0) // d1, most_x)  # √(N·D0), rounded down, is the half of √(4·N·D0), rounded down
    best = _best_of(_around(start, most_x, most_y, first), first, second, NO_ARBITRAGE, bound)

    def inputs(wanted: int) -> range:
        return _between(d1, n - d0 - wanted * d1, wanted * d0, most_x)

    def middles(wanted: int) -> range:
        square = nb * (na * (xb - wanted) + da * xa)
        return _between(square, n - d0 - wanted * na * (nb * ya - db * yb), wanted * db * yb * na * ya, most_y)

    while best.profit < bound:
        by_input, by_middle = inputs(best.profit + 1), middles(best.profit + 1)
        if _count(by_input) < _count(by_middle):
            whole = _count(by_input) <= SEARCH_LIMIT
            sizes: Iterable[int] = (min(_out(x, first), most_y) for x in _middle(by_input))
        else:
            whole = _count(by_middle) <= SEARCH_LIMIT
            sizes = _middle(by_middle)
        better = _best_of(sizes, first, second, best, bound)
        if better is best and not whole:
            better = _best_of(_middle(middles(best.profit + 2)), first, second, best, bound)
            if better is best:
                return _settled(best, first, second, most_y, at_least=at_least, optimal=False)
        if better is best:
            break
        best = better
    return _settled(best, first, second, most_y, at_least=at_least, optimal=True)


def _settled(
    best: Arbitrage, first: Hop, second: Hop, most_y: int, *, at_least: int, optimal: bool
) -> Arbitrage | None:
    """The trade with all that its input brings at each hop, if it earns enough."""
    # The cheapest input for an amount may bring a little more than that.
    middle = min(_out(best.amount_in, first), most_y)
    out = _out(middle, second)
    profit = out - best.amount_in
    return Arbitrage(best.amount_in, middle, out, profit, optimal) if profit >= max(at_least, 1) else None


def _tradable(hop: Hop) -> bool:
    return (
        0 < hop.reserve_in <= MAX_RESERVE
        and 0 < hop.reserve_out <= MAX_RESERVE
        and 0 < hop.fee_numerator <= hop.fee_denominator
    )


def _check(hop: Hop) -> None:
    for name in ("reserve_in", "reserve_out"):
        reserve: int = getattr(hop, name)
        if reserve <= 0:
            raise AmountError(name, reserve, "an empty pool trades nothing")
        if reserve > MAX_RESERVE:
            raise AmountError(name, reserve, "a pair holds at most 2**112 - 1 of a token")
    if not 0 < hop.fee_numerator <= hop.fee_denominator:
        fee = f"{hop.fee_numerator}/{hop.fee_denominator}"
        raise AmountError(
            "fee_numerator", hop.fee_numerator, f"{fee} is no share of what goes in; 997/1000 would be one"
        )


def _out(amount: int, hop: Hop) -> int:
    reserve_in, reserve_out, numerator, denominator = hop
    traded = amount * numerator
    return traded * reserve_out // (reserve_in * denominator + traded)


def _cheapest(amount: int, hop: Hop) -> int:
    reserve_in, reserve_out, numerator, denominator = hop
    return -(-amount * denominator * reserve_in // (numerator * (reserve_out - amount)))


def _around(start: int, most_x: int, most_y: int, first: Hop) -> Iterator[int]:
    """The middle amounts next to an input, where the real-valued optimum lies."""
    middle = min(_out(start, first), most_y)
    yield middle
    yield min(middle + 1, most_y)
    yield middle - 1
    yield min(_out(min(start + 1, most_x), first), most_y)


def _best_of(middles: Iterable[int], first: Hop, second: Hop, best: Arbitrage, bound: int) -> Arbitrage:
    """The one of these middle amounts that earns most, if it earns more than the best so far; of equals the first.

    Those after one that earns the bound are not tried.
    """
    xa, ya, na, da = first
    yb, xb, nb, db = second
    earned = best.profit
    for middle in middles:
        if 0 < middle < ya:
            spent = -(-middle * da * xa // (na * (ya - middle)))
            traded = nb * middle
            got = traded * xb // (db * yb + traded)
            if got - spent > earned:
                earned = got - spent
                best = Arbitrage(spent, middle, got, earned, False)
                if earned == bound:
                    break
    return best


def _between(square: int, linear: int, constant: int, most: int) -> range:
    """The integers from 1 to ``most`` with ``square·v² − linear·v + constant <= 0``."""
    discriminant = linear * linear - 4 * square * constant
    if discriminant < 0:
        return range(0)
    root = isqrt(discriminant)
    low = -((root - linear) // (2 * square))
    high = (linear + root) // (2 * square)
    return range(max(low, 1), min(high, most) + 1)


def _middle(values: range) -> range:
    spare = _count(values) - SEARCH_LIMIT
    return values if spare <= 0 else values[spare // 2 : spare // 2 + SEARCH_LIMIT]


def _count(values: range) -> int:
    return max(values.stop - values.start, 0)  # len knows no numbers above 2**63
