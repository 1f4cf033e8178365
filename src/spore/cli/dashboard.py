"""``spore dashboard``: a running system in a browser, and what a comparison measures while it runs."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
from cyclopts import Parameter

from spore.cli.check import import_beside
from spore.cli.config_argument import DEFAULT_CONFIG
from spore.deploy import load_config
from spore.deploy.control_socket import socket_path
from spore.deploy.nodes import run_label
from spore.observe.serving import access_of, need
from spore.observe.source import open_source
from spore.relay.token import TOKEN_VARIABLE

if TYPE_CHECKING:
    from spore.observe.listen import Access, Place

__all__ = ["dashboard"]


def dashboard(
    where: Annotated[Path, Parameter(name="CONFIG")] = DEFAULT_CONFIG,
    /,
    *,
    listen: str = "127.0.0.1:0",
    node: str | None = None,
    open: Annotated[bool | None, Parameter(negative="--no-open")] = None,  # noqa: A002 - the option's name
    token_file: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve a page that shows a running system live, until SIGTERM or Ctrl-C. Its address is said on stdout.

    It shows rates and latency, the tree of bundles and actors, queues, what was lost and why, edges with what they encode or save, dead
    letters, and warnings; and of `spore compare` and `spore loadtest` both modes side by side, while they run and afterwards. The system
    is looked at once a second, and only while a page is open. Where nothing runs yet, the page waits for it.

    The page can drain the system and roll a bundle back, as `spore rollback` does. A browser may do that which was opened with the code in the
    address that was said: it works once, within five minutes. A token is never part of an address, and never said.
    `dashboard = "HOST:PORT"` in `[observe]` of the configuration has `spore run` serve the same page.

    Examples: `spore dashboard` · `spore dashboard config/live.toml --listen 127.0.0.1:8466`

    Exit codes: 0 ended · 2 it cannot be served · 130 interrupted.

    Parameters
    ----------
    where
        The file that `spore run` runs, or the control socket of a run; then there are no buttons.
    listen
        HOST:PORT; port 0 lets the system choose. Off the loopback this needs TLS and a token.
    node
        Which node to look at, where the configuration has several: one that this machine runs.
    open
        Open the page in a browser; by default where there is a screen, and somebody at the terminal.
    token_file
        Only who knows the token in this file is let in; a browser by a code, or by a form that asks for the token. The file may have two
        tokens, a line each, while one replaces the other. Without the option the variable SPORE_TOKEN is looked at.
    tls_cert
        The server's certificate, in PEM.
    tls_key
        Its key.
    """
    try:
        from spore.observe.listen import Place  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        need(error, "spore dashboard", "dashboard")
    access = access_of(token_file=token_file, certificate=tls_cert, key=tls_key)
    opens = _has_screen() if open is None else open
    trio.run(partial(_serve, where, node, Place.parse(listen), access, opens=opens))


async def _serve(where: Path, node: str | None, place: Place, access: Access, *, opens: bool) -> None:
    from spore.observe.dashboard import Board, ConfigButtons, open_dashboard, with_code  # noqa: PLC0415 - an extra
    from spore.observe.entrance import Entrance  # noqa: PLC0415

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with AsyncExitStack() as stack:
            if where.is_socket():
                source = await stack.enter_async_context(open_source(where, where))
                board = Board(source, name=str(where))
            elif where == DEFAULT_CONFIG and not where.exists():
                hint = f"There is no {where} here: name the file that spore run runs, as in spore dashboard FILE."
                board = Board(None, name="", hint=hint)
            else:
                import_beside(where)
                loaded = load_config(where)
                label = run_label(loaded, node)
                control = socket_path(where, loaded.control.socket, label)
                source = await stack.enter_async_context(open_source(control, where))
                hint = f"Start it with: spore run {where}{f' --node {label}' if label else ''}. This page will notice."
                board = Board(source, name=str(where), hint=hint, buttons=ConfigButtons(where, control))
            entrance = Entrance(access.tokens)
            served = open_dashboard(board, place, access=access, entrance=entrance)
            address = await stack.enter_async_context(served)
            print(f"dashboard: {address}", flush=True)
            if opens:  # with a code of its own: the one that was printed is for another browser
                os.environ.pop(TOKEN_VARIABLE, None)
                await trio.to_thread.run_sync(webbrowser.open, with_code(address, board, entrance))
            async for number in signals:
                if number == signal.SIGINT:
                    raise KeyboardInterrupt
                return


def _has_screen() -> bool:
    return sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
