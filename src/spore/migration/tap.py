"""The tap: where a configuration takes in market data, and where what it concludes is recorded as well."""

from __future__ import annotations

import attrs

from spore.deploy.config import BundleConfig, SystemConfig
from spore.deploy.kinds import find_kind, overlap
from spore.deploy.plan import make_plan
from spore.deploy.twin import OUTPUT_PORTS
from spore.errors import UsageError
from spore.message import REGISTRY, Domain

__all__ = ["OUTPUT_PORTS", "RECORDER", "entries", "recorders", "tapped"]

RECORDER = "tap"
"""The name of the recorder among the actors; with a number behind it that of a shard."""


def tapped(config: SystemConfig, *, source: str = "configuration") -> SystemConfig:
    """The same system, with its output ports leading to `recorders`, too. Its own feeds, and twins, are left out, and what is measured
    is not traced.

    Raises:
        ConfigError: with every problem of the configuration.
    """
    config = attrs.evolve(config, feeds=(), observe=attrs.evolve(config.observe, traces=None))
    edges = make_plan(config, source=source).edges
    bundles = []
    for bundle in config.bundles:
        actors = {}
        for name, actor in bundle.actors.items():
            wire = dict(actor.wire)
            for port in OUTPUT_PORTS:
                if port in find_kind(actor.type).ports:
                    own = (edge for edge in edges if (edge.sender, edge.port) == (name, port))
                    known = dict.fromkeys(edge.shards or edge.receiver for edge in own)
                    wire[port] = (*known, _recorder(bundle))
            actors[name] = attrs.evolve(actor, wire=wire)
        bundles.append(attrs.evolve(bundle, actors=actors, shadow=None))
    return attrs.evolve(config, bundles=tuple(bundles))


def recorders(config: SystemConfig) -> tuple[str, ...]:
    """The recorders to which `tapped` leads: `RECORDER`, and for shards one each."""
    return tuple(dict.fromkeys(map(_recorder, config.bundles)))


def _recorder(bundle: BundleConfig) -> str:
    return RECORDER if bundle.part is None else f"{RECORDER}_{bundle.part.number}"


def entries(config: SystemConfig) -> tuple[str, ...]:
    """The actors that get the events of a feed: those of the configuration's first feed, or else the one that handles market
    data and that no other actor sends to.

    Raises:
        UsageError: if there is no such actor, or more than one.
    """
    if config.feeds:
        return config.feeds[0].to
    # The plan imports the modules, whose messages count, too.
    led_to = {edge.receiver for edge in make_plan(attrs.evolve(config, feeds=())).edges}
    market_data = tuple(entry.cls for entry in REGISTRY if entry.domain is Domain.MARKET_DATA)
    found = tuple(
        dict.fromkeys(
            bundle.in_file(name)
            for bundle in config.bundles
            for name, actor in bundle.actors.items()
            if name not in led_to and overlap(market_data, find_kind(actor.type).handles)
        )
    )
    if len(found) != 1:
        which = "no actor" if not found else f"more than one actor ({', '.join(found)})"
        raise UsageError(f"{which} handles market data and is sent to by none; name it with [[feeds]] to = […]")
    return found
