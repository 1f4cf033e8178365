"""The overseer: what a bundle does about failures, and where it keeps what was not handled."""

from __future__ import annotations

import logging
import random
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import UsageError
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.departed import Departed, EndedCounts, sever
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.letters import DeadLetter, DeadLetters, LetterError
from spore.nursery_bundle.log import about_cell, describe, kind_of, show_traceback
from spore.nursery_bundle.policy import Directive, Loss, Supervision
from spore.nursery_bundle.ports import unwired_ports
from spore.nursery_bundle.roster import Roster
from spore.nursery_bundle.statistics import ActorState
from spore.nursery_bundle.whose import current_host

__all__ = ["Overseer"]

_log = logging.getLogger("spore.bundle")


class Overseer:
    """The keeper of a bundle's cells; see `spore.nursery_bundle.cell.Keeper`."""

    def __init__(
        self,
        bundle: str,
        nursery: trio.Nursery,
        roster: Roster,
        dispatcher: Dispatcher,
        *,
        supervision: Supervision,
        chances: random.Random,
        keep_letters: int,
    ) -> None:
        self.dead_letters = DeadLetters(keep_letters)
        self.bundle = bundle
        self.halted = False
        """Whether the bundle has ended: nothing more is handled, and no task is started."""
        self.draining = False
        """Whether the bundle is ending: who stops now stays in the statistics."""
        self.ended = EndedCounts()
        """The counts of the actors that have left."""
        self._nursery = nursery
        self._roster = roster
        self._dispatcher = dispatcher
        self._supervision = supervision
        self._chances = chances
        self._restarted_at: list[float] = []
        self._restarting = trio.Lock()
        self._restart_due = False

    def start_soon(self, run: Callable[..., Awaitable[object]], *args: Any, name: str) -> None:
        """Start a task in the bundle's nursery and in the bundle's context, whoever it is that calls."""
        if not self.halted:
            self._dispatcher.context.run(partial(self._nursery.start_soon, run, *args, name=name))

    # What goes wrong

    def lost(self, cell: Cell, message: Any, reason: Loss) -> None:
        """Keep a dead letter."""
        self.dead_letters.add(DeadLetter(cell.name, reason, message))

    def lost_after(self, cell: Cell, message: Any, reason: Loss) -> None:
        """An actor that has left was sent something."""
        self.ended.add_lost(reason)
        self.lost(cell, message, reason)

    def tick_failed(self, actor: str, message: Any, error: Exception) -> None:
        """A timer could not send anything."""
        self.dead_letters.add(DeadLetter(actor, Loss.FAILED, message, LetterError.of(error)))
        _log.error("bundle %s: a timer for actor %s raised %s", self.bundle, actor, describe(error))

    @enable_ki_protection
    def failed(self, cell: Cell, error: Exception, message: Any) -> None:
        """Keep a dead letter and do what the supervision says. Nothing that a user's code does in it can end the bundle by itself."""
        supervising.note(cell, error, kind_of(message))
        if isinstance(error, AttributeError) and error.obj is None:
            for port in unwired_ports(cell.actor):
                _add_note(error, f"port {port!r} of actor {cell.name!r} is not wired")
        self.dead_letters.add(DeadLetter(cell.name, Loss.FAILED, message, LetterError.of(error)))
        if cell.over:
            return  # there is nobody left to decide about
        try:
            directive = supervising.decide(cell, error, message)
        except Exception as second:  # noqa: BLE001 - it goes where failures go
            error, directive = second, Directive.ESCALATE
        if cell.over or directive is Directive.RESUME:
            return
        if directive is Directive.RESTART:
            cell.suspend()
            self.start_soon(self._restart_one, cell, error, cell.generation, name=f"restart of actor {cell.name}")
        elif directive is Directive.STOP:
            _log.warning("actor %s: stops after %s", cell.name, describe(error), extra=about_cell(cell))
            show_traceback(_log, error, about_cell(cell))
            cell.stop(Loss.STOPPED)
            self.start_soon(self._let_go, cell, name=f"end of actor {cell.name}")
        else:
            cell.suspend()
            self.start_soon(self._escalate, cell, error, name=f"escalation by actor {cell.name}")

    async def _restart_one(self, cell: Cell, error: Exception, generation: int) -> None:
        try:
            await supervising.restart(cell, error, generation, self._chances)
        except Exception as last:  # noqa: BLE001 - it escalates
            await self._escalate(cell, last)

    async def _let_go(self, cell: Cell) -> None:
        try:
            await supervising.run_on_stop(cell)
        finally:
            self.depart(cell)

    def depart(self, cell: Cell) -> None:
        """An actor's life is over, its `on_stop` too: while the bundle goes on it leaves no trace but its counts."""
        if cell.gone:
            return
        cell.gone = True
        if not (self.draining or self.halted or cell.stays):
            self.ended.add(cell)
            self._roster.remove(cell)
            sever(cell, Departed(self.bundle, weakref.ref(self), left=True))
        self._dispatcher.quiet.unpark_all()

    def sever_all(self) -> None:
        """The bundle has ended: a reference that somebody keeps keeps nothing else alive."""
        for cell in self._roster.cells.values():
            sever(cell, Departed(self.bundle, weakref.ref(self), left=False))

    async def _escalate(self, cell: Cell, error: Exception) -> None:
        _add_note(error, f"escalated by actor {cell.name!r} of bundle {self.bundle!r}")
        if self._supervision.on_failure is not Directive.RESTART:
            raise error
        if self._restart_due:
            return  # that restart builds this actor afresh too
        self._restart_due = True
        while self._restart_due:
            wait = supervising.next_wait(
                self._supervision, self._restarted_at, self._chances, name=self.bundle, error=error
            )
            fields = about_cell(cell)
            _log.warning(
                "bundle %s: restarts whole in %.3f s after %s", self.bundle, wait, describe(error), extra=fields
            )
            show_traceback(_log, error, fields)
            for other in self._roster.cells.values():
                if other.living:
                    other.suspend()
            await trio.sleep(wait)
            failed = await self._restart_all()
            if failed:
                error = failed[0][1]  # it counts as one more failure
            else:
                self._restart_due = False

    # The whole bundle

    async def restart_all(self) -> None:
        """Build every actor afresh; see `Bundle.restart`.

        Cancellation: a checkpoint; the restart goes on.

        Raises:
            UsageError: by an actor of the bundle.
            Exception: what a factory or `on_start` raised. That actor is restarted as after a failure, and the others go on.
        """
        caller = current_host()
        if caller is not None and caller.keeper is self:
            raise UsageError(
                f"bundle {self.bundle!r} cannot be restarted by actor {caller.name!r} of its own, which would end with it"
            )
        failed: list[tuple[Cell, Exception]] = []
        done = trio.Event()

        async def run() -> None:
            try:
                failed.extend(await self._restart_all())
                for cell, error in failed:
                    self.start_soon(
                        self._restart_one, cell, error, cell.generation, name=f"restart of actor {cell.name}"
                    )
            finally:
                done.set()

        self.start_soon(run, name=f"restart of bundle {self.bundle}")
        if self.halted:
            raise UsageError(f"bundle {self.bundle!r} has ended; there is nothing to restart in it")
        await done.wait()
        if failed:
            raise failed[0][1]

    @enable_ki_protection
    async def _restart_all(self) -> list[tuple[Cell, Exception]]:
        """Suspend all actors, have each run its `on_stop`, in the reverse order of their start, and begin anew.

        Returns:
            Those that could not begin, and why. They are suspended.
        """
        async with self._restarting:
            cells = [cell for cell in self._roster.cells.values() if cell.living or cell.state is ActorState.SUSPENDED]
            try:
                return await self._restart_these(cells)
            finally:
                for cell in cells:
                    cell.held = False

    async def _restart_these(self, cells: list[Cell]) -> list[tuple[Cell, Exception]]:
        for cell in cells:
            cell.held = True
            cell.suspend()
            cell.cancel_in_hand(Loss.CANCELLED)
        for cell in cells:
            # Whoever is in its on_stop or on_start already, and waits for room, would wait for an actor that waits for it.
            cell.mailbox.let_in(lambda task: task in self._dispatcher.pumps and self._dispatcher.pumps[task].changing)
        while any(cell.changing or (cell.pump_scope is not None and cell.pump_scope.cancel_called) for cell in cells):
            await self._dispatcher.quiet.park()
        for cell in cells:
            cell.generation += 1  # a restart of its own that is due leaves it to this one
        for cell in reversed(cells):
            await supervising.run_on_stop(cell)
        failed: list[tuple[Cell, Exception]] = []
        begun: list[Cell] = []
        for cell in cells:
            if cell.over or cell.ending:
                continue
            try:
                await supervising.begin(cell)
            except Exception as error:  # noqa: BLE001 - whoever called decides
                supervising.note(cell, error)
                failed.append((cell, error))
            else:
                cell.restarts += 1
                cell.restarted_when = cell.handled
                begun.append(cell)
        for cell in begun:
            cell.held = False
            cell.resume()
        return failed


def _add_note(error: BaseException, note: str) -> None:
    with suppress(Exception):  # an error whose class forbids it has none
        error.add_note(note)
