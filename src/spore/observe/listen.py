"""Where somebody can look by HTTP: the address, who is let in, and a server that ends with its block.

Rules: what can be reached from other machines has TLS and a token; what cannot, needs neither. A browser is let in only under a name that
belongs to the address, and only by pages that came from there, so that no other site can look through somebody's browser.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from spore.distribution import needs
from spore.errors import UsageError

with needs("dashboard"):
    from hypercorn.config import Config
    from hypercorn.trio import serve
    from starlette.requests import HTTPConnection
    from starlette.responses import PlainTextResponse, RedirectResponse, Response

__all__ = ["COOKIE", "Access", "Place", "open_site"]

_log = logging.getLogger("spore.observe")
App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""An application, as ASGI has it."""
COOKIE = "spore-token"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
GOODBYE_S = 1.0
"""So long a connection may take to end once the server is told to."""
STUCK_MS = 5_000
"""Who takes nothing for so long has its connection closed by the system. Hypercorn shields what it sends from cancellation, so that a
client that has stopped reading would otherwise keep the server from ending, and with it whatever it is part of.

Source: tcp(7), ``TCP_USER_TIMEOUT``."""


@attrs.frozen
class Place:
    """A parsed address."""

    host: str
    port: int
    """0 lets the system choose."""

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``HOST:PORT``; an IPv6 address stands in brackets.

        Raises:
            UsageError: saying what would be right.
        """
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if (
            host
            and port.isascii()
            and port.isdigit()
            and int(port) < 65_536
            and (bracketed or (":" not in host and "/" not in host))
        ):
            return cls(host.strip("[]"), int(port))
        raise UsageError(f"{text!r} is nowhere to listen; write HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class Access:
    """Who is let in."""

    token: str | None = None
    """What a client has to know. It says so as ``Authorization: Bearer …``; a browser, once, as ``?token=…``, and has a cookie then."""
    certificate: Path | None = None
    """Of the server, in PEM."""
    key: Path | None = None

    @property
    def has_tls(self) -> bool:
        return self.certificate is not None

    def check(self, place: Place) -> None:
        """Refuse what would not be safe, or cannot work.

        Raises:
            UsageError: with what is missing.
        """
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both a certificate and its key")
        if self.certificate is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the TLS files {self.certificate}, {self.key} cannot be used: {error}") from None
        if not place.is_loopback and not (self.has_tls and self.token):
            raise UsageError(
                f"{place} can be reached from other machines, so it needs TLS and a token: --tls-cert, --tls-key and --token-file, or "
                "certificate, key and token_file in [observe]; or listen at 127.0.0.1"
            )


@asynccontextmanager
async def open_site(app: App, place: Place, access: Access | None = None) -> AsyncIterator[str]:
    """Serve an application for the length of a block.

    Args:
        app: the application.
        place: where to listen.
        access: who is let in; on the loopback, by default, everybody who is there.

    Yields:
        Its URL, with the port that the system has chosen.

    Cancellation: entering is a checkpoint, and leaving is one that takes up to a second where connections are open.

    Raises:
        UsageError: if it would not be safe, or that place cannot be had.
    """
    access = access or Access()
    access.check(place)
    sock = _listening(place)
    bound = Place(place.host, sock.getsockname()[1])
    config = Config()
    config.errorlog = _log
    config.graceful_timeout = GOODBYE_S
    config.include_server_header = False
    config.certfile = str(access.certificate) if access.certificate is not None else None
    config.keyfile = str(access.key) if access.key is not None else None
    config.bind = [f"fd://{sock.detach()}"]
    guard = Guard(app, bound, access)
    to_end = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, guard, config, shutdown_trigger=to_end.wait, mode="asgi"))
        yield f"{'https' if access.has_tls else 'http'}://{bound}"
        to_end.set()


def _listening(place: Place) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)  # its connections inherit it
            sock.bind(address)
            sock.listen()
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise UsageError(f"cannot listen at {place}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


class Guard:
    """Stands before an application, and lets in who may come.

    Args:
        app: the application.
        place: where it listens.
        access: who may come.
    """

    def __init__(self, app: App, place: Place, access: Access) -> None:
        self._app = app
        self._access = access
        names = LOOPBACK_NAMES if place.is_loopback else ()
        self._hosts = {f"{name}:{place.port}" for name in (*names, str(place).rpartition(":")[0])}
        self._any_host = not place.is_loopback
        """What others call this machine is not known. There the token keeps strangers out."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = self._refusal(HTTPConnection(scope)) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        """What is answered to who may not come in; None to who may."""
        host = request.headers.get("host", "")
        if not self._any_host and host not in self._hosts:
            return _said(421, f"nothing is served under the name {host!r}; use {min(self._hosts)}")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return _said(403, "pages of other sites have no access")
        token = self._access.token
        if token is None:
            return None
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(shown, token):
            return None
        if _same(request.cookies.get(COOKIE, ""), token):
            return None
        if _same(request.query_params.get("token", ""), token):
            answer = RedirectResponse(request.url.path, 303)
            secure = self._access.has_tls
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
            return answer
        return _said(401, "a token is needed", {"WWW-Authenticate": "Bearer"})


def _same(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much was right."""
    return secrets.compare_digest(one.encode(), other.encode())


def _said(status: int, what: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{what}\n", status, headers)
