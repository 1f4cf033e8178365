"""The relay's side of connections, spoken to by hand: what it passes on, whom it refuses, and what it forgets."""

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.strategies import messages
from tests.sans_io import Wire, greet, hello, say, taken

import spore
from spore.codec import HEADER_SIZE, MAX_FRAME_SIZE, decode, encode
from spore.errors import DecodeError, RelayRefused
from spore.relay import Limits, Switchboard
from spore.relay.control import (
    ANNOUNCED,
    CONTROL,
    Accept,
    Ack,
    Announce,
    Attach,
    Begin,
    Bye,
    Close,
    Deny,
    Detach,
    Gone,
    Heartbeat,
    Open,
    Policy,
    Position,
    Reason,
    Refused,
    Resend,
    Route,
    Welcome,
    control_frame,
    control_of,
    read_control,
)
from spore.relay.peer import HIGH_WATER
from spore.relay.session import Session
from spore.services.messages import EventRef, GasPrice, MarketRef, MomentumSignal, OrderCancel, Side

ORDER = encode(OrderCancel(1, 2, "late"), sequence=1, timestamp_ns=0)
OTHER = spore.Registry()


@spore.message(type_id=45, domain=spore.Domain.EXECUTION, registry=OTHER)
class ExecutionReport:
    """The same number, and other fields."""

    order_id: spore.U32


def link(board: Switchboard, *, topic: str = "") -> tuple[Any, Any, Announce]:
    """A sender and a receiver that have a link which has begun."""
    sender, receiver = greet(board, 1), greet(board, 2)
    say(board, receiver, Attach("a", (topic,) if topic else ()))
    say(board, sender, Open(1, "outside", "", False, () if topic else ("a",), topic))
    (announce,) = taken(receiver)
    say(board, receiver, Accept(announce.channel, 0, "a", 2, False, 0, 0, 10, Policy.BLOCK))
    (accept,) = taken(sender)
    assert accept == Accept(1, 1, "a", 2, False, 0, 0, 10, Policy.BLOCK)
    say(board, sender, Begin(1, 1, 1, ()))
    assert taken(receiver) == [Begin(announce.channel, 0, 1, ())]
    return sender, receiver, announce


# What is said


@given(st.sampled_from([entry.cls for entry in CONTROL]).flatmap(messages))
def test_control_messages_survive_the_way(message):
    """Each control message is read as it was written, from its frame."""
    assert control_of(control_frame(message)) == message


@given(st.sampled_from([entry.cls for entry in CONTROL]).flatmap(messages), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_control_message_is_none(message, at, change):
    """One wrong byte anywhere and it is a DecodeError."""
    frame = bytearray(control_frame(message))
    frame[at % len(frame)] ^= change
    with pytest.raises(DecodeError):
        control_of(bytes(frame))


def test_what_is_no_control_message_is_told():
    """A frame of messages, an empty one, and a type that nobody knows are no control messages."""
    for frame in (ORDER, ORDER[:HEADER_SIZE]):
        with pytest.raises(DecodeError):
            control_of(frame)
    with pytest.raises(DecodeError, match="no control message that is known here"):
        control_of(spore.codec.encode_frame(spore.codec.Frame(spore.Domain.SYSTEM, 0, 0, 0, 0, ())))
    with pytest.raises(DecodeError, match="there is no control message 254"):
        read_control(spore.codec.UnknownTlv(254, b""))
    with pytest.raises(DecodeError):
        read_control(spore.codec.UnknownTlv(211, b"\0"))


# Whom it refuses


def refused(board: Switchboard, peer: Any, *words: object) -> Refused:
    answer = say(board, peer, *words)[-1]
    assert isinstance(answer, Refused)
    assert peer.closing
    assert peer.refused is not None
    assert peer.refused.reason == answer.reason.name.lower()
    assert say(board, peer, Heartbeat()) == []  # it is not listened to any more
    return answer


LIMITS = Limits(channels=2, receivers=2, routes=4, names=5, messages=0)
FIRST_WORDS = [
    (hello(protocol=2), Reason.PROTOCOL, "you speak protocol 2, and this relay speaks 1"),
    (hello(token="guess"), Reason.TOKEN, "the token is wrong; ask whoever runs the relay"),
    (hello(0, token="right"), Reason.DAMAGE, "Hello comes first, and once"),
    (hello(token="right", name=""), Reason.LIMIT, "a name of 0 bytes; 1 to 200 are allowed"),
    (hello(token="right", name="é" * 101), Reason.LIMIT, "a name of 202 bytes; 1 to 200 are allowed"),
    (hello(token="right", digest=bytes(32)), Reason.DAMAGE, "the digest of the schema is not that of its messages"),
    (Heartbeat(), Reason.TOKEN, "Heartbeat before Hello: this relay asks for a token"),
    (ORDER, Reason.TOKEN, "a frame of execution without Hello: this relay asks for a token"),
    (b"\xef\xbe\xad\xde\x09", Reason.DAMAGE, "at byte 4: there is no relay domain 9"),
    (
        struct.pack("<IBBBBQQII", 0xDEADBEEF, 1, 1, 0, 0, 0, 0, MAX_FRAME_SIZE, 0),
        Reason.DAMAGE,  # nobody has sent that: coming again helps
        "131,072 is the most",
    ),
]


@pytest.mark.parametrize(("words", "reason", "text"), FIRST_WORDS, ids=[text for _, _, text in FIRST_WORDS])
def test_first_words_that_are_refused(words, reason, text):
    """Whoever does not introduce himself as he should hears why, and is not listened to any more."""
    board = Switchboard(token="right")
    answer = refused(board, board.connect(0.0), words)
    assert answer.reason is reason
    assert text in answer.text
    assert board.counts.refused == 1


@pytest.mark.parametrize(("size", "reason"), [(100_001, Reason.LIMIT), (MAX_FRAME_SIZE + 1, Reason.DAMAGE)])
def test_a_frame_that_is_larger_than_a_relay_allows_may_be_meant_or_damaged(size, reason):
    """Coming again does not make it smaller, unless it is larger than any frame can be: then some bits of its size are wrong."""
    board = Switchboard(limits=Limits(frame_size=100_000))
    header = struct.pack("<IBBBBQQII", 0xDEADBEEF, 1, 1, 0, 0, 0, 0, size - HEADER_SIZE, 0)
    answer = refused(board, greet(board), header)
    assert answer.reason is reason
    assert f"a frame of {size:,} bytes, and 100,000 is the most" in answer.text


LATER_WORDS = [
    ((hello(7),), "damage", "Hello comes first, and once"),
    ((Welcome(1, 1, 1),), "damage", "a client does not say Welcome"),
    ((Attach("a", ()), Attach("a", ())), "damage", "receiver 'a' is attached already"),
    ((Attach("a", ("t", "t")),), "damage", "receiver 'a' names a topic twice"),
    ((Attach("", ()),), "limit", "a name of 0 bytes; 1 to 5 are allowed"),
    ((Attach("a", ("topics",)),), "limit", "a name of 6 bytes; 1 to 5 are allowed"),
    ((Attach("a", ()), Attach("b", ()), Attach("c", ())), "limit", "more than 2 receivers"),
    ((Attach("a", tuple("rstuv")),), "limit", "more than 4 receivers of links, and topics"),
    ((Open(0, "s", "", False, ("a",), ""),), "damage", "channel 0 cannot be opened"),
    ((Open(ANNOUNCED, "s", "", False, ("a",), ""),), "damage", f"channel {ANNOUNCED} cannot be opened"),
    ((Open(1, "s", "", False, ("a",), ""),) * 2, "damage", "channel 1 cannot be opened"),
    ((Open(1, "s", "", False, (), ""),), "damage", "a link leads to actors or to a topic"),
    ((Open(1, "s", "", False, ("a",), "t"),), "damage", "a link leads to actors or to a topic"),
    ((Open(1, "s", "", False, ("a", "a"), ""),), "damage", "a link leads to each actor once"),
    ((Open(1, "s", "", False, ("actors",), ""),), "limit", "a name of 6 bytes"),
    ((Open(1, "s", "", False, tuple("abcde"), ""),), "limit", "more than 4 receivers of links, and topics"),
    (tuple(Open(n, "s", "", False, ("a",), "") for n in (1, 2, 3)), "limit", "more than 2 channels"),
]


@pytest.mark.parametrize(("words", "reason", "text"), LATER_WORDS, ids=[text for _, _, text in LATER_WORDS])
def test_words_that_are_refused_later(words, reason, text):
    """A client that says what it may not, or too much of it, is refused with the rule that it has broken."""
    board = Switchboard(limits=LIMITS)
    peer = greet(board, name="me", registry=spore.Registry())
    answer = refused(board, peer, *words)
    assert answer.reason.name.lower() == reason
    assert text in answer.text


def test_more_messages_than_allowed():
    """A schema that is too large is refused."""
    board = Switchboard(limits=LIMITS)
    answer = refused(board, board.connect(0.0), hello(name="me"))
    assert answer.reason is Reason.LIMIT
    assert answer.text.endswith("messages, and 0 is the most")


def test_what_is_let_go_makes_room():
    """Receivers that were detached and links that were closed do not count against the limits."""
    board = Switchboard(limits=LIMITS)
    peer = greet(board, name="me", registry=spore.Registry())
    for _ in range(5):
        words = Attach("a", ("t", "u")), Open(1, "s", "", False, ("x", "y"), ""), Detach("a", True), Close(1)
        assert say(board, peer, *words) == [Detach("a", True)]
    assert peer.routes == 0


def test_the_relay_says_when_a_receiver_is_detached():
    """Whether it was attached or not: from then on somebody else can have the name."""
    board = Switchboard()
    first, second = greet(board, 1), greet(board, 2)
    assert say(board, first, Attach("a", ())) == []
    for _ in range(2):
        assert say(board, first, Detach("a", False)) == [Detach("a", False)]
    assert say(board, second, Attach("a", ())) == []


def test_a_name_belongs_to_one_client_at_a_time():
    """Who attaches a name that another client has is denied that name and nothing else, and can have it once that one is gone."""
    board = Switchboard()
    first, second, third = greet(board, 1), greet(board, 2), greet(board, 3)
    say(board, first, Attach("a", ()))
    denial = Deny(ANNOUNCED, "a", Reason.NAME, "receiver 'a' belongs to client 'client 1', which is alive")
    assert say(board, second, Attach("a", ()), Attach("b", ())) == [denial]
    assert (board.counts.names, board.counts.refused, second.closing) == (1, 0, False)
    assert say(board, second, Attach("a", ()))[0].channel == ANNOUNCED + 1
    board.disconnect(first)
    assert say(board, third, Attach("a", ())) == []
    assert say(board, second, Detach("b", False)) == [Detach("b", False)]


def test_the_name_of_a_stream_is_denied_to_clients():
    """Streams are the journal's; whoever wants to have one's name for a receiver is told how to subscribe it."""
    board = Switchboard()
    (denial,) = say(board, greet(board), Attach("journal:fills", ()))
    assert (denial.receiver, denial.reason) == ("journal:fills", Reason.NAME)
    assert denial.text == "'journal:fills' is a stream of the relay's journal; subscribe it as a topic"


def test_a_client_that_comes_again_replaces_itself():
    """Its older connection is told so and closed, and its names are free for the new one."""
    board = Switchboard()
    older = greet(board, 1)
    say(board, older, Attach("a", ()))
    newer = greet(board, 1)
    assert taken(older) == [Refused(Reason.REPLACED, "the same client has come again")]
    assert older.closing
    assert say(board, newer, Attach("a", ())) == []
    board.disconnect(older)
    assert board.hello_of(1) is newer.hello


def test_silence_ends_a_connection_and_words_keep_it():
    """Three heartbeats without a whole frame are too many; half a frame, however long it grows, is no word."""
    board = Switchboard(heartbeat_s=2.0)
    silent, talking, whispering = (greet(board, n) for n in (1, 2, 3))
    mute = board.connect(0.0)
    for now_s in range(1, 6):
        say(board, talking, Heartbeat(), now_s=float(now_s))
        board.receive(whispering, ORDER[now_s : now_s + 1] if now_s > 1 else ORDER[:2], float(now_s))
        board.on_time(float(now_s))
        assert taken(talking) == [Heartbeat()] * (now_s % 2 == 0)
        assert not silent.closing
    board.on_time(6.5)
    for peer in (silent, whispering, mute):
        assert taken(peer)[-1] == Refused(Reason.SILENCE, "nothing was heard for 6.5 s")
    assert not talking.closing
    assert taken(talking) == [Heartbeat()]


def test_a_slow_heartbeat_is_waited_for():
    """The client says how often it will say something."""
    board = Switchboard(heartbeat_s=2.0)
    peer = greet(board, heartbeat_ms=10_000)
    board.on_time(29.0)
    assert not peer.closing
    board.on_time(31.0)
    assert peer.closing


# Schemas


def test_two_schemas_are_told_to_both_ends():
    """A link between clients whose messages differ is denied, and each hears from its own side which they are."""
    board = Switchboard()
    sender, receiver = greet(board, 1), greet(board, 2, registry=OTHER)
    say(board, receiver, Attach("a", ()))
    (told,) = say(board, sender, Open(1, "outside", "", False, ("a",), ""))
    assert (told.channel, told.receiver, told.reason) == (1, "a", Reason.SCHEMA)
    assert told.text.startswith("the messages of 'client 1' and 'client 2' differ: ")
    assert "is known only here" in told.text
    assert told.text.endswith("more")
    (other,) = taken(receiver)
    assert (other.channel, other.receiver, other.reason) == (ANNOUNCED, "a", Reason.SCHEMA)
    assert "is known only there" in other.text
    assert say(board, sender, Route(1), ORDER) == []
    assert taken(receiver) == []


def test_a_message_that_means_something_else_is_named():
    """The difference of one message is told with both its forms."""
    mine = spore.Registry()

    @spore.message(type_id=45, domain=spore.Domain.EXECUTION, registry=mine)
    class ExecutionReport:
        order_id: spore.U64

    board = Switchboard()
    sender, receiver = greet(board, 1, registry=mine), greet(board, 2, registry=OTHER)
    say(board, receiver, Attach("a", ("t",)))
    (told,) = say(board, sender, Open(1, "outside", "", False, (), "t"))
    assert "ExecutionReport (45) differs: here 45 ExecutionReport execution" in told.text
    assert told.text.count("u64") == 1
    assert told.text.count("u32") == 1


# What it passes on


def test_frames_go_where_the_route_says_and_nowhere_before():
    """Frames of a link reach its receivers as they are, after Begin, with a Route where the last was another."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, sender, Route(1), ORDER, ORDER)
    assert taken(receiver) == [Route(announce.channel), ORDER, ORDER]
    say(board, sender, ORDER)
    assert taken(receiver) == [ORDER]
    say(board, sender, Route(2), ORDER)
    assert taken(receiver) == []
    assert (board.counts.frames, board.counts.bytes) == (4, 4 * len(ORDER))


def test_nothing_overtakes_begin():
    """A receiver that has not been told where it begins gets nothing yet."""
    board = Switchboard()
    sender, receiver = greet(board, 1), greet(board, 2)
    say(board, receiver, Attach("a", ()))
    say(board, sender, Open(1, "outside", "", False, ("a",), ""), Route(1), ORDER, Position(1, 1))
    assert [type(word) for word in taken(receiver)] == [Announce]


def test_what_ends_of_a_link_say_is_passed_on_with_the_others_numbers():
    """Acks, gaps and positions travel along the link, and a member's number tells the sender who it was."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, receiver, Ack(announce.channel, 0, 5), Resend(announce.channel, 0, 6))
    assert taken(sender) == [Ack(1, 1, 5), Resend(1, 1, 6)]
    say(board, sender, Position(1, 7))
    assert taken(receiver) == [Position(announce.channel, 7)]
    say(board, receiver, Deny(announce.channel, "a", Reason.STOPPED, "over"))
    assert taken(sender) == [Deny(1, "a", Reason.STOPPED, "over")]
    say(board, sender, Route(1), ORDER, Position(1, 8))
    assert taken(receiver) == []


def test_words_about_links_that_are_not_there_are_let_pass():
    """What was said while a link ended is no offence."""
    board = Switchboard()
    peer = greet(board)
    words = (
        Ack(ANNOUNCED, 0, 1),
        Resend(ANNOUNCED, 0, 1),
        Accept(ANNOUNCED, 0, "a", 1, False, 0, 0, 1, Policy.BLOCK),
        Deny(ANNOUNCED, "a", Reason.STOPPED, ""),
        Begin(3, 1, 1, ()),
        Position(3, 1),
        Close(3),
        Route(ANNOUNCED),
        ORDER,
        Heartbeat(),
    )
    assert say(board, peer, *words) == []
    assert not peer.closing


def test_answers_travel_back_over_the_channel():
    """A frame that a receiver sends over an announced channel goes to the sender, until the link is over."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, receiver, Route(announce.channel), ORDER)
    assert taken(sender) == [Route(1), ORDER]
    say(board, sender, Close(1))
    assert taken(receiver) == [Close(announce.channel)]
    say(board, receiver, ORDER)
    assert taken(sender) == []


@pytest.mark.parametrize("how", ["detach", "deny"])
def test_a_receiver_that_is_done_answers_no_more(how):
    """Nothing is queued for a sender by a receiver that has let the link go, be the sender there or not."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, receiver, Route(announce.channel), ORDER)
    taken(sender)
    say(board, receiver, Detach("a", False) if how == "detach" else Deny(announce.channel, "a", Reason.STOPPED, ""))
    taken(sender)
    board.disconnect(sender)
    say(board, receiver, ORDER)
    assert sender.out == []


def test_each_end_hears_that_the_other_is_lost():
    """The sender is told with the member's number, the receiver with the channel; both are announced anew later."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    board.disconnect(sender)
    assert taken(receiver) == [Gone(announce.channel, 0, False)]
    assert receiver.announced == {}
    sender = greet(board, 1)
    say(board, sender, Open(1, "outside", "", False, ("a",), ""))
    (again,) = taken(receiver)
    assert (again.client, again.link, again.channel) == (1, 1, announce.channel + 1)
    board.disconnect(receiver)
    assert taken(sender) == [Gone(1, 1, False)]


def test_who_says_bye_leaves_for_good():
    """Its links are closed, its subscriptions end, and its connection is closed once everything is written."""
    board = Switchboard()
    sender, receiver, announce = link(board, topic="t")
    say(board, receiver, Bye())
    assert taken(sender) == [Gone(1, 1, True)]
    assert receiver.closing
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, sender, Bye())
    assert taken(receiver) == [Close(announce.channel)]


def test_a_subscriber_that_comes_late_is_announced_to():
    """Publishers that are there already are announced to a new subscriber, and new publishers to old ones."""
    board = Switchboard()
    _, receiver, _ = link(board, topic="t")
    late = greet(board, 3)
    (announce,) = say(board, late, Attach("late", ("t",)))
    assert (announce.client, announce.receiver) == (1, "late")
    another = greet(board, 4)
    say(board, another, Open(9, "outside", "", True, (), "t"))
    assert [word.client for peer in (receiver, late) for word in taken(peer)] == [4, 4]
    board.disconnect(late)
    board.disconnect(receiver)
    assert board._topics == {}


def test_who_sends_to_somebody_congested_is_not_read():
    """Too much queued for a receiver, or for who gets the answers, holds whoever sends it."""
    board = Switchboard()
    sender, receiver, announce = link(board)
    say(board, sender, Route(1))
    say(board, receiver, Route(announce.channel))
    assert not any(sender.congested)
    receiver.out_bytes = sender.out_bytes = HIGH_WATER + 1
    assert list(sender.congested) == [receiver]
    assert list(receiver.congested) == [sender]
    assert not any(greet(board, 3).congested)


def test_a_lost_connection_is_lost_once():
    """Nothing is queued for it, and losing it again changes nothing."""
    board = Switchboard()
    sender, receiver, _ = link(board)
    board.disconnect(receiver)
    board.disconnect(receiver)
    assert taken(sender) == [Gone(1, 1, False)]
    assert (receiver.out, receiver.out_bytes) == ([], 0)
    assert "client 2" in repr(receiver)
    assert "unknown" in repr(board.connect(0.0))


# Plain senders


def by_hand(domain: int, type_id: int, payload: bytes, sequence: int = 0) -> bytes:
    """A frame after the wire format's table, with nothing of Spore's."""
    tlv = bytes((type_id, len(payload))) + payload
    head = struct.pack("<IBBBBQQI", 0xDEADBEEF, domain, 1, 7, 0, sequence, 1_700_000_000, len(tlv))
    return head + struct.pack("<I", zlib.crc32(tlv, zlib.crc32(head))) + tlv


SIGNAL = MomentumSignal(1, MarketRef(1, 9), Side.BUY, 2, 3, 4, EventRef(5, 6, 7))
PLAIN = {
    "market_data": (
        by_hand(1, 18, struct.pack("<QQQQQQ", 5, 6, 7, 0, 8, 0)),
        encode(GasPrice(5, 6, 7, 8), sequence=0, timestamp_ns=0),
    ),
    "signal": (
        by_hand(2, 33, struct.pack("<QHQBBqqIQQIIB", 1, 1, 9, 0, Side.BUY, 2, 3, 4, 5, 6, 7, 0, 0)),
        encode(SIGNAL, sequence=0, timestamp_ns=0),
    ),
    "execution": (by_hand(3, 43, struct.pack("<QQH4s", 1, 2, 4, b"late")), ORDER),
}


def subscriber(name: str, topic: str, window: int = 10) -> Session:
    session = Session(name)
    session.attach(name, topics=(topic,), window=window)
    return session


@pytest.mark.parametrize("topic", PLAIN)
def test_plain_frames_reach_the_subscribers_of_their_domain(topic):
    """A frame made by hand after the wire format and one made by Spore reach whoever has subscribed the domain."""
    session = subscriber("reader", topic)
    wire = Wire(session)
    plain = wire.board.connect(0.0)
    for frame in PLAIN[topic]:
        wire.board.receive(plain, frame[:20], 0.0)
        wire.board.receive(plain, frame[20:] + frame, 0.0)
    wire.move()
    found = wire.handle(session)
    assert len(found) == 2 * len(PLAIN[topic])
    assert set(found) == {decode(PLAIN[topic][-1]).message}
    assert taken(plain) == []


def test_two_plain_senders_of_one_domain_are_two_links():
    """Each has its own numbers, and when one leaves the other stays."""
    session = subscriber("reader", "execution")
    wire = Wire(session)
    one, other = wire.board.connect(0.0), wire.board.connect(0.0)
    for peer in (one, other):
        wire.board.receive(peer, ORDER, 0.0)
    wire.move()
    closed = []
    session.on_closed = closed.append
    for peer in (one, other, one, other):
        wire.board.receive(peer, ORDER, 0.0)
        wire.move()
    links = set(wire.arrived[session])
    assert len(links) == 2
    assert [link.received for link in links] == [3, 3]
    wire.board.disconnect(one)
    wire.move()
    assert len(closed) == 1
    wire.board.receive(other, ORDER, 0.0)
    wire.move()
    assert sorted(link.received for link in links) == [3, 4]
    wire.lose(session)
    assert len(closed) == 2
    assert session.incoming == ()


def test_frames_that_nobody_has_subscribed_are_counted():
    """They are gone; whoever subscribes later gets what comes later."""
    board = Switchboard()
    plain = board.connect(0.0)
    board.receive(plain, ORDER + ORDER, 0.0)
    assert (board.counts.unheard, board.counts.frames) == (2, 2)
    reader = greet(board, 1)
    (announce,) = say(board, reader, Attach("reader", ("execution",)))
    assert (announce.client, announce.link, announce.name) == (0, 3, "")
    say(board, reader, Accept(announce.channel, 0, "reader", 1, False, 0, 0, 10, Policy.BLOCK))
    board.receive(plain, ORDER, 0.0)
    assert taken(reader) == [Route(announce.channel), ORDER]
    assert board.counts.unheard == 2


def test_a_plain_sender_is_held_by_the_window_of_a_subscriber():
    """It knows no windows, so it is not read while a subscriber has as much as it takes, until that is acknowledged."""
    session = subscriber("reader", "execution", window=3)
    wire = Wire(session)
    plain = wire.board.connect(0.0)
    wire.board.receive(plain, ORDER, 0.0)
    assert any(plain.congested)  # nobody knows yet how much the subscriber takes
    wire.move()
    for held in (False, True):
        wire.board.receive(plain, ORDER, 0.0)
        assert any(plain.congested) is held
    wire.move()
    wire.handle(session)
    assert not any(plain.congested)


def test_plain_senders_may_be_silent_and_are_told_nothing():
    """They have no heartbeat; what they do wrong ends the connection without a word that they could not read."""
    board = Switchboard()
    plain = board.connect(0.0)
    board.receive(plain, ORDER, 0.0)
    board.on_time(1_000.0)
    assert not plain.closing
    board.receive(plain, b"GET / HTTP/1.1\r\n", 0.0)
    assert plain.closing
    assert taken(plain) == []
    assert isinstance(plain.refused, RelayRefused)
    assert plain.refused.reason == "damage"


def test_a_plain_sender_cannot_become_a_client():
    """Hello comes first."""
    board = Switchboard()
    plain = board.connect(0.0)
    board.receive(plain, ORDER + control_frame(hello()), 0.0)
    assert plain.closing
    assert plain.refused.text == "Hello comes first, and once"


def test_a_receiver_can_deny_a_plain_link():
    """Nobody is told, for there is nobody who could understand; the others still get what comes."""
    board = Switchboard()
    reader, plain = greet(board, 1), board.connect(0.0)
    say(board, reader, Attach("reader", ("execution",)))
    board.receive(plain, ORDER, 0.0)
    announce, *passed = taken(reader)
    assert passed == [Route(announce.channel), ORDER]
    words = (
        Accept(announce.channel, 0, "reader", 1, False, 0, 0, 10, Policy.BLOCK),
        Resend(announce.channel, 0, 0),
        Deny(announce.channel, "reader", Reason.STOPPED, ""),
    )
    say(board, reader, *words)
    board.receive(plain, ORDER, 0.0)
    assert taken(plain) == []
    assert taken(reader) == []
    board.receive(plain, ORDER, 0.0)
    board.disconnect(reader)
    assert taken(plain) == []
