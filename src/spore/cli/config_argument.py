"""The configuration as an argument that may be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

__all__ = ["DEFAULT_CONFIG", "ConfigFile"]

DEFAULT_CONFIG = Path("config/bundles.toml")
ConfigFile: TypeAlias = Annotated[
    Path, Parameter(help="The file that `spore run` runs. A running system is found by it, wherever one stands.")
]
