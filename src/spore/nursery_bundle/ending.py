"""The end of a bundle: senders are drained before receivers, or everything stops at once, and all is counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.dispatcher import Dispatcher
from spore.nursery_bundle.log import about
from spore.nursery_bundle.overseer import Overseer
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.timers import Timer
from spore.nursery_bundle.wiring import drain_order

__all__ = ["Ending"]

_log = logging.getLogger("spore.bundle")


class Ending:
    """How one bundle ends."""

    def __init__(self, bundle: str, cells: dict[str, Cell], dispatcher: Dispatcher, overseer: Overseer) -> None:
        self.closed = False
        """Whether the bundle has ended and takes nothing new."""
        self._bundle = bundle
        self._cells = cells
        self._dispatcher = dispatcher
        self._overseer = overseer
        self._left_because = Loss.CANCELLED
        """What becomes of messages that are left when the bundle has ended."""

    def lift_bounds(self) -> None:
        """See `Bundle.lift_bounds`."""
        for cell in self._cells.values():
            if cell.merge is not None:
                cell.merge.lift_bound()

    async def drain(self, timers: Iterable[Timer], timeout_s: float) -> None:
        """Handle what is queued, senders before receivers, and stop every actor.

        Cancellation: always a checkpoint; what is left is counted by `abandon`.
        """
        await trio.lowlevel.checkpoint()  # a bundle that was cancelled drains nothing, in no dispatch
        for timer in tuple(timers):
            timer.cancel()
        self.lift_bounds()
        with trio.move_on_after(timeout_s) as deadline:
            for group in drain_order(self._cells.values()):
                await self.stop(group)
            while self._overseer.leaving:
                await self._dispatcher.quiet.park()
        if deadline.cancelled_caught:
            left = self._dispatcher.active
            fields = about(bundle=self._bundle)
            _log.warning("bundle %s: %d actors were not drained in %g s", self._bundle, left, timeout_s, extra=fields)
            self._left_because = Loss.DEADLINE

    async def stop(self, group: list[Cell]) -> None:
        """Handle what is queued for some actors that send to each other, and stop them.

        Cancellation: while it waits; those that have not said goodbye go on.
        """
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
        """Handle no more messages."""
        self.closed = True
        for cell in self._cells.values():
            cell.suspend()
            cell.in_hand = self._left_because

    async def abandon(self) -> None:
        """Say goodbye to every actor that is left, and count what was. Once no handler runs any more.

        Cancellation: it runs in cancelled scopes: a plain `on_stop` runs, an async one until it waits.
        """
        for group in drain_order(self._cells.values()):
            for cell in group:
                try:
                    with trio.CancelScope(shield=True) as scope:
                        scope.cancel()
                        await supervising.say_goodbye(cell)
                finally:
                    cell.stop(self._left_because)
