"""The plan of a system: who is wired to whom, by which route, in which process. It is made before anything is started.

Invariant: the same configuration makes the same plan, and a plan without problems says all that a process needs to know.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import attrs

from spore import feeds
from spore.deploy.config import BundleConfig, Mode, SystemConfig
from spore.deploy.cycles import closing, cyclic_groups
from spore.deploy.kinds import Classes, overlap
from spore.deploy.load import said
from spore.deploy.nodes import node_problems
from spore.deploy.place import Local, import_modules, placed
from spore.deploy.shards import key_problem
from spore.deploy.strict import Found, among
from spore.deploy.twin import Twin, collectors, refusals, twin_of
from spore.deploy.wires import Placed, Wire, class_names, wires_of
from spore.errors import ConfigError, FeedError, UsageError
from spore.message import REGISTRY, message_type
from spore.nursery_bundle.wiring import groups_in_order
from spore.relay import Address

__all__ = ["Edge", "Plan", "Route", "Unit", "UnitKind", "examine", "make_plan"]

MESSAGES = "spore.services.messages"


class Route(enum.StrEnum):
    """How messages get from one actor to another."""

    REFERENCE = "reference"
    """In one process: the object itself is handed over."""
    RELAY = "relay"
    """Between processes of one node: as frames, through its relay."""
    DISTRIBUTED = "distributed"
    """From process to process through the engine, on whichever nodes they are: as frames, too."""


_CARRIER = {Route.RELAY: "the relay", Route.DISTRIBUTED: "the engine"}


class UnitKind(enum.StrEnum):
    """What a process is for."""

    BUNDLE = "bundle"
    """All actors of a bundle in ``shared_memory``."""
    ACTOR = "actor"
    """One actor of a bundle in ``relay`` or ``distributed``."""
    FEED = "feed"
    LOCAL = "local"
    """Actors of the caller's own that share no bundle with others."""


@attrs.frozen
class Edge:
    """A port that leads to an actor, and the route there."""

    sender: str
    port: str
    receiver: str
    route: Route
    reason: str
    """Why this route."""
    why: str
    """Why it leads there."""
    feedback: bool = False
    """Whether it closes a cycle that leaves a process. Nobody waits for room in it."""
    durable: bool = False
    """Whether the engine keeps what goes over it until it is handled."""
    shards: str = ""
    """Where each message goes to one of several: what the file calls them. Empty where all go this way."""
    by: str = ""
    """The key that tells to which of them."""


@attrs.frozen
class Unit:
    """What one process runs, or one bundle of the calling process."""

    kind: UnitKind
    name: str
    actors: tuple[str, ...]
    """In the order of their start: receivers before senders."""
    here: bool
    """Whether it runs in the calling process."""
    bundle: BundleConfig | None = None
    node: str = ""
    """Where it runs; empty in a system without nodes."""
    admitted: tuple[str, ...] = ()
    """Those of its actors that are reached through the engine: from other nodes, or because of their bundle's mode."""
    keeps: bool = False
    """Whether something durable goes out from here, or comes in."""

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name!r}"

    @property
    def senders(self) -> tuple[str, ...]:
        """The names under which something is sent from here."""
        return self.actors or (self.name,)

    @property
    def inlet(self) -> str:
        """What it is called in the engine."""
        return f"{self.label} of {self.node}" if self.kind is UnitKind.LOCAL else self.label


@attrs.frozen(kw_only=True)
class Plan:
    """A system, before it runs."""

    config: SystemConfig
    actors: Mapping[str, Placed]
    edges: tuple[Edge, ...]
    units: tuple[tuple[Unit, ...], ...]
    """Senders before receivers; those of one group send to each other."""
    node: str = ""
    """The node whose part runs here. Empty in a system without nodes, and in a plan that is only looked at."""
    messages: tuple[str, ...]
    """What all processes have to mean alike: the messages of the modules that are named, and of the edges, each as
    ``package.module:Class``."""
    apart: bool = False
    """Whether bundles in ``shared_memory`` have processes of their own, too."""
    twins: Mapping[str, Twin] = attrs.field(factory=dict)
    """Of the bundles in shadow mode, by their names."""
    problems: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    """The same, each with its path."""

    def bundle(self, name: str) -> BundleConfig:
        """A bundle's configuration."""
        return next(bundle for bundle in self.config.bundles if bundle.name == name)

    def unit_of(self, actor: str) -> Unit:
        """Where an actor runs."""
        return next(unit for group in self.units for unit in group if actor in unit.actors)

    @property
    def relay(self) -> bool:
        """Whether a relay is needed here."""
        return self.node in self.relays

    @property
    def relays(self) -> tuple[str, ...]:
        """The nodes that need a relay; the empty name for a system without nodes."""
        units = [unit for group in self.units for unit in group]
        home = {name: unit for unit in units for name in unit.senders}
        needed = [home[edge.sender].node for edge in self.edges if edge.route is Route.RELAY]
        if not self.apart:  # whoever runs it reaches them through it
            relayed = (unit for unit in units if unit.kind is UnitKind.ACTOR and not _is_distributed(unit.bundle))
            needed += [unit.node for unit in relayed]
        return tuple(dict.fromkeys(needed))

    @property
    def own(self) -> tuple[Unit, ...]:
        """The units that run on this node, senders before receivers."""
        return tuple(unit for group in self.units for unit in group if unit.node == self.node)

    @property
    def others(self) -> tuple[str, ...]:
        """The other nodes that run something, in the order of the file."""
        used = {unit.node for group in self.units for unit in group}
        return tuple(name for name in self.config.nodes if name in used and name != self.node)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Those of them that have to be there before anything is sent here: what is durable waits for nobody."""
        home = {name: unit.node for group in self.units for unit in group for name in unit.senders}
        edges = (edge for edge in self.edges if not edge.durable)
        pairs = {frozenset((home[edge.sender], home[edge.receiver])) for edge in edges}
        near = {self.node}
        while more := {node for pair in pairs if not near.isdisjoint(pair) for node in pair} - near:
            near |= more
        return tuple(name for name in self.others if name in near)

    @property
    def keeps(self) -> bool:
        """Whether anything in the system is durable."""
        return any(unit.keeps for group in self.units for unit in group)

    @property
    def engine(self) -> bool:
        """Whether this node needs the engine: something here sends or takes through it, or has to be told that other nodes are there."""
        return (
            bool(self.others)
            or any(edge.route is Route.DISTRIBUTED for edge in self.edges)
            or any(unit.admitted for unit in self.own)
        )


def make_plan(
    config: SystemConfig,
    *,
    local: Local | None = None,
    apart: bool = False,
    node: str | None = None,
    source: str = "configuration",
) -> Plan:
    """The plan of a system that can work.

    Args:
        config: what is wanted.
        local: actors of the caller's own; see `spore.deploy.open_system`.
        apart: bundles in ``shared_memory`` get processes of their own, too, as ``spore run`` does it.
        node: the node whose part is to run; where there is one only, that.
        source: where the configuration is from, for errors.

    Raises:
        ConfigError: with every problem.
    """
    plan = examine(config, local=local, apart=apart, node=node)
    if plan.problems:
        raise ConfigError(source, plan.problems)
    return plan


def examine(config: SystemConfig, *, local: Local | None = None, apart: bool = False, node: str | None = None) -> Plan:
    """The same as `make_plan`, with whatever can be said of a system that cannot work, and why it cannot."""
    importlib.import_module(MESSAGES)
    found = [*_cannot_listen(config.relay.socket), *import_modules(config.modules), *node_problems(config)]
    if node is None:
        node = next(iter(config.nodes)) if len(config.nodes) == 1 else ""
    known, more = placed(config, local or {})
    found += more
    wires, more = wires_of(known, config.shards)
    found += more
    actors = {name: actor for name, actor in known.items() if actor is not None}
    units, homes = _units(config, actors, wires, apart=apart, node=node)
    fed, more = _fed(config, known, homes)
    edges = _edges(actors, wires, homes) + fed
    durable = {name for name, actor in actors.items() if actor.config.durable}
    edges = [attrs.evolve(edge, durable=edge.receiver in durable and edge.route is Route.DISTRIBUTED) for edge in edges]
    units = [_with_engine(unit, edges, durable, several=len(config.nodes) > 1) for unit in units]
    found += _not_durable(actors, units)
    found += more
    found += _not_divided(actors, edges)
    found += _cannot_travel(actors, edges)
    pairs = [(edge.sender, edge.receiver) for edge in edges]
    for group in cyclic_groups(tuple(actors), [pair for pair in pairs if pair[0] in actors]):
        for name in group:
            if actors[name].config.merge is not None:
                around = " → ".join((*group, group[0]))
                found.append((f"{actors[name].at}.merge", f"it would wait for itself, in the cycle {around}"))
    twins, more = _twins(config, actors, wires, reached={edge.receiver for edge in fed}, before=found)
    found += more
    return Plan(
        config=config,
        actors=actors,
        edges=tuple(edges),
        units=_in_order(units, edges),
        node=node,
        messages=_messages(config, actors),
        apart=apart,
        twins=twins,
        problems=said(found),
        found=tuple(found),
    )


def _cannot_listen(socket: str | None) -> Iterator[Found]:
    """What keeps a relay from listening where the file says."""
    if socket is None:
        return
    try:
        Address(path=socket)
    except UsageError as error:
        yield "relay.socket", str(error)
        return
    folder = Path(socket).parent
    if not folder.is_dir():
        yield "relay.socket", f"there is no folder {str(folder)!r}; make it, or name another place"


def _units(
    config: SystemConfig, actors: Mapping[str, Placed], wires: list[Wire], *, apart: bool, node: str
) -> tuple[list[Unit], dict[str, Unit]]:
    """The processes, and which one each actor is in."""

    def where(bundle: BundleConfig | None) -> str:
        return config.node_of(bundle) if bundle is not None else node

    members: dict[tuple[UnitKind, str], tuple[BundleConfig | None, list[str]]] = {}
    home: dict[str, tuple[UnitKind, str]] = {}
    for name, actor in actors.items():
        bundle = actor.bundle
        if bundle is not None:
            shared = bundle.mode is Mode.SHARED_MEMORY
            home[name] = (UnitKind.BUNDLE, bundle.name) if shared else (UnitKind.ACTOR, name)
            members.setdefault(home[name], (bundle, []))[1].append(name)
    for name, actor in actors.items():
        if actor.local:  # by reference where a sender's bundle is in this process
            senders = (home[wire.sender] for wire in wires if wire.receiver == name)
            home[name] = next(
                (at for at in senders if at[0] is UnitKind.BUNDLE and where(members[at][0]) == node),
                (UnitKind.LOCAL, "local"),
            )
            members.setdefault(home[name], (None, []))[1].append(name)
    units = {
        (kind, name): Unit(
            kind,
            name,
            _start_order(names, wires),
            here=kind is UnitKind.LOCAL or (kind is UnitKind.BUNDLE and not apart and where(bundle) == node),
            bundle=bundle,
            node=where(bundle),
        )
        for (kind, name), (bundle, names) in members.items()
    }
    feeds = [
        Unit(UnitKind.FEED, f"feeds[{number}]", (), here=False, node=config.node_of(feed))
        for number, feed in enumerate(config.feeds)
    ]
    return [*feeds, *units.values()], {name: units[at] for name, at in home.items()}


def _start_order(names: list[str], wires: list[Wire]) -> tuple[str, ...]:
    following = {
        name: [wire.receiver for wire in wires if wire.sender == name and wire.receiver in names] for name in names
    }
    return tuple(name for group in reversed(groups_in_order(names, following.__getitem__)) for name in group)


def _edges(actors: Mapping[str, Placed], wires: list[Wire], homes: Mapping[str, Unit]) -> list[Edge]:
    edges = []
    for wire in wires:
        route, reason = _route(actors[wire.sender], actors[wire.receiver], homes)
        edges.append(
            _shared_out(Edge(wire.sender, wire.port, wire.receiver, route, reason, wire.why), actors, wire.shards)
        )
    inside = [(edge.sender, edge.receiver) for edge in edges if edge.route is Route.REFERENCE]
    leaving = [(edge.sender, edge.receiver) for edge in edges if edge.route is not Route.REFERENCE]
    closes = closing(tuple(actors), references=inside, relayed=leaving)
    return [
        attrs.evolve(edge, feedback=edge.route is not Route.REFERENCE and (edge.sender, edge.receiver) in closes)
        for edge in edges
    ]


def _shared_out(edge: Edge, actors: Mapping[str, Placed], shards: str) -> Edge:
    """An edge as one of those to several shards, if it is one."""
    bundle = actors[edge.receiver].bundle
    if not shards or bundle is None or bundle.part is None:
        return edge
    return attrs.evolve(edge, shards=shards, by=bundle.part.by)


def _not_divided(actors: Mapping[str, Placed], edges: list[Edge]) -> Iterator[Found]:
    """Edges to shards whose messages have nothing to divide them by."""
    for edge in edges:
        actor = actors[edge.receiver]
        if edge.shards and (wrong := key_problem(edge.by, actor.kind.handles)):
            yield f"{actor.at.partition('.')[0]}.shard_by", wrong


def _route(sender: Placed, receiver: Placed, homes: Mapping[str, Unit]) -> tuple[Route, str]:
    ours, theirs = homes[sender.name], homes[receiver.name]
    if ours is theirs and ours.kind in {UnitKind.BUNDLE, UnitKind.LOCAL}:
        return Route.REFERENCE, f"both run in {ours.label}"
    if ours.node != theirs.node:
        return (
            Route.DISTRIBUTED,
            f"{sender.name!r} runs on node {ours.node!r}, {receiver.name!r} on node {theirs.node!r}",
        )
    for bundle in (sender.bundle, receiver.bundle):
        if _is_distributed(bundle):
            return Route.DISTRIBUTED, f'mode = "distributed" in bundle {bundle.name!r}'
    if sender.bundle is receiver.bundle:
        return Route.RELAY, f'mode = "relay" in bundle {sender.bundle.name!r}' if sender.bundle else "both are local"
    return Route.RELAY, f"{sender.name!r} runs in {ours.label}, {receiver.name!r} in {theirs.label}"


def _is_distributed(bundle: BundleConfig | None) -> TypeGuard[BundleConfig]:
    return bundle is not None and bundle.mode is Mode.DISTRIBUTED


def _with_engine(unit: Unit, edges: list[Edge], durable: set[str], *, several: bool) -> Unit:
    """A unit, with what goes from it, and to it, through the engine."""
    admitted = _admitted(unit, edges, several=several)
    keeps = not durable.isdisjoint(admitted) or any(edge.durable and edge.sender in unit.senders for edge in edges)
    return attrs.evolve(unit, admitted=admitted, keeps=keeps)


def _not_durable(actors: Mapping[str, Placed], units: list[Unit]) -> Iterator[Found]:
    """Actors of which nothing could be kept, or that could not bear it."""
    admitted = {name for unit in units for name in unit.admitted}
    for name, actor in actors.items():
        if not actor.config.durable:
            continue
        if name not in admitted:
            reason = 'put a sender on another node, or the bundle in mode "distributed"'
            yield (
                f"{actor.at}.durable",
                f"nothing comes to {name!r} through the engine, so nothing would be kept; {reason}",
            )
        if actor.config.merge is not None:
            reason = "it has to know its senders before something comes, and a stream tells of them by what comes"
            yield f"{actor.at}.durable", f"cannot be had with merge: {reason}"


def _admitted(unit: Unit, edges: list[Edge], *, several: bool) -> tuple[str, ...]:
    """Those of a unit's actors to which the engine leads: an edge does, or whoever sends to them from outside has no other way."""
    if _is_distributed(unit.bundle):
        return unit.actors
    through = {edge.receiver for edge in edges if edge.route is Route.DISTRIBUTED}
    led_to = {edge.receiver for edge in edges}
    return tuple(name for name in unit.actors if name in through or (several and unit.bundle and name not in led_to))


def _fed(
    config: SystemConfig, actors: Mapping[str, Placed | None], homes: Mapping[str, Unit]
) -> tuple[list[Edge], list[Found]]:
    """The edges of feeds, each of which has a process of its own."""
    edges: list[Edge] = []
    found: list[Found] = []
    market: Classes = importlib.import_module(MESSAGES).MarketMessage.__args__
    shards = config.shards
    for number, feed in enumerate(config.feeds):
        try:
            source = feeds.feed_of(*feed.source)
            if feed.rate is not None and not isinstance(source, feeds.RecordedFeed):
                found.append((f"feeds[{number}].rate", "a live feed comes when it comes; leave its rate out"))
        except (UsageError, FeedError) as error:
            found.append((f"feeds[{number}].source", str(error)))
        if not feed.to:
            found.append((f"feeds[{number}].to", f"a feed has to lead somewhere; {among('', actors)}"))
        for place, name in enumerate(feed.to):
            at = f"feeds[{number}].to[{place}]"
            several = shards.get(name, ())
            if name not in actors and not several:
                found.append((at, f"there is no actor {name!r}; {among(name, [*shards, *actors])}"))
            for receiver in several or (name,):
                if (actor := actors.get(receiver)) is None:
                    continue
                if overlap(market, actor.kind.handles) is False:
                    handles = class_names(actor.kind.handles)
                    found.append((at, f"{name!r} handles {handles}, and a feed sends market data"))
                    break
                route, reason = _route_of_feed(config.node_of(feed), homes[receiver])
                edge = Edge(f"feeds[{number}]", "to", receiver, route, reason, "feeds.to says so")
                edges.append(_shared_out(edge, {receiver: actor}, name if several else ""))
    return edges, found


def _route_of_feed(node: str, theirs: Unit) -> tuple[Route, str]:
    if node != theirs.node:
        return Route.DISTRIBUTED, f"the feed runs on node {node!r}, and the actor on node {theirs.node!r}"
    if _is_distributed(theirs.bundle):
        return Route.DISTRIBUTED, f'mode = "distributed" in bundle {theirs.bundle.name!r}'
    return Route.RELAY, "a feed runs in a process of its own"


def _cannot_travel(actors: Mapping[str, Placed], edges: list[Edge]) -> Iterator[Found]:
    """Messages of edges that leave a process, and that have no wire form that another process knows."""
    for edge in edges:
        if edge.route is Route.REFERENCE or edge.sender not in actors:
            continue
        sender = actors[edge.sender]
        sends, handles = sender.kind.ports[edge.port].sends, actors[edge.receiver].kind.handles
        for cls in sends or handles or ():
            if handles is not None and not overlap((cls,), handles):
                continue
            at = f"{sender.at}.wire.{edge.port}"
            if cls not in REGISTRY:
                reason = "is no registered message; declare it with @spore.message(type_id=…, domain=…)"
                yield at, f"{cls.__name__} goes to {edge.receiver!r} through {_CARRIER[edge.route]}, and {reason}"
            elif "<locals>" in cls.__qualname__:
                reason = "is declared inside a function, where no other process finds it"
                yield at, f"{cls.__name__} goes to {edge.receiver!r} through {_CARRIER[edge.route]}, and {reason}"


def _twins(
    config: SystemConfig, actors: Mapping[str, Placed], wires: list[Wire], *, reached: set[str], before: list[Found]
) -> tuple[dict[str, Twin], list[Found]]:
    """The twins of bundles in shadow mode, and why there cannot be one.

    Args:
        config: the system.
        actors: its actors.
        wires: its wires.
        reached: the actors to which feeds lead.
        before: what was found yet. Of a bundle that has problems itself, all of them would be said once more, of the twin.
    """
    twins: dict[str, Twin] = {}
    found: list[Found] = []
    for table, bundle in config.places:
        if not bundle.shadowed:
            continue
        twin = twins[bundle.name] = twin_of(bundle, config, actors=actors, wires=wires, reached=reached)
        at = f"{table}.shadow"
        own = [(f"{at}.{path}".rstrip("."), said) for path, said in refusals(twin, bundle, actors, wires)]
        found += own
        if not own and not any(path.startswith(f"{table}.") for path, _ in before):
            beside = examine(twin.config, local=collectors(twin, lambda *_: None))
            found += [(at, f"its twin could not run: {problem}") for problem in beside.problems]
    return twins, found


def _in_order(units: list[Unit], edges: list[Edge]) -> tuple[tuple[Unit, ...], ...]:
    home = {unit.name: unit.label for unit in units if unit.kind is UnitKind.FEED}
    home |= {name: unit.label for unit in units for name in unit.actors}
    following: dict[str, list[str]] = {unit.label: [] for unit in units}
    for edge in edges:
        following[home[edge.sender]].append(home[edge.receiver])
    by_label = {unit.label: unit for unit in units}
    groups = groups_in_order(tuple(by_label), following.__getitem__)
    return tuple(tuple(by_label[label] for label in group) for group in groups)


def _messages(config: SystemConfig, actors: Mapping[str, Placed]) -> tuple[str, ...]:
    """What the modules that are named declare, and what is handled and sent. A caller may know more messages than its
    configuration needs, and the processes would then differ for no reason."""
    modules = {
        MESSAGES,
        *config.modules,
        *(actor.kind.path.partition(":")[0] for actor in actors.values() if not actor.local),
    }
    needed: set[Any] = set()
    for actor in actors.values():
        needed.update(actor.kind.handles or ())
        for port in actor.kind.ports.values():
            needed.update(port.sends or ())
    numbers = {message_type(cls).type_id for cls in needed if cls in REGISTRY}  # a class may be defined again
    return tuple(
        f"{entry.cls.__module__}:{entry.cls.__qualname__}"
        for entry in REGISTRY
        if "<locals>" not in entry.cls.__qualname__
        and (entry.type_id in numbers or any(f"{entry.cls.__module__}.".startswith(f"{module}.") for module in modules))
    )
