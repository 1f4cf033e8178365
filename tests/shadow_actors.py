"""Actors that can be told to do something else in a twin than in the bundle.

Whoever of the two makes the file that ``path`` names is the original: the bundle starts before its twin does.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import attrs
import trio
from tests.pipeline_actors import Tick, Turn
from tests.plan_actors import Unregistered

import spore
from spore.services import SignalGeneratorActor
from spore.services.messages import OrderRequest, SignalMessage

__all__ = ["Asking", "Forgetting", "Frozen", "Greeting", "Hanging", "Middle", "Passing", "Skewed", "Summing"]


def is_original(path: str) -> bool:
    """Whether this is the bundle's actor, as far as anybody is to know."""
    try:
        if path:
            Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@attrs.define
class Summing(spore.Actor[Tick]):
    """Tells the sum of all numbers after each."""

    recorder: spore.ActorRef[Turn] | None = None
    out: spore.ActorRef[Tick] | None = None
    path: str = ""
    wrong_at: int = -1
    silent_at: int = -1
    dies_at: int = -1
    fails_at: int = -1
    """In the bundle as well."""
    gate: str = ""
    """In a twin: nothing is handled before there is this file."""
    total: int = attrs.field(default=0, init=False)
    original: bool = attrs.field(default=True, init=False)

    def on_start(self) -> None:
        self.original = is_original(self.path)

    def handle(self, message: Tick) -> None:
        if message.number == self.fails_at:
            raise ValueError(f"number {message.number}")
        self.total += message.number
        total = self.total
        if not self.original:
            while self.gate and not Path(self.gate).exists():
                time.sleep(0.01)
            if message.number == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if message.number == self.silent_at:
                return
            total += message.number == self.wrong_at
        if self.recorder is not None:
            self.recorder.tell(Turn(message.event_time_ns, message.number, total))
        if self.out is not None:
            self.out.tell(message)

    def snapshot(self) -> Any:
        return {"total": self.total}

    def restore(self, state: Any) -> None:
        self.total = state["total"]


@attrs.define
class Forgetting(Summing):
    """Has no snapshot."""

    snapshot = spore.Actor.snapshot


@attrs.define
class Middle(Summing):
    """The same, to stand behind another."""


@attrs.define
class Asking(Summing):
    """Asks its recorder, and tells the answer."""

    async def handle(self, message: Tick) -> None:  # type: ignore[override]
        assert self.recorder is not None
        answer = await self.recorder.ask(Turn(message.event_time_ns, message.number, 0))
        self.recorder.tell(Turn(message.event_time_ns, message.number, 0, str(answer)))


@attrs.define
class Greeting(Summing):
    """Says something when it starts."""

    def on_start(self) -> None:
        assert self.recorder is not None
        self.recorder.tell(Turn(0, 0, 0, "hello"))


@attrs.define
class Hanging(Summing):
    """Waits for ever in a twin."""

    async def handle(self, message: Tick) -> None:  # type: ignore[override]
        if not self.original:
            await trio.sleep_forever()
        super().handle(message)


@attrs.frozen
class Frozen(spore.Actor[Tick]):
    """Remembers nothing."""

    recorder: spore.ActorRef[Turn]
    out: spore.ActorRef[Tick] | None = None

    def handle(self, message: Tick) -> None:
        self.recorder.tell(Turn(message.event_time_ns, message.number, 0))


@attrs.define
class Passing(spore.Actor[Tick]):
    """Sends what cannot travel."""

    out: spore.ActorRef[Unregistered]


@attrs.define
class Skewed(SignalGeneratorActor):
    """Orders one wei more in a twin."""

    path: str = ""
    original: bool = attrs.field(default=True, init=False)

    def on_start(self) -> None:
        self.original = is_original(self.path)

    def handle(self, message: SignalMessage) -> None:
        for decision in self.inner.process(message):
            if isinstance(decision, OrderRequest) and self.execution is not None:
                order: Any = decision
                self.execution.tell(attrs.evolve(order, amount_in=order.amount_in + (not self.original)))
