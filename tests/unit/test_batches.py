"""Handing over many messages at once."""

import attrs
import pytest
import trio
from tests.actors import RESUME, Log, Slow, both, open_gate, shut

import spore
from spore.nursery_bundle import Loss
from spore.testing import run, start_probe


@attrs.define
class Hop(spore.Actor[int]):
    out: spore.ActorRef[int]

    def handle(self, message):
        if message:
            self.out.tell_many([message - 1])


@both
def test_batches_in_a_ring_longer_than_handlers_nest_arrive(dispatch):
    """A batch that comes too deep is queued instead, and nothing of it is lost or counted twice."""

    async def main():
        async with spore.open_bundle("ring", dispatch=dispatch) as bundle:
            refs = [
                await bundle.start(Hop, out=bundle.ref(f"{n + 1}" if n < 99 else "0"), name=f"{n}") for n in range(100)
            ]
            refs[0].tell_many([250])
            await bundle.wait_idle()
            return [actor.handled for actor in bundle.statistics().actors.values()]

    assert run(main) == [3] * 51 + [2] * 49


@both
def test_a_batch_larger_than_the_mailbox_keeps_its_order(dispatch):
    """`tell_many` may run the mailbox over, as `tell` may, and what is timed on the way changes nothing."""

    async def main():
        async with spore.open_bundle("batch", dispatch=dispatch) as bundle:
            probe = await start_probe(bundle, capacity=7)
            probe.ref.tell_many(range(3_000))
            probe.ref.tell_many(iter(range(3_000, 3_010)))
        return probe.received

    assert run(main) == list(range(3_010))


@both
def test_a_failure_within_a_batch_concerns_one_message(dispatch):
    """The rest of the batch is handled, by the same actor where it resumes."""

    async def main():
        log = []
        async with spore.open_bundle("batch", dispatch=dispatch) as bundle:
            actor = await bundle.start(Log, log=log, name="a", supervision=RESUME)
            actor.tell_many([1, ValueError("two"), 3])
        return log

    assert run(main) == ["start", 1, 3, "stop"]


def test_an_interrupt_within_a_batch_is_not_swallowed():
    """Ctrl-C while a handler runs leaves the bundle; its message is counted as cancelled."""

    @attrs.define
    class Interrupted(spore.Actor[int]):
        def handle(self, message):
            if message == 2:
                raise KeyboardInterrupt

    counted = {}

    async def main():
        async with spore.open_bundle("batch") as bundle:
            actor = await bundle.start(Interrupted, name="a")
            try:
                actor.tell_many([1, 2, 3])
            finally:
                counted.update(bundle.statistics().actors["a"].lost)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main)
    assert caught.group_contains(KeyboardInterrupt)
    assert counted == {Loss.CANCELLED: 1}


def test_send_many_feels_the_pressure_of_what_is_behind_the_receiver():
    """As `send`, it waits while an actor that its messages lead to has more than its mailbox holds."""

    async def main():
        log, gate, sent = [], shut(), []

        def messages():
            for number in range(6):
                sent.append(number)
                yield number

        async with spore.open_bundle("pressure") as bundle:
            slow = await bundle.start(Slow, log=log, gate=gate, name="slow", capacity=2)
            first = await bundle.start(Log, log=[], out=slow, name="first")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send_many, messages())
                await trio.testing.wait_all_tasks_blocked()
                held = list(sent)
                open_gate(gate)
        return held, log

    held, log = run(main)
    assert held == [0, 1, 2, 3, 4]  # one in hand, two in the mailbox, one too many, and one that waits
    assert log == [0, 1, 2, 3, 4, 5]


def test_send_many_waits_for_room_and_gives_way():
    """With a full mailbox it waits in line, and others have their turn before a long batch is through."""

    async def main():
        order = []

        async def other():
            order.append("other")

        async with spore.open_bundle("batch", dispatch="queued") as bundle:
            probe = await start_probe(bundle, capacity=3)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                await probe.ref.send_many(range(500))
                order.append("all sent")
        return order, probe.received

    assert run(main) == (["other", "all sent"], list(range(500)))


def test_a_fan_out_sends_batches_to_each_receiver():
    """Every receiver behind the port gets the whole batch, in order."""

    async def main():
        async with spore.open_bundle("fan") as bundle:
            probes = [await start_probe(bundle, name) for name in "ab"]

            @attrs.define
            class Source(spore.Actor[int]):
                out: spore.ActorRef[int]

                async def handle(self, message):
                    await self.out.send_many(range(message))

            source = await bundle.start(Source, out=[probe.ref for probe in probes])
            await source.send(4)
        return [probe.received for probe in probes]

    assert run(main) == [[0, 1, 2, 3]] * 2
