"""What a look at a system shows, against systems that run in this process."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from tests.modes import opened
from tests.pipeline_actors import Tick, Turn

from spore import Actor, ActorRef, open_bundle
from spore.codec import encoded_size
from spore.deploy import Mode, Route
from spore.deploy.load import config_of
from spore.observe.source import SystemSource
from spore.testing import run

BOTH = [Mode.SHARED_MEMORY, Mode.RELAY]


@attrs.define
class Maker(Actor[Tick]):
    """Makes a turn of each tick, and fails at number 13."""

    turns: ActorRef[Turn]

    def handle(self, message: Tick) -> None:
        if message.number == 13:
            raise ValueError("thirteen\nis no number")
        self.turns.tell(Turn(message.event_time_ns, message.number, 0))


@attrs.define
class Taker(Actor[Turn]):
    async def handle(self, message: Turn) -> None:
        await trio.lowlevel.checkpoint()


CONFIG = config_of(
    {
        "bundles": [
            {
                "name": "core",
                "mode": "relay",
                "actors": {
                    "maker": {"type": "tests.unit.test_reading:Maker", "supervision": {"on_failure": "resume"}},
                    "taker": {"type": "tests.unit.test_reading:Taker", "capacity": 500},
                },
            }
        ]
    }
)


async def looked(mode: Mode) -> Any:
    async with opened(CONFIG, mode) as system:
        maker = system.ref("maker")
        for number in range(600):
            await maker.send(Tick(number, number))
        await system.wait_idle()
        return await SystemSource(system).look()


@pytest.mark.parametrize("mode", BOTH)
def test_an_actor_says_how_it_is_reached_and_why_it_failed(mode: Mode) -> None:
    """In one line, although the error has two; and it is timed, whichever way its messages come."""
    maker, taker = run(looked, mode).actors
    assert (maker.handled, maker.failed, maker.overflow, maker.dispatch, maker.capacity) == (
        599,
        1,
        "block",
        "inline",
        1_000,
    )
    assert (maker.error.text, maker.error.message) == ("ValueError: thirteen is no number", "Tick")
    assert maker.handling.count > 0
    assert (taker.handled, taker.dispatch, taker.capacity, taker.error) == (599, "queued", 500, None)
    assert {actor.bundle for actor in (maker, taker)} == {"core"}


def test_an_edge_tells_what_was_encoded_or_what_that_would_have_taken() -> None:
    """The same number of bytes, where all messages have one size."""
    bundled, relayed = (run(looked, mode).edges for mode in BOTH)
    by_reference = next(edge for edge in bundled if edge.sender == "maker")
    by_relay = next(edge for edge in relayed if edge.sender == "maker")
    assert (by_reference.route, by_relay.route) == (Route.REFERENCE, Route.RELAY)
    assert (by_reference.port, by_reference.receiver, by_reference.messages) == ("turns", "taker", 599)
    assert by_reference.reason == "both run in bundle 'core'"
    assert by_relay.messages == 599
    assert by_reference.saved_bytes == by_relay.encoded_bytes == 599 * encoded_size(Turn(0, 0, 0))
    assert (by_reference.encoded_bytes, by_relay.saved_bytes, by_relay.outstanding) == (0, 0, 0)
    assert [edge.messages for edge in bundled if edge.sender == "outside"] == [600]


@pytest.mark.parametrize("mode", BOTH)
def test_a_dead_letter_can_be_read(mode: Mode) -> None:
    """Who did not handle what from whom, and why; shortened."""
    (letter,) = run(looked, mode).letters
    assert (letter.actor, letter.sender, letter.reason, letter.message) == ("maker", "outside", "failed", "Tick")
    assert letter.text.startswith("Tick(event_time_ns=13, number=13")
    assert (letter.number, letter.error) == (1, "ValueError: thirteen is no number")


def test_a_message_that_cannot_be_shown_is_a_dead_letter_all_the_same() -> None:
    """Nor is an error that cannot be said. What is long is cut."""

    class Odd(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    class Raises(Actor[Any]):
        def handle(self, message: Any) -> None:
            raise Odd if isinstance(message, Odd) else ValueError("x" * 1_000)

        def on_error(self, error: Exception, message: Any) -> str:
            return "resume"

    async def main() -> Any:
        async with open_bundle("b") as bundle:
            ref = await bundle.start(Raises, name="raises")
            ref.tell("y" * 1_000)
            ref.tell(Odd())
            return bundle.last_letters(10), bundle.last_letters(1), bundle.last_letters(0)

    (long, odd), one, none = run(main)
    assert (len(long.text), len(long.error), long.text[-1]) == (200, 200, "…")
    assert ("Odd object at" in odd.text, odd.error) == (True, "Odd")
    assert (one, none) == ((odd,), ())


def test_of_many_actors_there_is_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts together are everything, once; and names can be asked for."""
    monkeypatch.setattr("spore.deploy.control.MAX_ACTORS", 2)
    actors = {f"a{number}": {"type": "tests.pipeline_actors:Clock"} for number in range(5)}
    config = config_of({"bundles": [{"name": "core", "mode": "shared_memory", "actors": actors}]})

    async def main() -> Any:
        async with opened(config, Mode.SHARED_MEMORY) as system:
            source = SystemSource(system)
            return await source.look(), await source.look(("a3", "nobody"))

    every, some = run(main)
    assert [actor.name for actor in every.actors] == list(actors)
    assert [process.name for process in every.processes] == ["bundle 'core'", "outside"]
    assert ([actor.name for actor in some.actors], some.total) == (["a3"], 5)


def test_what_was_sent_before_a_look_keeps_its_weight() -> None:
    """When larger messages come, only those that came since are taken to be larger."""

    class Takes(Actor[Any]):
        def handle(self, message: Any) -> None:
            pass

    async def main() -> list[int]:
        async with open_bundle("b", size_of=len) as bundle:
            ref = await bundle.start(Takes, name="takes")
            weights = []
            for text in ("aa", "aaaa"):
                for _ in range(256):
                    ref.tell(text)
                weights.append(bundle.statistics().edges[0].saved_bytes)
                assert bundle.statistics().edges[0].saved_bytes == weights[-1]
            return weights

    assert run(main) == [512, 512 + 256 * 3]
