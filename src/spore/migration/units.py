"""The unit in which a duration is best read."""

from __future__ import annotations

__all__ = ["unit_of"]

_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))


def unit_of(ns: float) -> tuple[float, str]:
    """The largest unit of which a duration in nanoseconds has one: its nanoseconds, and its name."""
    return next(((scale, unit) for scale, unit in _UNITS if ns >= scale), _UNITS[-1])
