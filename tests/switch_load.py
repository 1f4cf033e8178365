"""A load on a system that is switched."""

from __future__ import annotations

from typing import Any

import trio
from tests.pipeline_actors import Tick

import spore

__all__ = ["SteadyLoad"]

EVERY_S = 0.01


class SteadyLoad:
    """Sends numbered ticks at a steady rate, until it is to end.

    Args:
        ref: where to.
        rate: ticks a second.
    """

    def __init__(self, ref: spore.ActorRef[Any], rate: int) -> None:
        self.sent = 0
        self._ref = ref
        self._rate = rate
        self._ends = False
        self._more = trio.lowlevel.ParkingLot()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        began = trio.current_time()
        while not self._ends:
            upto = self.sent + int(self._rate * EVERY_S)
            await self._ref.send_many([Tick(number, number) for number in range(self.sent, upto)])
            self.sent = upto
            self._more.unpark_all()
            await trio.sleep_until(began + self.sent / self._rate)

    async def go_on(self, ticks: int = 100) -> None:
        """Wait until so many more have been sent."""
        with trio.fail_after(30):
            upto = self.sent + ticks
            while self.sent < upto:
                await self._more.park()

    def end(self) -> None:
        self._ends = True
