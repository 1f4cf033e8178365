"""``spore metrics``: metrics of a running system, for Prometheus."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from spore.cli.config_argument import DEFAULT_CONFIG, ConfigFile
from spore.deploy import load_config
from spore.deploy.control_socket import socket_path
from spore.deploy.nodes import run_label
from spore.observe.serving import access_of, need
from spore.observe.source import open_source

if TYPE_CHECKING:
    from spore.observe.listen import Access, Place

__all__ = ["metrics"]


def metrics(
    config: ConfigFile = DEFAULT_CONFIG,
    /,
    *,
    listen: str = "127.0.0.1:9464",
    node: str | None = None,
    token_file: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve metrics of a running system for Prometheus, until SIGTERM or Ctrl-C.

    A line on stdout says where, once it does. Each scrape looks at the system; nothing is counted for it. While nothing runs `spore_up` is 0,
    and when the system is started again its metrics are back. `metrics = "HOST:PORT"` in `[observe]` of the configuration has `spore run`
    serve the same.

    Exit codes: 0 ended · 2 it cannot be served · 130 interrupted.

    Parameters
    ----------
    listen
        HOST:PORT; port 0 lets the system choose. Off the loopback this needs TLS and a token.
    node
        Which node to look at, where the configuration has several: one that this machine runs.
    token_file
        Only clients that show the token in this file are served, in the header Authorization. The file may have two tokens, a line each,
        while one replaces the other. Without the option the variable SPORE_TOKEN is looked at.
    tls_cert
        The server's certificate, in PEM.
    tls_key
        Its key.
    """
    try:
        from spore.observe.listen import Place  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        need(error, "spore metrics", "metrics")
    loaded = load_config(config)
    path = socket_path(config, loaded.control.socket, run_label(loaded, node))
    access = access_of(token_file=token_file, certificate=tls_cert, key=tls_key)
    trio.run(partial(_serve, path, config, Place.parse(listen), access))


async def _serve(path: Path, config: Path, place: Place, access: Access) -> None:
    from spore.observe.listen import open_site  # noqa: PLC0415 - an extra
    from spore.observe.metrics import metrics_app  # noqa: PLC0415

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with (
            open_source(path, config) as source,
            open_site(metrics_app(source), place, access, name="metrics") as url,
        ):
            print(f"metrics: {url}/metrics", flush=True)
            async for number in signals:
                if number == signal.SIGINT:
                    raise KeyboardInterrupt
                return
