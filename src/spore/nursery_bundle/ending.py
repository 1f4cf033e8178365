"""The end of a bundle, or of one actor: senders are drained before receivers, or everything stops at once, and all is counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import UsageError
from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.local import Waiting
from spore.nursery_bundle.log import about
from spore.nursery_bundle.overseer import Overseer
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.ports import found_receivers
from spore.nursery_bundle.roster import Roster
from spore.nursery_bundle.timers import Timer
from spore.nursery_bundle.whose import current_host
from spore.nursery_bundle.wiring import drain_order, waits_for

__all__ = ["Ending"]

_log = logging.getLogger("spore.bundle")
SHOWN = 20
"""So many actors that were not drained are named in a line of the log."""


class Ending:
    """How one bundle ends, and each of its actors."""

    def __init__(self, bundle: str, roster: Roster, dispatcher: Dispatcher, overseer: Overseer) -> None:
        self.closed = False
        """Whether the bundle has ended and takes nothing new."""
        self._bundle = bundle
        self._roster = roster
        self._dispatcher = dispatcher
        self._overseer = overseer
        self._left_because = Loss.CANCELLED
        """What becomes of messages that are left when the bundle has ended."""

    def lift_bounds(self) -> None:
        """See `Bundle.lift_bounds`."""
        for cell in self._roster.cells.values():
            if cell.merge is not None:
                cell.merge.lift_bound()

    # The whole bundle

    @enable_ki_protection
    async def drain(self, timers: Iterable[Timer], timeout_s: float) -> None:
        """Handle what is queued, senders before receivers, and stop every actor.

        Cancellation: always a checkpoint; what is left is counted by `abandon`.
        """
        await trio.lowlevel.checkpoint()  # a bundle that was cancelled drains nothing, in no dispatch
        for timer in tuple(timers):
            timer.cancel()
        self.lift_bounds()
        self._overseer.draining = True
        with trio.move_on_after(timeout_s) as deadline:
            while left := self._left():
                version = self._roster.version
                for group in drain_order(left):
                    await self._drain_group(group)
                    if self._roster.version != version:
                        break  # an actor was started meanwhile, and may be the receiver of one that is left
        if deadline.cancelled_caught:
            undone = [f"{cell.name} ({_undone(cell)})" for cell in self._left() if not _is_drained(cell)]
            shown = ", ".join(undone[:SHOWN]) + (f" and {len(undone) - SHOWN} more" if len(undone) > SHOWN else "")
            _log.warning(
                "bundle %s: not drained in %g s: %s", self._bundle, timeout_s, shown, extra=about(bundle=self._bundle)
            )
            self._left_because = Loss.DEADLINE

    def _left(self) -> list[Cell]:
        """The actors whose life is not over; with all the receivers that their fields show now."""
        left = [cell for cell in self._roster.cells.values() if not cell.gone]
        for cell in left:
            if cell.living:
                for receiver in found_receivers(cell):
                    if (
                        cell.ports is None or receiver not in [ref.cell for ref in cell.ports.values()]
                    ) and not receiver.gone:
                        cell.leads_to(receiver)
        return left

    async def _drain_group(self, group: list[Cell]) -> None:
        """Handle what is queued for some actors that send to each other, and stop them.

        Cancellation: while it waits; those whose `on_stop` was not called go on.
        """
        await self._until_drained(group)
        alive = [cell for cell in group if not cell.gone]
        try:
            for cell in alive:
                await self._until_drained([cell])  # in a cycle, another one's on_stop may have sent it something
                cell.ending = True
                cell.suspend()
                await supervising.run_on_stop(cell)
                await self._until_begun(cell)
        except BaseException:
            for cell in alive:
                if not cell.living:  # its on_stop was called, so it cannot go on
                    cell.stop(self._left_because)
            raise
        for cell in alive:
            self._finish(cell, Loss.STOPPED)

    async def _until_drained(self, cells: list[Cell]) -> None:
        while not all(_is_drained(cell) for cell in cells):
            for cell in cells:
                if cell.merge is not None and cell.quiet:
                    cell.merge.flush()
            if not all(_is_drained(cell) for cell in cells):
                await self._dispatcher.quiet.park()

    def _finish(self, cell: Cell, reason: Loss) -> None:
        cell.stop(reason)
        self._overseer.depart(cell)

    # One actor

    @enable_ki_protection
    async def stop(self, cell: Cell, *, drain: bool, timeout_s: float) -> None:
        """Stop one actor; see `Bundle.stop`."""
        caller = current_host()
        if caller is cell:
            # It cannot wait for its own end. It stops after this message.
            if not (cell.stopping or cell.over):
                self._refuse_more(cell, drain)
                self._overseer.start_soon(self._drain_one, cell, drain, timeout_s, name=f"stop of actor {cell.name}")
            await trio.lowlevel.checkpoint()
            return
        if caller is not None and waits_for(cell, caller):
            raise UsageError(f"actor {caller.name!r} would wait for the end of {cell.name!r}, which waits for it")
        await trio.lowlevel.checkpoint()
        with Waiting(caller, cell):
            await self._stop(cell, drain, timeout_s)

    async def _stop(self, cell: Cell, drain: bool, timeout_s: float) -> None:
        if cell.stopping or cell.over:  # somebody else stops it
            await self._until_gone(cell)
            if cell.gone or cell.over:
                return
        self._refuse_more(cell, drain)
        await self._drain_one(cell, drain, timeout_s)

    def _refuse_more(self, cell: Cell, drain: bool) -> None:
        cell.stopping = True
        cell.close()
        if not drain:
            cell.suspend()

    async def _drain_one(self, cell: Cell, drain: bool, timeout_s: float) -> None:
        reason = Loss.STOPPED
        try:
            with trio.move_on_after(timeout_s) as scope:
                if drain:
                    await self._until_drained([cell])
                else:
                    while cell.changing or cell.in_handler:
                        await self._dispatcher.quiet.park()
        except BaseException:
            cell.stopping = False
            if not self.closed:
                cell.reopen()
                if not drain and cell.living:
                    cell.resume()
            raise
        if scope.cancelled_caught:
            reason = Loss.DEADLINE
            _log.warning(
                "actor %s: was not drained in %g s, and is stopped",
                cell.name,
                timeout_s,
                extra=about(bundle=self._bundle, actor=cell.name),
            )
        # From here on there is no way back, so that it goes on when whoever waits for it is cancelled.
        self._overseer.start_soon(self._end, cell, reason, name=f"end of actor {cell.name}")
        await self._until_gone(cell)

    async def _until_gone(self, cell: Cell) -> None:
        while not cell.gone and (cell.stopping or cell.over) and not self.closed:
            await self._dispatcher.quiet.park()

    async def _end(self, cell: Cell, reason: Loss) -> None:
        cell.ending = True
        cell.suspend()
        cell.cancel_in_hand(reason)
        while cell.pump_scope is not None and cell.pump_scope.cancel_called:
            await self._dispatcher.quiet.park()
        await supervising.run_on_stop(cell)
        await self._until_begun(cell)
        self._finish(cell, reason)

    async def _until_begun(self, cell: Cell) -> None:
        """Where a restart was under way when the actor was to end, wait for it, and have the actor that it has begun run its `on_stop`."""
        while cell.beginning or cell.living:
            if cell.beginning:
                await self._dispatcher.quiet.park()
            await supervising.run_on_stop(cell)

    # At once

    def halt(self) -> None:
        """Handle no more messages."""
        self.closed = True
        self._overseer.halted = True
        for cell in self._roster.cells.values():
            cell.suspend()
            cell.in_hand = self._left_because
        self._dispatcher.quiet.unpark_all()

    @enable_ki_protection
    async def abandon(self) -> None:
        """Run the `on_stop` of every actor that is left, and count what was. Once no handler runs any more.

        Cancellation: it runs in cancelled scopes: a plain `on_stop` runs, an async one until it waits.
        """
        for group in drain_order(self._roster.cells.values()):
            for cell in group:
                try:
                    with trio.CancelScope(shield=True) as scope:
                        scope.cancel()
                        await supervising.run_on_stop(cell)
                finally:
                    cell.stop(self._left_because)
                    cell.gone = True


def _is_drained(cell: Cell) -> bool:
    """Whether nothing is queued, held or in hand, its start and its end included."""
    if cell.over:
        return cell.gone
    return cell.quiet and (cell.merge is None or not len(cell.merge))


def _undone(cell: Cell) -> str:
    """What an actor has still to do, in words."""
    queued, held = len(cell.mailbox), len(cell.merge) if cell.merge is not None else 0
    parts = [
        f"{queued} queued" if queued else "",
        f"{held} held" if held else "",
        "one in hand" if cell.in_handler else "",
    ]
    life = "in on_start" if cell.beginning else "in on_stop" if cell.leaving else ""
    return ", ".join(part for part in (*parts, life) if part) or cell.state.value
