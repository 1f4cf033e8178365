"""Actors of a small pipeline that processes of their own can import, in place of the reference application's.

Ticks come in, every second one becomes a signal, and signals are written to a file, a line each, whoever does it.
"""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import trio

import spore

__all__ = [
    "Book",
    "Busy",
    "Clock",
    "Detector",
    "Echo",
    "Merging",
    "Paper",
    "Source",
    "Stubborn",
    "Tick",
    "Turn",
    "Writer",
]


@spore.message(type_id=121, domain=spore.Domain.MARKET_DATA)
class Tick:
    event_time_ns: spore.TimestampNs
    number: spore.U64
    who: spore.Str = ""


@spore.message(type_id=61, domain=spore.Domain.SIGNAL)
class Turn:
    event_time_ns: spore.TimestampNs
    number: spore.U64
    total: spore.U64
    who: spore.Str = ""


@attrs.define
class Book:
    """A service: it sums up."""

    every: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    fee: Decimal = Decimal(0)
    total: int = attrs.field(default=0, init=False)

    def take(self, number: int) -> bool:
        self.total += number
        return number % self.every == 0


@attrs.define
class Source(spore.Actor[Tick]):
    """Passes ticks on."""

    out: spore.ActorRef[Tick]

    async def handle(self, message: Tick) -> None:
        await self.out.send(message)


@attrs.define
class Detector(spore.Actor[Tick]):
    """Makes signals."""

    inner: Book
    signals: spore.ActorRef[Turn]
    recorder: spore.ActorRef[Turn] | None = None
    who: str = ""

    def handle(self, message: Tick) -> int:
        if self.inner.take(message.number):
            turn = Turn(message.event_time_ns, message.number, self.inner.total, self.who or message.who)
            self.signals.tell(turn)
            if self.recorder is not None:
                self.recorder.tell(turn)
        return self.inner.total


@attrs.define
class Writer(spore.Actor[Turn]):
    """Writes each signal, and says who it is when it starts and stops."""

    path: str
    fail_at: int = -1
    die_at: int = -1
    fail_to_start: bool = False

    def on_start(self) -> None:
        if self.fail_to_start:
            raise OSError("no pen")
        self._write(f"start {os.getpid()}")

    def on_stop(self) -> None:
        self._write("stop")

    def handle(self, message: Turn) -> None:
        if message.number == self.fail_at:
            raise ValueError(f"number {message.number}")
        if message.number == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._write(f"{message.number} {message.total} {message.who}")

    def _write(self, line: str) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{line}\n")


@attrs.define
class Echo(spore.Actor[Tick]):
    """Sends what it gets to its peer, one smaller, until that is nothing: a cycle."""

    peer: spore.ActorRef[Tick]
    path: str = ""

    def handle(self, message: Tick) -> None:
        if message.number:
            self.peer.tell(Tick(message.event_time_ns, message.number - 1))
        elif self.path:
            Path(self.path).write_text("done\n")


@attrs.define
class Merging(spore.Actor[Tick]):
    """Puts what its senders send in one order."""

    signals: spore.ActorRef[Turn]
    seen: int = attrs.field(default=0, init=False)

    def handle(self, message: Tick) -> None:
        self.seen += 1
        self.signals.tell(Turn(message.event_time_ns, message.number, self.seen, message.who))


@attrs.define
class Stubborn(spore.Actor[Turn]):
    """Takes its time to stop."""

    path: str

    async def on_stop(self) -> None:
        Path(self.path).write_text("stopping")
        await trio.sleep(60)


@attrs.define
class Busy(spore.Actor[Turn]):
    """Once asked to, it never gives way again."""

    path: str

    async def on_start(self) -> None:
        trio.lowlevel.spawn_system_task(self._spin)

    async def _spin(self) -> None:
        await trio.sleep(0.2)
        Path(self.path).write_text("busy")
        while True:
            time.sleep(0.01)  # noqa: ASYNC251 - that is the point


@attrs.define
class Clock(spore.Actor[Any]):
    """Handles anything."""

    def handle(self, message: Any) -> None:
        pass


@attrs.define
class Paper(spore.Actor[Turn]):
    """Keeps nothing."""

    label: str = ""

    def handle(self, message: Turn) -> None:
        pass
