"""A bundle in shadow mode whose twin runs in the same process: on the virtual clock, on carriers in memory that may fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import attrs
from tests.modes import relayed

from spore.deploy import Plan, ShadowConfig, System, SystemConfig, run_plan
from spore.deploy import system as systems
from spore.deploy.place import Local
from spore.deploy.plan import make_plan
from spore.testing import Faults

__all__ = ["shadowed", "with_twin"]


def shadowed(config: SystemConfig, rate: float = 1.0) -> SystemConfig:
    """The same with every bundle in shadow mode."""
    bundles = (attrs.evolve(bundle, shadow=ShadowConfig(rate=rate)) for bundle in config.bundles)
    return attrs.evolve(config, bundles=tuple(bundles))


@asynccontextmanager
async def with_twin(
    config: SystemConfig,
    *,
    local: Local | None = None,
    faults: Faults | None = None,
    seed: int = 0,
    said: list[str] | None = None,
) -> AsyncIterator[System]:
    """A running system with bundles in shadow mode.

    Args:
        config: the system.
        local: as for `spore.open_system`.
        faults: of the carriers of the twin.
        seed: of the faults.
        said: what is told to people is added here.
    """

    @asynccontextmanager
    async def open_twin(plan: Plan, *, local: Local, states: Mapping[str, Any], **_: Any) -> AsyncIterator[System]:
        async with relayed(plan.config, local=local, faults=faults or Faults(), seed=seed, states=states) as system:
            yield system

    said = said if said is not None else []
    with patch.object(systems, "run_plan", open_twin):
        async with run_plan(make_plan(config, local=local), local=local, say=said.append) as system:
            yield system
