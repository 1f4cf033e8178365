"""Stands before an application, and lets in who may come: under a name that belongs to the address, and not for a page of another site."""

from __future__ import annotations

import html
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

from spore.distribution import needs

with needs("dashboard"):
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from spore.observe.entrance import CODE_S, SESSION_S, Entrance
from spore.observe.http_connection import App

__all__ = ["ADMITTED", "LOG_IN", "Admission", "cookie_name", "is_known"]

LOG_IN = "/login"
"""Where the form of the page is sent."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MAX_FORM_BYTES = 4_096
KNOWN = "spore.known"
"""In a scope that is passed on: whether the client has shown a token, or has a session."""
ADMITTED = "spore.admitted"
"""In a scope that comes in: called, if it is there, before the application answers. What was not let in has to make room for others."""
STALE = "This code was used already, or is too old."
WRONG = "This token is wrong."
FORM_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORM = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Spore: log in</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:12vh auto;padding:0 1rem}}
input,button{{font:inherit;padding:.4rem .6rem;margin-block:.4rem}}input{{width:100%;box-sizing:border-box}}</style>
<h1>Log in</h1><p role="alert">{problem}</p>
<form method="post" action="{action}"><label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Log in</button></form>
<p>The token is in the server's token file. An address with a code, as the server prints it when it is started, works once, within {minutes:g} minutes.</p>
</html>
"""


class Admission:
    """An application for those who may come in.

    Args:
        app: the application.
        host: as others write where it listens: a name or address, and a port.
        is_loopback: whether only this machine can reach it. What others call this machine elsewhere is not known; there the token keeps strangers out.
        entrance: knows tokens, codes and sessions.
        has_form: whether browsers may log in; else only clients that show a token in each request.
        secure: whether the connection is TLS.
    """

    def __init__(
        self,
        app: App,
        *,
        host: str,
        is_loopback: bool,
        entrance: Entrance,
        has_form: bool = False,
        secure: bool = False,
    ) -> None:
        self._app = app
        self._entrance = entrance
        self._has_form = has_form
        self._secure = secure
        name, _, port = host.rpartition(":")
        self._hosts = {f"{each}:{port}" for each in (*(LOOPBACK_NAMES if is_loopback else ()), name)}
        self._any_host = not is_loopback
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = await self._answer(Request(scope, receive))
        if answer is None:
            scope.get(ADMITTED, _nobody)()
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """What is answered to who may not come in, or only wants to; None for who may."""
        host = request.headers.get("host", "")
        if not self._any_host and host not in self._hosts:
            return _said(421, f"nothing is served under the name {host!r}; use {min(self._hosts)}")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return _said(403, "pages of other sites have no access")
        known = self._knows(request)
        request.scope[KNOWN] = known
        if self._has_form and request.scope["path"] == LOG_IN:
            return await self._log_in(request, known)
        code = request.query_params.get("code")
        if self._has_form and code is not None and request.method == "GET" and request.scope["path"] == "/":
            return self._redeem(code, known)
        if known or not self._entrance.has_tokens:
            return None
        if self._has_form and "text/html" in request.headers.get("accept", ""):
            return _form()
        return _said(
            401,
            "a token is needed, in the header Authorization: Bearer …",
            {"WWW-Authenticate": "Bearer"},
        )

    def _knows(self, request: HTTPConnection) -> bool:
        kind, _, shown = _utf8(request.headers.get("authorization", "")).partition(" ")
        if kind.lower() == "bearer" and self._entrance.knows_token(shown.strip()):
            return True
        return self._has_form and self._entrance.knows_session(request.cookies.get(self._cookie, ""))

    def _redeem(self, code: str, known: bool) -> Response:
        session = self._entrance.redeem(code)
        if session is None and not known and self._entrance.has_tokens:
            return _form(STALE)
        return self._welcome(session)

    async def _log_in(self, request: Request, known: bool) -> Response:
        if known:
            return self._welcome(None)
        if request.method != "POST":
            return _form()
        body = b""
        async with aclosing(request.stream()) as parts:
            async for part in parts:
                body += part
                if len(body) > MAX_FORM_BYTES:
                    return _said(413, f"a form has at most {MAX_FORM_BYTES:,} bytes")
        try:
            shown = parse_qs(body.decode(), max_num_fields=4).get("token", [""])[0]
        except ValueError:
            return _said(400, "that is no form of this page")
        session = self._entrance.log_in(shown.strip())
        return _form(WRONG) if session is None else self._welcome(session)

    def _welcome(self, session: str | None) -> Response:
        """To the page, without what stood in the address."""
        answer = RedirectResponse("/", 303, {"referrer-policy": "no-referrer", "cache-control": "no-store"})
        if session is not None:
            kept = {"max_age": int(SESSION_S), "httponly": True, "samesite": "strict", "secure": self._secure}
            answer.set_cookie(self._cookie, session, **kept)  # type: ignore[arg-type]
        return answer


def is_known(scope: Any) -> bool:
    """Whether who asks has shown a token, or has a session; so may change something, and not only look."""
    return scope.get(KNOWN) is True


def cookie_name(port: str) -> str:
    """A browser has one set of cookies for all ports of a machine, so each port has a name of its own."""
    return f"spore-session-{port}"


def _nobody() -> None:
    pass


def _utf8(header: str) -> str:
    """Headers are read as Latin-1. A token may have any characters."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _form(problem: str = "") -> Response:
    text = FORM.format(problem=html.escape(problem), action=LOG_IN, minutes=CODE_S / 60)
    # A page that says nothing of where it comes from sends its form as one of no site; which is refused.
    headers = {"content-security-policy": FORM_POLICY, "referrer-policy": "same-origin", "cache-control": "no-store"}
    return HTMLResponse(text, 401, {**headers, "x-content-type-options": "nosniff"})


def _said(status: int, what: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{what}\n", status, headers)
