"""The runtime contract, rule by rule. `both` runs a test in both dispatches, because results may not differ."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from tests.actors import ESCALATE, NO_WAIT, RESUME, STOP, Log, Slow, balance, both, only, open_gate, shut
from trio.testing import wait_all_tasks_blocked

from spore import Actor, ActorRef, Directive, Supervision, open_bundle
from spore.errors import ActorStopped, AskFailed, AskTimeout, MailboxFull, RestartLimit
from spore.nursery_bundle import ActorState, Loss
from spore.testing import run, start_probe

# Order and priority


@both
@pytest.mark.parametrize("slow", [False, True])
def test_order_and_priority(dispatch: str, slow: bool) -> None:
    """What one sender sends is handled in its order; of what waits, high priority comes before normal."""

    async def main() -> list[Any]:
        log: list[Any] = []
        gate = shut()
        async with open_bundle("b", dispatch=dispatch) as bundle:
            last = await bundle.start(Slow, log=log, gate=gate, name="last")
            first = await bundle.start(Log, log=[], out=last, name="first") if not slow else last
            first.tell("in hand")
            await wait_all_tasks_blocked()
            for number in range(3):
                last.tell(("n", number))
                last.tell(("H", number), high=True)
            await last.send(("H", 3), high=True)
            open_gate(gate)
        return log

    high = [("H", number) for number in range(4)]
    assert run(main) == ["in hand", *high, *[("n", number) for number in range(3)]]


def test_plain_handlers_take_high_priority_first() -> None:
    """The dispatcher too takes what is urgent before the rest."""

    async def main() -> list[Any]:
        async with open_bundle("b", dispatch="queued") as bundle:
            probe = await start_probe(bundle)
            for number in range(4):
                probe.ref.tell(number, high=number % 2 == 1)
        return probe.received

    assert run(main) == [1, 3, 0, 2]


@both
def test_many_at_once_keep_their_order(dispatch: str) -> None:
    """tell_many and send_many hand over all, in order, from lists and generators alike."""

    async def main() -> list[Any]:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle, capacity=3)
            probe.ref.tell_many([0, 1, 2, 3])
            probe.ref.tell_many(number for number in (4, 5))
            await probe.ref.send_many(range(6, 10))
        return probe.received

    assert run(main) == list(range(10))


@both
def test_a_generator_that_fails_is_not_the_handlers_failure(dispatch: str) -> None:
    """What the messages' own generator raises reaches the caller, and the actor knows nothing of it."""

    def broken() -> Any:
        yield 1
        raise LookupError

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)
            with pytest.raises(LookupError):
                probe.ref.tell_many(broken())
            await bundle.wait_idle()
            assert balance(bundle, "probe")["failed"] == 0

    run(main)


@both
@pytest.mark.parametrize("directive", [Directive.RESUME, Directive.RESTART])
def test_many_at_once_go_on_after_a_failure(dispatch: str, directive: Directive) -> None:
    """A failure amid tell_many costs one message, whether the actor goes on as it is or afresh."""

    async def main() -> list[Any]:
        log: list[Any] = []
        supervision = Supervision(on_failure=directive, backoff_s=0)
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Log, log=log, name="a", supervision=supervision)
            actor.tell_many([1, ValueError(), 2, ValueError(), 3])
            await bundle.wait_idle()
            assert balance(bundle, "a") == {"received": 5, "handled": 3, "failed": 2}
        return [entry for entry in log if isinstance(entry, int)]

    assert run(main) == [1, 2, 3]


@attrs.define
class Echo(Actor[Any]):
    """Sends each number below a limit on to itself or around a cycle, plus one."""

    log: list[Any]
    out: ActorRef[Any]
    limit: int = 5

    def handle(self, message: int) -> None:
        if message < self.limit:
            self.out.tell(message + 1)
        self.log.append(message)


@both
def test_one_message_at_a_time(dispatch: str) -> None:
    """An actor that tells itself handles that message after the one in hand, not inside it."""

    async def main() -> list[int]:
        log: list[int] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Echo, log=log, out=bundle.ref("me"), name="me")
            actor.tell(0)
        return log

    assert run(main) == list(range(6))


@both
def test_a_deep_chain_does_not_exhaust_the_stack(dispatch: str) -> None:
    """A message passes through more actors than Python's stack has room for."""

    async def main() -> int:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle)
            ref: ActorRef[Any] = probe.ref
            for _ in range(1_500):
                ref = await bundle.start(Log, log=[], out=ref)
            ref.tell("through")
            ref.tell_many(["again"])
            assert await ref.ask("answer") == "answer"
        return len(probe.received)

    assert run(main) == 3


# Mailboxes and overflow


@both
@pytest.mark.parametrize(
    ("overflow", "handled", "lost"),
    [
        ("drop_oldest", [0, 3, 4], {Loss.DROPPED_OLDEST: 2}),
        ("drop_newest", [0, 1, 2], {Loss.DROPPED_NEWEST: 2}),
        ("fail", [0, 1, 2], {Loss.FULL: 2}),
        ("conflate", [0, 3, 4], {Loss.CONFLATED: 2}),
        ("block", [0, 1, 2, 3, 4], {}),
    ],
)
def test_overflow_policies(dispatch: str, overflow: str, handled: list[int], lost: dict[Loss, int]) -> None:
    """Each policy gives up exactly what it says, counts it by reason and keeps it as a dead letter."""

    async def main() -> None:
        gate = shut()
        log: list[int] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            key = (lambda number: number % 2) if overflow == "conflate" else None
            actor = await bundle.start(Slow, log=log, gate=gate, name="a", capacity=2, overflow=overflow, key=key)
            refused: list[str] = []
            actor.tell(0)
            await wait_all_tasks_blocked()
            for number in range(1, 5):
                try:
                    actor.tell(number)
                except MailboxFull as error:
                    refused.append(error.actor)
            assert refused == ["a"] * lost.get(Loss.FULL, 0)
            open_gate(gate)
            await bundle.wait_idle()
            assert balance(bundle, "a") == {"received": 5, "handled": len(handled), "failed": 0, **lost}
            assert [letter.reason for letter in bundle.dead_letters] == [
                reason for reason, count in lost.items() for _ in range(count)
            ]
        assert log == handled

    run(main)


def test_lossy_results_do_not_depend_on_the_dispatch() -> None:
    """A plain actor that may lose messages is always queued, so that the same burst loses the same messages."""

    async def main(dispatch: str) -> list[Any]:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle, capacity=2, overflow="drop_oldest")
            for number in range(5):
                probe.ref.tell(number)
        return probe.received

    assert run(main, "inline") == run(main, "queued") == [3, 4]


def test_send_waits_for_room_and_tell_does_not() -> None:
    """Under block a send waits until there is room, while a tell is taken at once and runs the mailbox over."""

    async def main() -> None:
        gate = shut()
        log: list[int] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Slow, log=log, gate=gate, name="a", capacity=1)
            await actor.send(0)
            await wait_all_tasks_blocked()
            await actor.send(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(actor.send, 2)
                await wait_all_tasks_blocked()
                assert balance(bundle, "a")["received"] == 2
                actor.tell(3)
                assert balance(bundle, "a")["received"] == 3
                open_gate(gate)
        assert log == [0, 1, 3, 2]

    run(main)


def test_a_waiting_send_counts_when_it_is_taken() -> None:
    """The counts add up at every moment, also between a waiting sender's message being taken and its waking up."""
    seen = []

    class Looker(Actor[Any]):
        async def handle(self, message: Any) -> None:
            await trio.lowlevel.checkpoint()
            assert balance(bundle, "looker")["handled"] == len(seen) % 6 + 1  # the one in hand included
            seen.append(message)

    async def main() -> None:
        nonlocal bundle
        async with open_bundle("b") as bundle:
            looker = await bundle.start(Looker, name="looker", capacity=1, supervision=ESCALATE)
            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(looker.send, number)

    bundle: Any = None
    for seed in range(5):
        run(main, seed=seed)
    assert len(seen) == 30


def test_a_cancelled_send_was_not_sent() -> None:
    """A send that is cancelled has sent nothing; one that has sent something is not cancelled."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle, capacity=5)
            sent = 0
            with trio.CancelScope() as scope:
                scope.cancel()
                while True:
                    await probe.ref.send(sent)
                    sent += 1
            await bundle.wait_idle()
            assert len(probe.received) == sent
            gate = shut()
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=1)
            slow.tell_many([1, 2])
            await wait_all_tasks_blocked()
            with trio.move_on_after(1) as scope:
                await slow.send(3)
            assert scope.cancelled_caught
            assert balance(bundle, "slow")["received"] == 2
            open_gate(gate)

    run(main)


@both
def test_pressure_reaches_the_outermost_send(dispatch: str) -> None:
    """After tells have run a mailbox over, a send from outside waits until it has gone, if it leads there at all."""

    async def main() -> None:
        gate = shut()
        log: list[int] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            last = await bundle.start(Slow, log=log, gate=gate, name="last", capacity=2)
            middle = await bundle.start(Log, log=[], out=last, name="middle")
            first = await bundle.start(Log, log=[], out=middle, name="first")
            elsewhere = await start_probe(bundle, "elsewhere")
            for number in range(5):
                first.tell(number)
            await wait_all_tasks_blocked()
            assert balance(bundle, "last")["received"] == 5
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send, 5)
                await elsewhere.ref.send("unhindered")
                await wait_all_tasks_blocked()
                assert balance(bundle, "first")["received"] == 5
                open_gate(gate, 1)
                await wait_all_tasks_blocked()
                assert balance(bundle, "first")["received"] == 5
                open_gate(gate, 1)
                await wait_all_tasks_blocked()
                assert balance(bundle, "first")["received"] == 6
                open_gate(gate)
        assert log == list(range(6))

    run(main)


def test_pressure_of_a_conflating_mailbox() -> None:
    """With more keys told than there is room for, a conflating mailbox holds back the outside too."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            last = await bundle.start(
                Slow, log=[], gate=gate, name="last", capacity=1, overflow="conflate", key=lambda m: m
            )
            first = await bundle.start(Log, log=[], out=last, name="first")
            for number in range(4):
                first.tell(number)
            await wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send, 9)
                await wait_all_tasks_blocked()
                assert balance(bundle, "first")["received"] == 4
                open_gate(gate)

    run(main)


def test_pressure_ends_with_the_actor() -> None:
    """An overrun actor that is stopped holds nobody back any more."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            last = await bundle.start(Slow, log=[], gate=gate, name="last", capacity=1, supervision=STOP)
            first = await bundle.start(Log, log=[], out=last, name="first", supervision=RESUME)
            first.tell_many([1, 2, 3, 4])
            last.tell(ValueError(), high=True)
            await wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send, 5)
                await wait_all_tasks_blocked()
                assert balance(bundle, "first")["received"] == 4
                open_gate(gate)
            assert balance(bundle, "last")[Loss.STOPPED] >= 2

    run(main)


# Cycles


@attrs.define
class Ring(Actor[Any]):
    """Sends each number on to the next of the ring, minus one, until it is nothing."""

    log: list[Any]
    out: ActorRef[Any]

    async def handle(self, message: int) -> None:
        if message > 0:
            await self.out.send(message - 1)
            await self.out.send(0)
        self.log.append(message)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_cycles_of_full_mailboxes_do_not_deadlock(size: int) -> None:
    """Async actors that send in a circle, through mailboxes of one place, come to an end on every schedule."""

    async def main() -> int:
        log: list[int] = []
        async with open_bundle("b", drain_timeout_s=100) as bundle:
            refs = [
                await bundle.start(Ring, log=log, out=bundle.ref(f"r{(n + 1) % size}"), name=f"r{n}", capacity=1)
                for n in range(size)
            ]
            for _ in range(3):
                for ref in refs:
                    await ref.send(5)
            with trio.fail_after(50):
                await bundle.wait_idle()
            assert bundle.dead_letters.total == 0
        return len(log)

    assert {run(main, seed=seed) for seed in range(10)} == {3 * size * 11}


@attrs.define
class Replier(Actor[Any]):
    """Sends to a reference that comes in the message, twice."""

    async def handle(self, message: Any) -> None:
        number, back, there = message
        if number:
            await back.send((number - 1, there, back))
            await back.send((0, there, back))


def test_references_in_messages_do_not_deadlock() -> None:
    """A cycle over references that came in messages comes to an end, as one over ports does."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            one = await bundle.start(Replier, name="one", capacity=1)
            two = await bundle.start(Replier, name="two", capacity=1)
            for _ in range(4):
                one.tell((5, two, one))
                two.tell((5, one, two))
            with trio.fail_after(50):
                await bundle.wait_idle()
            assert bundle.dead_letters.total == 0

    for seed in range(5):
        run(main, seed=seed)


@attrs.define
class Asker(Actor[Any]):
    """Asks another actor for its answer."""

    out: ActorRef[Any]

    async def handle(self, message: Any) -> Any:
        return await self.out.ask(message)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_asking_in_a_circle_is_an_error_at_once(size: int) -> None:
    """Actors that would wait for each other's answers, or for their own, are told so and time does not pass."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            for n in range(size):
                await bundle.start(Asker, out=bundle.ref(f"a{(n + 1) % size}"), name=f"a{n}", supervision=RESUME)
            began = trio.current_time()
            with pytest.raises(AskFailed, match="never be an answer"):
                await bundle.ref("a0").ask("?")
            assert trio.current_time() == began

    run(main)


# Asking


@both
@pytest.mark.parametrize("slow", [False, True])
def test_ask(dispatch: str, slow: bool) -> None:
    """An ask gets what the handler returned, or AskFailed with what it raised as the cause; a tell gets neither."""

    async def main() -> None:
        gate = shut()
        open_gate(gate)
        async with open_bundle("b", dispatch=dispatch) as bundle:
            if slow:
                actor = await bundle.start(Slow, log=[], gate=gate, name="a", supervision=RESUME)
            else:
                actor = await bundle.start(Log, log=[], name="a", supervision=RESUME)
            assert await actor.ask(7) == 7
            error = ValueError("no")
            actor.tell(error)
            with pytest.raises(AskFailed, match="ValueError: no") as caught:
                await actor.ask(error)
            assert caught.value.__cause__ is error
            assert caught.value.actor == "a"
            assert balance(bundle, "a") == {"received": 3, "handled": 1, "failed": 2}

    run(main)


def test_ask_times_out() -> None:
    """An ask without an answer in time fails; the message is handled all the same."""

    async def main() -> None:
        gate = shut()
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Slow, log=log, gate=gate, name="a", capacity=1)
            with pytest.raises(AskTimeout, match=r"0\.5 s"):
                await actor.ask("late", timeout=0.5)
            assert trio.current_time() == pytest.approx(0.5)
            await actor.send("fills the mailbox")
            with pytest.raises(AskTimeout):
                await actor.ask("no room", timeout=0.5)
            with trio.move_on_after(1) as scope:
                await actor.ask("cancelled", timeout=5)
            assert scope.cancelled_caught
            open_gate(gate)
            assert await actor.ask("in time") == "in time"
        assert log == ["late", "fills the mailbox", "in time"]

    run(main)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "fail"])
def test_an_ask_that_is_lost_fails(overflow: str) -> None:
    """An ask whose message is given up fails at once, with the reason."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Slow, log=[], gate=gate, name="a", capacity=1, overflow=overflow)
            actor.tell(0)
            await wait_all_tasks_blocked()
            if overflow != "drop_oldest":
                actor.tell(1)
                with pytest.raises(MailboxFull if overflow == "fail" else AskFailed):
                    await actor.ask(2)
            else:
                async with trio.open_nursery() as nursery:

                    @nursery.start_soon
                    async def ask() -> None:
                        with pytest.raises(AskFailed, match="dropped_oldest"):
                            await actor.ask(1)

                    await wait_all_tasks_blocked()
                    actor.tell(2)
            assert trio.current_time() == 0
            open_gate(gate)

    run(main)


def test_asks_are_not_conflated_away() -> None:
    """Under conflate an ask keeps its place: somebody waits for the answer."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            actor = await bundle.start(
                Slow, log=[], gate=gate, name="a", capacity=9, overflow="conflate", key=lambda _: 0
            )
            actor.tell("in hand")
            await wait_all_tasks_blocked()
            answers = []
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def ask() -> None:
                    answers.append(await actor.ask("asked"))

                await wait_all_tasks_blocked()
                actor.tell("told")
                actor.tell("told again")
                open_gate(gate)
            assert answers == ["asked"]

    run(main)


def test_asks_of_the_stopped_and_the_cancelled_fail() -> None:
    """An ask that waits for an actor that is stopped by its failure fails rather than waiting for ever."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Slow, log=[], gate=gate, name="a", supervision=STOP)
            actor.tell(ValueError())
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def ask() -> None:
                    with pytest.raises(AskFailed, match="stopped"):
                        await actor.ask(1)

                await wait_all_tasks_blocked()
                open_gate(gate)
            with pytest.raises(ActorStopped):
                await actor.ask(2)

    run(main)


# Supervision


@both
def test_directives_that_go_on(dispatch: str) -> None:
    """Resume goes on with the same actor, restart with a fresh one and the mailbox as it was."""

    async def main(directive: Directive) -> list[Any]:
        log: list[Any] = []
        made = []

        def factory(**fields: Any) -> Log:
            made.append(len(made))
            return Log(who=f"#{made[-1]}", **fields)

        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(factory, log=log, name="a", supervision=Supervision(on_failure=directive))
            for message in (1, ValueError("x"), 2):
                actor.tell(message)
            await bundle.wait_idle()
            (letter,) = bundle.dead_letters
            assert (letter.actor, letter.reason, str(letter.error)) == ("a", Loss.FAILED, "x")
            assert bundle.statistics().actors["a"].restarts == len(made) - 1
        return log

    assert run(main, Directive.RESUME) == [("#0", "start"), ("#0", 1), ("#0", 2), ("#0", "stop")]
    assert run(main, Directive.RESTART) == [
        *[("#0", "start"), ("#0", 1), ("#0", "stop")],
        *[("#1", "start"), ("#1", 2), ("#1", "stop")],
    ]


@both
def test_the_sender_never_sees_the_failure(dispatch: str) -> None:
    """What a receiver raises goes to the receiver's supervision, not to the actor that sent the message."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            bad = await bundle.start(Failing, name="bad", supervision=RESUME)
            sender = await bundle.start(Log, log=[], out=bad, name="sender")
            sender.tell(1)
            await bundle.wait_idle()
            assert balance(bundle, "sender")["failed"] == 0
            assert balance(bundle, "bad")["failed"] == 1

    run(main)


class Failing(Actor[Any]):
    def handle(self, message: Any) -> None:
        raise ValueError(message)


@both
def test_stop_ends_one_actor(dispatch: str) -> None:
    """Stop ends the actor that failed, counts what was left for it, and the others go on."""

    async def main() -> None:
        log: list[Any] = []
        gate = shut()
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Slow, log=log, gate=gate, name="a", supervision=STOP)
            plain = await bundle.start(Log, log=log, name="p", supervision=STOP)
            other = await start_probe(bundle)
            for message in (1, ValueError(), 2, 3):
                actor.tell(message)
            open_gate(gate)
            plain.tell(ValueError())
            await bundle.wait_idle()
            await wait_all_tasks_blocked()
            assert balance(bundle, "a") == {"received": 5, "handled": 1, "failed": 2, Loss.STOPPED: 2}
            assert bundle.statistics().actors.keys() == {"probe"}
            for refused in (actor, plain):
                refused.tell(4)
                with pytest.raises(ActorStopped):
                    await refused.send(4)
            assert balance(bundle, "a")[Loss.STOPPED] == 4  # a tell to one that has ended is a dead letter
            other.ref.tell("goes on")
        assert sorted(map(str, log)) == ["1", "start", "stop"]
        assert other.received == ["goes on"]

    run(main)


@both
def test_escalation_leaves_the_bundle_as_a_group(dispatch: str) -> None:
    """Escalate ends the bundle with an exception group that holds what the handler raised."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Log, log=[], name="a", supervision=ESCALATE)
            actor.tell(ValueError("up"))
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    error = only(caught)
    assert isinstance(error, ValueError)
    assert error.__notes__ == ["escalated by actor 'a' of bundle 'b'"]


class Decider(Actor[Any]):
    """Does what the message says about its own failure."""

    def handle(self, message: Any) -> None:
        raise ValueError(message)

    def on_error(self, error: Exception, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message


@both
def test_on_error_decides(dispatch: str) -> None:
    """What on_error returns overrides the supervision; None leaves it to that; what it raises escalates."""

    async def main(decision: Any) -> ActorState:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Decider, name="a", supervision=STOP)
            actor.tell(decision)
            await bundle.wait_idle()
            return bundle.statistics().actors["a"].state

    assert run(main, Directive.RESUME) is ActorState.RUNNING
    assert run(main, Directive.STOP) is ActorState.STOPPED
    assert run(main, None) is ActorState.STOPPED
    with pytest.raises(ExceptionGroup) as caught:
        run(main, KeyError("second"))
    assert isinstance(only(caught), KeyError)
    assert isinstance(only(caught).__cause__, ValueError)
    with pytest.raises(ExceptionGroup) as caught:
        run(main, "nonsense")
    assert "nonsense" in str(only(caught))


@attrs.define
class Fragile(Actor[Any]):
    """Notes when it starts; its start fails while there are failures left in the list."""

    times: list[float]
    failures: list[Exception]

    def on_start(self) -> None:
        self.times.append(trio.current_time())
        if self.failures:
            raise self.failures.pop()

    def handle(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message


def test_backoff_doubles_with_jitter() -> None:
    """Restart n waits backoff · 2ⁿ⁻¹ up to the maximum, give or take the jitter, and no two seeds wait alike."""
    supervision = Supervision(max_restarts=6, within_s=1000, backoff_s=1, backoff_max_s=8, jitter=0.25)

    async def main() -> list[float]:
        times: list[float] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Fragile, times=times, failures=[], name="a", supervision=supervision)
            for _ in range(5):
                actor.tell(ValueError())
                actor.tell("wait for me")
                await bundle.wait_idle()
        return [later - earlier for earlier, later in pairwise(times)]

    waits = run(main, seed=1)
    for wait, middle in zip(waits, [1, 2, 4, 8, 8], strict=True):
        assert 0.75 * middle <= wait <= 1.25 * middle
    assert waits != [1, 2, 4, 8, 8]
    assert run(main, seed=1) == waits
    assert run(main, seed=2) != waits


@both
def test_too_many_restarts_escalate(dispatch: str) -> None:
    """One failure too many within the time escalates as RestartLimit, with that failure as its cause."""
    supervision = Supervision(max_restarts=2, within_s=60, backoff_s=0)

    async def main(pause_s: float) -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Log, log=[], name="a", supervision=supervision)
            for number in range(4):
                actor.tell(ValueError(number))
                await bundle.wait_idle()
                await trio.sleep(pause_s)

    with pytest.raises(ExceptionGroup) as caught:
        run(main, 1)
    error = only(caught)
    assert isinstance(error, RestartLimit)
    assert error.actor == "a"
    assert error.__cause__ is not None
    assert error.__cause__.args == (2,)
    run(main, 31)  # two a minute are allowed


def test_a_restart_that_fails_counts() -> None:
    """An on_start that fails during a restart is one more failure: tried again, and given up with the same limit."""

    async def main(failures: int) -> int:
        times: list[float] = []
        left: list[Exception] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(
                Fragile, times=times, failures=left, name="a", supervision=Supervision(max_restarts=3)
            )
            left += [OSError(number) for number in range(failures)]
            actor.tell(ValueError())
            assert await actor.ask("kept", timeout=60) == "kept"
            assert bundle.statistics().actors["a"].restarts == 1
        return len(times)

    assert run(main, 2) == 4
    with pytest.raises(ExceptionGroup) as caught:
        run(main, 3)
    assert isinstance(only(caught).__cause__, OSError)


def test_a_restart_may_bring_another_kind_of_handler() -> None:
    """A factory may build a plain actor after an async one and the reverse; messages and order are kept."""

    async def main() -> list[Any]:
        log: list[Any] = []
        gate = shut()
        open_gate(gate)
        made = []

        def factory() -> Actor[Any]:
            made.append(1)
            return Slow(log, gate) if len(made) % 2 else Log(log, who="plain")

        async with open_bundle("b") as bundle:
            actor = await bundle.start(factory, name="a", supervision=NO_WAIT)
            for number in range(4):
                actor.tell_many([number, ValueError(), ("after", number)])
                await bundle.wait_idle()
            assert balance(bundle, "a") == {"received": 12, "handled": 8, "failed": 4}
        return [
            entry[1] if entry[0] == "plain" else entry
            for entry in (e if isinstance(e, tuple) else ("", e) for e in log)
            if entry[1] not in ("start", "stop")
        ]

    expected: list[Any] = []
    for number in range(4):
        expected += [number, ("after", number)]
    for seed in range(5):
        result = [entry[1] if isinstance(entry, tuple) and entry[0] == "" else entry for entry in run(main, seed=seed)]
        assert result == expected


@both
def test_the_bundle_restarts_whole(dispatch: str) -> None:
    """Where the bundle's supervision says so, an escalation restarts all actors afresh, and mailboxes are kept."""

    async def main() -> None:
        log: list[Any] = []
        gate = shut()
        supervision = Supervision(on_failure=Directive.RESTART, max_restarts=2, backoff_s=1, jitter=0)
        async with open_bundle("b", dispatch=dispatch, supervision=supervision) as bundle:
            slow = await bundle.start(Slow, log=log, gate=gate, name="slow")
            one = await bundle.start(Log, log=log, who="one", name="one", out=slow, supervision=ESCALATE)
            two = await bundle.start(Log, log=log, who="two", name="two", supervision=ESCALATE)
            slow.tell("in hand")
            slow.tell("queued")
            await wait_all_tasks_blocked()
            one.tell_many([ValueError(), 1])
            two.tell(ValueError())  # both escalate before the restart: it is one restart
            await trio.sleep(0.5)
            two.tell(2)
            open_gate(gate)
            await trio.sleep(5)
            await bundle.wait_idle()
            assert {name: actor.restarts for name, actor in bundle.statistics().actors.items()} == {
                "slow": 1,
                "one": 1,
                "two": 1,
            }
            # the gate was opened while the handler was at work, so its message is not lost but handled
            assert balance(bundle, "slow")["received"] == 3
            assert sorted(map(repr, log)) == sorted(
                map(
                    repr,
                    [
                        *[("one", "start"), ("two", "start"), ("two", "stop"), ("one", "stop")],
                        *[("one", "start"), ("two", "start"), ("one", 1), ("two", 2)],
                        *["in hand", "queued", 1],
                    ],
                )
            )
            log.clear()

    run(main)


def test_a_whole_restart_does_not_wait_for_handlers() -> None:
    """A handler at work is cancelled by a whole restart and its message counted; nothing runs twice at a time."""

    async def main() -> None:
        log: list[Any] = []
        gate = shut()
        async with open_bundle("b") as bundle:
            slow = await bundle.start(Slow, log=log, gate=gate, name="slow")
            slow.tell_many([1, 2])
            await wait_all_tasks_blocked()
            await bundle.restart()
            open_gate(gate)
            await bundle.wait_idle()
            assert balance(bundle, "slow") == {"received": 2, "handled": 1, "failed": 0, Loss.CANCELLED: 1}
            assert log == [2]

            class Restarter(Actor[Any]):
                async def handle(self, message: Any) -> None:
                    await bundle.restart()

            restarter = await bundle.start(Restarter, supervision=RESUME)
            with pytest.raises(AskFailed, match="of its own, which would end with it"):
                await restarter.ask(1)

    run(main)


def test_whole_restarts_have_a_limit_too() -> None:
    """A bundle that fails too often, in its actors or in being restarted, gives up with RestartLimit."""
    supervision = Supervision(on_failure=Directive.RESTART, max_restarts=2, backoff_s=0)

    async def by_messages() -> None:
        async with open_bundle("b", supervision=supervision) as bundle:
            actor = await bundle.start(Log, log=[], name="a", supervision=ESCALATE)
            for number in range(4):
                actor.tell(ValueError(number))
            await trio.sleep_forever()

    async def by_starting() -> None:
        async with open_bundle("b", supervision=supervision) as bundle:
            failures: list[Exception] = []
            actor = await bundle.start(Fragile, times=[], failures=failures, name="a", supervision=ESCALATE)
            failures += [OSError(2), OSError(1)]
            actor.tell(ValueError(0))
            await trio.sleep_forever()

    for main in (by_messages, by_starting):
        with pytest.raises(ExceptionGroup) as caught:
            run(main)
        assert isinstance(only(caught), RestartLimit)
        assert only(caught).__cause__.args == (2,)  # type: ignore[union-attr]


@both
@pytest.mark.parametrize("slow", [False, True])
def test_interrupts_are_not_failures(dispatch: str, slow: bool) -> None:
    """A KeyboardInterrupt in a handler leaves the bundle, past all supervision, and its message is counted."""
    bundles = []

    class Plain(Actor[Any]):
        def handle(self, message: Any) -> None:
            raise KeyboardInterrupt

    class Async(Actor[Any]):
        async def handle(self, message: Any) -> None:
            raise KeyboardInterrupt

    async def main(how: str) -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            bundles.append(bundle)
            actor = await bundle.start(Async if slow else Plain, name="a", supervision=RESUME)
            if how == "ask":
                await actor.ask(1)
            elif how == "many":
                actor.tell_many([1])
            else:
                actor.tell(1)
            await trio.sleep_forever()

    for how in ("tell", "many", "ask"):
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            run(main, how)
        leaves = [only(caught)] if not isinstance(caught.value, BaseExceptionGroup) else list(_leaves(caught.value))
        assert any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves)
        assert balance(bundles.pop(), "a") == {"received": 1, "handled": 0, "failed": 0, Loss.CANCELLED: 1}


def _leaves(error: BaseException) -> Any:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
