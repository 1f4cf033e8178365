"""What could not work is refused when it is said, with what would be right."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest
import trio
from tests.actors import balance

import spore
from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import UsageError
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe


class Sink(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return message


@attrs.define
class Ported(Actor[Any]):
    out: ActorRef[Any] | None = None
    outs: list[ActorRef[Any]] = attrs.field(factory=list)

    def handle(self, message: Any) -> None: ...


@attrs.define
class Named(Actor[Any]):
    name: str
    key: int
    capacity: int

    def handle(self, message: Any) -> Any:
        return (self.name, self.key, self.capacity)


class Nothing(Actor[Any]):
    pass


class AsyncOnError(Sink):
    async def on_error(self, error: Exception, message: Any) -> Any: ...  # type: ignore[override]


class AsyncSkipped(Sink):
    async def skipped(self) -> Any: ...  # type: ignore[override]


class AsyncSnapshot(Sink):
    async def snapshot(self) -> Any: ...


class Generates(Actor[Any]):
    def handle(self, message: Any) -> Iterator[Any]:
        yield message


class GeneratesAsync(Actor[Any]):
    async def handle(self, message: Any) -> AsyncIterator[Any]:
        yield message


class StartsWithYield(Sink):
    def on_start(self) -> Iterator[None]:
        yield


class NoMessage(Actor[Any]):
    def handle(self) -> None: ...  # type: ignore[override]


class TwoMessages(Actor[Any]):
    def handle(self, one: Any, two: Any) -> None: ...  # type: ignore[override]


class NotCallable(Actor[Any]):
    handle = 3  # type: ignore[assignment]


class Alien:
    def handle(self, message: Any) -> None: ...


async def make() -> Sink:
    return Sink()


REFUSED_STARTS: list[tuple[Any, dict[str, Any], str]] = [
    (Sink, {"supervision": "restart"}, "supervision is a spore.Supervision"),
    (Sink, {"supervision": Directive.STOP}, "supervision is a spore.Supervision"),
    (Sink, {"capacity": 0}, "capacity"),
    (Sink, {"capacity": 2.5}, "capacity"),
    (Sink, {"capacity": math.inf}, "a whole number from 1 to 4,294,967,295"),
    (Sink, {"capacity": 2**32}, "a whole number from 1 to 4,294,967,295"),
    (Sink, {"capacity": True}, "capacity"),
    (Sink, {"capacity": "9"}, "capacity"),
    (Sink, {"overflow": "sometimes"}, "overflow policy"),
    (Sink, {"dispatch": "later"}, "dispatch"),
    (Sink, {"key": len}, "key"),
    (Sink, {"overflow": "conflate"}, "key"),
    (Sink, {"overflow": "conflate", "key": 3}, "key is a plain function"),
    (Sink, {"overflow": "conflate", "key": make}, "key is a plain function"),
    (Sink, {"merge": "by luck"}, "event_time"),
    (Sink, {"verify": 2}, "verify is a share"),
    (Sink, {"verify": math.nan}, "verify is a share"),
    (Sink, {"verify": "all"}, "verify is a share"),
    (Sink, {"verify": 0.5}, "give open_bundle a verifier"),
    (Sink, {"portable": "yes"}, "portable"),
    (Sink, {"name": ""}, "name of an actor"),
    (Sink, {"name": "two\nlines"}, "name of an actor"),
    (Sink, {"name": " a"}, "name of an actor"),
    (Sink, {"name": 3}, "name of an actor"),
    (Ported, {"out": 3}, "'out' is to hold a reference"),
    (Ported, {"out": "sink"}, "'out' is to hold a reference"),
    (Ported, {"outs": [1, 2]}, "'outs' is to hold a reference"),
    (functools.partial(Ported, out=3), {}, "'out' is to hold a reference"),
    (Named, {}, r"functools.partial\(Named, name=…\)"),
    (Nothing, {}, r"has no handle\(self, message\)"),
    (AsyncOnError, {}, "on_error is async"),
    (AsyncSkipped, {}, "skipped is async"),
    (AsyncSnapshot, {}, "snapshot is async"),
    (Generates, {}, "is a generator"),
    (GeneratesAsync, {}, "is a generator"),
    (StartsWithYield, {}, "on_start is a generator"),
    (NoMessage, {}, r"called as handle\(self, message\)"),
    (TwoMessages, {}, r"called as handle\(self, message\)"),
    (NotCallable, {}, "is no method"),
    (Alien, {}, "is no spore.Actor"),
    (Alien(), {}, "cannot be called"),
    (Sink(), {}, "give its class"),
    (make, {}, "factory is async"),
    (lambda: make(), {}, "which is no spore.Actor"),  # noqa: PLW0108 - a function, and no class
    (lambda: Alien(), {}, "which is no spore.Actor"),  # noqa: PLW0108 - a function, and no class
    (lambda: Nothing(), {}, r"has no handle\(self, message\)"),  # noqa: PLW0108 - a function, and no class
    (lambda: AsyncOnError(), {}, "on_error is async"),  # noqa: PLW0108 - a function, and no class
]


@pytest.mark.parametrize(("factory", "options", "says"), REFUSED_STARTS)
def test_a_start_that_could_not_work_is_refused(factory: Any, options: dict[str, Any], says: str) -> None:
    """Before anything runs: no actor, no edge and no name is left."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            with pytest.raises(UsageError, match=says):
                await bundle.start(factory, **options)
            assert bundle.statistics().actors == {}
            await bundle.start(Sink, name="a")

    run(main)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"drain_timeout_s": -1}, "drain_timeout_s is 0 seconds or more"),
        ({"drain_timeout_s": "1"}, "drain_timeout_s"),
        ({"drain_timeout_s": math.nan}, "drain_timeout_s"),
        ({"keep_letters": -1}, "keep_letters"),
        ({"keep_letters": 1.5}, "keep_letters"),
        ({"stall_after_s": 0}, "stall_after_s"),
        ({"supervision": "restart"}, "supervision is a spore.Supervision"),
        ({"dispatch": "never"}, "dispatch"),
        ({"verifier": 3}, "verifier is a plain function"),
        ({"size_of": make}, "size_of is a plain function"),
        ({"name": ""}, "name of a bundle"),
        ({"name": "a\tb"}, "name of a bundle"),
    ],
)
def test_a_bundle_that_could_not_work_is_refused(options: dict[str, Any], says: str) -> None:
    """Before its body runs."""

    async def main() -> None:
        with pytest.raises(UsageError, match=says):
            async with open_bundle(**{"name": "b", **options}):
                pytest.fail("the body ran")

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"on_failure": "sometimes"},
        {"max_restarts": -1},
        {"max_restarts": 1.5},
        {"within_s": 0},
        {"forgive_after": 0},
        {"start_timeout_s": 0},
        {"stop_timeout_s": -1},
        {"backoff_s": math.inf},
        {"backoff_max_s": "1"},
        {"jitter": 1.5},
        {"jitter": True},
    ],
)
def test_a_supervision_that_could_not_work_is_refused(options: dict[str, Any]) -> None:
    """When it is made; a directive may be given by its name."""
    with pytest.raises(UsageError):
        Supervision(**options)
    assert Supervision(on_failure="stop").on_failure is Directive.STOP  # type: ignore[arg-type]


def test_a_field_with_the_name_of_an_option_is_given_in_the_factory() -> None:
    """As the refusal says."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            actor = await bundle.start(functools.partial(Named, name="x", key=1, capacity=2), name="named", capacity=9)
            assert await actor.ask(0) == ("x", 1, 2)
            assert bundle.statistics().actors["named"].capacity == 9

    run(main)


@pytest.mark.parametrize("call", ["stop", "every", "after", "thread port"])
def test_other_calls_say_what_is_wrong(call: str) -> None:
    """Limits, periods and capacities are checked when they are given."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Sink, name="a")
            with pytest.raises(UsageError):  # noqa: PT012 - each of these
                if call == "stop":
                    await bundle.stop(actor, timeout_s=-1)
                elif call == "every":
                    bundle.every(math.nan, actor, 1)
                elif call == "after":
                    bundle.after("1", actor, 1)  # type: ignore[arg-type]
                else:
                    async with spore.open_thread_port(actor, capacity=0):
                        pass
            assert await actor.ask(1) == 1

    run(main)


# Timers


def test_a_timer_that_fails_is_counted_and_goes_on() -> None:
    """A function that raises, or returns something to be awaited, and a receiver that is not there yet, end no bundle."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            turns = iter(range(100))

            def sometimes() -> int:
                turn = next(turns)
                if turn % 2:
                    raise ValueError(f"turn {turn}")
                return turn

            bundle.every(1, probe.ref, make=sometimes)
            bundle.every(1, probe.ref, make=lambda: make())  # noqa: PLW0108 - one that does not look async
            bundle.every(1, bundle.ref("later"), "hello")
            await trio.sleep(3.5)
            assert probe.received == [0, 2]
            assert [letter.actor for letter in bundle.dead_letters].count("later") == 3
            assert bundle.dead_letters.total == 1 + 3 + 3
            assert {letter.reason for letter in bundle.dead_letters} == {Loss.FAILED}
            later = await start_probe(bundle, "later")
            await trio.sleep(1)
            assert later.received == ["hello"]

    run(main)


def test_a_message_that_can_be_called_is_sent() -> None:
    """It is a message like others; a function that makes the message is given by name, and not both are."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            bundle.after(1, probe.ref, print)
            bundle.after(2, probe.ref, None)
            bundle.after(3, probe.ref, make=lambda: "made")
            with pytest.raises(UsageError, match="both"):
                bundle.after(1, probe.ref, 1, make=lambda: 1)
            await trio.sleep(4)
            assert probe.received == [print, None, "made"]

    run(main)


@pytest.mark.parametrize("dispatch", ["inline", "queued"])
@pytest.mark.parametrize("where", ["on_start", "async on_start", "handle", "async handle"])
def test_timers_of_an_actor_end_with_it(where: str, dispatch: str) -> None:
    """They do not pile up over restarts, and are gone when the actor has stopped; those of the outside go on."""

    @attrs.define
    class Ticks(Actor[Any]):
        bundle: Any
        out: ActorRef[Any]

        def begin(self) -> None:
            self.bundle.every(1, self.out, "tick")

        def on_start(self) -> Any:
            if where == "on_start":
                self.begin()

        def handle(self, message: Any) -> None:
            if message == "fail":
                raise ValueError
            if where == "handle":
                self.begin()

    class AsyncTicks(Ticks):
        async def on_start(self) -> None:
            if where == "async on_start":
                await trio.lowlevel.checkpoint()
                self.begin()

        async def handle(self, message: Any) -> None:  # type: ignore[override]
            await trio.lowlevel.checkpoint()
            if message == "fail":
                raise ValueError
            if where == "async handle":
                self.begin()

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)
            cls = AsyncTicks if where.startswith("async") else Ticks
            bundle.every(1, probe.ref, "outside")
            actor = await bundle.start(cls, bundle=bundle, out=probe.ref, supervision=Supervision(backoff_s=0.01))
            for _ in range(5):
                actor.tell("fail")
                await trio.sleep(0.09)
            actor.tell("begin")
            await trio.sleep(10)
            ticks = probe.received.count("tick")
            assert 9 <= ticks <= 10
            await bundle.stop(actor)
            await trio.sleep(10)
            assert probe.received.count("tick") == ticks
            assert probe.received.count("outside") == 20
            assert balance(bundle, "probe")["failed"] == 0

    run(main)


# What a merge holds


def test_wait_idle_and_queued_agree_about_what_a_merge_holds() -> None:
    """Held back is not queued: wait_idle returns, nothing is queued, and what is held has a number of its own."""

    @attrs.frozen
    class At:
        event_time_ns: int

    @attrs.define
    class Forward(Actor[Any]):
        out: ActorRef[Any]

        def handle(self, message: Any) -> None:
            self.out.tell(message)

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, "merged", merge="event_time")
            one = await bundle.start(Forward, out=merged.ref)
            two = await bundle.start(Forward, out=merged.ref)
            one.tell_many([At(1), At(2)])
            await bundle.wait_idle()
            actor = bundle.statistics().actors["merged"]
            assert (actor.queued, actor.held, actor.received, actor.handled) == (0, 2, 2, 0)
            two.tell(At(3))
            await bundle.wait_idle()
            actor = bundle.statistics().actors["merged"]
            assert (actor.queued, actor.held, actor.received, actor.handled) == (0, 1, 3, 2)

    run(main)
