"""The runtime contract, continued: stopping, cancelling, fairness, timers, ports and misuse."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest
import trio
from tests.actors import NO_WAIT, RESUME, STOP, Log, Slow, balance, both, only, open_gate, shut
from trio.testing import wait_all_tasks_blocked

import spore
from spore import Actor, ActorRef, Supervision, open_bundle
from spore.errors import ActorStopped, AskFailed, UsageError
from spore.nursery_bundle import ActorState, DeadLetters, Loss
from spore.testing import Probe, run, start_probe

# Stop drains


@attrs.define
class Last(Actor[Any]):
    """Sends a last word when it stops."""

    log: list[Any]
    out: ActorRef[Any] | None = None
    who: str = ""

    async def handle(self, message: Any) -> None:
        await trio.sleep(1)
        self.log.append((self.who, message))
        if self.out is not None:
            await self.out.send(message)

    async def on_stop(self) -> None:
        await trio.sleep(1)
        self.log.append((self.who, "stop"))
        if self.out is not None:
            await self.out.send(f"last of {self.who}")


@both
def test_leaving_drains_senders_first(dispatch: str) -> None:
    """Leaving handles what is queued and stops senders before receivers, so that last words are handled too."""

    async def main() -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            three = await bundle.start(Last, log=log, name="three", who="three")
            one = await bundle.start(Last, log=log, name="one", who="one", out=bundle.ref("two"))
            await bundle.start(Last, log=log, name="two", who="two", out=three)
            one.tell("a")
            one.tell("b")
        assert bundle.dead_letters.total == 0
        assert {actor.state for actor in bundle.statistics().actors.values()} == {ActorState.STOPPED}
        return log

    expected = ["a", "b"]
    log = run(main)
    for who, last in (("one", []), ("two", ["last of one"]), ("three", ["last of one", "last of two"])):
        assert [what for name, what in log if name == who] == [*expected, *last, "stop"]
    stops = [name for name, what in log if what == "stop"]
    assert stops == ["one", "two", "three"]


def test_a_cycle_is_drained_together() -> None:
    """Of a cycle, each actor handles what the others' on_stop sends; what comes after its own is counted."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            await bundle.start(Log, log=log, name="two", who="two", out=bundle.ref("one"))
            await bundle.start(Last, log=log, name="one", who="one", out=bundle.ref("two"))
        letters = [(letter.actor, letter.reason, letter.message) for letter in bundle.dead_letters]
        assert letters == [("one", Loss.STOPPED, "last of one")]
        assert ("two", "last of one") in log
        assert balance(bundle, "two")["handled"] == 1

    run(main)


@both
def test_the_drain_has_a_deadline(dispatch: str) -> None:
    """What is not handled in time is counted as deadline, the message in hand included, and on_stop is called."""

    async def main() -> float:
        log: list[Any] = []
        async with open_bundle("b", dispatch=dispatch, drain_timeout_s=5) as bundle:
            last = await bundle.start(Last, log=log, name="last", who="last")
            stuck = await bundle.start(Slow, log=log, gate=shut(), out=last, name="stuck")
            first = await bundle.start(Log, log=log, out=stuck, name="first")
            first.tell_many([1, 2, 3])
        assert balance(bundle, "stuck") == {"received": 3, "handled": 0, "failed": 0, Loss.DEADLINE: 3}
        assert balance(bundle, "first")["handled"] == 3
        assert bundle.dead_letters.total == 3
        assert log[-1] == "stop"
        return trio.current_time()

    assert run(main) == pytest.approx(5)


@both
def test_cancellation_stops_at_once(dispatch: str) -> None:
    """A cancelled bundle handles nothing more, counts the rest, the one in hand included, and calls every on_stop."""

    async def main() -> None:
        log: list[Any] = []
        stopped = []

        @attrs.define
        class Leaver(Actor[Any]):
            name: str

            def handle(self, message: Any) -> None:
                raise AssertionError

            async def on_stop(self) -> None:
                stopped.append(self.name)
                await trio.sleep(1)
                stopped.append("too late")

        with trio.CancelScope() as scope:
            async with open_bundle("b", dispatch=dispatch) as bundle:
                slow = await bundle.start(Slow, log=log, gate=shut(), name="slow")
                for name in ("one", "two"):
                    await bundle.start(lambda name=name: Leaver(name), name=name)
                plain = await bundle.start(Log, log=log, name="plain", supervision=Supervision(backoff_s=9))
                slow.tell_many([1, 2, 3])
                plain.tell_many([ValueError(), 1, 2])
                await wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        assert trio.current_time() == 0
        assert balance(bundle, "slow") == {"received": 3, "handled": 0, "failed": 0, Loss.CANCELLED: 3}
        assert balance(bundle, "plain") == {"received": 3, "handled": 0, "failed": 1, Loss.CANCELLED: 2}
        assert sorted(stopped) == ["one", "two"]
        assert log == ["start", "stop"]

    run(main)


def test_on_stop_comes_after_the_cancelled_handler() -> None:
    """When the bundle is cancelled, a handler has cleaned up before its actor's on_stop is called."""

    async def main() -> list[str]:
        log = []

        class Cleaner(Actor[Any]):
            async def handle(self, message: Any) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    log.append("handler ends")

            def on_stop(self) -> None:
                log.append("on_stop")

        with trio.CancelScope() as scope:
            async with open_bundle("b") as bundle:
                actor = await bundle.start(Cleaner, name="cleaner")
                actor.tell(1)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert balance(bundle, "cleaner") == {"received": 1, "handled": 0, "failed": 0, Loss.CANCELLED: 1}
        return log

    assert run(main) == ["handler ends", "on_stop"]


def test_an_exception_in_the_body_stops_at_once() -> None:
    """Leaving with an exception cancels, and the exception comes out in a group."""

    async def main() -> None:
        nonlocal bundle
        async with open_bundle("b", dispatch="queued") as bundle:
            probe = await start_probe(bundle)
            probe.ref.tell(1)
            raise LookupError

    bundle: Any = None
    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert isinstance(only(caught), LookupError)
    assert balance(bundle, "probe")[Loss.CANCELLED] == 1


@both
def test_stop_one_actor(dispatch: str) -> None:
    """An actor that is stopped handles what was queued at the call, and nothing that comes after it; its name is free then."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Last, log=log, who="a", name="a", capacity=2)
            actor.tell(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bundle.stop, actor)
                await trio.sleep(0.5)
                actor.tell(2)
                await trio.sleep(2)  # in its on_stop, it handles no more
                actor.tell("too late")
            assert log == [("a", 1), ("a", "stop")]
            assert balance(bundle, "a") == {"received": 3, "handled": 1, "failed": 0, Loss.STOPPED: 2}
            actor.tell(3)
            assert balance(bundle, "a") == {"received": 4, "handled": 1, "failed": 0, Loss.STOPPED: 3}
            with pytest.raises(ActorStopped):
                await actor.send(3)
            with pytest.raises(ActorStopped):
                await actor.ask(3)
            with pytest.raises(UsageError, match="no actor 'a'"):
                await bundle.stop("a")
            with pytest.raises(UsageError, match="no actor 'z'"):
                await bundle.stop("z")

    run(main)


def test_a_stop_that_is_cancelled() -> None:
    """Cancelled while it waits for the queue, a stop leaves the actor going; within on_stop, the actor has stopped."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Last, log=log, who="a", name="a")
            actor.tell(1)
            with trio.move_on_after(0.5):
                await bundle.stop(actor)
            assert bundle.statistics().actors["a"].state is ActorState.RUNNING
            actor.tell(2)
            await bundle.wait_idle()
            with trio.move_on_after(0.5):
                await bundle.stop(actor)
            await trio.sleep(5)  # its on_stop goes on without whoever called
            assert bundle.statistics().ended.actors == 1
        assert log == [("a", 1), ("a", 2), ("a", "stop")]

    run(main)


def test_a_stop_overtakes_a_restart() -> None:
    """An actor that waits to be restarted with nothing queued is stopped at once, and does not come back."""

    async def main() -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Log, log=log, name="a", supervision=Supervision(backoff_s=5))
            actor.tell(ValueError())
            await bundle.stop(actor)
            await trio.sleep(20)
            assert bundle.statistics().ended.actors == 1
        return log

    assert run(main) == ["start", "stop"]


def test_a_drain_waits_for_a_restart_that_has_work() -> None:
    """An actor that waits to be restarted with something queued handles it before the bundle ends."""

    async def main() -> None:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Log, log=log, name="a", supervision=Supervision(backoff_s=5))
            actor.tell_many([ValueError(), 1])
        assert log == ["start", "stop", "start", 1, "stop"]

    run(main)


@attrs.define
class Lingerer(Actor[Any]):
    """Takes its time to start and to stop."""

    log: list[Any]

    async def on_start(self) -> None:
        await trio.sleep(1)
        self.log.append("started")

    async def on_stop(self) -> None:
        await trio.sleep(1)
        self.log.append("stopped")

    def handle(self, message: Any) -> None:
        raise message


def test_the_end_waits_for_goodbyes() -> None:
    """An actor that is stopped by its failure says goodbye to its end, though the bundle ends meanwhile."""

    async def main() -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Lingerer, log=log, supervision=STOP)
            actor.tell(ValueError())
        return log

    assert run(main) == ["started", "stopped"]


def test_stopped_while_it_restarts() -> None:
    """Every actor that has started says goodbye, though it is stopped before its start during a restart is through."""

    async def main(whole: bool) -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            actor = await bundle.start(Lingerer, log=log, name="a", supervision=NO_WAIT)
            async with trio.open_nursery() as nursery:
                if whole:
                    nursery.start_soon(bundle.restart)
                else:
                    actor.tell(ValueError())
                await trio.sleep(1.5)
                nursery.start_soon(bundle.stop, actor)
        return log

    assert run(main, False) == run(main, True) == ["started", "stopped"] * 2


def test_started_while_the_bundle_ends() -> None:
    """An actor whose start is not through when the bundle ends is started and stopped; nothing starts afterwards."""

    async def main() -> list[Any]:
        log: list[Any] = []
        async with trio.open_nursery() as nursery:
            async with open_bundle("b") as bundle:
                nursery.start_soon(lambda: bundle.start(Lingerer, log=log, name="late"))
                await trio.sleep(0.5)
            for begin in (bundle.every, bundle.after):
                with pytest.raises(UsageError, match="has ended"):
                    begin(1, bundle.ref("late"), 1)
            with pytest.raises(UsageError, match="has ended"):
                await bundle.start(Log, log=log)
        return log

    assert run(main) == ["started", "stopped"]


def test_the_latest_is_stopped_first() -> None:
    """Where nothing is wired, actors stop in the reverse order of their start, cancelled or not."""

    async def main(cancelled: bool) -> list[Any]:
        log: list[Any] = []
        with trio.CancelScope() as scope:
            async with open_bundle("b") as bundle:
                for who in ("one", "two", "three"):
                    await bundle.start(Log, log=log, who=who)
                if cancelled:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
        return [who for who, what in log if what == "stop"]

    assert run(main, False) == run(main, True) == ["three", "two", "one"]


def test_on_stop_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What on_stop raises is logged with the actor's name, and stops nobody else's goodbye."""

    class Bad(Probe[Any]):
        def on_stop(self) -> None:
            raise ValueError("no goodbye")

    async def main() -> list[Any]:
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            await bundle.start(Log, log=log)
            await bundle.start(Bad, name="bad")
        return log

    assert run(main) == ["start", "stop"]
    assert "actor bad: on_stop raised" in caplog.text
    assert "no goodbye" in caplog.text


def test_dead_letters_are_kept_and_counted() -> None:
    """The last letters are kept, oldest first, and all are counted."""

    async def main() -> DeadLetters:
        async with open_bundle("b", keep_letters=2) as bundle:
            actor = await bundle.start(Log, log=[], name="a", supervision=RESUME)
            for number in range(5):
                actor.tell(ValueError(number))
            await bundle.wait_idle()
            assert bundle.statistics().dead_letters == 5
            return bundle.dead_letters

    letters = run(main)
    assert (letters.total, len(letters)) == (5, 2)
    assert [str(letter.message) for letter in letters] == ["3", "4"]


# Fairness


@attrs.define
class Forever(Actor[Any]):
    """Always has work: it tells itself."""

    out: ActorRef[Any]
    count: int = 0

    def handle(self, message: Any) -> None:
        self.count += 1
        self.out.tell(message)


def test_an_actor_that_always_has_work_gives_way() -> None:
    """Another task and another actor have their turn while an actor tells itself for ever."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_bundle("b") as bundle:
                forever = await bundle.start(Forever, out=bundle.ref("f"), name="f")
                probe = await start_probe(bundle)
                forever.tell("again")
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                probe.ref.tell(1)
                await probe.wait_for(1)
                scope.cancel()
        assert scope.cancelled_caught
        assert balance(bundle, "f")["handled"] > 20

    run(main)
    trio.run(main)  # by the machine's clock too


def test_an_async_actor_that_never_waits_gives_way() -> None:
    """An async handler that has nothing to wait for, and always more to do, gives way too."""

    @attrs.define
    class Spinner(Actor[Any]):
        out: ActorRef[Any]

        async def handle(self, message: Any) -> None:
            self.out.tell(message)

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_bundle("b") as bundle:
                spinner = await bundle.start(Spinner, out=bundle.ref("s"), name="s")
                spinner.tell(1)
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught

    run(main)


def test_a_stream_of_sends_gives_way() -> None:
    """A task that sends without end lets others run, and can be cancelled, though it never has to wait."""

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while turns < 5:
                await trio.lowlevel.checkpoint()
                turns += 1
            scope.cancel()

        async with open_bundle("b") as bundle:
            actor = await bundle.start(Slow, log=[], gate=shut(), capacity=10**9, name="slow")
            plain = await bundle.start(Nothing, name="plain")
            for ref in (plain, actor):
                turns = 0
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(other)
                    with trio.CancelScope() as scope:
                        while True:
                            await ref.send(1)
                assert turns == 5
            nursery_left = bundle.statistics().actors["plain"].handled
            assert nursery_left > 5
            bundle._nursery.cancel_scope.cancel()

    run(main)


class Nothing(Actor[Any]):
    def handle(self, message: Any) -> None:
        pass


# Statistics


@both
def test_counts_are_exact(dispatch: str) -> None:
    """Counts of actors and edges are exact, and times are sampled, the first message and one in 256."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            last = await start_probe(bundle, "last")
            first = await bundle.start(Log, log=[], out=last.ref, name="first")
            for number in range(3_000):
                first.tell(number)
            last.ref.tell("direct")
            await bundle.wait_idle()
            statistics = bundle.statistics()
            edges = {(edge.sender, edge.port, edge.receiver): edge.sent for edge in statistics.edges}
            assert edges == {
                ("outside", "", "last"): 1,
                ("outside", "", "first"): 3_000,
                ("first", "out", "last"): 3_000,
            }
            assert balance(bundle, "last") == {"received": 3_001, "handled": 3_001, "failed": 0}
            timed = statistics.actors["first"].handling
            assert timed.count >= 11
            assert timed.mean_ns is not None
            assert timed.max_ns >= timed.mean_ns > 0
            if dispatch == "queued":
                assert statistics.actors["first"].waiting.count == 12
            assert spore.nursery_bundle.Sampled().mean_ns is None
            assert statistics.active == 0
            assert repr(bundle) == "<Bundle b: 2 actors>"

    run(main)


@both
def test_counts_are_exact_however_messages_are_grouped(dispatch: str) -> None:
    """One by one or in batches, which end before, at and beyond the message that is timed, and are longer than from one to the next."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            ref = await bundle.start(Nothing, name="n", capacity=10_000)
            sent = 0
            for size in (1, 254, 1, 1, 255, 256, 257, 1, 511, 512, 3, 1_000):
                ref.tell_many([None] * size)
                ref.tell(None)
                sent += size + 1
                assert balance(bundle, "n")["received"] == sent
            await bundle.wait_idle()
            statistics = bundle.statistics().actors["n"]
            assert statistics.handled == sent
            if dispatch == "queued":
                assert statistics.waiting.count == 1 + (sent - 1) // 256
            else:
                timed = statistics.handling.count
                for _ in range(256):
                    ref.tell(None)
                assert bundle.statistics().actors["n"].handling.count == timed + 1

    run(main)


# Timers


def test_every_ticks_on_the_virtual_clock() -> None:
    """A timer sends each period of trio's clock until it is cancelled."""

    async def main() -> list[Any]:
        times = []
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle, answer=lambda _: times.append(trio.current_time()))
            timer = bundle.every(0.1, probe.ref, "tick")
            await trio.sleep(0.55)
            timer.cancel()
            await trio.sleep(1)
            timer.cancel()
            counter = iter(range(9))
            bundle.every(1, probe.ref, make=lambda: next(counter))
            await trio.sleep(2.5)
        assert probe.received == ["tick"] * 5 + [0, 1]
        return times

    assert run(main)[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_after_sends_once() -> None:
    """A delayed message comes once, when it is due, unless it was cancelled before."""

    async def main() -> list[Any]:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            bundle.after(2, probe.ref, "due")
            bundle.after(1, probe.ref, "cancelled").cancel()
            bundle.after(0, probe.ref, "now")
            await trio.sleep(1.9)
            assert probe.received == ["now"]
            await trio.sleep(10)
            bundle.after(1, probe.ref, "never: the bundle ends first")
        return probe.received

    assert run(main) == ["now", "due"]


def test_ticks_that_cannot_be_sent_are_left_out() -> None:
    """A tick that falls due while the one before waits for room is not sent late."""

    async def main() -> list[Any]:
        gate = shut()
        log: list[Any] = []
        async with open_bundle("b") as bundle:
            slow = await bundle.start(Slow, log=log, gate=gate, name="slow", capacity=1)
            timer = bundle.every(1, slow, make=trio.current_time)
            await trio.sleep(5.5)  # one in hand, one queued, the third waits
            open_gate(gate)
            await trio.sleep(2)
            timer.cancel()
        return log

    assert run(main) == [1, 2, 3, 6, 7]


def test_a_timer_ends_with_its_receiver() -> None:
    """A timer whose receiver has stopped ends; one whose receiver is full goes on."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            full = await bundle.start(Slow, log=[], gate=gate, name="full", capacity=1, overflow="fail")
            bundle.every(1, probe.ref, 1)
            bundle.every(1, full, 1)
            await trio.sleep(1.5)
            await bundle.stop(probe.ref)
            await trio.sleep(3)
            assert balance(bundle, "full")[Loss.FULL] == 2
            assert probe.received == [1]
            open_gate(gate)

    run(main)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_times_that_mean_nothing(seconds: float) -> None:
    """A period has to be positive, and a delay may not be negative."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            with pytest.raises(UsageError, match="period"):
                bundle.every(seconds, probe.ref, 1)
            with pytest.raises(UsageError, match="delay"):
                bundle.after(seconds or -1, probe.ref, 1)

    run(main)


# Ports


@both
def test_a_list_of_references_is_a_fan_out(dispatch: str) -> None:
    """A port with several receivers gives each every message; one that has stopped does not keep it from the others."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            probes = [await start_probe(bundle, f"p{n}") for n in range(2)]
            later = bundle.ref("later")
            log: list[Any] = []
            actor = await bundle.start(Log, log=log, out=[*(probe.ref for probe in probes), later], name="a")
            probes.append(await start_probe(bundle, "later"))
            actor.tell(1)
            actor.tell_many([2])
            await bundle.wait_idle()
            assert [probe.received for probe in probes] == [[1, 2]] * 3
            senders = {(edge.sender, edge.receiver): edge.sent for edge in bundle.statistics().edges}
            assert senders["a", "later"] == 2  # wired by name, and yet known to be the actor's
            await bundle.stop(probes[0].ref)
            actor.tell(3)
            await bundle.wait_idle()
            assert [probe.received[2:] for probe in probes] == [[], [3], [3]]
            assert balance(bundle, "a")["failed"] == 0  # a tell to one that has ended is a dead letter, and no error

    run(main)


def test_a_fan_out_sends_too() -> None:
    """send goes to each receiver in turn, past one that has stopped; an ask needs one receiver."""

    @attrs.define
    class Fan(Actor[Any]):
        out: ActorRef[Any]

        async def handle(self, message: Any) -> Any:
            if message == "ask":
                return await self.out.ask(message)
            self.out.advance(1)
            self.out.idle()
            await self.out.send(message)
            await self.out.send_many([message])
            return repr(self.out)

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probes = [await start_probe(bundle, f"p{n}") for n in range(2)]
            fan = await bundle.start(Fan, out=tuple(probe.ref for probe in probes), name="fan", supervision=RESUME)
            assert await fan.ask(1) == "<FanOut p0, p1>"
            with pytest.raises(AskFailed, match="one receiver"):
                await fan.ask("ask")
            await bundle.stop("p0")
            with pytest.raises(AskFailed, match="stopped"):
                await fan.ask(2)
            assert [probe.received for probe in probes] == [[1, 1], [1, 1, 2]]
            with pytest.raises(UsageError, match="at least one"):
                spore.nursery_bundle.ref.FanOut([])

    run(main)


@both
def test_wiring_by_name(dispatch: str) -> None:
    """A reference by name wires cycles and what is started later, and says so if nothing ever is."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            ref = bundle.ref("later")
            assert repr(ref) == "<LaterRef later>"
            for use in (ref.tell, ref.tell_many):
                with pytest.raises(UsageError, match="no actor 'later'"):
                    use([1])
            probe = await start_probe(bundle, "later")
            ref.tell(1)
            ref.tell_many([2])
            await ref.send(3)
            await ref.ask(4)
            ref.advance(1)
            ref.idle()
            await bundle.wait_idle()
            assert probe.received == [1, 2, 3, 4]
            assert bundle.ref("later") is probe.ref
            assert ref.name == "later"

    run(main)


@both
def test_a_restart_keeps_the_wiring(dispatch: str) -> None:
    """After a restart the ports lead where they did, forward wiring included, and the edges count on."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            one = await bundle.start(Log, log=[], out=bundle.ref("probe"), name="one", supervision=NO_WAIT)
            two = await bundle.start(Log, log=[], out=[bundle.ref("probe")], name="two", supervision=NO_WAIT)
            one.tell(ValueError())  # restarted before its receiver is there
            await bundle.wait_idle()
            await trio.sleep(1)
            probe = await start_probe(bundle)
            for ref in (one, two):
                ref.tell_many([1, ValueError(), 2])
            await bundle.wait_idle()
            edges = {(edge.sender, edge.receiver): edge.sent for edge in bundle.statistics().edges}
            assert probe.received.count(1) == probe.received.count(2) == 2
            assert edges["one", "probe"] == edges["two", "probe"] == 2
            assert edges["outside", "probe"] == 0

    run(main)


def test_ports_of_any_class() -> None:
    """Ports are found in frozen classes and in those without attrs."""

    @attrs.frozen
    class Frozen(Actor[Any]):
        out: ActorRef[Any]

        def handle(self, message: Any) -> None:
            self.out.tell(message)

    class Bare(Actor[Any]):
        def __init__(self, out: ActorRef[Any]) -> None:
            self.out = out

        def handle(self, message: Any) -> None:
            self.out.tell(message)

    class Empty(Actor[Any]):
        __slots__ = ()

        def handle(self, message: Any) -> None: ...

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            for cls in (Frozen, Bare):
                actor = await bundle.start(cls, out=probe.ref)
                actor.tell(cls.__name__)
                assert repr(actor) == f"<LocalRef {cls.__name__}-1>"
            await bundle.start(Empty)
            assert {edge.sender for edge in bundle.statistics().edges if edge.receiver == "probe"} == {
                *("outside", "Frozen-1", "Bare-1")
            }
            assert [repr(edge) for edge in bundle._roster.cells["probe"].edges][1:] == [
                *("<LocalRef Frozen-1.out → probe>", "<LocalRef Bare-1.out → probe>")
            ]

    run(main)


# Misuse


def refused(match: str, *args: Any, opened: dict[str, Any] | None = None, **options: Any) -> None:
    """Check that start refuses something at once, with the right words, and leaves nothing behind."""

    async def main() -> None:
        async with open_bundle("b", **(opened or {})) as bundle:
            await bundle.start(Log, log=[], name="taken")
            with pytest.raises(UsageError, match=match):
                await bundle.start(*args, **options)
            assert list(bundle.statistics().actors) == ["taken"]

    run(main)


def test_misuse_of_start() -> None:
    """Names that are taken, ports unwired, options that mean nothing: an error at once, in words that help."""
    refused("'taken' already", Log, log=[], name="taken")
    refused("whole number from 1", Log, log=[], capacity=0)
    refused("no overflow policy 'x'; there are block, fail", Log, log=[], overflow="x")
    refused("no dispatch 'x'; there are inline, queued", Log, log=[], dispatch="x")
    refused("only 'event_time'", Log, log=[], merge="x")
    refused("share from 0 to 1, not 1.5", Log, log=[], verify=1.5)
    refused("share from 0 to 1, not -1", Log, log=[], verify=-1)
    refused("give open_bundle a verifier", Log, log=[], verify=0.5)
    refused("port 'out' is not wired; give start a reference: out=…", Forever, name="f")
    refused("returned a int, which is no spore.Actor", lambda: 7)


def test_misuse_of_open_bundle() -> None:
    """A dispatch that is none is refused when the bundle is opened."""

    async def main() -> None:
        with pytest.raises(UsageError, match="no dispatch 'x'; there are inline, queued"):
            async with open_bundle("b", dispatch="x"):
                raise AssertionError

    run(main)


@both
def test_an_optional_port_left_out(dispatch: str) -> None:
    """The error of a handler that uses a port that is not wired names the port."""

    @attrs.define
    class Careless(Actor[Any]):
        out: ActorRef[Any] | None = None

        def handle(self, message: Any) -> None:
            self.out.tell(message)  # type: ignore[union-attr]

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            actor = await bundle.start(Careless, name="a", supervision=RESUME)
            actor.tell(1)
            await bundle.wait_idle()
            (letter,) = bundle.dead_letters
            assert letter.error is not None
            assert letter.error.notes == ("port 'out' of actor 'a' is not wired",)
            assert letter.error.traceback.endswith("port 'out' of actor 'a' is not wired\n")

    run(main)


def test_a_start_that_fails_leaves_nothing() -> None:
    """What the factory or on_start raises comes out of start, and the name, the edges and the waiting are free again."""

    @attrs.define
    class Bad(Actor[Any]):
        out: ActorRef[Any]
        told: bool = False

        def on_start(self) -> None:
            if self.told:
                self.out.tell(1)
            raise OSError

        def handle(self, message: Any) -> None: ...

    async def main() -> None:
        async with open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            for told in (False, True):
                with pytest.raises(OSError):  # noqa: PT011
                    await bundle.start(Bad, out=probe.ref, told=told, name="bad")
            await bundle.wait_idle()
            assert "bad" not in bundle.statistics().actors
            assert balance(bundle, "probe")["received"] == 1
            with pytest.raises(OSError):  # noqa: PT011
                await bundle.start(Bad, out=bundle.ref("later"), name="bad")
            await start_probe(bundle, "later")
            assert [edge.sender for edge in bundle.statistics().edges if edge.receiver == "later"] == ["outside"]

    run(main)


def test_an_actor_without_methods() -> None:
    """The base class says what is missing."""
    for use in (lambda: Actor[Any]().handle(1), Actor[Any]().snapshot, lambda: Actor[Any]().restore(1)):
        with pytest.raises(NotImplementedError, match="Actor has no"):
            use()


# Moving an actor


@attrs.define
class Counter(Actor[Any]):
    count: int = 0

    def handle(self, message: Any) -> int:
        self.count += message
        return self.count

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state


def test_state_is_handed_over() -> None:
    """A snapshot of an idle actor, restored in another, goes on where the first was."""

    async def main() -> None:
        async with open_bundle("b", dispatch="queued") as bundle:
            counter = await bundle.start(Counter, name="old")
            counter.tell(3)
            with pytest.raises(UsageError, match="wait_idle first"):
                bundle.snapshot(counter)
            await bundle.wait_idle()
            new = await bundle.start(Counter, state=bundle.snapshot("old"), name="new")
            assert await new.ask(4) == 7
            with pytest.raises(NotImplementedError):
                await bundle.start(Log, log=[], state=1)

    run(main)


def test_warnings_name_the_actor(caplog: pytest.LogCaptureFixture) -> None:
    """A restart, a stop and a drain that was cut off leave a line in the log."""

    async def main() -> None:
        async with open_bundle("b", drain_timeout_s=1) as bundle:
            one = await bundle.start(Log, log=[], name="one")
            two = await bundle.start(Log, log=[], name="two", supervision=STOP)
            slow = await bundle.start(Slow, log=[], gate=shut(), name="slow")
            one.tell(ValueError("x"))
            two.tell(ValueError("y"))
            slow.tell(1)

    with caplog.at_level(logging.WARNING):
        run(main)
    assert "actor one: restarts in 0." in caplog.text
    assert "actor two: stops after ValueError: y" in caplog.text
    assert "bundle b: not drained in 1 s: slow (one in hand)" in caplog.text
