"""References to actors of the same bundle. Each one is an edge, from one sender to one receiver.

`LocalRef.tell` is the hot path of everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import length_hint
from time import perf_counter_ns
from typing import Any, TypeVar

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import ActorStopped, AskTimeout, MailboxFull, UsageError
from spore.nursery_bundle.cell import Cell, TooDeep
from spore.nursery_bundle.dispatcher import FRAMES_SHARE, frames_in_use
from spore.nursery_bundle.envelope import Envelope, Reply
from spore.nursery_bundle.interrupts import calling
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.policy import Loss, Overflow
from spore.nursery_bundle.ref import ASK_TIMEOUT_S, OUTSIDE, ActorRef
from spore.nursery_bundle.statistics import SAMPLE_EVERY
from spore.nursery_bundle.whose import calls_actor, current_cell
from spore.nursery_bundle.wiring import reaches, waits_for

__all__ = ["LocalRef", "Waiting", "patient"]

M = TypeVar("M", contravariant=True)
SAMPLES = 16
"""So many messages of an edge are kept to be weighed."""


class LocalRef(ActorRef[M]):
    """A reference to an actor of the same bundle."""

    __slots__ = (
        "_cell",
        "_timed_at",
        "left",
        "listed",
        "owner",
        "port",
        "samples",
        "sender",
        "verified",
        "watched",
        "weight",
    )

    def __init__(self, cell: Cell, owner: Cell | None = None, port: str = "", sender: str = OUTSIDE) -> None:
        self._cell = cell
        self.owner = owner
        """The sender, where the reference is one of its ports; None for what the bundle does not know."""
        self.port = port
        self.sender = owner.name if owner is not None else sender
        """The sender's name: an actor of this bundle or of another process, or ``outside``."""
        self.left = 1
        """How many messages on the next one is that is timed: `sent` as the hot path counts it, downwards. The first is, so that something
        is known of actors that have little to do."""
        self._timed_at = 1
        self.verified = 0
        self.samples: deque[Any] | None = None
        """The last messages that were timed, by which the others are weighed; see `spore.nursery_bundle.scales`."""
        self.weight: Any = None
        """What its messages would take as frames; see `spore.nursery_bundle.scales`."""
        self.watched = False
        """Whether each message is looked at before it is handled inline, because some came with the stack deep in use."""
        self.listed = True
        """Whether the edge is among the receiver's; see `withdraw`."""
        cell.edges.append(self)

    @property
    def cell(self) -> Cell:
        """The receiver's place in the bundle. For Spore's own use."""
        return self._cell

    @property
    def name(self) -> str:
        return self._cell.name

    @property
    def sent(self) -> int:
        """How many messages were accepted, or given up by the receiver's overflow policy."""
        return self._timed_at - self.left

    def count(self, number: int = 1) -> None:
        """So many more were sent."""
        self.left = left = self.left - number
        if left <= 0:
            passed = (1 + -left // SAMPLE_EVERY) * SAMPLE_EVERY
            self._timed_at += passed
            self.left = left + passed
            if not self.listed:
                self.listed = True
                self._cell.edges.append(self)
            if self.watched:
                self._timed_at -= self.left - 1
                self.left = 1

    def withdraw(self) -> None:
        """The sender has ended: be none of the receiver's edges, which keeps the count. An edge that is used again is one again."""
        cell = self._cell
        if self.listed:
            cell.sent_before += self.sent
            cell.edges.remove(self)
            self.listed = False
        self.owner = None
        self.left = self._timed_at = 1
        self.samples = None

    def __repr__(self) -> str:
        sender = f"{self.sender}.{self.port} → " if self.sender != OUTSIDE else ""
        return f"<{type(self).__name__} {sender}{self._cell.name}>"

    def _keep(self, message: Any) -> None:
        """Keep a message that is timed until somebody weighs it."""
        if self.samples is None:
            self.samples = deque(maxlen=SAMPLES)
        self.samples.append(message)

    def for_port(self, owner: Cell, port: str) -> LocalRef[M]:
        """The reference to the same receiver that belongs to a field of an actor."""
        if owner.ports is None:
            owner.ports = {}
        key = (port, self._cell.name)
        if key not in owner.ports:
            owner.ports[key] = type(self)(self._cell, owner, port)
        return owner.ports[key]

    def leave(self) -> None:
        """Be no edge any more: nothing will be sent here."""
        if not self.sent and self.listed:
            self._cell.edges.remove(self)
            self.listed = False

    @enable_ki_protection
    @calls_actor("cell")
    def tell(self, message: M, high: bool = False) -> None:
        cell = self._cell
        handle = cell.idle
        if handle is None:
            inbox = cell.inbox
            if inbox is None or high or len(inbox) >= cell.capacity:
                self._tell_queued(message, high)
                return
            left = self.left - 1
            if left:
                inbox.append(message)
                self.left = left
            else:
                self._tell_queued(message, high)
            return
        # From here to the end, what `run_queued` does for one message; written out, because this is the hot path.
        left = self.left - 1
        if not left:
            self._tell_timed(handle, message, high)
            return
        cell.idle = None
        self.left = left
        try:
            value = handle(message)
            if value is not None and value.__class__ is not cell.finished:
                cell.returned(value, message)
        except TooDeep:
            self.left += 1
            self._queue(message, high)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            cell.idle = cell.ready

    @calls_actor("cell")
    def _tell_timed(self, handle: Any, message: M, high: bool) -> None:
        """`tell` for one message in so many, which is timed, and at which is looked for what would cost too much each time."""
        cell = self._cell
        if not self.fits(cell):
            self._queue(message, high)
            return
        cell.idle = None
        self.left -= 1
        try:
            self.handle_timed(handle, message)
        except TooDeep:
            self.count(-1)
            self._queue(message, high)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            cell.idle = cell.ready

    def fits(self, cell: Cell) -> bool:
        """Whether a handler may be called here and now: the stack has room for it. Where it may soon have none, each message is looked at.

        Raises:
            UsageError: in another thread than the bundle's.
        """
        cell.dispatcher.check_thread(cell.name)
        if not frames_in_use(2 * FRAMES_SHARE):
            return True
        self.watched = True
        return not frames_in_use(FRAMES_SHARE)

    def _tell_queued(self, message: Any, high: bool) -> None:
        """`tell` where the message is queued; where the actor has ended, the message is a dead letter and no error."""
        cell = self._cell
        cell.dispatcher.check_thread(cell.name)
        try:
            self._queue(message, high)
        except ActorStopped:
            self.count()
            cell.lose(message, Loss.STOPPED)

    @calls_actor("cell")
    def handle_timed(self, handle: Any, message: Any) -> None:
        """Have a plain handler handle a message that is counted already, and time it. For this layer's own use."""
        cell = self._cell
        self.count(0)  # the next count begins
        self._keep(message)
        began = perf_counter_ns()
        try:
            value = handle(message)
            if value is not None and value.__class__ is not cell.finished:
                cell.returned(value, message)
        finally:
            cell.time_handling(perf_counter_ns() - began, 1)

    @enable_ki_protection
    def tell_many(self, messages: Iterable[M]) -> None:
        cell = self._cell
        # Read first, because what a generator raises is its caller's and not the handler's.
        left: Any = messages if isinstance(messages, (list, tuple)) else calling(tuple, messages)
        cell.dispatcher.check_thread(cell.name)
        handle = cell.idle
        if handle is not None and len(left) >= self.left and not self.fits(cell):
            handle = None
        while handle is not None:
            left = left[self._handle_all(handle, left, None) :]
            if not left:
                return
            handle = cell.idle
        self._queue_all(left)

    @enable_ki_protection
    @calls_actor("cell")
    def _handle_all(self, handle: Any, messages: Sequence[M], unless: Collection[Any] | None) -> int:
        """Have the plain handler of an idle actor handle messages here and now, for as long as it stays idle.

        Args:
            handle: the cell's ``idle``.
            messages: the first is handled in any case.
            unless: stop once there is something in here.

        Returns:
            How many were handled, have failed, or were queued.
        """
        cell = self._cell
        cell.idle = None
        message = None
        queued = 0
        timed = len(messages) >= self.left
        began = perf_counter_ns() if timed else 0
        rest = iter(messages)  # it knows how many are left, and to count them here would cost more
        try:
            if unless is None:  # the same twice, because it costs a tenth of a message to ask each time
                for message in rest:
                    value = handle(message)
                    if value is not None and value.__class__ is not cell.finished:
                        cell.returned(value, message)
                    if cell.ready is None:
                        break
            else:
                for message in rest:
                    value = handle(message)
                    if value is not None and value.__class__ is not cell.finished:
                        cell.returned(value, message)
                    if cell.ready is None or unless:
                        break
        except TooDeep:
            queued = 1
            self._queue(message, False)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            taken = len(messages) - length_hint(rest)
            handled = taken - queued
            self.count(handled)
            cell.idle = cell.ready
            if timed and handled:
                self._keep(message)
                cell.time_handling(perf_counter_ns() - began, handled)
        return taken

    def _queue_all(self, messages: Sequence[M]) -> None:
        cell = self._cell
        at = 0
        while at < len(messages):
            self._tell_queued(messages[at], False)
            at += 1
            inbox = cell.inbox
            if inbox is not None:
                # As many as nobody need hear of: none that is to be timed, and none that runs the mailbox over.
                few = min(cell.capacity - len(inbox), self.left - 1)
                batch = messages[at : at + max(0, few)]
                inbox.extend(batch)
                self.count(len(batch))
                at += len(batch)

    @enable_ki_protection
    async def send(self, message: M, high: bool = False) -> None:
        cell = self._cell
        dispatcher = cell.dispatcher
        if dispatcher.spent(1):
            await dispatcher.give_way()  # before, because nothing may be cancelled once the message is sent
        if dispatcher.overfull and self.owner is None:
            await self._wait_for_relief()
        if cell.idle is not None:
            self.tell(message, high)
        elif cell.refuses:
            raise cell.stopped_error()
        elif cell.mailbox.has_room(message, high):
            self._queue(message, high)
        else:
            await self._send_when_room(message, high)

    @enable_ki_protection
    async def send_many(self, messages: Iterable[M]) -> None:
        await self._cell.dispatcher.give_way()
        if isinstance(messages, (list, tuple)):
            await self._send_all(messages)
            return
        rest = iter(messages)
        message: Any
        while (message := calling(next, rest, _END)) is not _END:
            await self.send(message)

    async def _send_all(self, messages: Sequence[M]) -> None:
        """`send` each, and as many at once as an idle actor can handle until the clock is to be looked at."""
        cell = self._cell
        dispatcher, mailbox = cell.dispatcher, cell.mailbox
        overfull = dispatcher.overfull if self.owner is None else None
        at, taken = 0, 1
        while at < len(messages):
            # Before a message, because nothing may be cancelled once the last one is sent.
            if dispatcher.spent(taken):
                await dispatcher.give_way()
            if overfull:
                await self._wait_for_relief()
            handle, taken = cell.idle, 1
            if handle is not None and dispatcher.left >= self.left and not self.fits(cell):
                handle = None
            if handle is not None:
                taken = self._handle_all(handle, messages[at : at + dispatcher.left], overfull)
            elif cell.refuses:
                raise cell.stopped_error()
            elif mailbox.has_room(messages[at]):
                self._queue(messages[at], False)
            else:
                await self._send_when_room(messages[at], False)
            at += taken

    def has_room(self, message: Any, high: bool) -> bool:
        """Whether the mailbox takes a message at once. For what brings messages from other processes.

        Under ``fail`` their sender was refused, or was not, where it is. What has come waits, and with it what it may send next.
        """
        mailbox = self._cell.mailbox
        if mailbox.overflow is Overflow.FAIL:
            return len(mailbox) < mailbox.capacity
        return mailbox.has_room(message, high)

    async def enclosed_when_room(self, envelope: Envelope, high: bool) -> None:
        """The same; wait until there is room, and nothing that messages lead to from here is overfull.

        Cancellation: always a checkpoint. If it is cancelled, the message was not taken.

        Raises:
            ActorStopped, MailboxFull: as `tell`.
        """
        await self._cell.dispatcher.give_way()
        await self._wait_for_relief()
        if self.has_room(envelope, high):
            self.enclosed(envelope, high)
        else:
            await self._send_when_room(envelope, high)

    def enclosed(self, envelope: Envelope, high: bool) -> None:
        """Take a message of another process, with its receipt.

        Raises:
            ActorStopped, MailboxFull: as `tell`.
        """
        self._queue(envelope, high)

    @enable_ki_protection
    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        cell = self._cell
        if cell.idle is not None:
            await trio.lowlevel.checkpoint()
            if cell.idle is not None and (self.left > 1 or self.fits(cell)):
                answer = self._ask_inline(message)
                if answer.__class__ is not Reply:
                    return answer
                return await self._wait_for_answer(answer, message, timeout)
        return await self._ask_queued(message, timeout, high)

    async def _ask_queued(self, message: M, timeout: float, high: bool) -> Any:  # noqa: ASYNC109
        cell = self._cell
        sender = self._sender()
        if sender is not None and waits_for(cell, sender):
            what = "itself" if cell is sender else f"{cell.name!r}, which waits for it"
            raise UsageError(f"actor {sender.name!r} asks {what}: there could never be an answer")
        if cell.refuses:
            await trio.lowlevel.checkpoint()
            raise cell.stopped_error()
        reply = Reply()
        envelope = self._guarded(Envelope(message, reply=reply))
        with trio.move_on_after(timeout), Waiting(sender, cell):
            if cell.mailbox.has_room(envelope, high):
                self._queue(envelope, high)
                if reply.done:  # it is lost already; otherwise the wait is the checkpoint
                    await trio.lowlevel.checkpoint()
            else:
                await self._send_when_room(envelope, high)
            await reply.wait()
        return self._outcome(reply, message, timeout)

    async def _wait_for_answer(self, reply: Reply, message: M, timeout: float) -> Any:  # noqa: ASYNC109
        with trio.move_on_after(timeout), Waiting(self._sender(), self._cell):
            await reply.wait()
        return self._outcome(reply, message, timeout)

    def _outcome(self, reply: Reply, message: M, timeout: float) -> Any:
        if reply.error is not None:
            raise reply.error
        if not reply.done:
            raise AskTimeout(self._cell.name, f"no answer in {timeout:g} s to {kind_of(message)}")
        return reply.value

    def _guarded(self, envelope: Envelope) -> Envelope:
        """What a guard makes of an ask; here nothing."""
        return envelope

    def _queue(self, message: Any, high: bool) -> None:
        cell = self._cell
        if self.left == 1:
            if message.__class__ is not Envelope:
                message = Envelope(message)
            message.queued_ns = perf_counter_ns()
            self._keep(message.message)
        try:
            cell.queue(message, high)
        except MailboxFull:
            self.count()  # it counts among what was lost, so it counts here
            raise
        self.count()
        mailbox = cell.mailbox
        if not cell.overfull and len(mailbox) > mailbox.capacity:
            cell.overfull = True
            cell.dispatcher.overfull.add(cell)
            if self.owner is None and (sender := current_cell(besides=cell)) is not None:
                sender.leads_to(
                    cell
                )  # by a reference that is none of its ports: the pressure has to reach whoever sends to it

    async def _send_when_room(self, message: Any, high: bool) -> None:
        cell = self._cell
        sender = self._sender()
        if sender is not None and self._never_has_room(sender):
            # Each would wait for the other for ever. The mailbox is run over instead.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._queue(message, high)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        with Waiting(sender, cell):
            try:
                await cell.mailbox.send_when_room(message, high, admitted=self._admitted)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                raise cell.stopped_error() from None

    def _never_has_room(self, sender: Cell) -> bool:
        """Whether the receiver waits for the sender, or for the sender's `on_start` or `on_stop`, in a restart of both."""
        cell = self._cell
        return waits_for(cell, sender) or ((sender.beginning or sender.leaving) and not cell.running and not cell.over)

    def _admitted(self) -> None:
        self.count()

    def _sender(self) -> Cell | None:
        """The actor that sends: the owner, or, of a reference that came in a message, the one whose code this is."""
        return self.owner or self._cell.dispatcher.pumps.get(trio.lowlevel.current_task())

    async def _wait_for_relief(self) -> None:
        """Wait while an actor to which messages lead from here has more than its mailbox holds."""
        dispatcher = self._cell.dispatcher
        if trio.lowlevel.current_task() in dispatcher.pumps:
            return  # an actor with a reference from a message is not the outside
        while any(reaches(self._cell, cell) for cell in dispatcher.overfull):
            await dispatcher.relief.park()

    @calls_actor("cell")
    def _ask_inline(self, message: M) -> Any:
        """The answer, or where it will be, if the handler has not finished."""
        cell = self._cell
        handle = cell.idle
        if handle is None:
            raise AssertionError
        cell.idle = None
        self.count()
        try:
            value = handle(message)
            if value is not None and value.__class__ is not cell.finished:
                reply = Reply()
                if cell.returned(value, Envelope(message, reply=reply)):
                    return reply
        except TooDeep:
            self.count(-1)
            reply = Reply()
            self._queue(Envelope(message, reply=reply), False)
            return reply
        except Exception as error:
            cell.fail(error, message)
            raise cell.ask_failed(error) from error
        except BaseException:
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            cell.idle = cell.ready
        return value


_END: Any = object()


def patient(ref: ActorRef[Any]) -> AbstractContextManager[None]:
    """A block in which the mailbox behind a reference takes all that comes; see `Mailbox.patient`. Elsewhere its link sees to that."""
    return ref.cell.mailbox.patient() if isinstance(ref, LocalRef) else nullcontext()


class Waiting:
    """A block in which an actor's handler waits for another actor."""

    __slots__ = ("_owner", "_target")

    def __init__(self, owner: Cell | None, target: Cell) -> None:
        self._owner = owner
        self._target = target

    def __enter__(self) -> None:
        if self._owner is not None:
            self._owner.waits_for = [*self._owner.waits_for, self._target]

    def __exit__(self, *_: object) -> None:
        if self._owner is not None:
            left = list(self._owner.waits_for)
            left.remove(self._target)
            self._owner.waits_for = left
