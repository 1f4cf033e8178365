"""Actors of the small pipeline that can move: they hand over their state, or refuse in one way or another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import trio
from tests.pipeline_actors import Detector, Source, Tick, Turn

import spore

__all__ = ["Passing", "Reluctant", "Slow", "Summing"]


@attrs.define
class Passing(Source):
    """Passes ticks on, and has nothing to hand over."""

    def snapshot(self) -> Any:
        return {}

    def restore(self, state: Any) -> None:
        pass


@attrs.define
class Slow(Passing):
    """Takes its time for each."""

    async def handle(self, message: Tick) -> None:
        await trio.sleep(0.3)
        await super().handle(message)


@attrs.define
class Summing(Detector):
    """Makes signals, hands over what it has summed up, and answers with that."""

    def handle(self, message: Tick) -> Turn:  # type: ignore[override]
        return Turn(message.event_time_ns, message.number, super().handle(message))

    def snapshot(self) -> Any:
        return self.inner.total

    def restore(self, state: Any) -> None:
        self.inner.total = state


@attrs.define
class Reluctant(spore.Actor[Tick]):
    """Has everything that it takes to move, but one thing does not work."""

    path: str
    trouble: str = ""
    """Which one."""

    def handle(self, message: Tick) -> int:
        if message.who == "stop":
            raise ValueError(message.who)
        return message.number

    def on_start(self) -> None:
        self._may("on_start")
        self._note("start")

    def on_stop(self) -> None:
        self._note("stop")

    def on_error(self, error: Exception, message: Tick) -> spore.Directive:
        return spore.Directive.STOP

    def snapshot(self) -> Any:
        self._may("snapshot")
        return {1, 2} if self.trouble == "travel" else 7

    def restore(self, state: Any) -> None:
        self._may("restore")
        self._note(f"restore {state}")

    def _may(self, what: str) -> None:
        if what == self.trouble and Path(self.path).exists():  # not when it starts for the first time
            raise OSError(f"no {what}")

    def _note(self, line: str) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{line}\n")
