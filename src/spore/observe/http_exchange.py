"""A request of HTTP and its answer, as an application sees them which is one as ASGI has it; and what a client may take.

Source: ASGI specification 3.0, HTTP connection scope.
"""

from __future__ import annotations

import math
import time
from collections.abc import MutableMapping
from typing import Any, Protocol
from wsgiref.handlers import format_date_time

import attrs
import trio

from spore.distribution import needs

with needs("dashboard"):
    import h11

__all__ = ["WRITE_BYTES", "Exchange", "Limits", "head"]

WRITE_BYTES = 65_536
"""So much of an answer is sent at a time."""


@attrs.frozen(kw_only=True)
class Limits:
    """What a client may take. Precedents: nginx, ``client_header_timeout``, ``client_body_timeout``, ``send_timeout``; hypercorn's 5 s between requests."""

    head_bytes: int = 16_384
    """Of a request's first line and headers."""
    head_s: float = 5.0
    """From the connection, or from the last answer, to the end of the headers; with TLS its handshake too."""
    body_bytes: int = 65_536
    """Of a request's body."""
    body_s: float = 10.0
    """From the end of the headers to the end of the body, once somebody reads it. One that nobody reads is not waited for."""
    take_s: float = 5.0
    """For `WRITE_BYTES` of an answer."""
    answer_s: float = 120.0
    """For an answer as a whole, from its first byte; not for a stream of events."""
    left_s: float = 1.0
    """To close after an answer."""
    requests: int = 1_000
    """Of one connection."""


class Talk(Protocol):
    """What an exchange needs of its connection: `spore.observe.http_connection.Connection`."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be said any more."""
        ...

    async def say(self, event: h11.Event, due: float) -> None:
        """Send a part of an answer."""

    async def next_part(self, due: float) -> bytes | None:
        """More of the body of a request; None at its end, and if there is no such end."""

    async def too_long(self) -> None:
        """Refuse a body that has more bytes than are accepted."""

    async def wait_gone(self) -> None:
        """Wait until the client has gone."""


class Exchange:
    """A request and its answer.

    Args:
        connection: where both go.
        request: as it came.
        limits: what the client may take.
    """

    def __init__(self, connection: Talk, request: h11.Request, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._is_head = request.method.upper() == b"HEAD"
        self._body_due = trio.current_time() + limits.body_s
        self._body_bytes = 0
        self._has_body = True
        self._bodiless = self._is_head
        self._due = math.inf

    async def receive(self) -> dict[str, Any]:
        connection = self._connection
        if not self._has_body:
            await connection.wait_gone()
        if connection.is_gone:
            return {"type": "http.disconnect"}
        part = await connection.next_part(self._body_due)
        if part is None:
            self._has_body = False
            if connection.is_gone:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}
        self._body_bytes += len(part)
        if self._body_bytes > self._limits.body_bytes:
            await connection.too_long()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        connection = self._connection
        if connection.is_gone:
            await trio.lowlevel.checkpoint()
            return
        if message["type"] == "http.response.start":
            headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            kinds = [value for name, value in headers if name.lower() == b"content-type"]
            if not any(kind.startswith(b"text/event-stream") for kind in kinds):
                self._due = trio.current_time() + self._limits.answer_s
            self._bodiless = self._is_head or message["status"] in {204, 304}
            await connection.say(head(message["status"], headers), self._due)
        elif message["type"] == "http.response.body":
            body = bytes(message.get("body", b""))
            if body and not self._bodiless:
                await connection.say(h11.Data(data=body), self._due)
            if not message.get("more_body", False) and not connection.is_gone:
                await connection.say(h11.EndOfMessage(), self._due)


def head(status: int, headers: list[tuple[bytes, bytes]], body: bytes | None = None) -> h11.Response:
    """The beginning of an answer; with the length of the body, if it is known."""
    length = [(b"content-length", str(len(body)).encode())] if body is not None else []
    date = (b"date", format_date_time(time.time()).encode())
    return h11.Response(status_code=status, headers=[date, *headers, *length])
