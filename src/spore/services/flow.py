"""What is traded: counts and volumes of a market in the current window of event time."""

from __future__ import annotations

import attrs

from spore.services.messages import MarketRef, MarketVolume

__all__ = ["Flow", "FlowWindow"]

_U32 = 2**32 - 1
_U128 = 2**128 - 1


@attrs.define(eq=False)
class Flow:
    """One market's part of the window."""

    market: MarketRef
    trades: int = 0
    base: int = 0
    quote: int = 0

    def volume(self) -> MarketVolume:
        """As a message says it. What no field can hold is told as the most that one can."""
        return MarketVolume(self.market, min(self.trades, _U32), min(self.base, _U128), min(self.quote, _U128))


@attrs.define
class FlowWindow:
    """The markets that have traded since the window began, in the order of their first trade in it."""

    _traded: list[Flow] = attrs.field(factory=list, init=False)

    def add(self, flow: Flow, base: int, quote: int, *, trades: int = 1) -> None:
        """Something was traded."""
        if not flow.trades:
            self._traded.append(flow)
        flow.trades += trades
        flow.base += base
        flow.quote += quote

    def volumes(self) -> tuple[MarketVolume, ...]:
        """What was traded so far."""
        return tuple(flow.volume() for flow in self._traded)

    def close(self) -> tuple[MarketVolume, ...]:
        """What was traded, and begin the next window."""
        volumes = self.volumes()
        for flow in self._traded:
            flow.trades = flow.base = flow.quote = 0
        self._traded.clear()
        return volumes
