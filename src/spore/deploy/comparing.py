"""Comparing what a bundle and its twin send, message by message. It knows neither processes nor time.

Law: however the messages of the two sides interleave, they are compared as pairs by their position in the port's stream. A
message that only one side has is a pair with nothing, and shows at the latest when the streams have ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import attrs

from spore.deploy.differences import FieldDifference, differences
from spore.message import to_plain
from spore.nursery_bundle.ports import Note

__all__ = ["KEPT_DIFFERENCES", "Difference", "Pair", "Stream", "Tally", "Tap"]

KEPT_DIFFERENCES = 20
"""So many of the last ones are kept, beside the first."""


class Tap:
    """What was noted of messages on their way: a `spore.nursery_bundle.ports.Watcher`.

    To note one is to append it, and nothing else. Once the queue is full it loses its oldest messages, so whoever takes from
    it has to look at `full` first.

    Args:
        most: how many messages it holds.
    """

    __slots__ = ("asked", "note", "queue")

    note: Note

    def __init__(self, most: int) -> None:
        self.queue: deque[Any] = deque(maxlen=most)
        self.note = _ignore
        self.asked = False
        """Whether somebody was asked for an answer here, which the twin could not get."""

    @property
    def full(self) -> bool:
        """Whether something was lost, perhaps."""
        return len(self.queue) == self.queue.maxlen

    def begin(self) -> None:
        """Note what comes from now on."""
        self.queue.clear()
        self.asked = False
        self.note = self.queue.append

    def rest(self) -> None:
        """Note nothing more. What was noted stays."""
        self.note = _ignore


_ignore = deque[Any](maxlen=0).append


class Stream:
    """What one port sends, in the bundle and in its twin, until both have sent it."""

    __slots__ = ("actor", "index", "ours", "port", "theirs")

    def __init__(self, actor: str, port: str, most: int) -> None:
        self.actor = actor
        self.port = port
        self.ours = Tap(most)
        self.theirs: deque[Any] = deque(maxlen=most)
        self.index = 0
        """The position of the next pair."""

    @property
    def full(self) -> bool:
        """Whether something was lost, perhaps: one side is far ahead of the other."""
        return self.ours.full or len(self.theirs) == self.theirs.maxlen

    def begin(self) -> None:
        """Begin a stream, with a twin that begins."""
        self.theirs.clear()
        self.index = 0
        self.ours.begin()

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Take what both sides have sent."""
        ours, theirs = self.ours.queue, self.theirs
        while ours and theirs:
            yield ours.popleft(), theirs.popleft()

    def rest(self) -> Iterator[tuple[Any, Any]]:
        """Take what is left once both have ended; None stands for what a side has not sent."""
        ours, theirs = tuple(self.ours.queue), tuple(self.theirs)
        self.ours.queue.clear()
        self.theirs.clear()
        yield from zip_longest(ours, theirs)


@attrs.frozen(kw_only=True)
class Difference:
    """A message that the twin has sent differently, or that only one of the two has sent."""

    actor: str
    port: str
    index: int
    """Which message of the port, counted from 0 since the twin began."""
    kind: str
    """The class of the message, in the bundle, or else in the twin."""
    fields: tuple[FieldDifference, ...]
    """What differs: on the left the bundle's value, and on the right the twin's."""
    message: Any = None
    """The bundle's message, as JSON can say it; None if only the twin has one."""

    def __str__(self) -> str:
        """In one line."""
        said = ", ".join(f"{each.path or self.kind} = {each.left}, in the twin {each.right}" for each in self.fields)
        return f"{self.actor}.{self.port}[{self.index}]: {said}"


@attrs.frozen
class Pair:
    """Two messages that are not the same, of which one may be None."""

    actor: str
    port: str
    index: int
    one: Any
    other: Any

    def difference(self) -> Difference:
        """As people read it. It takes its time, so only what somebody looks at is put like this."""
        one, other = self.one, self.other
        return Difference(
            actor=self.actor,
            port=self.port,
            index=self.index,
            kind=type(other if one is None else one).__name__,
            fields=tuple(differences(one, other)),
            message=_plain(one),
        )


@attrs.define
class Tally:
    """What the comparison has found."""

    equal: int = 0
    different: int = 0
    first: Pair | None = None
    last: deque[Pair] = attrs.field(factory=lambda: deque(maxlen=KEPT_DIFFERENCES))

    def count(self, stream: Stream, one: Any, other: Any) -> Pair | None:
        """Count two messages of a stream; return them if they differ."""
        index = stream.index
        stream.index += 1
        if one == other:
            self.equal += 1
            return None
        self.different += 1
        found = Pair(stream.actor, stream.port, index, one, other)
        self.first = self.first or found
        self.last.append(found)
        return found


def _plain(message: Any) -> Any:
    try:
        return None if message is None else to_plain(message)
    except TypeError:
        return repr(message)
