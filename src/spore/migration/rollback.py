"""Going back: another mode for a bundle, in the running system and in its configuration, so that both agree whatever fails.

Order: the file is checked; its backup and its successor are written, which is all that needs room; the system is switched, which may
fail and leaves the old mode; the successor takes the file's place, which is a rename. The other way round, a switch that fails
would leave a file that has to be put back; and a file that is written after the switch might find no room.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from spore.deploy.config import Mode, SystemConfig
from spore.deploy.control_client import Control, open_control
from spore.deploy.control_socket import socket_path
from spore.deploy.load import parse_config
from spore.deploy.nodes import node_label
from spore.deploy.strict import among
from spore.errors import ConfigError, NothingRuns, RollbackFailed, SporeError, UsageError
from spore.migration.config_file import Staged, back_up, checked, staged
from spore.migration.rewrite import with_mode

__all__ = ["Change", "Made", "change_to_backup", "change_to_relay", "make"]


@attrs.frozen(kw_only=True)
class Change:
    """What is to become of a configuration, and of the system that runs it. Nothing has happened yet."""

    path: Path
    """The file, links followed."""
    bundle: str
    mode: Mode
    before: bytes | None
    """What is in the file; None if there is none."""
    after: bytes
    config: SystemConfig
    """What it says after it."""
    control: Path
    """Where the system is reached."""
    more: bool = False
    """Whether more changes than that bundle's mode."""

    @property
    def bundles(self) -> tuple[str, ...]:
        """What runs of the bundle: it, or its shards."""
        return tuple(each.name for each in self.config.bundles if each.table == self.bundle)


@attrs.frozen(kw_only=True)
class Made:
    """What was made of a change."""

    backup: Path | None
    """What was in the file; None if it was not replaced, or there was none."""
    runs: bool
    """Whether a system runs that now agrees with it."""


def change_to_relay(config: Path, bundle: str) -> Change:
    """A configuration as it is, but for the mode of one bundle.

    Raises:
        ConfigError: if it cannot run, as it is or then.
        UsageError: if there is no such bundle, or its mode cannot be changed in one line.
        OSError: if it cannot be read.
    """
    path = Path(os.path.realpath(config))
    data = path.read_bytes()
    loaded = checked(data, config)
    after = with_mode(data.decode(), bundle, Mode.RELAY).encode()
    return Change(
        path=path,
        bundle=bundle,
        mode=Mode.RELAY,
        before=data,
        after=after,
        config=checked(after, f'{config} with mode = "relay"'),
        control=socket_path(path, loaded.control.socket, node_label(loaded, bundle)),
    )


def change_to_backup(config: Path, bundle: str, backup: Path) -> Change:
    """A configuration as a backup has it. The present one may be damaged, or gone.

    Raises:
        ConfigError: if the backup cannot run.
        UsageError: if it has no such bundle.
        OSError: if one of the files cannot be read.
    """
    after = backup.read_bytes()
    saved = checked(after, backup)
    modes = {each.table: each.mode for each in saved.bundles}
    if bundle not in modes:
        raise UsageError(f"{backup}: there is no bundle {bundle!r}; {among(bundle, modes)}")
    path = Path(os.path.realpath(config))
    before = path.read_bytes() if path.exists() else None
    present: SystemConfig | None = None
    with suppress(ConfigError):  # it is damaged, which may be the reason why it is replaced
        present = parse_config(before, source=str(config)) if before is not None else None
    return Change(
        path=path,
        bundle=bundle,
        mode=modes[bundle],
        before=before,
        after=after,
        config=saved,
        control=socket_path(path, (present or saved).control.socket, node_label(present or saved, bundle)),
        more=present is None or _without_mode(present, bundle) != _without_mode(saved, bundle),
    )


def _without_mode(config: SystemConfig, bundle: str) -> SystemConfig:
    """A configuration as if one of its bundles ran in the same mode as in any other."""
    bundles = (attrs.evolve(each, mode=Mode.RELAY) if each.table == bundle else each for each in config.bundles)
    return attrs.evolve(config, bundles=tuple(bundles))


async def make(change: Change, say: Callable[[str], None], *, cold: bool = False, now: datetime | None = None) -> Made:
    """Make a change, in the system if it runs, and in the file.

    Args:
        change: what to do.
        say: told each step in one line. It must not raise.
        cold: whether actors that cannot hand over their state may start anew.
        now: the time for the backup's name.

    Cancellation: a checkpoint before anything has happened. Once the system was asked to switch, its answer is waited for,
        because the file has to agree.

    Raises:
        OSError: if there is no room, or the file cannot be replaced. File and system are as they were.
        SwitchFailed: if the system was not switched. File and system are as they were.
        ControlError: if a system runs and does not answer. File and system are as they were.
        RollbackFailed: if the system was switched, and neither the file could be replaced nor the system switched back.
    """
    if change.before == change.after:
        runs = await _carry_out(change, None, say, cold=cold)
        say(f'{change.path} says mode = "{change.mode}" already, and is as it was')
        return Made(backup=None, runs=runs)
    backup = None
    if change.before is not None:
        backup = back_up(change.path, change.before, now or datetime.now(UTC))
        say(f"backed up as {backup}")
    successor: Staged | None = None
    try:
        with staged(change.path, change.after) as successor:
            runs = await _carry_out(change, successor, say, cold=cold)
    finally:
        if backup is not None and not (successor is not None and successor.in_place):
            backup.unlink()
    return Made(backup=backup, runs=runs)


async def _carry_out(change: Change, successor: Staged | None, say: Callable[[str], None], *, cold: bool) -> bool:
    """Switch the system, if one runs, and put the file. Return whether one runs."""
    try:
        async with open_control(change.control, change.path) as control:
            runs = {bundle.name: bundle.mode for bundle in (await control.status()).bundles}
            for bundle in change.bundles:
                if bundle not in runs:
                    raise UsageError(f"the system that runs has no bundle {bundle!r}; {among(bundle, runs)}")
            with trio.CancelScope(shield=True):
                await _switch_and_put(change, control, runs, successor, say, cold=cold)
    except NothingRuns:
        say(f"nothing runs {change.path}, as nobody listens at {change.control}: there is nothing to switch")
        _put(change, successor, say)
        return False
    return True


async def _switch_and_put(
    change: Change,
    control: Control,
    runs: Mapping[str, Mode],
    successor: Staged | None,
    say: Callable[[str], None],
    *,
    cold: bool,
) -> None:
    switched: list[str] = []
    try:
        for bundle in change.bundles:
            if runs[bundle] is change.mode:
                say(f"the system runs bundle {bundle!r} in {change.mode} already")
            else:
                await _switch(control, bundle, change.mode, say, cold=cold)
                switched.append(bundle)
        _put(change, successor, say)
    except (OSError, SporeError) as error:
        if not switched or (successor is not None and successor.in_place):
            raise
        failure = error
    else:
        return
    reason = failure.strerror if isinstance(failure, OSError) else str(failure)
    cause = f"{change.path} cannot be replaced: {reason}" if isinstance(failure, OSError) else reason
    say(f"{cause}; so {', '.join(map(repr, switched))} is switched back")
    try:
        for bundle in reversed(switched):
            await _switch(control, bundle, runs[bundle], say, cold=cold)
    except SporeError as error:
        said = f"it runs in {change.mode} and {change.path} says {runs[switched[0]]}, because {reason}"
        raise RollbackFailed(change.bundle, f"{said}; it could not be switched back: {error}") from failure
    raise failure


async def _switch(control: Control, bundle: str, to: Mode, say: Callable[[str], None], *, cold: bool) -> None:
    say(f"switching bundle {bundle!r} to {to}")
    switched = await control.switch(bundle, to, cold=cold, watch=lambda step: say(f"  {step}"))
    say(f"bundle {bundle!r} runs in {to} now, after a pause of {switched.pause_s * 1e3:.1f} ms")


def _put(change: Change, successor: Staged | None, say: Callable[[str], None]) -> None:
    if successor is None:
        return
    present = change.path.read_bytes() if change.path.exists() else None
    if present != change.before:
        raise OSError(None, "somebody else has just changed it", str(change.path))
    successor.put()
    say(f'{change.path} says mode = "{change.mode}" for bundle {change.bundle!r} now')
    if change.more:
        say("it differs in more than that, and a system that runs has the rest when it is started again")
