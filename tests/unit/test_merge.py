"""Merging by event time: one order of handling, whatever the schedule."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from tests.actors import RESUME, STOP, Log, Slow, balance, both, open_gate, shut
from trio.testing import wait_all_tasks_blocked

from spore import Actor, ActorRef, open_bundle
from spore.errors import ActorStopped, MailboxFull, UsageError
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe


@attrs.frozen
class At:
    event_time_ns: int
    sender: str = ""


@attrs.define
class Source(Actor[Any]):
    """Sends events with its own name at the times it is given; waits a moment between them."""

    out: ActorRef[Any]
    by: str = "send"
    who: str = ""

    async def handle(self, times: list[int]) -> None:
        for time_ns in times:
            await trio.lowlevel.checkpoint()
            if self.by == "send":
                await self.out.send(At(time_ns, self.who))
            else:
                self.out.tell(At(time_ns, self.who))


@both
@pytest.mark.parametrize("by", ["send", "tell"])
@pytest.mark.parametrize("capacity", [1, 100])
def test_the_order_is_that_of_event_time(dispatch: str, by: str, capacity: int) -> None:
    """Messages of several senders are handled in the order (time, sender, sequence) on every schedule."""

    async def main() -> list[Any]:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            merged = await start_probe(bundle, merge="event_time", capacity=capacity)
            work = {"xa": [1, 3, 3, 8], "xb": [2, 3, 9], "xc": [1, 10, 11]}
            sources = {who: await bundle.start(Source, name=who, who=who, out=merged.ref, by=by) for who in work}
            for who, times in work.items():
                sources[who].tell(times)
        assert balance(bundle, "probe") == {"received": 10, "handled": 10, "failed": 0}
        return [(message.event_time_ns, message.sender) for message in merged.received]

    expected = sorted(
        [(t, "xa") for t in (1, 3, 3, 8)] + [(t, "xb") for t in (2, 3, 9)] + [(t, "xc") for t in (1, 10, 11)]
    )
    for seed in range(12):
        assert run(main, seed=seed) == expected


def test_held_until_every_sender_has_moved_on() -> None:
    """A message waits for senders that might still send something earlier; advance and idle say that they will not."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, merge="event_time")
            owners = [await bundle.start(Log, log=[], out=merged.ref, name=name) for name in ("a", "b")]
            a, b = (bundle._roster.cells[owner.name].actor.out for owner in owners)
            a.tell(At(5))
            assert (merged.received, balance(bundle, "probe")["received"]) == ([], 1)
            b.advance(4)
            assert merged.received == []
            b.advance(5)  # of the same time, a comes first by name
            assert merged.received == [At(5)]
            a.tell(At(7))
            b.tell(At(6))
            assert merged.received == [At(5), At(6)]
            b.idle()
            assert merged.received == [At(5), At(6), At(7)]
            a.tell(At(8))
            b.tell(At(2))  # too late: b was idle, so nobody waited for it
            assert merged.received[3:] == [At(8), At(2)]
            a.idle()
            merged.ref.tell(At(9))  # nobody waits for the outside until it sends
            b.idle()
            assert merged.received[5:] == [At(9)]
            merged.ref.idle()
            merged.ref.advance(1)

    run(main)


@both
@pytest.mark.parametrize("how", ["stop", "directive"])
def test_nobody_waits_for_a_sender_that_has_stopped(dispatch: str, how: str) -> None:
    """When a sender stops, by order or by its failure, what was held for it goes on."""

    async def main() -> None:
        async with open_bundle("b", dispatch=dispatch) as bundle:
            merged = await start_probe(bundle, merge="event_time")
            silent = await bundle.start(Log, log=[], out=merged.ref, name="silent", supervision=STOP)
            talker = await bundle.start(Log, log=[], out=merged.ref, name="talker")
            talker.tell(At(1))
            await bundle.wait_idle()
            assert merged.received == []
            if how == "stop":
                await bundle.stop(silent)
            else:
                silent.tell(ValueError())
            await bundle.wait_idle()
            assert merged.received == [At(1)]

    run(main)


def test_nobody_waits_for_an_actor_that_did_not_start() -> None:
    """The ports of an actor whose start failed hold nothing back, whether it had sent something or not."""

    @attrs.define
    class Bad(Actor[Any]):
        out: ActorRef[Any]
        says: bool

        def on_start(self) -> None:
            if self.says:
                self.out.tell(At(1))
            raise OSError

        def handle(self, message: Any) -> None: ...

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, merge="event_time")
            for says in (False, True):
                with pytest.raises(OSError):  # noqa: PT011
                    await bundle.start(Bad, out=merged.ref, says=says, name=f"bad {says}")
            merged.ref.tell(At(2))
            assert merged.received == [At(1), At(2)]

    run(main)


def test_leaving_handles_what_is_held() -> None:
    """At the end nobody sends any more, so all that is held is handled, in order."""

    async def main() -> list[Any]:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, merge="event_time")
            await bundle.start(Log, log=[], out=merged.ref, name="silent")
            source = await bundle.start(Log, log=[], out=merged.ref, name="source")
            merged.ref.tell(At(3))
            source.tell(At(4))
        return merged.received

    assert run(main) == [At(3), At(4)]


@both
@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_what_is_held_is_counted_when_it_is_lost(dispatch: str, how: str) -> None:
    """What is held for an actor that is stopped by its failure, or cancelled, is counted."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_bundle("b", dispatch=dispatch) as bundle:
                merged = await bundle.start(Log, log=[], name="m", merge="event_time", supervision=STOP)
                one = await bundle.start(Log, log=[], out=merged, name="one")
                await bundle.start(Log, log=[], out=merged, name="two")
                one.tell_many([At(1), At(2)])
                await wait_all_tasks_blocked()
                assert balance(bundle, "m")["handled"] == 0
                if how == "stop":
                    bundle._roster.cells["m"].stop(Loss.STOPPED)
                    merged.tell(At(3))
                else:
                    scope.cancel()
        reason = Loss.STOPPED if how == "stop" else Loss.CANCELLED
        told = 3 if how == "stop" else 2
        assert balance(bundle, "m") == {"received": told, "handled": 0, "failed": 0, reason: told}

    run(main)


def test_a_failure_amid_a_release() -> None:
    """What is released after the message that stopped the actor is counted, and its sender hears nothing of it."""

    @attrs.define
    class Picky(Actor[Any]):
        def handle(self, message: Any) -> None:
            if message.sender == "bad":
                raise ValueError

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await bundle.start(Picky, name="m", merge="event_time", supervision=STOP)
            a = await bundle.start(Log, log=[], out=merged, name="a")
            b = await bundle.start(Log, log=[], out=merged, name="b")
            a.tell_many([At(1), At(2, "bad"), At(3), At(4)])
            b.tell(At(9))
            assert balance(bundle, "m") == {"received": 5, "handled": 1, "failed": 1, Loss.STOPPED: 3}
            assert balance(bundle, "b")["failed"] == 0

    run(main)


def test_each_sender_has_a_bound_of_its_own() -> None:
    """A fast sender waits when the mailbox's worth of its messages is held, and does not lock out the slow one."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, merge="event_time", capacity=3)
            fast = await bundle.start(Source, name="fast", out=merged.ref)
            slow = await bundle.start(Source, name="slow", out=merged.ref)
            fast.tell(list(range(0, 100, 2)))
            await wait_all_tasks_blocked()
            assert balance(bundle, "probe")["received"] == 3
            slow.tell(list(range(1, 100, 2)))
            with trio.fail_after(10):
                await merged.wait_for(99)
        assert [message.event_time_ns for message in merged.received] == list(range(100))

    for seed in range(5):
        run(main, seed=seed)


def test_a_merged_send_waits_for_room_in_the_mailbox() -> None:
    """What has been merged still waits in the mailbox, and a send waits for room there."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", merge="event_time", capacity=2)
            relay = await bundle.start(Source, name="s", out=slow)
            relay.tell(list(range(9)))
            await wait_all_tasks_blocked()
            assert balance(bundle, "slow")["received"] == 3
            async with trio.open_nursery() as nursery:
                nursery.start_soon(slow.send, At(99))
                await wait_all_tasks_blocked()
                assert balance(bundle, "slow")["received"] == 3
                open_gate(gate)
            other = await bundle.start(Slow, log=[], gate=shut(), name="other", merge="event_time", capacity=1)
            other.tell_many([At(1), At(2), At(3)])
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def sender() -> None:
                    with pytest.raises(ActorStopped):
                        await other.send(At(4))

                await wait_all_tasks_blocked()
                bundle._roster.cells["other"].stop(Loss.STOPPED)

    run(main)


def test_a_merging_cycle_does_not_deadlock() -> None:
    """Two async actors that send to each other and merge do not wait for each other's mailboxes for ever."""

    @attrs.define
    class Pair(Actor[Any]):
        out: ActorRef[Any]

        async def handle(self, message: At) -> None:
            for _ in range(3):
                if message.event_time_ns < 3:
                    await self.out.send(At(message.event_time_ns + 1))

    async def main() -> None:
        async with open_bundle("b") as bundle:
            one = await bundle.start(Pair, out=bundle.ref("two"), name="one", merge="event_time", capacity=1)
            two = await bundle.start(Pair, out=one, name="two", merge="event_time", capacity=1)
            one.tell(At(0))
            two.tell(At(0))
            one.idle()
            two.idle()
        assert bundle.dead_letters.total == 0

    run(main)


def test_a_refused_message_concerns_its_sender_only() -> None:
    """Under fail, a sender hears of its own message that was refused, and not of another's, which is counted."""

    async def main() -> None:
        gate = shut()
        async with open_bundle("b") as bundle:
            slow = await bundle.start(
                Slow, log=[], gate=gate, name="slow", merge="event_time", capacity=1, overflow="fail"
            )
            a = await bundle.start(Log, log=[], out=slow, name="a", supervision=RESUME)
            b = await bundle.start(Log, log=[], out=slow, name="b", supervision=RESUME)
            a.tell_many([At(1), At(2), At(3)])
            b.tell(At(9))
            assert balance(bundle, "b")["failed"] == 0
            assert balance(bundle, "slow")[Loss.FULL] == 2
            b_port = bundle._roster.cells["b"].actor.out
            bundle._roster.cells["a"].actor.out.idle()
            with pytest.raises(MailboxFull):
                b_port.tell(At(10))
            open_gate(gate)

    run(main)


def test_only_what_has_a_time_can_be_merged() -> None:
    """A message without an event time is refused at once."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            merged = await start_probe(bundle, merge="event_time")
            with pytest.raises(UsageError, match="str has no event_time_ns"):
                merged.ref.tell("no time")

    run(main)
