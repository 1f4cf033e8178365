"""Watching a running system for a while, from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from spore.deploy.config import MonitorConfig
from spore.deploy.control_client import open_control
from spore.migration.health import LOOKS_RUNNING, Health, Watch

__all__ = ["EVERY_S", "FEWEST_LOOKS", "monitor"]

EVERY_S = 1.0
FEWEST_LOOKS = LOOKS_RUNNING + 1
"""One to know where the counts stand, and as many again as it takes to call something lasting."""


async def monitor(
    control: Path,
    config: Path,
    limits: MonitorConfig,
    show: Callable[[Health], None],
    *,
    seconds: float = 0.0,
    from_now: bool = False,
    every_s: float = EVERY_S,
) -> Health:
    """Look at a system again and again.

    Args:
        control: where it is reached: of `spore.deploy.control_socket.socket_path`.
        config: the file that it runs.
        limits: what counts as healthy.
        show: told what each look shows, after the first.
        from_now: count from the first look on, and not since the system was started.
        seconds: for how long; at least for `FEWEST_LOOKS`.
        every_s: the time from one look to the next.

    Returns:
        What the last look shows.

    Cancellation: always a checkpoint.

    Raises:
        ControlError: if the system does not run, or not any more, or does not answer.
    """
    watch = Watch(limits, from_now=from_now)
    health: Health | None = None
    async with open_control(control, config) as system:
        due = trio.current_time()
        end = due + seconds
        looks = 0
        while health is None or looks < FEWEST_LOOKS or due <= end:
            await trio.sleep_until(due)
            looks += 1
            health = watch.see(await system.statistics())
            if health is not None:
                show(health)
            due = max(due + every_s, trio.current_time())
    return health
