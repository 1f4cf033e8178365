"""Every frame of a plain sender takes a place at its subscribers, and gives it back however it ends."""

from __future__ import annotations

import struct
import zlib
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from tests.relays import Place, numbers, order, place, run, until
from tests.sans_io import Wire

from spore import Actor, open_bundle
from spore.codec import encode
from spore.message import Domain
from spore.nursery_bundle.policy import Overflow
from spore.relay import Switchboard
from spore.relay.control import ANNOUNCED, Ack, Attach, Detach, Heartbeat, control_frame
from spore.relay.peer import Member
from spore.relay.session import Session
from spore.services.messages import OrderCancel
from spore.testing import start_probe

__all__ = ["place"]
WINDOW = 5
GOOD = encode(OrderCancel(1, 2, "late"), sequence=1, timestamp_ns=0)


def made(payload: bytes, *, domain: Domain = Domain.EXECUTION, checksum: int | None = None) -> bytes:
    head = struct.pack("<IBBBBQQI", 0xDEADBEEF, domain, 1, 7, 0, 1, 2, len(payload))
    right = zlib.crc32(payload, zlib.crc32(head))
    return head + struct.pack("<I", right if checksum is None else checksum) + payload


UNREADABLE = {
    "checksum 0": (made(GOOD[32:], checksum=0), "checksum"),
    "another checksum": (made(GOOD[32:], checksum=7), "checksum"),
    "cut off within": (made(GOOD[32:-1]), "tlv"),
    "a field too many": (made(bytes((43, 21)) + GOOD[34:] + b"\0"), "length"),
    "no text": (made(bytes((43, 19)) + bytes(16) + b"\x01\0\xff"), "value"),
    "of another domain": (made(bytes((18, 1, 0))), "type"),
    "not known here": (made(bytes((59, 1, 0))), "unknown"),
    "nothing in it": (made(b""), "unknown"),
    "a control message of a link": (made(bytes((230, 1, 0)), domain=Domain.SYSTEM), "length"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_frames_that_cannot_be_read_do_not_block_their_sender(place: Place, name: str, caplog: Any) -> None:
    """Far more of them than the window holds, between good ones: all good ones arrive, the others are counted by reason, and one line says so."""
    frame, reason = UNREADABLE[name]

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.node("reader") as (bundle, client):
            probe = await start_probe(bundle, capacity=WINDOW)
            client.attach(probe.ref, topics=("execution", "system"))
            await until(lambda: board.peers and any(peer.receivers for peer in board.peers.values()))
            raw = await place.raw()
            for number in range(40):
                await raw.sock.send(frame + encode(order(number), sequence=1, timestamp_ns=0))
            await raw.sock.send(frame * 100)
            await probe.wait_for(40)
            assert numbers(probe.received) == list(range(40))
            await until(lambda: sum(client.statistics().unread.values()) == 140)
            assert set(client.statistics().unread) == {reason}
            await until(lambda: not any(any(peer.congested) for peer in board.peers.values()))
            assert client.statistics().reconnects == 0
            lines = [record.message for record in caplog.records]
            assert len(lines) == 1
            assert "a plain sender" in lines[0]
            await trio.sleep(61)
            assert len(caplog.records) == 2
            assert "139 more in a minute" in caplog.records[1].message

    run(main)


def test_a_plain_sender_whose_frames_have_checksum_0_in_turns(place: Place) -> None:
    """One bad frame and one good one in turns, a thousand pairs: every good one is handled."""
    pairs = b"".join(UNREADABLE["checksum 0"][0] + encode(order(n), sequence=n, timestamp_ns=0) for n in range(1_500))

    async def main() -> None:
        async with place.relay() as relay, place.node("reader") as (bundle, client):
            probe = await start_probe(bundle, capacity=1_000)
            client.attach(probe.ref, topics=("execution",))
            await until(lambda: any(peer.receivers for peer in relay.board.peers.values()))
            raw = await place.raw()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, raw, pairs)
                await probe.wait_for(1_500)
            assert client.statistics().unread == {"checksum": 1_500}

    run(main)


async def send_all(raw: Any, data: bytes) -> None:
    while data:
        data = data[await raw.sock.send(data) :]


class Waits(Actor[OrderCancel]):
    """Handles nothing before a gate is opened."""

    def __init__(self, gate: trio.Event) -> None:
        self.gate = gate

    async def handle(self, message: OrderCancel) -> None:
        await self.gate.wait()


@pytest.mark.parametrize("overflow", list(Overflow))
def test_what_a_mailbox_refuses_or_drops_gives_its_place_back(place: Place, overflow: Overflow) -> None:
    """Under every policy: when the actor has gone on, nothing is outstanding at the plain sender."""

    async def main() -> None:
        board, gate = Switchboard(), trio.Event()
        async with place.relay(board), place.node("reader") as (bundle, client):
            key = (lambda _message: 1) if overflow is Overflow.CONFLATE else None
            ref = await bundle.start(Waits, gate=gate, name="reader", capacity=WINDOW, overflow=overflow, key=key)
            client.attach(ref, topics=("execution",))
            await until(lambda: any(peer.receivers for peer in board.peers.values()))
            raw = await place.raw()
            await raw.sock.send(b"".join(encode(order(n), sequence=n, timestamp_ns=0) for n in range(50)))
            await until(lambda: board.counts.frames == 50 or any(any(p.congested) for p in board.peers.values()))
            gate.set()
            await until(lambda: board.counts.frames == 50 and not outstanding(board))
            assert outstanding(board) == 0

    run(main)


def outstanding(board: Switchboard) -> int:
    return sum(
        member.outstanding
        for peer in board.peers.values()
        for link in peer.channels.values()
        for member in link.members.values()
    )


@pytest.mark.parametrize("how", ["stops", "detaches", "vanishes"])
def test_a_subscriber_that_is_gone_holds_up_nobody(place: Place, how: str) -> None:
    """It had as much outstanding as it takes; whether it stops, detaches or vanishes, the sender goes on for those who are there."""

    async def main() -> None:
        board, gate = Switchboard(), trio.Event()
        async with place.relay(board), place.node("stays") as (other, staying):
            probe = await start_probe(other, name="stays", capacity=1_000)
            staying.attach(probe.ref, topics=("execution",))
            async with place.client("goes") as going, open_bundle("b") as bundle, AsyncExitStack() as stack:
                ref = await bundle.start(Waits, gate=gate, name="goes", capacity=WINDOW)
                going.attach(ref, topics=("execution",))
                await until(lambda: sum(len(peer.receivers) for peer in board.peers.values()) == 2)
                raw = await place.raw()
                nursery = await stack.enter_async_context(trio.open_nursery())
                for number in range(10):
                    await raw.sock.send(encode(order(number), sequence=number, timestamp_ns=0))
                await until(lambda: outstanding(board) >= WINDOW)
                if how == "stops":
                    nursery.start_soon(bundle.stop, "goes")
                    gate.set()
                elif how == "detaches":
                    going.detach("goes", leave=True)
                else:
                    next(peer for peer in board.peers.values() if peer.name == "goes").closing = True
                    assert going._carrier is not None
                    going._carrier.close()
                for number in range(10, 100):
                    await raw.sock.send(encode(order(number), sequence=number, timestamp_ns=0))
                if how == "vanishes":
                    going.detach("goes", leave=True)
                await probe.wait_for(100)
                await until(lambda: outstanding(board) == 0)
                gate.set()

    run(main)


def test_an_acknowledgement_gives_back_what_it_says_and_no_more() -> None:
    """One that goes back, or beyond what is under way, makes nobody wait for ever, and lets nobody run ahead."""
    member = Member(None, "a", ANNOUNCED, 1, window=3)  # type: ignore[arg-type]
    for _ in range(4):
        member.passed_on(10)
    for handled, left in [(1, 3), (0, 3), (1, 3), (2**64 - 1, 0), (5, 0)]:
        member.acked(handled)
        assert (member.outstanding, member.under_way) == (left, 10 * left)


def test_the_links_of_two_plain_senders_are_both_forgotten_when_their_receiver_is_detached() -> None:
    """They come from the same number, and are two: none stays behind at the receiver's end, where a merge would wait for it."""
    session = Session("reader")
    session.attach("reader", topics=("execution",), window=10)
    wire = Wire(session)
    closed: list[Any] = []
    session.on_closed = closed.append
    for _ in range(2):
        wire.board.receive(wire.board.connect(0.0), GOOD, 0.0)
    wire.move()
    assert len(session.incoming) == 2
    session.detach("reader")
    wire.move()
    assert len(closed) == 2
    assert session.incoming == ()


def test_a_plain_sender_that_says_what_it_cannot_is_forgotten_with_its_links() -> None:
    """What a plain sender cannot say ends its connection, and frees what it had."""
    session = Session("reader")
    session.attach("reader", topics=("execution",), window=10)
    wire = Wire(session)
    for word in (Ack(ANNOUNCED, 0, 1), Attach("x", ()), Detach("x", False), Heartbeat()):
        plain = wire.board.connect(0.0)
        wire.board.receive(plain, GOOD + control_frame(word), 0.0)
        assert plain.closing
        wire.board.disconnect(plain)
    wire.move()
    assert session.incoming == ()
