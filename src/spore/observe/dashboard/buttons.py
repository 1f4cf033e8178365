"""What the buttons of the page do to a system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from spore.deploy.control_client import open_control
from spore.migration.rollback import change_to_relay, make

__all__ = ["Buttons", "ConfigButtons", "Say"]

Say = Callable[[str], None]


class Buttons(Protocol):
    """What the buttons do. Each says what it does, in lines, and raises a `spore.SporeError` or an `OSError` if it cannot."""

    async def drain(self, say: Say) -> None:
        """Have the system handle what was sent, and end.

        Cancellation: a checkpoint.
        """

    async def rollback(self, bundle: str, say: Say) -> None:
        """Take a bundle back to the relay, in the running system and in its file.

        Cancellation: a checkpoint; a switch that has begun is waited for.
        """


class ConfigButtons:
    """The buttons of a system that `spore run` runs: what the commands do, by its control socket.

    Args:
        config: the file that it runs.
        control: where it is reached: of `spore.deploy.control_socket.socket_path`.
    """

    def __init__(self, config: Path, control: Path) -> None:
        self._config = config
        self._control = control

    async def drain(self, say: Say) -> None:
        async with open_control(self._control, self._config) as control:
            await control.drain()
        say("the system handles what was sent, and ends")

    async def rollback(self, bundle: str, say: Say) -> None:
        made = await make(change_to_relay(self._config, bundle), say)
        if made.backup is not None:
            say(f"to undo this: spore rollback {bundle} {self._config} --restore {made.backup}")
