"""The bundle: a nursery whose actors hand each other messages by reference.

Its life: actors are started, downstream first, in the body of `open_bundle`; leaving the body drains them,
senders before receivers, within a deadline, and stops each. Cancellation or an exception stops them at once.
Whatever happens to a message is counted, and when the block has been left, everything in it has ended.
"""

from __future__ import annotations

import enum
import inspect
import logging
import math
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import OptionError, UsageError
from spore.message import set_trace
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell, EdgeOptions
from spore.nursery_bundle.chance import chances, slice_clock
from spore.nursery_bundle.checks import check_factory, check_name, check_seconds, check_start, check_whole
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.ending import Ending
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.guards import Defect, Guards, Verifier
from spore.nursery_bundle.interrupts import calling
from spore.nursery_bundle.letters import DeadLetters
from spore.nursery_bundle.local import waiting_for
from spore.nursery_bundle.log import describe, kind_of
from spore.nursery_bundle.mailbox import Mailbox
from spore.nursery_bundle.merge import Merge
from spore.nursery_bundle.moving import Moving
from spore.nursery_bundle.overseer import Overseer
from spore.nursery_bundle.policy import Directive, Dispatch, Loss, Overflow, Supervision
from spore.nursery_bundle.ports import check_ports, unbind_ports
from spore.nursery_bundle.ref import ActorRef
from spore.nursery_bundle.report import report, report_letters
from spore.nursery_bundle.roster import Roster
from spore.nursery_bundle.scales import Scales, SizeOf
from spore.nursery_bundle.statistics import BundleStatistics, LetterStatistics
from spore.nursery_bundle.timers import Tick, Timer, run_after, run_every
from spore.nursery_bundle.watchdog import watch_for_stalls
from spore.nursery_bundle.whose import current_cell, current_host, keeping

__all__ = ["DEFAULT_CAPACITY", "STOP_TIMEOUT_S", "Bundle", "open_bundle"]

M = TypeVar("M")
E = TypeVar("E", bound=enum.Enum)

DEFAULT_CAPACITY = 1_000
STOP_TIMEOUT_S = 10.0
"""So long `Bundle.stop` lets an actor handle what is queued for it."""
_DEFAULT_SUPERVISION = Supervision()
_log = logging.getLogger("spore.bundle")


class Bundle:
    """A running bundle. Made by `open_bundle`."""

    def __init__(
        self,
        name: str,
        nursery: trio.Nursery,
        *,
        dispatch: Dispatch,
        supervision: Supervision,
        guards: Guards,
        keep_letters: int,
        seed: int | None,
        size_of: SizeOf | None,
    ) -> None:
        self.name = name
        self._nursery = nursery
        self._dispatch = dispatch
        self._guards = guards
        self._scales = Scales(size_of) if size_of is not None else None
        context = copy_context()
        context.run(set_trace, None)  # that of whoever opens the bundle is not the messages'
        self._dispatcher = Dispatcher(slice_clock(), context)
        self._roster = Roster(name)
        self._timers: set[Timer] = set()
        self._overseer = Overseer(
            name,
            nursery,
            self._roster,
            self._dispatcher,
            supervision=supervision,
            chances=chances(seed),
            keep_letters=keep_letters,
        )
        self._ending = Ending(name, self._roster, self._dispatcher, self._overseer)
        self.moving = Moving(self._roster)
        """How its actors move to another bundle. For Spore's own use."""

    def __repr__(self) -> str:
        return f"<Bundle {self.name}: {len(self._roster.cells)} actor{'s' * (len(self._roster.cells) != 1)}>"

    async def start(
        self,
        factory: Callable[..., Actor[M]],
        /,
        *,
        name: str | None = None,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow | str = Overflow.BLOCK,
        key: Callable[[M], Hashable] | None = None,
        dispatch: Dispatch | str | None = None,
        supervision: Supervision | None = None,
        merge: str | None = None,
        verify: float = 0.0,
        portable: bool = False,
        state: Any = None,
        **fields: Any,
    ) -> ActorRef[M]:
        """Build an actor, call its `Actor.on_start`, and let it handle messages.

        Args:
            factory: an actor class, or whatever else returns an actor. It is called again, with the same fields, for
                each restart: what must be fresh after a failure has to be made by it, not passed to it. A field that has
                the name of one of these options is given in the factory: ``functools.partial(Class, name=…)``.
            name: unique among the actors that the bundle has now; by default the class's name and a number.
            capacity: how many messages its mailbox holds.
            overflow: what happens to one more; see `Overflow`.
            key: for the policy ``conflate``: what tells a message's kind.
            dispatch: ``inline`` or ``queued``; by default the bundle's.
            supervision: by default that of `Supervision`.
            merge: ``"event_time"``, where its answers depend on how the messages of several senders interleave:
                they are then handled in the order (event time, sender, sequence).
            verify: the share, from 0 to 1, of its messages and replies that are encoded, decoded and compared.
            portable: refuse messages that are not registered, because the actor may be in another process.
            state: handed to `Actor.restore` before `Actor.on_start`.
            fields: arguments of the factory. References among them, and in containers among them, become the actor's ports; a list or
                tuple of references becomes one port to all of them.

        Returns:
            A reference for use outside of actors, or as a port of actors started later.

        Cancellation: as the actor's `on_start`; if it is cancelled, the actor was not started.

        Raises:
            UsageError: for a name that is taken, a port that is not wired, or an option or a method that could not work.
            StartTimeout: if `on_start` took longer than `Supervision.start_timeout_s`.
            Exception: what the factory or `on_start` raised. The actor was not started.
        """
        self._check_open()
        roster = self._roster
        name = name if name is not None else roster.free_name(factory)
        check_name(name, "an actor")
        if name in roster.cells:
            raise UsageError(f"bundle {self.name!r} has an actor {name!r} already; names are unique")
        check_start(
            name,
            capacity=capacity,
            verify=verify,
            verifier=self._guards.verifier,
            merge=merge,
            supervision=supervision,
            key=key,
            portable=portable,
        )
        check_factory(factory, fields, name=name)
        check_ports(factory, fields, name=name)
        mailbox: Mailbox[Any] = Mailbox(capacity, overflow=overflow, key=key and _of_message(key))
        inline = (self._dispatch if dispatch is None else _member(Dispatch, dispatch)) is Dispatch.INLINE
        cell = Cell(
            name=name,
            keeper=self._overseer,
            dispatcher=self._dispatcher,
            build=lambda: roster.wire(calling(factory, **fields), cell),
            mailbox=mailbox,
            supervision=supervision or _DEFAULT_SUPERVISION,
            # A policy that loses messages depends on what is queued, so that must not depend on the dispatch.
            inline=inline and mailbox.overflow is Overflow.BLOCK,
            options=EdgeOptions(verify, portable, self._guards),
        )
        if merge is not None:
            cell.merge = Merge(name, capacity)
        await self._begin(cell, state)
        return roster.ref_to(cell)

    @enable_ki_protection
    async def _begin(self, cell: Cell, state: Any) -> None:
        roster = self._roster
        parent = current_host()
        roster.add(cell)
        with self._ending.starting() as scope:
            try:
                if parent is not None:
                    parent.leads_to(cell)
                with scope, waiting_for(parent, [cell]):
                    await supervising.begin(cell, state)
                if cell.over or self._ending.closed:
                    raise cell.stopped_error()
            except BaseException:
                roster.remove(cell)
                unbind_ports(cell)
                cell.stop(Loss.STOPPED)  # what was sent to it already is a dead letter
                with trio.CancelScope(shield=True) as at_once:
                    at_once.cancel()
                    await supervising.run_on_stop(cell)
                self._overseer.depart(cell)
                raise
        cell.resume()
        roster.wire_later(cell)

    def ref(self, name: str) -> ActorRef[Any]:
        """The reference to an actor by name, even before it is started: so cycles are wired."""
        return self._roster.ref(name)

    async def stop(self, ref: ActorRef[Any] | str, *, drain: bool = True, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Have one actor handle what is queued for it now, call its `Actor.on_stop`, and let go of it.

        From the call on it takes no more messages: a `tell` to it makes a dead letter, `send` and `ask` raise. Its name is free
        when this returns, and its counts are in `BundleStatistics.ended`.

        Args:
            ref: the actor; one of the references to it, or its name.
            drain: whether what is queued is handled. If not, it becomes dead letters; the message in hand is handled to its end.
            timeout_s: seconds to handle it in. What is left then becomes dead letters, with the reason ``deadline``.

        By the actor itself, in its handler, this returns at once, and the actor stops after its message.

        Cancellation: a checkpoint; if it is cancelled while messages are handled, the actor goes on. Once its `on_stop` has begun, it
        stops all the same.

        Raises:
            UsageError: if there is no such actor in this bundle, or it waits for the actor that calls this.
        """
        cell = self._roster.cell_of(ref)
        check_seconds(timeout_s, "timeout_s of stop", zero=True)
        await self._ending.stop(cell, drain=drain, timeout_s=timeout_s)

    async def end_actor(self, name: str) -> None:
        """Stop one actor at the beginning of the bundle's end, without a limit of its own. It stays in the statistics. One that has left already
        is left alone. For Spore's own use.

        Cancellation: as `stop`.
        """
        cell = self._roster.cells.get(name)
        if cell is None:
            await trio.lowlevel.checkpoint()
            return
        cell.stays = True
        await self._ending.stop(cell, drain=True, timeout_s=math.inf)

    async def restart(self) -> None:
        """Restart the whole bundle: build every actor afresh, in the order of their start. Mailboxes are kept.

        An async handler that is at work is cancelled, because it may wait for an actor that is suspended; its message
        is counted as ``cancelled``.

        Cancellation: a checkpoint; the restart goes on to its end.

        Raises:
            UsageError: by an actor of the bundle.
            Exception: what a factory or `on_start` raised. That actor is restarted as its supervision says, and the others go on.
        """
        await self._overseer.restart_all()

    async def wait_idle(self) -> None:
        """Wait until no actor has anything queued or in hand. What a merge holds back is neither.

        Cancellation: always a checkpoint.

        Raises:
            UsageError: by an actor of the bundle, which would wait for itself.
        """
        caller = current_host()
        if caller is not None and caller.keeper is self._overseer:
            raise UsageError(
                f"actor {caller.name!r} would wait for itself: its bundle {self.name!r} is idle once its message is handled"
            )
        await trio.lowlevel.checkpoint()
        while self._dispatcher.active:
            with waiting_for(caller, self._roster.cells.values()):
                await self._dispatcher.quiet.park()

    def lift_bounds(self) -> None:
        """The bundle is about to end, actor by actor: nobody waits any more for room where messages are held to be merged.

        Leaving the block does it, too. Somebody who has yet to stop may be the one for whom they are held.
        """
        self._ending.lift_bounds()

    def every(
        self, period_s: float, ref: ActorRef[M], message: M | None = None, *, make: Callable[[], M] | None = None
    ) -> Timer:
        """Send a message, or what ``make`` returns, each ``period_s`` seconds of trio's clock, from now on.

        A tick that is due while the one before still waits for room is left out. One that raises, or whose receiver is not there
        yet, is a dead letter, and the timer goes on. A timer that an actor starts, in its handler or `on_start`, ends with
        that actor, at its restart too.

        Raises:
            UsageError: for a period that is not positive, or for both a message and ``make``.
        """
        check_seconds(period_s, "a timer's period", zero=False)
        return self._start_timer(run_every, period_s, ref, message, make)

    def after(
        self, delay_s: float, ref: ActorRef[M], message: M | None = None, *, make: Callable[[], M] | None = None
    ) -> Timer:
        """Send a message, or what ``make`` returns, once, in ``delay_s`` seconds of trio's clock. Otherwise as `every`.

        Raises:
            UsageError: for a negative delay, or for both a message and ``make``.
        """
        check_seconds(delay_s, "a timer's delay", zero=True)
        return self._start_timer(run_after, delay_s, ref, message, make)

    def snapshot(self, ref: ActorRef[Any] | str) -> Any:
        """An actor's state, for its successor's ``start(…, state=…)``.

        Raises:
            UsageError: if there is no such actor, or it has messages queued or in hand.
            NotImplementedError: if the actor has no `Actor.snapshot`.
        """
        cell = self._roster.cell_of(ref)
        if not cell.quiet:
            raise UsageError(f"actor {cell.name!r} has messages queued or in hand; wait_idle first")
        if not isinstance(cell.actor, Actor):
            raise UsageError(
                f"actor {cell.name!r} has ended with its bundle {self.name!r}; take the snapshot in the bundle's block"
            )
        return cell.actor.snapshot()

    def statistics(self, actors: Collection[str] | None = None) -> BundleStatistics:
        """Counts of all actors and edges, exact as of now.

        Args:
            actors: the names of those of which to say something, and of what is sent to them; by default all. That of ten thousand
                takes a while, and nothing is handled meanwhile.
        """
        return report(
            self.name,
            self._roster.cells,
            self.dead_letters.total,
            self._guards.found,
            self._dispatcher,
            self._overseer.ended,
            scales=self._scales,
            actors=actors,
        )

    def last_letters(self, count: int) -> tuple[LetterStatistics, ...]:
        """So many of the last dead letters, oldest first, to be read: what `dead_letters` keeps, in words."""
        return tuple(report_letters(self.dead_letters, self._roster.cells, count))

    @property
    def dead_letters(self) -> DeadLetters:
        """What was not handled: the last letters, and how many there were."""
        return self._overseer.dead_letters

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What the guards found, the last thousand."""
        return tuple(self._guards.defects)

    def _check_open(self) -> None:
        if self._ending.closed:
            raise UsageError(f"bundle {self.name!r} has ended; nothing more can be started in it")

    def _start_timer(self, run: Any, seconds: float, ref: ActorRef[M], message: M | None, make: Any) -> Timer:
        self._check_open()
        if make is not None and message is not None:
            raise UsageError("a timer sends a message or what make=… returns, and here are both")
        if make is not None and (not callable(make) or inspect.iscoroutinefunction(make)):
            raise UsageError(f"make=… is a plain function that returns the message, not {make!r:.60}")
        if not isinstance(ref, ActorRef):
            raise UsageError(f"a timer sends to a reference, not to {ref!r:.60}")
        timer = Timer()
        self._timers.add(timer)
        owner = current_cell()
        if owner is not None and owner.keeper is self._overseer:
            if not isinstance(owner.timers, set):
                owner.timers = set()
            owner.timers.add(timer)
        tick = Tick(ref, message, make, self._overseer.tick_failed)
        self._overseer.start_soon(self._run_timer, run, timer, seconds, tick, owner, name=f"timer to {ref.name}")
        return timer

    async def _run_timer(self, run: Any, timer: Timer, seconds: float, tick: Tick, owner: Cell | None) -> None:
        try:
            with timer.scope:
                await run(seconds, tick)
        finally:
            self._timers.discard(timer)
            if owner is not None and isinstance(owner.timers, set):
                owner.timers.discard(timer)


class _NoKey:
    """The key of one message that has none. Equal for the same object."""

    __slots__ = ("_message",)

    def __init__(self, message: object) -> None:
        self._message = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _NoKey) and self._message is other._message

    def __hash__(self) -> int:
        return id(self._message)


def _member(kind: type[E], value: E | str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise UsageError(f"there is no {kind.__name__.lower()} {value!r}; there are {known}") from None


def _of_message(key: Callable[[Any], Hashable]) -> Callable[[Any], Hashable]:
    """The key of what may be in an envelope.

    An ask, for which somebody waits, has a key of its own; so has a message of which none can be told, and that is handled all the same.
    """

    complained: set[str] = set()

    def of(value: Any) -> Hashable:
        enclosed = value.__class__ is Envelope
        if enclosed and value.reply is not None and value.reply.awaited:
            own: Hashable = value
            return own
        message = value.message if enclosed else value
        try:
            found: Hashable = calling(key, message)
            hash(found)
        except Exception as error:  # noqa: BLE001 - the receiver's function is no fault of the sender
            if kind_of(message) not in complained:
                complained.add(kind_of(message))
                _log.error(
                    "a message of class %s has no key, and is handled as one of its own: %s",
                    kind_of(message),
                    describe(error),
                )
            return _NoKey(message)
        return found

    return of


@asynccontextmanager
@enable_ki_protection
async def open_bundle(
    name: str,
    *,
    dispatch: Dispatch | str = Dispatch.INLINE,
    drain_timeout_s: float = 10.0,
    supervision: Supervision | None = None,
    verifier: Verifier | None = None,
    debug: bool = False,
    trace: bool = False,
    stall_after_s: float | None = None,
    keep_letters: int = 1_000,
    seed: int | None = None,
    size_of: SizeOf | None = None,
) -> AsyncIterator[Bundle]:
    """A bundle for the length of a block.

    Args:
        name: for logs, errors and statistics.
        dispatch: how messages reach idle actors with plain handlers; see `Dispatch`.
        drain_timeout_s: how long leaving the block may take to handle what is queued.
        supervision: what an escalation does: ``RESTART`` restarts the bundle whole; anything else, and the default,
            ends it with the exception.
        verifier: what the actors' ``verify`` encodes, decodes and compares with.
        debug: look for messages that were changed after they were sent. Slow.
        trace: let queued messages keep the trace that they were sent in; see `spore.message.traced`.
        stall_after_s: warn, with the actor's name, when something holds the loop for so long.
        keep_letters: how many of the last dead letters to keep.
        seed: for the jitter of restarts; by default they differ from run to run.
        size_of: what a message takes as a frame, to tell what handing it over by reference has saved; see
            `spore.nursery_bundle.statistics.EdgeStatistics`.

    Cancellation: entering is no checkpoint; leaving is one. Cancelled, or left with an exception, the bundle stops at
    once, and what was queued or in hand is counted as ``cancelled``.

    Raises:
        UsageError: for an option that could not work.
        ExceptionGroup: on leaving, holding what escalated, and what the body raised.
    """
    check_name(name, "a bundle")
    check_seconds(drain_timeout_s, f"bundle {name!r}: drain_timeout_s", zero=True)
    check_whole(keep_letters, f"bundle {name!r}: keep_letters", least=0)
    if stall_after_s is not None:
        check_seconds(stall_after_s, f"bundle {name!r}: stall_after_s", zero=False)
    if supervision is not None and not isinstance(supervision, Supervision):
        raise OptionError(f"bundle {name!r}: supervision is a spore.Supervision, not {supervision!r:.60}")
    for option, function in (("verifier", verifier), ("size_of", size_of)):
        if function is not None and (not callable(function) or inspect.iscoroutinefunction(function)):
            raise OptionError(f"bundle {name!r}: {option} is a plain function of a message, not {function!r:.60}")
    dispatch = _member(Dispatch, dispatch)
    guards = Guards(verifier, debug, trace)
    async with AsyncExitStack() as last, trio.open_nursery() as nursery:
        last.enter_context(keeping(nursery))
        bundle = Bundle(
            name,
            nursery,
            dispatch=dispatch,
            supervision=supervision or Supervision(on_failure=Directive.ESCALATE),
            guards=guards,
            keep_letters=keep_letters,
            seed=seed,
            size_of=size_of,
        )
        last.callback(bundle._overseer.sever_all)
        last.callback(guards.finish)
        last.push_async_callback(bundle._ending.abandon)
        bundle._overseer.start_soon(bundle._dispatcher.run, name=f"bundle {name}")
        if stall_after_s is not None:
            bundle._overseer.start_soon(watch_for_stalls, name, stall_after_s, name=f"watchdog of bundle {name}")
        try:
            yield bundle
            await bundle._ending.drain(bundle._timers, drain_timeout_s)
        finally:
            bundle._ending.halt()
            nursery.cancel_scope.cancel()
