"""All that is wrong with a configuration at once, for whoever has to mend it.

Strategy: what does not fit its type is told, and then taken out of the data, or replaced where it has to be there, so that all rules that
look further have something to look at. What these say of the places that were taken out, or of their neighbours in the same table, is
left out: it may be a consequence.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from spore.deploy.config import SystemConfig
from spore.deploy.control_socket import socket_path
from spore.deploy.load import names_in, raw_of, said, seen_from
from spore.deploy.plan import Plan, examine
from spore.deploy.shards import divided, division_problems
from spore.deploy.strict import Found, Problem, structure
from spore.errors import ConfigError, UsageError

__all__ = ["check_up"]

STAND_INS: Mapping[str, Any] = {
    "name": "",
    "mode": "shared_memory",
    "actors": {},
    "type": "",
    "carrier": "nats://127.0.0.1:4222",
    "source": "sim:seed=1,events=1",
    "to": [],
    "bundles": [],
}
"""What stands in for a key that has to be there, while the rest is looked at."""
NO_SUCH_KEY = "there is no such key here"
"""How a sentence begins about what can be left out without any consequence."""
_TOKEN = re.compile(r"\[(\d+)\]|'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([A-Za-z0-9_-]+)")


def check_up(data: bytes, file: Path) -> tuple[Plan | None, tuple[str, ...]]:
    """What a configuration file would run, as far as it can be told, and every problem.

    Args:
        data: what is in the file.
        file: its name, from whose folder it is seen.
    """
    try:
        raw = raw_of(data, source=str(file))
    except ConfigError as error:  # nothing is known of what is no TOML
        return None, error.problems
    config, found = _as_far_as_it_fits(raw)
    if config is None:
        return None, said(found)
    misfits = tuple(found)
    undivided = list(division_problems(config))
    found += _beyond(undivided, misfits)
    config = _undivided(config) if undivided else divided(config)
    config = seen_from(config, file.absolute().parent)
    found += _beyond(_cannot_be_reached(config, file), misfits)
    plan = examine(config, apart=True)
    found += _beyond(plan.found, misfits)
    return attrs.evolve(plan, problems=said(found), found=tuple(found)), said(found)


def _as_far_as_it_fits(raw: Mapping[str, Any]) -> tuple[SystemConfig | None, list[Found]]:
    """A configuration of what fits, None if that is not enough for one, and what does not."""
    found = list(names_in(raw))
    data = copy.deepcopy(dict(raw))
    while True:
        try:
            return structure(data, SystemConfig), found
        except Problem as problem:
            found += _beyond(problem.found, found)
            if not [path for path, _ in problem.found if _taken_out(data, path)]:
                return None, found


def _taken_out(data: Any, path: str) -> bool:
    """Take what a path leads to out of some data, or put something in its place that has to be there; return whether that was done."""
    keys: list[Any] = [int(index) if index else one or two or bare for index, one, two, bare in _TOKEN.findall(path)]
    while keys and isinstance(keys[-1], int):
        keys.pop()  # the list as a whole: what comes behind in it has its number
    if not keys:
        return False
    for key in keys[:-1]:
        inside = isinstance(data, list) if isinstance(key, int) else isinstance(data, dict)
        if not inside or (key not in data if isinstance(data, dict) else not key < len(data)):
            return False
        data = data[key]
    last = keys[-1]
    if not isinstance(data, dict) or (last in data and last in STAND_INS and data[last] == STAND_INS[last]):
        return False
    if last in data and last not in STAND_INS:
        del data[last]
    elif last in STAND_INS:
        data[last] = copy.deepcopy(STAND_INS[last])
    else:
        return False
    return True


def _beyond(more: Iterable[Found], found: Iterable[Found]) -> list[Found]:
    """Of what is found later, what is no consequence of what was found before."""
    before = [path for path, _ in found]
    nameless = any(
        path == "bundles" or (path.startswith("bundles[") and path.endswith(("]", ".actors"))) for path in before
    )
    tables = {
        path.rpartition(".")[0]
        for path, said in found
        if not path.endswith(".type") and not said.startswith(NO_SUCH_KEY)
    }

    def follows(path: str, sentence: str) -> bool:
        if nameless and sentence.startswith("there is no actor "):
            return True
        table, _, last = path.rpartition(".")
        return any(path == known or path.startswith((f"{known}.", f"{known}[")) for known in before if known) or (
            table in tables and table != "" and not table.endswith((".wire", ".config")) and last != "type"
        )

    return [(path, sentence) for path, sentence in more if not follows(path, sentence)]


def _undivided(config: SystemConfig) -> SystemConfig:
    """The same as if no bundle were divided, because it cannot be."""
    bundles = (attrs.evolve(bundle, shard_by=None, shards=None, nodes=(), part=None) for bundle in config.bundles)
    return attrs.evolve(config, bundles=tuple(bundles))


def _cannot_be_reached(config: SystemConfig, file: Path) -> Iterator[Found]:
    """Why commands would not reach the system."""
    for node in config.nodes if len(config.nodes) > 1 else ("",):
        try:
            socket_path(file, config.control.socket, node)
        except UsageError as error:
            yield "control.socket", str(error)
            return
