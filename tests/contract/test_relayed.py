"""The contract in the relayed world: a sender and a receiver in two clients of a relay, as if they were two processes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from tests.actors import balance
from tests.contract.test_failures import LOOKS_PLAIN, Unprintable
from tests.relays import Place, order, place, run, until

from spore import Actor, Directive, Supervision
from spore.errors import ActorStopped, AskFailed
from spore.nursery_bundle import Loss

__all__ = ["place"]


@pytest.mark.parametrize("cls", [cls for cls in LOOKS_PLAIN if cls.__name__ != "Sometimes"])
def test_a_handler_that_does_not_look_async_runs(place: Place, cls: Any) -> None:
    """A message is acknowledged once its coroutine has ended, so that drain returns when all were handled."""

    async def main() -> None:
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(cls, name="a"))
            ref = sender.ref("a")
            for number in range(3):
                ref.tell(order(number))
            await sender.drain()
            assert balance(bundle, "a") == {"received": 3, "handled": 3, "failed": 0}
            assert trio.current_time() >= 3
            assert await ref.ask(order(3)) is not None

    run(main)


def test_an_error_that_cannot_be_printed_reaches_the_asker_as_others_do(place: Place) -> None:
    """As AskFailed; the message is a dead letter where it was handled, and the actor goes on."""

    class Fails(Actor[Any]):
        def handle(self, message: Any) -> Any:
            if message.order_id == 1:
                raise Unprintable
            return message

    async def main() -> None:
        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Fails, name="a", supervision=Supervision(backoff_s=0)))
            ref = sender.ref("a")
            with pytest.raises(AskFailed):
                await ref.ask(order(1))
            assert await ref.ask(order(2)) == order(2)
            assert bundle.last_letters(1)[0].reason is Loss.FAILED

    run(main)


def test_a_stop_ends_although_messages_keep_coming(place: Place) -> None:
    """What had come by the call is handled; later ones are counted where the sender is, and send and ask raise."""

    @attrs.define
    class Slow(Actor[Any]):
        async def handle(self, message: Any) -> None:
            await trio.sleep(0.02)

    async def main() -> None:
        async with place.three() as (bundle, receiver, sender):
            actor = await bundle.start(Slow, name="a")
            receiver.attach(actor)
            ref = sender.ref("a")
            await ref.wait_open()

            async def keep_telling() -> None:
                for number in range(100_000):
                    ref.tell(order(number))
                    await trio.sleep(0.01)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_telling)
                await trio.sleep(1)
                await bundle.stop(actor)
                await until(lambda: sender.statistics().outgoing[0].denied)
                nursery.cancel_scope.cancel()
            assert trio.current_time() < 5
            ref.tell(order(1))
            assert sender.statistics().outgoing[0].lost[Loss.STOPPED] >= 1
            for call in (ref.send, ref.ask):
                with pytest.raises(ActorStopped):
                    await call(order(2))

    run(main)


def test_the_end_of_one_actor_is_not_its_senders(place: Place) -> None:
    """A leaf that a failure stops does not make its sender in another process fail."""

    class Leaf(Actor[Any]):
        def handle(self, message: Any) -> None:
            raise ValueError

    class Forward(Actor[Any]):
        def __init__(self, out: Any) -> None:
            self.out = out

        def handle(self, message: Any) -> None:
            self.out.tell(message)

    async def main() -> None:
        stop = Supervision(on_failure=Directive.STOP)
        async with place.relay(), place.node("receiver") as (bundle, receiver), place.node("sender") as (other, sender):
            receiver.attach(await bundle.start(Leaf, name="leaf", supervision=stop))
            forward = await other.start(Forward, out=sender.ref("leaf"), name="forward")
            for number in range(20):
                forward.tell(order(number))
                await trio.sleep(0.01)
            assert balance(other, "forward") == {"received": 20, "handled": 20, "failed": 0}

    run(main)
