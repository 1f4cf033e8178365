"""The dashboard, served for the length of a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from spore.deploy import System
from spore.observe.dashboard.app import application
from spore.observe.dashboard.board import Board
from spore.observe.entrance import Entrance
from spore.observe.listen import Access, Place, open_site
from spore.observe.source import SystemSource

__all__ = ["open_dashboard", "serve_dashboard", "with_code"]


@asynccontextmanager
async def open_dashboard(
    board: Board, place: Place, *, access: Access | None = None, entrance: Entrance | None = None
) -> AsyncIterator[str]:
    """Serve a board.

    Args:
        board: what is shown.
        place: where to listen.
        access: as for `spore.observe.listen.open_site`.
        entrance: lets browsers in, with the tokens of `access`; for whoever needs another code later.

    Yields:
        The address to open. Where a browser has to be let in before it may look, or press a button, a code is part of it: the address then works once,
        and for `spore.observe.entrance.CODE_S`. There is never a token in it.

    Cancellation: as `spore.observe.listen.open_site`.

    Raises:
        UsageError: as `spore.observe.listen.open_site`.
    """
    access = access or Access()
    entrance = entrance or Entrance(access.tokens)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        async with open_site(application(board), place, access, entrance=entrance, name="dashboard") as url:
            yield with_code(url, board, entrance)
        nursery.cancel_scope.cancel()


def with_code(url: str, board: Board, entrance: Entrance) -> str:
    """An address for one more browser, where one has to be let in."""
    site = url.partition("?")[0].rstrip("/")
    needed = entrance.has_tokens or board.buttons is not None
    return f"{site}/?code={entrance.new_code()}" if needed else f"{site}/"


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
        The address to open in a browser, as `open_dashboard` says it.

    Cancellation: entering is a checkpoint, and leaving is one that takes up to a second where pages are open.

    Raises:
        UsageError: if it would not be safe, or that place cannot be had.
    """
    board = Board(SystemSource(system, name), name=name)
    async with open_dashboard(board, Place.parse(listen), access=access) as address:
        yield address
