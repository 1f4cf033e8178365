"""Where two runs part: the first message that differs, field by field, and the event of the input behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

import spore
from spore.deploy.differences import FieldDifference, differences, written
from spore.migration.cause import event_behind
from spore.migration.shrink import Prefix

__all__ = ["Divergence", "FieldDifference", "Side", "differences", "first_divergence", "parts"]


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
    position: int | None = None
    """Where that stands in the input, counted from 0."""
    prefix: Prefix | None = None
    """How little of the input shows a difference, where that was looked for."""

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
            "prefix": self.prefix.plain() if self.prefix is not None else None,
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
                position = event_behind(found, events)
                return Divergence(
                    stream=stream,
                    index=index,
                    left=left.label,
                    right=right.label,
                    kind=type(found).__name__,
                    fields=tuple(differences(one, other)),
                    event=events[position] if position is not None else None,
                    position=position,
                )
    return None


def parts(message: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A message's fields and their values, as people read them."""
    for field in attrs.fields(type(message)):
        yield f"{path}{field.name}", written(getattr(message, field.name))
