"""``spore check``: say what a configuration would run, and what is wrong with it."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spore.deploy import Plan, examine, load_config
from spore.errors import ConfigError

__all__ = ["check", "import_from_here"]

REFUSED = 2


def check(config: Path, /, *, json: bool = False) -> int:
    """Check a configuration without running it: who sends to whom by which route, in which processes, and every problem.

    Exit codes: 0 it can run · 2 it cannot.

    Parameters
    ----------
    config
        The file, in TOML.
    json
        Print one JSON object: problems, edges, shadows, processes.
    """
    import_from_here()
    try:
        plan = examine(load_config(config), apart=True)
    except ConfigError as error:
        if not json:
            raise
        print(jsonlib.dumps({"problems": error.problems, "edges": [], "shadows": [], "processes": []}, indent=2))
        return REFUSED
    if json:
        print(jsonlib.dumps(_described(plan), indent=2))
    else:
        _show(plan)
    if plan.problems:
        if not json:
            raise ConfigError(str(config), plan.problems)
        return REFUSED
    return 0


def import_from_here() -> None:
    """Let modules be imported from the folder one stands in, as ``python -m`` does."""
    here = os.getcwd()
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)


def _described(plan: Plan) -> dict[str, Any]:
    return {
        "problems": list(plan.problems),
        "edges": [
            {
                "sender": edge.sender,
                "port": edge.port,
                "receiver": edge.receiver,
                "route": edge.route,
                "reason": edge.reason,
                "why": edge.why,
                "feedback": edge.feedback,
                "durable": edge.durable,
                "by": edge.by or None,
            }
            for edge in plan.edges
        ],
        "shadows": [
            {
                "bundle": twin.bundle,
                "rate": twin.rate,
                "fed": list(twin.fed),
                "compared": list(map(".".join, twin.compared)),
            }
            for twin in plan.twins.values()
        ],
        "processes": [
            {"name": name, "actors": list(actors), **({"node": node} if node else {})}
            for node, name, actors in _processes(plan)
        ],
    }


def _processes(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    """What `spore run` starts: of each process the node, the name, and the actors in it."""
    config = plan.config
    units = [(unit.node, unit.label, unit.actors) for group in plan.units for unit in group]
    for twin in plan.twins.values():
        node = config.node_of(plan.bundle(twin.bundle))
        units += [(node, f"{name}, in the shadow of {twin.bundle!r}", ()) for name in twin.processes]
    return [*((node, "relay", ()) for node in plan.relays), *units]


def _show(plan: Plan) -> None:
    for edge in plan.edges:
        closes = ", and closes a cycle, so that nobody waits in it" if edge.feedback else ""
        route = f"{edge.route} and durable" if edge.durable else edge.route
        part = f", its part by {edge.by!r}" if edge.by else ""
        print(f"{edge.sender}.{edge.port} → {edge.receiver}: {route}{part}, because {edge.reason}{closes} ({edge.why})")
    for twin in plan.twins.values():
        print(f"shadow of {twin.bundle!r}: {_listed(twin.fed)} fed, {_listed(map('.'.join, twin.compared))} compared")
    for node, name, actors in _processes(plan):
        where = f" on node {node!r}" if len(plan.config.nodes) > 1 else ""
        print(f"process{where}: {name}" + (f", with {', '.join(actors)}" if len(actors) > 1 else ""))


def _listed(names: Iterable[str]) -> str:
    *others, last = tuple(names) or ("nothing",)
    return f"{', '.join(others)} and {last} are" if others else f"{last} is"
