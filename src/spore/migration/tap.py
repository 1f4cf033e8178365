"""The tap: where a configuration takes in market data, and where what it concludes is recorded as well."""

from __future__ import annotations

from typing import get_args

import attrs

from spore.deploy.config import SystemConfig
from spore.deploy.kinds import find_kind, overlap
from spore.deploy.plan import make_plan
from spore.deploy.twin import OUTPUT_PORTS
from spore.errors import UsageError
from spore.services.messages import MarketMessage

__all__ = ["OUTPUT_PORTS", "RECORDER", "entries", "tapped"]

RECORDER = "tap"
"""The name of the recorder among the actors."""


def tapped(config: SystemConfig, *, source: str = "configuration") -> SystemConfig:
    """The same system, with its output ports leading to `RECORDER`, too. Its own feeds, and twins, are left out, and what is measured
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
                    known = [edge.receiver for edge in edges if (edge.sender, edge.port) == (name, port)]
                    wire[port] = (*known, RECORDER)
            actors[name] = attrs.evolve(actor, wire=wire)
        bundles.append(attrs.evolve(bundle, actors=actors, shadow=None))
    return attrs.evolve(config, bundles=tuple(bundles))


def entries(config: SystemConfig) -> tuple[str, ...]:
    """The actors that get the events of a feed: those of the configuration's first feed, or else the one that handles market
    data and that no other actor sends to.

    Raises:
        UsageError: if there is no such actor, or more than one.
    """
    if config.feeds:
        return config.feeds[0].to
    led_to = {edge.receiver for edge in make_plan(attrs.evolve(config, feeds=())).edges}
    found = [
        name
        for bundle in config.bundles
        for name, actor in bundle.actors.items()
        if name not in led_to and overlap(get_args(MarketMessage), find_kind(actor.type).handles)
    ]
    if len(found) != 1:
        which = "no actor" if not found else f"more than one actor ({', '.join(found)})"
        raise UsageError(f"{which} handles market data and is sent to by none; name it with [[feeds]] to = […]")
    return (found[0],)
