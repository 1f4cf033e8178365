"""The receiver's end of a link: takes each message once and in order, and knows what has been handled.

Invariants:
- every number up to `received` was taken exactly once, and nothing above it;
- every number up to `handled` is done with: handled, failed or lost, and counted where it was;
- ``handled <= received``, and neither ever goes back.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import count, repeat

import attrs

from spore.codec import Flags, Frame, UnknownTlv, encode_frame
from spore.errors import EncodeError
from spore.message import Domain, TraceContext, message_type
from spore.relay.control import KEPT_ANSWERS, Accept, Ack, Advance, Announce, Ask, Begin, Idle, Policy, Reply, Resend

__all__ = ["MAX_DAMAGED", "NO_MESSAGES", "Arrival", "Company", "Incoming", "IncomingCounts"]


MAX_DAMAGED = 8
"""So often one message may come damaged."""
LARGE_WINDOW = 1_000
"""Of a window of so many messages, and of a larger one, half is acknowledged at once, and of a smaller one a quarter: to handle half of
it would not take long enough for the acknowledgement to be on its way meanwhile."""


@attrs.frozen
class Company:
    """What came with a message, in its frame."""

    awaited: bool
    """Whether somebody waits for an answer."""
    trace: TraceContext | None


NO_MESSAGES = frozenset({Advance, Idle, UnknownTlv, type(None)})
"""What has a place among the messages of a link, and is none."""
Arrival = tuple[int, object, Company | None]
"""A message that was taken and is to be handed to its actor: its number, the message (or an in-link control message, or
None for what is not known here), and what came with it; None where it came alone."""
_ASK = message_type(Ask).type_id


@attrs.define
class IncomingCounts:
    """What has come over a link."""

    received: int = 0
    duplicates: int = 0
    """Came again, and were dropped."""
    gaps: int = 0
    redelivered: int = 0
    """Had been sent to a predecessor that died, and may have been handled by it."""

    def add(self, other: IncomingCounts) -> None:
        """Add what has come over another link."""
        self.received += other.received
        self.duplicates += other.duplicates
        self.gaps += other.gaps
        self.redelivered += other.redelivered


class Incoming:
    """One link, at its receiver's end."""

    def __init__(self, announce: Announce, *, window: int, policy: Policy) -> None:
        self.client = announce.client
        self.link = announce.link
        self.receiver = announce.receiver
        self.sender = announce.sender
        self.port = announce.port
        self.high = announce.high
        self.client_name = announce.name
        self.channel = announce.channel
        self.window = window
        self.policy = policy
        self.received = 0
        self.handled = 0
        self.arrived: deque[Arrival] = deque()
        """Taken, and not handed to the actor yet. The window bounds it."""
        self.counts = IncomingCounts()
        self.open = False
        """Whether the sender has said, on this connection, with what it goes on."""
        self.known = False
        """Whether the sender has ever said with what it begins."""
        self.incarnation = 0
        """By which the sender knows this end: a predecessor's where this end was taken over from it, because what that knew is known here."""
        self._acked = 0
        self._again_upto = 0
        """The last message that had been sent to a predecessor."""
        self._asked_again = False
        self._damaged_after = -1
        self._damaged_times = 0
        self._done: set[int] = set()
        """Numbers above `handled` that are done with."""
        self._answers: OrderedDict[int, bytes] = OrderedDict()

    @property
    def plain(self) -> bool:
        """Whether the sender speaks frames and nothing else. They are numbered here, and the relay keeps the window."""
        return self.client == 0

    @property
    def unhandled(self) -> int:
        """Messages that were taken and are not done with."""
        return self.received - self.handled - len(self._done)

    def resume(self, sequence: int) -> None:
        """Go on where a predecessor stood that had handled everything up to this number."""
        self.known = True
        self.received = self.handled = self._acked = sequence

    # What comes

    def announced(self, announce: Announce) -> None:
        """The link was opened, perhaps again, over another connection."""
        self.channel = announce.channel
        self.open = self.plain
        self._asked_again = False

    @property
    def acknowledged(self) -> int:
        """The last number of which the sender was told that it, and all before it, were handled."""
        return self._acked

    def accept(self, *, handled: int | None = None) -> Accept:
        """Where this end stands.

        Args:
            handled: as much as is to be acknowledged, if that is not everything.
        """
        self._acked = self.handled if handled is None else handled
        return Accept(
            self.channel,
            0,
            self.receiver,
            self.incarnation,
            self.known,
            self.received,
            self._acked,
            self.window,
            self.policy,
        )

    def begin(self, begin: Begin) -> list[bytes]:
        """The sender goes on with this number, which is not above the next one unless all before it is acknowledged: by a
        predecessor, or by somebody who had the receiver's name for a time.

        Returns:
            The answers to send once more.
        """
        if not self.known or begin.sequence > self.received + 1:
            self.known = True
            self.received = self.handled = self._acked = begin.sequence - 1
            self.arrived.clear()
            self._done.clear()
        self.open = True
        self._asked_again = False
        return [self._answers[sequence] for sequence in begin.unanswered if sequence in self._answers]

    def take(self, frame: Frame, item: object) -> Resend | bytes | None:
        """Take a frame, if it is the next one.

        Returns:
            What to say to the sender: that there is a gap, or, once more, the answer to an ask that came again.
        """
        sequence = self.received + 1 if self.plain else frame.sequence
        if not self.open:
            return None
        if sequence <= self.received:
            self.counts.duplicates += 1
            return self._answers.get(sequence)
        if sequence > self.received + 1:
            return self._gap()
        self.received = sequence
        self._asked_again = False
        self.counts.received += 1
        if frame.flags is not Flags.NONE and frame.flags & Flags.REDELIVERED:
            self.counts.redelivered += 1
            self._again_upto = sequence
        self.arrived.append((sequence, item, None if len(frame.items) < 2 else _company(frame.items[1:])))
        return None

    def take_all(self, count: int) -> int:
        """Take so many messages that are the next ones, came alone and without flags, over a link that is open.

        Returns:
            The number of the first. Whoever does not hand them over has the link `keep` them.
        """
        self.received += count
        self._asked_again = False
        self.counts.received += count
        return self.received - count + 1

    def keep(self, messages: Sequence[object], number: int) -> None:
        """These were taken, but not handed over: they are before all that has arrived otherwise, and this is the first one's number."""
        self.arrived.extendleft(reversed(tuple(zip(count(number), messages, repeat(None)))))

    def next_run(self, most: int) -> list[object]:
        """The first messages that have arrived, so many at most, out of `arrived`, with numbers in a row: those of frames that could
        not be read are missing between others. None if the first one is accompanied, or no message."""
        arrived = self.arrived
        run: list[object] = []
        first = arrived[0][0] if arrived else 0
        while arrived and len(run) < most:
            sequence, item, company = arrived[0]
            if sequence != first + len(run) or company is not None or type(item) in NO_MESSAGES:
                break
            run.append(item)
            arrived.popleft()
        return run

    def skip(self) -> None:
        """A frame of a plain sender cannot be read. It is left out, and gives back the place that it took at its sender."""
        self.received += 1
        self.done(self.received)

    def damaged(self, sequence: int) -> Resend | None:
        """A frame of this link could not be read, if its header is right the one with this number: ask for it again.

        Raises:
            ValueError: if it is the next one, and was damaged `MAX_DAMAGED` times: a copy may have been damaged, and another one
                repeated, but what its sender cannot write right, however often it is asked, has to be given up.
        """
        if sequence <= self.received:
            return None
        if sequence > self.received + 1:
            return self._gap()
        if self._damaged_after != self.received:
            self._damaged_after, self._damaged_times = self.received, 0
        self._damaged_times += 1
        if self._damaged_times == MAX_DAMAGED:
            raise ValueError(f"message {sequence} cannot be read")
        return self._gap(again=True)

    def position(self, sent: int) -> Resend | None:
        """The sender has sent up to this number."""
        return self._gap(again=True) if self.open and sent > self.received else None

    def _gap(self, *, again: bool = False) -> Resend | None:
        if self._asked_again and not again:
            return None
        self._asked_again = True
        self.counts.gaps += 1
        return Resend(self.channel, 0, self.received)

    # What becomes of it

    def done(self, sequence: int) -> None:
        """A message was handled, has failed, or was lost, and is counted."""
        if sequence != self.handled + 1:
            if sequence > self.handled:  # else the sender has gone on without it
                self._done.add(sequence)
            return
        self.handled = sequence
        while self._done and self.handled + 1 in self._done:
            self.handled += 1
            self._done.discard(self.handled)

    def done_all(self, first: int, count: int) -> None:
        """The same of so many messages in a row."""
        if first == self.handled + 1 and not self._done:
            self.handled += count
            return
        for sequence in range(first, first + count):
            self.done(sequence)

    @property
    def ack_due(self) -> bool:
        """Whether there is something to acknowledge."""
        return self.handled > self._acked

    @property
    def ack_urgent(self) -> bool:
        """Whether the sender may soon have to wait for the acknowledgement. What had ended a predecessor may be sent one by one."""
        due = self.handled - self._acked
        share = 2 if self.window >= LARGE_WINDOW else 4
        return due >= max(1, self.window // share) or (due > 0 and self._acked < self._again_upto)

    def ack(self) -> Ack:
        """The acknowledgement of all that was handled."""
        self._acked = self.handled
        return Ack(self.channel, 0, self.handled)

    def answer(self, sequence: int, value: object, failure: str | None, clock: Callable[[], int]) -> bytes:
        """The frame with the answer to an ask, which is also kept, to be sent again."""
        frame = _answer(sequence, value, failure, clock())
        self._answers[sequence] = frame
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return frame


def _answer(sequence: int, value: object, failure: str | None, now_ns: int) -> bytes:
    reply = Reply(sequence, failure is not None, (failure or "")[:1_000])
    if failure is None and value is not None:
        try:
            domain = message_type(value).domain
            return encode_frame(Frame(domain, 0, Flags.REPLY, sequence, now_ns, (value, reply)))
        except (TypeError, EncodeError) as error:
            reply = Reply(sequence, True, f"the answer cannot travel: {error}"[:1_000])
    return encode_frame(Frame(Domain.SYSTEM, 0, Flags.REPLY, sequence, now_ns, (reply,)))


def _company(items: tuple[object, ...]) -> Company:
    awaited = any(isinstance(item, UnknownTlv) and item.type_id == _ASK for item in items)
    return Company(awaited, next((item for item in items if isinstance(item, TraceContext)), None))
