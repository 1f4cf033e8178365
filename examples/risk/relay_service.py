"""Positions as the service behind the old relay: frames in, frames out. Its state and its logic are those of the keeper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import attrs
from examples.risk.positions import PositionKeeper, PositionState

import spore
from spore.services.messages import MarketMessage

__all__ = ["PositionService"]


@attrs.define
class PositionService:
    """Has what a relay wants of a service: `process_tlv`."""

    keeper: PositionKeeper = attrs.field(factory=PositionKeeper)
    _sequence: int = attrs.field(default=0, init=False)

    def process_tlv(self, frame: bytes) -> Iterator[bytes]:
        """Handle the messages of a frame; each answer is a frame of its own."""
        for message in spore.codec.decode(frame).items:
            for update in self.keeper.process(cast("MarketMessage", message)):
                self._sequence += 1
                yield spore.codec.encode(update, sequence=self._sequence, timestamp_ns=update.event_time_ns)

    def snapshot(self) -> Any:
        return {"sequence": self._sequence, "keeper": spore.to_plain(self.keeper.state())}

    def restore(self, state: Any) -> None:
        self._sequence = state["sequence"]
        self.keeper.restore(spore.from_plain(PositionState, state["keeper"]))
