"""Timers: messages that trio's clock sends, so that a test's virtual clock moves them too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import ActorStopped, MailboxFull, UsageError
from spore.nursery_bundle.answers import discard, is_unfinished
from spore.nursery_bundle.interrupts import calling
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.ref import ActorRef

__all__ = ["Tick", "Timer", "run_after", "run_every"]


class Timer:
    """A timer of a bundle. It ends with its bundle, with its receiver, with the actor that has started it, or when it is cancelled."""

    __slots__ = ("scope",)

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def cancel(self) -> None:
        """Send nothing from now on. Nothing happens if it has ended already."""
        self.scope.cancel()


@attrs.frozen
class Tick:
    """What a timer does when it is due."""

    ref: ActorRef[Any]
    message: Any
    make: Callable[[], Any] | None
    """Makes the message, where it is not always the same one."""
    failed: Callable[[str, Any, Exception], None]
    """Takes the receiver's name, the message and the error of a tick from which nothing was sent."""

    @enable_ki_protection
    async def send(self) -> bool:
        """Send the message; return whether the receiver takes more. What goes wrong is counted, and ends nothing.

        Cancellation: as `ActorRef.send`.
        """
        message: Any = self.message
        try:
            if self.make is not None:
                message = self.make
                message = calling(self.make)
                if is_unfinished(message):
                    discard(message)
                    raise UsageError(
                        f"a timer's function returned a {kind_of(message)}; it makes the message, and cannot wait"
                    )
            await self.ref.send(message)
        except ActorStopped:
            return False
        except MailboxFull:
            pass  # counted where it was refused
        except Exception as error:  # noqa: BLE001 - a tick that fails must not end the others
            self.failed(self.ref.name, message, error)
        return True


async def run_every(period_s: float, tick: Tick) -> None:
    """Send on every multiple of the period from now on.

    Cancellation: a checkpoint, between ticks and while a tick waits for room; that tick was not sent then.
    """
    began = trio.current_time()
    ticks = 0
    while True:
        now = int((trio.current_time() - began) / period_s)
        ticks = max(ticks, now) + 1
        await trio.sleep_until(began + ticks * period_s)
        if not await tick.send():
            return


async def run_after(delay_s: float, tick: Tick) -> None:
    """Send once.

    Cancellation: a checkpoint; if it is cancelled, nothing was sent.
    """
    await trio.sleep(delay_s)
    await tick.send()
