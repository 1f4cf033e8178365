"""The life of an actor: how it begins, stops, restarts and leaves, whoever asks for it, whenever, and however often."""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from tests.actors import balance, open_gate, shut

from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, AskFailed, StartTimeout, UsageError
from spore.nursery_bundle import ActorState, Loss
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")
RESUME = Supervision(on_failure=Directive.RESUME)
RESTART = Supervision(backoff_s=0.0)
STOP = Supervision(on_failure=Directive.STOP)


@attrs.define(eq=False)
class Worker(Actor[Any]):
    """Takes so long for each message, and so long to say goodbye; it writes down what happens to it."""

    log: list[Any]
    takes_s: float = 0.0
    leaves_s: float = 0.0
    out: ActorRef[Any] | None = None
    kept: list[Any] = attrs.field(factory=list)

    async def on_start(self) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append("start")

    async def handle(self, message: Any) -> Any:
        await trio.sleep(self.takes_s)
        if isinstance(message, Exception):
            raise type(message)(*message.args)  # not the message itself, which would keep its traceback
        self.log.append(message)
        self.kept.append(message)
        return message

    async def on_stop(self) -> None:
        await trio.sleep(self.leaves_s)
        if self.out is not None:
            for message in self.kept:
                await self.out.send(message)
        self.log.append("stop")


class Sink(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return message


# Stopping one actor


def test_a_stop_ends_although_messages_keep_coming() -> None:
    """What was queued at the call is handled, and no more is taken, from timers, tells, sends and asks alike."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Worker, log=log, takes_s=0.02, name="a")
            bundle.every(0.01, actor, 1)
            await trio.sleep(1.0)
            queued = len(bundle._roster.cells["a"].mailbox)
            refused: list[type] = []

            async def keep_sending() -> None:
                while True:
                    actor.tell(2)
                    await trio.sleep(0.01)

            async def keep_asking() -> None:
                try:
                    await actor.send(3)
                    await actor.ask(4, timeout=60)
                except (ActorStopped, AskFailed) as error:
                    refused.append(type(error))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_sending)
                await bundle.stop(actor)
                nursery.start_soon(keep_asking)
                await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
            assert refused == [ActorStopped]
            assert bundle.statistics().ended.lost[Loss.STOPPED] > queued
            assert log.count(3) == 0
            assert trio.current_time() < 5

    run(main)


@pytest.mark.parametrize("drain", [True, False])
def test_a_stop_without_the_queue(drain: bool) -> None:
    """With drain=False the message in hand is handled to its end, and what is queued becomes dead letters."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Worker, log=log, takes_s=1, name="a")
            actor.tell_many([1, 2, 3])
            await trio.sleep(0.5)
            await bundle.stop(actor, drain=drain)
            assert log == (["start", 1, 2, 3, "stop"] if drain else ["start", 1, "stop"])
            assert bundle.statistics().ended.lost == ({} if drain else {Loss.STOPPED: 2})

    run(main)


def test_a_stop_has_a_limit() -> None:
    """What is not handled in time becomes dead letters with the reason deadline; on_stop is called all the same."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Worker, log=log, takes_s=1, name="a")
            actor.tell_many(range(100))
            await bundle.stop(actor, timeout_s=3.5)
            assert trio.current_time() == pytest.approx(3.5)
            assert log == ["start", 0, 1, 2, "stop"]
            assert bundle.statistics().ended.lost == {Loss.DEADLINE: 97}
            other = await bundle.start(Worker, log=[], takes_s=1)
            other.tell_many(range(100))
            await bundle.stop(other)
            assert trio.current_time() == pytest.approx(13.5)

    run(main)


@pytest.mark.parametrize("how", ["stop", "stop without queue", "wait_idle", "restart", "by name"])
def test_what_an_actor_may_ask_for_in_its_own_handler(how: str) -> None:
    """It stops after this message; what would wait for itself is refused at once. Nothing waits for the drain's deadline."""

    @attrs.define
    class Itself(Actor[Any]):
        bundle: Any
        log: list[Any]

        async def handle(self, message: Any) -> Any:
            if message == "now":
                if how == "wait_idle":
                    await self.bundle.wait_idle()
                elif how == "restart":
                    await self.bundle.restart()
                else:
                    await self.bundle.stop("itself", drain=how != "stop without queue")
            self.log.append(message)

        async def on_stop(self) -> None:
            await trio.lowlevel.checkpoint()
            self.log.append("stop")

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Itself, bundle=bundle, log=log, name="itself", supervision=RESUME)
            actor.tell("now")
            actor.tell("queued")
            if how in {"wait_idle", "restart"}:
                with pytest.raises(AskFailed, match="UsageError"):
                    await actor.ask("now")
                return
            await trio.sleep(1)
            assert log == (["now", "stop"] if how == "stop without queue" else ["now", "queued", "stop"])
            assert "itself" not in bundle.statistics().actors
        assert trio.current_time() < 2

    run(main)


@pytest.mark.parametrize("phase", ["on_start", "on_stop", "task"])
def test_an_actor_that_waits_for_its_bundle_elsewhere_than_in_a_handler(phase: str) -> None:
    """In on_start, on_stop, and in a task that its handler has opened, what would wait for itself is refused, too."""

    @attrs.define
    class Waits(Actor[Any]):
        bundle: Any
        errors: list[Exception]

        async def look(self) -> None:
            try:
                await self.bundle.wait_idle()
            except UsageError as error:
                self.errors.append(error)

        async def on_start(self) -> None:
            if phase == "on_start":
                await self.look()

        async def handle(self, message: Any) -> None:
            if phase == "task":
                async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the task is the point
                    nursery.start_soon(self.look)

        async def on_stop(self) -> None:
            if phase == "on_stop":
                await self.look()

    async def main() -> None:
        errors: list[Exception] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Waits, bundle=bundle, errors=errors)
            actor.tell(1)
        assert len(errors) == 1
        assert trio.current_time() == 0

    run(main)


def test_actors_that_stop_each_other_do_not_wait_for_ever() -> None:
    """One that would wait for an actor that waits for it is refused."""

    @attrs.define
    class Stops(Actor[Any]):
        bundle: Any
        other: ActorRef[Any] | None = None

        async def handle(self, message: Any) -> None:
            if message == "ask":
                await self.bundle.ref("second").ask("stop", timeout=60)
            else:
                await self.bundle.stop("first")

    async def main() -> None:
        async with open_bundle("b") as bundle:
            first = await bundle.start(Stops, bundle=bundle, name="first", supervision=RESUME)
            await bundle.start(Stops, bundle=bundle, name="second", supervision=RESUME)
            with pytest.raises(AskFailed, match="would wait for the end of 'first'"):
                await first.ask("ask")
            assert trio.current_time() == 0

    run(main)


@pytest.mark.parametrize("leaves_s", [0.0, 1.0])
def test_two_stops_at_once_call_on_stop_once(leaves_s: float) -> None:
    """Both return when the actor has gone."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Worker, log=log, takes_s=1, leaves_s=leaves_s, name="a")
            actor.tell(1)
            async with trio.open_nursery() as nursery:
                for drain in (True, True, False):
                    nursery.start_soon(functools.partial(bundle.stop, actor, drain=drain))
            assert log == ["start", 1, "stop"]

    run(main)


# The drain


@pytest.mark.parametrize("supervision", [RESUME, RESTART, STOP])
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_the_drain_waits_for_an_on_stop_that_is_under_way(supervision: Supervision, dispatch: str) -> None:
    """A failed actor whose async on_stop sends what it had buffered is waited for, and its receiver takes it."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)
            actor = await bundle.start(Worker, log=log, leaves_s=3, out=probe.ref, supervision=supervision)
            actor.tell_many([1, 2])
            await bundle.wait_idle()
            actor.tell(ValueError())
            await trio.testing.wait_all_tasks_blocked()
        assert probe.received == [1, 2]
        assert log.count("stop") == log.count("start")
        assert 3 <= trio.current_time() < 7

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("keeps", [True, False])
def test_a_child_that_is_started_during_the_drain_is_drained(keeps: bool, dispatch: str) -> None:
    """Its parent tells it something in the last moment, whether it keeps the reference or not; nothing is lost, nothing waits."""

    class Parent(Actor[Any]):
        def __init__(self, bundle: Any, handled: list[Any]) -> None:
            self.bundle, self.handled, self.child = bundle, handled, None

        async def handle(self, message: Any) -> None:
            await trio.sleep(1)
            child = await self.bundle.start(Child, handled=self.handled)
            if keeps:
                self.child = child
            child.tell_many([message, message])

    @attrs.define
    class Child(Actor[Any]):
        handled: list[Any]

        async def handle(self, message: Any) -> None:
            await trio.sleep(1)
            self.handled.append(message)

    async def main() -> None:
        handled: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            parent = await bundle.start(Parent, bundle=bundle, handled=handled, name="parent")
            parent.tell_many(["x", "y"])
        assert sorted(handled) == ["x", "x", "y", "y"]
        assert bundle.dead_letters.total == 0
        assert trio.current_time() < 5

    run(main)


def test_a_parent_is_drained_before_its_child() -> None:
    """Also where no field of the parent shows the child, and the child was started long before."""

    async def main() -> list[str]:
        order: list[str] = []

        class Child(Actor[Any]):
            def handle(self, message: Any) -> None: ...

            def on_stop(self) -> None:
                order.append("child")

        class Parent(Actor[Any]):
            def __init__(self, bundle: Any) -> None:
                self.bundle = bundle

            async def handle(self, message: Any) -> None:
                await self.bundle.start(Child, name="child")

            def on_stop(self) -> None:
                order.append("parent")

        async with open_bundle("b") as bundle:
            parent = await bundle.start(Parent, bundle=bundle)
            parent.tell(1)
            await bundle.wait_idle()
        return order

    assert run(main) == ["parent", "child"]


# Limits


def test_on_stop_has_a_limit() -> None:
    """One that never returns is cancelled: at a restart the successor begins, at a stop and a drain the others go on."""

    class Never(Actor[Any]):
        def handle(self, message: Any) -> Any:
            if isinstance(message, Exception):
                raise type(message)(*message.args)  # not the message itself, which would keep its traceback
            return message

        async def on_stop(self) -> None:
            await trio.sleep_forever()

    limit = Supervision(stop_timeout_s=2, backoff_s=0)

    async def main() -> None:
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Never, name="a", supervision=limit)
            actor.tell(ValueError())
            actor.tell(1)
            await bundle.wait_idle()
            assert trio.current_time() == pytest.approx(2)
            assert bundle.statistics().actors["a"].restarts == 1
            await bundle.stop(actor)
            assert trio.current_time() == pytest.approx(4)
            await bundle.start(Never, supervision=limit)
            await bundle.restart()
            assert trio.current_time() == pytest.approx(6)
        assert trio.current_time() == pytest.approx(8)

    run(main)


def test_on_start_has_a_limit() -> None:
    """One that never returns is cancelled: start says so, the name is free, and a restart counts it as one more failure."""
    slow = [False, True, False]

    class Late(Actor[Any]):
        async def on_start(self) -> None:
            if slow.pop(0):
                await trio.sleep_forever()

        def handle(self, message: Any) -> Any:
            if isinstance(message, Exception):
                raise type(message)(*message.args)  # not the message itself, which would keep its traceback
            return message

    limit = Supervision(start_timeout_s=2, backoff_s=0)

    async def main() -> None:
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Late, name="a", supervision=limit)
            actor.tell(ValueError())
            actor.tell(1)
            await bundle.wait_idle()
            assert trio.current_time() == pytest.approx(2)
            assert balance(bundle, "a") == {"received": 2, "handled": 1, "failed": 1}
            slow.append(True)
            with pytest.raises(StartTimeout, match="on_start was cancelled after 2 s"):
                await bundle.start(Late, name="late", supervision=limit)
            slow.append(False)
            await bundle.start(Late, name="late", supervision=limit)

    run(main)


# Restarts


def test_a_whole_restart_while_an_on_stop_is_under_way() -> None:
    """Each on_start has one on_stop, and nobody is replaced while a successor handles a message."""

    @attrs.define
    class Counted(Actor[Any]):
        log: list[str]
        started: int = 0

        async def on_start(self) -> None:
            self.log.append("start")

        async def handle(self, message: Any) -> None:
            await trio.sleep(1)
            if message == "fail":
                raise ValueError
            self.log.append("handled")

        async def on_stop(self) -> None:
            await trio.sleep(2)
            self.log.append("stop")

    async def main() -> None:
        for when in (0.5, 1.5, 2.5, 3.05, 3.5):
            log: list[str] = []
            async with open_bundle("b") as bundle:
                actor = await bundle.start(Counted, log=log, name="a")
                actor.tell_many(["fail", "x", "y", "z"])
                await trio.sleep(when)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(bundle.restart)
                    nursery.start_soon(bundle.restart)
                await bundle.wait_idle()
            assert log.count("start") == log.count("stop")
            lives = "".join({"start": "[", "stop": "]"}.get(what, ".") for what in log)
            assert "[[" not in lives
            assert "]." not in lives.replace("][", "")
            counts = balance(bundle, "a")
            assert counts["received"] == 4
            assert counts["handled"] + counts["failed"] + counts.get(Loss.CANCELLED, 0) == 4

    run(main)


@pytest.mark.parametrize("by", ["call", "escalation"])
@pytest.mark.parametrize("phase", ["on_stop", "on_start"])
def test_a_whole_restart_does_not_wait_for_room(phase: str, by: str) -> None:
    """An on_stop, or an on_start, that sends to a full actor runs its mailbox over, because all are suspended."""

    @attrs.define
    class Says(Actor[Any]):
        out: ActorRef[Any]

        async def on_start(self) -> None:
            if phase == "on_start":
                await self.out.send("hello")

        def handle(self, message: Any) -> None:
            raise ValueError

        async def on_stop(self) -> None:
            if phase == "on_stop":
                await self.out.send("goodbye")

    @attrs.define
    class Full(Actor[Any]):
        gate: trio.Semaphore

        async def handle(self, message: Any) -> None:
            await self.gate.acquire()

    async def main() -> None:
        gate = shut()
        whole = Supervision(on_failure=Directive.RESTART, backoff_s=0)
        async with open_bundle("b", supervision=whole) as bundle:
            full = await bundle.start(Full, gate=gate, name="full", capacity=1)
            says = await bundle.start(
                Says, out=full, name="says", supervision=Supervision(on_failure=Directive.ESCALATE)
            )
            await trio.testing.wait_all_tasks_blocked()
            for number in range(3):
                full.tell(number)
            if by == "call":
                with trio.fail_after(5):
                    await bundle.restart()
            else:
                says.tell("fail")
                await trio.sleep(5)
            assert bundle.statistics().actors["says"].state is ActorState.RUNNING
            open_gate(gate)
        assert trio.current_time() < 6

    run(main)


def test_a_restart_that_is_cancelled_goes_on() -> None:
    """Whoever called it waits no more, and the actors are restarted and running all the same."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Worker, log=log, leaves_s=2, name="a")
            with trio.move_on_after(1):
                await bundle.restart()
            actor.tell(1)
            await trio.sleep(2)
            assert log == ["start", "stop", "start", 1]
            assert bundle.statistics().actors["a"].state is ActorState.RUNNING

    run(main)


def test_a_restart_in_which_one_fails() -> None:
    """The others go on at once; the one that failed is restarted as its supervision says."""
    fails = [False, True, True, False]

    class Moody(Actor[Any]):
        def __init__(self) -> None:
            if fails.pop(0):
                raise OSError("not yet")

        def handle(self, message: Any) -> Any:
            return message

    async def main() -> None:
        async with open_bundle("b") as bundle:
            moody = await bundle.start(Moody, name="moody")
            sink = await bundle.start(Sink, name="sink")
            with pytest.raises(OSError, match="not yet"):
                await bundle.restart()
            assert await sink.ask(1) == 1
            assert await moody.ask(2) == 2
            assert fails == []

    run(main)


@pytest.mark.parametrize("supervision", [RESUME, RESTART, STOP])
@pytest.mark.parametrize("when", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_a_bundle_that_is_abandoned_amid_a_restart(when: float, supervision: Supervision) -> None:
    """Counts add up, and whoever is told something then is told no error of trio's."""

    async def main() -> None:
        log: list[Any] = []
        with trio.move_on_after(when):
            async with open_bundle("b") as bundle:
                probe = await start_probe(bundle)
                actor = await bundle.start(
                    Worker, log=log, takes_s=1, leaves_s=1, out=probe.ref, name="a", supervision=supervision
                )
                actor.tell_many([ValueError(), 2, 3])
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(bundle.restart)
                    await trio.sleep(0.2)
                    nursery.start_soon(bundle.restart)
        if "bundle" in locals() and bundle.statistics().actors:
            for name in bundle.statistics().actors:
                balance(bundle, name)
        assert log.count("start") >= log.count("stop")

    run(main)


# Oneself


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("is_async", [True, False])
def test_an_actor_may_tell_itself_in_on_start(is_async: bool, dispatch: str) -> None:
    """At its first start as at a restart, by the reference of its name; what it says then is handled first."""

    @attrs.define
    class Itself(Actor[Any]):
        bundle: Any
        log: list[Any]

        def on_start(self) -> None:
            self.bundle.ref("a").tell("first")

        def handle(self, message: Any) -> None:
            self.log.append(message)
            if message == "fail":
                raise ValueError

    class AsyncItself(Itself):
        async def on_start(self) -> None:
            await trio.lowlevel.checkpoint()
            await self.bundle.ref("a").send("first")

    async def main() -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(
                AsyncItself if is_async else Itself, bundle=bundle, log=log, name="a", supervision=RESTART
            )
            actor.tell("fail")
            await trio.sleep(1)
            actor.tell("last")
        return log

    assert run(main) == ["first", "fail", "first", "last"]


def test_what_was_told_to_an_actor_that_did_not_start_is_a_dead_letter() -> None:
    """And whoever waits for an answer is told."""

    class Bad(Actor[Any]):
        async def on_start(self) -> None:
            await trio.sleep(1)
            raise OSError

        def handle(self, message: Any) -> None: ...

    async def main() -> None:
        async with open_bundle("b") as bundle:

            async def start() -> None:
                with pytest.raises(OSError):  # noqa: PT011
                    await bundle.start(Bad, name="bad")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(start)
                await trio.sleep(0.5)
                bundle.ref("bad").tell(1)
                with pytest.raises(AskFailed):
                    await bundle.ref("bad").ask(2)
            assert [(letter.actor, letter.reason) for letter in bundle.dead_letters] == [("bad", Loss.STOPPED)] * 2
            assert bundle.statistics().ended.lost == {Loss.STOPPED: 2}

    run(main)


# What is left of an actor


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_stopped_actors_leave(dispatch: str) -> None:
    """Memory, statistics, edges and names are as if they had never been; their counts stay in sums."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            sink = await bundle.start(Sink, name="sink")
            sink.tell("from outside")
            alive: weakref.WeakSet[Any] = weakref.WeakSet()

            def make(out: Any) -> Worker:
                worker = Worker([], out=out)
                alive.add(worker)
                return worker

            for _ in range(200):
                actor = await bundle.start(make, out=sink, name="again")
                actor.tell(1)
                await bundle.stop(actor)
            del actor
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            statistics = bundle.statistics()
            assert len(alive) == 0
            assert statistics.actors.keys() == {"sink"}
            assert (statistics.ended.actors, statistics.ended.handled) == (200, 200)
            assert statistics.actors["sink"].received == 201
            assert balance(bundle, "sink")["handled"] == 201
            assert len(statistics.edges) == 1

    run(main)


def test_failures_keep_no_old_actor_alive() -> None:
    """Dead letters keep what an error said and where, and neither the error nor its frames."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            alive: weakref.WeakSet[Any] = weakref.WeakSet()

            def make() -> Worker:
                worker = Worker([])
                alive.add(worker)
                return worker

            actor = await bundle.start(make, name="a", supervision=Supervision(max_restarts=1_000, backoff_s=0))
            for number in range(300):
                actor.tell(ValueError(number))
            await bundle.wait_idle()
            await trio.sleep(1)
            gc.collect()
            assert bundle.statistics().actors["a"].restarts == 300
            assert len(alive) == 1
            letter = next(iter(bundle.dead_letters))
            assert letter.error is not None
            assert "raise type(message)" in letter.error.traceback

    run(main)


@pytest.mark.parametrize("kept", ["reference", "port", "bundle"])
def test_a_reference_that_outlives_its_bundle_keeps_nothing_else_alive(kept: str) -> None:
    """The actors go, whatever somebody keeps; what is told to it then is a dead letter of a bundle that somebody still has."""

    async def main() -> None:
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        keep: list[Any] = []
        async with open_bundle("b") as bundle:

            def make(cls: Any, **fields: Any) -> Any:
                actor = cls(**fields)
                alive.add(actor)
                return actor

            sink = await bundle.start(functools.partial(make, Worker), log=[], name="sink")
            other = await bundle.start(functools.partial(make, Worker), log=[], out=sink, name="other")
            await other.send(1)
            await bundle.wait_idle()
            keep.append({"reference": sink, "port": bundle._roster.cells["other"].actor.out, "bundle": bundle}[kept])
        gone = weakref.ref(bundle._overseer)
        statistics = bundle.statistics()
        assert statistics.actors["sink"].handled == 1
        if kept != "bundle":
            keep[0].tell("late")
            assert bundle.statistics().actors["sink"].lost == {Loss.STOPPED: 1} if kept == "reference" else True
            del bundle, sink, other
            gc.collect()
            assert gone() is None
            keep[0].tell("later")
        gc.collect()
        assert len(alive) == 0

    run(main)


def test_ten_thousand_starts_and_stops_leave_memory_as_it_was() -> None:
    """Of a bundle that goes on, by the number of objects that Python knows."""

    async def main() -> int:
        async with open_bundle("b") as bundle:
            sink = await bundle.start(Sink)

            async def some(count: int) -> int:
                for _ in range(count):
                    actor = await bundle.start(Worker, log=[], out=sink, name="again")
                    actor.tell(1)
                    await bundle.stop(actor, drain=False)
                gc.collect()
                return len(gc.get_objects())

            before = await some(3_000)  # by then as many dead letters are kept as ever will be
            return await some(10_000) - before

    assert abs(run(main)) < 100
