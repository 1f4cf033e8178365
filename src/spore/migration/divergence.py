"""Where two runs part: the first message that differs, field by field, and the event of the input behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

import spore
from spore.migration.cause import event_behind

__all__ = ["Divergence", "FieldDifference", "Side", "differences", "first_divergence", "parts"]

NOTHING = "nothing"
"""What stands for a message or a value where there is none."""


@attrs.frozen
class FieldDifference:
    """A value that differs, as people read it."""

    path: str
    """The field, such as ``cause.position``; empty where a whole message does."""
    left: str
    right: str


@attrs.frozen(kw_only=True)
class Side:
    """What came out of one run."""

    label: str
    """Which run: ``bundled, run 1``."""
    streams: Mapping[str, Sequence[Any]]
    """The messages of each kind, in order: signals first."""


@attrs.frozen(kw_only=True)
class Divergence:
    """The first message that is not the same in two runs."""

    stream: str
    index: int
    """Which one, counted from 0."""
    left: str
    """The label of the one run."""
    right: str
    kind: str
    """The class of the message, in the one run, or else in the other."""
    fields: tuple[FieldDifference, ...]
    event: Any = None
    """The market data that caused it, where the input has it."""

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        event = {"kind": type(self.event).__name__, **spore.to_plain(self.event)} if self.event is not None else None
        return {
            "stream": self.stream,
            "index": self.index,
            "kind": self.kind,
            "runs": [self.left, self.right],
            "fields": [{"field": each.path, "values": [each.left, each.right]} for each in self.fields],
            "event": event,
        }


def first_divergence(left: Side, right: Side, events: Sequence[Any] = ()) -> Divergence | None:
    """The first difference between two runs: in the first kind of messages that has any, at the lowest index.

    Args:
        left: the one.
        right: the other.
        events: the input of both.
    """
    for stream, ours in left.streams.items():
        theirs = right.streams.get(stream, ())
        for index in range(max(len(ours), len(theirs))):
            one = ours[index] if index < len(ours) else None
            other = theirs[index] if index < len(theirs) else None
            if one != other:
                found = one if one is not None else other
                number = event_behind(found, events)
                return Divergence(
                    stream=stream,
                    index=index,
                    left=left.label,
                    right=right.label,
                    kind=type(found).__name__,
                    fields=tuple(differences(one, other)),
                    event=events[number] if number is not None else None,
                )
    return None


def differences(left: Any, right: Any, path: str = "") -> Iterator[FieldDifference]:
    """All values that differ, from the outside to the inside, in the order of the fields."""
    if left == right:
        return
    cls: type = type(left)
    same: Any = right
    if cls is not type(right):
        yield FieldDifference(path, _said(left), _said(right))
    elif attrs.has(cls):
        for field in attrs.fields(cls):
            inside = f"{path}.{field.name}".lstrip(".")
            yield from differences(getattr(left, field.name), getattr(right, field.name), inside)
    elif cls is tuple and len(left) == len(same):
        for index, (one, other) in enumerate(zip(left, same, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    else:
        yield FieldDifference(path, _said(left), _said(right))


def parts(message: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A message's fields and their values, as people read them."""
    for field in attrs.fields(type(message)):
        yield f"{path}{field.name}", _said(getattr(message, field.name))


def _said(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value)
