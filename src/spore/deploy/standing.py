"""A reference that stays valid when its actor moves: `spore.deploy.System.ref` gives these, and there are none inside bundles.

While the actor moves, the reference is closed: what is told is kept in order, whoever sends or asks waits. Open, it costs one
call more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import trio

from spore.errors import ActorError, ActorStopped, AskTimeout, LinkDenied
from spore.nursery_bundle import ActorRef
from spore.nursery_bundle.local import patient
from spore.nursery_bundle.log import about
from spore.nursery_bundle.ref import ASK_TIMEOUT_S

__all__ = ["StandingRef"]

M = TypeVar("M", contravariant=True)
_log = logging.getLogger("spore.deploy")
TOGETHER = 256
"""So many messages of a `send_many` are sent before it is looked whether the reference was closed."""


class StandingRef(ActorRef[M]):
    """A reference from outside of all bundles."""

    __slots__ = ("_asking", "_changed", "_closed", "_kept", "_sending", "behind", "moved")

    def __init__(self, behind: ActorRef[M]) -> None:
        self.behind = behind
        """Where the actor is now."""
        self.moved = False
        """Whether the actor has ever been elsewhere."""
        self._closed = False
        self._kept: list[Callable[[], None]] = []
        self._sending = 0
        self._asking = 0
        """How many calls may still hand over something to where the actor is now."""
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def name(self) -> str:
        return self.behind.name

    def __repr__(self) -> str:
        return f"<StandingRef {self.behind!r}>"

    # While the actor moves

    def close(self) -> None:
        """Hand over nothing more from now on."""
        self._closed = True

    async def settled(self, *, asks: bool) -> None:
        """Wait until every call that began before has handed over what it had.

        Args:
            asks: wait also until all that was asked is answered.

        Cancellation: a checkpoint if it waits.
        """
        while self._sending or (asks and self._asking):
            await self._changed.park()

    def open(self, behind: ActorRef[M] | None = None) -> None:
        """Go on, with what was kept first.

        Args:
            behind: where the actor is now; None where it was.
        """
        if behind is not None:
            self.behind, self.moved = behind, True
        self._closed = False
        kept, self._kept = self._kept, []
        with patient(self.behind):
            for call in kept:
                try:
                    call()
                except ActorError as error:  # whoever told it has gone on long ago; it is counted at the actor
                    fields = about(actor=self.name)
                    _log.warning("%s: what was told while it moved was not taken: %s", self.name, error, extra=fields)
        self._changed.unpark_all()

    # For senders

    def tell(self, message: M, high: bool = False) -> None:
        if self._closed:
            self._kept.append(lambda: self.behind.tell(message, high))
        else:
            self.behind.tell(message, high)

    def tell_many(self, messages: Iterable[M]) -> None:
        if self._closed:
            self._kept.append(partial(self._tell_kept, tuple(messages)))
        else:
            self.behind.tell_many(messages)

    def _tell_kept(self, messages: tuple[M, ...]) -> None:
        self.behind.tell_many(messages)

    async def send(self, message: M, high: bool = False) -> None:
        while self._closed:
            await self._changed.park()
        self._sending += 1
        try:
            await self.behind.send(message, high)
        finally:
            self._sending -= 1
            self._tell_changed()

    async def send_many(self, messages: Iterable[M]) -> None:
        await trio.lowlevel.checkpoint()
        if not isinstance(messages, (list, tuple)):
            for message in messages:
                await self.send(message)
            return
        for at in range(0, len(messages), TOGETHER):
            while self._closed:
                await self._changed.park()
            self._sending += 1
            try:
                await self.behind.send_many(messages[at : at + TOGETHER])
            finally:
                self._sending -= 1
                self._tell_changed()

    async def ask(self, message: M, timeout: float = ASK_TIMEOUT_S, high: bool = False) -> Any:  # noqa: ASYNC109
        until = trio.current_time() + timeout
        while True:
            with trio.move_on_at(until):
                while self._closed:
                    await self._changed.park()
            if self._closed:
                raise AskTimeout(
                    self.name, f"no answer in {timeout:g} s to {type(message).__name__}: it is being moved"
                )
            behind = self.behind
            self._asking += 1
            try:
                return await behind.ask(message, max(0.0, until - trio.current_time()), high)
            except (ActorStopped, LinkDenied):
                if behind is self.behind:
                    raise  # else it has moved before the message was taken
            finally:
                self._asking -= 1
                self._tell_changed()

    def _tell_changed(self) -> None:
        if self._closed:
            self._changed.unpark_all()

    def advance(self, event_time_ns: int) -> None:
        if self._closed:
            self._kept.append(lambda: self.behind.advance(event_time_ns))
        else:
            self.behind.advance(event_time_ns)

    def idle(self) -> None:
        if self._closed:
            self._kept.append(self._idle)
        else:
            self.behind.idle()

    def _idle(self) -> None:
        self.behind.idle()
