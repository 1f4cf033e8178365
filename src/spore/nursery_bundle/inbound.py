"""What brings an actor the messages of a sender in another process: an edge of the bundle whose far end is elsewhere."""

from __future__ import annotations

from typing import Any

from trio.lowlevel import enable_ki_protection

from spore.nursery_bundle.cell import TooDeep
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.policy import Loss, Overflow
from spore.nursery_bundle.ref import ActorRef
from spore.nursery_bundle.whose import calls_actor
from spore.nursery_bundle.wiring import Outlet, reaches

__all__ = ["Inbound"]


class Inbound:
    """One sender's way to one actor.

    Args:
        ref: a reference to the actor, as `spore.Bundle.start` returns it.
        sender: the sender's name, and ``port`` its field: with these the actor merges and statistics count, as they
            would if the sender were in the bundle.
    """

    def __init__(self, ref: ActorRef[Any], sender: str, port: str) -> None:
        if not isinstance(ref, LocalRef):
            raise TypeError(f"{ref!r} is no reference to an actor of a bundle in this process")
        cell = ref.cell
        known = [edge for edge in cell.edges if edge.owner is None and (edge.sender, edge.port) == (sender, port)]
        self._edge: LocalRef[Any] = known[0] if known else type(ref)(cell, None, port, sender)
        self._plain = type(self._edge) is LocalRef
        self.unfinished: Envelope | None = None
        """The message that `handle` has begun and a task goes on with, because a handler that does not look async is."""
        self.overfull = cell.dispatcher.overfull
        """What in the bundle has more than it holds; see `pressed`."""

    @property
    def capacity(self) -> int:
        """The actor's mailbox's."""
        return self._edge.cell.capacity

    @property
    def overflow(self) -> Overflow:
        return self._edge.cell.mailbox.overflow

    @property
    def stopped(self) -> bool:
        """Whether the actor takes no more messages."""
        return self._edge.cell.over

    @property
    def pressed(self) -> bool:
        """Whether something to which messages lead from here has more than it holds."""
        cell = self._edge.cell
        overfull = cell.dispatcher.overfull
        return bool(overfull) and any(reaches(cell, other) for other in overfull)

    def leads_to(self, outlet: Outlet) -> bool:
        """Whether what the actor handles may lead to messages to an outlet, over any number of actors of the bundle."""
        return reaches(self._edge.cell, outlet)

    @enable_ki_protection
    @calls_actor("cell")
    def handle(self, message: Any) -> bool:
        """Have a plain handler of an idle actor handle a message now, if that can be. What it raises is its own.

        Returns:
            Whether it was handled, or has failed; if not, nothing was done with it.
        """
        edge = self._edge
        cell = edge.cell
        handle = cell.idle
        if handle is None or not self._plain:
            return False
        cell.idle = None
        timed = edge.left == 1
        edge.count()
        try:
            if timed:
                edge.handle_timed(handle, message)
                if cell.adopted is not None:
                    self.unfinished = cell.adopted[1]
            else:
                value = handle(message)
                if value is not None and value.__class__ is not cell.finished and cell.returned(value, message):
                    self.unfinished = cell.adopted[1] if cell.adopted is not None else None
        except TooDeep:
            edge.count(-1)
            return False
        except Exception as error:  # noqa: BLE001 - the supervisor's
            cell.fail(error, message)
        except BaseException:
            cell.lose(message, Loss.CANCELLED)
            raise
        finally:
            cell.idle = cell.ready
        return True

    def take(self, envelope: Envelope, high: bool) -> bool:
        """Queue a message, enclosed with its receipt; return whether there was room.

        Raises:
            ActorStopped: if the actor takes no more messages.
            MailboxFull: under the policy ``fail``; it is counted, and the receipt knows.
        """
        edge = self._edge
        if not edge.has_room(envelope.message, high):
            return False
        edge.enclosed(envelope, high)
        return True

    async def take_when_room(self, envelope: Envelope, high: bool) -> None:
        """Queue a message once there is room, and nothing that it leads to is overfull.

        Cancellation: always a checkpoint. If it is cancelled, the message was not taken.

        Raises:
            ActorStopped, MailboxFull: as `take`.
        """
        await self._edge.enclosed_when_room(envelope, high)

    def advance(self, event_time_ns: int) -> None:
        """The sender has said so; see `ActorRef.advance`."""
        self._edge.advance(event_time_ns)

    def idle(self) -> None:
        """The sender has said so; see `ActorRef.idle`."""
        self._edge.idle()

    def leave(self) -> None:
        """Nothing will come this way any more."""
        self._edge.leave()
