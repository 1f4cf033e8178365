"""Shadow mode finds no difference where there is none, and counts exactly what there is."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

import attrs
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.property.modes_world import NOTES, Step, faults, lossy, markets, notes, pipelines, rings, steps, wirings
from tests.relays import run
from tests.shadows import shadowed, with_twin

from spore import ActorStopped
from spore.deploy import ActorConfig, ShadowStatistics, SystemConfig
from spore.deploy.comparing import Stream, Tally
from spore.nursery_bundle import Overflow
from spore.testing import Faults


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.randoms())
def test_messages_are_compared_by_their_position_however_they_interleave(
    ours: list[int], theirs: list[int], chance: Any
) -> None:
    """As if both lists had been there from the beginning, and laid side by side."""
    stream, tally = Stream("actor", "port", 1_000), Tally()
    stream.begin()
    sides = [stream.ours.note] * len(ours) + [stream.theirs.append] * len(theirs)
    chance.shuffle(sides)
    left = {stream.ours.note: iter(ours), stream.theirs.append: iter(theirs)}
    found = []
    for side in sides:
        side(next(left[side]))
        found += [tally.count(stream, *pair) for pair in stream.pairs()]
    found += [tally.count(stream, *pair) for pair in stream.rest()]
    expected = [one == other for one, other in zip_longest(ours, theirs)]
    assert [each is None for each in found] == expected
    assert (tally.equal, tally.different) == (expected.count(True), expected.count(False))
    assert [each.index for each in found if each is not None] == [at for at, same in enumerate(expected) if not same]


def refusing_nothing(config: SystemConfig) -> SystemConfig:
    """The same with another policy in place of ``fail``, which a bundle in shadow mode cannot have."""

    def changed(actor: ActorConfig) -> ActorConfig:
        return attrs.evolve(actor, overflow=Overflow.DROP_NEWEST) if actor.overflow is Overflow.FAIL else actor

    (bundle,) = config.bundles
    actors = {name: changed(actor) for name, actor in bundle.actors.items()}
    return attrs.evolve(config, bundles=(attrs.evolve(bundle, actors=actors),))


few = settings(max_examples=max(10, settings().max_examples // 8))
"""Each example runs a bundle and a system of several clients."""
SEEDS = st.integers(0, 2**32)


def followed(config: SystemConfig, batches: list[list[Any]], seed: int, faults: Faults) -> ShadowStatistics:
    """What a twin has shown that had everything that the bundle had."""
    seen: dict[str, list[object]] = {}
    local = (
        notes(seen) if any(NOTES in to for a in config.bundles[0].actors.values() for to in a.wire.values()) else None
    )

    async def main() -> ShadowStatistics:
        async with with_twin(shadowed(config), local=local, faults=faults, seed=seed) as system:
            ref = system.ref(next(iter(config.bundles[0].actors)))
            for message in chain.from_iterable(batches):
                with suppress(ActorStopped):
                    await ref.send(message)
        return (await system.statistics()).shadows[config.bundles[0].name]

    shadow = run(main, seed=seed)
    assert (shadow.reason, shadow.first) == ("", None), shadow
    assert (shadow.copied, shadow.waiting, shadow.skipped) == (shadow.inputs, 0, 0), shadow
    assert shadow.compared >= sum(map(len, seen.values()))
    return shadow


@few
@given(st.one_of(wirings(), rings(forgetful=False), lossy()), steps(hops=st.integers(0, 4)), SEEDS, faults())
def test_small_actors_and_their_twins_do_not_differ(
    config: SystemConfig, batches: list[list[Step]], seed: int, faults: Faults
) -> None:
    """However they are wired and their senders interleave, whatever is lost, whoever fails, and whatever befalls the connections."""
    followed(config, batches, seed, faults)


@settings(max_examples=max(5, settings().max_examples // 16))
@given(pipelines(), markets(), SEEDS, faults())
def test_a_pipeline_and_its_twin_do_not_differ(
    config: SystemConfig, batches: list[list[Any]], seed: int, faults: Faults
) -> None:
    """Signals, orders and reports, although none of them leaves the bundle."""
    shadow = followed(refusing_nothing(config), batches, seed, faults)
    event(f"compared: {min(shadow.compared, 10) // 5 * 5} or more")
