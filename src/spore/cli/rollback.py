"""``spore rollback``: back to the relay, or to a backup: the running system and its configuration together."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from spore.cli.check import import_beside
from spore.cli.config_argument import DEFAULT_CONFIG, ConfigFile
from spore.cli.monitor import watch_and_show
from spore.deploy import Mode, load_config
from spore.errors import UsageError
from spore.migration.rollback import Change, Made, change_to_backup, change_to_relay, make

__all__ = ["rollback"]


def rollback(
    bundle: str | None = None,
    config: ConfigFile = DEFAULT_CONFIG,
    /,
    *,
    minutes: float = 5.0,
    restore: Path | None = None,
    cold: bool = False,
) -> int:
    """Take a bundle, or all of them, back to the relay: back up the configuration, switch the running system, rewrite the file, and watch.

    The backup is beside the file, with the date and time in its name. In the file one line changes, the bundle's mode; comments and layout
    stay. If anything fails, file and system are as they were. If no `spore run` runs the file, only the file is changed, and it says so.

    Examples: `spore rollback` takes every bundle of config/bundles.toml back · `spore rollback trading_core` · `spore rollback trading_core config/live.toml --minutes 0` · and the other way:
    `spore rollback trading_core --restore config/bundles.toml.20261125T093000Z.bak`

    Exit codes: 0 done, and healthy as far as it was watched · 1 it failed, and file and system are as they were; or it is done, and the system
    is not healthy · 2 bad input, or the system does not answer · 130 interrupted.

    Parameters
    ----------
    bundle
        The bundle's name; without one, all bundles of the file that are not in relay yet.
    minutes
        For how long to watch the system afterwards, as `spore monitor` does; 0: not at all.
    restore
        Put this backup in the file's place instead, and switch the bundle to the mode that it says. What is there is backed up first.
    cold
        Let actors that cannot hand over their state (they have no snapshot) start anew. Without it they are a reason to refuse.
    """
    if not 0 <= minutes <= 100_000:
        raise UsageError(f"--minutes is 0 to 100000, not {minutes:g}")
    import_beside(config)
    if bundle is None and restore is not None:
        raise UsageError(
            "--restore needs the bundle that is to have the mode of the backup: spore rollback BUNDLE CONFIG --restore BACKUP"
        )
    change: Change | None = None
    runs = False
    for name in (bundle,) if bundle is not None else _to_take_back(config):
        change = change_to_relay(config, name) if restore is None else change_to_backup(config, name, restore)
        made = trio.run(_make, change, cold)
        runs = made.runs
        if made.backup is not None:
            _say(f"to undo this: spore rollback {name} {config} --restore {made.backup}")
    if not minutes or not runs or change is None:
        return 0
    _say(f"watching for {minutes:g} min")
    return trio.run(partial(watch_and_show, change.control, change.config, config, minutes=minutes, from_now=True))


def _to_take_back(config: Path) -> tuple[str, ...]:
    """The bundles that are not in relay in the file; if all are, all of them, for the system may run in other modes than its file says."""
    modes = {bundle.table: bundle.mode for bundle in load_config(config).bundles}
    return tuple(name for name, mode in modes.items() if mode is not Mode.RELAY) or tuple(modes)


async def _make(change: Change, cold: bool) -> Made:
    """Make the change. A first Ctrl-C waits for a switch that has begun, so that the file can follow it."""
    made: Made | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_at_a_signal, nursery.cancel_scope)
        made = await make(change, _say, cold=cold)
        nursery.cancel_scope.cancel()
    if made is None:
        raise KeyboardInterrupt
    return made


async def _stop_at_a_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            break
    print("spore: stops; a switch that has begun is waited for, unless you interrupt again", file=sys.stderr)
    scope.cancel()


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads it, and that must not come between the system and its file
        print(line, flush=True)
