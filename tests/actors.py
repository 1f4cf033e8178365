"""Actors that the tests of the runtime share, and what to look at bundles with."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from spore import Actor, ActorRef, Bundle, Directive, Supervision
from spore.nursery_bundle import ActorStatistics

both = pytest.mark.parametrize("dispatch", ["inline", "queued"])
RESUME = Supervision(on_failure=Directive.RESUME)
STOP = Supervision(on_failure=Directive.STOP)
ESCALATE = Supervision(on_failure=Directive.ESCALATE)
NO_WAIT = Supervision(backoff_s=0)


@attrs.define
class Log(Actor[Any]):
    """Keeps what happens to it in a list that outlives it, passes messages on, and fails on demand."""

    log: list[Any]
    out: ActorRef[Any] | None = None
    who: str = ""

    def say(self, what: Any) -> None:
        self.log.append((self.who, what) if self.who else what)

    def handle(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        self.say(message)
        if self.out is not None:
            self.out.tell(message)
        return message

    def on_start(self) -> None:
        self.say("start")

    def on_stop(self) -> None:
        self.say("stop")


@attrs.define
class Slow(Actor[Any]):
    """An async actor that waits for leave before each message."""

    log: list[Any]
    gate: trio.Semaphore
    out: ActorRef[Any] | None = None

    async def handle(self, message: Any) -> Any:
        await self.gate.acquire()
        if isinstance(message, Exception):
            raise message
        self.log.append(message)
        if self.out is not None:
            await self.out.send(message)
        return message


def shut() -> trio.Semaphore:
    return trio.Semaphore(0)


def open_gate(gate: trio.Semaphore, times: int = 1_000) -> None:
    for _ in range(times):
        gate.release()


def balance(bundle: Bundle, name: str) -> dict[str, Any]:
    """An actor's counts, after checking that they add up; of one that has left, those of all that have."""
    statistics = bundle.statistics()
    actor = statistics.actors.get(name, statistics.ended)
    waiting = actor.queued + actor.held if isinstance(actor, ActorStatistics) else 0
    assert actor.received == actor.handled + actor.failed + sum(actor.lost.values()) + waiting
    assert min(actor.received, actor.handled, actor.failed, waiting) >= 0
    return {"received": actor.received, "handled": actor.handled, "failed": actor.failed, **actor.lost}


def only(group: pytest.ExceptionInfo[BaseException]) -> BaseException:
    error: BaseException = group.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error
