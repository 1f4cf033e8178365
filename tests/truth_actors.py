"""Actors that lose something, for tests of what an operator is told."""

from __future__ import annotations

import time

import attrs
from tests.pipeline_actors import Turn

import spore
from spore.services.messages import PoolSync

__all__ = ["Fails", "Sleeps", "Splits"]


@attrs.define
class Splits(spore.Actor[PoolSync]):
    """Passes on a turn for each event, at once."""

    out: spore.ActorRef[Turn]
    number: int = attrs.field(default=0, init=False)

    def handle(self, message: PoolSync) -> None:
        self.number += 1
        self.out.tell(Turn(message.event_time_ns, self.number, 0))


@attrs.define
class Sleeps(spore.Actor[Turn]):
    """Takes its time, and holds up its whole process meanwhile where it is told to."""

    seconds: float = 0.0

    def handle(self, message: Turn) -> None:
        time.sleep(self.seconds)


@attrs.define
class Fails(spore.Actor[Turn]):
    """Fails at every tenth."""

    def handle(self, message: Turn) -> None:
        if message.number % 10 == 0:
            raise ValueError(f"number {message.number} is round")
