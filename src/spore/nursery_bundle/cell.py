"""A cell: all that the bundle keeps about one actor, and the one place that runs its handler.

Invariants:
- ``idle`` is the bound handler exactly while a message may be handled on the spot: the actor runs, has a plain
  handler, nothing queued, nothing in hand, and inline dispatch is on. Otherwise it is None.
- ``ready`` is what ``idle`` becomes when the message in hand has been handled: None, too, once something is queued or
  the actor does not run.
- ``inbox`` is the queue of normal priority exactly while a message may be appended to it with no more ado: nobody need
  hear of it, because something is queued already, and no policy asks about it. Otherwise it is None.
- ``scheduled`` is true from the moment something is queued, or a handler's coroutine is adopted, until everything queued has been
  handled.
- ``refuses`` is true from the moment at which the actor takes no more messages: while a `spore.Bundle.stop` handles what was
  queued before, and for good once ``over``.
- ``on_stop`` is called once for each ``on_start`` that has finished: ``living`` says that it is still to be called, and
  ``leaving`` that it is under way.

Handlers are called by functions that are protected from KeyboardInterrupt, so that an interrupt never falls between taking a message and
counting it; the handlers themselves are not protected.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakSet

import attrs
import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import ActorStopped, AskFailed, MailboxFull
from spore.message import set_trace
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.answers import Unfinished, discard, is_awaitable, is_unfinished
from spore.nursery_bundle.dispatcher import MAX_DEPTH
from spore.nursery_bundle.envelope import Envelope, Receipt
from spore.nursery_bundle.interrupts import interruptible
from spore.nursery_bundle.log import describe, kind_of
from spore.nursery_bundle.mailbox import Mailbox
from spore.nursery_bundle.policy import Loss, Overflow, Supervision
from spore.nursery_bundle.pump import run_pump
from spore.nursery_bundle.statistics import ActorState, Sampled
from spore.nursery_bundle.surroundings import own_decimals, surroundings
from spore.nursery_bundle.whose import calls_actor

if TYPE_CHECKING:
    from spore.nursery_bundle.dispatcher import Dispatcher
    from spore.nursery_bundle.local import LocalRef
    from spore.nursery_bundle.merge import Merge
    from spore.nursery_bundle.timers import Timer
    from spore.nursery_bundle.wiring import Outlet

__all__ = ["Cell", "EdgeOptions", "Failure", "Keeper", "TooDeep"]


class Keeper(Protocol):
    """What a cell asks of the bundle that keeps it."""

    @property
    def bundle(self) -> str:
        """The bundle's name."""
        ...

    @property
    def halted(self) -> bool:
        """Whether the bundle has ended, and nothing more is handled."""
        ...

    def start_soon(self, run: Callable[..., Awaitable[object]], *args: Any, name: str) -> None:
        """Start a task that the bundle owns, in the bundle's context. Once the bundle has ended, nothing is started."""
        ...

    def lost(self, cell: Cell, message: Any, reason: Loss) -> None:
        """Keep a dead letter."""
        ...

    def failed(self, cell: Cell, error: Exception, message: Any) -> None:
        """Keep a dead letter, and carry out what the supervision decides."""
        ...


@attrs.frozen
class EdgeOptions:
    """What the references to an actor do besides handing over messages. Nothing, where all are off."""

    verify: float = 0.0
    """The share of messages that are also encoded, decoded and compared."""
    portable: bool = False
    """Whether messages must be registered ones, because an edge may leave the process."""
    guards: Any = None
    """What the guards of the bundle share."""


class TooDeep(Exception):
    """Too many handlers run inside each other for one more."""


@attrs.frozen
class Failure:
    """The last thing that went wrong with an actor. It keeps no exception, whose frames would keep the actor at fault alive."""

    text: str
    """The error in one line."""
    message: str
    """The class of the message at fault; empty at a restart."""
    at_ns: int
    """Since the Unix epoch."""


@attrs.define(eq=False, repr=False)
class Cell:
    """One actor's place in a bundle."""

    name: str
    keeper: Keeper
    dispatcher: Dispatcher
    build: Callable[[], Actor[Any]]
    mailbox: Mailbox[Any]
    supervision: Supervision
    inline: bool
    """Whether `tell` may run the handler: never where a message could be lost, or the results would depend on it."""
    options: EdgeOptions
    """What every reference to this actor does besides handing over messages."""
    # The actor, set by `install`.
    actor: Actor[Any] = attrs.field(init=False)
    handle: Callable[[Any], Any] = attrs.field(init=False)
    is_async: bool = attrs.field(init=False, default=False)
    finished: type = attrs.field(init=False, default=int)
    """The class of the last answer that was looked at, if such answers are finished: whether one is depends on its class alone."""
    generation: int = attrs.field(init=False, default=0)
    """Goes up with each actor installed, so that a restart that was overtaken by another notices."""
    # The life.
    state: ActorState = attrs.field(init=False, default=ActorState.STARTING)
    running: bool = attrs.field(init=False, default=False)
    idle: Callable[[Any], Any] | None = attrs.field(init=False, default=None)
    ready: Callable[[Any], Any] | None = attrs.field(init=False, default=None)
    inbox: deque[Any] | None = attrs.field(init=False, default=None)
    capacity: int = attrs.field(init=False, default=0)
    """The mailbox's."""
    # Policy and state as bools, because Python 3.11 takes 100 ns to look up a member of an enum.
    blocks: bool = attrs.field(init=False, default=True)
    """Whether the overflow policy is ``block``."""
    over: bool = attrs.field(init=False, default=False)
    """Whether its life has ended."""
    refuses: bool = attrs.field(init=False, default=False)
    """Whether it takes no more messages."""
    singles: int = attrs.field(init=False, default=0)
    """Visits of the dispatcher, of which those for a single message are not all timed."""
    bounded: bool = attrs.field(init=False, default=False)
    """Whether the depth of inline calls is counted here: only in a bundle with actors enough for too many."""
    scheduled: bool = attrs.field(init=False, default=False)
    overfull: bool = attrs.field(init=False, default=False)
    """Whether a `tell` has run the mailbox over."""
    pumping: bool = attrs.field(init=False, default=False)
    """Whether the task of an async handler was started."""
    pump: trio.lowlevel.Task | None = attrs.field(init=False, default=None)
    """That task, while it is parked."""
    pump_scope: trio.CancelScope | None = attrs.field(init=False, default=None)
    """That task's scope, for a restart that cannot wait for what it has in hand."""
    adopted: tuple[Awaitable[Any], Envelope] | None = attrs.field(init=False, default=None)
    """What a handler that does not look async has returned, to be awaited by the pump, and the message that it handles."""
    turned_async: bool = attrs.field(init=False, default=False)
    """Whether a handler that does not look async has turned out to be."""
    context: Context | None = attrs.field(init=False, default=None)
    """In which the dispatcher runs the plain handler; made at the first visit."""
    beginning: bool = attrs.field(init=False, default=False)
    """Whether an actor is being built, or is in its `on_start`."""
    living: bool = attrs.field(init=False, default=False)
    """Whether the actor's `on_start` has finished, and its `on_stop` has not been called yet."""
    leaving: bool = attrs.field(init=False, default=False)
    """Whether its `on_stop` is under way."""
    stopping: bool = attrs.field(init=False, default=False)
    """Whether somebody stops it for good, and it is not over yet."""
    held: bool = attrs.field(init=False, default=False)
    """Whether a restart of the whole bundle is under way, so that nobody else has it go on."""
    ending: bool = attrs.field(init=False, default=False)
    """Whether its last `on_stop` is due, so that nobody has it go on, or begins it afresh."""
    stays: bool = attrs.field(init=False, default=False)
    """Whether it stays in the statistics when it has stopped, because that is the beginning of its bundle's end."""
    gone: bool = attrs.field(init=False, default=False)
    """Whether its life is over, its `on_stop` too."""
    in_hand: Loss = attrs.field(init=False, default=Loss.CANCELLED)
    """What becomes of a message whose handler is cancelled."""
    waits_for: list[Cell] | tuple[()] = attrs.field(init=False, default=())
    """The actors for which this one waits now, inside its handler, by `send` or `ask`."""
    # The wiring.
    edges: list[LocalRef[Any]] = attrs.field(init=False, factory=list)
    """The references to this actor."""
    ports: dict[tuple[str, str], LocalRef[Any]] | None = attrs.field(init=False, default=None)
    """This actor's own references, by field and receiver's name."""
    outlets: dict[tuple[str, str], Outlet] | None = attrs.field(init=False, default=None)
    """This actor's references to actors of other processes, by field and receiver's name."""
    children: WeakSet[Cell] | tuple[()] = attrs.field(init=False, default=())
    """The actors that this one has started, and others to which it was seen to send; its fields need not show them."""
    timers: set[Timer] | tuple[()] = attrs.field(init=False, default=())
    """Those that the actor has started. They end with it."""
    merge: Merge | None = attrs.field(init=False, default=None)
    # The counts.
    sent_before: int = attrs.field(init=False, default=0)
    """Messages received over edges that there are no more, because their senders have ended."""
    restarted_when: int = attrs.field(init=False, default=0)
    """How many messages had been handled at the last restart."""
    skipped: dict[str, int] | None = attrs.field(init=False, default=None)
    """What the actor said of it at its end."""
    failures: int = attrs.field(init=False, default=0)
    failure: Failure | None = attrs.field(init=False, default=None)
    """The last one."""
    restarts: int = attrs.field(init=False, default=0)
    restarted_at: list[float] | tuple[()] = attrs.field(init=False, default=())
    lost: dict[Loss, int] = attrs.field(init=False, factory=dict)
    handling: Sampled | None = attrs.field(init=False, default=None)
    waiting: Sampled | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.capacity = self.mailbox.capacity
        self.blocks = self.mailbox.overflow is Overflow.BLOCK
        self.mailbox.on_arrival = self.arrived
        if self.mailbox.overflow is not Overflow.BLOCK:
            self.mailbox.on_loss = self.lose

    # What a reference asks for

    @enable_ki_protection
    def queue(self, message: Any, high: bool) -> None:
        """Take a message without waiting.

        Raises:
            ActorStopped: if the actor takes none.
            MailboxFull: under the policy ``fail``.
        """
        if self.refuses:
            raise self.stopped_error()
        if high:
            self.inbox = None  # which goes by the length of one queue alone
        elif self.blocks:
            self.mailbox.normal.append(message)
            self.arrived()
            return
        try:
            self.mailbox.put(message, high)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise self.stopped_error() from None
        except MailboxFull as error:
            raise MailboxFull(self.name, error.reason) from None

    def stopped_error(self) -> ActorStopped:
        what = "it has stopped" if self.over else "it is being stopped"
        return ActorStopped(self.name, f"{what} and takes no more messages")

    @property
    def quiet(self) -> bool:
        """Whether nothing is queued and nothing in hand, its start and its end included."""
        return not self.scheduled and not self.beginning and not self.leaving

    @property
    def changing(self) -> bool:
        """Whether an `on_start` or an `on_stop` is under way."""
        return self.beginning or self.leaving

    @property
    def in_handler(self) -> bool:
        """Whether the task of an async handler has a message in hand."""
        return (self.pumping and self.pump is None) or self.adopted is not None

    @property
    def handled(self) -> int:
        """How many messages it has taken and not failed at or lost, but for those that are queued."""
        received = self.sent_before + sum(edge.sent for edge in self.edges)
        return received - self.failures - sum(self.lost.values()) - len(self.mailbox)

    # The life

    def install(self, actor: Actor[Any]) -> None:
        """Put an actor in its place: at the start, and at each restart."""
        self.actor = actor
        self.handle = interruptible(actor.handle)
        self.is_async = self.turned_async or inspect.iscoroutinefunction(actor.handle)
        self.generation += 1
        self.living = False

    @enable_ki_protection
    def resume(self) -> None:
        """Handle messages from now on, those first that are queued already. A life that has ended stays so."""
        if self.over or self.held or self.ending or self.keeper.halted:
            return
        self._enter(ActorState.RUNNING)
        if self.scheduled:
            self.summon()
        else:
            self.rest()

    def suspend(self) -> None:
        """Handle none for now. What comes is queued. A life that has ended stays so."""
        if not self.over:
            self._enter(ActorState.SUSPENDED)

    def leads_to(self, other: Cell) -> None:
        """This actor was seen to send to another one, or has started it."""
        if not isinstance(self.children, WeakSet):
            self.children = WeakSet()
        self.children.add(other)

    def end_timers(self) -> None:
        """Cancel the timers that the actor has started."""
        for timer in tuple(self.timers):
            timer.cancel()
        self.timers = ()

    def close(self) -> None:
        """Take no more messages. Those that are queued are still handled; who waits for room is refused."""
        self.refuses = True
        self.idle = self.ready = self.inbox = None
        self.mailbox.turn_away()

    def reopen(self) -> None:
        """Take messages again: nobody stops this actor after all."""
        if self.over:
            return
        self.refuses = False
        if self.running and not self.scheduled:
            self.rest()

    @enable_ki_protection
    def stop(self, reason: Loss) -> None:
        """Take no more messages. What is queued becomes dead letters, and nobody waits for this actor any more."""
        if self.over:
            return
        self._enter(ActorState.STOPPED)
        self.in_hand = reason
        self._drop_adopted(reason)
        if self.merge is not None:
            self.merge.flush()
        for message in self.mailbox.close_receive():
            self.lose(message, reason)
        self._relieve()
        self.rest()
        self.wake_pump()
        for port in (self.ports or {}).values():
            port.idle()
        for outlet in (self.outlets or {}).values():
            outlet.idle()

    def _enter(self, state: ActorState) -> None:
        self.state = state
        self.running = state is ActorState.RUNNING
        self.idle = self.ready = None
        if state is ActorState.STOPPED:
            self.over = self.refuses = True
            self.inbox = None

    def cancel_in_hand(self, reason: Loss) -> None:
        """Cancel an async handler that is at work, or is about to begin. Its message is lost for this reason."""
        self.in_hand = reason
        self._drop_adopted(reason)
        if self.pump_scope is not None and self.pump is None:
            self.pump_scope.cancel()

    def _drop_adopted(self, reason: Loss) -> None:
        if self.adopted is not None:
            (unfinished, envelope), self.adopted = self.adopted, None
            discard(unfinished)
            self.lose(envelope, reason)
            if not len(self.mailbox):
                self.rest()

    # What happens to messages

    @enable_ki_protection
    def arrived(self) -> None:
        """Something was queued: see that it will be handled."""
        if not self.scheduled:
            self.idle = self.ready = None
            self.scheduled = True
            if self.blocks and not self.mailbox.high and not self.refuses:
                self.inbox = cast("deque[Any]", self.mailbox.normal)
            dispatcher = self.dispatcher
            dispatcher.active += 1
            if self.running:
                if self.is_async:
                    self.summon()
                else:
                    dispatcher.enter(self)
        elif self.inbox is None:
            self._reopen()

    def summon(self) -> None:
        """Have somebody handle what is queued: the dispatcher for a plain handler, a task of its own for an async one."""
        if not self.is_async:
            self.dispatcher.enter(self)
        elif self.pumping:
            self.wake_pump()
        else:
            self.pumping = True
            self.keeper.start_soon(run_pump, self, name=f"actor {self.name}")

    def rest(self) -> None:
        """Everything queued has been handled."""
        if self.scheduled:
            self.scheduled = False
            self.inbox = None
            self.dispatcher.active -= 1
        if self.running and self.inline and not self.is_async and not self.refuses:
            self.idle = self.ready = self._handle_bounded if self.bounded else self.handle
        if self.dispatcher.quiet:
            self.dispatcher.quiet.unpark_all()

    @enable_ki_protection
    def returned(self, value: Any, message: Any) -> bool:
        """A plain handler has returned something else than plain data. What would have to be awaited is awaited, by the pump.

        Returns:
            Whether it is, so that the message has not been handled yet.

        Raises:
            Unfinished: if it is something that nobody will ever run, such as a generator.
        """
        if not is_unfinished(value):
            self.finished = value.__class__
            return False
        if not is_awaitable(value):
            discard(value)
            raise Unfinished(
                f"handle returned a {kind_of(value)}, which nobody iterates; make it an async def, or loop inside"
            )
        self.adopted = (value, message if message.__class__ is Envelope else Envelope(message))
        self.turned_async = self.is_async = True
        self.idle = self.ready = None
        if not self.scheduled:
            self.scheduled = True
            self.dispatcher.active += 1
        self.summon()
        return True

    def bound(self) -> None:
        """Count the depth of inline calls from now on."""
        self.bounded = True
        if self.idle is not None:
            self.idle = self._handle_bounded
        if self.ready is not None:
            self.ready = self._handle_bounded

    def _handle_bounded(self, message: Any) -> Any:
        """The handler, unless too many run inside each other already.

        Raises:
            TooDeep: the message has to be queued instead.
        """
        dispatcher = self.dispatcher
        depth = dispatcher.depth
        if depth >= MAX_DEPTH:
            raise TooDeep
        dispatcher.depth = depth + 1
        try:
            return self.handle(message)
        finally:
            dispatcher.depth = depth

    def _reopen(self) -> None:
        """Let messages be appended with no more ado again, if that is what there is to do."""
        mailbox = self.mailbox
        if self.scheduled and self.blocks and not (mailbox.high or self.refuses):
            self.inbox = cast("deque[Any]", mailbox.normal)

    def run_queued(self, limit: int) -> tuple[int, bool]:
        """Handle at most ``limit`` queued messages with a plain handler; see `Runnable`. In the actor's own context."""
        context = self.context
        if context is None:
            context = self.context = self.dispatcher.context.copy()
            context.run(own_decimals)
        return context.run(self._run_queued, limit)

    @enable_ki_protection
    @calls_actor("self")
    def _run_queued(self, limit: int) -> tuple[int, bool]:
        if not self.running or self.is_async:  # it may have failed, or come back with another handler, while in line
            return 0, False
        mailbox, handle = self.mailbox, self.handle
        normal = mailbox.normal
        handled = 0
        message: Any = None
        # Two looks at the clock cost as much as a message, so of those that come one by one, one in eight is timed.
        timed = len(normal) > 1 or not self.singles & 7
        began = perf_counter_ns() if timed else 0
        while handled < limit and self.running and not self.is_async:
            if mailbox.high:
                take, count = mailbox.high.popleft, 1
            elif normal:
                take, count = normal.popleft, min(len(normal), limit - handled)
            else:
                break
            # The plain case in as few steps as there can be; what is out of the ordinary leaves the inner loop.
            try:
                for handled in range(handled + 1, handled + count + 1):  # noqa: B007, B020 - it counts
                    message = take()
                    if message.__class__ is Envelope:
                        break
                    value = handle(message)
                    if value is not None and value.__class__ is not self.finished and self.returned(value, message):
                        break
                    if mailbox.high:
                        break
            except Exception as error:  # noqa: BLE001 - the supervisor's
                self.fail(error, message)
                continue
            except BaseException:
                self.lose(message, Loss.CANCELLED)
                raise
            if message.__class__ is Envelope:
                self._open(message)
        self.singles += 1
        if timed and handled:
            self.time_handling(perf_counter_ns() - began, handled)
        if mailbox.sending or mailbox.high or self.inbox is None or self.overfull or self.merge is not None:
            self._relieve()
        if not mailbox.high and not normal and self.adopted is None:
            self.rest()
        return handled, self.running and self.scheduled and not self.is_async

    @enable_ki_protection
    @calls_actor("self")
    def _open(self, envelope: Envelope) -> None:
        self.before(envelope)
        token = set_trace(envelope.trace) if envelope.trace is not None else None
        found = surroundings() if envelope.check is not None else None
        try:
            value = self.handle(envelope.message)
            if value is not None and value.__class__ is not self.finished and self.returned(value, envelope):
                return
        except Exception as error:  # noqa: BLE001 - the supervisor's
            self.fail(error, envelope.message, envelope.reply)
        except BaseException:
            self.lose(envelope, Loss.CANCELLED)
            raise
        else:
            self.after(envelope, value)
        finally:
            if found is not None:
                self.options.guards.compare_surroundings(self.name, envelope.message, found)
            if token is not None:
                token.var.reset(token)

    def before(self, envelope: Envelope) -> None:
        """A message is about to be handled about which there is more to know."""
        if envelope.queued_ns:
            self.waiting = self.waiting or Sampled()
            self.waiting.add(perf_counter_ns() - envelope.queued_ns)
        if envelope.check is not None:
            envelope.check()

    def after(self, envelope: Envelope, value: Any) -> None:
        """It was handled."""
        if envelope.check is not None:
            envelope.check()
        if envelope.reply is not None:
            envelope.reply.answer(value)

    @enable_ki_protection
    def _relieve(self) -> None:
        """There is room again, perhaps: tell those who wait for it."""
        mailbox = self.mailbox
        if mailbox.sending:
            mailbox.admit()
        if mailbox.high:
            self.inbox = None
        elif self.inbox is None:
            self._reopen()
        if self.merge is not None:
            self.merge.relieve()
        if self.overfull and len(self.mailbox) <= self.mailbox.capacity:
            self.overfull = False
            self.dispatcher.relieved(self)

    def relieve(self) -> None:
        """A message was taken: let those in who wait for room. For the pump's use."""
        mailbox = self.mailbox
        if mailbox.sending or mailbox.high or self.inbox is None or self.overfull or self.merge is not None:
            self._relieve()

    def wake_pump(self) -> None:
        """Have the pump look at what there is."""
        if self.pump is not None:
            trio.lowlevel.reschedule(self.pump)
            self.pump = None

    # What goes wrong

    @enable_ki_protection
    def fail(self, error: Exception, message: Any, reply: Receipt | None = None) -> None:
        """A handler raised. Its supervisor decides; whoever sent the message does not see it, but an ask does.

        What is no `Exception` (cancellation, an interrupt) is none of the actor's: whoever runs a handler counts the
        message with `lose` and lets it pass.
        """
        self.failures += 1
        if reply is not None:
            reply.fail(self.ask_failed(error))
        self.keeper.failed(self, error, message)

    def ask_failed(self, error: BaseException) -> AskFailed:
        """The error that an ask gets for what the handler raised."""
        failed = AskFailed(self.name, f"its handler raised {describe(error)}")
        failed.__cause__ = error
        return failed

    @enable_ki_protection
    def lose(self, message: Any, reason: Loss) -> None:
        """Count a message that will not be handled, and keep it as a dead letter."""
        self.lost[reason] = self.lost.get(reason, 0) + 1
        if message.__class__ is Envelope:
            if message.reply is not None:
                message.reply.lose(self.name, reason)
            message = message.message
        self.keeper.lost(self, message, reason)

    def time_handling(self, duration_ns: int, count: int) -> None:
        """Add a measured time in the handler."""
        handling = self.handling
        if handling is None:
            handling = self.handling = Sampled()
        handling.count += count
        handling.total_ns += duration_ns
        if duration_ns > handling.max_ns * count:
            handling.max_ns = duration_ns // count
