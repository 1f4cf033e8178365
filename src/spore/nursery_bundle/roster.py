"""The roster: which actors a bundle has, how to refer to them, and what still waits for one to be started."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from spore.errors import UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.answers import discard
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.checks import check_class, check_handler
from spore.nursery_bundle.dispatcher import MAX_DEPTH
from spore.nursery_bundle.fields import replaced
from spore.nursery_bundle.guards import GuardedRef
from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.ports import LaterRef, WatchedRef, bind_ports, bound_ref, rewire
from spore.nursery_bundle.ref import OUTSIDE, ActorRef

__all__ = ["Roster"]


class Roster:
    """The actors of one bundle by name."""

    def __init__(self, bundle: str) -> None:
        self.cells: dict[str, Cell] = {}
        """In the order of their start."""
        self.version = 0
        """Goes up with each actor that comes or goes."""
        self._bundle = bundle
        self._numbers: dict[str, int] = {}
        """The last number that was given to an actor without a name, by its class's."""
        self._later: dict[str, list[tuple[Cell, str]]] = {}
        """The ports, with their owners, that were wired to a name that nobody has yet."""

    def cell_of(self, ref: ActorRef[Any] | str) -> Cell:
        """An actor's place.

        Raises:
            UsageError: if there is no such actor.
        """
        name = ref if isinstance(ref, str) else ref.name
        cell = self.cells.get(name)
        if cell is None:
            known = ", ".join(list(self.cells)[:20]) or "none"
            raise UsageError(f"bundle {self._bundle!r} has no actor {name!r}; it has {known}")
        if not isinstance(ref, str) and not self._leads_to(ref, cell):
            reason = f"and {ref!r} does not lead to it; has it stopped, or is it another bundle's?"
            raise UsageError(f"bundle {self._bundle!r} has an actor {name!r}, {reason}")
        return cell

    @staticmethod
    def _leads_to(ref: ActorRef[Any], cell: Cell) -> bool:
        while isinstance(ref, (LaterRef, WatchedRef)):
            ref = ref.found() if isinstance(ref, LaterRef) else ref.behind
        return isinstance(ref, LocalRef) and ref.cell is cell

    def find(self, name: str) -> ActorRef[Any] | None:
        """The reference for use outside of actors, or None where there is no such actor. One that is being started has one, too."""
        cell = self.cells.get(name)
        return self.ref_to(cell) if cell is not None else None

    def ref(self, name: str) -> ActorRef[Any]:
        """The same, or one that will find the actor once it is started."""
        return self.find(name) or LaterRef(name, self.find)

    def ref_to(self, cell: Cell) -> LocalRef[Any]:
        """The one reference of a cell for use outside of actors."""
        outside = next((edge for edge in cell.edges if edge.sender == OUTSIDE), None)
        if outside is not None:
            return outside
        if cell.over:
            raise cell.stopped_error()
        options = cell.options
        guarded = options.verify or options.portable or options.guards.watches or cell.merge is not None
        return (GuardedRef if guarded else LocalRef)(cell)

    def merging_ref(self, cell: Cell) -> GuardedRef[Any]:
        """The same, of an actor that merges."""
        ref = self.ref_to(cell)
        assert isinstance(ref, GuardedRef)  # noqa: S101 - every edge of an actor that merges has a guard
        return ref

    def free_name(self, factory: Callable[..., Actor[Any]]) -> str:
        """A name for an actor that was given none: its class's, and the first number that is free."""
        base = getattr(factory, "__name__", type(factory).__name__)
        while True:
            self._numbers[base] = number = self._numbers.get(base, 0) + 1
            if (name := f"{base}-{number}") not in self.cells:
                return name

    def add(self, cell: Cell) -> None:
        """Enter an actor.

        Handlers nest at most once an actor, so that their depth need not be counted before there are very many.
        """
        self.cells[cell.name] = cell
        self.version += 1
        if len(self.cells) > MAX_DEPTH:
            cell.bound()
        if len(self.cells) == MAX_DEPTH + 1:
            for other in self.cells.values():
                other.bound()

    def wire(self, actor: Actor[Any], cell: Cell) -> Actor[Any]:
        """Make the references in a fresh actor's fields its own ports.

        Raises:
            UsageError: if it is no actor.
        """
        if not isinstance(actor, Actor):
            discard(actor)
            raise UsageError(f"actor {cell.name!r}: its factory returned a {kind_of(actor)}, which is no spore.Actor")
        check_class(type(actor), name=cell.name)
        check_handler(actor, name=cell.name)
        for port, later in bind_ports(actor, cell):
            self._later.setdefault(later.name, []).append((cell, port))
        return actor

    def remove(self, cell: Cell) -> None:
        """An actor has ended: its name is free, and it is none of the senders of others any more."""
        if self.cells.get(cell.name) is cell:
            del self.cells[cell.name]
            self.version += 1
        for name, owners in tuple(self._later.items()):
            left = [each for each in owners if each[0] is not cell]
            if left:
                self._later[name] = left
            else:
                del self._later[name]

    def wire_later(self, cell: Cell) -> None:
        """Ports that were wired to this actor by name before it was started lead to it now."""
        for owner, port in self._later.pop(cell.name, []):
            if self.cells.get(owner.name) is owner:
                value = getattr(owner.actor, port)
                rewire(owner.actor, port, replaced(value, partial(bound_ref, cell=owner, port=port), in_place=True))
