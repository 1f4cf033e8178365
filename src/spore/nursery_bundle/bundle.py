"""The bundle: a nursery whose actors hand each other messages by reference.

Its life: actors are started, downstream first, in the body of `open_bundle`; leaving the body drains them,
senders before receivers, within a deadline, and stops each. Cancellation or an exception stops them at once.
Whatever happens to a message is counted, and when the block has been left, everything in it has ended.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import trio

from spore.errors import UsageError
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell, EdgeOptions, Envelope
from spore.nursery_bundle.chance import chances, slice_clock
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.guards import Defect, GuardedRef, Guards, Verifier
from spore.nursery_bundle.letters import DeadLetter, DeadLetters
from spore.nursery_bundle.mailbox import Mailbox
from spore.nursery_bundle.merge import Merge
from spore.nursery_bundle.policy import Directive, Dispatch, Loss, Overflow, Supervision
from spore.nursery_bundle.ports import LaterRef, bind_ports, bound_ref, check_ports, rewire, unbind_ports, unwired_ports
from spore.nursery_bundle.ref import ActorRef, LocalRef
from spore.nursery_bundle.report import report
from spore.nursery_bundle.statistics import ActorState, BundleStatistics
from spore.nursery_bundle.timers import Timer, run_after, run_every
from spore.nursery_bundle.watchdog import watch_for_stalls
from spore.nursery_bundle.wiring import drain_order

__all__ = ["DEFAULT_CAPACITY", "Bundle", "open_bundle"]

M = TypeVar("M")
E = TypeVar("E", bound=enum.Enum)

DEFAULT_CAPACITY = 1_000
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
    ) -> None:
        self.name = name
        self.nursery = nursery
        self.dead_letters = DeadLetters(keep_letters)
        """What was not handled: the last letters, and how many there were."""
        self._dispatch = dispatch
        self._supervision = supervision
        self._guards = guards
        self._dispatcher = Dispatcher(slice_clock())
        self._cells: dict[str, Cell] = {}
        self._later: dict[str, list[tuple[Cell, str]]] = {}
        self._timers: set[Timer] = set()
        self._chances = chances(seed)
        self._restarted_at: list[float] = []
        self._restarting = trio.Lock()
        self._restart_due = False
        self._leaving = 0
        """How many stopped actors are still saying goodbye."""
        self._closed = False
        self._left_because = Loss.CANCELLED
        """What becomes of messages that are left when the bundle has ended."""

    def __repr__(self) -> str:
        return f"<Bundle {self.name}: {len(self._cells)} actors>"

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
        name = name if name is not None else self._free_name(factory)
        if name in self._cells:
            raise UsageError(f"bundle {self.name!r} has an actor {name!r} already; names are unique")
        check_ports(factory, fields, name=name)
        cell = self._cell(
            name,
            lambda: factory(**fields),
            Mailbox(capacity, overflow=overflow, key=key and _of_message(key)),
            inline=(self._dispatch if dispatch is None else _member(Dispatch, dispatch)) is Dispatch.INLINE,
            supervision=supervision or Supervision(),
            verify=verify,
            portable=portable,
        )
        if merge is not None:
            if merge != "event_time":
                raise UsageError(f"actor {name!r} cannot merge by {merge!r}; there is only 'event_time'")
            cell.merge = Merge(name, capacity)
        self._cells[name] = cell
        try:
            await supervising.begin(cell, state)
        except BaseException:
            del self._cells[name]
            unbind_ports(cell)
            raise
        if cell.over:
            raise cell.stopped_error()
        ref = self._ref_to(cell)
        cell.resume()
        self._wire_later(cell)
        return ref

    def ref(self, name: str) -> ActorRef[Any]:
        """The reference to an actor by name, even before it is started: so cycles are wired."""
        cell = self._cells.get(name)
        if cell is not None and cell.state is not ActorState.STARTING:
            return self._ref_to(cell)
        return LaterRef(name, self._find)

    async def stop(self, ref: ActorRef[Any] | str) -> None:
        """Handle what is queued for one actor, call its `Actor.on_stop` and take no more messages for it.

        Cancellation: a checkpoint; if it is cancelled while it waits, the actor goes on.

        Raises:
            UsageError: if there is no such actor.
        """
        cell = self._cell_of(ref)
        await trio.lowlevel.checkpoint()
        await self._stop([cell])

    async def restart(self) -> None:
        """Restart the whole bundle: build every actor afresh, in the order of their start. Mailboxes are kept.

        An async handler that is at work is cancelled, because it may wait for an actor that is suspended; its message
        is counted as ``cancelled``.

        Cancellation: as the actors' `on_stop` and `on_start`; all actors then stay suspended.

        Raises:
            UsageError: inside a handler of the bundle.
            Exception: what a factory or `on_start` raised. All actors then stay suspended.
        """
        if trio.lowlevel.current_task() in self._dispatcher.pumps:
            raise UsageError(
                f"bundle {self.name!r} cannot be restarted by a handler of its own, which would end with it"
            )
        async with self._restarting:
            cells = [cell for cell in self._cells.values() if cell.living or cell.state is ActorState.SUSPENDED]
            for cell in cells:
                cell.suspend()
                if cell.pump_scope is not None and cell.pump is None:
                    cell.pump_scope.cancel()
            while any(
                cell.beginning or (cell.pump_scope is not None and cell.pump_scope.cancel_called) for cell in cells
            ):
                await self._dispatcher.quiet.park()
            for cell in reversed(cells):
                cell.suspend()
                cell.generation += 1  # a restart of its own that is due leaves it to this one
                await supervising.say_goodbye(cell)
            for cell in cells:
                if not cell.over:
                    await supervising.begin(cell)
                    cell.restarts += 1
            for cell in cells:
                cell.resume()

    async def wait_idle(self) -> None:
        """Wait until no actor has anything queued or in hand.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        while self._dispatcher.active:
            await self._dispatcher.quiet.park()

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
        cell = self._cell_of(ref)
        if not cell.quiet:
            raise UsageError(f"actor {cell.name!r} has messages queued or in hand; wait_idle first")
        return cell.actor.snapshot()

    def statistics(self) -> BundleStatistics:
        """Counts of all actors and edges, exact as of now."""
        return report(self.name, self._cells.values(), self.dead_letters.total, self._guards.found, self._dispatcher)

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What the guards found, the last thousand."""
        return tuple(self._guards.defects)

    # What cells ask for

    def lost(self, cell: Cell, message: Any, reason: Loss) -> None:
        """Keep a dead letter. For Spore's own use."""
        self.dead_letters.add(DeadLetter(cell.name, reason, message))

    def failed(self, cell: Cell, error: Exception, message: Any) -> None:
        """Keep a dead letter and do what the supervision says. For Spore's own use."""
        self.dead_letters.add(DeadLetter(cell.name, Loss.FAILED, message, error))
        if isinstance(error, AttributeError) and error.obj is None:
            for port in unwired_ports(cell.actor):
                error.add_note(f"port {port!r} of actor {cell.name!r} is not wired")
        if cell.over:
            return  # there is nobody left to decide about
        try:
            directive = supervising.decide(cell, error, message)
        except Exception as second:  # noqa: BLE001 - it goes where failures go
            error, directive = second, Directive.ESCALATE
        if directive is Directive.RESTART:
            cell.suspend()
            self.nursery.start_soon(self._restart_one, cell, error)
        elif directive is Directive.STOP:
            _log.warning("actor %s: stops after %s: %s", cell.name, type(error).__name__, error)
            cell.stop(Loss.STOPPED)
            self._leaving += 1
            self.nursery.start_soon(self._let_go, cell)
        elif directive is Directive.ESCALATE:
            cell.suspend()
            self.nursery.start_soon(self._escalate, cell, error)

    async def _restart_one(self, cell: Cell, error: Exception) -> None:
        try:
            await supervising.restart(cell, error, self._chances)
        except Exception as last:  # noqa: BLE001 - it escalates
            await self._escalate(cell, last)

    async def _let_go(self, cell: Cell) -> None:
        try:
            await supervising.say_goodbye(cell)
        finally:
            self._leaving -= 1
            self._dispatcher.quiet.unpark_all()

    async def _escalate(self, cell: Cell, error: Exception) -> None:
        error.add_note(f"escalated by actor {cell.name!r} of bundle {self.name!r}")
        if self._supervision.on_failure is not Directive.RESTART:
            raise error
        if self._restart_due:
            return  # that restart builds this actor afresh too
        self._restart_due = True
        while self._restart_due:
            wait = supervising.next_wait(
                self._supervision, self._restarted_at, self._chances, name=self.name, error=error
            )
            _log.warning(
                "bundle %s: restarts whole in %.3f s after %s: %s", self.name, wait, type(error).__name__, error
            )
            for other in self._cells.values():
                if other.living:
                    other.suspend()
            await trio.sleep(wait)
            try:
                await self.restart()
            except Exception as second:  # noqa: BLE001 - it counts as one more failure
                error = second
            else:
                self._restart_due = False

    # Inside

    def _cell(
        self,
        name: str,
        make: Callable[[], Actor[Any]],
        mailbox: Mailbox[Any],
        *,
        inline: bool,
        supervision: Supervision,
        verify: float,
        portable: bool,
    ) -> Cell:
        if not 0 <= verify <= 1:
            raise UsageError(f"actor {name!r}: verify is a share from 0 to 1, not {verify!r}")
        if verify and self._guards.verifier is None:
            raise UsageError(f"actor {name!r}: nothing to verify with; give open_bundle a verifier")

        def build() -> Actor[Any]:
            actor = make()
            if not isinstance(actor, Actor):
                raise UsageError(
                    f"actor {name!r}: its factory returned a {type(actor).__name__}, which is no spore.Actor"
                )
            for port, later in bind_ports(actor, cell):
                self._later.setdefault(later.name, []).append((cell, port))
            return actor

        cell = Cell(
            name=name,
            keeper=self,
            dispatcher=self._dispatcher,
            build=build,
            mailbox=mailbox,
            supervision=supervision,
            # A policy that loses messages depends on what is queued, so that must not depend on the dispatch.
            inline=inline and mailbox.overflow is Overflow.BLOCK,
            options=EdgeOptions(verify, portable, self._guards),
        )
        return cell

    def _ref_to(self, cell: Cell) -> LocalRef[Any]:
        outside = next((edge for edge in cell.edges if edge.owner is None), None)
        if outside is not None:
            return outside
        guarded = cell.options.verify or cell.options.portable or self._guards.debug or cell.merge is not None
        return (GuardedRef if guarded else LocalRef)(cell)

    def _wire_later(self, cell: Cell) -> None:
        """Ports that were wired to this actor by name before it was started lead to it now."""
        for owner, port in self._later.pop(cell.name, []):
            if self._cells.get(owner.name) is owner:
                rewire(owner.actor, port, bound_ref(getattr(owner.actor, port), owner, port))

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"bundle {self.name!r} has ended; nothing more can be started in it")

    def _find(self, name: str) -> ActorRef[Any] | None:
        cell = self._cells.get(name)
        return self._ref_to(cell) if cell is not None and cell.state is not ActorState.STARTING else None

    def _cell_of(self, ref: ActorRef[Any] | str) -> Cell:
        name = ref if isinstance(ref, str) else ref.name
        cell = self._cells.get(name)
        if cell is None:
            known = ", ".join(self._cells) or "none"
            raise UsageError(f"bundle {self.name!r} has no actor {name!r}; it has {known}")
        return cell

    def _free_name(self, factory: Callable[..., Actor[Any]]) -> str:
        base = getattr(factory, "__name__", type(factory).__name__)
        return next(name for n in range(1, len(self._cells) + 2) if (name := f"{base}-{n}") not in self._cells)

    def _start_timer(self, run: Any, seconds: float, ref: ActorRef[M], message: M | Callable[[], M]) -> Timer:
        timer = Timer()
        self._timers.add(timer)
        self.nursery.start_soon(self._run_timer, run, timer, seconds, ref, message)
        return timer

    async def _run_timer(self, run: Any, timer: Timer, *args: Any) -> None:
        try:
            with timer.scope:
                await run(*args)
        finally:
            self._timers.discard(timer)

    async def drain(self, timeout_s: float) -> None:
        """Handle what is queued, senders before receivers, and stop every actor. For `open_bundle`.

        Cancellation: always a checkpoint; what is left is counted by `abandon`.
        """
        await trio.lowlevel.checkpoint()  # a bundle that was cancelled drains nothing, in no dispatch
        for timer in tuple(self._timers):
            timer.cancel()
        for cell in self._cells.values():
            if cell.merge is not None:
                cell.merge.lift_bound()
        with trio.move_on_after(timeout_s) as deadline:
            for group in self._drain_order():
                await self._stop(group)
            while self._leaving:
                await self._dispatcher.quiet.park()
        if deadline.cancelled_caught:
            left = self._dispatcher.active
            _log.warning("bundle %s: %d actors were not drained in %g s", self.name, left, timeout_s)
            self._left_because = Loss.DEADLINE

    def _drain_order(self) -> list[list[Cell]]:
        return drain_order(self._cells.values())

    async def _stop(self, group: list[Cell]) -> None:
        alive = [cell for cell in group if not cell.over]
        await self._until_drained(alive)
        try:
            for cell in alive:
                await self._until_drained([cell])  # in a cycle, another one's on_stop may have sent it something
                cell.suspend()
                await supervising.say_goodbye(cell)
        except BaseException:
            for cell in alive:
                if not cell.living:  # it has said goodbye, so it cannot go on
                    cell.stop(self._left_because)
            raise
        for cell in alive:
            cell.stop(Loss.STOPPED)

    async def _until_drained(self, cells: list[Cell]) -> None:
        while any(not cell.quiet or (cell.merge is not None and len(cell.merge)) for cell in cells):
            for cell in cells:
                if cell.merge is not None and cell.quiet:
                    cell.merge.flush()
            if any(not cell.quiet for cell in cells):
                await self._dispatcher.quiet.park()

    def halt(self) -> None:
        """Handle no more messages. For `open_bundle`."""
        self._closed = True
        for cell in self._cells.values():
            cell.suspend()
            cell.in_hand = self._left_because

    async def abandon(self) -> None:
        """Say goodbye to every actor that is left, and count what was. For `open_bundle`, once no handler runs any more.

        Cancellation: it runs in cancelled scopes: a plain `on_stop` runs, an async one until it waits.
        """
        for group in self._drain_order():
            for cell in group:
                try:
                    with trio.CancelScope(shield=True) as scope:
                        scope.cancel()
                        await supervising.say_goodbye(cell)
                finally:
                    cell.stop(self._left_because)


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
        return value if value.reply is not None else key(value.message)

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
    stall_after_s: float | None = None,
    keep_letters: int = 1_000,
    seed: int | None = None,
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
        stall_after_s: warn, with the actor's name, when something holds the loop for so long.
        keep_letters: how many of the last dead letters to keep.
        seed: for the jitter of restarts; by default they differ from run to run.

    Cancellation: entering is no checkpoint; leaving is one. Cancelled, or left with an exception, the bundle stops at
    once, and what was queued or in hand is counted as ``cancelled``.

    Raises:
        ExceptionGroup: on leaving, holding what escalated, and what the body raised.
    """
    dispatch = _member(Dispatch, dispatch)
    guards = Guards(verifier, debug)
    async with AsyncExitStack() as last, trio.open_nursery() as nursery:
        bundle = Bundle(
            name,
            nursery,
            dispatch=dispatch,
            supervision=supervision or Supervision(on_failure=Directive.ESCALATE),
            guards=guards,
            keep_letters=keep_letters,
            seed=seed,
        )
        last.callback(guards.finish)
        last.push_async_callback(bundle.abandon)
        nursery.start_soon(bundle._dispatcher.run, name=f"bundle {name}")
        if stall_after_s is not None:
            nursery.start_soon(watch_for_stalls, name, stall_after_s)
        try:
            yield bundle
            await bundle.drain(drain_timeout_s)
        finally:
            bundle.halt()
            nursery.cancel_scope.cancel()
