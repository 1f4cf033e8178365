"""Guards: references that look at messages on their way. Only edges that asked for it have one.

- *verify*: a share of the messages, and of the replies, is encoded, decoded and compared, through a hook: this layer
  knows no codec;
- *portable*: an edge that may leave the process takes registered messages only;
- *trace*: a message keeps the trace that it was sent in;
- *debug*: a message that was changed after it was sent is found, at the latest when the bundle ends;
- *merge*: the messages of all senders are put in order by event time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from trio.lowlevel import enable_ki_protection

from spore.errors import ActorStopped, UsageError
from spore.message import current_trace, message_type
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.fingerprint import fingerprint
from spore.nursery_bundle.local import LocalRef, Waiting
from spore.nursery_bundle.log import about, kind_of, show
from spore.nursery_bundle.merge import FOREVER
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, OUTSIDE, ActorRef
from spore.nursery_bundle.surroundings import Surroundings
from spore.nursery_bundle.wiring import waits_for

if TYPE_CHECKING:
    from spore.nursery_bundle.merge import Place

__all__ = ["Defect", "GuardedRef", "Guards", "Verifier"]

M = TypeVar("M", contravariant=True)
_log = logging.getLogger("spore.guards")

Verifier = Callable[[Any], str | None]
"""Encodes, decodes and compares a message; returns what differs, or None."""


@attrs.frozen
class Defect:
    """Something that a guard found."""

    sender: str
    receiver: str
    message: Any
    reason: str


@attrs.define
class Guards:
    """What all guards of a bundle share."""

    verifier: Verifier | None = None
    debug: bool = False
    trace: bool = False
    defects: deque[Defect] = attrs.field(factory=lambda: deque(maxlen=1_000), init=False)
    found: int = attrs.field(default=0, init=False)
    _sent: deque[Callable[[], None]] = attrs.field(factory=deque, init=False)
    """Checks of the last messages, made once more when they leave this window and when the bundle ends."""

    WINDOW = 1_000

    @property
    def watches(self) -> bool:
        """Whether every edge of the bundle needs a guard."""
        return self.debug or self.trace

    def report(self, defect: Defect) -> None:
        """Keep a defect and log it."""
        self.found += 1
        self.defects.append(defect)
        fields = about(actor=defect.receiver, message_type=kind_of(defect.message))
        _log.error("%s → %s: %s: %s", defect.sender, defect.receiver, defect.reason, show(defect.message), extra=fields)

    def watch(self, sender: str, receiver: str, message: Any) -> Callable[[], None]:
        """A check that reports, once, if the message has changed since now."""
        unchanged = fingerprint(message)
        reported = False

        def check() -> None:
            nonlocal reported
            if not reported and not unchanged():
                reported = True
                self.report(Defect(sender, receiver, message, "changed after it was sent"))

        self._sent.append(check)
        if len(self._sent) > self.WINDOW:
            self._sent.popleft()()
        return check

    def compare_surroundings(self, actor: str, message: Any, before: Surroundings) -> None:
        """Report an actor whose handler has not left its context as it found it."""
        changed = before.changed()
        if changed:
            self.report(Defect(actor, actor, message, f"its handler changed the context: {changed}"))

    def finish(self) -> None:
        """Look at the last messages once more."""
        while self._sent:
            self._sent.popleft()()


class GuardedRef(LocalRef[M]):
    """A reference with guards."""

    __slots__ = ("_guards", "_place", "_share", "_turn")

    def __init__(self, cell: Cell, owner: Cell | None = None, port: str = "", sender: str = OUTSIDE) -> None:
        super().__init__(cell, owner, port, sender)
        self._guards: Guards = cell.options.guards
        self._share = Fraction(cell.options.verify).limit_denominator(1_000_000)
        self._turn = Fraction(0)
        self._place: Place | None = None
        if cell.merge is not None:
            self._place = cell.merge.join(self.sender, port, self.release)
            if self.sender == OUTSIDE and not self._place.sequence:
                self._place.past_ns = FOREVER  # nobody waits for the outside until something comes from there

    @enable_ki_protection
    def tell(self, message: M, high: bool = False) -> None:
        self._cell.dispatcher.check_thread(self.name)
        self._inspect(message)
        try:
            self._deliver(message, high)
        except ActorStopped:
            self.count()
            self._cell.lose(message, Loss.STOPPED)

    def tell_many(self, messages: Iterable[M]) -> None:
        for message in tuple(messages):
            self.tell(message)

    @enable_ki_protection
    async def send(self, message: M, high: bool = False) -> None:
        self._inspect(message)
        cell, sender = self._cell, self._sender()
        if cell.dispatcher.spent(1):
            await cell.dispatcher.give_way()
        if cell.dispatcher.overfull and sender is None:
            await self._wait_for_relief()
        if self._place is not None and cell.merge is not None:
            if sender is None or not waits_for(cell, sender):
                with Waiting(sender, cell):
                    await cell.merge.wait_for_room(self._place, cell.mailbox)
        elif not cell.mailbox.has_room(message, high):
            await self._send_when_room(self._traced(self._watched(message)), high)
            return
        if cell.refuses:
            raise cell.stopped_error()
        self._deliver(message, high)

    async def send_many(self, messages: Iterable[M]) -> None:
        await ActorRef.send_many(self, messages)

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        self._inspect(message)
        if self._guards.debug:  # queued, so that the message and the handler's context are looked at before and after
            answer = await self._ask_queued(message, timeout, high)
        else:
            answer = await super().ask(message, timeout, high)
        self._verify(answer, reply=True)
        return answer

    def _guarded(self, envelope: Envelope) -> Envelope:
        if self._guards.debug:
            envelope.check = self._guards.watch(self.sender, self.name, envelope.message)
        traced: Envelope = self._traced(envelope)
        return traced

    def leave(self) -> None:
        super().leave()
        if self._place is not None and self._cell.merge is not None:
            if self._place.sequence:
                self._cell.merge.idle(self._place)
            else:
                self._cell.merge.leave(self._place)

    def advance(self, event_time_ns: int) -> None:
        if self._place is not None and self._cell.merge is not None:
            self._cell.merge.advance(self._place, event_time_ns)

    def idle(self) -> None:
        if self._place is not None and self._cell.merge is not None:
            self._cell.merge.idle(self._place)

    def has_room(self, message: Any, high: bool) -> bool:
        if self._place is not None and self._cell.merge is not None:
            return self._cell.merge.has_room(self._place, self._cell.mailbox)
        return super().has_room(message, high)

    async def enclosed_when_room(self, envelope: Envelope, high: bool) -> None:
        await self._cell.dispatcher.give_way()
        await self._wait_for_relief()
        if self._place is not None and self._cell.merge is not None:
            await self._cell.merge.wait_for_room(self._place, self._cell.mailbox)
        elif not self.has_room(envelope, high):
            self._inspect(envelope.message)
            await self._send_when_room(self._watched(envelope), high)
            return
        self.enclosed(envelope, high)

    def enclosed(self, envelope: Envelope, high: bool) -> None:
        self._inspect(envelope.message)
        self._deliver(envelope, high)

    def _inspect(self, message: Any) -> None:
        if self._cell.options.portable:
            try:
                message_type(message)
            except TypeError as error:
                raise UsageError(f"actor {self.name!r} may be in another process: {error}") from None
        self._verify(message, reply=False)

    def _verify(self, message: Any, *, reply: bool) -> None:
        if not self._share or self._guards.verifier is None:
            return
        self._turn += self._share
        if self._turn < 1:
            return
        self._turn -= 1
        if reply and message is None:
            return
        self.verified += 1
        try:
            difference = self._guards.verifier(message)
        except Exception as error:  # noqa: BLE001 - a message that cannot be encoded is what this looks for
            difference = f"{type(error).__name__}: {error}"
        if difference is not None:
            ends = (self.name, self.sender) if reply else (self.sender, self.name)
            self._guards.report(Defect(*ends, message, difference))

    def _traced(self, message: Any) -> Any:
        """The message with the trace that it is sent in."""
        context = current_trace() if self._guards.trace else None
        if context is None:
            return message
        if message.__class__ is not Envelope:
            return Envelope(message, trace=context)
        message.trace = message.trace or context
        return message

    def _deliver(self, message: Any, high: bool) -> None:
        message = self._traced(self._watched(message))
        if self._place is not None and self._cell.merge is not None:
            if self._cell.refuses:
                raise self._cell.stopped_error()
            self._cell.merge.offer(self._place, message, high)
        else:
            self._hand_over(message, high)

    def release(self, message: Any, high: bool) -> None:
        """Hand over a message that was held; its sender has gone on long ago and cannot be told that it is too late."""
        if self._cell.over:
            self.count()
            self._cell.lose(message, self._cell.in_hand)
        else:
            self._hand_over(message, high)

    def _hand_over(self, message: Any, high: bool) -> None:
        if message.__class__ is Envelope:
            self._queue(message, high)
        else:
            super().tell(message, high)

    def _watched(self, message: Any) -> Any:
        """The message with a check, from the moment when it is sent: one that is merged may be held for long."""
        if not self._guards.debug:
            return message
        envelope = message if message.__class__ is Envelope else Envelope(message)
        envelope.check = self._guards.watch(self.sender, self.name, envelope.message)
        return envelope
