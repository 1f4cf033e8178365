"""``spore monitor``: whether a running system is healthy."""

from __future__ import annotations

import json as jsonlib
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio
from rich.live import Live

from spore.cli.config_argument import DEFAULT_CONFIG, ConfigFile
from spore.cli.console import output_console
from spore.cli.monitor_table import table, verdict
from spore.deploy import SystemConfig, load_config
from spore.deploy.control_socket import socket_path
from spore.deploy.nodes import run_label
from spore.errors import ControlError, UsageError
from spore.migration.health import Health
from spore.migration.monitor import monitor as watch

__all__ = ["monitor", "watch_and_show"]

NOT_HEALTHY = 1


def monitor(
    config: ConfigFile = DEFAULT_CONFIG,
    /,
    *,
    minutes: float = 0.0,
    from_now: bool = False,
    node: str | None = None,
    json: bool = False,
) -> int:
    """Look at a running system every second, and say whether it is healthy.

    Shown of each actor: messages a second, the mean time that a message waits and is handled, the queue, what was lost and why, and
    restarts; and of a bundle in shadow mode, differences to its twin. What is counted is counted since the system was started, and held
    against the limits in `[monitor]` of the configuration; what had happened before the first look is listed. Refused links, actors that are
    down, and rates that fell to nothing are not healthy whatever the limits are.

    Examples: `spore monitor` looks for a few seconds · `spore monitor config/live.toml --minutes 5` · `spore monitor --json | jq .healthy`

    Exit codes: 0 healthy · 1 not, and it says which limit, where and by how much · 2 it cannot be told, because nothing runs there or nobody
    answers · 130 interrupted.

    Parameters
    ----------
    minutes
        For how long to look; by default for as few looks as it takes.
    from_now
        Count from the first look on: what happened before it is listed, and is no reason to be called unhealthy.
    node
        Which node to look at, where the configuration has several: one that this machine runs.
    json
        Print one JSON object a look.
    """
    if not 0 <= minutes <= 100_000:
        raise UsageError(f"--minutes is 0 to 100000, not {minutes:g}")
    loaded = load_config(config)
    path = socket_path(config, loaded.control.socket, run_label(loaded, node))
    return trio.run(partial(watch_and_show, path, loaded, config, minutes=minutes, from_now=from_now, json=json))


async def watch_and_show(
    control: Path, config: SystemConfig, source: Path, *, minutes: float, from_now: bool = False, json: bool = False
) -> int:
    """Watch a system, show it on stdout, and return the exit code.

    Args:
        control: where it is reached.
        config: what its file says.
        source: the file.
        minutes: for how long.
        from_now: whether what happened before the first look does not matter.
        json: show JSON, an object a look.

    Cancellation: always a checkpoint.

    Raises:
        ControlError: if it does not answer, unless it was seen before that it is not healthy.
    """
    console = output_console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not json else None
    last: Health | None = None

    def show(health: Health) -> None:
        nonlocal last
        last = health
        if json:
            print(jsonlib.dumps(_plain(health)), flush=True)
        elif live is not None:
            live.update(table(health), refresh=True)

    gone: ControlError | None = None
    try:
        with live or nullcontext():
            await watch(control, source, config.monitor, show, seconds=60 * minutes, from_now=from_now)
    except ControlError as error:
        if last is None or last.healthy:
            raise
        gone = error
    assert last is not None  # noqa: S101 - there are several looks, or an error
    if not json:
        if live is None:
            console.print(table(last))
        for line in (*verdict(last, config, source), *([str(gone)] if gone else ())):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if last.healthy else NOT_HEALTHY


def _plain(health: Health) -> dict[str, Any]:
    return {"healthy": health.healthy, **attrs.asdict(health)}
