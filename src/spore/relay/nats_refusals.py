"""Why a NATS server is not worked with: what is wrong, and what would be right."""

from __future__ import annotations

import re
import ssl
from typing import Any

from spore.errors import NatsRefused
from spore.relay.nats_options import NatsOptions

__all__ = ["MIN_DURABLE", "MIN_VERSION", "check_greeting", "refusal_of"]

MIN_VERSION = (2, 2)
"""The first with headers, without which a server cannot tell that nobody listens."""
MIN_DURABLE = (2, 10)
"""The first that can be told to have a message on the disk before it acknowledges it (``sync_interval: always``)."""


def check_greeting(info: dict[str, Any], server: str, *, tls: bool, durable: bool) -> None:
    """Look at what a server says of itself.

    Args:
        info: its greeting.
        server: ``host:port``.
        tls: whether it has to speak TLS.
        durable: whether streams are needed.

    Raises:
        NatsRefused: if it is none to work with.
    """
    min_version = MIN_DURABLE if durable else MIN_VERSION
    version = str(info.get("version", "unknown"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < min_version:
        wanted = ".".join(map(str, min_version))
        raise NatsRefused(server, "version", f"it is version {version}, and {wanted} or newer is needed")
    if tls and not info.get("tls_required"):
        raise NatsRefused(server, "tls", "it does not ask for TLS, and TLS was asked for here; nothing secret was sent")


def refusal_of(error: BaseException | None, server: str, options: NatsOptions) -> NatsRefused | None:
    """What to tell of a connection that is lost, or was never had, if coming again does not help."""
    if isinstance(error, NatsRefused):
        return error
    text = str(error).lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        ca = (
            f"the authority in {options.tls_ca}"
            if options.tls_ca
            else "the system's authorities (ca=FILE names another)"
        )
        return NatsRefused(
            server, "certificate", f"its certificate is not accepted here, by {ca}: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError) and ("certificate" in text or "unknown_ca" in text or "unknown ca" in text):
        shown = (
            f"it does not accept {options.tls_cert}"
            if options.tls_cert
            else "it asks for a certificate (cert=FILE&key=FILE)"
        )
        return NatsRefused(server, "certificate", f"{shown}: {error.reason}")
    if "authorization violation" in text or "authentication expired" in text or "authentication revoked" in text:
        who = f"user {options.user!r} with this password" if options.user else "this token" if options.token else ""
        who = who or (f"the credentials in {options.credentials}" if options.credentials else "anybody without a name")
        return NatsRefused(server, "password", f"it does not let in {who}; compare with the server's configuration")
    if "permissions violation" in text:
        return NatsRefused(server, "permission", f"{error}; the server's configuration has to allow it")
    return None
