"""Whose code runs: what a handler starts is its actor's, what runs beside a start is nobody's, and equal names are no equal actors."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from tests.actors import balance

from spore import Actor, ActorRef, open_bundle
from spore.errors import UsageError
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")


@attrs.frozen
class Event:
    event_time_ns: int


@attrs.define
class Port(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


@attrs.define
class Ports(Actor[Any]):
    outs: Any

    def handle(self, message: Any) -> None:
        self.outs.tell(message)


class Gathers(Actor[Any]):
    """Sends to itself from tasks that its handler waits for."""

    def __init__(self, me: list[ActorRef[Any]], how: str) -> None:
        self.me = lambda: me[0]  # a reference that is none of its ports
        self.how = how

    async def handle(self, message: Any) -> Any:
        if message != "gather":
            return message
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(getattr(self.me(), self.how), number)
        return None


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_a_task_of_a_handler_that_sends_to_its_own_full_actor_does_not_wait_for_it(dispatch: str) -> None:
    """The handler waits for its task, so that the task would wait for ever."""

    async def main() -> None:
        me: list[ActorRef[Any]] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            me.append(await bundle.start(Gathers, me=me, how="send", name="a", capacity=1))
            with trio.fail_after(1):
                await me[0].ask("gather")
                await bundle.wait_idle()
            assert balance(bundle, "a") == {"received": 4, "handled": 4, "failed": 0}

    run(main)


def test_a_task_of_a_handler_that_asks_its_own_actor_is_refused() -> None:
    """There could never be an answer."""

    async def main() -> None:
        me: list[ActorRef[Any]] = []
        async with open_bundle("b") as bundle:
            me.append(await bundle.start(Gathers, me=me, how="ask", name="a", capacity=5))
            me[0].tell("gather")
            await bundle.wait_idle()
            (letter,) = bundle.dead_letters
            assert letter.error is not None
            assert "'a' asks itself" in letter.error.traceback

    run(main)


@attrs.define
class Slow(Actor[Any]):
    """Takes a second to start."""

    async def on_start(self) -> None:
        await trio.sleep(1)

    def handle(self, message: Any) -> Any:
        return message


def test_a_task_beside_a_start_is_not_the_actors() -> None:
    """While the body waits for an on_start, its other tasks may wait for, restart and stop what they like, and send as the outside does."""

    async def main() -> None:
        done: list[str] = []
        async with open_bundle("b") as bundle, trio.open_nursery() as nursery:
            probe = await start_probe(bundle, "probe")

            async def beside() -> None:
                await trio.sleep(0.5)
                await probe.ref.send(1)
                await bundle.stop("slow", timeout_s=5)
                done.append(f"stopped after {trio.current_time():g} s")
                await bundle.wait_idle()
                await bundle.restart()
                done.append("restart")

            nursery.start_soon(beside)
            await bundle.start(Slow, name="slow")
        assert done == ["stopped after 1 s", "restart"]

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_ports_go_by_the_actor_and_not_by_its_name(dispatch: str) -> None:
    """Two actors of two bundles with one name, behind one field, each get their messages; so does one that has the name of another before it."""

    async def main() -> None:
        async with open_bundle("one", dispatch=dispatch) as one, open_bundle("two", dispatch=dispatch) as two:
            of_one, of_two = await start_probe(one, "sink"), await start_probe(two, "sink")
            both = await one.start(Ports, outs=[of_one.ref, of_two.ref])
            both.tell(1)
            await one.wait_idle()
            await two.wait_idle()
            assert (of_one.received, of_two.received) == ([1], [1])

            first = await two.start(Slow, name="again")
            await two.stop(first)
            second = await start_probe(two, "again")
            both = await one.start(Ports, outs=[first, second.ref])
            both.tell(2)
            await one.wait_idle()
            await two.wait_idle()
            assert second.received == [2]
            assert two.statistics().ended.lost == {Loss.STOPPED: 1}

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_senders_of_equal_names_in_different_bundles_are_merged_as_two(dispatch: str) -> None:
    """What one of them sends is held until the other one has moved past that time."""

    async def main() -> None:
        async with open_bundle("outer", dispatch=dispatch) as outer:
            probe = await start_probe(outer, "merging", merge="event_time")
            async with open_bundle("one", dispatch=dispatch) as one, open_bundle("two", dispatch=dispatch) as two:
                early = await one.start(Port, out=probe.ref, name="a")
                late = await two.start(Port, out=probe.ref, name="a")
                await late.ask(Event(10))
                await early.ask(Event(5))
        assert [event.event_time_ns for event in probe.received] == [5, 10]

    run(main)


def test_an_actor_of_another_bundle_is_not_refused_as_ones_own() -> None:
    """An actor may wait until another bundle is idle, and may not wait for its own."""

    class Waits(Actor[Any]):
        async def handle(self, message: Any) -> None:
            await message.wait_idle()

    async def main() -> None:
        async with open_bundle("one") as one, open_bundle("two") as two:
            waits = await one.start(Waits, name="waits")
            await waits.ask(two)
            waits.tell(one)
            await one.wait_idle()
            (letter,) = one.dead_letters
            assert letter.error is not None
            assert letter.error.kind == UsageError.__name__

    run(main)


@attrs.define
class Back(Actor[Any]):
    """Sends to whom it is given, in its handler or at one end of its life."""

    phase: str
    out: ActorRef[Any]

    async def _send(self, phase: str) -> None:
        if self.phase == phase:
            for number in range(3):
                await self.out.send(number)

    async def on_start(self) -> None:
        await self._send("on_start")

    async def handle(self, message: Any) -> None:
        await self._send("handle")

    async def on_stop(self) -> None:
        await self._send("on_stop")


class Opens(Actor[Any]):
    """Has a bundle of its own in its handler, whose actor sends back to it."""

    def __init__(self, me: list[ActorRef[Any]], phase: str, then: str) -> None:
        self.me = lambda: me[0]
        self.phase, self.then = phase, then
        self.seen: list[Any] = []

    async def handle(self, message: Any) -> Any:
        if message != "open":
            self.seen.append(message)
            return self.seen
        async with open_bundle("inner", drain_timeout_s=50) as inner:
            back = await inner.start(Back, phase=self.phase, out=self.me())
            if self.phase == "handle":
                back.tell("go")
            if self.then == "wait first":
                await trio.testing.wait_all_tasks_blocked()
            if self.then == "wait_idle":
                await inner.wait_idle()
            elif self.then == "restart":
                await inner.restart()
            elif self.then == "stop":
                await inner.stop(back)
        return None


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("then", ["leave", "wait first", "wait_idle", "restart", "stop"])
@pytest.mark.parametrize("phase", ["on_start", "handle", "on_stop"])
def test_a_handler_that_waits_for_a_bundle_whose_actors_send_to_it(phase: str, then: str, dispatch: str) -> None:
    """They would wait for room until the handler has ended, and the handler for them; so they have room."""

    async def main() -> None:
        me: list[ActorRef[Any]] = []
        async with open_bundle("outer", dispatch=dispatch) as outer:
            me.append(await outer.start(Opens, me=me, phase=phase, then=then, name="a", capacity=1))
            with trio.fail_after(0.1):
                await me[0].ask("open")
                seen = await me[0].ask("last")
            cut = phase == "handle" and then == "restart"  # which cancels what is in hand
            assert seen[-4:] == [0, 1, 2, "last"] or cut
            assert outer.dead_letters.total == 0

    run(main)
