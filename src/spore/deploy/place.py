"""Each actor for itself: its class found, its configuration checked, and its options held against each other."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from spore.deploy.config import ActorConfig, SystemConfig
from spore.deploy.kinds import Kind, find_kind, kind_of
from spore.deploy.load import name_problem
from spore.deploy.strict import Found, Problem, among, key
from spore.deploy.wires import Placed
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.policy import Dispatch, Overflow

__all__ = ["Local", "import_modules", "placed"]

Local: TypeAlias = Mapping[str, tuple[Callable[..., Actor[Any]], Mapping[str, Any]]]
"""Actors of the caller's own: for each name a factory and its fields, as `spore.Bundle.start` takes them."""


def import_modules(modules: Iterable[str]) -> Iterator[Found]:
    """Import modules for the messages that they declare, and say what is wrong with them."""
    for number, name in enumerate(modules):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever a user's module raises is told
            yield f"modules[{number}]", f"{name!r} cannot be imported: {type(error).__name__}: {error}"


def placed(config: SystemConfig, local: Local) -> tuple[dict[str, Placed | None], list[Found]]:
    """The actors in the order of the file, None for one whose class was not found, and what is wrong with any."""
    actors: dict[str, Placed | None] = {}
    found: list[Found] = []
    for table, bundle in config.places:
        for name, actor in bundle.actors.items():
            at = f"{table}.actors.{key(bundle.in_file(name))}"
            try:
                kind = find_kind(actor.type)
            except Problem as problem:
                found += problem.under(f"{at}.type")
                actors[name] = None
                continue
            actors[name] = Placed(name, at, bundle, kind, actor)
            found += ((f"{at}.config.{path}".rstrip("."), said) for path, said in kind.problems(actor.config))
            found += ((f"{at}.{path}", said) for path, said in _contradictions(actor, kind))
    for name, (factory, _) in local.items():
        at = f"local.{key(name)}"
        taken = f"an actor of the configuration has the name {name!r}" if name in actors else None
        if wrong := name_problem(name) or taken:
            found.append((at, wrong))
            continue
        try:
            kind = attrs.evolve(kind_of(factory), ports={}, settings={})  # the caller has given all of them
        except Problem as problem:
            found += problem.under(at)
            continue
        actors[name] = Placed(name, at, None, kind, ActorConfig(type=kind.path))
    return actors, found


def _contradictions(actor: ActorConfig, kind: Kind) -> Iterator[Found]:
    """Options that exclude each other, or that the messages cannot fulfil."""
    lossy = actor.overflow is not Overflow.BLOCK
    if actor.overflow is Overflow.CONFLATE and not actor.key:
        yield "key", 'is missing: overflow = "conflate" keeps the newest of each kind, and these fields tell the kind'
    if actor.key and actor.overflow is not Overflow.CONFLATE:
        yield "key", f'means something with overflow = "conflate" only, not with "{actor.overflow}"'
    if actor.dispatch is Dispatch.INLINE and lossy:
        yield (
            "dispatch",
            f'"inline" cannot be had with overflow = "{actor.overflow}": what is lost depends on what waits',
        )
    if actor.merge is not None and lossy:
        reason = 'the order would not depend on timing, but what is lost would; use overflow = "block"'
        yield "merge", f'cannot be had with overflow = "{actor.overflow}": {reason}'
    for cls in kind.handles or ():
        fields = [field.name for field in attrs.fields(cls)] if attrs.has(cls) else []
        for number, name in enumerate(actor.key):
            if name not in fields:
                yield f"key[{number}]", f"{cls.__name__} has no field {name!r}; {among(name, fields)}"
        if actor.merge is not None and "event_time_ns" not in fields:
            yield "merge", f"messages are merged by their event_time_ns, and {cls.__name__} has none"
