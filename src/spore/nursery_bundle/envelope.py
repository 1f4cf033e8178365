"""What travels with a message where the message alone is not enough: who waits for the answer, above all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import AskFailed
from spore.message import TraceContext
from spore.nursery_bundle.policy import Loss

__all__ = ["Envelope", "Receipt", "Reply"]


class Receipt:
    """Hears, once, what has become of a message."""

    __slots__ = ()
    awaited = False
    """Whether somebody waits for an answer, so that no other message can stand in for this one."""

    def answer(self, value: Any) -> None:
        """It was handled, and this is what the handler returned."""

    def fail(self, error: Exception) -> None:
        """Its handler raised."""

    def lose(self, actor: str, reason: Loss) -> None:
        """It will not be handled; it is counted, and a dead letter."""


class Reply(Receipt):
    """Where the answer to one ask goes. The first outcome counts.

    It is protected from `KeyboardInterrupt`: in the middle, one would leave a task here that has ended when it is woken,
    or an outcome of which its task never hears.
    """

    __slots__ = ("done", "error", "task", "value")
    awaited = True

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.task: trio.lowlevel.Task | None = None

    @enable_ki_protection
    def answer(self, value: Any) -> None:
        if not self.done:
            self.done, self.value = True, value
            self._wake()

    @enable_ki_protection
    def fail(self, error: Exception) -> None:
        if not self.done:
            self.done, self.error = True, error
            self._wake()

    @enable_ki_protection
    def lose(self, actor: str, reason: Loss) -> None:
        self.fail(AskFailed(actor, f"the message was lost: {reason}"))

    @enable_ki_protection
    def _wake(self) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)
            self.task = None

    @enable_ki_protection
    async def wait(self) -> None:
        """Wait for the outcome.

        Cancellation: a checkpoint, unless the outcome is there already.
        """
        if not self.done:
            self.task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)

    def _abandon(self, _: Any) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Envelope:
    """A queued message about which there is more to know than the message. Most need none."""

    __slots__ = ("check", "message", "queued_ns", "reply", "trace")

    def __init__(
        self,
        message: Any,
        *,
        reply: Receipt | None = None,
        check: Callable[[], None] | None = None,
        queued_ns: int = 0,
        trace: TraceContext | None = None,
    ) -> None:
        self.message = message
        self.reply = reply
        self.check = check
        """Called before and after the message is handled."""
        self.queued_ns = queued_ns
        """When it was queued, if it is one of those that are timed."""
        self.trace = trace
        """The trace that it belongs to, if it is known to belong to one."""
