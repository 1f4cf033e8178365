"""What a handler finds around it and must leave as it was: context variables, and the settings of ``decimal``.

A plain handler may run in its sender's context and an async one in its own, so an actor that changes its context would have other
results in another dispatch. Only a bundle that debugs looks.
"""

from __future__ import annotations

import decimal
from contextvars import ContextVar, copy_context
from typing import Any

import attrs

__all__ = ["Surroundings", "own_decimals", "surroundings"]


@attrs.frozen
class Surroundings:
    """The context at one moment."""

    variables: dict[ContextVar[Any], Any]
    decimals: tuple[object, ...]

    def changed(self) -> str:
        """What is other now, in words; empty if nothing is."""
        now = surroundings()
        names = sorted(
            variable.name
            for variable in self.variables.keys() | now.variables.keys()
            if self.variables.get(variable, _NOTHING) is not now.variables.get(variable, _NOTHING)
        )
        if self.decimals != now.decimals and "decimal_context" not in names:
            names.append("decimal_context")
        return ", ".join(names)


_NOTHING = object()


def own_decimals() -> None:
    """Give the current context settings of ``decimal`` of its own: a copy of a context shares them with the one that it was copied from."""
    decimal.setcontext(decimal.getcontext().copy())


def surroundings() -> Surroundings:
    """The context as it is now."""
    settings = decimal.getcontext()  # first, because asking makes one
    return Surroundings(
        dict(copy_context().items()),
        (
            settings.prec,
            settings.rounding,
            settings.Emin,
            settings.Emax,
            settings.capitals,
            settings.clamp,
            tuple(sorted(signal.__name__ for signal, trapped in settings.traps.items() if trapped)),
        ),
    )
