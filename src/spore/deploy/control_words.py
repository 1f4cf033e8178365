"""What is said over a control socket: JSON, an object a line, read strictly on both sides.

A client asks, and gets one ``done`` or ``failed`` before it asks again; of a switch that is made, ``begun`` and each ``step`` before.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

import attrs
import cattrs
import trio

from spore.deploy.config import Mode
from spore.deploy.load import said
from spore.deploy.strict import Problem, structure

__all__ = [
    "MAX_ACTORS",
    "MAX_ANSWER_BYTES",
    "MAX_REQUEST_BYTES",
    "Answer",
    "BundleStatus",
    "Conversation",
    "Request",
    "Status",
    "TooLong",
    "read",
]

T = TypeVar("T")
MAX_REQUEST_BYTES = 4_096
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ACTORS = 250
"""So many actors an answer tells of. A process handles nothing while it looks at its own, and that is for a few milliseconds."""


class TooLong(ValueError):
    """A line has more bytes than are accepted."""


@attrs.frozen(kw_only=True)
class Request:
    """What a client asks for."""

    do: Literal["status", "statistics", "switch", "drain"]
    bundle: str = ""
    """Which one to switch."""
    to: Mode | None = None
    """To which mode."""
    cold: bool = False
    """Whether actors that cannot hand over their state may start anew."""
    first: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """Of statistics: the place of the first actor, in the order of the configuration. There are at most `MAX_ACTORS` in an answer."""
    actors: tuple[str, ...] = ()
    """Or the names of those that are asked for."""


@attrs.frozen(kw_only=True)
class Answer:
    """What it is told."""

    event: Literal["begun", "step", "done", "failed"]
    text: str = ""
    """A step, or the reason of a failure."""
    step: str = ""
    """Of a failure: in which step of a switch, if it was in one."""
    value: Any = None
    """Of what is done: the result."""


@attrs.frozen(kw_only=True)
class BundleStatus:
    """A bundle of a running system."""

    name: str
    mode: Mode
    """As it runs, whatever the file says."""
    since: str
    """The time, in UTC, at which it began to run so."""


@attrs.frozen(kw_only=True)
class Status:
    """What runs."""

    pid: int
    since: str
    bundles: tuple[BundleStatus, ...]


class Conversation:
    """Lines over a connection, both ways.

    Args:
        stream: the connection.
        limit: how many bytes a line that comes may have.
    """

    def __init__(self, stream: trio.abc.Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._rest = bytearray()

    async def say(self, what: Request | Answer) -> None:
        """Send a line.

        Cancellation: a checkpoint; if it is cancelled, some of the line may have been sent.

        Raises:
            trio.BrokenResourceError: if the connection is lost.
        """
        await self._stream.send_all(json.dumps(cattrs.unstructure(what)).encode() + b"\n")

    async def hear(self) -> bytes | None:
        """The next line; None at the end of the stream, and for a line that has none.

        Cancellation: a checkpoint only if it waits; what has come stays.

        Raises:
            TooLong: if it is too long.
            trio.BrokenResourceError: if the connection is lost.
        """
        looked = 0
        while (end := self._rest.find(b"\n", looked)) < 0:
            looked = len(self._rest)
            if looked > self._limit:
                raise TooLong(f"a line has more than {self._limit:,} bytes")
            data = await self._stream.receive_some()
            if not data:
                return None
            self._rest += data
        if end > self._limit:
            raise TooLong(f"a line has more than {self._limit:,} bytes")
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line


def read(line: bytes, cls: type[T]) -> T:
    """A line as what it is to be.

    Raises:
        ValueError: with everything that is wrong with it.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    try:
        value: T = structure(data, cls)
    except Problem as problem:
        raise ValueError("; ".join(said(list(problem.found)))) from None
    return value
