"""Cycles of actors: which there are, and which relayed edge closes each.

A relayed edge bounds what is under way, and its sender waits for room. Around a cycle that wait could be for oneself, so
in every cycle that leaves a process one edge is marked as feedback: nobody waits for room in it. Which one is decided by
the file alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from spore.nursery_bundle.wiring import groups_in_order

__all__ = ["Pair", "closing", "cyclic_groups"]

Pair = tuple[str, str]
"""Sender and receiver."""


def cyclic_groups(actors: Sequence[str], pairs: Collection[Pair]) -> list[list[str]]:
    """The groups of actors whose messages can come back to them, each in the order of ``actors``."""
    following = _following(actors, pairs)
    groups = groups_in_order(actors, following.__getitem__)
    rank = {name: number for number, name in enumerate(actors)}
    return [
        sorted(group, key=rank.__getitem__) for group in groups if len(group) > 1 or group[0] in following[group[0]]
    ]


def closing(actors: Sequence[str], *, references: Collection[Pair], relayed: Collection[Pair]) -> set[Pair]:
    """The relayed edges without which no cycle has a relayed edge.

    Args:
        actors: in the order of the file, which decides.
        references: the edges within a process; a cycle of these alone is the bundle's business.
        relayed: the others.
    """
    every = [*references, *relayed]
    closes: set[Pair] = set()
    for group in cyclic_groups(actors, every):
        inside = set(group)
        blocks = _blocks(group, [pair for pair in references if inside.issuperset(pair)])
        edges = [pair for pair in relayed if inside.issuperset(pair)]
        entered = {receiver for sender, receiver in every if receiver in inside and sender not in inside}
        first = next((name for name in group if name in entered), group[0])
        closes |= _back_edges(blocks, edges, first)
    return closes


def _following(actors: Iterable[str], pairs: Iterable[Pair]) -> dict[str, list[str]]:
    following: dict[str, list[str]] = {name: [] for name in actors}
    for sender, receiver in pairs:
        following.setdefault(sender, []).append(receiver)
        following.setdefault(receiver, [])
    return following


def _blocks(group: list[str], references: list[Pair]) -> dict[str, str]:
    """For each actor one that stands for all with which references connect it, in either direction."""
    block = {name: name for name in group}
    for pair in references:
        one, other = (block[name] for name in pair)
        block = {name: one if of == other else of for name, of in block.items()}
    return block


def _back_edges(blocks: Mapping[str, str], edges: list[Pair], first: str) -> set[Pair]:
    """The edges that lead back to where a search in depth, from the first actor, has come from."""
    leaving: dict[str, list[Pair]] = {block: [] for block in blocks.values()}
    for pair in edges:
        leaving[blocks[pair[0]]].append(pair)
    found: set[Pair] = set()
    done: set[str] = set()
    start = blocks[first]
    way = {start: iter(leaving[start])}  # a dict keeps the order, and knows its members
    while way:
        block = next(reversed(way))
        for pair in way[block]:
            ahead = blocks[pair[1]]
            if ahead in way:
                found.add(pair)
            elif ahead not in done:
                way[ahead] = iter(leaving[ahead])
                break
        else:
            done.add(block)
            del way[block]
    return found
