"""A system that can be controlled, without any process: for tests of whoever controls one."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import attrs
import trio
import trio.testing

from spore.deploy import Mode, Step, Switched, System, SystemStatistics, load_config, make_plan
from spore.deploy.control import serve_control
from spore.deploy.control_socket import claim, socket_path
from spore.errors import SwitchFailed

__all__ = ["TEXT", "FakeSystem", "running", "short_folder"]

TEXT = """\
# two bundles
[[bundles]]
name = "core"
mode = "shared_memory"    # or "relay"
actors.writer = { type = "tests.pipeline_actors:Paper" }

[[bundles]]
name = "other"
mode = "relay"
actors.clock = { type = "tests.pipeline_actors:Paper" }
"""


class FakeSystem:
    """What `spore.deploy.control` asks of a system. A switch goes on when `go` is set, and fails with what `failing` says."""

    def __init__(self, config: Path) -> None:
        self.plan = make_plan(load_config(config), apart=True)
        self.go = trio.Event()
        self.go.set()
        self.switching = trio.Event()
        self.failing: Callable[[Mode], Exception | None] = lambda to: None
        self.switched = threading.Event()
        """Set once a switch was made; for those in other threads."""
        self.asked: list[tuple[str, Mode, bool]] = []
        self.drained = threading.Event()

    def mode(self, bundle: str) -> Mode:
        return next(each.mode for each in self.plan.config.bundles if each.name == bundle)

    async def statistics(
        self, actors: Collection[str] | None = None, *, letters: int = 0, patience_s: float = 0
    ) -> SystemStatistics:
        await trio.lowlevel.checkpoint()
        return SystemStatistics(units={}, processes={"outside": 7})

    async def switch(
        self, bundle: str, to: Mode, *, cold: bool = False, watch: Callable[[str], None] | None = None
    ) -> Switched:
        self.asked.append((bundle, to, cold))
        self.switching.set()
        if watch is not None:
            watch("drain")
        await self.go.wait()
        if watch is not None:
            watch("go on")
        await trio.testing.wait_all_tasks_blocked()  # whoever is told has been told
        if (error := self.failing(to)) is not None:
            raise error
        before = self.mode(bundle)
        config = self.plan.config
        bundles = tuple(attrs.evolve(each, mode=to) if each.name == bundle else each for each in config.bundles)
        self.plan = attrs.evolve(self.plan, config=attrs.evolve(config, bundles=bundles))
        self.switched.set()
        steps = (Step(name="drain", seconds=0.01),)
        return Switched(bundle=bundle, mode_before=before, mode=to, pause_s=0.0125, steps=steps)

    def refuse(self, to: Mode | None = None) -> None:
        """Refuse to switch; to one mode only, if it is given."""
        self.failing = lambda wanted: SwitchFailed("core", "drain", "no") if to in {None, wanted} else None


@asynccontextmanager
async def running(config: Path, said: list[str] | None = None) -> AsyncIterator[FakeSystem]:
    """A system that seems to run a configuration, for the length of a block."""
    system = FakeSystem(config)
    path = socket_path(config, load_config(config).control.socket)
    async with claim(path, config) as sock, trio.open_nursery() as nursery:
        say = (said if said is not None else []).append
        nursery.start_soon(serve_control, sock, cast("System", system), say, system.drained.set)
        yield system
        nursery.cancel_scope.cancel()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder in which sockets can be: their paths have to be short."""
    with tempfile.TemporaryDirectory(prefix="spore-") as name:
        yield Path(name)
