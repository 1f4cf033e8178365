"""Who sends to whom: references of every kind are ports, and what goes by the wiring stays within its own bundle."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import pytest
import trio
import trio.testing
from tests.actors import Slow, open_gate, shut

import spore
from spore import Actor, ActorRef, open_bundle
from spore.errors import UsageError
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")


class Sink(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return message


@attrs.define
class Forward(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


@dataclasses.dataclass(slots=True)
class Slotted(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


class Handwritten(Actor[Any]):
    __slots__ = ("__hidden",)

    def __init__(self, out: ActorRef[Any]) -> None:
        self.__hidden = out

    def handle(self, message: Any) -> None:
        self.__hidden.tell(message)


class InADict(Actor[Any]):
    def __init__(self, out: ActorRef[Any]) -> None:
        self.outs = {"a": [out]}

    def handle(self, message: Any) -> None:
        self.outs["a"][0].tell(message)


class Pair(NamedTuple):
    name: str
    ref: ActorRef[Any]


class InATuple(Actor[Any]):
    def __init__(self, out: ActorRef[Any]) -> None:
        self.pair = Pair("out", out)

    def handle(self, message: Any) -> None:
        self.pair.ref.tell(message)


class InASet(Actor[Any]):
    def __init__(self, out: ActorRef[Any]) -> None:
        self.outs = frozenset({out})

    def handle(self, message: Any) -> None:
        for ref in self.outs:
            ref.tell(message)


class InADeque(Actor[Any]):
    def __init__(self, out: ActorRef[Any]) -> None:
        self.outs = collections.deque([1, out], maxlen=3)

    def handle(self, message: Any) -> None:
        self.outs[1].tell(message)


@attrs.define
class FilledLater(Actor[Any]):
    out: Any
    outs: list[ActorRef[Any]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.out = (
            functools.partial(lambda ref: ref, self.out.refs[0])
            if isinstance(self.out, spore.nursery_bundle.ref.FanOut)
            else self.out
        )

    def on_start(self) -> None:
        self.outs.append(self.out)

    def handle(self, message: Any) -> None:
        self.outs[0].tell(message)


PORTS: list[Callable[..., Actor[Any]]] = [
    Forward,
    Slotted,
    Handwritten,
    InADict,
    InATuple,
    InASet,
    InADeque,
    FilledLater,
]


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("cls", PORTS)
def test_a_reference_is_a_port_wherever_it_is_kept(cls: Any, dispatch: str) -> None:
    """The sender has a name, the pressure of its receiver reaches who sends to it, and it is drained before its receiver."""

    async def main() -> tuple[float, list[Any]]:
        order: list[Any] = []

        @attrs.define
        class Last(Actor[Any]):
            async def handle(self, message: Any) -> None:
                await trio.sleep(1)

            def on_stop(self) -> None:
                order.append("last")

        class First(cls):  # type: ignore[misc]
            __slots__ = ()

            def on_stop(self) -> None:
                order.append("first")

        async with open_bundle("b", dispatch=dispatch, drain_timeout_s=60) as bundle:
            last = await bundle.start(Last, name="last", capacity=2)
            first = await bundle.start(lambda: First(last), name="first", capacity=2)
            began = trio.current_time()
            for number in range(20):
                await first.send(number)
            waited = trio.current_time() - began
            senders = {edge.sender for edge in bundle.statistics().edges if edge.receiver == "last" and edge.sent}
            assert senders == {"first"}
        return waited, order

    waited, order = run(main)
    assert waited >= 12  # of twenty messages, each of which takes a second; the last few are still in the mailboxes
    assert order == ["first", "last"]


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_a_reference_set_in_a_handler_carries_pressure_and_order(dispatch: str) -> None:
    """An actor that learns of its receiver by a message is drained before it, and whoever sends to it feels the pressure."""

    class Learns(Actor[Any]):
        def __init__(self) -> None:
            self.out: Any = None

        def handle(self, message: Any) -> None:
            if self.out is None:
                self.out = message
            else:
                self.out.tell(message)

    async def main() -> int:
        gate = shut()
        async with open_bundle("b", dispatch=dispatch, drain_timeout_s=60) as bundle:
            learns = await bundle.start(Learns, name="learns")
            last = await bundle.start(Slow, log=[], gate=gate, name="last", capacity=1)
            learns.tell(last)
            await bundle.wait_idle()
            learns.tell_many([1, 2, 3])
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(5) as scope:
                await learns.send(4)
            assert scope.cancelled_caught
            open_gate(gate)
            learns.tell(5)
        return bundle.statistics().actors["last"].handled

    assert run(main) == 4


@attrs.define
class Helper:
    out: ActorRef[Any]


class OwnMapping(dict[str, Any]):
    pass


@attrs.define
class Holds(Actor[Any]):
    thing: Any

    def handle(self, message: Any) -> None: ...


@pytest.mark.parametrize(
    "wrap",
    [
        Helper,
        lambda ref: [Helper(ref)],
        lambda ref: {"deep": (Helper(ref),)},
        lambda ref: ref.tell,
        lambda ref: functools.partial(ref.tell, 1),
    ],
)
def test_a_reference_that_cannot_be_a_port_is_refused(wrap: Callable[[Any], Any]) -> None:
    """A reference inside a helper object is no port; start says so and names the place."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            sink = await bundle.start(Sink, name="sink")
            with pytest.raises(UsageError, match=r"thing.* holds a reference that cannot be made a port"):
                await bundle.start(Holds, thing=wrap(sink))
            assert bundle.statistics().actors.keys() == {"sink"}

    run(main)


def test_containers_that_were_passed_in_stay_as_they_are() -> None:
    """Two actors that are given the same container have a port each; the caller's container is not changed."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            shared: dict[str, Any] = {"x": probe.ref}
            own = OwnMapping(x=probe.ref)

            class Uses(Actor[Any]):
                def __init__(self, outs: Any) -> None:
                    self.outs = outs

                def handle(self, message: Any) -> None:
                    self.outs["x"].tell(message)

            for name, outs in (("one", shared), ("two", shared), ("three", own)):
                (await bundle.start(Uses, outs=outs, name=name)).tell(name)
            assert shared == {"x": probe.ref}
            assert probe.received == ["one", "two", "three"]
            sent = {edge.sender: edge.sent for edge in bundle.statistics().edges if edge.receiver == "probe"}
            assert sent == {"outside": 0, "one": 1, "two": 1, "three": 1}

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("how", ["leave", "cancel", "stop", "restart", "fail"])
def test_what_happens_to_one_bundle_leaves_the_actors_of_another_alone(how: str, dispatch: str) -> None:
    """A bundle whose actors have ports into another one ends, stops and restarts without it."""

    async def main() -> None:
        async with open_bundle("outer", dispatch=dispatch) as outer:
            sink = await outer.start(Sink, name="sink")
            with trio.CancelScope() as scope:
                try:
                    async with open_bundle("session", dispatch=dispatch) as inner:
                        forward = await inner.start(Forward, out=sink, name="forward")
                        forward.tell(1)
                        if how == "cancel":
                            scope.cancel()
                            await trio.lowlevel.checkpoint()
                        elif how == "stop":
                            await inner.stop(forward)
                        elif how == "restart":
                            await inner.restart()
                        elif how == "fail":
                            raise KeyError
                except* KeyError:
                    pass
            await outer.wait_idle()
            assert outer.statistics().actors["sink"].state is spore.nursery_bundle.ActorState.RUNNING
            assert await sink.ask(2) == 2
            sender = {edge.sender for edge in outer.statistics().edges}
            assert sender == {"outside"}
            at_once = how in {"cancel", "fail"} and dispatch == "queued"  # then the message may not have been forwarded
            assert outer.statistics().actors["sink"].received in ({1, 2} if at_once else {2})

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_pressure_crosses_from_one_bundle_into_another(dispatch: str) -> None:
    """Whoever sends into a bundle that forwards to a full actor of another one waits."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("outer", dispatch=dispatch) as outer:
            slow = await outer.start(Slow, log=[], gate=gate, name="slow", capacity=1)
            async with open_bundle("inner", dispatch=dispatch) as inner:
                forward = await inner.start(Forward, out=slow)
                forward.tell_many([1, 2, 3])
                await inner.wait_idle()
                with trio.move_on_after(5) as scope:
                    await forward.send(4)
                assert scope.cancelled_caught
                open_gate(gate)
                await forward.send(5)

    run(main)


def test_a_reference_of_another_bundle_is_not_taken_for_ones_own() -> None:
    """Names are a bundle's own: what is done by reference is done to that actor or refused."""

    async def main() -> None:
        async with open_bundle("one") as one, open_bundle("two") as two:
            await one.start(Sink, name="a")
            of_two = await two.start(Sink, name="a")
            for call in (lambda: one.stop(of_two), lambda: one.stop(of_two, drain=False)):
                with pytest.raises(UsageError, match="another bundle's"):
                    await call()
            with pytest.raises(UsageError, match="another bundle's"):
                one.snapshot(of_two)
            assert await one.ref("a").ask(1) == 1
            await two.stop(of_two)
            again = await two.start(Sink, name="a")
            with pytest.raises(UsageError, match="has it stopped"):
                await two.stop(of_two)
            assert await again.ask(1) == 1

    run(main)


def test_references_and_actors_are_not_copied() -> None:
    """A copy would be an edge that no bundle knows; it is refused with what to do instead."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            for ref in (probe.ref, bundle.ref("later")):
                for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
                    with pytest.raises(UsageError, match="cannot be copied or pickled"):
                        attempt(ref)
            for attempt in (copy.copy, copy.deepcopy):
                with pytest.raises(UsageError, match="an actor cannot be copied"):
                    attempt(probe)

    run(main)
