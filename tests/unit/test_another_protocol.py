"""What another version of the protocol would say is told from damage: it is refused as that, once, and nobody comes again in vain."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
import trio
from tests.actors import only
from tests.relays import Place, place, run
from tests.sans_io import greet, hello, taken

from spore.codec import Flags, Frame, UnknownTlv, decode, encode_frame
from spore.errors import DecodeError, RelayError, RelayRefused
from spore.message import Domain, Registry
from spore.relay import Switchboard
from spore.relay.control import (
    ANNOUNCED,
    CONTROL,
    Announce,
    AnotherProtocol,
    Attach,
    Begin,
    Deny,
    Heartbeat,
    Hello,
    Open,
    Reason,
    Refused,
    Route,
    Welcome,
    control_frame,
    control_of,
)
from spore.relay.session import Session

__all__ = ["place"]


def grown(word: object, more: bytes = b"\x07") -> bytes:
    """A control message with one more field behind those that are known, in a frame that is as it was written."""
    frame = control_frame(word)
    (tlv,) = decode(frame, Registry()).items
    assert isinstance(tlv, UnknownTlv)
    return encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(tlv.type_id, tlv.value + more),)))


@pytest.mark.parametrize("more", [b"\x07", b"\0", bytes(300), b"\x02\0hi"])
def test_a_hello_of_protocol_2_with_one_more_field_can_be_read(more: bytes) -> None:
    """What is known of it is read; what follows is of no concern to who only has to say that it is another protocol."""
    assert control_of(grown(hello(protocol=2), more)) == hello(protocol=2)
    assert control_of(grown(Welcome(2, 3, 4), more)) == Welcome(2, 3, 4)


@pytest.mark.parametrize(
    "first",
    [
        control_frame(hello(protocol=2)),
        grown(hello(protocol=2)),
        grown(hello(protocol=2, schema=())),
        grown(hello()),
        encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(200, b"\x02\0whatever it means"),))),
        encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(200, b"\x02\0"), UnknownTlv(250, b"")))),
        encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(229, b"another greeting"),))),
    ],
)
def test_a_hello_that_has_grown_is_refused_as_another_protocol(first: bytes) -> None:
    """With another number, more fields, other fields or another type: as it was written, so it is no damage."""
    board = Switchboard()
    peer = board.connect(0.0)
    board.receive(peer, first, 0.0)
    (answer,) = taken(peer)
    assert answer.reason is Reason.PROTOCOL
    assert peer.closing


@pytest.mark.parametrize("entry", list(CONTROL), ids=lambda entry: entry.name)
def test_any_other_control_message_that_has_grown_is_refused_as_another_protocol(entry: Any) -> None:
    """Once a client is in, a message with more fields or of a type that is not known is of another protocol, too."""
    if entry.type_id >= 230:
        pytest.skip("has its place in a link, and is read by its receiver")
    board = Switchboard()
    for frame in (
        encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(entry.type_id, b"\x01\0" + b"\xff" * 90),))),
        encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, (UnknownTlv(218, b""),))),
    ):
        peer = greet(board)
        board.receive(peer, frame, 0.0)
        answer = taken(peer)[-1]
        assert (type(answer), answer.reason) == (Refused, Reason.PROTOCOL)


def test_what_is_damaged_stays_damage() -> None:
    """One wrong byte anywhere, of a message that has grown as well, and coming again helps."""
    frame = grown(hello(protocol=2))
    for at in range(8, len(frame), 7):
        damaged = bytearray(frame)
        damaged[at] ^= 1
        with pytest.raises(DecodeError) as caught:
            control_of(bytes(damaged))
        assert not isinstance(caught.value, AnotherProtocol)


def test_a_relay_of_another_protocol_is_left_for_good() -> None:
    """A Welcome of protocol 2, a reason that is not known, and a message that is not known: RelayRefused, which says which."""
    reason = bytearray(control_frame(Refused(Reason.DAMAGE, "why")))
    reason[34] = 99
    reason[28:32] = struct.pack("<I", zlib.crc32(reason[32:], zlib.crc32(reason[:28])))
    for first, said in [
        (control_frame(Welcome(2, 1, 1)), "a welcome for protocol 2, and this is 1"),
        (grown(Welcome(2, 1, 1)), "a welcome for protocol 2, and this is 1"),
        (grown(Welcome(1, 1, 1)), r"Welcome \(201\) cannot be read by protocol 1: 1 bytes are left over"),
        (bytes(reason), r"Refused \(202\) cannot be read by protocol 1: 99 is no Reason"),
    ]:
        session = Session("c")
        session.connected(0.0)
        with pytest.raises(RelayRefused, match=said) as caught:
            session.receive(first, 0.0)
        assert caught.value.reason == "protocol"
    session = Session("c")
    session.connected(0.0)
    with pytest.raises(RelayError) as damaged:
        session.receive(control_frame(Welcome(1, 1, 1))[:-1] + b"\xff", 0.0)
    assert not isinstance(damaged.value, RelayRefused)


def introduced() -> Session:
    """A session that has a receiver, to which a link is open, and a link of its own."""
    session = Session("c")
    session.attach("a")
    session.connected(0.0)
    words = (Welcome(1, 1, 1), Announce(ANNOUNCED, 9, 1, "other", "s", "", False, "a"), Begin(ANNOUNCED, 0, 1, ()))
    session.receive(b"".join(map(control_frame, words)), 0.0)
    session.data_to_send(0.0)
    return session


def test_a_sender_of_another_protocol_is_denied_once() -> None:
    """An Advance with one more field is not asked for again: it would be the same. Its link is denied, and the others go on."""
    session = introduced()
    grown_advance = encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 1, 0, (UnknownTlv(230, bytes(9)),)))
    session.receive(control_frame(Route(ANNOUNCED)) + grown_advance + grown_advance, 0.0)
    (denial,) = [control_of(session.data_to_send(0.0))]
    assert isinstance(denial, Deny)
    assert (denial.channel, denial.reason) == (ANNOUNCED, Reason.PROTOCOL)
    assert "'other' speaks another protocol" in denial.text
    assert session.ready


def test_an_answer_of_another_protocol_ends_its_link_alone() -> None:
    """A Reply with one more field denies the link on which it came: another connection would bring it again."""
    session = introduced()
    link = session.open(receivers=("b",))
    value = struct.pack("<QBH", 1, 0, 0) + b"\x07"
    reply = encode_frame(Frame(Domain.SYSTEM, 0, Flags.REPLY, 1, 0, (UnknownTlv(241, value),)))
    session.receive(control_frame(Route(link.channel)) + reply, 0.0)
    assert "of another protocol" in str(link.denied)
    assert session.ready


def test_a_client_of_another_protocol_does_not_come_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """It ends with RelayRefused, and the relay has one line about it."""

    class Newer(Session):
        def _introduction(self) -> Hello:
            return hello(protocol=2, name="newer")

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board):
            with pytest.raises(ExceptionGroup) as caught:
                async with place.client("newer", session=Newer("newer")):
                    await trio.sleep(30)
            refused = only(caught)
            assert isinstance(refused, RelayRefused)
            assert refused.reason == "protocol"
            assert board.counts.refused == 1

    run(main)
    assert len([record for record in caplog.records if "protocol 2" in record.message]) == 1


def test_bytes_of_todays_messages_are_what_they_were() -> None:
    """The frames of this version, to the byte."""
    assert control_frame(Heartbeat()).hex() == "efbeadde04010000" + "00" * 16 + "02000000" + "11ac52d7" + "cb00"
    assert control_frame(Route(1))[32:].hex() == "d30401000000"
    assert control_frame(Attach("a", ("t",)))[32:].hex() == "cd08" + "010061" + "0100" + "010074"
    assert control_frame(Open(1, "s", "", False, ("a",), ""))[32:34].hex() == "cf11"
