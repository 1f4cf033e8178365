"""Who is wired to whom: what the configuration says, or else the actor of the port's name, or else the only one that handles
everything that goes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from spore.deploy.config import ActorConfig, BundleConfig
from spore.deploy.kinds import Classes, Kind, Port, covers, overlap
from spore.deploy.strict import Found, among, key

__all__ = ["Placed", "Wire", "class_names", "wires_of"]


@attrs.frozen(eq=False)
class Placed:
    """An actor, with its class, and its place in the file."""

    name: str
    at: str
    """The path of its key."""
    bundle: BundleConfig | None
    """None for an actor of the caller's own."""
    kind: Kind
    config: ActorConfig

    @property
    def local(self) -> bool:
        """Whether the caller of `open_system` has brought it."""
        return self.bundle is None


@attrs.frozen
class Wire:
    """A port that leads to an actor."""

    sender: str
    port: str
    receiver: str
    why: str
    """What has decided that."""
    shards: str = ""
    """Where each message goes to one of several: what the file calls them. Empty where all go this way."""


def wires_of(
    actors: Mapping[str, Placed | None], shards: Mapping[str, tuple[str, ...]]
) -> tuple[list[Wire], list[Found]]:
    """All wires, in the order of the file, and what is wrong. Of an actor without a class nothing is said.

    Args:
        actors: all of the system's.
        shards: those that several stand for, by the name that the file has for them. There is a wire to each of these, or to the one
            in the sender's own bundle.
    """
    wires: list[Wire] = []
    found: list[Found] = []
    for actor in actors.values():
        if actor is None:
            continue
        for name in actor.config.wire:
            if name not in actor.kind.ports:
                known = among(name, actor.kind.ports)
                found.append((f"{actor.at}.wire.{key(name)}", f"{_short(actor)} has no such port; {known}"))
        seen = _seen_by(actor, actors, shards) if shards else actors
        named = {**actors, **seen} if shards else actors
        for port in actor.kind.ports.values():
            given = actor.config.wire.get(port.name)
            for one in _given(actor, port, given, named) if given is not None else _chosen(actor, port, seen):
                if isinstance(one, Wire):
                    wires += _to_each(one, actor, shards)
                else:
                    found.append(one)
    return wires, found


def _seen_by(
    actor: Placed, actors: Mapping[str, Placed | None], shards: Mapping[str, tuple[str, ...]]
) -> dict[str, Placed | None]:
    """The actors by the names that an actor's own wires have for them. Of shards there is the own one, or one for all."""
    hidden = {shard for several in shards.values() for shard in several}
    seen = {name: other for name, other in actors.items() if name not in hidden}
    return seen | {name: actors[_own(actor, several) or several[0]] for name, several in shards.items()}


def _to_each(wire: Wire, actor: Placed, shards: Mapping[str, tuple[str, ...]]) -> Iterator[Wire]:
    """The wires of one that may lead to several shards."""
    several = shards.get(wire.receiver, ())
    if own := _own(actor, several):
        yield attrs.evolve(wire, receiver=own)
    elif several:
        yield from (attrs.evolve(wire, receiver=shard, shards=wire.receiver) for shard in several)
    else:
        yield wire


def _own(actor: Placed, several: tuple[str, ...]) -> str:
    """Which of several shards is in the same bundle as an actor; empty if none is."""
    return next((name for name in several if actor.bundle is not None and name in actor.bundle.actors), "")


def _given(
    actor: Placed, port: Port, names: tuple[str, ...], actors: Mapping[str, Placed | None]
) -> Iterator[Wire | Found]:
    at = f"{actor.at}.wire.{key(port.name)}"
    if not names and port.required:
        yield at, f"the port {port.name!r} of {_short(actor)} has to lead somewhere; {_fitting(actor, port, actors)}"
    for number, name in enumerate(names):
        if name not in actors:
            yield f"{at}[{number}]", f"there is no actor {name!r}; {among(name, actors)}"
        elif name in names[:number]:
            yield f"{at}[{number}]", f"{name!r} is wired here already"
        elif (other := actors[name]) is None:
            continue
        elif overlap(port.sends, other.kind.handles) is False:
            yield f"{at}[{number}]", _misfit(port, other, actors, actor)
        else:
            yield Wire(actor.name, port.name, name, f"wire.{port.name} says so")


def _chosen(actor: Placed, port: Port, actors: Mapping[str, Placed | None]) -> Iterator[Wire | Found]:
    at = f"{actor.at}.wire.{key(port.name)}"
    namesake = actors.get(port.name)
    if namesake is not None and namesake is not actor:
        if overlap(port.sends, namesake.kind.handles) is False:
            yield at, _misfit(port, namesake, actors, actor)
        else:
            yield Wire(actor.name, port.name, port.name, "it has the port's name")
        return
    if None in actors.values():
        return  # it may be the one
    fitting = _fits(actor, port, actors, whole=True)
    if len(fitting) == 1:
        yield Wire(actor.name, port.name, fitting[0], f"it alone handles {class_names(port.sends)}")
    elif fitting:
        hint = f"write wire = {{ {port.name} = […] }}" + ("" if port.required else ", with [] for none")
        several = ", ".join(map(repr, fitting))
        yield at, f"the port {port.name!r} of {_short(actor)} could lead to {several}; {hint}"
    elif port.required:
        yield at, f"the port {port.name!r} of {_short(actor)} has to lead somewhere; {_fitting(actor, port, actors)}"


def _fits(actor: Placed, port: Port, actors: Mapping[str, Placed | None], *, whole: bool = False) -> list[str]:
    """Whom the types alone recommend. What is local is there for a purpose of the caller's, and is wired by name only.

    Args:
        whole: those who handle everything that the port sends, and not only some of it.
    """
    fits = covers if whole else overlap
    return [
        name
        for name, other in actors.items()
        if other is not None and other is not actor and not other.local and fits(other.kind.handles, port.sends)
    ]


def _fitting(actor: Placed, port: Port, actors: Mapping[str, Placed | None]) -> str:
    fitting = _fits(actor, port, actors)
    if fitting:
        return f"{', '.join(map(repr, fitting))} would fit"
    if port.sends is None:
        return f'name an actor: wire = {{ {port.name} = ["…"] }}'
    return f"no other actor here handles {class_names(port.sends)}"


def _misfit(port: Port, other: Placed, actors: Mapping[str, Placed | None], actor: Placed) -> str:
    sends, handles = class_names(port.sends), class_names(other.kind.handles)
    sentence = f"{other.name!r} handles {handles}, and the port {port.name!r} sends {sends}"
    fitting = _fits(actor, port, actors)
    return f"{sentence}; {', '.join(map(repr, fitting))} would fit" if fitting else sentence


def class_names(classes: Classes) -> str:
    """Classes of messages, in words."""
    return "anything" if classes is None else " or ".join(cls.__name__ for cls in classes)


def _short(actor: Placed) -> str:
    return actor.kind.path.rpartition(":")[2]
