"""The dispatcher: one task that runs the plain handlers of all actors with queued messages, in batches.

Strategy: a pass of trio's scheduler costs microseconds and a handler far less, so one wake-up handles all that
has arrived. Actors with work stand in a line; each handles a stride of messages and goes to the end. The clock
is read once a stride, and the stride is fitted so that a time slice never gets much longer than `SLICE_NS`.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter_ns
from typing import Any, Protocol

import trio

from spore.errors import UsageError
from spore.nursery_bundle.whose import hosts

__all__ = ["MAX_DEPTH", "SLICE_NS", "Dispatcher", "Runnable"]

SLICE_NS = 500_000
"""After so much work the dispatcher gives way: half of the millisecond that the contract promises, because the
last stride may overrun it."""
MAX_STRIDE = 32
MAX_DEPTH = 48
"""How many handlers may run inside each other before a message is queued instead."""
FRAMES_SHARE = 4
"""One part in so many of Python's recursion limit may be in use when a handler is called inline, so that the handler has the rest
for itself. Deeper down, messages are queued."""


class Pressure:
    """What is overfull in this run of trio, in all its bundles, because references lead from one bundle into another."""

    __slots__ = ("overfull", "relief")

    def __init__(self) -> None:
        self.overfull: set[object] = set()
        self.relief = trio.lowlevel.ParkingLot()


_PRESSURE: trio.lowlevel.RunVar[Pressure] = trio.lowlevel.RunVar("spore.pressure")


def _pressure() -> Pressure:
    try:
        return _PRESSURE.get()
    except LookupError:
        found = Pressure()
        _PRESSURE.set(found)
        return found
    except RuntimeError:  # outside of trio, where nothing waits
        return Pressure()


def frames_in_use(share: int) -> bool:
    """Whether the stack is deeper than one part in ``share`` of the recursion limit."""
    try:
        sys._getframe(
            sys.getrecursionlimit() // share
        )  # fast where it finds nothing, and it walks no further than that
    except ValueError:
        return False
    return True


class Runnable(Protocol):
    """What stands in the dispatcher's line: an actor with queued messages."""

    def run_queued(self, limit: int) -> tuple[int, bool]:
        """Handle at most so many messages; return how many, and whether there are more to handle now."""
        ...


class Dispatcher:
    """The line of actors with work, and the time slice that everything in a bundle shares."""

    __slots__ = (
        "_checked_at",
        "_clock",
        "_parked",
        "_slice_ends",
        "_stride",
        "active",
        "context",
        "depth",
        "left",
        "line",
        "overfull",
        "pumps",
        "quiet",
        "relief",
        "thread",
    )

    def __init__(self, clock: Callable[[], int] = perf_counter_ns, context: Context | None = None) -> None:
        self._clock = clock
        self.context = context if context is not None else Context()
        """The bundle's own: what the contexts of its actors are copies of."""
        self.thread = get_ident()
        """The thread in which everything of the bundle runs."""
        self.depth = 0
        """How many handlers are running inside each other now."""
        self.line: deque[Runnable] = deque()
        self.active = 0
        """How many actors have messages queued or in hand."""
        self.quiet = trio.lowlevel.ParkingLot()
        """Woken whenever an actor has no more work, and when something else has ended that a bundle waits for."""
        pressure = _pressure()
        self.overfull = pressure.overfull
        """The actors whose mailboxes a `tell` has run over, and the outlets whose links it has: those of all bundles of this run."""
        self.relief = pressure.relief
        """Woken whenever one of them is no longer."""
        self.pumps = hosts()
        """The tasks that run async handlers, in all bundles of this run, and whose they are."""
        self._parked: trio.lowlevel.Task | None = None
        self._stride = MAX_STRIDE
        self.left = MAX_STRIDE
        """How many messages may be handled before the clock is looked at again; more than 0."""
        self._checked_at = 0
        self._slice_ends = 0

    def check_thread(self, actor: str) -> None:
        """Refuse a call from a thread in which the bundle does not run.

        Raises:
            UsageError: naming what to do instead.
        """
        if get_ident() != self.thread:
            raise UsageError(
                f"actor {actor!r} was sent something from another thread than its bundle's; open "
                f"spore.open_thread_port(ref) in the bundle's thread, and send through that port from the other one"
            )

    @trio.lowlevel.enable_ki_protection
    def enter(self, actor: Runnable) -> None:
        """Put an actor in the line, and wake the task."""
        self.line.append(actor)
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None

    def spent(self, messages: int) -> bool:
        """Account for handled messages; return whether the time slice is used up and it is time to give way."""
        self.left -= messages
        if self.left > 0:
            return False
        now = self._clock()
        handled = self._stride - self.left
        each = max(1, (now - self._checked_at) // handled)
        # A quarter of a slice between two looks at the clock, as far as the past tells.
        self._stride = self.left = max(1, min(MAX_STRIDE, SLICE_NS // 4 // each))
        self._checked_at = now
        return now >= self._slice_ends

    def new_slice(self) -> None:
        """Begin a time slice; whoever has just given way calls it."""
        self._checked_at = self._clock()
        self._slice_ends = self._checked_at + SLICE_NS

    async def give_way(self) -> None:
        """Let everything else in the process have its turn.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        self.new_slice()

    def relieved(self, actor: object) -> None:
        """A mailbox, or a link, that was overfull no longer is: let those look who wait for it."""
        self.overfull.discard(actor)
        self.relief.unpark_all()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Serve the line until cancelled.

        Cancellation: checkpoints when a slice is used up and when the line is empty, never inside a handler.
        """
        self.new_slice()
        line = self.line
        while True:
            while line:
                actor = line.popleft()
                handled, more = actor.run_queued(self._stride)
                if more:
                    line.append(actor)
                self.left -= handled
                if self.left <= 0 and self.spent(0):
                    await self.give_way()
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._unpark)
            self.new_slice()

    def _unpark(self, _: Any) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED
