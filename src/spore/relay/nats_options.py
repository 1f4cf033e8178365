"""Where the NATS servers are, and how to show them who one is: ``nats://user:password@host:port,host:port?ca=FILE``."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from spore.errors import UsageError

__all__ = ["DEFAULT_PORT", "NatsOptions", "token_of"]

DEFAULT_PORT = 4222
"""Source: the port that IANA has registered for NATS."""
_FORM = "write nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…], or tls://… for TLS"
_FILES = {"credentials": "credentials", "ca": "tls_ca", "cert": "tls_cert", "key": "tls_key"}
"""What may stand behind the question mark, each with a file, and the fields that it fills."""


@attrs.frozen(kw_only=True)
class NatsOptions:
    """Everything that is needed to connect. The representation shows no secrets."""

    servers: tuple[str, ...]
    """``host:port`` of each server of a cluster; one that answers is enough."""
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    credentials: Path | None = None
    """A file with a user's JWT and seed, as ``nsc`` writes it."""
    tls: bool = False
    """Whether the servers must speak TLS. With any of the following files they must."""
    tls_ca: Path | None = None
    """The authority that has signed the servers' certificates, in PEM; without it the system's."""
    tls_cert: Path | None = None
    """This end's certificate, for servers that ask for one; with its key."""
    tls_key: Path | None = None

    def __attrs_post_init__(self) -> None:
        if not self.servers:
            raise UsageError(f"no NATS server was named; {_FORM}")
        if (self.user is None) != (self.password is None):
            raise UsageError("a user of NATS needs a password, and a password a user")
        if sum(each is not None for each in (self.user, self.token, self.credentials)) > 1:
            raise UsageError("user, token and credentials exclude each other: give NATS one of them")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("a certificate for NATS needs its key, and a key its certificate")

    @classmethod
    def parse(cls, text: str) -> NatsOptions:
        """Read an address as people write it. A name without a password is a token, as other tools read it, too.

        Raises:
            UsageError: saying what would be right, and showing no secret.
        """
        try:
            parts = urlsplit(text)
        except ValueError as error:  # brackets that do not close, say; its own words show no more than the host
            raise UsageError(f"no address of NATS: {error}; {_FORM}") from None
        if parts.scheme not in {"nats", "tls"}:
            raise UsageError(f"an address of NATS begins with nats:// or tls://, not with {text[:8]!r}; {_FORM}")
        if parts.path or parts.fragment:
            raise UsageError(
                f"behind the servers comes a question mark, and not {parts.path or parts.fragment!r}; {_FORM}"
            )
        who, _, hosts = parts.netloc.rpartition("@")
        user, colon, password = who.partition(":")
        files = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := files.keys() - _FILES.keys():
            raise UsageError(f"{min(unknown)!r} is no option of NATS; there are: {', '.join(_FILES)}")
        return cls(
            servers=tuple(_server(host) for host in hosts.split(",")) if hosts else (),
            user=unquote(user) if colon else None,
            password=unquote(password) if colon else None,
            token=unquote(user) if user and not colon else None,
            tls=parts.scheme == "tls",
            **{_FILES[name]: Path(file) for name, file in files.items()},
        )

    @property
    def wants_tls(self) -> bool:
        """Whether a server without TLS is refused."""
        return self.tls or self.tls_ca is not None or self.tls_cert is not None

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without TLS.

        Raises:
            UsageError: if a file cannot be used.
        """
        if not self.wants_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_cert is not None and self.tls_key is not None:
                context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            given = ", ".join(str(file) for file in (self.tls_ca, self.tls_cert, self.tls_key) if file is not None)
            raise UsageError(f"the TLS files {given} cannot be used: {error}") from None
        return context

    def __str__(self) -> str:
        return f"{'tls' if self.wants_tls else 'nats'}://{','.join(self.servers)}"


def _server(text: str) -> str:
    """``host:port``, with the default port where there is none. An IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageError(f"{text!r} is no server; {_FORM}")
    return f"{host}:{port}"


def token_of(name: str) -> str:
    """A name as one word of a subject: letters, digits, ``_`` and ``-`` stay, and other bytes become ``%`` and two hex digits."""
    return re.sub(rb"[^A-Za-z0-9_-]", lambda found: b"%%%02X" % found[0][0], name.encode()).decode()
