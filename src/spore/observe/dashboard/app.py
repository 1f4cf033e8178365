"""The dashboard as an application: the page, its events, and its buttons."""

from __future__ import annotations

from spore.distribution import needs
from spore.observe.dashboard.board import Board
from spore.observe.dashboard.events import Events
from spore.observe.dashboard.guard import Guard
from spore.observe.dashboard.press import Press
from spore.observe.dashboard.static import StaticFiles

with needs("dashboard"):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute, Route
    from starlette.types import ASGIApp

__all__ = ["application"]


def application(board: Board) -> ASGIApp:
    """The dashboard of a board. It is to be served by `spore.observe.listen.open_site`, which looks who may come in.

    Args:
        board: what it shows. Somebody has to run it.
    """
    static = StaticFiles()
    routes: list[BaseRoute] = [
        Route("/events", Events(board)),
        Route("/", static.answer),
        Route("/{name}", static.answer),
    ]
    if board.buttons is not None:
        press = Press(board.buttons)
        routes[:0] = [
            Route("/do/drain", press.drain, methods=["POST"]),
            Route("/do/rollback", press.rollback, methods=["POST"]),
        ]
    return Starlette(routes=routes, middleware=[Middleware(Guard)])
