"""The same actors and messages within a bundle and over the relay: the same answers, the same losses by the same names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from tests.actors import Log, Slow, balance, open_gate, shut
from tests.relays import Place, numbers, order, place, run, until
from trio.testing import wait_all_tasks_blocked

from spore import ActorRef, Bundle, open_bundle
from spore.errors import MailboxFull
from spore.nursery_bundle import Loss
from spore.services.messages import OrderCancel
from spore.testing import start_probe

__all__ = ["place"]

both_modes = pytest.mark.parametrize("mode", ["bundled", "relayed"])


class Mode:
    """A bundle whose actors are reached either way."""

    def __init__(self, bundle: Bundle, reach: Callable[..., Any], settle: Callable[[], Any]) -> None:
        self.bundle = bundle
        self.reach = reach
        """Turns the reference that `Bundle.start` returns into one of a sender."""
        self.settle = settle
        """Wait until nothing is under way."""


@asynccontextmanager
async def opened(mode: str, place: Place) -> AsyncIterator[Mode]:
    if mode == "bundled":
        async with open_bundle("receiver") as bundle:

            async def reach(ref: ActorRef[Any], **_: Any) -> ActorRef[Any]:
                return ref

            yield Mode(bundle, reach, bundle.wait_idle)
        return
    async with place.three() as (bundle, receiver, sender):

        async def reach(ref: ActorRef[Any], port: bool = False, **options: Any) -> ActorRef[Any]:
            receiver.attach(ref)
            remote = sender.ref(ref.name, **options)
            if not port:  # else it would be a sender, too
                await remote.wait_open()
            return remote

        async def settle() -> None:
            await sender.drain()

        yield Mode(bundle, reach, settle)


@both_modes
@pytest.mark.parametrize(
    ("overflow", "handled", "lost"),
    [
        ("drop_oldest", [0, 3, 4], {Loss.DROPPED_OLDEST: 2}),
        ("drop_newest", [0, 1, 2], {Loss.DROPPED_NEWEST: 2}),
        ("conflate", [0, 3, 4], {Loss.CONFLATED: 2}),
        ("block", [0, 1, 2, 3, 4], {}),
    ],
)
def test_overflow_policies(place: Place, mode: str, overflow: str, handled: list[int], lost: dict[Loss, int]) -> None:
    """One message in hand and four more for a mailbox of two: each policy gives up the same in both modes."""

    async def main() -> None:
        gate = shut()
        log: list[OrderCancel] = []
        key = (lambda message: message.order_id % 2) if overflow == "conflate" else None
        async with opened(mode, place) as there:
            options = {"capacity": 2, "overflow": overflow, "key": key}
            ref = await there.reach(await there.bundle.start(Slow, log=log, gate=gate, name="slow", **options), key=key)
            ref.tell(order(0))
            await wait_all_tasks_blocked()
            for number in range(1, 5):
                ref.tell(order(number))
            await wait_all_tasks_blocked()
            open_gate(gate)
            await there.settle()
            await there.bundle.wait_idle()
            assert balance(there.bundle, "slow") == {"received": 5, "handled": len(handled), "failed": 0, **lost}
            assert [letter.reason for letter in there.bundle.dead_letters] == [
                reason for reason, count in lost.items() for _ in range(count)
            ]
        assert numbers(log) == handled

    run(main)


@pytest.mark.parametrize(
    ("overflow", "kept", "lost"),
    [
        ("drop_oldest", range(12, 1_012), {Loss.DROPPED_OLDEST: 12}),
        ("drop_newest", range(1_000), {Loss.DROPPED_NEWEST: 12}),
        ("fail", range(1_000), {Loss.FULL: 12}),
        ("conflate", range(1_011, 1_012), {Loss.CONFLATED: 1_011}),
    ],
)
def test_what_waits_at_the_sender_obeys_the_receivers_policy(
    place: Place, overflow: str, kept: range, lost: dict[Loss, int]
) -> None:
    """While the receiver is away, the sender gives up what its mailbox would, by the same name, and counts it."""

    async def main() -> None:
        key = (lambda message: 1) if overflow == "conflate" else None
        log: list[OrderCancel] = []
        options = {"name": "log", "capacity": 1_000, "overflow": overflow, "key": key}
        async with place.relay(), place.client("sender") as sender:
            ref = sender.ref("log", key=key)
            async with place.node("one") as (bundle, one):
                one.attach(await bundle.start(Log, log=[], **options))
                await ref.wait_open()
            await until(lambda: not ref.links()[0].accepted)
            refused = 0
            for number in range(1_012):
                try:
                    ref.tell(order(number))
                except MailboxFull:
                    refused += 1
            async with place.node("two") as (bundle, two):
                two.attach(await bundle.start(Log, log=log, **options))
                await sender.drain()
            (link,) = sender.statistics().outgoing
            assert (link.lost, link.sent, link.outstanding) == (lost, 1_012, 0)
            assert refused == lost.get(Loss.FULL, 0)
        assert numbers([entry for entry in log if isinstance(entry, OrderCancel)]) == list(kept)

    run(main)


@both_modes
@pytest.mark.parametrize("seed", range(5))
def test_merge_by_event_time(place: Place, mode: str, seed: int) -> None:
    """What three senders send is handled by event time, sender and sequence, however it comes."""

    async def main() -> list[tuple[int, int]]:
        log: list[OrderCancel] = []
        async with opened(mode, place) as there, open_bundle("senders") as senders:
            # Named so that the order of their names is not that in which they send.
            merged = await there.bundle.start(Log, log=log, name="merged", merge="event_time", capacity=4)
            out = await there.reach(merged, port=True)
            sources = []
            for name in ("c", "a", "b"):
                if mode == "bundled":
                    sources.append(await there.bundle.start(Log, log=[], name=name, out=out))
                else:
                    sources.append(await senders.start(Log, log=[], name=name, out=out))

            async def feed(number: int, ref: ActorRef[Any]) -> None:
                for time in range(10):
                    await ref.send(order(number, at=time * (number + 1)))
                    for _ in range(number):
                        await trio.lowlevel.checkpoint()
                await (there.bundle if mode == "bundled" else senders).stop(ref)  # nobody waits for it any more

            async with trio.open_nursery() as nursery:
                for number, ref in enumerate(sources):
                    nursery.start_soon(feed, number, ref)
            await there.settle()
            await there.bundle.wait_idle()
        return [(entry.event_time_ns, entry.order_id) for entry in log if isinstance(entry, OrderCancel)]

    # By time; of one time a (1), then b (2), then c (0).
    due = [(time * (number + 1), number) for number in range(3) for time in range(10)]
    assert run(main, seed=seed) == sorted(due, key=lambda entry: (entry[0], "cab"[entry[1]]))


def test_a_topic_reaches_those_who_have_subscribed_by_then(place: Place) -> None:
    """Before the first it is counted as unheard; a late one gets what comes from then on; who has left gets no more."""

    async def main() -> None:
        async with place.relay(), place.client("publisher") as publisher, place.node("subscribers") as (bundle, client):
            topic = publisher.topic("t")
            await publisher.wait_connected()
            for number in range(3):
                await topic.send(order(number))
            first, second = await start_probe(bundle, "first"), await start_probe(bundle, "second")
            client.attach(first.ref, topics=("t", "another"))
            await topic.wait_open()
            await topic.send(order(3))
            client.attach(second.ref, topics=("t",))
            await topic.wait_open(at_least=2)
            await topic.send(order(4))
            await publisher.drain()
            client.detach("first", leave=True)
            await until(lambda: len(topic.links()[0].members) == 1)
            await topic.send(order(5), high=True)
            await topic.send(order(6))
            await publisher.drain()
            assert (numbers(first.received), numbers(second.received)[:2]) == ([3, 4], [4, 6])
            normal, _ = publisher.statistics().outgoing
            assert (normal.receiver, normal.unheard, normal.sent, normal.outstanding) == ("t", 3, 6, 0)

    run(main)


def test_several_receivers_of_one_reference_get_every_message(place: Place) -> None:
    """Actors of two clients behind one reference: each gets all, in order, also the one that comes later."""

    async def main() -> None:
        async with place.relay(), place.client("sender") as sender, place.node("one") as (bundle, one):
            first = await start_probe(bundle, "first")
            one.attach(first.ref)
            ref = sender.ref("first", "second", capacity=5)
            assert ref.name == "first, second"
            for number in range(4):
                await ref.send(order(number))
            await first.wait_for(4)
            assert sender.statistics().outgoing[0].outstanding == 4
            async with place.node("two") as (other, two):
                second = await start_probe(other, "second")
                two.attach(second.ref)
                await ref.wait_open()
                await ref.send_many([order(number) for number in range(4, 50)])
                await sender.drain()
                assert numbers(first.received) == numbers(second.received) == list(range(50))

    run(main)
