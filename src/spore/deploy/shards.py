"""Bundles that are divided by a key: the file has one, and so many of it run.

A shard is a bundle like any other: ``market`` with ``shard_by = "pool"`` and two shards stands for ``market_0`` and ``market_1``, and its
actor ``book`` for ``book_0`` and ``book_1``. What the file calls ``book`` is the one in the same shard for other actors of the shard, and
for everybody else all of them, of which each message goes to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Any

import attrs

from spore.deploy.config import BundleConfig, Part, SystemConfig
from spore.deploy.kinds import Classes
from spore.deploy.strict import Found, among, arguments
from spore.nursery_bundle import ActorRef
from spore.nursery_bundle.sharded import ShardedRef

__all__ = ["divided", "division_problems", "key_problem", "together"]


def divided(config: SystemConfig) -> SystemConfig:
    """The same with shards in place of each bundle that is divided."""
    return attrs.evolve(config, bundles=tuple(each for bundle in config.bundles for each in _shards(bundle)))


def _shards(bundle: BundleConfig) -> Iterator[BundleConfig]:
    if bundle.shard_by is None:
        yield bundle
        return
    count = bundle.shards or len(bundle.nodes)
    for number, node in enumerate(islice(cycle(bundle.nodes or (bundle.node,)), count)):
        yield attrs.evolve(
            bundle,
            name=f"{bundle.name}_{number}",
            node=node,
            actors={f"{name}_{number}": actor for name, actor in bundle.actors.items()},
            part=Part(bundle=bundle.name, number=number, by=bundle.shard_by),
            shard_by=None,
            shards=None,
            nodes=(),
        )


def division_problems(config: SystemConfig) -> Iterator[Found]:
    """Why bundles cannot be divided as the file says."""
    for number, bundle in enumerate(config.bundles):
        at = f"bundles[{number}]"
        if bundle.part is not None:
            yield f"{at}.part", 'is not for files: write shard_by = "FIELD" in the bundle that is to be divided'
        if bundle.shard_by is None:
            for name in ("shards", "nodes"):
                if getattr(bundle, name):
                    yield f"{at}.{name}", 'is of a bundle that is divided: write shard_by = "FIELD", too'
            continue
        if bundle.shards is None and len(bundle.nodes) < 2:
            yield (
                f"{at}.shards",
                "is missing: how many there are to be, at least 2; or name several nodes, for one on each",
            )
        if bundle.nodes and bundle.node is not None:
            yield f"{at}.node", "cannot be had together with nodes: they say where the shards run"
        for place, node in enumerate(bundle.nodes):
            if node not in config.nodes:
                yield f"{at}.nodes[{place}]", f"there is no node {node!r}; {among(node, config.nodes)}"
    yield from _clashes(config)


def _clashes(config: SystemConfig) -> Iterator[Found]:
    """Names of shards that something else has."""
    bundles: set[str] = set()
    actors = {name for bundle in config.bundles for name in bundle.actors}
    for at, shard in divided(config).places:
        if shard.name in bundles:
            yield (
                f"{at}.name",
                f"{shard.name!r} is the name of two bundles: shards are called as their bundle, with _0, _1 and so on",
            )
        bundles.add(shard.name)
        for name in shard.actors if shard.part is not None else ():
            if name in actors:
                yield (
                    f"{at}.actors.{shard.in_file(name)}",
                    f"{name!r} is the name of two actors: those of shards end in _0, _1 and so on",
                )
            actors.add(name)


def key_problem(by: str, handles: Classes) -> str | None:
    """Why messages of some classes cannot be divided; None if they can, or nobody knows."""
    if handles is None:
        return None
    keys: set[str] = set()
    for cls in handles:
        for name, (wanted, _) in arguments(cls).items() if attrs.has(cls) else ():
            plain = getattr(wanted, "__origin__", wanted)
            if isinstance(plain, type) and issubclass(plain, (bytes, str, int)):
                keys.add(name)
            elif name == by:
                return f"{cls.__name__}.{by} is neither bytes nor text nor a whole number, so nothing is divided by it"
    if by in keys:
        return None
    several = " or ".join(cls.__name__ for cls in handles)
    return f"{several} has no field {by!r}, so every shard would get everything; {among(by, sorted(keys))}"


def together(refs: Iterable[tuple[ActorRef[Any], str, str]]) -> list[ActorRef[Any]]:
    """What a port leads to, with one reference in place of those to the shards of one bundle.

    Args:
        refs: to single actors, each with what the file calls the shards, and with their key; both are empty for an actor that is no
            shard, or to which alone the port leads.
    """
    found: dict[tuple[str, str], list[ActorRef[Any]]] = {}
    for ref, shards, by in refs:
        found.setdefault((shards or ref.name, by), []).append(ref)
    return [ShardedRef(each, by) if by else each[0] for (_, by), each in found.items()]
