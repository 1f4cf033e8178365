"""Numbers as people read them, with the exact value beside them for machines."""

from __future__ import annotations

import json
from collections.abc import Callable

from spore.migration.interval import Spread
from spore.migration.page.markup import Markup, joined, tag
from spore.migration.units import unit_of

__all__ = ["amount", "change", "duration", "exactly", "megabytes", "ranged"]

SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which stay on one line."""


def duration(ns: float) -> str:
    """Nanoseconds in the unit that suits them, to two or three digits."""
    scale, unit = unit_of(ns)
    return f"{amount(ns / scale)}{SPACE}{unit}"


def amount(value: float) -> str:
    """A number to two digits or three, or to the last one before the point."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def megabytes(value: float) -> str:
    """Bytes, in millions of them."""
    return f"{amount(value / 1e6)}{SPACE}MB"


def change(percent: float, more: str, less: str) -> str:
    """A change in percent, with a word for its direction instead of a sign."""
    return f"{abs(percent):,.1f}{SPACE}% {more if percent >= 0 else less}"


def exactly(value: float | bool | None, said: str) -> Markup:
    """A value in words, which carries it as JSON has it."""
    return tag("data", said, value=json.dumps(value))


def ranged(found: Spread, said: Callable[[float], str]) -> Markup:
    """A measure over the repeats, with what it ranges over in small print."""
    value = exactly(found.value, said(found.value))
    if found.low == found.high:
        return value
    one, other = (
        (found.low, found.high) if found.high > 0 else (found.high, found.low)
    )  # a word says that it is negative
    begin, _, unit = said(one).partition(SPACE)
    if not said(other).endswith(SPACE + unit):
        begin = said(one)
    return joined([value, tag("small", exactly(one, begin), " to ", exactly(other, said(other)))])
