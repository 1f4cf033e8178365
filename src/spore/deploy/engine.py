"""The engine between nodes, as a process uses it: one connection to it, over which all of its links run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import attrs

from spore.deploy.config import NodeConfig
from spore.errors import UsageError
from spore.relay import Address, open_relay
from spore.relay import carrier as carriers
from spore.relay.carrier import Carrier
from spore.relay.switchboard import Switchboard

__all__ = ["Connect", "Engine", "EngineSpec", "open_engine"]

Connect = Callable[[], Awaitable[Carrier]]


@attrs.frozen(kw_only=True)
class EngineSpec:
    """Which engine, and what this system is called there."""

    system: str
    node: NodeConfig


class Engine(Protocol):
    """A process's connection to the engine."""

    async def connect(self, inlet: str) -> Carrier:
        """A connection to another process's inlet."""
        ...

    def open_inlet(self, inlet: str, *, heartbeat_s: float) -> AbstractAsyncContextManager[Connect]:
        """Be reached by others under a name, for the length of a block; this process itself through what is returned."""
        ...


class UnixEngine:
    """A stand-in."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _at(self, inlet: str) -> Address:
        return Address(path=str(Path(self._folder) / inlet.replace(" ", "_").replace("'", "")))

    async def connect(self, inlet: str) -> Carrier:
        return await carriers.connect(self._at(inlet))

    @asynccontextmanager
    async def open_inlet(self, inlet: str, *, heartbeat_s: float) -> AsyncIterator[Connect]:
        os.makedirs(self._folder, exist_ok=True)
        async with open_relay([self._at(inlet)], board=Switchboard(heartbeat_s=heartbeat_s)):

            async def connect() -> Carrier:
                return await self.connect(inlet)

            yield connect


@asynccontextmanager
async def open_engine(spec: EngineSpec, name: str) -> AsyncIterator[Engine]:
    """This process's connection to the engine, for the length of a block."""
    if not spec.node.carrier.startswith("unix:"):
        raise UsageError(f"{name}: there is no engine for {spec.node.carrier} yet")
    yield UnixEngine(spec.node.carrier.removeprefix("unix:"))
