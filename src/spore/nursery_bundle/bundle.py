"""The bundle: a nursery whose actors hand each other messages by reference.

Its life: actors are started, downstream first, in the body of `open_bundle`; leaving the body drains them,
senders before receivers, within a deadline, and stops each. Cancellation or an exception stops them at once.
Whatever happens to a message is counted, and when the block has been left, everything in it has ended.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import trio

from spore.errors import UsageError
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell, EdgeOptions
from spore.nursery_bundle.chance import chances, slice_clock
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.ending import Ending
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.guards import Defect, Guards, Verifier
from spore.nursery_bundle.letters import DeadLetters
from spore.nursery_bundle.mailbox import Mailbox
from spore.nursery_bundle.merge import Merge
from spore.nursery_bundle.moving import Moving
from spore.nursery_bundle.overseer import Overseer
from spore.nursery_bundle.policy import Directive, Dispatch, Overflow, Supervision
from spore.nursery_bundle.ports import check_ports, unbind_ports
from spore.nursery_bundle.ref import ActorRef
from spore.nursery_bundle.report import report, report_letters
from spore.nursery_bundle.roster import Roster
from spore.nursery_bundle.scales import Scales, SizeOf
from spore.nursery_bundle.statistics import BundleStatistics, LetterStatistics
from spore.nursery_bundle.timers import Timer, run_after, run_every
from spore.nursery_bundle.watchdog import watch_for_stalls

__all__ = ["DEFAULT_CAPACITY", "Bundle", "open_bundle"]

M = TypeVar("M")
E = TypeVar("E", bound=enum.Enum)

DEFAULT_CAPACITY = 1_000


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
        self._dispatcher = Dispatcher(slice_clock())
        self._roster = Roster(name)
        self._timers: set[Timer] = set()
        self._overseer = Overseer(
            name,
            nursery,
            self._roster.cells,
            self._dispatcher,
            supervision=supervision,
            chances=chances(seed),
            keep_letters=keep_letters,
        )
        self._ending = Ending(name, self._roster.cells, self._dispatcher, self._overseer)
        self.moving = Moving(self._roster)
        """How its actors move to another bundle. For Spore's own use."""

    def __repr__(self) -> str:
        return f"<Bundle {self.name}: {len(self._roster.cells)} actors>"

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
                each restart: what must be fresh after a failure has to be made by it, not passed to it.
            name: unique in the bundle; by default the class's name and a number.
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
            fields: arguments of the factory. References among them become the actor's ports; a list or tuple of
                references becomes one port to all of them.

        Returns:
            A reference for use outside of actors, or as a port of actors started later.

        Cancellation: as the actor's `on_start`; if it is cancelled, the actor was not started.

        Raises:
            UsageError: for a name that is taken, a port that is not wired, or an option that means nothing.
            Exception: what the factory or `on_start` raised. The actor was not started.
        """
        self._check_open()
        roster = self._roster
        name = name if name is not None else roster.free_name(factory)
        if name in roster.cells:
            raise UsageError(f"bundle {self.name!r} has an actor {name!r} already; names are unique")
        if not 0 <= verify <= 1:
            raise UsageError(f"actor {name!r}: verify is a share from 0 to 1, not {verify!r}")
        if verify and self._guards.verifier is None:
            raise UsageError(f"actor {name!r}: nothing to verify with; give open_bundle a verifier")
        if merge not in {None, "event_time"}:
            raise UsageError(f"actor {name!r} cannot merge by {merge!r}; there is only 'event_time'")
        check_ports(factory, fields, name=name)
        mailbox: Mailbox[Any] = Mailbox(capacity, overflow=overflow, key=key and _of_message(key))
        inline = (self._dispatch if dispatch is None else _member(Dispatch, dispatch)) is Dispatch.INLINE
        cell = Cell(
            name=name,
            keeper=self._overseer,
            dispatcher=self._dispatcher,
            build=lambda: roster.wire(factory(**fields), cell),
            mailbox=mailbox,
            supervision=supervision or Supervision(),
            # A policy that loses messages depends on what is queued, so that must not depend on the dispatch.
            inline=inline and mailbox.overflow is Overflow.BLOCK,
            options=EdgeOptions(verify, portable, self._guards),
        )
        if merge is not None:
            cell.merge = Merge(name, capacity)
        roster.add(cell)
        try:
            await supervising.begin(cell, state)
        except BaseException:
            del roster.cells[name]
            unbind_ports(cell)
            raise
        if cell.over:
            raise cell.stopped_error()
        ref = roster.ref_to(cell)
        cell.resume()
        roster.wire_later(cell)
        return ref

    def ref(self, name: str) -> ActorRef[Any]:
        """The reference to an actor by name, even before it is started: so cycles are wired."""
        return self._roster.ref(name)

    async def stop(self, ref: ActorRef[Any] | str) -> None:
        """Handle what is queued for one actor, call its `Actor.on_stop` and take no more messages for it.

        Cancellation: a checkpoint; if it is cancelled while it waits, the actor goes on.

        Raises:
            UsageError: if there is no such actor.
        """
        cell = self._roster.cell_of(ref)
        await trio.lowlevel.checkpoint()
        await self._ending.stop([cell])

    async def restart(self) -> None:
        """Restart the whole bundle: build every actor afresh, in the order of their start. Mailboxes are kept.

        An async handler that is at work is cancelled, because it may wait for an actor that is suspended; its message
        is counted as ``cancelled``.

        Cancellation: as the actors' `on_stop` and `on_start`; all actors then stay suspended.

        Raises:
            UsageError: inside a handler of the bundle.
            Exception: what a factory or `on_start` raised. All actors then stay suspended.
        """
        await self._overseer.restart_all()

    async def wait_idle(self) -> None:
        """Wait until no actor has anything queued or in hand.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        while self._dispatcher.active:
            await self._dispatcher.quiet.park()

    def lift_bounds(self) -> None:
        """The bundle is about to end, actor by actor: nobody waits any more for room where messages are held to be merged.

        Leaving the block does it, too. Somebody who has yet to stop may be the one for whom they are held.
        """
        self._ending.lift_bounds()

    def every(self, period_s: float, ref: ActorRef[M], message: M | Callable[[], M]) -> Timer:
        """Send a message, or what a function returns, each ``period_s`` seconds of trio's clock, from now on.

        A tick that is due while the one before still waits for room is left out.

        Raises:
            UsageError: for a period that is not positive.
        """
        self._check_open()
        if not period_s > 0:
            raise UsageError(f"a period is more than 0 seconds, not {period_s!r}")
        return self._start_timer(run_every, period_s, ref, message)

    def after(self, delay_s: float, ref: ActorRef[M], message: M | Callable[[], M]) -> Timer:
        """Send a message, or what a function returns, once, in ``delay_s`` seconds of trio's clock.

        Raises:
            UsageError: for a negative delay.
        """
        self._check_open()
        if not delay_s >= 0:
            raise UsageError(f"a delay is 0 seconds or more, not {delay_s!r}")
        return self._start_timer(run_after, delay_s, ref, message)

    def snapshot(self, ref: ActorRef[Any] | str) -> Any:
        """An actor's state, for its successor's ``start(…, state=…)``.

        Raises:
            UsageError: if there is no such actor, or it has messages queued or in hand.
            NotImplementedError: if the actor has no `Actor.snapshot`.
        """
        cell = self._roster.cell_of(ref)
        if not cell.quiet:
            raise UsageError(f"actor {cell.name!r} has messages queued or in hand; wait_idle first")
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

    def _start_timer(self, run: Any, seconds: float, ref: ActorRef[M], message: M | Callable[[], M]) -> Timer:
        timer = Timer()
        self._timers.add(timer)
        self._nursery.start_soon(self._run_timer, run, timer, seconds, ref, message)
        return timer

    async def _run_timer(self, run: Any, timer: Timer, *args: Any) -> None:
        try:
            with timer.scope:
                await run(*args)
        finally:
            self._timers.discard(timer)


def _member(kind: type[E], value: E | str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise UsageError(f"there is no {kind.__name__.lower()} {value!r}; there are {known}") from None


def _of_message(key: Callable[[Any], Hashable]) -> Callable[[Any], Hashable]:
    """The key of what may be in an envelope; an ask, for which somebody waits, has a key of its own."""

    def of(value: Any) -> Hashable:
        if value.__class__ is not Envelope:
            return key(value)
        return value if value.reply is not None and value.reply.awaited else key(value.message)

    return of


@asynccontextmanager
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
        ExceptionGroup: on leaving, holding what escalated, and what the body raised.
    """
    dispatch = _member(Dispatch, dispatch)
    guards = Guards(verifier, debug, trace)
    async with AsyncExitStack() as last, trio.open_nursery() as nursery:
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
        last.callback(guards.finish)
        last.push_async_callback(bundle._ending.abandon)
        nursery.start_soon(bundle._dispatcher.run, name=f"bundle {name}")
        if stall_after_s is not None:
            nursery.start_soon(watch_for_stalls, name, stall_after_s)
        try:
            yield bundle
            await bundle._ending.drain(bundle._timers, drain_timeout_s)
        finally:
            bundle._ending.halt()
            nursery.cancel_scope.cancel()
