"""The rows of the table in docs/reference/security.md: every way into a listening socket of the link, what it asks for, and its limits."""

from __future__ import annotations

import logging
import random
import struct
import zlib
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import trio
from tests.relays import Place, Raw, place, run, until
from tests.sans_io import Wire, greet, hello, say, taken

import spore
from spore.codec import MAX_FRAME_SIZE, encode
from spore.errors import RelayRefused, UsageError
from spore.relay import Limits, Switchboard
from spore.relay.control import (
    ANNOUNCED,
    CONTROL,
    PROTOCOL,
    Accept,
    Ack,
    Announce,
    Attach,
    Close,
    Deny,
    Detach,
    Heartbeat,
    Hello,
    Open,
    Policy,
    Position,
    Reason,
    Refused,
    Reply,
    Route,
    Welcome,
    control_frame,
)
from spore.relay.peer import FIRST_FRAME, HIGH_WATER, PLAIN_BYTES, Peer
from spore.relay.quiet import Quiet
from spore.relay.server import STUCK_S
from spore.relay.session import Session
from spore.relay.switchboard import ACCEPT_S, GREETING_S, OVERRUN
from spore.relay.token import matching, read_token, read_tokens
from spore.services.messages import GasPrice, OrderCancel
from spore.testing import start_probe

__all__ = ["place"]
MiB = 1024 * 1024
ORDER = encode(OrderCancel(1, 2, "late"), sequence=1, timestamp_ns=0)


def frame(domain: int, payload: bytes, *, checksum: int | None = None) -> bytes:
    """A frame of any domain with any payload."""
    head = struct.pack("<IBBBBQQI", 0xDEADBEEF, domain, 1, 7, 0, 1, 2, len(payload))
    right = zlib.crc32(payload, zlib.crc32(head))
    return head + struct.pack("<I", right if checksum is None else checksum) + payload


def begun(size: int, domain: int = 3) -> bytes:
    """The header of a frame of a size, of which nothing else has come."""
    return struct.pack("<IBBBBQQII", 0xDEADBEEF, domain, 1, 7, 0, 1, 2, size - 32, 0)


def subscribed(board: Switchboard, *topics: str, window: int = 10, **options: Any) -> tuple[Wire, Session]:
    session = Session("reader", **options)
    session.attach("reader", topics=topics or ("execution",), window=window)
    return Wire(session, board=board), session


# Row: relay, a frame without Hello


@pytest.mark.parametrize("domain", spore.Domain)
@pytest.mark.parametrize("how", ["whole", "byte by byte", "many at once", "checksum 0"])
def test_a_frame_without_hello_is_refused_where_a_token_is_asked_for(domain: spore.Domain, how: str) -> None:
    """Row "relay, frame without Hello": whatever its domain is and however it comes, it is refused as ``token`` and reaches nobody."""
    if domain is spore.Domain.SYSTEM and how == "checksum 0":
        pytest.skip("in the system domain that is damage: it could be a control message")
    board = Switchboard(token="secret")
    wire, session = subscribed(board, *("market_data", "signal", "execution", "system"), token="secret")
    plain = board.connect(0.0, "10.0.0.9")
    data = frame(domain, bytes((100, 1, 7)), checksum=0 if how == "checksum 0" else None)
    if how == "many at once":
        data *= 20
    for part in [data[at : at + 1] for at in range(len(data))] if how == "byte by byte" else [data]:
        board.receive(plain, part, 0.0)
    wire.move()
    assert plain.closing
    assert plain.refused is not None
    assert plain.refused.reason == "token"
    assert [word.reason for word in taken(plain)] == [Reason.TOKEN]
    assert session.incoming == ()
    assert (board.counts.frames, board.places) == (0, 5)  # the reader's own


def test_a_frame_without_hello_is_served_where_no_token_is_asked_for() -> None:
    """Row "relay, frame without Hello": without a token, who can reach the socket can publish."""
    wire, session = subscribed(Switchboard())
    wire.board.receive(wire.board.connect(0.0), ORDER, 0.0)
    wire.move()
    assert wire.handle(session) == [OrderCancel(1, 2, "late")]


# Row: relay, a control message without Hello


@pytest.mark.parametrize("entry", [entry for entry in CONTROL if entry.cls is not Hello], ids=lambda entry: entry.name)
def test_a_control_message_before_hello_is_refused(entry: Any) -> None:
    """Row "relay, control message before Hello": whichever it is, it is refused as ``token``, and has changed nothing."""
    words: dict[type, object] = {
        Attach: Attach("a", ("execution", "journal:fills")),
        Open: Open(1, "s", "", False, ("journal:fills",), ""),
        Heartbeat: Heartbeat(),
        Detach: Detach("", False),
        Reply: Reply(1, False, ""),
    }
    board = Switchboard(token="secret")
    peer = board.connect(0.0)
    word = words.get(entry.cls)
    board.receive(peer, control_frame(word) if word is not None else frame(4, bytes((entry.type_id, 0))), 0.0)
    assert peer.refused is not None
    assert peer.refused.reason in ({"token"} if word is not None else {"token", "protocol"})
    assert (board.places, board.showing(0)) == (0, [])


def test_what_follows_a_refusal_is_not_looked_at() -> None:
    """Row "relay, Hello": a good Hello behind a frame that was refused, even in the same bytes, does not help."""
    board = Switchboard(token="secret")
    peer = board.connect(0.0)
    board.receive(peer, ORDER + control_frame(hello(token="secret")) + ORDER, 0.0)
    board.receive(peer, control_frame(hello(token="secret")), 0.0)
    assert [type(word) for word in taken(peer)] == [Refused]
    assert board.hello_of(1) is None


# Row: relay, Hello


@pytest.mark.parametrize("shown", ["", "s", "secre", "secret ", "secrets", "SECRET", "sécret", "secret\0"])
def test_a_token_that_is_not_quite_right_is_wrong(shown: str) -> None:
    """Row "relay, Hello": one character more or less, and nothing of the client is remembered."""
    board = Switchboard(token="secret")
    peer = board.connect(0.0)
    (answer,) = say(board, peer, hello(token=shown), Attach("a", ()))
    assert answer == Refused(Reason.TOKEN, "the token is wrong; ask whoever runs the relay")
    assert (board.hello_of(1), peer.name, board.places) == (None, "", 0)


def test_before_the_token_a_connection_may_make_the_relay_keep_little() -> None:
    """Row "relay, Hello", memory before: a frame of more than 128 KiB is refused by its header; one of less is no reason yet."""
    board = Switchboard(token="secret")
    small, large = board.connect(0.0), board.connect(0.0)
    board.receive(small, begun(FIRST_FRAME, domain=4) + bytes(1_000), 0.0)
    board.receive(large, begun(FIRST_FRAME + 1), 0.0)
    assert not small.closing
    assert large.refused is not None
    assert large.refused.reason == "token"
    assert board.unfinished == small.unfinished == 1_032


def test_behind_a_good_hello_frames_may_be_large_at_once() -> None:
    """Row "relay, Hello": the limit of before ends with Hello, even for what comes in the same bytes."""
    board = Switchboard(token="secret")
    peer = board.connect(0.0)
    board.receive(peer, control_frame(hello(token="secret")) + begun(10 * MiB) + bytes(1_000), 0.0)
    assert not peer.closing
    assert [type(word) for word in taken(peer)] == [Welcome]


@pytest.mark.parametrize(("heartbeat_s", "patience_s"), [(1.0, 3.0), (3_600.0, GREETING_S)])
def test_who_has_connected_and_does_not_introduce_himself_is_given_up(heartbeat_s: float, patience_s: float) -> None:
    """Row "relay, Hello", time before: three heartbeats, and ten seconds at most, however rare heartbeats are."""
    for said in (b"", ORDER[:20], control_frame(hello())[:-1]):
        board = Switchboard(heartbeat_s=heartbeat_s)
        peer = board.connect(0.0)
        board.receive(peer, said, patience_s - 0.5)
        board.on_time(patience_s - 0.1)
        assert not peer.closing
        board.on_time(patience_s + 0.1)
        assert peer.refused is not None
        assert peer.refused.reason == "silence"
        assert board.unfinished == 0


def test_a_heartbeat_that_is_next_to_none_is_refused() -> None:
    """Row "relay, Hello", time after: a client says how often it says something, and an hour is the most."""
    answer = say(Switchboard(), Switchboard().connect(0.0), hello(heartbeat_ms=3_600_001))[-1]
    assert answer.reason is Reason.LIMIT


# Row: relay, a plain peer (after its first frame)


def test_a_frame_of_a_plain_peer_that_never_ends_is_given_up() -> None:
    """Row "relay, frame without Hello", time after: between frames it may be silent; within one it has as long as a client."""
    board = Switchboard(heartbeat_s=2.0)
    plain = board.connect(0.0)
    board.receive(plain, ORDER, 0.0)
    board.on_time(10_000.0)
    assert not plain.closing
    for now_s in range(10_000, 10_007):
        board.receive(plain, begun(MAX_FRAME_SIZE) if now_s == 10_000 else bytes(100), float(now_s))
        board.on_time(float(now_s))
        assert not plain.closing
    board.receive(plain, bytes(100), 10_006.5)
    board.on_time(10_006.5)
    assert plain.refused is not None
    assert plain.refused.text == "a frame has not come to its end for 6.5 s; 732 bytes of it are there"
    assert board.unfinished == 0


def test_frames_of_plain_peers_that_do_not_end_take_a_bounded_place_together() -> None:
    """Row "relay, frame without Hello", memory: 12 peers with 15 of 16 MiB each are at 32 MiB together; clients go on."""
    board = Switchboard()
    client = greet(board)
    board.receive(client, begun(16 * MiB) + bytes(15 * MiB), 0.0)
    peers = [board.connect(0.0) for _ in range(12)]
    chunk = bytes(MiB)
    for peer in peers:
        board.receive(peer, ORDER + begun(16 * MiB), 0.0)
    for _ in range(15):
        for peer in peers:
            board.receive(peer, chunk, 0.0)
            assert board.unfinished - client.unfinished <= 32 * MiB
    assert sum(peer.closing for peer in peers) == 10
    assert not client.closing
    held = sum(each.splitter.buffered for each in board.peers.values())
    assert held == board.unfinished


def test_frames_of_clients_that_do_not_end_are_bounded_too() -> None:
    """Row "relay, after Hello", memory: beyond the limit for all, the one that holds the most is parted from, and may come again."""
    board = Switchboard(limits=Limits(unfinished=3 * MiB, unfinished_plain=MiB))
    clients = [greet(board, number) for number in range(1, 5)]
    for number, client in enumerate(clients):
        board.receive(client, begun(4 * MiB) + bytes(900_000 + number), 0.0)
    assert [client.closing for client in clients] == [False, False, False, True]
    assert clients[3].refused is not None
    assert clients[3].refused.reason == "silence"
    board.disconnect(clients[0])
    assert board.unfinished == sum(each.splitter.buffered for each in board.peers.values()) < 2 * MiB


def test_a_plain_sender_has_a_bounded_number_of_bytes_under_way() -> None:
    """Row "relay, frame without Hello", unacknowledged: a subscriber's window, and 4 MiB at most, but always one frame."""
    large = encode(OrderCancel(1, 2, "x" * 60_000), sequence=1, timestamp_ns=0)
    wire, session = subscribed(Switchboard(), window=10_000)
    plain = wire.board.connect(0.0)
    wire.board.receive(plain, large, 0.0)
    wire.move()
    sent = 1
    while not any(plain.congested):
        wire.board.receive(plain, large, 0.0)
        sent += 1
    assert sent == PLAIN_BYTES // len(large) + 1
    wire.move()
    assert len(wire.handle(session)) == sent
    assert not any(plain.congested)


def test_a_plain_sender_of_two_domains_is_held_by_both() -> None:
    """Row "relay, frame without Hello", unacknowledged: the last frame's domain is not the only one that counts."""
    wire, _ = subscribed(Switchboard(), window=3)
    plain = wire.board.connect(0.0)
    wire.board.receive(plain, ORDER * 5, 0.0)
    wire.move()
    wire.board.receive(plain, encode(GasPrice(1, 2, 3, 4), sequence=1, timestamp_ns=0), 0.0)
    assert any(plain.congested)


def test_a_subscriber_that_does_not_say_whether_it_takes_frames_is_given_up() -> None:
    """Row "relay, frame without Hello", time: else it would hold up every plain sender of its topic for ever."""
    board = Switchboard()
    reader, plain = greet(board), board.connect(0.0)
    say(board, reader, Attach("reader", ("execution",)))
    board.receive(plain, ORDER, 0.0)
    for now_s in (1.0, ACCEPT_S, ACCEPT_S + 1):
        assert not reader.closing
        assert any(plain.congested)
        board.receive(reader, control_frame(Heartbeat()), now_s)
        board.on_time(now_s)
    assert reader.closing
    board.disconnect(reader)
    assert not any(plain.congested)


# Row: relay, after Hello


def test_what_is_queued_for_one_that_does_not_read_is_bounded() -> None:
    """Row "relay, after Hello", outgoing: whatever others cause to be said to it, at four times the mark it is given up."""
    board = Switchboard()
    reader, sender = greet(board, 1), greet(board, 2)
    say(board, reader, Attach("a", ()))
    say(board, sender, Open(1, "s", "", False, ("a",), ""))
    (announce,) = taken(reader)
    say(board, reader, Accept(announce.channel, 0, "a", 1, False, 0, 0, 10, Policy.BLOCK))
    reader.out_bytes = OVERRUN + 1  # a task still writes it
    board.receive(reader, control_frame(Detach("nobody", False)), 0.0)
    assert reader.refused is not None
    assert reader.refused.text == f"{OVERRUN + 1:,} bytes wait to be written to it, and {OVERRUN:,} is the most"
    assert OVERRUN == 4 * HIGH_WATER
    assert len(taken(reader)) == 2  # why, and the answer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((Open(1, "s" * 201, "", False, ("a",), ""),), "a name of 201 bytes, and 200 is the most"),
        ((Open(1, "s", "é" * 101, False, ("a",), ""),), "a name of 202 bytes, and 200 is the most"),
        (tuple(Open(n, "s", "", False, ("a",), "") for n in range(1, 12)), "have 20 channels, receivers and topics"),
        (tuple(Attach(f"a{n}", ("t", "u")) for n in range(7)), "have 20 channels, receivers and topics"),
        (
            (
                *(Attach(f"a{n}", ("t",)) for n in range(5)),
                Open(1, "s", "", False, (), "t"),
                Open(2, "s", "", False, (), "t"),
            ),
            "have 20",
        ),
    ],
)
def test_what_all_clients_make_the_relay_remember_is_bounded(words: tuple[object, ...], said: str) -> None:
    """Row "relay, after Hello", memory: names have a length, and channels, receivers, topics and members a number in total."""
    board = Switchboard(limits=Limits(places=20))
    other = greet(board, 9)
    say(board, other, Attach("another", ()))
    peer = greet(board)
    answer = say(board, peer, *words)[-1]
    assert answer.reason is Reason.LIMIT
    assert said in answer.text
    board.disconnect(peer)
    board.disconnect(other)
    assert board.places == 0


def test_a_client_that_takes_nothing_and_says_it_lives_is_given_up_in_the_end(place: Place) -> None:
    """Row "relay, after Hello", time: two minutes without taking a piece of what waits; until then its senders wait, and go on then."""

    async def main() -> None:
        board = Switchboard(heartbeat_s=1)
        async with place.relay(board), place.node("well") as (bundle, well):
            raw = await place.raw()
            await raw.hello(client=77)
            await raw.hear(Welcome)
            await raw.say(Attach("stuck", ("execution",)))
            probe = await start_probe(bundle, capacity=10_000)
            well.attach(probe.ref, topics=("execution",))
            await until(lambda: sum(len(peer.receivers) for peer in board.peers.values()) == 2)
            stuck = next(peer for peer in board.peers.values() if peer.name == "raw")
            plain = await place.raw()
            await plain.sock.send(encode(OrderCancel(1, 0, "x"), sequence=1, timestamp_ns=0))
            announce = await raw.hear(Announce)
            await raw.say(Accept(announce.channel, 0, "stuck", 7, False, 0, 0, 2**32 - 1, Policy.BLOCK))
            data = b"".join(
                encode(OrderCancel(1, number, "x" * 30_000), sequence=1, timestamp_ns=0) for number in range(1, 220)
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat, raw)
                nursery.start_soon(send_all, plain, data)
                began = trio.current_time()
                await until(lambda: any(any(peer.congested) for peer in board.peers.values()))
                await trio.sleep(STUCK_S - 10)
                assert not stuck.closing
                await probe.wait_for(220)
                assert STUCK_S - 1 < trio.current_time() - began < STUCK_S + 5
                nursery.cancel_scope.cancel()
            assert stuck.refused is not None
            assert stuck.refused.text.startswith("it has taken nothing for 120 s")
            assert (stuck.out, stuck.out_bytes) == ([], 0)

    run(main)


async def beat(raw: Raw) -> None:
    with suppress(OSError):
        while True:
            await raw.say(Heartbeat())
            await trio.sleep(1)


async def send_all(raw: Raw, data: bytes) -> None:
    while data:
        data = data[await raw.sock.send(data) :]


# Row: streams, as a peer sees them


def test_a_stream_is_reached_through_a_clients_connection_alone() -> None:
    """Row "journal": nobody connects with the journal; without Hello neither sending to a stream nor subscribing one is heard."""

    class Kept:
        asked: ClassVar[list[str]] = []

        def wanted(self, stream: str) -> str | None:
            self.asked.append(stream)
            return None

        def subscribed(self, stream: str, receiver: str) -> None:
            self.asked.append(stream)

        def left(self, stream: str, receiver: str) -> None:
            self.asked.append(stream)

    board = Switchboard(token="secret")
    board.keeper = Kept()
    for words in ((Attach("a", ("journal:fills",)),), (Open(1, "s", "", False, ("journal:fills",), ""),)):
        for first in ((), (hello(),)):
            say(board, board.connect(0.0), *first, *words)
    assert Kept.asked == []
    say(board, greet(board, token="secret"), Attach("a", ("journal:fills",)))
    assert Kept.asked == ["journal:fills"]


# Tokens


def test_two_tokens_are_taken_while_one_replaces_the_other() -> None:
    """Row "relay, Hello": which one was shown is known, said, and said again when nobody shows the old one any more."""
    board = Switchboard(token=("new", "old"))
    said: list[str] = []
    board.notice = lambda _peer, _reason, text: said.append(text)
    new, old = greet(board, 1, token="new"), greet(board, 2, token="old")
    assert (board.showing(1), board.showing(2)) == (["client 1"], ["client 2"])
    assert say(board, board.connect(0.0), hello(3, token="older"))[0].reason is Reason.TOKEN
    board.disconnect(new)
    assert said == ["client 2 has shown the second token; give it the first one, which is to stay"]
    board.disconnect(old)
    assert said[1:] == ["client 2 is gone: no client that is connected has shown the second token"]


def test_which_token_matches() -> None:
    """The first that matches counts, and none is taken for another."""
    assert [matching(("a", "b"), shown) for shown in ("a", "b", "", "ab", "A")] == [1, 2, 0, 0, 0]
    assert matching(("a", "a"), "a") == 1
    assert matching((), "a") == 0


def test_a_file_may_hold_two_tokens(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each, the one that is to stay first; three are refused, and so is none. Without a file the variable counts."""
    file = tmp_path / "token"
    file.write_text("  new \n\nold\n")
    assert (read_tokens(file), read_token(file)) == (("new", "old"), "new")
    for text, said in [(" \n", "there is no token in it"), ("a\nb\nc\n", "3 lines, and 2 is the most")]:
        file.write_text(text)
        with pytest.raises(UsageError, match=said):
            read_tokens(file)
    monkeypatch.setenv("SPORE_TOKEN", "new\nold")
    assert read_tokens(None) == ("new", "old")
    monkeypatch.delenv("SPORE_TOKEN")
    assert (read_tokens(None), read_token(None)) == ((), None)
    for tokens, said in [(("a", ""), "a token is empty"), (("a", "b", "c"), "3 tokens")]:
        with pytest.raises(UsageError, match=said):
            Switchboard(token=tokens)


def test_a_client_with_two_tokens_shows_the_other_if_the_one_is_not_taken() -> None:
    """Whichever the relay takes, the client gets in; after a rotation it tries the first again."""
    session = Session("c", token=("new", "old"))
    for takes, attempts in [("old", 2), ("new", 2), ("new", 1)]:
        board = Switchboard(token=takes)
        for attempt in range(1, attempts + 1):
            peer = board.connect(0.0)
            session.connected(0.0)
            board.receive(peer, session.data_to_send(0.0), 0.0)
            answer = b"".join(peer.take())
            if attempt < attempts:
                with pytest.raises(RelayRefused, match="the token is wrong"):
                    session.receive(answer, 0.0)
                assert session.tokens.show_another()
            else:
                session.receive(answer, 0.0)
        assert session.tokens.number == 1 + (takes == "old")
    board = Switchboard(token="neither")
    assert [session.tokens.show_another(), session.tokens.show_another()] == [True, False]


# What is logged


def test_others_cause_one_line_a_peer_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    """What is left out is counted by reason, and said when the minute is over; a thousand peers do not make a thousand lines."""
    quiet = Quiet(logging.getLogger("spore.relay"))
    for second in range(59):
        quiet.warn(float(second), "10.0.0.9", "token" if second % 2 else "damage", f"refused {second}\nnext")
    assert [record.message for record in caplog.records] == ["refused 0\\nnext"]
    quiet.on_time(61.0)
    more = "10.0.0.9: 58 more in a minute (token 29, damage 29), at last: refused 58\\nnext"
    assert [record.message for record in caplog.records[1:]] == [more]
    caplog.clear()
    for number in range(1_000):
        quiet.warn(62.0, f"peer {number}", "token", f"refused {number}")
    assert len(caplog.records) == 100
    quiet.on_time(200.0)
    assert [record.message for record in caplog.records[100:]] == [
        "others: 900 more in a minute (token 900), at last: refused 999"
    ]
    assert quiet.counts["token"] == 1_029


# Drawn inputs


def drawn(chance: random.Random) -> bytes:
    """Bytes that somebody might send: frames of all kinds, in any order, some of them damaged or cut off."""
    words: list[bytes] = []
    for _ in range(chance.randrange(1, 6)):
        kind = chance.randrange(8)
        if kind == 0:
            words.append(
                control_frame(
                    hello(chance.randrange(3), token=chance.choice(("secret", "", "x")), protocol=chance.choice((1, 2)))
                )
            )
        elif kind == 1:
            words.append(
                frame(chance.randrange(6), chance.randbytes(chance.randrange(60)), checksum=chance.choice((None, 0)))
            )
        elif kind == 2:
            words.append(frame(4, bytes((chance.randrange(195, 256), 3)) + chance.randbytes(3)))
        elif kind == 3:
            words.append(chance.randbytes(chance.randrange(80)))
        elif kind == 4:
            words.append(ORDER * chance.randrange(1, 4))
        else:
            word = chance.choice(
                (
                    Attach("a", ("execution",)),
                    Open(1, "s", "", False, ("a",), ""),
                    Open(2, "s", "", False, (), "execution"),
                    Route(chance.choice((1, 2, ANNOUNCED))),
                    Accept(ANNOUNCED, 0, "a", 1, False, 0, 0, 2**32 - 1, Policy.BLOCK),
                    Ack(ANNOUNCED, 0, chance.randrange(2**64)),
                    Position(1, chance.randrange(2**64)),
                    Deny(ANNOUNCED, "a", Reason.POISON, ""),
                    Close(1),
                    Announce(1, 1, 1, "", "", "", False, ""),
                )
            )
            words.append(control_frame(word))
    data = bytearray(b"".join(words))
    if data and chance.random() < 0.3:
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data)


@pytest.mark.parametrize("token", [None, "secret"])
def test_ten_thousand_drawn_inputs_leave_nothing_behind(token: str | None) -> None:
    """Every row: whatever comes is served or refused with a reason, others go on, and no count is off when all have gone."""
    chance = random.Random(15)
    board = Switchboard(token=token)
    wire, session = subscribed(board, token=token or "")
    good = greet(board, 8, token=token or "")
    say(board, good, Open(1, "good", "", False, ("reader",), ""), Route(1))
    wire.move()
    peers: list[Peer] = []
    for number in range(10_000):
        peer = board.connect(0.0, f"peer {number}")
        peers.append(peer)
        board.receive(peer, drawn(chance), 0.0)
        if token is not None and peer.hello is None:
            assert peer.refused is not None or peer.unfinished <= FIRST_FRAME
        if len(peers) > 50:
            board.disconnect(peers.pop(0))
            wire.move()
            wire.handle(session)
    for peer in peers:
        board.disconnect(peer)
    wire.move()
    assert not good.closing
    assert session.ready
    board.disconnect(good)
    assert (board.unfinished, board.places) == (0, 2)  # the reader and its topic
    assert say(board, greet(board, 7, token=token or ""), Heartbeat()) == []
    assert PROTOCOL == 1
