"""``spore nats``: run NATS servers, for a start without an installation."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import trio

from spore.errors import UsageError
from spore.relay.nats_options import DEFAULT_PORT
from spore.relay.nats_server import open_servers

__all__ = ["nats"]


def nats(*, port: int = DEFAULT_PORT, dir: Path | None = None, nodes: int = 1) -> None:  # noqa: A002 - as the option is called
    """Run a NATS server with JetStream until it is told to stop (SIGTERM or Ctrl-C).

    For this machine alone: it listens on the loopback and asks for no password. A line on stdout says where, once it does, as
    nodes and `spore run` take it. What streams hold is on the disk before it is acknowledged, and is there again after a
    restart. For more than one machine install NATS on each, with passwords and TLS, and set `sync_interval: always`.

    Parameters
    ----------
    port
        For clients; 0 lets the system choose. More nodes have the ports behind it.
    dir
        Where everything is stored, for this user alone. By default in ~/.local/state/spore/nats.
    nodes
        How many servers: 1, or a cluster of 3 or 5, which survives the loss of one or two.
    """
    if nodes not in {1, 3, 5}:
        raise UsageError(f"--nodes is 1, 3 or 5, not {nodes}: a cluster needs a majority to go on")
    if not 0 <= port <= 65_535 - nodes:
        raise UsageError(f"--port is 0 to {65_535 - nodes:,}, not {port}")
    trio.run(_serve, dir or _default_folder(), [port and port + number for number in range(nodes)])


def _default_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "spore" / "nats"


async def _serve(folder: Path, ports: list[int]) -> None:
    heard = 0
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_servers(folder, ports) as servers, trio.open_nursery() as nursery:
            print(f"listening at {servers.address}", flush=True)
            nursery.start_soon(servers.wait_ended)
            async for number in signals:
                heard = number
                break
            nursery.cancel_scope.cancel()
    if heard == signal.SIGINT:
        raise KeyboardInterrupt
