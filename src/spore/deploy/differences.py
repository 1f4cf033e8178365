"""What differs between two messages, field by field, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

__all__ = ["NOTHING", "FieldDifference", "differences", "written"]

NOTHING = "nothing"
"""What stands for a message or a value where there is none."""


@attrs.frozen
class FieldDifference:
    """A value that differs, as people read it."""

    path: str
    """The field, such as ``cause.position``; empty where a whole message does."""
    left: str
    right: str


def differences(left: Any, right: Any, path: str = "") -> Iterator[FieldDifference]:
    """All values that differ, from the outside to the inside, in the order of the fields."""
    if left == right:
        return
    cls: type = type(left)
    same: Any = right
    if cls is not type(right):
        yield FieldDifference(path, written(left), written(right))
    elif attrs.has(cls):
        for field in attrs.fields(cls):
            inside = f"{path}.{field.name}".lstrip(".")
            yield from differences(getattr(left, field.name), getattr(right, field.name), inside)
    elif cls is tuple and len(left) == len(same):
        for index, (one, other) in enumerate(zip(left, same, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    else:
        yield FieldDifference(path, written(left), written(right))


def written(value: Any) -> str:
    """A value, or the absence of one, as people read it."""
    if value is None:
        return NOTHING
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value)
