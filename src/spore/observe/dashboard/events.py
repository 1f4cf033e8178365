"""The page's events, as long as it is open: server-sent, one a look, and the next only when the last one has been taken."""

from __future__ import annotations

import trio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from spore.observe.dashboard.board import Board, Full
from spore.observe.dashboard.guard import carries

__all__ = ["Events"]

PATIENCE_S = 20.0
"""Who takes nothing for so long is let go; it asks again when it is back."""


class Events:
    """The events of a board, for each page that asks.

    A page that is slow finds what is new by the time that it is ready, and misses what was between; a page that is gone is
    noticed, at the latest when it takes nothing any more. Nothing is kept for either.

    Args:
        board: what they are of.
        token: what a request has to carry; None where anybody may look.

    Source: HTML Standard, section 9.2, server-sent events.
    """

    def __init__(self, board: Board, token: str | None) -> None:
        self._board = board
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._token is not None and not carries(Request(scope), self._token):
            await _refuse(send, 401, "the token is missing or wrong: open the address that was printed, with what follows #")
            return
        try:
            with self._board.open_seat() as seat:
                await _begin(send, 200, b"text/event-stream")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                    while True:
                        event = await seat.next()
                        with trio.move_on_after(PATIENCE_S) as patience:
                            await send({"type": "http.response.body", "body": event, "more_body": True})
                        if patience.cancelled_caught:
                            nursery.cancel_scope.cancel()
        except Full as error:
            await _refuse(send, 503, str(error))


async def _begin(send: Send, status: int, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _refuse(send: Send, status: int, reason: str) -> None:
    await _begin(send, status, b"text/plain; charset=utf-8")
    await send({"type": "http.response.body", "body": reason.encode()})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
