"""Momentum: a fast average of a price crosses a slow one.

Strategy: both averages are sums over the last so many prices, compared by cross-multiplication, so that nothing is rounded before
the decision. A crossing counts once the averages are a threshold apart, and the next one only when they are as far apart the other
way: prices that hover around one value give no signals.
"""

from __future__ import annotations

from collections import deque

import attrs

import spore
from spore.services.messages import MarketRef, MomentumSignal, PriceTick, Side
from spore.services.settings import BPS

__all__ = ["Averages", "AveragesState"]

_MOST_BPS = 2**32 - 1


@spore.record
class AveragesState:
    """The last prices of a market and which way its averages crossed last."""

    market: MarketRef
    prices: tuple[spore.PriceE8, ...]
    side: Side | None


@attrs.define
class Averages:
    """The two averages of one market.

    Args:
        fast: how many prices the fast average is over.
        slow: how many the slow one is over: more. Before so many have come there is no signal.
        threshold_bps: how far apart they must be, in hundredths of a percent of the slow one.
    """

    fast: int
    slow: int
    threshold_bps: int
    _prices: deque[int] = attrs.field(factory=deque, init=False)
    _fast_sum: int = attrs.field(default=0, init=False)
    _slow_sum: int = attrs.field(default=0, init=False)
    _side: Side | None = attrs.field(default=None, init=False)

    def add(self, tick: PriceTick) -> MomentumSignal | None:
        """Take in a price; a signal if the averages have crossed with it."""
        self._push(tick.price)
        if len(self._prices) < self.slow:
            return None
        # fast/n − slow/m, as a share of slow/m: (fast·m − slow·n) / (slow·n)
        apart = self._fast_sum * self.slow - self._slow_sum * self.fast
        whole = self._slow_sum * self.fast
        side = Side.BUY if apart > 0 else Side.SELL
        if side is self._side or abs(apart) * BPS < self.threshold_bps * whole or not apart:
            return None
        first, self._side = self._side is None, side
        if first:
            return None
        return MomentumSignal(
            tick.event_time_ns,
            tick.market,
            side,
            self._fast_sum // self.fast,
            self._slow_sum // self.slow,
            min(abs(apart) * BPS // whole, _MOST_BPS),
            tick.cause,
        )

    def state(self, market: MarketRef) -> AveragesState:
        """As a record."""
        return AveragesState(market, tuple(self._prices), self._side)

    def restore(self, state: AveragesState) -> None:
        """Take over what other averages with the same settings were. These must be fresh."""
        for price in state.prices:
            self._push(price)
        self._side = state.side

    def _push(self, price: int) -> None:
        prices = self._prices
        prices.append(price)
        self._fast_sum += price
        self._slow_sum += price
        if len(prices) > self.fast:
            self._fast_sum -= prices[-self.fast - 1]
        if len(prices) > self.slow:
            self._slow_sum -= prices.popleft()
