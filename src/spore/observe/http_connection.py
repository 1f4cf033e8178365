"""One connection of HTTP/1.1 between a client and an application as ASGI has it: h11 reads and writes, this is the I/O and its limits.

Rules: whatever a client sends or leaves out, the connection ends within the times below, holds no more memory than the sizes below, and nothing is
logged of a client that has gone. There is no other protocol behind it: HTTP/2 and WebSockets are not offered, and asking for them is answered as if
nobody had.

Source: RFC 9112, HTTP/1.1; ASGI specification 3.0, HTTP connection scope.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import trio

from spore.distribution import needs

with needs("dashboard"):
    import h11

from spore.observe.http_exchange import WRITE_BYTES, Exchange, Limits, head

__all__ = ["App", "Connection"]

App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""An application, as ASGI has it."""
READ_BYTES = 16_384
LEFT_BYTES = 262_144
"""So much of what an answered client still sends is read and dropped, so that it reads the answer and not that the connection was reset."""


class Connection:
    """A connection that was accepted.

    Args:
        stream: it, without what TLS puts around it.
        app: answers.
        facts: what stands in every scope: ``scheme``, ``client``, ``server``, and what else the application is to find.
        limits: what the client may take.
        on_idle: called when a request was answered.
        bad: told in few words what was wrong with a request.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        app: App,
        facts: dict[str, Any],
        *,
        limits: Limits,
        on_idle: Callable[[], None],
        bad: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._app = app
        self._facts = facts
        self._limits = limits
        self._on_idle = on_idle
        self._bad = bad
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._ended = False
        """The client has sent all that it will."""
        self._gone = False
        """Nothing can be said any more; what the application still says goes nowhere."""

    async def run(self) -> None:
        """Answer requests until the client goes, or has to.

        Cancellation: always a checkpoint; the connection is to be closed then.

        Raises:
            Exception: what the application has raised for a client that is still there, after it was answered.
        """
        for _ in range(self._limits.requests):
            request = await self._next_request()
            if request is None:
                return
            if not await self._answer(request):
                break
            self._on_idle()
        await self._leave()

    async def _next_request(self) -> h11.Request | None:
        with trio.move_on_after(self._limits.head_s):
            try:
                while True:
                    event = self._h11.next_event()
                    if isinstance(event, h11.Request):
                        return event
                    if event is not h11.NEED_DATA:
                        return None
                    await self._read()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
                return None
        if self._h11.trailing_data[0]:
            await self._refuse(408, "the request has not come to its end in time")
        return None

    async def _read(self) -> None:
        data = await self._stream.receive_some(READ_BYTES)
        self._ended = self._ended or not data
        self._h11.receive_data(bytes(data))

    async def _refuse(self, status: int, what: str) -> None:
        """Answer a request that cannot be answered by the application, and close. One that has broken off is no news."""
        if not self._ended:
            self._bad(what)
        if self._gone or self._ended or self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self._gone = True
            return
        body = f"{what}\n".encode()
        await self._say(
            head(status, [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")], body)
        )
        await self._say(h11.Data(data=body))
        await self._say(h11.EndOfMessage())
        await self._leave()
        self._gone = True

    async def _answer(self, request: h11.Request) -> bool:
        """Have a request answered; tell whether another one may come."""
        target = request.target
        if not target.startswith(b"/"):
            await self._refuse(400, "the target of the request has to be a path")
            return False
        length = max((int(value) for name, value in request.headers if name == b"content-length"), default=0)
        if length > self._limits.body_bytes:
            await self.too_long()
            return False
        exchange = Exchange(self, request, self._limits)
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode("ascii").upper(),
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            **self._facts,
        }
        failure: Exception | None = None
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - it is raised below, after the client has been answered
            failure = error
        if failure is not None and not self._gone:  # else it has failed because the client has
            if self._h11.our_state is h11.SEND_RESPONSE:
                await self._say(head(500, [(b"connection", b"close")], b""))
                await self._say(h11.EndOfMessage())
            await self._leave()
            raise failure
        if self._gone or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def _say(self, event: h11.Event, *, due: float = math.inf) -> None:
        """Send a part of an answer. A client that does not take it in time, or has gone, is given up."""
        if self._gone:
            return
        data = self._h11.send(event) or b""
        try:
            for at in range(0, len(data), WRITE_BYTES):
                with trio.fail_at(min(due, trio.current_time() + self._limits.take_s)):
                    await self._stream.send_all(data[at : at + WRITE_BYTES])
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            await self._give_up()

    async def _give_up(self) -> None:
        """Whoever waits for the client learns that it has gone."""
        self._gone = True
        await trio.aclose_forcefully(self._stream)

    async def _leave(self) -> None:
        """Close so that the client can still read what it was answered."""
        if self._gone:
            return
        with trio.move_on_after(self._limits.left_s):
            try:
                if isinstance(self._stream, trio.SocketStream):
                    await self._stream.send_eof()
                left = LEFT_BYTES
                while left > 0 and (data := await self._stream.receive_some(READ_BYTES)):
                    left -= len(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                pass

    async def next_part(self, due: float) -> bytes | None:
        """More of the body of a request; None at its end, and if there is no such end.

        Args:
            due: until when it has to be there.
        """
        if self._h11.they_are_waiting_for_100_continue:
            await self._say(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            with trio.fail_at(due):
                while not self._gone:
                    event = self._h11.next_event()
                    if isinstance(event, h11.Data):
                        return bytes(event.data)
                    if isinstance(event, h11.EndOfMessage):
                        return None
                    if event is not h11.NEED_DATA:
                        break
                    await self._read()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._gone = True
        except trio.TooSlowError:
            await self._refuse(408, "the body of the request has not come to its end in time")
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, str(error))
        self._gone = True
        return None

    async def too_long(self) -> None:
        """The body of a request has more bytes than are accepted."""
        await self._refuse(413, f"the body of the request has more than {self._limits.body_bytes:,} bytes")

    async def wait_gone(self) -> None:
        """Wait until the client has closed the connection, or sends more than one that waits for an answer would.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        ahead = 0
        try:
            while not self._gone and ahead <= self._limits.head_bytes:
                data = await self._stream.receive_some(READ_BYTES)
                if not data:
                    break
                self._h11.receive_data(bytes(data))
                ahead += len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        self._gone = True

    @property
    def is_gone(self) -> bool:
        return self._gone

    async def say(self, event: h11.Event, due: float) -> None:
        """As `_say`, for an exchange."""
        await self._say(event, due=due)
