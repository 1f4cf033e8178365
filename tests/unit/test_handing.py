"""Messages that come in one go are handed over in one go, and each of them as if it had come by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from tests.actors import Log, Slow, balance, open_gate, shut
from tests.relays import Place, numbers, order, place, run, until
from tests.sans_io import Wire, read

from spore import Actor, Directive
from spore.codec import Flags, encode
from spore.relay.control import (
    ANNOUNCED,
    PROTOCOL,
    Accept,
    Ack,
    Announce,
    Begin,
    Heartbeat,
    Open,
    Policy,
    Reason,
    Resend,
    Route,
    Welcome,
    control_frame,
)
from spore.relay.incoming import Incoming
from spore.relay.outgoing import Outgoing
from spore.relay.session import BATCH, Session
from spore.services.messages import OrderCancel

__all__ = ["place"]

MANY = 3 * BATCH + 5


@attrs.define
class Doing(Actor[OrderCancel]):
    """Does something at one message, and keeps all numbers."""

    log: list[int]
    at: int
    do: Callable[[], Any]

    def handle(self, message: OrderCancel) -> Any:
        self.log.append(message.order_id)
        return self.do() if message.order_id == self.at else None

    def on_error(self, error: Exception, message: OrderCancel) -> Directive:
        return Directive.RESUME


async def tell_all(ref: Any, count: int = MANY) -> None:
    """Tell all at once, so that they travel together."""
    await ref.wait_open()
    for number in range(count):
        ref.tell(order(number))


def test_what_a_run_is_detached_before_is_the_successors_and_what_was_handled_is_not(place: Place) -> None:
    """A handler that detaches its own actor gets no more of the messages that came with it; the successor gets no more than those, and
    the one in hand again."""

    async def main() -> None:
        log: list[int] = []
        async with place.relay(), place.client("sender") as sender, place.node("one") as (first, one):
            ref = sender.ref("doing")
            one.attach(await first.start(Doing, log=log, at=20, do=lambda: one.detach("doing"), name="doing"))
            await tell_all(ref)
            await until(lambda: 20 in log)
            async with place.node("two") as (second, two):
                after: list[Any] = []
                two.attach(await second.start(Log, log=after, name="doing"))
                await sender.drain()
            assert log == [*range(21)]
            assert numbers([entry for entry in after if isinstance(entry, OrderCancel)]) == [*range(20, MANY)]

    run(main)


def test_one_that_fails_in_a_run_is_its_supervisors_and_the_others_are_handled(place: Place) -> None:
    """Each message of a run is counted once, and all are acknowledged."""

    async def main() -> None:
        log: list[int] = []

        def fail() -> None:
            raise ValueError("one in a run")

        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Doing, log=log, at=40, do=fail, name="doing"))
            await tell_all(sender.ref("doing"))
            await sender.drain()
            assert log == [*range(MANY)]
            assert balance(bundle, "doing") == {"received": MANY, "handled": MANY - 1, "failed": 1}

    run(main)


def test_a_coroutine_in_a_run_is_awaited_before_what_follows_and_before_it_is_acknowledged(place: Place) -> None:
    """A handler that does not look async keeps the order, and its sender what is not handled."""

    async def main() -> None:
        log: list[Any] = []
        gate = shut()

        async def later() -> None:
            await gate.acquire()
            log.append("later")

        async with place.three() as (bundle, receiver, sender):
            receiver.attach(await bundle.start(Doing, log=log, at=10, do=later, name="doing", capacity=MANY))
            ref = sender.ref("doing", capacity=MANY)
            await tell_all(ref)
            await until(lambda: ref.links()[0].outstanding == MANY - 10)
            assert log == [*range(11)]
            open_gate(gate)
            await sender.drain()
            assert log == [*range(11), "later", *range(11, MANY)]
            assert balance(bundle, "doing")["handled"] == MANY

    run(main)


def test_acknowledgements_of_a_stream_that_flows_are_one(place: Place) -> None:
    """What is handled while an acknowledgement waits is acknowledged with it."""

    async def main() -> None:
        async with place.relay(), place.node("receiver") as (bundle, receiver):
            receiver.attach(await bundle.start(Log, log=[], name="log"))
            raw = await place.raw()
            await raw.hello()
            await raw.say(Open(1, "outside", "", False, ("log",), ""))
            accept = await raw.hear(Accept)
            await raw.say(Begin(1, accept.member, 1, ()), Route(1))
            for number in range(1, 5):
                await raw.sock.send(encode(order(number), sequence=number, timestamp_ns=0))
                await trio.sleep(0.006)  # of the virtual clock: less than an acknowledgement waits
            assert (await raw.hear(Ack)).handled == 4

    run(main)


def test_who_waits_for_room_is_woken_for_a_little_of_it_too(place: Place) -> None:
    """One place is free, and nobody handles anything: the sender does not wait for more."""

    async def main() -> None:
        gate, returned = shut(), []

        async def send_all(ref: Any) -> None:
            for number in range(MANY):
                await ref.send(order(number))
                returned.append(number)

        async with place.three() as (bundle, receiver, sender), trio.open_nursery() as nursery:
            receiver.attach(await bundle.start(Slow, log=[], gate=gate, name="slow", capacity=BATCH))
            ref = sender.ref("slow")
            await ref.wait_open()
            nursery.start_soon(send_all, ref)
            await until(lambda: len(returned) == BATCH)
            open_gate(gate, 1)
            await until(lambda: len(returned) == BATCH + 1)
            open_gate(gate)
            await until(lambda: len(returned) == MANY)
            await sender.drain()

    run(main)


# Sans-IO


def receiving(**options: Any) -> tuple[Session, Incoming]:
    """A session to which a link leads that has begun."""
    session = Session("receiver", client=5, clock=lambda: 7, **options)
    session.attach("a")
    session.connected(0.0)
    words = (
        Welcome(PROTOCOL, 5, 2_000),
        Announce(ANNOUNCED, 3, 1, "sender", "outside", "", False, "a"),
        Begin(ANNOUNCED, 0, 1, ()),
        Route(ANNOUNCED),
    )
    session.receive(b"".join(map(control_frame, words)), 0.0)
    session.data_to_send(0.0)
    (link,) = session.incoming
    return session, link


def stream(first: int, last: int) -> bytes:
    return b"".join(encode(order(number), sequence=number, timestamp_ns=0) for number in range(first, last + 1))


@pytest.mark.parametrize(
    ("between", "answers", "goes_on"),
    [
        (stream(1, 3), [], 6),
        (stream(8, 9), [Resend(ANNOUNCED, 0, 5)], 6),
        (stream(6, 6)[:-1] + b"\x01", [Resend(ANNOUNCED, 0, 5)], 6),
        (encode(order(6), sequence=6, timestamp_ns=0, flags=Flags.REDELIVERED), [], 7),
        (control_frame(Heartbeat()), [], 6),
    ],
    ids=["again", "gap", "damaged", "redelivered", "control"],
)
def test_between_two_runs_anything_may_come(between: bytes, answers: list[Any], goes_on: int) -> None:
    """In one chunk with messages before and behind it: each message is taken once, in order, and what is missing is asked for."""
    session, link = receiving()
    session.receive(stream(1, 5) + between + stream(goes_on, 9), 0.0)
    assert read(session.data_to_send(0.0)) == answers
    assert [(number, getattr(item, "order_id", None)) for number, item, _ in link.arrived] == [
        (n, n) for n in range(1, 10)
    ]
    assert link.received == 9


def test_reading_stops_where_there_is_no_time_and_goes_on_where_it_stopped() -> None:
    """Nothing behind is looked at meanwhile, nothing is lost, and all comes in order."""
    session, link = receiving()
    found: list[int] = []
    times = iter([True, False, False, True, True, True])

    def hand_over(where: Incoming, messages: Any, number: int) -> bool:
        assert where is link
        assert numbers(list(messages)) == [*range(number, number + len(messages))]
        found.extend(numbers(list(messages)))
        return next(times)

    session.on_run = hand_over
    session.receive(stream(1, MANY) + control_frame(Route(ANNOUNCED + 1)), 0.0)
    assert (session.stopped, found) == (link, [*range(1, 2 * BATCH + 1)])
    assert session.receive(b"", 0.0) == []
    assert (session.stopped, len(found)) == (link, 2 * BATCH)
    session.receive(b"", 0.0)
    assert (session.stopped, found) == (None, [*range(1, MANY + 1)])
    session.receive(stream(MANY + 1, MANY + 1), 0.0)  # the Route was read: these go elsewhere
    assert len(found) == MANY


def test_who_allows_only_small_frames_has_each_looked_at() -> None:
    """A run cannot say how large a frame is, so there is none."""
    session, link = receiving(max_frame_size=1_000)
    session.on_run = lambda *_: pytest.fail("no run was to be read")
    session.receive(stream(1, 3), 0.0)
    assert link.received == 3


def test_room_is_worth_a_wake_from_a_quarter_of_the_window_on() -> None:
    """A few places are room for who asks, and no reason to wake who waits; a refusal is one."""
    receiver, sender = Session("receiver", client=1), Session("sender", client=2)
    receiver.attach("a", window=8)
    wire = Wire(receiver, sender)
    link: Outgoing = sender.open(receivers=("a",))
    wire.move()
    for number in range(8):
        assert link.queue_at_once(order(number))
    assert (link.queue_at_once(order(8)), link.has_room(order(8)), link.roomy) == (False, False, False)
    link.acked(1, 1)
    assert (link.has_room(order(8)), link.roomy) == (True, False)
    link.acked(1, 2)
    assert link.roomy
    assert link.queue_at_once(order(8))
    assert not link.roomy
    link.deny("a", Reason.SCHEMA, "no")
    assert link.roomy
    assert not link.queue_at_once(order(9))


@pytest.mark.parametrize(("window", "share"), [(8, 4), (400, 4), (1_000, 2), (4_000, 2)])
def test_large_windows_are_acknowledged_by_the_half(window: int, share: int) -> None:
    """The larger the window, the longer what is left of it keeps the receiver busy while an acknowledgement is on its way."""
    link = Incoming(Announce(1, 3, 1, "sender", "outside", "", False, "a"), window=window, policy=Policy.BLOCK)
    link.begin(Begin(1, 0, 1, ()))
    link.take_all(window)
    link.done_all(1, window // share - 1)
    assert not link.ack_urgent
    link.done(window // share)
    assert link.ack_urgent
