"""The command line: one module a command, put together in `app`."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run ``spore`` with the arguments of this process, and exit with its code."""
    try:
        from spore.cli.app import run  # noqa: PLC0415 - what it needs may be missing

        sys.exit(run())
    except ModuleNotFoundError as error:
        if error.name not in {"cyclopts", "hdrh", "psutil", "rich", "tomlkit"}:
            raise
        sys.exit(f"spore: the command line needs {error.name}, which is not installed: pip install 'spore[cli]'")
