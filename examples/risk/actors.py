"""The pair as actors: each hands its messages to a plain object, and sends on what that returns."""

from __future__ import annotations

from typing import Any

import attrs
from examples.risk.limits import RiskMonitor, RiskState
from examples.risk.messages import LimitAlert, PositionUpdate
from examples.risk.positions import PositionKeeper, PositionState
from examples.risk.relay_service import PositionService

import spore
from spore.services import RelayServiceAdapter
from spore.services.messages import MarketMessage

__all__ = ["PositionActor", "PositionServiceActor", "RiskActor"]


@attrs.define
class PositionServiceActor(RelayServiceAdapter):
    """The service as it is: it gets the frames that the relay would have brought it."""

    service: PositionService = attrs.field(factory=PositionService)


@attrs.define
class PositionActor(spore.Actor[MarketMessage]):
    """Tells the risk monitor what has changed."""

    inner: PositionKeeper
    positions: spore.ActorRef[PositionUpdate]

    def handle(self, message: MarketMessage) -> None:
        for update in self.inner.process(message):
            self.positions.tell(update)

    def snapshot(self) -> Any:
        return spore.to_plain(self.inner.state())

    def restore(self, state: Any) -> None:
        self.inner.restore(spore.from_plain(PositionState, state))


@attrs.define
class RiskActor(spore.Actor[PositionUpdate]):
    """Tells a recorder of alerts."""

    inner: RiskMonitor
    recorder: spore.ActorRef[LimitAlert] | None = None

    def handle(self, message: PositionUpdate) -> None:
        for alert in self.inner.process(message):
            if self.recorder is not None:
                self.recorder.tell(alert)

    def snapshot(self) -> Any:
        return spore.to_plain(self.inner.state())

    def restore(self, state: Any) -> None:
        self.inner.restore(spore.from_plain(RiskState, state))
