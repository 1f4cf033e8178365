"""Where somebody can look by HTTP: the address, who is let in, and a server that ends with its block.

Rules: what can be reached from other machines has TLS and a token; what cannot, needs neither. A browser is let in only under a name that
belongs to the address, and only by pages that came from there, so that no other site can look through somebody's browser.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from spore.deploy.reception import Reception, Visit
from spore.errors import UsageError
from spore.observe.admission import ADMITTED, Admission
from spore.observe.entrance import Entrance
from spore.observe.http_connection import App, Connection
from spore.observe.http_exchange import Limits
from spore.relay.token import Tokens, as_tokens

__all__ = ["MAX_CONNECTIONS", "Access", "Place", "open_site"]

_log = logging.getLogger("spore.observe")
LIMITS = Limits()
MAX_CONNECTIONS = 128
"""Of one site. With one, no more than about 100 KB are held for a client that has not been let in."""
GRACE_S = 0.25
"""So long a new connection is kept that asks for nothing while others wait for a place."""
BACKLOG = 1_024
"""Those wait in the system's queue. It takes no more than ``net.core.somaxconn``."""
GOODBYE_S = 1.0
"""So long a connection may take to end once the server is told to."""
STUCK_MS = 5_000
"""Who acknowledges nothing for so long has its connection closed by the system. Source: tcp(7), ``TCP_USER_TIMEOUT``."""


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

    token: Tokens = attrs.field(default=None, repr=False)
    """What a client has to know, which shows it as ``Authorization: Bearer …``. Two, while one replaces the other: either lets in."""
    certificate: Path | None = None
    """Of the server, in PEM."""
    key: Path | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """All of them.

        Raises:
            UsageError: if one is empty, or there are more than two.
        """
        return as_tokens(self.token)

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
        self.tls_context()
        if not place.is_loopback and not (self.has_tls and self.tokens):
            raise UsageError(
                f"{place} can be reached from other machines, so it needs TLS and a token: --tls-cert, --tls-key and --token-file, or "
                "certificate, key and token_file in [observe]; or listen at 127.0.0.1"
            )

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without it.

        Raises:
            UsageError: if the files cannot be used.
        """
        if self.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"the TLS files {self.certificate}, {self.key} cannot be used: {error}") from None
        return context


@asynccontextmanager
async def open_site(
    app: App, place: Place, access: Access | None = None, *, entrance: Entrance | None = None, name: str = "site"
) -> AsyncIterator[str]:
    """Serve an application for the length of a block.

    Args:
        app: the application.
        place: where to listen.
        access: who is let in; on the loopback, by default, everybody who is there.
        entrance: lets browsers in by codes and a form; without it there are none, and only tokens in headers.
        name: what is served, for the log.

    Yields:
        Its URL, with the port that the system has chosen.

    Cancellation: entering is a checkpoint, and leaving is one that takes up to a second where connections are open.

    Raises:
        UsageError: if it would not be safe, or that place cannot be had.
    """
    access = access or Access()
    access.check(place)
    context = access.tls_context()
    sock = _listening(place)
    bound = Place(place.host, sock.getsockname()[1])
    admission = Admission(
        app,
        host=str(bound),
        is_loopback=place.is_loopback,
        entrance=entrance or Entrance(access.tokens),
        has_form=entrance is not None,
        secure=access.has_tls,
    )
    reception = Reception(sock, name=name, most=MAX_CONNECTIONS, grace_s=GRACE_S, log=_log)
    site = _Site(admission, context, reception)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reception.run, site.serve)
        yield f"{'https' if access.has_tls else 'http'}://{bound}"
        reception.stop()
        nursery.cancel_scope.deadline = trio.current_time() + GOODBYE_S


class _Site:
    """Serves connections."""

    def __init__(self, app: App, context: ssl.SSLContext | None, reception: Reception) -> None:
        self._app = app
        self._context = context
        self._reception = reception

    async def serve(self, stream: trio.SocketStream, visit: Visit) -> None:
        try:
            peer, here = stream.socket.getpeername()[:2], stream.socket.getsockname()[:2]
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return  # it has gone before anything was said
        talk: trio.abc.Stream = stream
        if self._context is not None:
            secured = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
            try:
                with trio.fail_after(LIMITS.head_s):
                    await secured.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError):
                return
            talk = secured
        connection = Connection(
            talk,
            self._app,
            {
                "scheme": "http" if self._context is None else "https",
                "client": peer,
                "server": here,
                ADMITTED: lambda: self._reception.busy(visit),
            },
            limits=LIMITS,
            on_idle=lambda: self._reception.idle(visit),
            bad=lambda what: self._reception.warn(visit, "bad request", what),
        )
        await connection.run()


def _listening(place: Place) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)  # its connections inherit it
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise UsageError(f"cannot listen at {place}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock
