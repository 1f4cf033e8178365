"""The lowest versions that pyproject.toml allows of what Spore needs directly, as requirements: ``python -m tests.lowest``.

Each lower bound is the number of a version that exists, so it can be asked for as it stands.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
BOUND = re.compile(r"(?P<name>[\w.-]+)(?P<extra>\[[\w,]+\])?>=(?P<version>[\d.]+)(,<[\d.]+)?")


def lowest() -> list[str]:
    """The requirements of the core and of every extra, each at its lower bound.

    Raises:
        ValueError: if one has no lower bound, or several.
    """
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    found: dict[str, str] = {}
    for requirement in asked:
        bound = BOUND.fullmatch(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound that can be installed; write NAME>=VERSION")
        pinned = f"{bound['name']}{bound['extra'] or ''}=={bound['version']}"
        if found.setdefault(bound["name"], pinned) != pinned:
            raise ValueError(f"{requirement!r} and {found[bound['name']]!r} differ; give both the same bound")
    return list(found.values())


if __name__ == "__main__":
    print("\n".join(lowest()))
