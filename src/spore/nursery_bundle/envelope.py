"""What travels with a message where the message alone is not enough: who waits for the answer, above all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

__all__ = ["Envelope", "Reply"]


class Reply:
    """Where the answer to one ask goes. The first outcome counts."""

    __slots__ = ("done", "error", "task", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.task: trio.lowlevel.Task | None = None

    def answer(self, value: Any) -> None:
        if not self.done:
            self.done, self.value = True, value
            self._wake()

    def fail(self, error: Exception) -> None:
        if not self.done:
            self.done, self.error = True, error
            self._wake()

    def _wake(self) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)
            self.task = None

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

    __slots__ = ("check", "message", "queued_ns", "reply")

    def __init__(
        self, message: Any, *, reply: Reply | None = None, check: Callable[[], None] | None = None, queued_ns: int = 0
    ) -> None:
        self.message = message
        self.reply = reply
        self.check = check
        """Called before and after the message is handled."""
        self.queued_ns = queued_ns
        """When it was queued, if it is one of those that are timed."""
