"""Control messages: what clients and the relay say to each other about messages. The vocabulary of the protocol.

Each travels as a frame of its own in the system domain, and is known by its type alone: 200–229 belong to the
connection and are acted on at once; 230–239 have a place in the order of a link, as messages have; 240–249
accompany a message in its frame. They are registered apart from users' messages, and versioned by `PROTOCOL`.

A *channel* is a number for one link on one connection. Those that a client opens count from 1, and those that the relay
announces to a client from `ANNOUNCED`.
"""

from __future__ import annotations

import enum
from zlib import crc32

from spore.codec import HEADER_SIZE, UnknownTlv, decode, encode
from spore.codec.compile import NOT_PLAIN, codec_of
from spore.codec.header import HEADER, MAGIC, SUMMED_SIZE, VERSION
from spore.codec.tlv import EXTENDED
from spore.codec.walk import read_message
from spore.errors import Damage, DecodeError
from spore.message import U16, U32, U64, Bool, Bytes32, Domain, Registry, Str, TimestampNs, message, record

__all__ = [
    "ANNOUNCED",
    "CONTROL",
    "FIRST_ACCOMPANYING",
    "FIRST_CONTROL",
    "FIRST_IN_LINK",
    "IN_LINK",
    "KEPT_ANSWERS",
    "PROTOCOL",
    "STREAM",
    "Accept",
    "Ack",
    "Advance",
    "Announce",
    "AnotherProtocol",
    "Ask",
    "Attach",
    "Begin",
    "Bye",
    "Close",
    "Deny",
    "Detach",
    "Gone",
    "Heartbeat",
    "Hello",
    "Idle",
    "Open",
    "Policy",
    "Position",
    "Reason",
    "Refused",
    "Reply",
    "Resend",
    "Route",
    "SchemaLine",
    "Welcome",
    "control_frame",
    "control_of",
    "read_control",
]

PROTOCOL = 1
"""The version of this protocol. Two ends with different ones refuse to talk."""
CONTROL = Registry(link=True)
FIRST_CONTROL = 200
FIRST_IN_LINK = 230
FIRST_ACCOMPANYING = 240
ANNOUNCED = 0x8000_0000
STREAM = "journal:"
"""With this begin the names of the streams that the relay's journal keeps. Sent to as an actor is, subscribed as a topic."""
KEPT_ANSWERS = 1_024
"""So many answers of a link are kept by its receiver, to be sent again if they were lost with a connection."""


class Reason(enum.IntEnum):
    """Why the relay refuses a connection, or an end refuses a link."""

    PROTOCOL = 1
    """Another version of this protocol. Coming again does not help."""
    TOKEN = 2
    """A wrong token. Coming again does not help."""
    DAMAGE = 3
    """Bytes that are no frame, or a message at the wrong time."""
    LIMIT = 4
    """More than the relay allows. Coming again does not help."""
    NAME = 5
    """Another client that is alive has the name."""
    SCHEMA = 6
    """The two ends of a link do not mean the same by their messages."""
    STOPPED = 7
    """The actor takes no more messages."""
    REPLACED = 8
    """The same client has come again over another connection."""
    SILENCE = 9
    """Nothing was heard for too long."""
    POISON = 10
    """A message that cannot be read, however often it is sent."""
    JOURNAL = 11
    """The relay keeps no journal."""


class Policy(enum.IntEnum):
    """`spore.nursery_bundle.Overflow`, as a number."""

    BLOCK = 1
    FAIL = 2
    DROP_OLDEST = 3
    DROP_NEWEST = 4
    CONFLATE = 5
    PAUSED = 6
    """Of one that fails: it pauses, and refuses nothing meanwhile."""


@record
class SchemaLine:
    """The canonical text of one message; see `spore.Schema`."""

    type_id: U16
    text: Str


@message(type_id=200, domain=Domain.SYSTEM, registry=CONTROL)
class Hello:
    """A client's first words."""

    protocol: U16
    client: U64
    """Drawn at random by each process, so that the relay knows one that comes again from one that is new."""
    name: Str
    token: Str
    digest: Bytes32
    schema: tuple[SchemaLine, ...]
    heartbeat_ms: U32
    """The client says something at least this often."""


@message(type_id=201, domain=Domain.SYSTEM, registry=CONTROL)
class Welcome:
    """The relay's answer."""

    protocol: U16
    relay: U64
    """Drawn at random by each relay process."""
    heartbeat_ms: U32


@message(type_id=202, domain=Domain.SYSTEM, registry=CONTROL)
class Refused:
    """The relay will not go on with this connection, and closes it."""

    reason: Reason
    text: Str


@message(type_id=203, domain=Domain.SYSTEM, registry=CONTROL)
class Heartbeat:
    """Still there. Said when there is nothing else to say."""


@message(type_id=204, domain=Domain.SYSTEM, registry=CONTROL)
class Bye:
    """The client leaves for good: its receivers are gone, and its links are closed."""


@message(type_id=205, domain=Domain.SYSTEM, registry=CONTROL)
class Attach:
    """The client has a receiver: an actor, or a subscriber of topics."""

    receiver: Str
    topics: tuple[Str, ...]
    """Empty for an actor."""


@message(type_id=206, domain=Domain.SYSTEM, registry=CONTROL)
class Detach:
    """The client has it no longer. Senders keep what it has not acknowledged for its successor, unless it leaves.

    The relay says the same when it is done, so that the client knows when somebody else can have the name.
    """

    receiver: Str
    leave: Bool
    """For good: nobody waits for it any more. A subscriber's right; an actor always has a successor."""


@message(type_id=207, domain=Domain.SYSTEM, registry=CONTROL)
class Open:
    """The client will send over a new channel."""

    channel: U32
    sender: Str
    port: Str
    high: Bool
    """Whether this is the link for messages of high priority, which may overtake those of the other one."""
    receivers: tuple[Str, ...]
    """Actors, each of which gets every message; empty for a topic."""
    topic: Str


@message(type_id=208, domain=Domain.SYSTEM, registry=CONTROL)
class Announce:
    """The relay tells a receiver of a link that was opened to it."""

    channel: U32
    client: U64
    link: U32
    """With ``client`` what tells the link from all others, on every connection: the channel that the sender gave it."""
    name: Str
    """The client's."""
    sender: Str
    port: Str
    high: Bool
    receiver: Str


@message(type_id=209, domain=Domain.SYSTEM, registry=CONTROL)
class Accept:
    """A receiver's answer, passed on to the sender: where it stands."""

    channel: U32
    member: U16
    """The relay's number, on this channel, for the receiver; 0 on the way from it."""
    receiver: Str
    incarnation: U64
    """The client of the receiver, or of the one from which it has taken over where it stands; or a number of its own, after the
    receiver was detached there. Another one than before is a successor, and knows nothing of what was handled."""
    known: Bool
    """Whether it has had anything from this link."""
    received: U64
    handled: U64
    window: U32
    """How many messages it lets be under way."""
    policy: Policy
    """What its mailbox does when it is full; the sender does the same with what waits there."""


@message(type_id=210, domain=Domain.SYSTEM, registry=CONTROL)
class Begin:
    """The sender's answer: with which sequence number it goes on for this receiver."""

    channel: U32
    member: U16
    sequence: U64
    unanswered: tuple[U64, ...]
    """The asks before that number whose answers have not come. Those that the receiver still has, it sends again."""


@message(type_id=211, domain=Domain.SYSTEM, registry=CONTROL)
class Route:
    """The frames of messages that follow belong to this channel, until the next one says otherwise."""

    channel: U32


@message(type_id=212, domain=Domain.SYSTEM, registry=CONTROL)
class Ack:
    """All messages up to this one were handled, or are accounted for at the receiver."""

    channel: U32
    member: U16
    handled: U64


@message(type_id=213, domain=Domain.SYSTEM, registry=CONTROL)
class Resend:
    """A receiver has noticed a gap: send again what follows this one."""

    channel: U32
    member: U16
    after: U64


@message(type_id=214, domain=Domain.SYSTEM, registry=CONTROL)
class Position:
    """The last that was sent over a channel, so that a gap at the end of it is noticed, too."""

    channel: U32
    sent: U64


@message(type_id=215, domain=Domain.SYSTEM, registry=CONTROL)
class Gone:
    """The relay tells one end of a link that the other one's connection is lost, or that a receiver has left."""

    channel: U32
    member: U16
    """Which receiver; 0 where it is the sender."""
    left: Bool
    """For good."""


@message(type_id=216, domain=Domain.SYSTEM, registry=CONTROL)
class Close:
    """The sender is done with a channel; passed on to its receivers, which may forget the link."""

    channel: U32


@message(type_id=217, domain=Domain.SYSTEM, registry=CONTROL)
class Deny:
    """A link cannot be: said to both its ends."""

    channel: U32
    receiver: Str
    reason: Reason
    text: Str


@message(type_id=230, domain=Domain.SYSTEM, registry=CONTROL)
class Advance:
    """`ActorRef.advance`, in its place between the messages of a link."""

    event_time_ns: TimestampNs


@message(type_id=231, domain=Domain.SYSTEM, registry=CONTROL)
class Idle:
    """`ActorRef.idle`, in its place between the messages of a link."""


IN_LINK = (Advance, Idle)


@message(type_id=240, domain=Domain.SYSTEM, registry=CONTROL)
class Ask:
    """Accompanies a message whose sender waits for an answer."""


@message(type_id=241, domain=Domain.SYSTEM, registry=CONTROL)
class Reply:
    """Accompanies the answer to an ask, or stands alone where that is None or a failure. Its frame travels back over the
    channel on which the ask came, and has the flag of a reply."""

    sequence: U64
    """The ask's."""
    failed: Bool
    text: Str
    """What went wrong."""


def control_frame(control: object) -> bytes:
    """A control message as a frame."""
    return encode(control, sequence=0, timestamp_ns=0)


class AnotherProtocol(DecodeError):
    """A control message that came as it was written, and that this version of the protocol does not know like this.

    That is no damage: sent again it would be the same. Whoever wrote it speaks another version.
    """


def control_of(frame: bytes) -> object:
    """The control message that is this frame. Of a `Hello` or a `Welcome` of another version, what is known of it here.

    Raises:
        AnotherProtocol: if it is whole, and is of another version of this protocol: it has more fields than are known here,
            say, or its type is not known.
        DecodeError: if it is none, or damaged.
    """
    entry = CONTROL.by_type(frame[HEADER_SIZE] if len(frame) > HEADER_SIZE else 0)
    try:
        if entry is not None:
            try:
                return codec_of(entry.cls).read_whole(frame).items[0]
            except NOT_PLAIN:
                pass
        items = decode(frame, CONTROL).items
        if len(items) == 1 and not isinstance(items[0], UnknownTlv):
            return items[0]
        raise DecodeError(Damage.TYPE, "no control message that is known here", offset=HEADER_SIZE)
    except DecodeError as error:
        if (value := _undamaged(frame)) is None:
            raise
        return _of_another_version(frame, *value, error)


def _undamaged(frame: bytes) -> tuple[int, int, int] | None:
    """The type of the control message that a frame begins with, and where its fields begin and end; None if the frame is damaged, or
    begins with no control message of a connection."""
    if len(frame) < HEADER_SIZE + 2:
        return None
    magic, domain, version, _, _, _, _, size, checksum = HEADER.unpack_from(frame)
    if magic != MAGIC or domain != Domain.SYSTEM or version != VERSION or len(frame) != HEADER_SIZE + size:
        return None
    if crc32(frame[HEADER_SIZE:], crc32(frame[:SUMMED_SIZE])) != checksum:
        return None
    head = frame[HEADER_SIZE : HEADER_SIZE + 5]
    if head[0] == EXTENDED and len(head) == 5:
        kind, length, start = head[2], int.from_bytes(head[3:5], "little"), HEADER_SIZE + 5
    else:
        kind, length, start = head[0], head[1], HEADER_SIZE + 2
    if not FIRST_CONTROL <= kind < FIRST_IN_LINK:
        return None
    return kind, start, min(start + length, len(frame))


def _of_another_version(frame: bytes, kind: int, start: int, stop: int, error: DecodeError) -> object:
    entry = CONTROL.by_type(kind)
    version = ""
    if entry is not None and entry.cls in {Hello, Welcome} and stop - start >= 2:
        protocol = int.from_bytes(frame[start : start + 2], "little")
        if protocol != PROTOCOL:
            try:
                return read_message(entry.layout, frame, start, stop, offset=start, more=True)
            except DecodeError:
                version = f" of protocol {protocol}"
    name = entry.name if entry is not None else "control message"
    reason = f"{name} ({kind}){version} cannot be read by protocol {PROTOCOL}: {error.reason}"
    raise AnotherProtocol(error.damage, reason, offset=error.offset, field=error.field) from None


def read_control(tlv: UnknownTlv) -> object:
    """The control message in a TLV.

    Raises:
        DecodeError: if it is none, or damaged.
    """
    entry = CONTROL.by_type(tlv.type_id)
    if entry is None:
        raise DecodeError(Damage.TYPE, f"there is no control message {tlv.type_id}", offset=0)
    try:
        return codec_of(entry.cls).read_value(tlv.value, 0, len(tlv.value))
    except NOT_PLAIN:
        return read_message(entry.layout, tlv.value, 0, len(tlv.value), offset=0)
