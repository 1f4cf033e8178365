"""The page's events, as long as it is open: server-sent, one a look, and the next only when the last one has been taken."""

from __future__ import annotations

import trio

from spore.distribution import needs
from spore.observe.dashboard.board import Board, Full

with needs("dashboard"):
    from starlette.types import Receive, Scope, Send

__all__ = ["Events"]


class Events:
    """The events of a board, for each page that asks.

    A page that is slow finds what is new by the time that it is ready, and misses what was between. One that is gone is noticed, at
    the latest when it has taken nothing for a while: see `spore.observe.listen.STUCK_MS`. Nothing is kept for either.

    Source: HTML Standard, section 9.2, server-sent events.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._board.open_seat() as seat:
                await _begin(send, 200, b"text/event-stream")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                    while True:
                        event = await seat.next()
                        await send({"type": "http.response.body", "body": event, "more_body": True})
        except Full as error:
            await _begin(send, 503, b"text/plain; charset=utf-8")
            await send({"type": "http.response.body", "body": str(error).encode()})


async def _begin(send: Send, status: int, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
