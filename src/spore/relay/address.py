"""Where a relay listens: ``unix:PATH`` or ``tcp:HOST:PORT``, and what TCP needs to be safe."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path

import attrs

from spore.errors import UsageError

__all__ = ["Address", "TlsFiles"]

MAX_PATH = 107
"""Source: unix(7); 108 bytes with the one that ends it."""


@attrs.frozen
class Address:
    """A parsed address."""

    path: str | None = None
    """Of a Unix socket."""
    host: str = ""
    port: int = 0

    def __attrs_post_init__(self) -> None:
        size = len(os.fsencode(self.path)) if self.path is not None else 0
        if size > MAX_PATH:
            raise UsageError(f"{self.path}: a socket's path has at most {MAX_PATH} bytes, and this one {size}")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address as people write it; a bare path is one of a Unix socket.

        Raises:
            UsageError: saying what would be right.
        """
        kind, _, rest = text.partition(":")
        if kind == "tcp":
            host, _, port = rest.rpartition(":")
            if host and port.isascii() and port.isdigit() and int(port) < 65_536:
                return cls(host=host.strip("[]"), port=int(port))
        elif kind == "unix" and rest:
            return cls(path=rest)
        elif text and "/" in text:
            return cls(path=text)
        raise UsageError(f"{text!r} is no address; write unix:PATH or tcp:HOST:PORT")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"tcp:{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class TlsFiles:
    """The files, in PEM, of one end of a connection with TLS. Both ends show certificates that the other's CA signed."""

    certificate: Path
    key: Path
    ca: Path

    def for_server(self) -> ssl.SSLContext:
        """Clients must show a certificate.

        Raises:
            UsageError: if a file cannot be used.
        """
        context = self._loaded(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def for_client(self) -> ssl.SSLContext:
        """The server's certificate must be for the name that was asked for.

        Raises:
            UsageError: if a file cannot be used.
        """
        return self._loaded(ssl.PROTOCOL_TLS_CLIENT)

    def _loaded(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the TLS files {self.certificate}, {self.key}, {self.ca} cannot be used: {error}"
            ) from None
        return context
