"""What ends its readers, where streams are NATS's: found by notes, in at most so many deaths, and set aside."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nats_nodes import node, run, until
from tests.nats_servers import NEEDS_SERVER, NatsServer, durable_server
from tests.relays import order

from spore import Actor
from spore.relay.nats import StreamOptions
from spore.relay.nats_trials import Caution, RunNote, Trials

__all__ = ["durable_server"]


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(2, 6),
    size=st.integers(1, 400),
    poison=st.integers(0, 399),
    under_way=st.integers(0, 300),
    lag=st.integers(0, 50),
)
def test_one_message_is_found_in_as_many_deaths_as_are_allowed(
    limit: int, size: int, poison: int, under_way: int, lag: int
) -> None:
    """Wherever it is, however much was under way or handled and not noted; and no other one is set aside."""
    poison = poison % size + 1
    note, mark, deaths, aside = RunNote(True, {"a": poison + under_way}), max(0, poison - 1 - lag), 1, []
    while True:
        trials = Trials(RunNote.from_json(note.to_json()), {"a": mark}, limit)
        number, died = mark + 1, False
        while trials.suspects and not died:
            if trials.is_aside("a", number):
                aside.append(number)
                trials.passed("a", number)
                number += 1
                continue
            if not trials.is_suspect("a", number):
                number += 1
                continue
            trials.begin("a", number)
            note = trials.note()
            assert trials.trial is not None
            died = number <= poison <= trials.trial[2] and poison not in aside
            if not died:
                number = trials.trial[2] + 1
                trials.end()
                mark = number - 1
        if not died:
            break
        deaths += 1
        assert deaths <= 10
    assert aside == [poison]
    assert deaths == limit


def test_a_farewell_is_no_death() -> None:
    """Also in the middle of a trial, which a successor begins anew."""
    trials = Trials(RunNote(True, {"a": 9}), {"a": 3}, 3)
    trials.begin("a", 4)
    again = Trials(trials.note(running=False), {"a": 3}, 3)
    assert (again.suspects, again.deaths) == ({"a": (4, 9)}, 1)
    assert not Trials(RunNote(False, {"a": 9}), {"a": 3}, 3).suspects


def test_readers_of_a_process_take_turns_while_there_are_suspects() -> None:
    """One after the other, and those without wait for all."""
    caution, woken = Caution(), []
    first, second, free = (Trials(RunNote(), {}, 3) for _ in range(3))
    caution.begin(first, lambda: woken.append("first"))
    caution.begin(second, lambda: woken.append("second"))
    assert [caution.turn_of(each) for each in (first, second, free)] == [True, False, False]
    caution.end(first)
    assert woken == ["second"]
    assert [caution.turn_of(each) for each in (first, second, free)] == [False, True, False]
    caution.end(second)
    assert caution.turn_of(free)


class Died(Exception):
    """Ends a process, as far as others can see."""


@attrs.define
class Fragile(Actor[Any]):
    poison: frozenset[int]
    handled: list[int]
    died: trio.Event

    async def handle(self, message: Any) -> None:
        if message.order_id in self.poison:
            self.died.set()
            await trio.sleep_forever()
        self.handled.append(message.order_id)


async def live(address: str, poison: set[int], handled: list[int], last: int) -> bool:
    """One life of a node that reads; return whether it has died."""
    with suppress(BaseExceptionGroup):
        with trio.CancelScope() as scope:
            async with node(address, "alpha", streams=StreamOptions()) as here:
                died = trio.Event()
                ref = await here.bundle.start(
                    Fragile, poison=frozenset(poison), handled=handled, died=died, name="desk"
                )
                here.client.attach(ref, streams=("orders",))
                await until(lambda: died.is_set() or (handled and handled[-1] == last))
                if died.is_set():
                    raise Died
                scope.cancel()
        return False
    return True


@pytest.mark.long
@NEEDS_SERVER
def test_a_durable_message_that_ends_its_node_is_set_aside(
    durable_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """After three deaths; everything else is handled, and the node lives on."""
    handled: list[int] = []
    poison = {5, 60, 61}

    async def main() -> None:
        async with node(durable_server.address, "beta", streams=StreamOptions()) as there:
            stream = there.client.stream("orders")
            for number in range(100):
                await stream.send(order(number))
            await there.client.drain()
        deaths = 0
        while await live(durable_server.address, poison, handled, 99):
            deaths += 1
            assert deaths < 12
        assert deaths <= 9

    run(main)
    assert sorted(set(handled)) == [number for number in range(100) if number not in poison]
    assert caplog.text.count("was set aside: 3 processes of 'desk' died of it") == 3


@pytest.mark.long
@NEEDS_SERVER
def test_a_clean_stop_in_the_middle_of_a_message_is_no_death_of_it(durable_server: NatsServer) -> None:
    """However often the node is stopped there."""
    handled: list[int] = []

    async def main() -> None:
        async with node(durable_server.address, "beta", streams=StreamOptions()) as there:
            stream = there.client.stream("orders")
            for number in range(5):
                await stream.send(order(number))
            await there.client.drain()
        for _ in range(5):
            with trio.CancelScope() as scope:
                async with node(durable_server.address, "alpha", streams=StreamOptions()) as here:
                    died = trio.Event()
                    ref = await here.bundle.start(Fragile, poison=frozenset({2}), handled=[], died=died, name="desk")
                    here.client.attach(ref, streams=("orders",))
                    await died.wait()
                    scope.cancel()
                    await trio.sleep_forever()
        assert not await live(durable_server.address, set(), handled, 4)

    run(main)
    assert handled[-3:] == [2, 3, 4]
