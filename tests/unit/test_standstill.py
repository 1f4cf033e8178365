"""A run that cannot go on, because an actor that merges waits for a sender that says nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio

import spore
from spore.deploy.config import SystemConfig
from spore.deploy.load import config_of
from spore.errors import UsageError, first_cause
from spore.feeds import open_feed
from spore.migration import play, standstill
from spore.migration.play import play_feed
from spore.services.messages import ExecutionMessage, OrderCancel, SignalMessage


def two_generators(**execution: Any) -> SystemConfig:
    """Of which the second one never finds anything that is worth its while."""
    wire = {"execution": "execution"}
    generator = {"type": "SignalGeneratorActor", "wire": wire}
    settings = {"type": "ExecutionActor", "merge": "event_time", **execution}
    actors = {
        "market_data": {"type": "MarketDataActor", "wire": {"signals": ["first", "second"]}},
        "first": generator,
        "second": {**generator, "config": {"min_profit_usd": 10**9}},
        "execution": settings,
    }
    return config_of({"bundles": [{"name": "core", "mode": "shared_memory", "actors": actors}]})


@attrs.define
class Waiting(spore.Actor[SignalMessage]):
    """Waits for room."""

    execution: spore.ActorRef[OrderCancel]

    async def handle(self, message: SignalMessage) -> None:
        await self.execution.send(OrderCancel(message.event_time_ns, 1, ""))


@attrs.define
class Desk(spore.Actor[ExecutionMessage]):
    def handle(self, message: ExecutionMessage) -> None:
        pass


class Meter:
    begin = end = staticmethod(lambda *_: None)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "LOOK_S", 0.02)


def test_what_is_held_in_the_end_is_handled_when_everybody_stops() -> None:
    """So a run that is only to be recorded has all of it."""
    played = trio.run(lambda: play("sample", config=two_generators()))
    assert len(played.recording.orders) == len(played.recording.reports) // 2 == 542


def test_a_run_that_is_measured_ends_and_says_who_holds_it_up() -> None:
    """How long everything takes is not known then."""

    async def main() -> None:
        async with open_feed("sample") as feed:
            await play_feed(feed, config=two_generators(), meter=Meter())

    assert "until each of its senders (first, second) has gone on" in refusal(main)


def test_where_there_is_no_more_room_the_run_ends_in_the_middle() -> None:
    """Who waits for room has others wait, up to the feed."""
    config = two_generators(type=f"{__name__}:Desk", capacity=5)
    (bundle,) = config.bundles
    waiting = attrs.evolve(bundle.actors["first"], type=f"{__name__}:Waiting", capacity=5)
    bundle = attrs.evolve(bundle, actors={**bundle.actors, "first": waiting})
    config = attrs.evolve(config, bundles=(bundle,))
    assert "nothing goes on: 'execution' merges by event time, and holds " in refusal(
        lambda: play("sample", config=config)
    )


def refusal(main: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(ExceptionGroup) as caught:
        trio.run(main)
    error = first_cause(caught.value)
    assert isinstance(error, UsageError)
    return str(error)
