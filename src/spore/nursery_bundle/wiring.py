"""Who sends to whom: what the order of draining, back pressure and the search for deadlocks need to know."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell

__all__ = ["Outlet", "drain_order", "groups_in_order", "reaches", "receivers", "waits_for"]

N = TypeVar("N", bound=Hashable)


class Outlet(Protocol):
    """A reference, in an actor's port, to an actor of another process."""

    @property
    def owner(self) -> Cell | None:
        """Whose port it is."""
        ...

    def idle(self) -> None:
        """As `ActorRef.idle`."""
        ...


def receivers(cell: Cell) -> list[Cell]:
    """The actors, of this bundle or of another, to which an actor may send: its ports lead to them, or it has started them."""
    return [*(ref.cell for ref in (cell.ports or {}).values()), *cell.children]


def reaches(start: Cell, goal: object) -> bool:
    """Whether messages to ``start`` can lead to messages to ``goal``, an actor or an outlet, over any number of actors."""
    goal = getattr(goal, "owner", goal)
    seen = {start}
    ahead = [start]
    while ahead:
        cell = ahead.pop()
        if cell is goal:
            return True
        for following in receivers(cell):
            if following not in seen:
                seen.add(following)
                ahead.append(following)
    return False


def waits_for(cell: Cell, other: Cell) -> bool:
    """Whether an actor is, or waits in its handler for, another one, over any number of actors."""
    seen: set[Cell] = set()
    ahead = [cell]
    while ahead:
        waiting = ahead.pop()
        if waiting is other:
            return True
        if waiting not in seen:
            seen.add(waiting)
            ahead.extend(waiting.waits_for)
    return False


def drain_order(cells: Iterable[Cell]) -> list[list[Cell]]:
    """These actors in groups, senders before receivers; a group of several is a cycle and must be drained together.

    Ports may lead to actors of other bundles, which are none of this drain's.
    """
    own = dict.fromkeys(cells)
    return groups_in_order(own, lambda cell: [other for other in receivers(cell) if other in own])


def groups_in_order(nodes: Iterable[N], receivers_of: Callable[[N], Iterable[N]]) -> list[list[N]]:
    """Senders and receivers in groups, senders before receivers; those of one group reach each other.

    Where the wiring does not say, later nodes come first: what it does not show, such as references in messages,
    usually leads to what was there before.

    Source: Tarjan, "Depth-first search and linear graph algorithms" (1972); with a stack of its own, because a chain
    of actors may be longer than Python's.
    """
    index: dict[N, int] = {}
    low: dict[N, int] = {}
    stack: list[N] = []
    open_nodes: set[N] = set()
    groups: list[list[N]] = []

    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(receivers_of(root)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        open_nodes.add(root)
        while work:
            node, ahead = work[-1]
            for following in ahead:
                if following not in index:
                    index[following] = low[following] = len(index)
                    stack.append(following)
                    open_nodes.add(following)
                    work.append((following, iter(receivers_of(following))))
                    break
                if following in open_nodes:
                    low[node] = min(low[node], index[following])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node) if stack[-1] is not node else len(stack) - 1
                    group = stack[at:]
                    del stack[at:]
                    open_nodes.difference_update(group)
                    groups.append(group)
    return [group[::-1] for group in reversed(groups)]
