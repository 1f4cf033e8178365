"""Which messages a command knows: those of the reference application, and the user's own by ``--module``."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from spore.errors import UsageError
from spore.message import REGISTRY, Registry

__all__ = ["Modules", "load_messages"]

Modules: TypeAlias = Annotated[
    list[str],
    Parameter(
        name=["--module", "-m"],
        help="Import this module first, for the messages that it declares. May be given several times.",
    ),
]


def load_messages(modules: list[str]) -> Registry:
    """Import the modules and return the registry with all their messages.

    Raises:
        UsageError: if one cannot be found, or not be imported.
    """
    importlib.import_module("spore.services.messages")
    if modules and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a user's module is usually in the folder one stands in
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            reason = f"there is no module {error.name} here or among the installed packages"
            raise UsageError(f"--module {name}: {reason}") from None
        except Exception as error:
            raise UsageError(f"--module {name}: it cannot be imported: {type(error).__name__}: {error}") from error
    return REGISTRY
