"""The roster: which actors a bundle has, how to refer to them, and what still waits for one to be started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spore.errors import UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.cell import Cell
from spore.nursery_bundle.dispatcher import MAX_DEPTH
from spore.nursery_bundle.guards import GuardedRef
from spore.nursery_bundle.local import LocalRef
from spore.nursery_bundle.ports import LaterRef, bind_ports, bound_ref, rewire
from spore.nursery_bundle.ref import OUTSIDE, ActorRef
from spore.nursery_bundle.statistics import ActorState

__all__ = ["Roster"]


class Roster:
    """The actors of one bundle by name."""

    def __init__(self, bundle: str) -> None:
        self.cells: dict[str, Cell] = {}
        """In the order of their start."""
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
            known = ", ".join(self.cells) or "none"
            raise UsageError(f"bundle {self._bundle!r} has no actor {name!r}; it has {known}")
        return cell

    def find(self, name: str) -> ActorRef[Any] | None:
        """The reference for use outside of actors, or None where no such actor has been started."""
        cell = self.cells.get(name)
        return self.ref_to(cell) if cell is not None and cell.state is not ActorState.STARTING else None

    def ref(self, name: str) -> ActorRef[Any]:
        """The same, or one that will find the actor once it is started."""
        return self.find(name) or LaterRef(name, self.find)

    def ref_to(self, cell: Cell) -> LocalRef[Any]:
        """The one reference of a cell for use outside of actors."""
        outside = next((edge for edge in cell.edges if edge.sender == OUTSIDE), None)
        if outside is not None:
            return outside
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
            what = type(actor).__name__
            raise UsageError(f"actor {cell.name!r}: its factory returned a {what}, which is no spore.Actor")
        for port, later in bind_ports(actor, cell):
            self._later.setdefault(later.name, []).append((cell, port))
        return actor

    def wire_later(self, cell: Cell) -> None:
        """Ports that were wired to this actor by name before it was started lead to it now."""
        for owner, port in self._later.pop(cell.name, []):
            if self.cells.get(owner.name) is owner:
                rewire(owner.actor, port, bound_ref(getattr(owner.actor, port), owner, port))
