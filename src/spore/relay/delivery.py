"""Delivery: what has come over links, handed to the actors of this process, as fast as they take it.

Strategy: an idle actor with a plain handler handles a message on the spot, as it would in a bundle; what cannot be handed over at
once waits in its link, whose window bounds it, and a task of its own goes on. Every message has a receipt, which
acknowledges it when it is done with, and not before.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from spore.errors import ActorStopped, AskFailed, MailboxFull
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.envelope import Envelope, Receipt
from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.log import about
from spore.nursery_bundle.policy import Loss
from spore.relay.control import Advance, Idle, Policy, Reason
from spore.relay.handing import Handing
from spore.relay.incoming import NO_MESSAGES, Arrival, Incoming, IncomingCounts
from spore.relay.outgoing import Outgoing
from spore.relay.quiet import Quiet
from spore.relay.session import Session

__all__ = ["Delivery"]

_log = logging.getLogger("spore.relay")
PLAIN = "a plain sender"


class _Left(enum.Enum):
    """What keeps the rest of what has arrived from being handed over."""

    NOTHING = enum.auto()
    FOR_TIME = enum.auto()
    FOR_ROOM = enum.auto()


class Delivery:
    """The links to one process, and the actors behind them.

    Args:
        session: the client's end of the connection.
        turns: the client's time slices.
        nursery: owns the tasks that wait for room.
        handled: told of each link of which messages were handled.
    """

    def __init__(
        self, session: Session, turns: Dispatcher, nursery: trio.Nursery, handled: Callable[[Incoming], None]
    ) -> None:
        self.receivers: dict[str, LocalRef[Any]] = {}
        """The actors that were attached, by the names that others know."""
        self.ended: set[Incoming] = set()
        """Links that their senders have closed, and of which something is still to be handed over."""
        self.before = IncomingCounts()
        """What has come over links that there are no more."""
        self.patient = False
        """Whether who reads can give way, and comes again for what there is no time now. What is not read yet costs the least."""
        self._session = session
        self._turns = turns
        self._nursery = nursery
        self._handled = handled
        self._inbound: dict[Incoming, Handing] = {}
        self._pumps: dict[Incoming, trio.CancelScope] = {}
        self._inside: frozenset[str] | None = None
        """The only senders whose messages are handed over; None: all."""
        self._held: set[str] = set()
        """Receivers to whom nothing more is handed over."""
        self._quiet = Quiet(_log)
        session.unread.on_frame = self._unread
        session.on_announced = self.announced
        session.on_run = self.deliver_run
        session.on_closed = self.closed
        session.leads_to = self._leads_to

    def forget(self, name: str) -> None:
        """A receiver is detached: what has not reached its mailbox is its successor's."""
        self.receivers.pop(name, None)
        for link, inbound in tuple(self._inbound.items()):
            if link.receiver == name:
                inbound.settle()
                self._handled(link)
                link.arrived.clear()

    def pause(self, inside: frozenset[str]) -> None:
        """Hand over only what comes from these senders, and have nobody refused meanwhile."""
        self._inside = inside
        self._stop_pumps()

    def hold(self, name: str) -> None:
        """Hand over nothing more to a receiver."""
        self._held.add(name)
        self._stop_pumps()

    def _stop_pumps(self) -> None:
        for link, pump in self._pumps.items():
            if self._waits(link):
                pump.cancel()
        for link in self._inbound:
            if self._waits(link) and link.policy is Policy.FAIL:
                self._session.tell_policy(link, Policy.PAUSED)

    def resume(self) -> None:
        """Hand over everything again, and what has come since."""
        self._inside = None
        for link in tuple(self._inbound):
            self.deliver(link)
            attached = self._session.attached.get(link.receiver)
            if attached is not None and link.policy is not attached.policy:
                self._session.tell_policy(link, attached.policy)

    @property
    def busy(self) -> bool:
        """Whether something of a link that is to wait is still being handed over."""
        return any(self._waits(link) for link in self._pumps)

    def _waits(self, link: Incoming) -> bool:
        return link.receiver in self._held or (self._inside is not None and link.sender not in self._inside)

    def announced(self, link: Incoming) -> None:
        """A link was opened to this client, or opened again."""
        ref = self.receivers.get(link.receiver)
        if ref is not None and link not in self._inbound:
            self._inbound[link] = Handing(ref, link.sender, link.port)
        if self._waits(link) and link.policy is Policy.FAIL:
            link.policy = Policy.PAUSED

    def closed(self, link: Incoming) -> None:
        """Its sender has closed a link, or it was forgotten."""
        if link.arrived and link in self._inbound:
            self.ended.add(link)  # it has come, so it is handled
            return
        self.ended.discard(link)
        self.before.add(link.counts)
        inbound = self._inbound.pop(link, None)
        if inbound is not None and not any(
            (other.receiver, other.sender, other.port) == (link.receiver, link.sender, link.port)
            for other in self._inbound
        ):
            inbound.leave()

    def _leads_to(self, link: Incoming, outgoing: Outgoing) -> bool:
        inbound = self._inbound.get(link)
        return inbound is not None and outgoing.outlet is not None and inbound.leads_to(outgoing.outlet)

    def deliver(self, link: Incoming) -> None:
        """Hand over what has arrived; where that has to wait, a task of its own goes on."""
        inbound = self._inbound.get(link)
        if inbound is None or link in self._pumps or self._waits(link):
            return
        if self._hand_over_all(link, inbound) is not _Left.NOTHING:
            self._go_on_later(link, inbound)

    def deliver_run(self, link: Incoming, messages: Sequence[Any], number: int) -> bool:
        """Hand over the next messages, or, without any, what has arrived. What has to wait is kept, and a task of its own goes on with it;
        or a reader that is `patient`, if it waits for time only.

        Args:
            link: where they came from, and nothing else has arrived.
            messages: some that nothing accompanies.
            number: of the first.

        Returns:
            Whether to read on. If not, call this again when everything else has had its turn.
        """
        inbound = self._inbound.get(link)
        if inbound is None or link in self._pumps or self._waits(link):
            link.keep(messages, number)
            return True
        left = _Left.NOTHING
        if messages and link.high:
            link.keep(messages, number)
        elif messages:
            left = self._hand_over_run(link, inbound, messages, number)
            self._handled(link)
        if left is _Left.NOTHING and (link.arrived or link in self.ended):
            left = self._hand_over_all(link, inbound)
        if left is _Left.FOR_TIME and self.patient:
            return False
        if left is not _Left.NOTHING and link.arrived:
            self._go_on_later(link, inbound)
        return True

    def _hand_over_run(self, link: Incoming, inbound: Handing, messages: Sequence[Any], number: int) -> _Left:
        """Hand over messages for as long as there is time and they need not be queued. The link keeps the others."""
        turns, overfull = self._turns, inbound.overfull
        at = 0
        try:
            while at < len(messages) and not (overfull and inbound.pressed):
                try:
                    inbound.handle_run(link, messages[at : at + turns.left], number + at)
                finally:
                    at += inbound.taken
                handled = inbound.taken
                if not handled:
                    at += 1
                    if not inbound.handle(messages[at - 1]):
                        at -= 1
                        break
                    handled = 1
                if not self._go_on(link, inbound, number + at - 1) and not inbound.taken:
                    link.done(number + at - 1)
                if turns.spent(handled):
                    return _Left.FOR_TIME
                if not link.open and link.receiver not in self.receivers:
                    at = len(messages)  # its own handler has detached it: the others are its successor's
        finally:
            if at < len(messages):
                link.keep(messages[at:], number + at)
        return _Left.NOTHING

    def abandoned(self, link: Incoming) -> None:
        """Who reads does not come again for what there was no time for: a task of its own goes on."""
        inbound = self._inbound.get(link)
        if inbound is not None and link.arrived and link not in self._pumps and not self._waits(link):
            self._go_on_later(link, inbound)

    def _go_on_later(self, link: Incoming, inbound: Handing) -> None:
        self._pumps[link] = trio.CancelScope()
        self._nursery.start_soon(self._pump, link, inbound)

    def _hand_over_all(self, link: Incoming, inbound: Handing) -> _Left:
        """Hand over what has arrived, as far as there is room and time; return what the rest waits for."""
        arrived, overfull, turns = link.arrived, inbound.overfull, self._turns
        try:
            while arrived:
                first = arrived[0][0]
                if not link.high and (run := link.next_run(turns.left)):
                    if self._hand_over_run(link, inbound, run, first) is _Left.FOR_TIME:
                        return _Left.FOR_TIME
                    if not arrived or arrived[0][0] != first:
                        continue
                if turns.spent(1):
                    return _Left.FOR_TIME
                if overfull and inbound.pressed:
                    return _Left.FOR_ROOM
                arrival = arrived.popleft()
                if not self._queue(link, inbound, arrival):
                    arrived.appendleft(arrival)
                    return _Left.FOR_ROOM
        finally:
            self._handled(link)
        if link in self.ended:
            self.closed(link)
        return _Left.NOTHING

    def _go_on(self, link: Incoming, inbound: Handing, sequence: int) -> bool:
        """Whether the coroutine of a message has still to be awaited. The message is acknowledged then."""
        unfinished, inbound.unfinished = inbound.unfinished, None
        if unfinished is not None:
            unfinished.reply = _Receipt(self._session, self._handled, link, sequence, awaited=False)
        return unfinished is not None

    def _queue(self, link: Incoming, inbound: Handing, arrival: Arrival) -> bool:
        """Queue a message for its actor; return whether there was room."""
        enclosed = self._enclosed(link, inbound, arrival)
        if enclosed is not None:
            try:
                return inbound.take(enclosed, link.high)
            except (MailboxFull, ActorStopped) as error:
                self._refuse(link, enclosed, error)
        return True

    async def _pump(self, link: Incoming, inbound: Handing) -> None:
        """Hand over the rest, giving way and waiting for room."""
        try:
            with self._pumps[link]:
                await self._turns.give_way()
                while (left := self._hand_over_all(link, inbound)) is not _Left.NOTHING:
                    if left is _Left.FOR_TIME:
                        await self._turns.give_way()  # and not queue one: all behind it would have to be queued, too
                    else:
                        await self._hand_over_first(link, inbound)
        finally:
            del self._pumps[link]
        if link.arrived:  # it was paused; perhaps it is no longer
            self.deliver(link)

    async def _hand_over_first(self, link: Incoming, inbound: Handing) -> None:
        arrival = link.arrived[0]
        enclosed = self._enclosed(link, inbound, arrival)
        if enclosed is not None:
            try:
                await inbound.take_when_room(enclosed, link.high)
            except (MailboxFull, ActorStopped) as error:
                self._refuse(link, enclosed, error)
        if link.arrived and link.arrived[0] is arrival:  # else it was given to somebody else meanwhile
            link.arrived.popleft()
        self._turns.new_slice()  # because it has just given way

    def _enclosed(self, link: Incoming, inbound: Handing, arrival: Arrival) -> Envelope | None:
        """A message with its receipt; None for what is no message, and is dealt with here."""
        sequence, item, company = arrival
        kind = type(item)
        if kind is Advance:
            inbound.advance(item.event_time_ns)  # type: ignore[attr-defined]
        elif kind is Idle:
            inbound.idle()
        elif kind in NO_MESSAGES:
            text = f"message {sequence} from {link.client_name or PLAIN} is not known here"
            if link.plain:
                self._session.unread.add(link, "unknown", text)
            else:
                self._warn(link, "unknown", f"{link.receiver}: {text}")
        else:
            receipt = _Receipt(
                self._session, self._handled, link, sequence, awaited=company is not None and company.awaited
            )
            return Envelope(item, reply=receipt, trace=company.trace if company is not None else None)
        link.done(sequence)
        self._handled(link)
        return None

    def _unread(self, link: Incoming, reason: str, text: str) -> None:
        """A frame of a plain sender was left out."""
        self._warn(link, reason, f"{link.receiver}: a frame of {PLAIN} cannot be read, and is left out: {text}")

    def _warn(self, link: Incoming, reason: str, text: str) -> None:
        peer = link.client_name or PLAIN
        self._quiet.warn(trio.current_time(), peer, reason, text, extra=about(actor=link.receiver))

    def on_time(self, now_s: float) -> None:
        """Look at the clock: log how much more there was of what is logged once a minute."""
        self._quiet.on_time(now_s)

    def _refuse(self, link: Incoming, enclosed: Envelope, error: Exception) -> None:
        """The actor does not take the message; it is counted there."""
        if isinstance(error, ActorStopped):
            ref = self.receivers.get(link.receiver)
            if ref is not None:  # else it was detached while this waited for room
                ref.cell.lose(enclosed, Loss.STOPPED)
            self._session.deny(link, Reason.STOPPED, error.reason)


@attrs.define(eq=False)
class _Receipt(Receipt):
    """Acknowledges a message when it is done with, and answers it if that is wanted."""

    session: Session
    handled: Callable[[Incoming], None]
    link: Incoming
    sequence: int
    awaited: bool

    def answer(self, value: Any) -> None:
        if self.awaited:
            self.session.answer(self.link, self.sequence, value, None)
        self.link.done(self.sequence)
        self.handled(self.link)

    def fail(self, error: Exception) -> None:
        if self.awaited:
            text = error.reason if isinstance(error, AskFailed) else str(error)
            self.session.answer(self.link, self.sequence, None, text)
        self.link.done(self.sequence)
        self.handled(self.link)

    def lose(self, actor: str, reason: Loss) -> None:
        if reason in {Loss.CANCELLED, Loss.DEADLINE}:
            return  # this process ends: its successor is to have the message
        self.fail(AskFailed(actor, f"the message was lost: {reason}"))
