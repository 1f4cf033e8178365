"""Whether a desk holds too much: of one token, or of all together.

A limit that is exceeded is told once, and once more when it is kept again by a margin, so that a value at the limit is no alarm a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from examples.risk.messages import Limit, LimitAlert, PositionUpdate

import spore

__all__ = ["RiskMonitor", "RiskState"]

BPS = 10_000
WEI = 10**18


@spore.record
class Exposure:
    """What a token's position is worth, long or short."""

    token: spore.Address
    value_wei: spore.U256
    exceeded: spore.Bool


@spore.record
class RiskState:
    """A monitor between two messages."""

    exposures: tuple[Exposure, ...]
    gross_exceeded: spore.Bool


@attrs.define
class RiskMonitor:
    """Holds positions against limits."""

    max_position_eth: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    max_gross_eth: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))
    clear_bps: int = attrs.field(default=9_000, validator=[attrs.validators.ge(1), attrs.validators.le(BPS)])
    """A limit is kept again at this share of it, in hundredths of a percent."""

    exposures: dict[bytes, Exposure] = attrs.field(factory=dict, init=False)
    gross_wei: int = attrs.field(default=0, init=False)
    _gross_exceeded: bool = attrs.field(default=False, init=False)

    def process(self, update: PositionUpdate) -> Sequence[LimitAlert]:
        """Handle one message; return the alerts, that of the token first."""
        return list(self._alerts(update))

    def state(self) -> RiskState:
        """All of the state."""
        return RiskState(tuple(self.exposures.values()), self._gross_exceeded)

    def restore(self, state: RiskState) -> None:
        """Take over what another monitor was. This one must be fresh."""
        self.exposures = {each.token: each for each in state.exposures}
        self.gross_wei = sum(each.value_wei for each in state.exposures)
        self._gross_exceeded = state.gross_exceeded

    def _alerts(self, update: PositionUpdate) -> Iterator[LimitAlert]:
        before = self.exposures.get(update.token) or Exposure(update.token, 0, False)
        value = abs(update.value_wei)
        exceeded = self._exceeds(value, self.max_position_eth, before.exceeded)
        self.exposures[update.token] = Exposure(update.token, value, exceeded)
        if exceeded is not before.exceeded:
            yield self._alert(update, Limit.POSITION, exceeded, value)
        self.gross_wei += value - before.value_wei
        exceeded = self._exceeds(self.gross_wei, self.max_gross_eth, self._gross_exceeded)
        if exceeded is not self._gross_exceeded:
            self._gross_exceeded = exceeded
            yield self._alert(update, Limit.GROSS, exceeded, self.gross_wei)

    def _exceeds(self, value_wei: int, limit_eth: int, exceeded: bool) -> bool:
        limit_wei = limit_eth * WEI
        return value_wei > (limit_wei * self.clear_bps // BPS if exceeded else limit_wei)

    def _alert(self, update: PositionUpdate, limit: Limit, exceeded: bool, value_wei: int) -> LimitAlert:
        one = limit is Limit.POSITION
        return LimitAlert(
            event_time_ns=update.event_time_ns,
            limit=limit,
            token=update.token if one else None,
            exceeded=exceeded,
            value_wei=value_wei,
            limit_wei=(self.max_position_eth if one else self.max_gross_eth) * WEI,
            cause=update.cause,
        )
