"""What is divided by a key: each shard has all that is its own, in order, in either mode and whatever befalls the connections."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.modes import outcome
from tests.pipeline_actors import Tick, Turn
from tests.property.modes_world import DRAIN_S, faults

import spore
from spore.deploy import Mode, SystemConfig
from spore.deploy.load import config_of
from spore.nursery_bundle.sharded import shard_of
from spore.testing import Faults


@attrs.define
class Kept(spore.Actor[Turn]):
    turns: list[Any]

    def handle(self, message: Turn) -> None:
        self.turns.append(message)


@settings(max_examples=max(10, settings().max_examples // 10))
@given(
    st.integers(2, 3),
    st.lists(st.lists(st.text(max_size=3), max_size=8), min_size=1, max_size=2),
    st.integers(1, 4),
    st.sampled_from([Mode.SHARED_MEMORY, Mode.RELAY]),
    st.integers(0, 2**32),
    faults(),
)
def test_each_shard_has_all_that_is_its_own_in_order(
    shards: int, batches: list[list[str]], capacity: int, mode: Mode, seed: int, faults: Faults
) -> None:
    """It sums up what it gets, so that one too many, too few or out of turn would show in all that follow."""
    actors = {"sum": {"type": "tests.shadow_actors:Summing", "capacity": capacity, "wire": {"out": []}}}
    key = {"shard_by": "who", "shards": shards, "drain_timeout_s": DRAIN_S}
    config = config_of({"bundles": [{"name": "core", "mode": "relay", "actors": actors, **key}]})
    turns: list[list[Turn]] = [[] for _ in range(shards)]
    numbers = iter(range(1, 100))
    ticks = [[Tick(0, next(numbers), who) for who in batch] for batch in batches]
    outcome(
        recorded(config),
        ticks,
        mode,
        to=("sum",),
        local={f"recorder_{number}": (Kept, {"turns": each}) for number, each in enumerate(turns)},
        seen={},
        faults=faults,
        seed=seed,
    )
    for shard, told in enumerate(turns):
        own = [tick.number for batch in ticks for tick in batch if shard_of(tick.who, shards) == shard]
        assert [turn.total for turn in told] == list(accumulate(own))


def recorded(config: SystemConfig) -> SystemConfig:
    """The same with a recorder for each shard."""
    bundles = []
    for number, bundle in enumerate(config.bundles):
        ((name, actor),) = bundle.actors.items()
        wired = attrs.evolve(actor, wire={**actor.wire, "recorder": (f"recorder_{number}",)})
        bundles.append(attrs.evolve(bundle, actors={name: wired}))
    return attrs.evolve(config, bundles=tuple(bundles))
