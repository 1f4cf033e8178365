"""The overseer: what a bundle does about failures, and where it keeps what was not handled."""

from __future__ import annotations

import logging
import random
from typing import Any

import trio

from spore.errors import UsageError
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.letters import DeadLetter, DeadLetters, LetterError
from spore.nursery_bundle.log import about_cell, show_traceback
from spore.nursery_bundle.policy import Directive, Loss, Supervision
from spore.nursery_bundle.ports import unwired_ports
from spore.nursery_bundle.statistics import ActorState

__all__ = ["Overseer"]

_log = logging.getLogger("spore.bundle")


class Overseer:
    """The keeper of a bundle's cells; see `spore.nursery_bundle.cell.Keeper`."""

    def __init__(
        self,
        bundle: str,
        nursery: trio.Nursery,
        cells: dict[str, Cell],
        dispatcher: Dispatcher,
        *,
        supervision: Supervision,
        chances: random.Random,
        keep_letters: int,
    ) -> None:
        self.nursery = nursery
        self.dead_letters = DeadLetters(keep_letters)
        self.leaving = 0
        """How many stopped actors are still saying goodbye."""
        self.bundle = bundle
        self._cells = cells
        self._dispatcher = dispatcher
        self._supervision = supervision
        self._chances = chances
        self._restarted_at: list[float] = []
        self._restarting = trio.Lock()
        self._restart_due = False

    def lost(self, cell: Cell, message: Any, reason: Loss) -> None:
        """Keep a dead letter."""
        self.dead_letters.add(DeadLetter(cell.name, reason, message))

    def failed(self, cell: Cell, error: Exception, message: Any) -> None:
        """Keep a dead letter and do what the supervision says."""
        supervising.note(cell, error, type(message).__name__)
        if isinstance(error, AttributeError) and error.obj is None:
            for port in unwired_ports(cell.actor):
                error.add_note(f"port {port!r} of actor {cell.name!r} is not wired")
        self.dead_letters.add(DeadLetter(cell.name, Loss.FAILED, message, LetterError.of(error)))
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
            _log.warning("actor %s: stops after %s: %s", cell.name, type(error).__name__, error, extra=about_cell(cell))
            show_traceback(_log, error, about_cell(cell))
            cell.stop(Loss.STOPPED)
            self.leaving += 1
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
            self.leaving -= 1
            self._dispatcher.quiet.unpark_all()

    async def _escalate(self, cell: Cell, error: Exception) -> None:
        error.add_note(f"escalated by actor {cell.name!r} of bundle {self.bundle!r}")
        if self._supervision.on_failure is not Directive.RESTART:
            raise error
        if self._restart_due:
            return  # that restart builds this actor afresh too
        self._restart_due = True
        while self._restart_due:
            wait = supervising.next_wait(
                self._supervision, self._restarted_at, self._chances, name=self.bundle, error=error
            )
            _log.warning(
                "bundle %s: restarts whole in %.3f s after %s: %s",
                self.bundle,
                wait,
                type(error).__name__,
                error,
                extra=about_cell(cell),
            )
            show_traceback(_log, error, about_cell(cell))
            for other in self._cells.values():
                if other.living:
                    other.suspend()
            await trio.sleep(wait)
            try:
                await self.restart_all()
            except Exception as second:  # noqa: BLE001 - it counts as one more failure
                error = second
            else:
                self._restart_due = False

    async def restart_all(self) -> None:
        """Build every actor afresh; see `Bundle.restart`.

        Cancellation: as the actors' `on_stop` and `on_start`; all actors then stay suspended.

        Raises:
            UsageError: inside a handler of the bundle.
            Exception: what a factory or `on_start` raised. All actors then stay suspended.
        """
        if trio.lowlevel.current_task() in self._dispatcher.pumps:
            raise UsageError(
                f"bundle {self.bundle!r} cannot be restarted by a handler of its own, which would end with it"
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
