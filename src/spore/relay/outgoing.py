"""The sender's end of a link: numbers messages, keeps each until it is acknowledged, and sends again what was lost.

A link leads from one sender to one actor, to several that all get every message, or to the subscribers of a topic.

Invariants:
- ``kept`` holds the frames ``base + 1 … last`` and nothing else: all that have a number and that some receiver has
  not acknowledged. `to_send` is its tail from what has not been written to this connection.
- What has no number yet waits in `waiting`; while anything waits there, nothing overtakes it.
- A number is given only while the window has room, so what a receiver, and the relay, must hold is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from itertools import chain, islice
from time import time_ns
from typing import Any
from zlib import crc32

import attrs

from spore.codec import HEADER_SIZE, Flags, Frame, encode, encode_frame
from spore.codec.header import SUMMED_SIZE
from spore.errors import ActorError, ActorStopped, AskFailed, EncodeError, LinkDenied
from spore.message import Domain, current_trace, message_type
from spore.nursery_bundle.envelope import Receipt
from spore.nursery_bundle.policy import Loss, Overflow
from spore.nursery_bundle.ref import OUTSIDE
from spore.nursery_bundle.wiring import Outlet
from spore.relay.control import (
    FIRST_ACCOMPANYING,
    FIRST_IN_LINK,
    IN_LINK,
    KEPT_ANSWERS,
    Accept,
    Ask,
    Begin,
    Open,
    Policy,
    Position,
    Reason,
    Reply,
)
from spore.relay.waiting import Waiting, WaitingRoom

__all__ = ["DEFAULT_CAPACITY", "WINDOW_BYTES", "LinkOptions", "Member", "Outgoing", "renumbered"]

DEFAULT_CAPACITY = 1_000
_SOMEBODY = -1
"""The incarnation of a receiver of whom it is only known that there was one."""
_DOMAIN_AT, _FLAGS_AT = 4, 7
WINDOW_BYTES = 4 * 1024 * 1024
"""At most so many bytes of a link are under way, but always one frame."""


@attrs.frozen(kw_only=True)
class LinkOptions:
    """What can be configured about a link at its sender's end. The overflow policy is the receiver's."""

    capacity: int = attrs.field(default=DEFAULT_CAPACITY, validator=attrs.validators.ge(1))
    """How many messages may wait before the receiver has said how many it lets be under way."""
    key: Callable[[Any], Hashable] | None = None
    """What tells a message's kind, for a receiver that conflates. Without it nothing is conflated before it gets there."""
    source: int = 0
    """Stands in the header of every frame; see `spore.codec.Frame.source`."""
    feedback: bool = False
    """Whether the link closes a cycle of actors. Then nobody waits for room in it, because the wait could be for
    oneself; and its window does not bound what is kept."""
    trace: bool = False
    """Whether messages carry the trace that they are sent in; see `spore.message.traced`."""
    inside: bool = False
    """Whether what is written stays in this process until it is acknowledged, and would die with it."""


@attrs.define(eq=False)
class Member:
    """A receiver of the link, as the sender knows it."""

    name: str
    index: int | None = None
    """The relay's number for it on this connection; None while it is not there."""
    incarnation: int = 0
    acked: int = 0
    window: int = 0


@attrs.define
class OutgoingCounts:
    """What has become of the messages of a link."""

    sent: int = 0
    """Accepted from the sender, or given up by the policy."""
    frames: int = 0
    """Frames written, those sent again included."""
    bytes: int = 0
    resent: int = 0
    redelivered: int = 0
    """Sent again to the successor of a receiver that has died; they carry the flag."""
    unheard: int = 0
    """Published to a topic that nobody has subscribed."""
    lost: dict[Loss, int] = attrs.field(factory=dict)
    """Given up by the policy before they got a number, or told to an actor that had stopped."""


class Outgoing:
    """One link, at its sender's end."""

    def __init__(
        self,
        channel: int,
        *,
        sender: str = OUTSIDE,
        port: str = "",
        high: bool = False,
        receivers: tuple[str, ...] = (),
        topic: str = "",
        options: LinkOptions | None = None,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        self.channel = channel
        self.sender = sender
        self.port = port
        self.high = high
        self.topic = topic
        self.name = topic or ", ".join(receivers)
        self.options = options or LinkOptions()
        self.members = {name: Member(name) for name in receivers}
        self.counts = OutgoingCounts()
        self.denied: ActorError | None = None
        """Why no more messages are taken."""
        self.refused: dict[str, str] = {}
        """Of a topic: which subscribers take nothing from this link, and why. The others get what is published."""
        self.to_send: deque[bytes] = deque()
        self.on_change: Callable[[], None] = _nothing
        """Called when there is something to send, or room again, or the link was denied."""
        self.on_accept: Callable[[bool], None] = _nothing_of
        """Called when a receiver has come, before it is told where the link goes on: whether it is the successor of one that had some
        of the messages."""
        self.asks: dict[int, Receipt] = {}
        self.outlet: Outlet | None = None
        """The port of an actor that the link belongs to, if it does to one."""
        self._clock = clock
        self._flags = int(Flags.HIGH_PRIORITY) if high else 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._base = 0
        self._last = 0
        self._written = 0
        """The highest number that was ever written to a connection."""
        self._redelivered_upto = 0
        """What is numbered up to here may have been handled by a receiver that is dead."""
        self._window = self.options.capacity
        self._active = 0
        self._unbounded = False
        self.waiting = WaitingRoom(self.name, self.options.capacity, self._lose)

    def resume(self, acked: int, written: int, *, known: bool) -> None:
        """Go on where a predecessor stood, with the same numbers.

        Args:
            acked: the last that its receiver had acknowledged.
            written: the last that may have been written to it.
            known: whether there was a receiver.
        """
        self._base = self._last = acked
        self._written = written
        for member in self.members.values():
            member.acked = acked
            member.incarnation = _SOMEBODY if known else 0

    @property
    def under_way(self) -> range:
        """The numbers of what was written and is not acknowledged."""
        return range(self._base + 1, self._last - len(self.to_send) + 1)

    def withdraw(self) -> None:
        """Forget what is not acknowledged: it is in a journal, from where it is queued again, with its numbers."""
        self._forget_acked()
        self._kept.clear()
        self._kept_bytes = 0
        self.to_send.clear()
        self._last = self._base

    def skip(self) -> None:
        """The next message is not given to the receivers of this link. Only where nothing is kept."""
        self._base += 1
        self._last = max(self._last, self._base)
        for member in self.members.values():
            member.acked = max(member.acked, self._base)

    # For the application

    @property
    def acked_by_all(self) -> int:
        """The last number that every receiver has acknowledged."""
        return self._base

    @property
    def last(self) -> int:
        """The last number that was given."""
        return self._last

    @property
    def hungry(self) -> bool:
        """Whether there is a receiver that could have more than there is."""
        return bool(self._active) and self.denied is None and self._window_has_room()

    @property
    def window(self) -> int:
        """How many messages may be under way."""
        return self._window

    @property
    def outstanding(self) -> int:
        """Messages that were accepted and not acknowledged."""
        return len(self._kept) + len(self.waiting)

    @property
    def owed(self) -> int:
        """The same without what only says how far this end has come, and which nobody misses."""
        frames = chain(self._kept, (each.frame for each in self.waiting))
        return sum(not _is_in_link(frame) for frame in frames)

    @property
    def unsettled(self) -> bool:
        """Whether something is still to be handled. Where nobody is there, how far this end has come is not."""
        if self.denied is not None or not self.outstanding:
            return False
        return self._active > 0 or self.owed > 0

    @property
    def unhandled(self) -> ActorError | None:
        """What is to be raised where somebody relies on it that all was handled: why nobody takes what was sent; None if nothing is left."""
        if self.denied is None or not (owed := self.owed):
            return None
        left = "1 message that was sent to it is" if owed == 1 else f"{owed:,} messages that were sent to it are"
        return type(self.denied)(self.denied.actor, f"{self.denied.reason}; {left} not handled")

    @property
    def unwritten(self) -> bool:
        """Whether there is something that has never gone out, and would be lost with this process.

        Not of a link that closes a cycle: a receiver could wait for itself then. Nor at the end, when all is waited for anyway.
        """
        if self.denied is not None or self.options.feedback or self._unbounded:
            return False
        gone = self._base if self.options.inside else self._written
        return gone < self._last or len(self.waiting) > 0

    @property
    def lossless(self) -> bool:
        """Whether a sender waits where there is no room."""
        return self.waiting.overflow is Overflow.BLOCK

    @property
    def accepted(self) -> bool:
        """Whether every receiver is there."""
        return bool(self.members) and all(member.index is not None for member in self.members.values())

    def has_room(self, message: Any, *, awaited: bool = False) -> bool:
        """Whether `send`, or `ask` for what is awaited, need not wait."""
        if not self.lossless:
            return self.waiting.has_room(self._key(message), awaited=awaited)
        if self.options.feedback or self._unbounded:
            return True
        return len(self._kept) + len(self.waiting) < self._window and self._kept_bytes < WINDOW_BYTES

    @property
    def roomy(self) -> bool:
        """Whether there is so much room that who waits for some can send many messages; or none need be waited for."""
        if (
            self.denied is not None
            or not self.accepted
            or not self.lossless
            or self.options.feedback
            or self._unbounded
        ):
            return True
        room = self._window - len(self._kept) - len(self.waiting)
        return room >= self._window // 4 and self._kept_bytes < WINDOW_BYTES * 3 // 4

    @property
    def overfull(self) -> bool:
        """Whether `queue` has run over what may be outstanding, so that what leads here should pause."""
        return self.lossless and not self.options.feedback and not self._unbounded and len(self.waiting) > 0

    def lift_bound(self) -> None:
        """Nobody waits for room from now on; see `spore.relay.Client.lift_bounds`."""
        self._unbounded = True
        self.on_change()

    def restore_bound(self) -> None:
        """It was for a time only."""
        self._unbounded = False

    def unacknowledged(self) -> list[tuple[int, bytes, Receipt | None]]:
        """What was accepted and not acknowledged, in order: the number of each frame, or the one that it would get next, and where
        its answer goes if somebody waits for one."""
        numbered = enumerate(self._kept, self._base + 1)
        kept = [(number, frame, self.asks.get(number)) for number, frame in numbered]
        waiting = enumerate(self.waiting, self._last + 1)
        return kept + [(number, each.frame, each.ask) for number, each in waiting]

    def cut(self, handled: int) -> list[tuple[bytes, Receipt | None]]:
        """Nothing more goes out: the receiver has moved to where this link is not needed.

        Args:
            handled: what it has handled. The answers to that are still to come.

        Returns:
            All that it has not, in order, each with where the answer goes if somebody waits for one.
        """
        left = [(frame, ask) for number, frame, ask in self.unacknowledged() if number > handled]
        self.asks = {number: ask for number, ask in self.asks.items() if number <= handled}
        self.waiting.clear()
        self.to_send.clear()
        self._kept.clear()
        self._kept_bytes = 0
        self._base = self._last
        self.denied = LinkDenied(self.name, "it has moved")
        return left

    def queue(self, message: Any, *, ask: Receipt | None = None) -> None:
        """Take a message; it is written when the connection allows.

        Args:
            message: one that is registered, or an in-link control message.
            ask: where the answer goes, if one is wanted.

        Raises:
            EncodeError: if it cannot travel. Nothing was taken.
            MailboxFull: under the policy ``fail``.
            LinkDenied, ActorStopped: if the other end takes nothing.
        """
        if self.denied is not None:
            raise self.denied
        in_link = isinstance(message, IN_LINK)  # which no policy gives up, and nobody counts
        if self.topic and not self.members:
            self.counts.sent += not in_link
            self.counts.unheard += not in_link
            return
        if not self.waiting and self._window_has_room():
            frame = self._encode(message, self._last + 1, ask)
            self.counts.sent += not in_link
            self._number(frame, ask)
        elif in_link:
            self.waiting.put_latest(Waiting(self._encode(message, 0, ask), key=type(message).__name__))
        else:
            frame = self._encode(message, 0, ask)
            self.counts.sent += 1
            self.waiting.put(Waiting(frame, ask, self._key(message)))

    def queue_at_once(self, message: Any) -> bool:
        """`queue` for a message that nobody awaits, where all is plain: receivers are there, nothing waits, and there is room.

        Returns:
            Whether it was taken. If not, nothing was done.

        Raises:
            EncodeError: if it cannot travel. Nothing was taken.
        """
        options, kept = self.options, self._kept
        if (
            not self._active
            or self.denied is not None
            or options.trace
            or len(kept) >= self._window
            or self._kept_bytes >= WINDOW_BYTES
            or self.waiting
        ):
            return False
        number = self._last + 1
        frame = encode(message, sequence=number, timestamp_ns=self._clock(), source=options.source, flags=self._flags)
        self.counts.sent += 1
        self._last = number
        kept.append(frame)
        self._kept_bytes += len(frame)
        to_send = self.to_send
        to_send.append(frame)
        if len(to_send) == 1:  # else it is known already that there is something to write
            self.on_change()
        return True

    def give_up(self, reason: Loss) -> None:
        """Count a message that was not taken, because nobody will ever handle it."""
        self.counts.sent += 1
        self.counts.lost[reason] = self.counts.lost.get(reason, 0) + 1

    def queue_frame(self, frame: bytes) -> None:
        """Take a frame that has the next number already, as long as the link is `hungry`."""
        number = self._last + 1
        if number <= self._redelivered_upto:
            frame = renumbered(frame, number, flags=frame[_FLAGS_AT] | Flags.REDELIVERED)
            self.counts.redelivered += 1
        self.counts.sent += 1
        self._number(frame, None)

    def _key(self, message: Any) -> Hashable:
        return self.options.key(message) if self.options.key is not None else None

    def _window_has_room(self) -> bool:
        if not self._active and not self.lossless:
            return False  # what has a number cannot be given up any more
        kept = self._kept
        return (len(kept) < self._window and (self._kept_bytes < WINDOW_BYTES or not kept)) or self.options.feedback

    def _encode(self, message: Any, sequence: int, ask: Receipt | None) -> bytes:
        trace = current_trace() if self.options.trace else None
        if ask is None and trace is None:
            return encode(
                message, sequence=sequence, timestamp_ns=self._clock(), source=self.options.source, flags=self._flags
            )
        try:
            domain = message_type(message).domain
        except TypeError as error:
            raise EncodeError(type(message).__name__, str(error)) from None
        items = (message, *(() if ask is None else (Ask(),)), *(() if trace is None else (trace,)))
        return encode_frame(Frame(domain, self.options.source, Flags(self._flags), sequence, self._clock(), items))

    def _number(self, frame: bytes, ask: Receipt | None) -> None:
        """Give the next number to a frame that has it in its header already."""
        self._last += 1
        self._kept.append(frame)
        self._kept_bytes += len(frame)
        if ask is not None:
            self.asks[self._last] = ask
        if self._active:
            self.to_send.append(frame)
            if len(self.to_send) == 1:  # else it is known already that there is something to write
                self.on_change()

    def _promote(self) -> None:
        """Give numbers to what waits, as far as the window has room."""
        while self.waiting and self._window_has_room():
            waiting = self.waiting.pop()
            self._number(renumbered(waiting.frame, self._last + 1), waiting.ask)

    def _lose(self, waiting: Waiting, reason: Loss) -> None:
        self.counts.lost[reason] = self.counts.lost.get(reason, 0) + 1
        if waiting.ask is not None:
            waiting.ask.fail(AskFailed(self.name, f"the message was lost: {reason}"))

    # For the session: what goes out

    @property
    def opening(self) -> Open:
        receivers = () if self.topic else tuple(self.members)
        return Open(self.channel, self.sender, self.port, self.high, receivers, self.topic)

    def take(self) -> list[bytes]:
        """The frames to write now: as many as the window lets be under way. The rest stays in `to_send`."""
        frames = list(self.to_send)
        self.to_send.clear()
        excess = 0 if self.options.feedback else len(self._kept) - self._window
        if excess > 0:  # they got their numbers when the window was larger, or not known
            later = min(excess, len(frames))
            self.to_send.extend(frames[len(frames) - later :])
            del frames[len(frames) - later :]
        if frames:
            self._written = max(self._written, self._last - len(self.to_send))
            self.counts.frames += len(frames)
            self.counts.bytes += sum(map(len, frames))
        return frames

    def position(self) -> Position | None:
        """How far this end has come, if the other may not know."""
        sent = self._last - len(self.to_send)
        return Position(self.channel, sent) if self._active and sent > self._base else None

    # For the session: what comes in

    def disconnected(self) -> None:
        """The connection is lost. What was written may have got there or not."""
        for member in self.members.values():
            member.index = None
        self._active = 0
        self.to_send.clear()

    def accept(self, accept: Accept) -> Begin | None:
        """A receiver is there, and has told where it stands; go on from there.

        Returns:
            From which number on; None to one that was there already, and has another window or policy now.
        """
        member = self.members.get(accept.receiver)
        if member is not None and member.index == accept.member:
            member.acked = max(member.acked, min(accept.handled, self._last))
            self._adopt(member, accept)
            self._promote()
            self.on_change()
            return None
        if member is None:  # a topic has a new subscriber: it gets what comes from now on
            member = self.members[accept.receiver] = Member(accept.receiver, acked=self._last)
            start = self._last + 1
        else:
            if accept.known and member.incarnation == _SOMEBODY:
                member.incarnation = accept.incarnation  # it lives: it knows this link
                self._skip_to(accept.handled)
            successor = member.incarnation not in {0, accept.incarnation}
            self.on_accept(successor)
            start = member.acked + 1
            if accept.known:  # it was here before, though somebody else may have been between
                member.acked = max(member.acked, min(accept.handled, self._last))
                start = max(member.acked, min(accept.received, self._last)) + 1
            if successor:
                self._mark_redelivered(start)
        member.incarnation = accept.incarnation
        if member.index is None:
            self._active += 1
        member.index = accept.member
        if not self.topic:
            self.denied = None
        self.refused.pop(accept.receiver, None)
        self._adopt(member, accept)
        self._rewind(start)
        self._promote()
        self.on_change()
        return Begin(self.channel, accept.member, start, self._unanswered(start))

    def _adopt(self, member: Member, accept: Accept) -> None:
        """Let be under way, and do with what finds no room, what the receiver says."""
        member.window = max(1, accept.window)
        self._window = min(other.window for other in self.members.values() if other.index is not None)
        paused = accept.policy is Policy.PAUSED
        overflow = Overflow.FAIL if paused else Overflow[accept.policy.name]
        self.waiting.adopt(overflow, self._window, keyed=self.options.key is not None, paused=paused)
        self._forget_acked()

    def _unanswered(self, start: int) -> tuple[int, ...]:
        """The asks that are not sent again, and whose answers were lost with a connection, or are still to come."""
        return tuple(sequence for sequence in self.asks if sequence < start)[-KEPT_ANSWERS:]

    def _skip_to(self, handled: int) -> None:
        """The receiver is further than the predecessor of this end knew."""
        if handled > self._last and not self._kept:
            self._base = self._last = handled

    def _mark_redelivered(self, start: int) -> None:
        self._redelivered_upto = self._written
        for number in range(max(start, self._base + 1), min(self._written, self._last) + 1):
            at = number - self._base - 1
            self._kept[at] = renumbered(self._kept[at], number, flags=self._flags | Flags.REDELIVERED)
            self.counts.redelivered += 1

    def _rewind(self, start: int) -> None:
        """Write everything from this number on again."""
        kept = self._kept
        written = len(kept) - len(self.to_send)
        again = max(0, start - self._base - 1)
        self.counts.resent += max(0, min(written, self._written - self._base) - again)
        self.to_send = deque(islice(kept, min(again, written), None))

    def acked(self, index: int, handled: int) -> None:
        """A receiver has handled everything up to this number."""
        member = next((member for member in self.members.values() if member.index == index), None)
        if member is None or not member.acked < handled <= self._last:
            return
        member.acked = handled
        self._forget_acked()
        self._promote()
        self.on_change()

    def _forget_acked(self) -> None:
        base = min((member.acked for member in self.members.values()), default=self._last)
        kept = self._kept
        while self._base < base:
            self._base += 1
            self._kept_bytes -= len(kept.popleft())
        while len(self.to_send) > len(kept):
            self.to_send.popleft()

    def resend(self, index: int, after: int) -> None:
        """A receiver has noticed a gap."""
        if any(member.index == index for member in self.members.values()):
            self._rewind(after + 1)
            self.on_change()

    def gone(self, index: int, left: bool) -> None:
        """A receiver's connection is lost, or it has left for good."""
        for member in list(self.members.values()):
            if member.index == index:
                member.index = None
                self._active -= 1
                if left and self.topic:
                    del self.members[member.name]
        if not self._active:
            self.to_send.clear()
        self._fewer_members()
        self.on_change()

    def _fewer_members(self) -> None:
        self._forget_acked()
        if self.topic and not self.members:
            self.counts.unheard += self.waiting.clear()
        self._promote()

    def deny(self, receiver: str, reason: Reason, text: str) -> None:
        """A receiver does not want this link."""
        member = self.members.get(receiver)
        if member is not None and member.index is not None:
            member.index = None
            self._active -= 1
        if not self._active:
            self.to_send.clear()
        if self.topic:
            self.members.pop(receiver, None)
            self.refused[receiver] = text
            self._fewer_members()
        else:
            self.denied = ActorStopped(receiver, text) if reason is Reason.STOPPED else LinkDenied(receiver, text)
            self._fail_asks(receiver, text)
        self.on_change()

    def end(self, text: str) -> None:
        """This end is done with the link: whoever waits for room or for an answer is told why there will be none."""
        self.denied = LinkDenied(self.name, text)
        self._fail_asks(self.name, text)
        self.on_change()

    def _fail_asks(self, receiver: str, text: str) -> None:
        for ask in (*self.asks.values(), *self.waiting.asks):
            ask.fail(AskFailed(receiver, text))
        self.asks.clear()

    def replied(self, reply: Reply, value: object) -> None:
        """The answer to an ask has come."""
        ask = self.asks.pop(reply.sequence, None)
        if ask is None:
            return  # it has timed out, or this is an answer that was sent again
        if reply.failed:
            ask.fail(AskFailed(self.name, reply.text))
        else:
            ask.answer(value)

    def forget_ask(self, ask: Receipt) -> None:
        """Nobody waits for this answer any more."""
        self.asks = {sequence: other for sequence, other in self.asks.items() if other is not ask}


def renumbered(frame: bytes, sequence: int, flags: int | None = None) -> bytes:
    """The same frame with another sequence number, and perhaps other flags."""
    head = bytearray(frame[:SUMMED_SIZE])
    if flags is not None:
        head[_FLAGS_AT] = flags
    head[8:16] = sequence.to_bytes(8, "little")
    payload = frame[HEADER_SIZE:]
    return b"".join((head, crc32(payload, crc32(head)).to_bytes(4, "little"), payload))


def _is_in_link(frame: bytes) -> bool:
    return frame[_DOMAIN_AT] == Domain.SYSTEM and FIRST_IN_LINK <= frame[HEADER_SIZE] < FIRST_ACCOMPANYING


def _nothing() -> None:
    pass


def _nothing_of(_: bool) -> None:
    pass
