"""References over the relay keep the words of those within a bundle, and a client outlives its connections."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from tests.actors import Log, Slow, balance, only, open_gate, shut
from tests.relays import Place, numbers, order, place, run, until
from trio.testing import wait_all_tasks_blocked

from spore import Actor, ActorRef, Bundle, Registry, Str, message, open_bundle
from spore.errors import (
    ActorStopped,
    AskFailed,
    AskTimeout,
    EncodeError,
    LinkDenied,
    MailboxFull,
    RelayError,
    RelayRefused,
    UsageError,
)
from spore.message import Domain
from spore.nursery_bundle import Loss
from spore.relay import Switchboard
from spore.relay.session import Session
from spore.services.messages import OrderCancel
from spore.testing import start_probe

__all__ = ["place"]


# Backpressure, order, priority


def test_while_the_relay_is_away_send_waits_and_tell_does_not(place: Place) -> None:
    """So many messages as the reference holds are taken; then send waits, tell goes on, and nothing is lost."""

    async def main() -> None:
        returned: list[int] = []

        async def send_all(ref: ActorRef[Any]) -> None:
            for number in range(5):
                await ref.send(order(number))
                returned.append(number)

        async with place.client("sender") as sender, trio.open_nursery() as nursery:
            ref = sender.ref("probe", capacity=3)
            nursery.start_soon(send_all, ref)
            await wait_all_tasks_blocked()
            assert returned == [0, 1, 2]
            for number in range(100, 200):
                ref.tell(order(number))
            assert sender.statistics().outgoing[0].outstanding == 103
            assert not sender.statistics().connected
            async with place.relay(), place.node("receiver") as (bundle, receiver):
                probe = await start_probe(bundle)
                receiver.attach(probe.ref)
                await probe.wait_for(105)
                await sender.drain()
                assert returned == [0, 1, 2, 3, 4]
                assert numbers(probe.received) == [0, 1, 2, *range(100, 200), 3, 4]
                assert receiver.statistics().received == 105

    run(main)


def test_a_slow_receiver_holds_up_its_senders_and_nobody_else(place: Place) -> None:
    """One that takes nothing has its window under way and its sender waits; another link of the same client flows."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=5)
            receiver.attach(slow)
            probe = await start_probe(bundle, capacity=5)
            receiver.attach(probe.ref)
            to_slow, to_probe = sender.ref("slow", capacity=5), sender.ref("probe")
            await to_slow.wait_open()
            sent: list[int] = []

            async def flood() -> None:
                for number in range(50):
                    await to_slow.send(order(number))
                    sent.append(number)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                await wait_all_tasks_blocked()
                assert len(sent) == 5
                for number in range(500):
                    await to_probe.send(order(number))
                await probe.wait_for(500)
                assert len(sent) == 5
                open_gate(gate)
            assert numbers(probe.received) == list(range(500))
            await sender.drain()
            assert balance(bundle, "slow")["handled"] == 50

    run(main)


def test_a_slow_subscriber_holds_up_its_topic_alone(place: Place) -> None:
    """Two topics, one publisher: what one subscriber of the first takes slowly does not keep the second waiting."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=5)
            receiver.attach(slow, topics=("first",))
            probe = await start_probe(bundle)
            receiver.attach(probe.ref, topics=("second",))
            first, second = sender.topic("first"), sender.topic("second")
            await first.wait_open()
            await second.wait_open()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send_many, [order(number) for number in range(20)])
                await second.send_many([order(number) for number in range(300)])
                await probe.wait_for(300)
                assert sender.statistics().outgoing[0].outstanding == 5
                open_gate(gate)
            await sender.drain()
            assert balance(bundle, "slow")["handled"] == 20

    run(main)


@attrs.define
class LooksAtItsMailbox(Actor[Any]):
    """Notes how many messages wait behind the one that it handles."""

    bundle: Bundle
    waiting: list[int]

    def handle(self, message: Any) -> None:
        self.waiting.append(self.bundle.statistics().actors["desk"].queued)


def test_a_flood_is_handled_on_the_spot_from_one_time_slice_to_the_next(place: Place) -> None:
    """An idle actor's mailbox stays empty: when a slice is over the link gives way, and what is left waits there."""

    async def main() -> None:
        waiting: list[int] = []
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(LooksAtItsMailbox, bundle=bundle, waiting=waiting, name="desk"))
            desk = sender.ref("desk")
            for number in range(2_000):
                await desk.send(order(number))
            await sender.drain()
        assert waiting == [0] * 2_000

    run(main)


def test_high_priority_overtakes_what_waits(place: Place) -> None:
    """Of what the receiver has not taken yet, high priority comes first; each priority keeps its order."""

    async def main() -> list[int]:
        gate = shut()
        log: list[OrderCancel] = []
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Slow, log=log, gate=gate, name="slow", capacity=20))
            ref = sender.ref("slow")
            await ref.wait_open()
            ref.tell(order(0))
            await until(lambda: receiver.statistics().received == 1)
            for number in range(1, 4):
                ref.tell(order(number))
                ref.tell(order(number + 10), high=True)
            await ref.send(order(14), high=True)
            await until(lambda: receiver.statistics().received == 8)
            assert [link.high for link in sender.statistics().outgoing] == [False, True]
            open_gate(gate)
            await sender.drain()
        return numbers(log)

    assert run(main) == [0, 11, 12, 13, 14, 1, 2, 3]


def test_what_cannot_travel_is_refused_at_once(place: Place) -> None:
    """An object that is no message, asked or sent, is its sender's mistake, and nothing was taken."""

    async def main() -> None:
        async with place.client("sender") as sender:
            ref = sender.ref("nobody")
            for attempt in (lambda: ref.send("text"), lambda: ref.ask("text")):
                with pytest.raises(EncodeError, match="str is not a message"):
                    await attempt()
            with pytest.raises(EncodeError):
                ref.tell("text")
            assert sender.statistics().outgoing[0].sent == 0

    run(main)


@pytest.mark.parametrize("seed", range(20))
def test_a_send_that_is_cancelled_has_sent_or_has_not(place: Place, seed: int) -> None:
    """What returned is handled once, in order; what was cancelled is not, wherever it was cancelled."""

    async def main() -> None:
        chance = random.Random(seed)
        log: list[OrderCancel] = []
        gate = shut()
        sent: list[int] = []
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Slow, log=log, gate=gate, name="slow", capacity=2))
            ref = sender.ref("slow", capacity=2)
            for number in range(200):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_cancel_after, chance.randrange(8), scope, gate, chance)
                        await ref.send(order(number))
                        sent.append(number)
                        nursery.cancel_scope.cancel()
            open_gate(gate)
            await sender.drain()
        assert numbers(log) == sent
        assert 0 < len(sent) < 200

    async def _cancel_after(passes: int, scope: trio.CancelScope, gate: trio.Semaphore, chance: random.Random) -> None:
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
            if chance.random() < 0.2:
                gate.release()
        scope.cancel()

    run(main, seed=seed)


# Ask


def test_ask_over_the_relay(place: Place) -> None:
    """An answer comes back, None too; a failure is AskFailed with its reason, and so is an answer that cannot travel."""

    async def main() -> None:
        def answer(asked: OrderCancel) -> Any:
            if asked.order_id == 1:
                return order(100)
            if asked.order_id == 2:
                raise ValueError("no such order")
            return None if asked.order_id == 3 else "text"

        async with place.three() as (bundle, receiver, sender):
            receiver.attach((await start_probe(bundle, answer=answer)).ref)
            ref = sender.ref("probe")
            assert await ref.ask(order(1)) == order(100)
            with pytest.raises(AskFailed, match="actor 'probe': its handler raised ValueError: no such order"):
                await ref.ask(order(2))
            assert await ref.ask(order(3), high=True) is None
            with pytest.raises(AskFailed, match="the answer cannot travel: str is not a message"):
                await ref.ask(order(4))

    run(main)


def test_ask_times_out_and_can_be_cancelled(place: Place) -> None:
    """After its time an ask raises its own error, before the receiver is there and after; a late answer is nobody's."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            ref = sender.ref("slow")
            with pytest.raises(AskTimeout, match="actor 'slow': no answer in 3 s to OrderCancel"):
                await ref.ask(order(1), timeout=3)
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow"))
            with pytest.raises(AskTimeout):
                await ref.ask(order(2), timeout=3)
            with trio.move_on_after(1) as scope:
                await ref.ask(order(3), timeout=5)
            assert scope.cancelled_caught
            open_gate(gate)
            await sender.drain()
            assert await ref.ask(order(4)) == order(4)
            assert balance(bundle, "slow")["handled"] == 4

    run(main)


def test_only_one_receiver_can_be_asked(place: Place) -> None:
    """A topic and a group have no one answer."""

    async def main() -> None:
        async with place.client("sender") as sender:
            for ref in (sender.topic("t"), sender.ref("a", "b")):
                with pytest.raises(UsageError, match="ask needs one receiver"):
                    await ref.ask(order(1))
            with pytest.raises(UsageError, match="at least one receiver"):
                sender.ref()

    run(main)


def test_an_ask_outlives_the_relay(place: Place) -> None:
    """The relay goes while the answer is on its way: it comes over the next connection, and the ask is handled once."""

    async def main() -> None:
        gate = shut()
        async with place.client("sender") as sender, place.client("receiver") as receiver, open_bundle("b") as bundle:
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow"))
            answers: list[Any] = []

            async def ask() -> None:
                answers.append(await sender.ref("slow").ask(order(5), timeout=60))

            async with trio.open_nursery() as nursery:
                async with place.relay():
                    nursery.start_soon(ask)
                    await until(lambda: receiver.statistics().received == 1)
                await until(lambda: not receiver.statistics().connected)
                open_gate(gate)
                await wait_all_tasks_blocked()
                async with place.relay():
                    await until(lambda: answers)
            assert answers == [order(5)]
            assert balance(bundle, "slow")["handled"] == 1

    run(main)


# Denied, refused, stopped, left


def test_an_actor_that_stops_while_senders_wait(place: Place) -> None:
    """Who waits gets ActorStopped, as in a bundle; what had come and was not handled is counted at the actor."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            slow = await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=2)
            receiver.attach(slow)
            ref = sender.ref("slow", capacity=2)
            await ref.wait_open()
            raised: list[Exception] = []

            async def flood() -> None:
                try:
                    await ref.send_many([order(number) for number in range(10)])
                except ActorStopped as error:
                    raised.append(error)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                await until(lambda: receiver.statistics().received == 2)
                nursery.start_soon(bundle.stop, slow)
                open_gate(gate, 3)
            assert [type(error) for error in raised] == [ActorStopped]
            ref.tell(order(11))  # as in a bundle, that is no error, and it is counted
            assert sender.statistics().outgoing[0].lost == {Loss.STOPPED: 1}
            with pytest.raises(ActorStopped):
                await ref.send(order(11))
            with pytest.raises(ActorStopped):
                await ref.ask(order(12))
            counts = balance(bundle, "slow")
            assert counts["received"] == counts["handled"] + counts.get(Loss.STOPPED, 0)
            assert sender.statistics().outgoing[0].denied == str(raised[0])

    run(main)


def other_registry() -> Registry:
    registry = Registry()

    @message(type_id=43, domain=Domain.EXECUTION, registry=registry)
    class OrderCancel:
        reason: Str

    return registry


def test_a_link_between_two_schemas_is_denied(place: Place) -> None:
    """Who opens it, waits or sends is told which messages differ; so is the receiver."""

    async def main() -> None:
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            receiver.attach((await start_probe(bundle)).ref)
            session = Session("stranger", registry=other_registry())
            async with place.client("stranger", session=session) as stranger:
                ref = stranger.ref("probe")
                with pytest.raises(
                    LinkDenied,
                    match=r"the messages of 'stranger' and 'receiver' differ: Trade .1. is known only there: .*; and .. more",
                ):
                    await ref.wait_open()
                with pytest.raises(LinkDenied):
                    await ref.send(order(1))
                await until(lambda: receiver.statistics().denied)
                (told,) = receiver.statistics().denied
                assert told.startswith("probe: the messages of 'receiver' and 'stranger' differ: ")

    run(main)


async def come_as_a_stranger(place: Place) -> None:
    async with place.client("stranger", token="wrong") as stranger:
        with pytest.raises(RelayRefused, match="ask whoever runs the relay"):
            await stranger.wait_connected()
        await trio.sleep_forever()


def test_a_wrong_token_ends_the_client(place: Place) -> None:
    """It is refused for good: open_client raises that, and so does whoever waits for the connection."""

    async def main() -> None:
        async with place.relay(Switchboard(token="right")):
            with pytest.raises(ExceptionGroup) as caught:
                await come_as_a_stranger(place)
            refused = only(caught)
            assert isinstance(refused, RelayRefused)
            assert refused.reason == "token"
            async with place.client("friend", token="right") as friend:
                await friend.wait_connected()

    run(main)


def test_a_name_that_is_taken_is_waited_for(place: Place) -> None:
    """The second client with a receiver of one name asks for it again and again, and has it when the first has gone."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.client("second") as second, open_bundle("b") as bundle:
            probe = await start_probe(bundle)
            async with place.client("first") as first:
                first.attach(probe.ref)
                await first.wait_connected()
                second.attach(probe.ref)
                await trio.sleep(60)
                assert 25 < board.counts.names < 35  # one in two seconds
                assert board.counts.refused == second.statistics().reconnects == 0
                assert second.statistics().denied == (
                    "probe: receiver 'probe' belongs to client 'first', which is alive",
                )
            await trio.sleep(3)
            assert second.statistics().denied == ()
            async with place.client("sender") as sender:
                await sender.ref("probe").send(order(1))
                await sender.drain()
            assert numbers(probe.received) == [1]

    run(main)


def test_who_waits_when_the_client_leaves_is_told(place: Place) -> None:
    """Nobody waits for ever for a connection that will not come: senders get LinkDenied, and asks AskFailed."""

    async def main() -> None:
        said: list[str] = []

        async def send(ref: ActorRef[Any]) -> None:
            with pytest.raises(LinkDenied) as caught:
                await ref.send(order(2))
            said.append(str(caught.value))

        async def ask(ref: ActorRef[Any]) -> None:
            with pytest.raises(AskFailed, match="has left the relay"):
                await ref.ask(order(3), timeout=1_000)
            said.append("ask")

        async with trio.open_nursery() as nursery, place.client("sender") as sender:
            ref, other, unused = sender.ref("a", capacity=1), sender.ref("b", capacity=1), sender.ref("c")
            ref.tell(order(1))
            nursery.start_soon(send, ref)
            nursery.start_soon(ask, other)
            await wait_all_tasks_blocked()
            other.tell(order(5))
        assert sorted(said) == ["actor 'a': client 'sender' has left the relay", "ask"]
        for late in (ref, unused):
            with pytest.raises(LinkDenied, match="has left the relay"):
                late.tell(order(4))

    run(main)


def test_a_reference_that_is_closed_lets_nobody_wait(place: Place) -> None:
    """Its links are closed at the other end too, and a sender that waited is told; the name can be had anew."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=1))
            ref = sender.ref("slow", capacity=1)
            await ref.wait_open()

            async def flood() -> None:
                with pytest.raises(LinkDenied, match="the reference to it was closed"):
                    await ref.send_many([order(number) for number in range(5)])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                await until(lambda: receiver.statistics().received == 1)
                ref.close()
            await until(lambda: not receiver.statistics().incoming)
            assert sender.statistics().outgoing == ()
            open_gate(gate)
            await ref.send(order(10))
            await sender.drain()
            assert balance(bundle, "slow")["handled"] == 2
            assert receiver.statistics().received == 2

    run(main)


def test_what_has_come_is_handled_even_if_its_sender_has_left(place: Place) -> None:
    """A sender that leaves without draining gives up what has not come; what has come is not lost with it."""

    async def main() -> None:
        gate = shut()
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=3))
            async with place.client("sender") as sender:
                ref = sender.ref("slow")
                await ref.wait_open()
                for number in range(3):
                    ref.tell(order(number))
                    ref.tell(order(number + 10), high=True)
                await until(lambda: receiver.statistics().received == 6)
            await until(lambda: not receiver.statistics().incoming)
            open_gate(gate)
            await until(lambda: balance(bundle, "slow")["handled"] == 6)
            assert receiver.statistics().received == 6

    run(main)


def test_a_client_that_leaves_has_its_last_words_written(place: Place) -> None:
    """Its links are closed at once at their receivers, although the socket was full when it left."""

    async def main() -> None:
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            probe = await start_probe(bundle, capacity=5_000)
            receiver.attach(probe.ref)
            async with place.client("sender") as sender:
                ref = sender.ref("probe")
                await ref.wait_open()
                for number in range(3_000):  # more than a socket holds
                    ref.tell(OrderCancel(1, number, "x" * 1_000))
            await until(lambda: not receiver.statistics().incoming)
            assert receiver.statistics().received == 3_000
            await probe.wait_for(3_000)

    run(main)


# Attaching


def test_only_an_actor_of_this_process_can_be_attached_and_once(place: Place) -> None:
    """A reference to elsewhere, and a name that is taken here, are mistakes that are named."""

    async def main() -> None:
        async with place.client("c") as client, open_bundle("b") as bundle:
            with pytest.raises(UsageError, match="cannot be attached: it is no reference to an actor of a bundle"):
                client.attach(client.ref("elsewhere"))
            probe = await start_probe(bundle)
            client.attach(probe.ref, name="known as")
            with pytest.raises(UsageError, match="this client has attached 'known as' already"):
                client.attach(probe.ref, name="known as")

    run(main)


def test_detached_and_attached_elsewhere(place: Place) -> None:
    """Senders keep what comes meanwhile for the next client that has the name."""

    async def main() -> None:
        async with place.relay(), place.client("sender") as sender, place.node("one") as (first, one):
            before = await start_probe(first)
            one.attach(before.ref)
            ref = sender.ref("probe")
            await ref.send_many([order(number) for number in range(3)])
            await sender.drain()
            one.detach("probe")
            await until(lambda: not ref.links()[0].accepted)
            await ref.send_many([order(number) for number in range(3, 6)])
            async with place.node("two") as (second, two):
                after = await start_probe(second)
                two.attach(after.ref)
                await sender.drain()
            assert (numbers(before.received), numbers(after.received)) == ([0, 1, 2], [3, 4, 5])
            assert two.statistics().redelivered == 0

    run(main)


def test_what_is_detached_before_its_turn_is_the_successors(place: Place) -> None:
    """What has come and is not in the mailbox yet is not handled here any more, and nothing is missing."""

    async def main() -> None:
        gate = shut()
        here: list[OrderCancel] = []
        async with place.relay(), place.client("sender") as sender, place.node("one") as (first, one):
            one.attach(await first.start(Slow, log=here, gate=gate, name="probe", capacity=5))
            refs = sender.ref("probe", sender="a"), sender.ref("probe", sender="b")
            for number in range(5):
                for offset, ref in enumerate(refs):
                    await ref.wait_open()
                    ref.tell(order(number + 10 * offset))
            await until(lambda: one.statistics().received == 10)
            one.detach("probe")
            open_gate(gate)
            async with place.node("two") as (second, two):
                after = await start_probe(second)
                two.attach(after.ref)
                await sender.drain()
            assert len(here) <= 8  # one in hand, five queued, and one that each link waited with
            assert set(numbers(here + after.received)) == {*range(5), *range(10, 15)}
            assert two.statistics().redelivered >= len(after.received) >= 2

    run(main)


# Actors with ports that lead elsewhere


@attrs.define
class Burst(Actor[Any]):
    """Tells a number of messages for each that it gets."""

    out: ActorRef[Any]
    times: int

    def handle(self, message: OrderCancel) -> None:
        for number in range(self.times):
            self.out.tell(order(message.order_id * self.times + number))


def test_pressure_on_a_link_is_felt_at_the_edge_of_the_bundle(place: Place) -> None:
    """A plain handler cannot wait, so whoever sends to it from outside waits until its link has room again."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender), open_bundle("senders") as senders:
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=2))
            ref = sender.ref("slow", capacity=2)
            burst = await senders.start(Burst, out=ref, times=5, name="burst")
            sent: list[int] = []

            async def flood() -> None:
                for number in range(4):
                    await burst.send(order(number))
                    sent.append(number)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                await wait_all_tasks_blocked()
                assert sent == [0]
                open_gate(gate)
            await sender.drain()
            (link,) = (link for link in sender.statistics().outgoing if link.sender == "burst")
            assert (link.port, link.sent) == ("out", 20)
            assert balance(bundle, "slow")["handled"] == 20

    run(main)


def test_a_cycle_over_the_relay_ends(place: Place) -> None:
    """A reference that closes a cycle is declared as feedback, and then nobody waits for himself."""

    async def main() -> None:
        async with place.relay(), place.node("left") as (left, one), place.node("right") as (right, two):
            there: list[Any] = []
            back: list[Any] = []
            closing = two.ref("ping", feedback=True, capacity=1)
            pong = await right.start(Echo, log=there, out=closing, limit=300, name="pong", capacity=1)
            ping = await left.start(Echo, log=back, out=one.ref("pong", capacity=1), limit=300, name="ping", capacity=1)
            one.attach(ping)
            two.attach(pong)
            await ping.send(order(0))
            await until(lambda: len(there) + len(back) == 301)
            assert sorted(numbers(there + back)) == list(range(301))

    run(main)


@attrs.define
class Echo(Actor[Any]):
    log: list[Any]
    out: ActorRef[Any]
    limit: int

    async def handle(self, message: OrderCancel) -> None:
        self.log.append(message)
        if message.order_id < self.limit:
            await self.out.send(order(message.order_id + 1))


def test_a_port_is_a_sender_of_its_own_until_its_reference_is_closed(place: Place) -> None:
    """It is told apart by its actor and field; how far it has come can be said over it; closed, it is none any more."""

    async def main() -> None:
        async with place.three() as (bundle, receiver, sender), open_bundle("senders") as senders:
            log: list[Any] = []
            receiver.attach(await bundle.start(Log, log=log, name="merged", merge="event_time"))
            ref = sender.ref("merged")
            early, late = sender.ref("merged", sender="early"), sender.ref("merged", sender="late")
            burst = await senders.start(Burst, out=ref, times=1, name="burst")
            assert (repr(ref), repr(late)) == ("<RemoteRef merged>", "<RemoteRef late. → merged>")
            await early.wait_open()
            await late.wait_open()
            burst.tell(order(5))
            early.advance(4)
            late.tell(order(9))
            await until(lambda: receiver.statistics().received == 3)
            assert log == ["start"]  # the early one may still send something of time 4
            early.advance(6)
            await until(lambda: numbers(log[1:]) == [5])
            ref.close()
            await until(lambda: {link.sender for link in receiver.statistics().incoming} == {"early", "late"})

    run(main)


# The connection


def test_attempts_to_connect_become_rarer(place: Place) -> None:
    """Without a relay a client tries again for ever, at most every two seconds and a bit, and leaves nothing behind."""

    async def main() -> None:
        times: list[float] = []

        async def connect() -> Any:
            times.append(trio.current_time())
            raise ConnectionRefusedError

        async with place.client("c", connect=connect) as client:
            await trio.sleep(500)
            waits = [after - before for before, after in pairwise(times)]
            assert max(waits[:3]) < 0.3
            assert all(1.4 <= wait <= 2.6 for wait in waits[8:])
            assert client.reconnects == 0

    run(main)


def test_a_relay_that_says_nothing_is_given_up(place: Place) -> None:
    """A client waits three heartbeats for a welcome; it looks once in each, because when it is welcome it has to be heard."""
    session = Session("c", heartbeat_s=2)
    session.connected(100.0)
    assert session.data_to_send(100.0)
    assert session.on_time(100.0) == 102.0
    assert session.on_time(105.0) == 106.0
    assert not session.data_to_send(105.0)
    with pytest.raises(RelayError, match=r"nothing from the relay for 6\.0 s"):
        session.on_time(106.0)


def test_the_mark_of_what_comes_again_is_counted_for_everybody_to_see(place: Place) -> None:
    """The process of a receiver dies: its successor's statistics say how many messages its predecessor may have handled."""

    async def main() -> None:
        gate = shut()
        async with place.relay(), place.client("sender") as sender:
            ref = sender.ref("slow", capacity=4)
            with trio.CancelScope() as death:
                async with place.node("one") as (bundle, one):
                    one.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=4))
                    for number in range(4):
                        await ref.send(order(number))
                    open_gate(gate, 1)
                    await until(lambda: sender.statistics().outgoing[0].outstanding == 3)
                    death.cancel()
                    await trio.sleep_forever()
            log: list[OrderCancel] = []
            async with place.node("two") as (bundle, two):
                two.attach(await bundle.start(Log, log=log, name="slow"))
                await ref.send(order(4))
                await sender.drain()
                statistics = two.statistics()
                assert numbers([entry for entry in log if entry != "start"]) == [1, 2, 3, 4]
                assert (statistics.redelivered, statistics.incoming[0].redelivered, statistics.received) == (3, 3, 4)
                assert sender.statistics().outgoing[0].redelivered == 3

    run(main)


def test_a_mailbox_that_refuses_does_so_where_the_sender_is(place: Place) -> None:
    """Under fail, what comes from several senders at once and finds no room waits; nothing is lost of what none was refused."""

    async def main() -> None:
        gate = shut()
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=2, overflow="fail"))
            first, second = sender.ref("slow"), sender.ref("slow")
            await first.wait_open()
            await second.wait_open()
            first.tell(order(0))
            await until(lambda: receiver.statistics().received == 1)
            await wait_all_tasks_blocked()
            for number in range(2):
                second.tell(order(number))
            first.tell(order(1))
            await until(lambda: receiver.statistics().received == 4)
            open_gate(gate)
            await sender.drain()
            counts = balance(bundle, "slow")
            assert counts == {"received": 4, "handled": 4, "failed": 0}
            with pytest.raises(MailboxFull):
                first.tell_many([order(number) for number in range(10)])

    run(main)


def test_whoever_relies_on_a_denied_link_is_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What was sent before anybody knew is not handled: `drain` raises and says how much, and each end's log has one line."""

    async def main() -> None:
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            receiver.attach((await start_probe(bundle)).ref)
            session = Session("stranger", registry=other_registry())
            async with place.client("stranger", session=session) as stranger:
                ref = stranger.ref("probe")
                for number in range(3):
                    ref.tell(order(number))
                with pytest.raises(
                    LinkDenied, match=r"'probe'.*differ.*; 3 messages that were sent to it are not handled$"
                ):
                    await stranger.drain()
                with pytest.raises(LinkDenied):
                    await stranger.drain("probe")
                await stranger.drain("somebody else")
                await stranger.settle()
                (refused,) = stranger.statistics().refused
                assert refused.startswith("outside → probe: the messages of ")
                assert refused.endswith("; 3 messages that were sent to it are not handled")
                await until(lambda: receiver.statistics().denied)
                again = Session("stranger", registry=other_registry(), client=session.client)
                async with place.client("stranger", session=again) as second:
                    with pytest.raises(LinkDenied):
                        await second.ref("probe").wait_open()
                assert receiver.statistics().refused == ()

    run(main)
    lines = [record.getMessage() for record in caplog.records if "takes nothing" in record.getMessage()]
    assert sorted({line.split(":")[0] for line in lines}) == ["receiver", "stranger"]
    assert len([line for line in lines if line.startswith("receiver:")]) == 1


def test_a_subscriber_that_takes_nothing_is_known_to_the_publisher(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The others get what is published, so that nothing is raised; statistics and the log have it."""

    async def main() -> None:
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            receiver.attach((await start_probe(bundle)).ref, topics=("orders",))
            session = Session("stranger", registry=other_registry())
            async with place.client("stranger", session=session) as stranger:
                ref = stranger.topic("orders")
                ref.tell(order(1))
                await until(lambda: stranger.statistics().refused)
                await stranger.drain()
                (refused,) = stranger.statistics().refused
                assert refused.startswith("outside → probe of topic 'orders': the messages of ")
                assert stranger.statistics().outgoing[0].denied.startswith("the messages of ")

    run(main)
    assert "stranger: 'probe' takes nothing from 'outside': the messages of" in caplog.text
