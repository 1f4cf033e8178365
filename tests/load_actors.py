"""An actor that cannot carry a load, because it stands still once."""

from __future__ import annotations

import time

import attrs

from spore.services import SignalGeneratorActor
from spore.services.messages import SignalMessage

__all__ = ["STALL_S", "Stalling"]

STALL_S = 0.4


@attrs.define
class Stalling(SignalGeneratorActor):
    """Blocks its whole process at the fifth message."""

    handled: int = attrs.field(default=0, init=False)

    def handle(self, message: SignalMessage) -> None:
        self.handled += 1
        if self.handled == 5:
            time.sleep(STALL_S)
        SignalGeneratorActor.handle(self, message)
