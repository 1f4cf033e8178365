"""``spore check``: say what a configuration would run, and what is wrong with it."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spore.deploy import Plan
from spore.deploy.checkup import check_up
from spore.deploy.config import ObserveConfig
from spore.deploy.load import said
from spore.deploy.strict import Found
from spore.errors import ConfigError, UsageError

__all__ = ["check", "import_beside"]

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
    import_beside(config)
    plan, problems = check_up(config.read_bytes(), config)
    if plan is not None:
        problems = (*problems, *said(list(_cannot_serve(plan.config.observe))))
    if json:
        described = _described(plan) if plan is not None else {"edges": [], "shadows": [], "processes": []}
        print(jsonlib.dumps({"problems": list(problems), **described}, indent=2))
        return REFUSED if problems else 0
    if plan is not None:
        _show(plan)
    if problems:
        raise ConfigError(str(config), problems)
    return 0


def import_beside(config: Path) -> None:
    """Let modules be imported from a configuration's folder, as its other paths are seen from there, and from the folder one stands in,
    as ``python -m`` does."""
    for folder in (os.getcwd(), str(config.absolute().parent)):
        if folder not in sys.path and (folder != os.getcwd() or "" not in sys.path):
            sys.path.insert(0, folder)


def _cannot_serve(observe: ObserveConfig) -> Iterator[Found]:
    """Why metrics or the dashboard would not be served."""
    if (observe.certificate is None) is not (observe.key is None):
        missing, there = ("key", "certificate") if observe.key is None else ("certificate", "key")
        yield f"observe.{missing}", f"is missing: there is a {there}, and neither is of use without the other"
    for name, where in (("metrics", observe.metrics), ("dashboard", observe.dashboard)):
        if where is None:
            continue
        try:
            from spore.observe.listen import Place  # noqa: PLC0415 - an extra

            Place.parse(where)
        except ModuleNotFoundError as error:
            yield f"observe.{name}", str(error)
        except UsageError as error:
            yield f"observe.{name}", str(error)


def _described(plan: Plan) -> dict[str, Any]:
    return {
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
