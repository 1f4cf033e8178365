"""``spore switch``: have a running bundle go on in the other mode."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Literal

import cattrs
import trio

from spore.cli.config_argument import DEFAULT_CONFIG, ConfigFile
from spore.deploy import Mode, Switched, load_config
from spore.deploy.control_client import open_control
from spore.deploy.control_socket import socket_path
from spore.deploy.nodes import node_label
from spore.deploy.strict import among
from spore.errors import UsageError

__all__ = ["switch"]


def switch(
    bundle: str,
    config: ConfigFile = DEFAULT_CONFIG,
    /,
    *,
    to: Literal["shared_memory", "relay"],
    cold: bool = False,
    json: bool = False,
) -> int:
    """Switch a bundle of a running system to the other mode: senders wait, it drains, hands over its state, and goes on.

    Says each step as it begins, and in the end how long senders had to wait. Nothing is lost, and a step that fails leaves the old mode
    running. Ctrl-C ends this command and not the switch. The file is not changed, so the next `spore run` begins as it says; `spore
    rollback` changes both.

    Examples: `spore switch trading_core --to shared_memory` · `spore switch trading_core --to relay config/live.toml --json`

    Exit codes: 0 it runs in that mode · 1 it failed, and the old mode runs on · 2 bad input, or nothing runs there · 130 interrupted.

    Parameters
    ----------
    bundle
        The bundle's name.
    to
        The mode in which it is to run.
    cold
        Let actors that cannot hand over their state (they have no snapshot) start anew. Without it they are a reason to refuse.
    json
        Print one JSON object in the end, and no steps.
    """
    loaded = load_config(config)
    path = socket_path(config, loaded.control.socket, node_label(loaded, bundle))
    try:
        switched = trio.run(_switch, path, config, bundle, Mode(to), cold, not json)
    except KeyboardInterrupt:
        print("spore: a switch that has begun goes on; spore monitor shows the mode", file=sys.stderr)
        raise
    if json:
        print(jsonlib.dumps(cattrs.unstructure(switched)))
    elif switched.mode_before is switched.mode:
        print(f"bundle {bundle!r} runs in {to} already")
    else:
        print(f"bundle {bundle!r} runs in {to} now, after a pause of {switched.pause_s * 1e3:.1f} ms")
        for actor in switched.anew:
            print(f"actor {actor!r} goes on without its state: it has no snapshot and restore")
        print(_about_the_file(config, bundle, switched.mode))
    return 0


async def _switch(path: Path, config: Path, bundle: str, to: Mode, cold: bool, tell: bool) -> Switched:
    async with open_control(path, config) as control:
        modes = {each.name: each.mode for each in (await control.status()).bundles}
        if bundle not in modes:
            raise UsageError(f"there is no bundle {bundle!r} in the system that runs; {among(bundle, modes)}")
        if modes[bundle] is to:
            return Switched(bundle=bundle, mode_before=to, mode=to, pause_s=0.0, steps=())
        if not tell:
            return await control.switch(bundle, to, cold=cold)
        print(f"switching bundle {bundle!r} to {to}", flush=True)
        return await control.switch(bundle, to, cold=cold, watch=_say)


def _about_the_file(config: Path, bundle: str, mode: Mode) -> str:
    said = {each.name: each.mode for each in load_config(config).bundles}.get(bundle)
    if said is mode:
        return f"as {config} says"
    return f"{config} was not changed, and says {said}" if said else f"{config} was not changed"


def _say(step: str) -> None:
    print(f"  {step}", flush=True)
