"""Actors that do what those of a real pipeline never may: answer by the mode they run in, fail, fall behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import trio

import spore
from spore.relay import RemoteRef
from spore.services import SignalGeneratorActor
from spore.services.messages import ArbitrageSignal, MarketMessage, SignalMessage

__all__ = ["Failing", "Held", "ModeDependent", "Slow"]


evolve: Any = attrs.evolve  # which does not know that messages are attrs classes


@attrs.define
class ModeDependent(SignalGeneratorActor):
    """The third signal tells of another spread where the recorder is in another process."""

    told: int = attrs.field(default=0, init=False)

    def handle(self, message: SignalMessage) -> None:
        for decision in self.inner.process(message):
            if isinstance(decision, ArbitrageSignal) and self.recorder is not None:
                self.told += 1
                if self.told == 3 and isinstance(self.recorder, RemoteRef):
                    decision = evolve(decision, spread_bps=decision.spread_bps + 1)  # noqa: PLW2901
                self.recorder.tell(decision)


@attrs.define
class Failing(SignalGeneratorActor):
    """Ends the run with the first message."""

    def handle(self, message: SignalMessage) -> None:
        raise ValueError("no more")

    def on_error(self, error: Exception, message: SignalMessage) -> spore.Directive:
        return spore.Directive.ESCALATE


@attrs.define
class Slow(spore.Actor[MarketMessage]):
    """Gives way many times for each message, so that others wait."""

    async def handle(self, message: MarketMessage) -> None:
        for _ in range(100):
            await trio.lowlevel.checkpoint()


@attrs.define
class Held(spore.Actor[MarketMessage]):
    """Goes on only when a file is there."""

    path: str

    async def handle(self, message: MarketMessage) -> None:
        while not Path(self.path).exists():  # noqa: ASYNC110 - another process makes the file
            await trio.sleep(0.01)
