"""Merging by event time: what several senders send is handled in one order that no schedule can change.

Rule: the order is (event time, sender, sequence). A message is held until every other sender has moved past its
place in that order: it has sent something later, has said so (`advance`), or has said that it is idle. Senders
are compared by name and port, which are the same in every mode and every run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import trio

from spore.errors import MailboxFull, UsageError
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.mailbox import Mailbox

__all__ = ["FOREVER", "Merge", "Place", "Position"]

FOREVER = 2**64
"""Later than any u64: how far a sender has come that is idle."""


@attrs.frozen(kw_only=True)
class Position:
    """How far one sender has come with what was released: where a successor of the receiver is to wait for it."""

    sender: str
    port: str
    past_ns: int
    sequence: int


@attrs.define(eq=False)
class Place:
    """How far one sender has come."""

    key: tuple[str, str]
    """Sender and port."""
    deliver: Callable[[Any, bool], None]
    past_ns: int = -1
    """Nothing earlier than this will come from it."""
    sequence: int = 0
    held: int = 0
    expected: bool = False
    """Whether a predecessor of the receiver knew it, and it has not joined here yet."""


class Merge:
    """The messages that are held for one actor."""

    def __init__(self, actor: str, capacity: int) -> None:
        self._actor = actor
        self._capacity = capacity
        self._places: dict[tuple[str, str], Place] = {}
        self._heap: list[tuple[int, tuple[str, str], int, Any, bool, Place]] = []
        self._relief = trio.lowlevel.ParkingLot()
        self._releasing = False
        self._bounded = True

    def __len__(self) -> int:
        return len(self._heap)

    def join(self, sender: str, port: str, deliver: Callable[[Any, bool], None]) -> Place:
        """Another sender, for which all others will wait from now on. Two with the same name and port are one."""
        place = self._places.setdefault((sender, port), Place((sender, port), deliver))
        if place.expected:
            place.deliver, place.expected = deliver, False
        return place

    def offer(self, place: Place, message: Any, high: bool) -> None:
        """Take a message from a sender. One that is earlier than what it sent before keeps its place behind that.

        Raises:
            UsageError: if the message has no ``event_time_ns``.
        """
        bare = message.message if message.__class__ is Envelope else message
        time_ns = getattr(bare, "event_time_ns", None)
        if type(time_ns) is not int:
            reason = f"{type(bare).__name__} has no event_time_ns, by which its messages are merged"
            raise UsageError(f"actor {self._actor!r}: {reason}")
        place.past_ns = max(time_ns, place.past_ns if place.past_ns < FOREVER else -1)
        place.sequence += 1
        place.held += 1
        heapq.heappush(self._heap, (place.past_ns, place.key, place.sequence, message, high, place))
        self.release(place)

    def leave(self, place: Place) -> None:
        """A sender that never sent is none after all."""
        self._places.pop(place.key, None)
        self.release()

    def has_room(self, place: Place, mailbox: Mailbox[Any]) -> bool:
        """Whether this sender need not wait; see `wait_for_room`."""
        if not self._bounded or mailbox.closed:
            return True
        return place.held < self._capacity and len(mailbox) < self._capacity

    async def wait_for_room(self, place: Place, mailbox: Mailbox[Any]) -> None:
        """Wait while as many messages of this sender are held as the mailbox has room for, or the mailbox is run over.

        The bound is one for each sender: with one for all, the fastest could lock out the one for whom all wait.

        Cancellation: a checkpoint if it waits.
        """
        while not self.has_room(place, mailbox):
            await self._relief.park()

    def lift_bound(self) -> None:
        """Nobody waits for room from now on. In a drain, the one for whom all wait may be done, and say nothing more
        until it is stopped; and what is still to come has an end."""
        self._bounded = False
        self.relieve()

    def restore_bound(self) -> None:
        """It was lifted for a time only."""
        self._bounded = True

    def relieve(self) -> None:
        """There is room again, perhaps: let those look who wait for it."""
        if self._relief:
            self._relief.unpark_all()

    def advance(self, place: Place, event_time_ns: int) -> None:
        """The sender will send nothing earlier than this."""
        place.past_ns = max(place.past_ns, event_time_ns)
        self.release()

    def idle(self, place: Place) -> None:
        """The sender sends nothing for now; nobody waits for it until it does."""
        place.past_ns = FOREVER
        self.release()

    def release(self, offering: Place | None = None) -> None:
        """Deliver, in order, all that is held for nobody any more.

        Raises:
            MailboxFull: if the policy is ``fail`` and refused a message of the sender who offers one now. Those of
                others are counted as lost, as every refused message is, and there is nobody to tell.
        """
        if self._releasing:
            return  # a handler that runs inline offers something; the loop below will find it
        self._releasing = True
        refused: MailboxFull | None = None
        try:
            while self._heap and self._is_next(self._heap[0]):
                *_, message, high, place = heapq.heappop(self._heap)
                place.held -= 1
                try:
                    place.deliver(message, high)
                except MailboxFull as error:
                    if place is offering:
                        refused = error
        finally:
            self._releasing = False
            self.relieve()
        if refused is not None:
            raise refused

    def flush(self) -> None:
        """Deliver, in order, all that is held: no more will come from any sender."""
        for place in self._places.values():
            place.past_ns = FOREVER
        self.release()

    # Handing over to a successor

    def held(self) -> list[tuple[Place, list[tuple[Any, bool]]]]:
        """What is held of each sender, in order, each message with whether it is of high priority."""
        entries = sorted(self._heap, key=_order)
        return [
            (place, [(message, high) for *_, message, high, of in entries if of is place])
            for place in self._places.values()
            if place.held
        ]

    def positions(self) -> tuple[Position, ...]:
        """How far each sender has come, without what is held of it: that is sent again to the successor."""
        first: dict[tuple[str, str], int] = {}
        for time_ns, key, *_ in sorted(self._heap, key=_order):
            first.setdefault(key, time_ns)
        return tuple(
            Position(sender=key[0], port=key[1], past_ns=first.get(key, place.past_ns), sequence=place.sequence)
            for key, place in self._places.items()
        )

    def resume(self, positions: Iterable[Position], deliver: Callable[[Any, bool], None]) -> None:
        """Wait for the senders that a predecessor knew, each from where it stood. To be called before anything is offered.

        Args:
            positions: where they stood.
            deliver: for those that have not joined by the time when something of theirs is released.
        """
        for each in positions:
            place = self.join(each.sender, each.port, deliver)
            place.expected = place.deliver is deliver
            place.past_ns, place.sequence = each.past_ns, each.sequence

    def clear(self) -> None:
        """Forget what is held: it is a successor's."""
        self._heap.clear()

    def _is_next(self, entry: tuple[int, tuple[str, str], int, Any, bool, Place]) -> bool:
        time_ns, key = entry[0], entry[1]
        return all(
            place.past_ns > time_ns or (place.past_ns == time_ns and place.key >= key)
            for place in self._places.values()
        )


def _order(entry: tuple[int, tuple[str, str], int, Any, bool, Place]) -> tuple[int, tuple[str, str], int]:
    return entry[:3]
