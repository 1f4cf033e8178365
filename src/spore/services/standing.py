"""Opportunities that stand: those that an earlier transaction opened and no later one has touched.

Indexed by pool, so that a transaction forgets what concerned the pools that it changed at a cost that does not depend on how many
others stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from spore.services.messages import ArbitrageSignal, PoolEvaluation

__all__ = ["StandingSignals", "told_again"]

Route = tuple[bytes | None, bytes | None]


@attrs.define
class StandingSignals:
    """The signal of each route between two pools that pays, in the order in which they were told first."""

    _signals: dict[Route, ArbitrageSignal] = attrs.field(factory=dict, init=False)
    _routes: dict[bytes | None, dict[Route, None]] = attrs.field(factory=dict, init=False)

    def __iter__(self) -> Iterator[ArbitrageSignal]:
        return iter(self._signals.values())

    def forget(self, pools: Iterable[bytes]) -> None:
        """These pools have changed."""
        for pool in pools:
            for route in self._routes.pop(pool, ()):
                del self._signals[route]
                other = route[1] if route[0] == pool else route[0]
                self._routes.get(other, {}).pop(route, None)

    def add(self, signal: ArbitrageSignal) -> None:
        """This one pays now."""
        route = (signal.first.pool, signal.second.pool)
        self._signals[route] = signal
        for pool in route:
            self._routes.setdefault(pool, {})[route] = None


def told_again(signal: ArbitrageSignal, evaluation: PoolEvaluation) -> ArbitrageSignal:
    """The same opportunity on the state after a later transaction, which left its pools alone.

    Its amounts are exact; what it is worth in USD is what it was when its pools changed last.
    """
    lifetime_ns = signal.expires_at_ns - signal.event_time_ns
    return ArbitrageSignal(
        evaluation.event_time_ns,
        signal.first,
        signal.second,
        signal.token_in,
        signal.token_mid,
        signal.amount_in,
        signal.amount_mid,
        signal.profit,
        signal.profit_usd_e8,
        signal.gas_usd_e8,
        signal.slippage_usd_e8,
        signal.net_profit_usd_e8,
        signal.spread_bps,
        evaluation.event_time_ns + lifetime_ns,
        evaluation.cause,
    )
