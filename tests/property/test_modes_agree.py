"""All modes agree: on drawn systems, with drawn mailboxes, failures, schedules and faults of the connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.modes import Outcome, difference, outcome, recorded
from tests.nats_servers import NEEDS_SERVER, NatsServer
from tests.property.modes_world import (
    NOTES,
    Step,
    faults,
    lossy,
    markets,
    notes,
    pipelines,
    rings,
    steps,
    system_of,
    wirings,
)

from spore import Directive
from spore.deploy import ActorConfig, Mode, System, SystemConfig
from spore.testing import Faults

MODES = (Mode.SHARED_MEMORY, Mode.RELAY)
few = settings(max_examples=max(10, settings().max_examples // 4))
"""Each example runs a system of several clients twice."""
SEEDS = st.integers(0, 2**32)


def both(config: SystemConfig, batches: list[list[Any]], seed: int, faults: Faults, **options: Any) -> list[Outcome]:
    """The outcomes of a system of small actors in both modes."""
    outcomes = []
    for mode in MODES:
        seen: dict[str, list[object]] = {}
        outcomes.append(
            outcome(config, batches, mode, to=("a",), local=notes(seen), seen=seen, faults=faults, seed=seed, **options)
        )
    return outcomes


def directives(config: SystemConfig) -> set[Directive]:
    """What becomes of those that fail."""
    actors = config.bundles[0].actors.values()
    return {actor.supervision.on_failure for actor in actors if actor.config.get("fail_at", -1) >= 0}


@few
@given(wirings(), steps(hops=st.integers(0, 4)), SEEDS, faults())
def test_small_actors_give_the_same_answers(
    config: SystemConfig, batches: list[list[Step]], seed: int, faults: Faults
) -> None:
    """However they are wired, whatever their mailboxes hold, whoever fails, and whatever befalls the connections."""
    bundled, relayed = both(config, batches, seed, faults)
    assert (said := difference(bundled.seen, relayed.seen)) is None, said
    if Directive.STOP not in directives(config):  # else it depends on the mode who hears first that it has stopped
        assert bundled.counts == relayed.counts, (bundled.counts, relayed.counts)


@few
@given(rings(forgetful=False), steps(hops=st.integers(0, 20), most=3), SEEDS, faults())
def test_a_ring_gives_the_same_answers_one_by_one(
    config: SystemConfig, batches: list[list[Step]], seed: int, faults: Faults
) -> None:
    """One step at a time goes round as often as it is to: each actor sees them in the same order."""

    async def settled(system: System) -> None:
        await system.wait_idle()

    one_by_one = [[step] for batch in batches for step in batch]
    bundled, relayed = both(config, one_by_one, seed, faults, between=settled)
    assert (said := difference(bundled.seen, relayed.seen)) is None, said
    if Directive.STOP not in directives(config):
        assert bundled.counts == relayed.counts, (bundled.counts, relayed.counts)


@few
@given(rings(forgetful=True, fails=False), steps(hops=st.integers(0, 20)), SEEDS, faults())
def test_a_ring_loses_nothing_when_many_go_round(
    config: SystemConfig, batches: list[list[Step]], seed: int, faults: Faults
) -> None:
    """How they overtake each other is not promised, and there is no event time in a ring; so what each has seen is compared
    without its order."""
    bundled, relayed = (
        {who: sorted(map(repr, told)) for who, told in each.seen.items()}
        for each in both(config, batches, seed, faults)
    )
    assert bundled == relayed


@few
@given(lossy(), steps(hops=st.integers(0, 4)), SEEDS, faults(cut=False))
def test_each_overflow_policy_gives_up_the_same(
    config: SystemConfig, batches: list[list[Step]], seed: int, faults: Faults
) -> None:
    """One message is in hand while all others come: what each policy keeps, and what it counts as lost, and by which name."""

    async def all_there(_: System) -> None:
        await trio.sleep(60)  # of the virtual clock; the first message is in hand for longer than two such waits

    first, *rest = (step for batch in batches for step in batch)
    bundled, relayed = both(config, [[first], rest], seed, faults, between=all_there)
    assert (said := difference(bundled.seen, relayed.seen)) is None, said
    assert bundled.counts == relayed.counts, (bundled.counts, relayed.counts)


@few
@given(pipelines(), markets(), SEEDS, faults())
def test_a_pipeline_gives_the_same_signals(
    config: SystemConfig, batches: list[list[Any]], seed: int, faults: Faults
) -> None:
    """Market data → signals → orders, and every report, to the last bit."""
    bundled, relayed = (recorded(config, batches, mode, faults=faults, seed=seed) for mode in MODES)
    for kind in sorted({type(each).__name__ for told in bundled.seen.values() for each in told}):
        event(kind)
    assert (said := difference(bundled.seen, relayed.seen)) is None, said
    assert bundled.counts == relayed.counts, (bundled.counts, relayed.counts)


@pytest.mark.parametrize("seed", range(12))
def test_who_has_not_sent_yet_is_waited_for(seed: int) -> None:
    """Two ways from one actor meet in one that merges: it waits for the longer one from the first message on, even if the
    news of that sender comes late."""

    def actor(name: str, *outs: str, merge: Literal["event_time"] | None = None) -> ActorConfig:
        wire = {"out": outs, "notes": (NOTES,)}
        return ActorConfig(type="tests.property.modes_world:Plain", config={"who": name}, wire=wire, merge=merge)

    config = system_of({"a": actor("a", "b", "c"), "b": actor("b", "c"), "c": actor("c", merge="event_time")})
    batch = [Step(number, number, 4, 7) for number in range(1, 13)]
    bundled, relayed = both(config, [batch], seed, Faults(delay=0.2))
    assert (said := difference(bundled.seen, relayed.seen)) is None, said


# Distributed: through a real server, in real time, and so a few examples only; what befalls its connections is in `test_nats_faults`


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One for all examples: each system has a name of its own there."""
    started = NatsServer(tmp_path_factory.mktemp("nats"))
    started.start()
    try:
        yield started
    finally:
        started.kill()


very_few = settings(max_examples=8, deadline=None)


@NEEDS_SERVER
@very_few
@given(wirings(), steps(hops=st.integers(0, 4)))
def test_small_actors_give_the_same_answers_through_a_server(
    server: NatsServer, config: SystemConfig, batches: list[list[Step]]
) -> None:
    """However they are wired, and whoever fails."""
    outcomes = []
    for mode, address in ((Mode.SHARED_MEMORY, ""), (Mode.DISTRIBUTED, server.address)):
        seen: dict[str, list[object]] = {}
        outcomes.append(outcome(config, batches, mode, to=("a",), local=notes(seen), seen=seen, address=address))
    bundled, distributed = outcomes
    assert (said := difference(bundled.seen, distributed.seen)) is None, said
    if Directive.STOP not in directives(config):
        assert bundled.counts == distributed.counts, (bundled.counts, distributed.counts)


@NEEDS_SERVER
@very_few
@given(pipelines(), markets())
def test_a_pipeline_gives_the_same_signals_through_a_server(
    server: NatsServer, config: SystemConfig, batches: list[list[Any]]
) -> None:
    """Market data → signals → orders, and every report, to the last bit."""
    bundled = recorded(config, batches, Mode.SHARED_MEMORY)
    distributed = recorded(config, batches, Mode.DISTRIBUTED, address=server.address)
    assert (said := difference(bundled.seen, distributed.seen)) is None, said
    assert bundled.counts == distributed.counts, (bundled.counts, distributed.counts)
