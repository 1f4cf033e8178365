"""What is around a handler: its context, its thread, and how much of the stack is left for it."""

from __future__ import annotations

import decimal
import sys
import threading
from contextvars import ContextVar
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from tests.actors import balance

import spore
from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, MailboxFull, UsageError
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")
WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


# Context


@pytest.mark.parametrize("first_sender", ["a task", "the body"])
def test_an_async_actor_has_its_bundles_context(first_sender: str) -> None:
    """Not that of whoever happened to send it something first, or started it, or made it restart."""

    class Looks(Actor[Any]):
        async def handle(self, message: Any) -> str:
            if message == "fail":
                raise ValueError
            return WHO.get()

    async def main() -> None:
        WHO.set("the opener")
        async with open_bundle("b") as bundle:
            WHO.set("the starter")
            actor = await bundle.start(Looks, supervision=Supervision(backoff_s=0))

            async def send() -> None:
                WHO.set("the sender")
                actor.tell("fail" if first_sender == "a task" else "x")

            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the task is the point
                nursery.start_soon(send)
            assert await actor.ask("who?") == "the opener"
            await bundle.restart()
            assert await actor.ask("who?") == "the opener"

    run(main)


def test_queued_actors_have_contexts_of_their_own() -> None:
    """What one sets, another does not see, and its sender does not either; it itself finds it again."""

    class Sets(Actor[Any]):
        def handle(self, message: Any) -> str:
            before = WHO.get()
            WHO.set(message)
            decimal.getcontext().prec = len(message)
            return before

    async def main() -> None:
        async with open_bundle("b", dispatch="queued") as bundle:
            precision = decimal.getcontext().prec
            one = await bundle.start(Sets, name="one")
            two = await bundle.start(Sets, name="two", dispatch="queued")
            assert [await one.ask("aaa"), await two.ask("bb"), await one.ask("c")] == ["nobody", "nobody", "aaa"]
            assert WHO.get() == "nobody"
            assert decimal.getcontext().prec == precision

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("is_async", [True, False])
def test_debug_reports_an_actor_that_does_not_leave_its_context_as_it_was(is_async: bool, dispatch: str) -> None:
    """Variables and the settings of decimal, in tells and asks; one that puts them back, or only looks, is no defect."""

    def change(message: Any) -> None:
        if message == "variable":
            WHO.set("changed")
        elif message == "precision":
            decimal.getcontext().prec += 1
        elif message == "back":
            token = WHO.set("for a moment")
            with decimal.localcontext() as settings:
                settings.prec = 3
            WHO.reset(token)
        elif message == "look":
            decimal.Decimal(1) / decimal.Decimal(3)

    class Plain(Actor[Any]):
        def handle(self, message: Any) -> None:
            change(message)

    class Async(Actor[Any]):
        async def handle(self, message: Any) -> None:
            change(message)

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch, debug=True) as bundle:
            actor = await bundle.start(Async if is_async else Plain, name="a")
            for message in ("back", "look"):
                actor.tell(message)
                await actor.ask(message)
            assert bundle.defects == ()
            actor.tell("variable")
            await actor.ask("precision")
            reasons = [defect.reason for defect in bundle.defects]
            assert reasons == [
                "its handler changed the context: WHO",
                "its handler changed the context: decimal_context",
            ]

    run(main)


# Threads


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("call", ["tell", "tell_many"])
def test_another_thread_is_refused_without_a_trace(call: str, dispatch: str) -> None:
    """Nothing is counted, nothing hangs, and the error names the way in."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)

            class Slow(Actor[Any]):
                async def handle(self, message: Any) -> None:
                    probe.ref.tell(message)

            slow = await bundle.start(Slow, name="slow")
            for ref in (probe.ref, slow, bundle.ref("slow")):
                with pytest.raises(UsageError, match="open_thread_port"):
                    await trio.to_thread.run_sync(getattr(ref, call), [1])
            assert bundle.statistics().actors["slow"].received == 0
            assert bundle.dead_letters.total == 0
            slow.tell(1)
            await slow.send(2)
            await bundle.wait_idle()
            assert probe.received == [1, 2]

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_messages_of_other_threads_cross_together(dispatch: str) -> None:
    """A thread port takes what any thread sends, in each one's order, and hands over many at a time."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)

            def work(name: str) -> None:
                for number in range(1_000):
                    port.send((name, number))
                port.tell((name, 1_000))

            async with spore.open_thread_port(probe.ref, capacity=2_000) as port, trio.open_nursery() as nursery:
                for name in "abc":
                    nursery.start_soon(trio.to_thread.run_sync, work, name)
            await bundle.wait_idle()
            for name in "abc":
                assert [number for who, number in probe.received if who == name] == list(range(1_001))
            with pytest.raises(ActorStopped):
                await trio.to_thread.run_sync(port.tell, 1)
            assert balance(bundle, "probe") == {"received": 3_003, "handled": 3_003, "failed": 0}

    trio.run(main)


def test_a_thread_port_is_bounded_and_loses_nothing() -> None:
    """tell is refused when the port is full, send waits; cancelled, what waited is handed over or a dead letter."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            gate = threading.Event()

            def fill() -> int:
                for number in range(100):
                    try:
                        port.tell(number)
                    except MailboxFull:
                        return number
                return 100

            with trio.CancelScope() as scope:
                async with spore.open_thread_port(probe.ref, capacity=3) as port:
                    with pytest.raises(RuntimeError, match=r"await ref\.send"):
                        port.send(1)
                    accepted = fill()  # in this thread nothing crosses meanwhile
                    assert accepted == 3
                    scope.cancel()
            gate.set()
            assert probe.received == [0, 1, 2]
            await bundle.stop(probe.ref)
            async with spore.open_thread_port(probe.ref) as port:
                await trio.to_thread.run_sync(port.tell, 9)
            assert bundle.statistics().ended.lost == {Loss.STOPPED: 1}

    trio.run(main)


# Depth


def deeper(frames: int, then: Any) -> None:
    if frames:
        deeper(frames - 1, then)
    else:
        then()


@attrs.define
class Deep(Actor[Any]):
    out: ActorRef[Any] | None
    frames: int
    seen: list[Any]

    def handle(self, message: Any) -> None:
        deeper(self.frames, lambda: self.pass_on(message))

    def pass_on(self, message: Any) -> None:
        self.seen.append(message)
        if self.out is not None:
            self.out.tell(message)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize(("actors", "frames"), [(40, 25), (12, 80), (5, 200), (3, 330), (100, 12), (48, 1)])
@pytest.mark.parametrize("bundles", [1, 4])
def test_a_chain_of_deep_handlers_is_handled_in_either_dispatch(
    bundles: int, actors: int, frames: int, dispatch: str
) -> None:
    """However deep the handlers are, no message is lost to the recursion limit, also across bundles."""

    async def main() -> None:
        seen: list[Any] = []
        async with trio.open_nursery() as nursery:
            opened = [open_bundle(f"b{number}", dispatch=dispatch, supervision=None) for number in range(bundles)]
            entered = [await each.__aenter__() for each in opened]
            ref = None
            for number in range(actors):
                own = entered[number * bundles // actors]
                ref = await own.start(
                    Deep, out=ref, frames=frames, seen=seen, supervision=Supervision(on_failure=Directive.RESUME)
                )
            assert ref is not None
            for message in range(300):
                ref.tell(message)
            await ref.send(300)
            ref.tell_many([301, 302])
            for each in reversed(opened):
                await each.__aexit__(None, None, None)
            nursery.cancel_scope.cancel()
        assert len(seen) == actors * 303
        assert sum(each.dead_letters.total for each in entered) == 0

    run(main)


def test_a_tell_from_deep_in_the_stack() -> None:
    """Where the sender itself has used up most of the stack, the message is queued, and handled with all of it."""

    async def main() -> None:
        seen: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(
                Deep, out=None, frames=400, seen=seen, supervision=Supervision(on_failure=Directive.RESUME)
            )
            deeper(sys.getrecursionlimit() - 300, lambda: actor.tell(1))
            deeper(sys.getrecursionlimit() - 300, lambda: actor.tell_many([2, 3]))
        assert seen == [1, 2, 3]

    run(main)
