"""The dashboard as an application: the page, its events, and its buttons."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from spore.observe.dashboard.board import Board
from spore.observe.dashboard.events import Events
from spore.observe.dashboard.guard import Guard
from spore.observe.dashboard.press import Buttons, Press
from spore.observe.dashboard.static import StaticFiles

__all__ = ["application"]


def application(
    board: Board, *, hosts: Collection[str], token: str, private: bool = False, buttons: Buttons | None = None
) -> ASGIApp:
    """The dashboard of a board.

    Args:
        board: what it shows. Somebody has to run it.
        hosts: the names by which the server is known, without a port.
        token: what a request has to carry for a button.
        private: whether it has to carry it to see anything, too. What the page is made of is no secret.
        buttons: what the buttons do; None where there are none.
    """
    static = StaticFiles()
    routes: list[BaseRoute] = [
        Route("/events", Events(board, token if private else None)),
        Route("/", static.answer),
        Route("/{name}", static.answer),
    ]
    if buttons is not None:
        press = Press(buttons, token)
        routes[:0] = [
            Route("/do/drain", press.drain, methods=["POST"]),
            Route("/do/rollback", press.rollback, methods=["POST"]),
        ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)])
