"""Both ends of a link and the relay between them, without any I/O: the schedules that have once gone wrong, and the rest of
what is promised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.property.link_world import LINKS, Asked, Tick, World
from tests.sans_io import Wire, read

from spore.codec import Flags, Frame, UnknownTlv, encode, encode_frame
from spore.errors import ActorStopped, AskFailed, EncodeError, LinkDenied, MailboxFull, RelayError, RelayRefused
from spore.message import Domain, Registry
from spore.nursery_bundle import Loss
from spore.relay import session as sessions
from spore.relay.control import (
    ANNOUNCED,
    KEPT_ANSWERS,
    PROTOCOL,
    Accept,
    Ack,
    Advance,
    Announce,
    Attach,
    Begin,
    Close,
    Deny,
    Heartbeat,
    Hello,
    Idle,
    Open,
    Policy,
    Position,
    Reason,
    Refused,
    Reply,
    Resend,
    Route,
    Welcome,
    control_frame,
)
from spore.relay.incoming import MAX_DAMAGED
from spore.relay.outgoing import LinkOptions, Outgoing
from spore.relay.session import Session


def session(name: str, **options: Any) -> Session:
    return Session(name, registry=LINKS, client=sum(name.encode()), clock=lambda: 7, **options)


def pair(policy: Policy = Policy.BLOCK, window: int = 10, **options: Any) -> tuple[Wire, Session, Session, Outgoing]:
    """A sender and a receiver of an actor, connected."""
    sender, receiver = session("sender"), session("receiver")
    receiver.attach("a", window=window, policy=policy)
    wire = Wire(receiver, sender)
    link = sender.open(receivers=("a",), options=LinkOptions(**options))
    wire.move()
    return wire, sender, receiver, link


def ticks(*numbers: int) -> list[Tick]:
    return [Tick(number, 0) for number in numbers]


def welcome(one: Session, *words: object) -> list[Any]:
    """Connect a session to nobody, say these words to it, and return what it says."""
    one.connected(0.0)
    one.data_to_send(0.0)
    one.receive(control_frame(Welcome(PROTOCOL, 5, 2_000)), 0.0)
    return hear(one, *words)


def hear(one: Session, *words: object) -> list[Any]:
    one.receive(b"".join(word if isinstance(word, bytes) else control_frame(word) for word in words), 0.0)
    return read(one.data_to_send(0.0))


# Schedules that the state machine has found


def test_what_came_with_a_refusal_is_delivered() -> None:
    """Messages in the same chunk as what ends the connection are told of over the next one."""
    wire, sender, receiver, link = pair()
    link.queue(Tick(1, 0))
    sender.queued(link)
    wire.board.receive(wire.peers[sender], sender.data_to_send(0.0), 0.0)
    wire.board.refuse(wire.peers[receiver], Reason.NAME, "taken")
    with pytest.raises(RelayRefused):
        receiver.receive(b"".join(wire.peers[receiver].take()), 0.0)
    wire.lose(receiver)
    wire.connect(receiver)
    wire.move()
    assert [incoming.receiver for incoming in wire.arrived[receiver]] == ["a"]
    assert wire.handle(receiver) == ticks(1)


def test_what_was_numbered_before_the_window_was_known_keeps_to_it() -> None:
    """However much has a number already, no more is under way than the receiver lets be."""
    sender, receiver = session("sender"), session("receiver")
    wire = Wire(sender)
    link = sender.open(receivers=("a",))
    for tick in ticks(*range(10)):
        link.queue(tick)
    receiver.attach("a", window=3)
    wire.connect(receiver)
    wire.move()
    found = []
    while link.outstanding:
        (incoming,) = receiver.incoming
        assert len(incoming.arrived) == min(3, 10 - len(found))
        found += wire.handle(receiver)
    assert found == ticks(*range(10))


@pytest.mark.parametrize("restarted", [False, True])
def test_an_answer_that_was_lost_is_sent_again(restarted) -> None:
    """The sender says which of its asks have no answer yet, and the receiver still has them."""
    wire, sender, receiver, link = pair()
    asked = Asked(1)
    link.queue(Tick(1, 0), ask=asked)
    wire.move()
    (incoming,) = receiver.incoming
    sequence, _, company = incoming.arrived.popleft()
    assert company.awaited is True
    receiver.answer(incoming, sequence, Tick(2, 0), None)
    incoming.done(sequence)
    wire.lose(receiver)
    if restarted:
        wire.lose(sender)
        wire.board = type(wire.board)()
        wire.connect(sender)
    wire.connect(receiver)
    wire.move()
    assert asked.outcomes == ticks(2)
    assert link.outstanding == 0
    assert link.asks == {}


def test_a_name_that_wanders_and_comes_back() -> None:
    """Who had the name before goes on behind what the other one has handled, and repeats nothing of its own."""
    wire, _sender, first, link = pair()
    second = session("second")
    for tick in ticks(1, 2, 3):
        link.queue(tick)
    wire.move()
    (old,) = first.incoming
    assert [old.arrived.popleft()[1] for _ in range(2)] == ticks(1, 2)  # in hand when the connection is lost
    old.done(1)
    wire.lose(first)
    second.attach("a")
    wire.connect(second)
    wire.move()
    assert wire.handle(second) == ticks(1, 2, 3)
    assert link.counts.redelivered == 3
    link.queue(Tick(4, 0))
    wire.move()
    assert wire.handle(second) == ticks(4)
    second.detach("a")
    wire.move()
    wire.connect(first)
    link.queue(Tick(5, 0))
    wire.move()
    old.done(2)  # late, and of no account any more
    assert wire.handle(first) == ticks(5)
    assert link.outstanding == 0


def test_a_frame_that_never_ends_is_silence() -> None:
    """Where a wrong size swallows what follows, the connection is given up in time, and nothing is lost."""
    _wire, _sender, receiver, _link = pair()
    wrong = bytearray(encode(Tick(1, 0), sequence=1, timestamp_ns=0))
    wrong[26] = 1
    receiver.receive(bytes(wrong), 0.0)
    for now_s in range(1, 6):
        receiver.receive(control_frame(Close(3)), float(now_s))
        receiver.on_time(float(now_s))
    with pytest.raises(RelayError, match=r"nothing from the relay for 6.0 s"):
        receiver.on_time(6.0)


def test_a_message_that_is_damaged_again_and_again_is_given_up_and_several_that_are_damaged_once_are_not() -> None:
    """Each is asked for again, up to a number of times, because a damaged copy may have come twice."""
    _wire, _sender, receiver, _link = pair()
    (incoming,) = receiver.incoming
    frames = [bytearray(encode(Tick(n, 0), sequence=n, timestamp_ns=0)) for n in (1, 2)]
    for frame in frames:
        frame[-1] ^= 1
    route = control_frame(Route(incoming.channel))
    assert hear(receiver, route, bytes(frames[0]), bytes(frames[1])) == [Resend(incoming.channel, 0, 0)]
    receiver.receive(encode(Tick(1, 0), sequence=1, timestamp_ns=0), 0.0)
    assert hear(receiver, bytes(frames[0])) == []  # a copy of what was taken
    for _ in range(MAX_DAMAGED - 1):
        assert hear(receiver, bytes(frames[1])) == [Resend(incoming.channel, 0, 1)]
    (denial,) = hear(receiver, bytes(frames[1]))
    assert (denial.reason, denial.text[:24]) == (Reason.POISON, "message 2 cannot be read")
    assert receiver.damaged == 3 + MAX_DAMAGED
    assert hear(receiver, bytes(frames[1])) == []


def test_a_receiver_that_is_attached_anew_gets_what_was_not_handled() -> None:
    """An actor that takes the place of another in the same process has what that one left, marked as such."""
    wire, _sender, receiver, link = pair()
    for tick in ticks(1, 2):
        link.queue(tick)
    wire.move()
    (incoming,) = receiver.incoming
    incoming.arrived.popleft()
    incoming.done(1)
    receiver.handled(incoming)
    closed = []
    receiver.on_closed = closed.append
    receiver.detach("a")
    assert closed == [incoming]
    receiver.attach("a")
    wire.move()
    assert wire.handle(receiver) == ticks(2)
    (new,) = receiver.incoming
    assert new.counts.redelivered == 1


@pytest.mark.parametrize("between", [False, True])
def test_a_successor_goes_on_behind_what_was_handed_over(between: bool) -> None:
    """It gets each message that its predecessor has not handled, once, and not as one that may have been handled before; so it does
    when there was another one between them, to whom the link never came, because there was no relay."""
    old, new, sender = session("old"), session("new"), session("sender")
    old.attach("a", window=5)
    wire = Wire(old, new, sender)
    link = sender.open(receivers=("a",))
    for number in range(7):
        link.queue(Tick(number, 0))
    wire.move()
    (incoming,) = old.incoming
    for number in (1, 2):
        incoming.done(number)
    positions = old.positions("a")
    if between:
        one = session("between")
        one.take_over(positions)
        positions = one.positions("a")
    new.take_over(positions)
    wire.lose(old)  # and with it the acknowledgement
    old.detach("a")
    new.attach("a", window=5)
    wire.move()
    assert wire.handle(new) == [Tick(number, 0) for number in range(2, 7)]
    assert (link.counts.redelivered, new.incoming[0].counts.redelivered, link.outstanding) == (0, 0, 0)
    (position,) = new.positions("a")
    assert (position.incarnation, position.handled) == (old.client, 7)


def accepted_and_not_begun() -> tuple[Wire, Session, Session, Outgoing]:
    """A link that its receiver has accepted, and of which it has not heard yet with what it begins."""
    sender, receiver = session("sender"), session("receiver")
    receiver.attach("a")
    wire = Wire(receiver, sender)
    link = sender.open(receivers=("a",))
    for tick in ticks(0, 1, 2):
        link.queue(tick)
    for turn in (wire.write, wire.read):
        turn(sender)
        turn(receiver)
    wire.write(receiver)
    wire.read(sender)
    assert link.accepted
    assert not receiver.incoming[0].known
    sender.queued(link)
    assert sender.data_to_send(0.0)  # written, and under way when the connection is lost
    wire.lose(sender)
    return wire, sender, receiver, link


def test_what_is_sent_again_to_who_has_never_had_it_is_not_marked() -> None:
    """The relay dies behind the receiver's first words and before the sender's: nobody has handled anything, and nobody has died."""
    wire, sender, receiver, link = accepted_and_not_begun()
    wire.lose(receiver)
    wire.connect(receiver)
    wire.connect(sender)
    wire.move()
    assert wire.handle(receiver) == ticks(0, 1, 2)
    assert (link.counts.redelivered, receiver.incoming[0].counts.redelivered) == (0, 0)


def test_a_successor_of_who_has_never_had_it_gets_it_unmarked() -> None:
    """What was handed over to it says so, although there was nothing to hand over."""
    wire, sender, receiver, link = accepted_and_not_begun()
    new = session("new")
    new.take_over(receiver.positions("a"))
    receiver.detach("a")
    new.attach("a")
    wire.connect(new)
    wire.connect(sender)
    wire.move()
    assert wire.handle(new) == ticks(0, 1, 2)
    assert (link.counts.redelivered, new.incoming[0].counts.redelivered) == (0, 0)


def test_when_the_last_subscriber_leaves_nothing_waits() -> None:
    """What was published for nobody is counted as unheard, and does not hold up who drains."""
    sender, receiver = session("sender"), session("receiver")
    receiver.attach("s", topics=("t",), window=1)
    wire = Wire(receiver, sender)
    link = sender.open(topic="t")
    link.queue(Tick(0, 0))
    wire.move()
    for tick in ticks(1, 2, 3):
        link.queue(tick)
    assert (link.outstanding, link.counts.unheard) == (3, 1)
    receiver.detach("s", leave=True)
    wire.move()
    assert (link.outstanding, link.counts.unheard) == (0, 3)


# What else is promised


def test_advance_and_idle_keep_their_place_and_are_given_up_by_no_policy() -> None:
    """They have numbers like messages, and where there is no room, the latest of each kind waits."""
    wire, _sender, receiver, link = pair(Policy.DROP_NEWEST, window=1, key=lambda tick: tick.kind)
    for message in (Tick(1, 0), Advance(5), Idle(), Tick(2, 0), Advance(6)):
        link.queue(message)
    assert (link.counts.sent, link.counts.lost) == (2, {Loss.DROPPED_NEWEST: 1})
    found = []
    while link.outstanding:
        wire.move()
        found += wire.handle(receiver)
    assert found == [Tick(1, 0), Idle(), Advance(6)]


def test_a_gap_is_asked_for_once_and_again_when_the_sender_says_where_it_is() -> None:
    """What follows a gap is dropped; the end of what was sent is told with the heartbeat."""
    _wire, _sender, receiver, _link = pair()
    (incoming,) = receiver.incoming
    frames = [encode(Tick(n, 0), sequence=n, timestamp_ns=0) for n in (1, 2, 3)]
    route = control_frame(Route(incoming.channel))
    assert hear(receiver, route, frames[1], frames[2]) == [Resend(incoming.channel, 0, 0)]
    assert hear(receiver, Position(incoming.channel, 3)) == [Resend(incoming.channel, 0, 0)]
    assert hear(receiver, *frames, Position(incoming.channel, 3), Position(ANNOUNCED + 99, 3)) == []
    assert (incoming.counts.gaps, incoming.received) == (2, 3)


def test_a_position_is_told_only_when_something_is_under_way() -> None:
    """The heartbeat says how far each link has come whose end may not be known."""
    wire, sender, receiver, link = pair()
    link.queue(Tick(1, 0))
    assert link.position() is None  # it has not been written
    wire.move()
    sender.on_time(2.0)
    assert Position(1, 1) in read(sender.data_to_send(2.0))
    wire.handle(receiver)
    assert link.position() is None


def test_a_denial_reaches_everybody_who_waits() -> None:
    """Asks fail with the reason, whether they were sent or wait; later messages are refused with it."""
    wire, _sender, receiver, link = pair(window=1)
    sent, waiting = Asked(1), Asked(2)
    link.queue(Tick(1, 0), ask=sent)
    link.queue(Tick(2, 0), ask=waiting)
    wire.move()
    (incoming,) = receiver.incoming
    receiver.deny(incoming, Reason.STOPPED, "it has stopped")
    wire.move()
    for asked in (sent, waiting):
        (error,) = asked.outcomes
        assert isinstance(error, AskFailed)
        assert error.reason == "it has stopped"
    with pytest.raises(ActorStopped, match="it has stopped"):
        link.queue(Tick(3, 0))
    assert receiver.denied[-1].reason is Reason.STOPPED


def test_what_was_handled_is_acknowledged_before_a_denial() -> None:
    """So that the sender knows what became of it."""
    wire, _sender, receiver, link = pair()
    link.queue(Tick(1, 0))
    wire.move()
    wire.handle(receiver, acknowledge=False)
    receiver.deny(receiver.incoming[0], Reason.POISON, "no more")
    wire.move()
    assert link.outstanding == 0
    with pytest.raises(LinkDenied, match="no more"):
        link.queue(Tick(2, 0))


def test_a_denied_link_lives_again_with_a_successor() -> None:
    """Whoever attaches the name next gets what is left."""
    wire, _sender, receiver, link = pair()
    link.queue(Tick(1, 0))
    wire.move()
    receiver.deny(receiver.incoming[0], Reason.STOPPED, "it has stopped")
    receiver.detach("a")
    receiver.attach("a")
    wire.move()
    assert link.denied is None
    assert wire.handle(receiver) == ticks(1)


def test_a_topic_forgets_who_denies_it() -> None:
    """The other subscribers have everything, and the one that denied holds nobody up."""
    sender, one, other = session("sender"), session("one"), session("other")
    for subscriber in (one, other):
        subscriber.attach(subscriber.name, topics=("t",), window=2)
    wire = Wire(one, other, sender)
    link = sender.open(topic="t")
    wire.move()
    one.deny(one.incoming[0], Reason.POISON, "unreadable")
    wire.move()
    for number in range(4):
        link.queue(Tick(number, 0))
        wire.move()
        assert wire.handle(other) == ticks(number)
    assert link.denied is None
    other.deny(other.incoming[0], Reason.POISON, "unreadable")
    wire.move()
    link.queue(Tick(9, 0))
    assert link.counts.unheard == 1
    link.queue(Idle())
    assert link.counts.unheard == 1


@pytest.mark.parametrize("connected", [True, False])
def test_a_link_that_is_closed_is_forgotten_by_its_receiver(connected) -> None:
    """Be it closed while there is a connection or between two."""
    wire, sender, receiver, link = pair()
    closed = []
    receiver.on_closed = closed.append
    if not connected:
        wire.lose(sender)
    sender.close(link)
    sender.close(link)
    if not connected:
        wire.connect(sender)
    wire.move()
    assert [incoming.link for incoming in closed] == [link.channel]
    assert receiver.incoming == ()
    assert wire.peers[sender].channels == {}


def test_a_link_that_nobody_has_known_is_closed_in_silence() -> None:
    """There is nobody to tell."""
    sender = session("sender")
    link = sender.open(receivers=("nobody",))
    sender.close(link)
    assert welcome(sender) == []


def test_links_whose_senders_are_gone_are_forgotten_in_the_end(monkeypatch) -> None:
    """Senders that died without a word leave a bounded number of links behind."""
    monkeypatch.setattr(sessions, "FORGOTTEN_LINKS", 3)
    receiver = session("receiver")
    receiver.attach("a")
    wire = Wire(receiver)
    for number in range(8):
        sender = Session("sender", registry=LINKS, client=1_000 + number)
        wire.connect(sender)
        sender.open(receivers=("a",))
        wire.move()
        wire.lose(sender)
        wire.move()
    assert len(receiver.incoming) <= 4
    assert receiver._announced == {}


def test_answers_fail_in_words() -> None:
    """A handler's failure, and an answer that cannot travel, are told; no answer at all is None."""
    wire, _sender, receiver, link = pair()
    outcomes = []
    for value, failure in ((None, None), (None, "it broke"), (Tick(7, 0), None), (object(), None), (Tick(-1, 0), None)):
        asked = Asked(0)
        link.queue(Tick(0, 0), ask=asked)
        wire.move()
        (incoming,) = receiver.incoming
        sequence, _, _ = incoming.arrived.popleft()
        receiver.answer(incoming, sequence, value, failure)
        incoming.done(sequence)
        wire.move()
        outcomes += asked.outcomes
    assert outcomes[0] is None
    assert outcomes[1].reason == "it broke"
    assert outcomes[2] == Tick(7, 0)
    assert all("the answer cannot travel" in error.reason for error in outcomes[3:])


def test_a_bounded_number_of_answers_is_kept() -> None:
    """The oldest of more is forgotten."""
    _wire, _sender, receiver, _link = pair()
    (incoming,) = receiver.incoming
    for number in range(KEPT_ANSWERS + 5):
        receiver.answer(incoming, number, None, None)
    assert len(incoming._answers) == KEPT_ANSWERS


def test_an_ask_that_was_given_up_hears_nothing() -> None:
    """Its answer comes and is dropped."""
    wire, _sender, receiver, link = pair()
    asked = Asked(1)
    link.queue(Tick(1, 0), ask=asked)
    link.forget_ask(asked)
    wire.move()
    (incoming,) = receiver.incoming
    receiver.answer(incoming, 1, Tick(2, 0), None)
    wire.move()
    assert asked.outcomes == []


def test_an_ask_that_is_lost_fails() -> None:
    """By the policy, or because the mailbox is full."""
    _wire, _sender, _receiver, link = pair(Policy.FAIL, window=1)
    asked = [Asked(n) for n in range(3)]
    for one in asked[:2]:
        link.queue(Tick(one.number, 0), ask=one)
    with pytest.raises(MailboxFull):
        link.queue(Tick(2, 0), ask=asked[2])
    assert [len(one.outcomes) for one in asked] == [0, 0, 1]
    assert link.counts.lost == {Loss.FULL: 1}


def test_what_cannot_travel_is_refused_and_nothing_was_taken() -> None:
    """With or without an ask."""
    _, _, _, link = pair()
    for ask in (None, Asked(1)):
        with pytest.raises(EncodeError):
            link.queue(object(), ask=ask)
        with pytest.raises(EncodeError):
            link.queue(Tick(-1, 0), ask=ask)
    assert (link.outstanding, link.counts.sent) == (0, 0)


def test_high_priority_is_written_first() -> None:
    """Of what goes out together, the high links go first, and each keeps its own order."""
    wire, sender, _receiver, link = pair()
    high = sender.open(receivers=("a",), high=True)
    wire.move()
    for each in (link, high):
        for tick in ticks(each.channel, each.channel + 10):
            each.queue(tick)
        sender.queued(each)
    words = read(sender.data_to_send(0.0))
    assert [word.channel for word in words if isinstance(word, Route)] == [high.channel, link.channel]
    assert all(word[7] == Flags.HIGH_PRIORITY for word in words[1:3])


def test_a_cycle_waits_for_no_room() -> None:
    """A link that closes one has room for everything, because the wait could be for oneself."""
    wire, _sender, receiver, link = pair(window=2, feedback=True)
    for tick in ticks(*range(9)):
        assert link.has_room(tick)
        link.queue(tick)
    wire.move()
    assert not link.overfull
    assert wire.handle(receiver) == ticks(*range(9))


def test_what_only_a_client_says_is_refused() -> None:
    """A relay that does not keep to the protocol is left."""
    for words, text in [
        (Hello(1, 1, "", "", bytes(32), (), 0), "the relay said Hello, which is not for it to say"),
        (Welcome(PROTOCOL, 1, 1), "a welcome for protocol 1, and this is 1"),
        (b"garbage", "damaged bytes from the relay"),
    ]:
        with pytest.raises(RelayError, match=text):
            welcome(session("one"), words)
    one = session("one")
    one.connected(0.0)
    with pytest.raises(RelayError, match="a welcome for protocol 9"):
        one.receive(control_frame(Welcome(9, 1, 1)), 0.0)
    with pytest.raises(RelayRefused) as caught:
        welcome(session("one"), Refused(Reason.TOKEN, "the token is wrong"))
    assert (caught.value.reason, caught.value.text) == ("token", "the token is wrong")


def test_an_answer_that_says_not_to_what_ends_the_connection() -> None:
    """A frame over the channel of a link from here has to be an answer."""
    one = session("one")
    one.open(receivers=("a",))
    with pytest.raises(RelayError, match="an answer that does not say to what"):
        welcome(one, Route(1), encode(Tick(1, 0), sequence=1, timestamp_ns=0))


def test_words_about_what_is_gone_are_let_pass() -> None:
    """Links, receivers and members that are no more here are no offence of the relay's."""
    one = session("one")
    link = one.open(receivers=("a",))
    words = (
        Announce(ANNOUNCED, 3, 1, "sender", "outside", "", False, "detached"),
        Begin(ANNOUNCED, 0, 1, ()),
        Close(ANNOUNCED),
        Deny(ANNOUNCED, "detached", Reason.SCHEMA, "they differ"),
        Deny(9, "a", Reason.SCHEMA, "they differ"),
        Accept(9, 1, "a", 1, False, 0, 0, 1, Policy.BLOCK),
        Ack(9, 1, 1),
        Ack(1, 7, 1),
        Resend(9, 1, 1),
        Resend(1, 7, 1),
        Route(9),
        encode(Tick(1, 0), sequence=1, timestamp_ns=0),
        Position(9, 1),
    )
    assert welcome(one, *words) == [Open(1, "outside", "", False, ("a",), "")]
    assert link.denied is None
    assert [deny.text for deny in one.denied] == ["they differ"]


def test_answers_nobody_asked_for_are_dropped() -> None:
    """An answer that was sent again changes nothing."""
    one = session("one")
    link = one.open(receivers=("a",))
    frame = encode_frame(Frame(Domain.SYSTEM, 0, Flags.REPLY, 1, 0, (Reply(1, False, ""),)))
    welcome(one, Route(1), frame)
    assert link.asks == {}


def test_what_is_not_known_here_arrives_as_nothing() -> None:
    """A message of a type that this end does not know has its number, and no meaning."""
    _wire, _sender, receiver, _link = pair()
    (incoming,) = receiver.incoming
    route = control_frame(Route(incoming.channel))
    unknown = encode_frame(Frame(Domain.MARKET_DATA, 0, 0, 1, 0, (UnknownTlv(9, b"x"),)))
    empty = encode_frame(Frame(Domain.MARKET_DATA, 0, 0, 2, 0, ()))
    hear(receiver, route, unknown, empty)
    assert [item for _, item, _ in incoming.arrived] == [UnknownTlv(9, b"x"), None]


def test_what_has_not_changed_is_not_said() -> None:
    """Attaching and opening before there is a connection is told once there is one."""
    one = session("one")
    assert one.data_to_send(0.0) == b""
    one.attach("a", topics=("t",))
    one.detach("b")
    one.leave()
    assert welcome(one) == [Attach("a", ("t",))]
    assert not one.ack_waits


@pytest.mark.parametrize("policy", [policy for policy in Policy if policy is not Policy.PAUSED])
def test_the_plain_course_of_the_worlds_own_rules(policy) -> None:
    """The machine's world, undisturbed: everything arrives."""
    world = World(windows=[2] * 4, policies=[policy] * 4, capacity=2)
    for _ in range(6):
        world.work()
        for books in world.books:
            world.send(books, 1, tell=False, ask=True)
    world.close()
    assert Registry is not None


def test_only_what_is_done_with_is_acknowledged() -> None:
    """Messages may be done in any order; neither an Ack nor a new Accept says more than what was done up to."""
    wire, sender, receiver, link = pair()
    for tick in ticks(1, 2, 3):
        link.queue(tick)
    wire.move()
    (incoming,) = receiver.incoming
    incoming.done(3)
    assert not incoming.ack_due
    incoming.done(1)
    receiver.handled(incoming)
    receiver.acknowledge()
    wire.move()
    assert link.acked_by_all == 1
    for one in (receiver, sender):
        wire.lose(one)
        wire.connect(one)
        wire.move()
        assert link.acked_by_all == 1
    incoming.done(2)
    receiver.handled(incoming)
    receiver.acknowledge()
    wire.move()
    assert link.acked_by_all == 3
    assert incoming.counts.duplicates == 0


@given(st.floats(0, 100), st.floats(0.001, 10))
@example(3.3000000000000003, 1.1)
def test_the_next_look_at_the_clock_is_later(start_s, heartbeat_s) -> None:
    """Whoever sleeps until the time that is returned does not find it to be now, however sums are rounded."""
    one = session("one", heartbeat_s=heartbeat_s)
    one.connected(start_s)
    one.receive(control_frame(Welcome(PROTOCOL, 5, 0)), start_s)
    one.data_to_send(start_s)
    now_s = start_s
    for _ in range(9):
        try:
            then_s = one.on_time(now_s)
        except RelayError:
            return
        assert then_s > now_s
        one.data_to_send(then_s)
        now_s = then_s
    raise AssertionError("the silence was never noticed")


def test_a_relay_that_talks_is_not_given_up() -> None:
    """Each whole frame is a word; so long as there is one in time, the connection stays."""
    one = session("one", heartbeat_s=1.0)
    welcome(one)
    for now_s in range(1, 30):
        one.receive(control_frame(Heartbeat()), float(now_s))
        assert one.on_time(float(now_s)) > now_s
