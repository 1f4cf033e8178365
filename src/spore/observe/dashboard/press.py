"""What is done when a button is pressed, by who has shown a token or has a session: one thing at a time, and what became of it in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import attrs
import trio

from spore.deploy.control_words import MAX_REQUEST_BYTES, read
from spore.distribution import needs
from spore.errors import SporeError
from spore.observe.admission import is_known
from spore.observe.dashboard.buttons import Buttons, Say

with needs("dashboard"):
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response

__all__ = ["Press"]


@attrs.frozen(kw_only=True)
class Pressed:
    """What the page sends."""

    bundle: str = ""
    """Of a rollback: which one."""


STRANGER = (
    "this browser may look, and change nothing: open the address with a code that was printed when the dashboard was started, once and within "
    "five minutes; `spore dashboard` with the same file prints another one"
)
Do = Callable[[Pressed, Say], Awaitable[None]]
"""Told of each step in one line."""


class Press:
    """Answers the page when a button was pressed.

    Args:
        buttons: what they do.
    """

    def __init__(self, buttons: Buttons) -> None:
        self._buttons = buttons
        self._busy = trio.Lock()

    async def drain(self, request: Request) -> Response:
        """Drain and stop the system."""
        return await self._answer(request, lambda _, say: self._buttons.drain(say))

    async def rollback(self, request: Request) -> Response:
        """Roll a bundle back."""
        return await self._answer(request, lambda pressed, say: self._buttons.rollback(pressed.bundle, say))

    async def _answer(self, request: Request, do: Do) -> Response:
        if not is_known(request.scope):
            return _said(STRANGER, 401)
        if request.headers.get("content-type") != "application/json":
            return _said("that is no request of the page", 415)
        try:
            pressed = read(await _body(request), Pressed)
        except ValueError as error:
            return _said(f"that is no request of the page: {error}", 400)
        if self._busy.locked():
            return _said("another button was pressed just before; wait until that is done", 409)
        lines: list[str] = []
        async with self._busy:
            try:
                await do(pressed, lines.append)
            except (SporeError, OSError) as error:
                return _said("\n".join([*lines, str(error)]), 409)
        return _said("\n".join(lines))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                raise ValueError(f"it has more than {MAX_REQUEST_BYTES:,} bytes")
    return bytes(body)


def _said(text: str, status: int = 200) -> Response:
    return PlainTextResponse(text, status_code=status)
