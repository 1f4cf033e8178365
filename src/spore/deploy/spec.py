"""What a process is told to run: plain data, made from the plan, that travels as JSON and is read back strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeVar

import attrs
import cattrs

from spore.deploy.config import ActorConfig, FeedConfig, Mode
from spore.deploy.engine import EngineSpec
from spore.deploy.hops import Hop
from spore.deploy.plan import Plan, Route, Unit, UnitKind
from spore.deploy.strict import Problem, structure
from spore.deploy.twin import Twin
from spore.errors import UsageError
from spore.nursery_bundle.policy import Overflow, Supervision

__all__ = [
    "ActorSpec",
    "FeedSpec",
    "LinkSpec",
    "RelaySpec",
    "Target",
    "UnitSpec",
    "dump_plain",
    "from_json",
    "load_plain",
    "spec_of",
    "target_of",
    "to_json",
]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Target:
    """An actor to which references lead."""

    receiver: str
    remote: bool
    """Whether it is in another process."""
    inlet: str = ""
    """Of that process in the engine; empty where it is reached through the relay."""
    node: str = ""
    """Where that process runs, if it is reached through the engine."""
    durable: bool = False
    """Whether the engine keeps what is sent to it until it is handled."""
    feedback: bool = False
    capacity: int
    """Its mailbox's."""
    key: tuple[str, ...] = ()
    """What tells the kinds of messages that it conflates."""
    shards: str = ""
    """Of a shard that gets its part of what a port sends: what the file calls all of them. Empty for one that gets everything."""
    by: str = ""
    """The field that tells which part."""


@attrs.frozen(kw_only=True)
class ActorSpec:
    """An actor to start."""

    name: str
    type: str
    """``package.module:Class``, or empty for one that the caller has brought."""
    ports: dict[str, tuple[Target, ...]] = attrs.field(factory=dict)
    options: ActorConfig
    state: Any = None
    """What a predecessor's `spore.Actor.snapshot` returned; None for an actor that begins afresh."""
    begins_traces: bool = False
    """Whether a feed leads to it."""


@attrs.frozen(kw_only=True)
class LinkSpec:
    """How to talk to other processes."""

    address: str | None
    """The relay's; None where nobody is reached through it."""
    heartbeat_s: float
    messages: tuple[str, ...]
    """What both ends of a link have to mean alike, each as ``package.module:Class``."""
    trace: bool = False
    """Whether messages carry the trace that they belong to."""
    engine: EngineSpec | None = None
    """None where nobody is reached through it."""
    durable: bool = False
    """Whether something durable goes out, or comes in."""
    inlet: str = ""
    """What this process is called in the engine, if others reach it there, or it sends or takes what is durable."""


@attrs.frozen(kw_only=True)
class UnitSpec:
    """A bundle to run."""

    label: str
    bundle: str
    actors: tuple[ActorSpec, ...]
    """In the order of their start."""
    attached: tuple[str, ...]
    """Those that others reach through the relay."""
    admitted: tuple[str, ...] = ()
    """Those that others reach through the engine."""
    durable: tuple[str, ...] = ()
    """Those for whom the engine keeps what was sent to them."""
    drain_timeout_s: float = 10.0
    supervision: Supervision | None = None
    link: LinkSpec | None = None
    """None where nobody is in another process."""
    modules: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()
    """Those of the whole system that are measured."""
    twin: Twin | None = None
    """What runs beside it in shadow mode."""
    traces: str | None = None
    """Where traces go; see `spore.deploy.ObserveConfig`."""
    trace_every: int = 1
    heir: bool = False
    """Whether it waits, ready, until it takes over from units that run."""


@attrs.frozen(kw_only=True)
class FeedSpec:
    """A feed to run."""

    label: str
    name: str
    feed: FeedConfig
    targets: tuple[Target, ...]
    link: LinkSpec
    modules: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RelaySpec:
    """A relay to run."""

    label: str
    address: str
    heartbeat_s: float


def spec_of(
    plan: Plan,
    unit: Unit,
    link: LinkSpec | None,
    hops: tuple[Hop, ...] = (),
    states: Mapping[str, Any] | None = None,
) -> UnitSpec | FeedSpec:
    """What a unit runs.

    Args:
        plan: the system.
        unit: the unit.
        link: how this node's processes talk to others.
        hops: those of the whole system that are measured.
        states: what actors take over from, by their names.
    """
    ports: dict[tuple[str, str], list[Target]] = {}
    for edge in plan.edges:
        target = target_of(plan, edge.receiver, route=edge.route, feedback=edge.feedback)
        ports.setdefault((edge.sender, edge.port), []).append(attrs.evolve(target, shards=edge.shards, by=edge.by))
    modules = plan.config.modules
    link = _own_link(plan, unit, link) if link is not None else None
    if unit.kind is UnitKind.FEED:
        assert link is not None  # noqa: S101 - what a feed sends leaves its process
        feed = plan.config.feeds[int(unit.name[len("feeds[") : -1])]
        targets = tuple(ports[unit.name, "to"])
        return FeedSpec(label=unit.label, name=unit.name, feed=feed, targets=targets, link=link, modules=modules)
    fed = {edge.receiver for edge in plan.edges if edge.sender not in plan.actors}
    actors = tuple(
        ActorSpec(
            name=name,
            type="" if plan.actors[name].local else plan.actors[name].kind.path,
            ports={port: tuple(targets) for (sender, port), targets in ports.items() if sender == name},
            options=plan.actors[name].config,
            state=(states or {}).get(name),
            begins_traces=name in fed,
        )
        for name in unit.actors
    )
    reached = {edge.receiver for edge in plan.edges if edge.route is Route.RELAY}
    relayed = link is not None and link.address is not None
    spec = UnitSpec(
        label=unit.label,
        bundle=unit.bundle.name if unit.bundle is not None else unit.name,
        actors=actors,
        attached=tuple(name for name in unit.actors if name in reached or (relayed and not unit.here)),
        admitted=unit.admitted,
        durable=tuple(name for name in unit.admitted if plan.actors[name].config.durable),
        link=link,
        modules=modules,
        hops=hops,
        traces=plan.config.observe.traces,
        trace_every=plan.config.observe.trace_every,
    )
    if unit.bundle is None:
        return spec
    return attrs.evolve(
        spec,
        drain_timeout_s=unit.bundle.drain_timeout_s,
        supervision=unit.bundle.supervision,
        twin=plan.twins.get(unit.bundle.name),
    )


def _own_link(plan: Plan, unit: Unit, link: LinkSpec) -> LinkSpec | None:
    """How one unit talks to others: what it has no use for is left out."""
    routes = {edge.route for edge in plan.edges if edge.sender in unit.senders}
    distributed = unit.bundle is not None and unit.bundle.mode is Mode.DISTRIBUTED
    relayed = not distributed and (unit.kind is not UnitKind.FEED or Route.RELAY in routes)
    own = attrs.evolve(
        link,
        address=link.address if relayed else None,
        engine=link.engine if unit.admitted or Route.DISTRIBUTED in routes else None,
        inlet=unit.inlet if unit.admitted or unit.keeps else "",
        durable=unit.keeps,
    )
    return own if own.address is not None or own.engine is not None else None


def target_of(plan: Plan, name: str, *, route: Route, feedback: bool = False) -> Target:
    """An actor, as its senders have to know it."""
    config = plan.actors[name].config
    return Target(
        receiver=name,
        remote=route is not Route.REFERENCE,
        inlet=plan.unit_of(name).inlet if route is Route.DISTRIBUTED else "",
        node=plan.unit_of(name).node if route is Route.DISTRIBUTED else "",
        durable=route is Route.DISTRIBUTED and config.durable,
        feedback=feedback,
        capacity=config.capacity,
        key=config.key if config.overflow is Overflow.CONFLATE else (),
    )


# As JSON

_TAGS: Mapping[str, Any] = {
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
}


def to_json(value: Any) -> str:
    """A value on one line. What JSON has no word for, of all that TOML can say, is tagged.

    Raises:
        UsageError: for anything else, which code has put into a configuration.
    """
    return json.dumps(cattrs.unstructure(value), default=_tagged, allow_nan=False)


def dump_plain(value: Any) -> str:
    """The same for what is plain data already, at a fraction of the price.

    Raises:
        UsageError, TypeError, ValueError: if it is not.
    """
    return json.dumps(value, default=_tagged, allow_nan=False)


def load_plain(text: str) -> Any:
    """The reverse."""
    return json.loads(text, object_hook=_untagged)


def from_json(line: str | bytes, cls: type[T]) -> T:
    """The value, read strictly.

    Raises:
        ValueError: if the line is not one.
    """
    try:
        value: T = structure(json.loads(line, object_hook=_untagged), cls)
    except Problem as problem:
        raise ValueError(str(problem)) from None
    return value


def _tagged(value: object) -> dict[str, str]:
    match value:
        case Decimal():
            return {"$decimal": str(value)}
        case datetime():
            return {"$datetime": value.isoformat()}
        case date():
            return {"$date": value.isoformat()}
        case time():
            return {"$time": value.isoformat()}
    raise UsageError(f"neither a configuration nor a snapshot can hold {value!r} where another process is to read it")


def _untagged(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        ((tag, text),) = found.items()
        if tag in _TAGS and isinstance(text, str):
            return _TAGS[tag](text)
    return found
