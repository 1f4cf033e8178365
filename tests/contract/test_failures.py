"""What a user's code does wrong is dealt with where it happens: it is counted, kept, supervised, and ends nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from tests.actors import balance

import spore
from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, AskFailed, UsageError
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe

DISPATCHES = ("inline", "queued")
QUICK = Supervision(backoff_s=0.0)


class Unprintable(Exception):
    """An error that nobody can print, annotate or compare."""

    def __str__(self) -> str:
        raise RuntimeError("not to be printed")

    __repr__ = __str__

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes")


class NoString(Exception):
    def __str__(self) -> Any:
        return 3  # noqa: PLE0307 - what this is about


class Raises(Actor[Any]):
    def handle(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message


class RaisesAsync(Actor[Any]):
    async def handle(self, message: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if isinstance(message, Exception):
            raise message
        return message


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("cls", [Raises, RaisesAsync])
@pytest.mark.parametrize("error", [Unprintable, NoString])
@pytest.mark.parametrize("directive", [Directive.RESUME, Directive.RESTART, Directive.STOP])
def test_an_error_that_cannot_be_printed_is_a_failure_like_others(
    cls: Any, error: Any, directive: Directive, dispatch: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The asker gets AskFailed, the message is a dead letter, the supervision decides, and everything can be looked at."""
    caplog.set_level("DEBUG")

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            supervision = Supervision(on_failure=directive, backoff_s=0.0)
            actor = await bundle.start(cls, name="a", supervision=supervision)
            with pytest.raises(AskFailed):
                await actor.ask(error())
            await bundle.wait_idle()
            await trio.testing.wait_all_tasks_blocked()
            (letter,) = bundle.dead_letters
            assert (letter.actor, letter.reason) == ("a", Loss.FAILED)
            assert bundle.last_letters(5)
            statistics = bundle.statistics()
            if directive is Directive.STOP:
                assert statistics.ended.failed == 1
            else:
                await trio.sleep(1)
                assert await actor.ask(5) == 5
                assert bundle.statistics().actors["a"].error is not None

    run(main)


@pytest.mark.parametrize("where", ["factory", "on_start", "on_stop", "restart"])
def test_an_error_that_cannot_be_printed_in_every_phase(where: str) -> None:
    """At a start it comes out of start; in on_stop and at a restart it is logged and counted."""
    built: list[int] = []

    class Phase(Raises):
        def __init__(self) -> None:
            built.append(1)
            if where == "factory" or (where == "restart" and len(built) == 2):
                raise Unprintable

        def on_start(self) -> None:
            if where == "on_start":
                raise Unprintable

        def on_stop(self) -> None:
            if where == "on_stop":
                raise Unprintable

    async def main() -> None:
        async with open_bundle("b") as bundle:
            if where in {"factory", "on_start"}:
                with pytest.raises(Unprintable):
                    await bundle.start(Phase, name="a")
                return
            actor = await bundle.start(Phase, name="a", supervision=QUICK)
            actor.tell(ValueError())
            await trio.sleep(1)
            assert await actor.ask(1) == 1
            assert bundle.statistics().actors["a"].restarts == 1

    run(main)


def test_messages_and_keys_that_misbehave_end_nothing() -> None:
    """A message that cannot be shown, and a key that raises or cannot be hashed, are handled like others."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    def key(message: Any) -> Any:
        if isinstance(message, Odd):
            return [1]
        return message["key"]

    async def main() -> None:
        async with open_bundle("b", debug=True, verifier=repr) as bundle:
            probe = await start_probe(bundle, overflow="conflate", key=key, capacity=9)
            verified = await start_probe(bundle, "verified", verify=1.0)
            failing = await bundle.start(RaisesAsync, supervision=Supervision(on_failure=Directive.RESUME), name="f")
            for message in (Odd(), {"key": 1}, 3):
                probe.ref.tell(message)
                await probe.ref.send(message)
            verified.ref.tell(Odd())
            failing.tell(Odd())
            await bundle.wait_idle()
            assert [type(message) for message in probe.received] == [Odd, dict, int]
            await bundle.stop(failing)
            failing.tell(Odd())
            assert bundle.last_letters(9)
            assert bundle.statistics().actors["probe"].handled == 3

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_statistics_survive_an_actor_whose_skipped_raises(dispatch: str) -> None:
    """What one actor cannot say does not hide what is known of all; at its end, too."""

    class Silent(Raises):
        def skipped(self) -> Any:
            raise Unprintable

    class Wrong(Raises):
        def skipped(self) -> Any:
            return 3

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            for cls in (Silent, Wrong):
                actor = await bundle.start(cls, name=cls.__name__)
                actor.tell(1)
                await bundle.wait_idle()
                assert balance(bundle, cls.__name__)["handled"] == 1
                assert bundle.statistics().actors[cls.__name__].skipped == {}
            await bundle.stop("Silent")
            assert bundle.statistics().ended.handled == 1
        assert bundle.statistics().actors["Wrong"].handled == 1

    run(main)


# Handlers that are async and do not look it


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(self: Any, message: Any) -> Any:
        return function(self, message)

    return wrapper


class AsyncCall:
    async def __call__(self, message: Any) -> Any:
        await trio.sleep(1)
        return message


class Dispatched(Actor[Any]):
    @functools.singledispatchmethod
    async def handle(self, message: Any) -> Any:
        await trio.sleep(1)
        return message


class Decorated(Actor[Any]):
    @decorated
    async def handle(self, message: Any) -> Any:
        await trio.sleep(1)
        return message


class Delegating(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return self.later(message)

    async def later(self, message: Any) -> Any:
        await trio.sleep(1)
        return message


class Partial(Actor[Any]):
    handle = functools.partialmethod(Delegating.later)


class Callables(Actor[Any]):
    def __init__(self) -> None:
        self.handle = AsyncCall()  # type: ignore[method-assign,assignment]


class Awaits:
    def __init__(self, message: Any) -> None:
        self.message = message

    def __await__(self) -> Any:
        yield from trio.sleep(1).__await__()  # noqa: ASYNC105 - awaited by hand
        return self.message


class Awaiting(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return Awaits(message)


class Sometimes(Actor[Any]):
    def handle(self, message: Any) -> Any:
        return Delegating.later(self, message) if message % 2 else message  # type: ignore[arg-type]


LOOKS_PLAIN = [Dispatched, Decorated, Delegating, Partial, Callables, Awaiting, Sometimes]


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("cls", LOOKS_PLAIN)
def test_a_handler_that_does_not_look_async_runs(cls: Any, dispatch: str) -> None:
    """Each message is handled to its end, one at a time and in order, whatever kind of function the handler is."""

    async def main() -> None:
        seen: list[Any] = []

        class Seen(cls):  # type: ignore[misc]
            def on_stop(self) -> None:
                seen.append("stop")

        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Seen, name="a")
            assert await actor.ask(1) == 1
            actor.tell(3)
            actor.tell_many([5, 4, 7])
            await actor.send(9)
            await actor.send_many([11, 13])
            assert await actor.ask(15, timeout=60) == 15
            assert balance(bundle, "a") == {"received": 9, "handled": 9, "failed": 0}
            assert trio.current_time() == pytest.approx(8 if cls is Sometimes else 9)
            await bundle.restart()
            assert await actor.ask(17) == 17
            actor.tell(19)
        assert bundle.statistics().actors["a"].handled == 11
        assert trio.current_time() == pytest.approx(10 if cls is Sometimes else 11)

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("cls", LOOKS_PLAIN)
@pytest.mark.parametrize("how", ["cancel", "stop", "fail"])
def test_what_such_a_handler_has_begun_is_counted(cls: Any, dispatch: str, how: str) -> None:
    """A message whose handler is cancelled, or fails after it has waited, is one dead letter; nothing warns of a coroutine that never ran."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_bundle("b", dispatch=dispatch, drain_timeout_s=0.5) as bundle:
                actor = await bundle.start(cls, name="a", supervision=QUICK)
                actor.tell(1)
                actor.tell(3)
                if how == "cancel":
                    scope.cancel()
                elif how == "stop":
                    await bundle.stop(actor, drain=False, timeout_s=0.2)
        counts = balance(bundle, "a")
        assert counts["received"] == 2
        assert counts["handled"] == 0

    run(main)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_an_answer_that_nobody_would_run_is_a_failure(dispatch: str) -> None:
    """A generator that a handler returns, and a coroutine that an async one returns, are failures that say what to do."""

    class Generates(Actor[Any]):
        def handle(self, message: Any) -> Any:
            return (number for number in range(message))

    class Nested(Actor[Any]):
        async def handle(self, message: Any) -> Any:
            return trio.sleep(1)  # noqa: ASYNC105 - that nobody awaits it is what this is about

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            for cls in (Generates, Nested):
                actor = await bundle.start(cls, supervision=Supervision(on_failure=Directive.RESUME))
                with pytest.raises(AskFailed, match="handle returned a"):
                    await actor.ask(1)
                actor.tell(1)
                await bundle.wait_idle()
            assert bundle.dead_letters.total == 4

    run(main)


# Those who send to an actor that has ended


@attrs.define
class Forward(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


@attrs.define
class ForwardMany(Actor[Any]):
    out: ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell_many([message, message])


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("merge", [None, "event_time"])
@pytest.mark.parametrize("cls", [Forward, ForwardMany])
def test_the_end_of_one_actor_is_not_its_senders(cls: Any, merge: str | None, dispatch: str) -> None:
    """A leaf that a failure stops makes dead letters of what is told to it, and its sender goes on; send and ask raise."""

    @attrs.frozen
    class At:
        event_time_ns: int

    class Leaf(Actor[Any]):
        def handle(self, message: Any) -> None:
            raise ValueError

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            leaf = await bundle.start(
                Leaf, name="leaf", merge=merge, supervision=Supervision(on_failure=Directive.STOP)
            )
            forward = await bundle.start(cls, out=leaf, name="forward")
            for number in range(20):
                forward.tell(At(number))
                await trio.testing.wait_all_tasks_blocked()
            each = 2 if cls is ForwardMany else 1
            assert balance(bundle, "forward") == {"received": 20, "handled": 20, "failed": 0}
            ended = bundle.statistics().ended
            assert (ended.failed, ended.lost) == (1, {Loss.STOPPED: 20 * each - 1})
            assert bundle.dead_letters.total == 20 * each
            with pytest.raises(ActorStopped):
                await leaf.send(At(1))
            with pytest.raises(ActorStopped):
                await leaf.send_many([At(1)])
            with pytest.raises(ActorStopped):
                await leaf.ask(At(1))

    run(main)


# What supervision answers


@pytest.mark.parametrize("answer", ["again", 3, object()])
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_an_answer_of_on_error_that_is_no_directive_says_so(answer: Any, dispatch: str) -> None:
    """It escalates, with the answer and what would be right, and the handler's error as its cause."""

    class Answers(Raises):
        def on_error(self, error: Exception, message: Any) -> Any:
            return answer

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Answers, name="a")
            actor.tell(KeyError("the first"))
            await trio.sleep(1)

    with pytest.raises(ExceptionGroup) as group:
        run(main)
    error = group.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions  # type: ignore[assignment]
    assert isinstance(error, UsageError)
    assert "on_error answers a spore.Directive" in str(error)
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_an_actor_that_fails_now_and_then_goes_on_for_months(dispatch: str) -> None:
    """Successes in between end a row of restarts; by default every thousandth message may fail, and the bundle never ends."""

    class NowAndThen(Actor[Any]):
        def handle(self, message: int) -> None:
            if message % 1_000 == 999:
                raise ValueError(message)

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(NowAndThen, name="a")
            for number in range(30_000):
                await actor.send(number)
            await bundle.wait_idle()
            await trio.sleep(1)
            assert balance(bundle, "a") == {"received": 30_000, "handled": 29_970, "failed": 30}
            assert bundle.statistics().actors["a"].restarts == 30
            assert trio.current_time() < 1 + 30 * 0.12  # each waits as the first of a row does

    run(main)


def test_an_actor_that_fails_always_escalates() -> None:
    """Without enough successes in between the limit holds, and the bundle ends with what was wrong."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Raises, name="a")
            for number in range(20):
                for _ in range(50):
                    actor.tell(number)
                actor.tell(ValueError(number))
            await trio.sleep(100)

    with pytest.raises(ExceptionGroup) as group:
        run(main)
    assert group.group_contains(spore.errors.RestartLimit, match="5 restarts in 60 s")
