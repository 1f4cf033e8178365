"""What the page may do.

`spore.observe.admission` lets in whoever names this server rightly and does not come from another site's page. Here the browser is told what
the page may load, which is what this server has and nothing else.

Source: Content Security Policy Level 3; W3C Fetch Metadata Request Headers.
"""

from __future__ import annotations

from spore.distribution import needs

with needs("dashboard"):
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.responses import PlainTextResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["POLICY", "Guard"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Plotly puts styles into the page, which is why they may be there. No text of a system gets into one."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An application whose answers say what a browser may do with them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        foreign = scope["type"] == "http" and _is_foreign(Headers(scope=scope))
        app = (
            PlainTextResponse("a page of another site may ask nothing here", status_code=403) if foreign else self._app
        )
        await app(scope, receive, send_guarded)


def _is_foreign(headers: Headers) -> bool:
    """Whether another site's page has asked for something, and is not just a link that somebody has followed."""
    site = headers.get("sec-fetch-site", "none")
    return site not in {"none", "same-origin"} and headers.get("sec-fetch-mode") != "navigate"
