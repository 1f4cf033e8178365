"""Timers: messages that trio's clock sends, so that a test's virtual clock moves them too."""

from __future__ import annotations

from typing import Any

import trio

from spore.errors import ActorStopped, MailboxFull
from spore.nursery_bundle.ref import ActorRef

__all__ = ["Timer", "run_after", "run_every"]


class Timer:
    """A timer of a bundle. It ends with its bundle, with its receiver, or when it is cancelled."""

    __slots__ = ("scope",)

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def cancel(self) -> None:
        """Send nothing from now on. Nothing happens if it has ended already."""
        self.scope.cancel()


async def run_every(period_s: float, ref: ActorRef[Any], message: Any) -> None:
    """Send on every multiple of the period from now on.

    Cancellation: a checkpoint, between ticks and while a tick waits for room; that tick was not sent then.
    """
    began = trio.current_time()
    ticks = 0
    while True:
        now = int((trio.current_time() - began) / period_s)
        ticks = max(ticks, now) + 1
        await trio.sleep_until(began + ticks * period_s)
        if not await _send(ref, message):
            return


async def run_after(delay_s: float, ref: ActorRef[Any], message: Any) -> None:
    """Send once.

    Cancellation: a checkpoint; if it is cancelled, nothing was sent.
    """
    await trio.sleep(delay_s)
    await _send(ref, message)


async def _send(ref: ActorRef[Any], message: Any) -> bool:
    try:
        await ref.send(message() if callable(message) else message)
    except ActorStopped:
        return False
    except MailboxFull:
        pass  # counted where it was refused
    return True
