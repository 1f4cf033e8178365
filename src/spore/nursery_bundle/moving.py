"""Moving: the actors of a bundle go on in another one, perhaps in another process, from where they stand.

What is handed over is exact, because nothing is in hand meanwhile: the state of each actor, how far the senders of each merge
have come, and the messages that a merge holds. Nothing here ends the old actors: until `Moving.leave` they can go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from spore.nursery_bundle import supervision as supervising
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.merge import Position
from spore.nursery_bundle.policy import Loss
from spore.nursery_bundle.ref import ActorRef
from spore.nursery_bundle.roster import Roster
from spore.nursery_bundle.wiring import drain_order

__all__ = ["Held", "Moving"]


@attrs.frozen
class Held:
    """What one sender has sent by reference and a merge holds, in order."""

    sender: str
    port: str
    receiver: str
    messages: tuple[tuple[Any, bool], ...]
    """Each with whether it is of high priority."""
    past_ns: int
    """How far the sender has come, with them and since; `FOREVER` where it is idle."""


class Moving:
    """How the actors of one bundle leave it, or come to it."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def lift_bounds(self) -> None:
        """Let nobody wait for room where messages are held: the one for whom they are held may be paused."""
        for cell in self._merging():
            cell.merge.lift_bound()  # type: ignore[union-attr]

    def restore_bounds(self) -> None:
        """It was for a time only."""
        for cell in self._merging():
            cell.merge.restore_bound()  # type: ignore[union-attr]

    def positions(self, actor: str) -> tuple[Position, ...]:
        """How far each sender of an actor that merges has come, without what is held."""
        merge = self._roster.cells[actor].merge
        return merge.positions() if merge is not None else ()

    def held(self) -> list[Held]:
        """What merges hold that was sent by reference. What came over a link is still its sender's."""
        found = []
        for cell in self._merging():
            for place, entries in cell.merge.held():  # type: ignore[union-attr]
                messages = tuple((message, high) for message, high in entries if message.__class__ is not Envelope)
                if messages:
                    sender, port = place.key
                    found.append(Held(sender, port, cell.name, messages, place.past_ns))
        return found

    def resume(self, actor: str, positions: Iterable[Position]) -> None:
        """Have an actor that merges wait for the senders that its predecessor knew, each from where it stood."""
        cell = self._roster.cells[actor]
        if cell.merge is not None:
            cell.merge.resume(positions, self._roster.merging_ref(cell).release)

    def port(self, sender: str, port: str, receiver: str) -> ActorRef[Any] | None:
        """The reference in an actor's port that leads to a receiver, in this bundle or elsewhere."""
        cell = self._roster.cells[sender]
        outlet = (cell.outlets or {}).get((port, receiver))
        found: Any = outlet if outlet is not None else (cell.ports or {}).get((port, receiver))
        return found if isinstance(found, ActorRef) else None

    def rewire(self, actor: str) -> None:
        """An actor that was to move as it is stays: make its ports those of its old place again."""
        cell = self._roster.cells[actor]
        self._roster.wire(cell.actor, cell)

    def actor(self, name: str) -> Actor[Any]:
        """An actor as it is now, to be moved within the process."""
        return self._roster.cells[name].actor

    def halt(self) -> None:
        """The actors live elsewhere now: handle nothing more, and forget what is held, because they have that, too."""
        for cell in self._roster.cells.values():
            cell.suspend()
            if cell.merge is not None:
                cell.merge.clear()

    async def leave(self, kept: Iterable[Actor[Any]] = ()) -> None:
        """After `halt`: stop all actors, and then have each run its `on_stop`.

        What one would send then is refused: its successor speaks for it.

        Args:
            kept: those that have moved as they are. Their `on_stop` is not run.

        Cancellation: as the actors' `on_stop`.
        """
        staying = {id(actor) for actor in kept}
        cells = [cell for group in drain_order(self._roster.cells.values()) for cell in group]
        for cell in cells:
            cell.living = cell.living and id(cell.actor) not in staying
            cell.stop(Loss.STOPPED)
        for cell in cells:
            await supervising.run_on_stop(cell)
            cell.gone = True

    def _merging(self) -> list[Cell]:
        return [cell for cell in self._roster.cells.values() if cell.merge is not None]
