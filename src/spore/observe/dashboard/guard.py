"""Who may ask: the page itself, and nobody else's page in the same browser.

A browser sends what any site tells it to, also to this machine. So a request has to name a host that this server is known by (a name
that was bound to this address by somebody else, to get around the rule of the same origin, is none), has to come from a page of this
server if it says from where it comes, and has to carry the token where it changes something. A page of another site can send no such
header without asking first, and is not told that it may.

Source: W3C Fetch Metadata Request Headers; OWASP, Cross-Site Request Forgery Prevention.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK", "POLICY", "Guard", "carries"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine that nobody else can bind."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads what this server has, and nothing else. Plotly puts styles into the page; no text of a system gets there."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An application behind these rules.

    Args:
        app: the application.
        hosts: the names by which this server is known, without a port.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        reason = self._refusal(scope)
        app = PlainTextResponse(reason, status_code=403) if reason else self._app
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self._hosts:
            return f"this server is known as {', '.join(sorted(self._hosts))}, and not as {name or 'nothing'}"
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scope['scheme']}://{host}".lower():
            return f"a page of {origin} may ask nothing here"
        site = headers.get("sec-fetch-site", "none")
        if site not in {"none", "same-origin"} and headers.get("sec-fetch-mode") != "navigate":
            return "a page of another site may ask nothing here"
        return ""


def carries(request: Request, token: str) -> bool:
    """Whether a request carries a token."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(value.strip().encode(), token.encode())
