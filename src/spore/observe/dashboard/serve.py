"""The dashboard, served for the length of a block."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from spore.deploy import System
from spore.observe.dashboard.app import application
from spore.observe.dashboard.board import Board
from spore.observe.listen import Access, Place, open_site
from spore.observe.source import SystemSource

__all__ = ["open_dashboard", "serve_dashboard"]


@asynccontextmanager
async def open_dashboard(board: Board, place: Place, *, access: Access | None = None) -> AsyncIterator[str]:
    """Serve a board.

    Args:
        board: what is shown.
        place: where to listen.
        access: as for `spore.observe.listen.open_site`.

    Yields:
        The address to open, with the tokens that the page needs.

    Cancellation: as `spore.observe.listen.open_site`.

    Raises:
        UsageError: as `spore.observe.listen.open_site`.
    """
    access = access or Access()
    token = access.token or secrets.token_urlsafe(24)
    app = application(board, token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        async with open_site(app, place, access) as url:
            query = f"?token={access.token}" if access.token else ""
            yield f"{url}/{query}" + (f"#token={token}" if board.buttons is not None else "")
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serve_dashboard(
    system: System, *, listen: str = "127.0.0.1:0", name: str = "system", access: Access | None = None
) -> AsyncIterator[str]:
    """Serve the dashboard of a system in this process for the length of a block.

    Args:
        system: of `spore.open_system`.
        listen: ``HOST:PORT``; port 0 lets the operating system choose.
        name: what to call the system.
        access: who is let in; off the loopback this needs TLS and a token.

    Yields:
        The address to open in a browser.

    Cancellation: entering is a checkpoint, and leaving is one that takes up to a second where pages are open.

    Raises:
        UsageError: if it would not be safe, or that place cannot be had.
    """
    board = Board(SystemSource(system, name), name=name)
    async with open_dashboard(board, Place.parse(listen), access=access) as address:
        yield address
