"""The twin of a bundle: which of its actors are fed, which of its ports are compared, and what runs beside it.

Rule: an actor of the twin is fed with the very messages that the bundle's own one handles, in that order. The only
exception is an actor to which one port of one other actor of the bundle leads, and that loses nothing: its order is the
same in every mode, so it gets its messages from the twin's own actors. So nothing that the contract leaves open (how
senders interleave, what an overflow policy gives up) can make a difference. Whatever leads out of the bundle, or to an actor
that is fed, leads to the comparison instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from spore.deploy.config import BundleConfig, Mode, RelayConfig, SystemConfig
from spore.deploy.load import name_problem
from spore.deploy.place import Local
from spore.deploy.strict import Found
from spore.deploy.wires import Placed, Wire
from spore.message import REGISTRY
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.policy import Directive, Overflow

__all__ = ["OUTPUT_PORTS", "Collector", "Twin", "collectors", "name_of_twin", "refusals", "twin_of"]

OUTPUT_PORTS = ("execution", "recorder")
"""Ports of these names are where signals, orders and reports come out."""


@attrs.frozen(kw_only=True)
class Twin:
    """What shadow mode runs beside a bundle. It travels to the process of the bundle as JSON."""

    bundle: str
    rate: float
    drain_timeout_s: float
    """How long the end of the bundle may wait for the twin, in seconds."""
    fed: tuple[str, ...]
    """The bundle's actors whose messages are copied."""
    compared: tuple[tuple[str, str], ...]
    """The bundle's ports, each as actor and port, whose messages are compared."""
    actors: tuple[str, ...]
    """All of the bundle's actors."""
    config: SystemConfig
    """The twin, as a system of its own with a relay of its own."""

    @property
    def processes(self) -> tuple[str, ...]:
        """What it takes, as `spore.deploy.SystemStatistics.processes` calls them."""
        return ("relay", *(f"actor {name_of_twin(name)!r}" for name in self.actors))


@attrs.define
class Collector(Actor[Any]):
    """Where a port of the twin leads to that is compared."""

    take: Callable[[Any], None]

    def handle(self, message: Any) -> None:
        self.take(message)


def twin_of(
    bundle: BundleConfig,
    system: SystemConfig,
    *,
    actors: Mapping[str, Placed],
    wires: Iterable[Wire],
    reached: Collection[str],
) -> Twin:
    """The twin of a bundle.

    Args:
        bundle: the bundle.
        system: the system that it is part of.
        actors: all of the system's.
        wires: all of the system's.
        reached: the actors to which feeds send.
    """
    wires = tuple(wires)
    own = tuple(name for name in bundle.actors if name in actors)
    fed = _fed(own, actors, wires, reached)
    compared: list[tuple[str, str]] = []
    twins = {}
    for name in own:
        wired: dict[str, tuple[str, ...]] = {}
        for port in actors[name].kind.ports:
            receivers = [wire.receiver for wire in wires if (wire.sender, wire.port) == (name, port)]
            passed = [name_of_twin(other) for other in receivers if other in own and other not in fed]
            if len(passed) < len(receivers) or port in OUTPUT_PORTS:
                compared.append((name, port))
                passed.append(_collector(name, port))
            wired[port] = tuple(passed)
        twins[name_of_twin(name)] = attrs.evolve(
            actors[name].config, wire=wired, overflow=Overflow.BLOCK, key=(), merge=None, dispatch=None, verify=0.0
        )
    return Twin(
        bundle=bundle.name,
        rate=bundle.shadow.rate if bundle.shadow is not None else 0.0,
        drain_timeout_s=bundle.drain_timeout_s,
        fed=fed,
        compared=tuple(compared),
        actors=own,
        config=SystemConfig(
            bundles=(attrs.evolve(bundle, mode=Mode.RELAY, actors=twins, shadow=None, part=None),),
            relay=RelayConfig(heartbeat_s=system.relay.heartbeat_s),
            modules=system.modules,
        ),
    )


def name_of_twin(actor: str) -> str:
    """What an actor's counterpart is called, in logs and among processes."""
    return f"twin of {actor}"


def collectors(twin: Twin, take: Callable[[tuple[str, str], Any], None]) -> Local:
    """The caller's own actors of the twin: what its ports send goes to ``take``, with the actor and the port."""

    def taking(actor: str, port: str) -> Callable[[Any], None]:
        return lambda message: take((actor, port), message)

    return {_collector(*port): (Collector, {"take": taking(*port)}) for port in twin.compared}


def refusals(twin: Twin, bundle: BundleConfig, actors: Mapping[str, Placed], wires: Iterable[Wire]) -> Iterator[Found]:
    """Why a bundle cannot have a twin, apart from what is wrong with the twin as a system. Paths are below ``shadow``."""
    if bundle.supervision is not None and bundle.supervision.on_failure is Directive.RESTART:
        reason = "in the twin each actor's process has that for itself, and would be restarted alone"
        yield "", f'cannot be had with supervision.on_failure = "restart" of the whole bundle: {reason}'
    if not twin.compared:
        outputs = " or ".join(map(repr, OUTPUT_PORTS))
        yield "", f"there is nothing to compare: no port leads out of the bundle, and none is called {outputs}"
    for name in twin.actors:
        kind, config = actors[name].kind, actors[name].config
        if wrong := name_problem(name_of_twin(name)):
            yield "", f"the actor {name_of_twin(name)!r} of the twin: {wrong}"
        if config.overflow is Overflow.FAIL and any(w.receiver == name and w.sender in twin.actors for w in wires):
            reason = 'what its senders in the bundle are refused depends on timing; use another overflow than "fail"'
            yield "", f"{name!r} would make differences that are none: {reason}"
        if twin.rate < 1 and getattr(kind.make, "snapshot", None) is Actor.snapshot:
            reason = "a twin that begins in between takes over where each actor stands"
            yield "rate", f"below 1 needs a snapshot of every actor, and {name!r} has none: {reason}"
        for cls in kind.handles or () if name in twin.fed else ():
            if cls not in REGISTRY:
                reason = "is no registered message; declare it with @spore.message(type_id=…, domain=…)"
                yield "", f"{cls.__name__} goes to the twin of {name!r} through the relay, and {reason}"


def _collector(actor: str, port: str) -> str:
    return f"{actor}.{port}"


def _fed(
    own: Sequence[str], actors: Mapping[str, Placed], wires: Iterable[Wire], reached: Collection[str]
) -> tuple[str, ...]:
    """The actors that are fed, in the order of the file: at least one in every cycle, so that the twin has none."""
    leading: dict[str, list[str]] = {name: [] for name in own}
    for wire in wires:
        if wire.receiver in leading:
            leading[wire.receiver].append(wire.sender)
    fed = {
        name
        for name in own
        if name in reached
        or actors[name].config.overflow is not Overflow.BLOCK
        or len(leading[name]) != 1
        or leading[name][0] not in own
        or leading[name] == [name]
    }
    for name in own:
        back = [name]
        while back[-1] not in fed and leading[back[-1]][0] not in back:
            back.append(leading[back[-1]][0])
        if back[-1] not in fed:  # a cycle that nothing leads into, and perhaps the way there from here
            cycle = back[back.index(leading[back[-1]][0]) :]
            fed.add(min(cycle, key=own.index))
    return tuple(name for name in own if name in fed)
