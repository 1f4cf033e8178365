"""A bundle in shadow mode, with its twin in the same process and on the virtual clock."""

import json
from itertools import accumulate
from types import SimpleNamespace

import attrs
import cattrs
import pytest
import trio
from tests.pipeline_actors import Tick, Turn
from tests.relays import run
from tests.shadows import with_twin

import spore
from spore.deploy import ShadowState, ShadowStatistics, shadow
from spore.deploy.comparing import Stream, Tally
from spore.deploy.load import config_of
from spore.deploy.tapping import Nowhere
from spore.errors import UsageError
from spore.testing import Faults

TYPE = "tests.shadow_actors:"


@attrs.define
class Recorder(spore.Actor[Turn]):
    log: list

    def handle(self, message):
        self.log.append(message.total)
        return "noted"


def system(rate=1.0, **actors):
    """A bundle in shadow mode. The recorder of its actors is a local one."""
    for actor in actors.values():
        actor["type"] = TYPE + actor.get("type", "Summing")
        actor["wire"] = {"recorder": "recorder", "out": [], **actor.get("wire", {})}
    bundle = {
        "name": "core",
        "mode": "shared_memory",
        "shadow": {"rate": rate},
        "drain_timeout_s": 30,
        "actors": actors,
    }
    return config_of({"bundles": [bundle]})


def ticks(count, start=0):
    return [Tick(number, number) for number in range(start, start + count)]


def sums(count):
    return list(accumulate(range(count)))


def shadowing(config, use, faults=None):
    """Run a system, use it, and return what was shown, said and recorded."""
    seen = SimpleNamespace(said=[], log=[])
    local = {"recorder": (Recorder, {"log": seen.log})}

    async def main():
        async with with_twin(config, local=local, said=seen.said, faults=faults) as system:
            await use(system)
        seen.shadow = (await system.statistics()).shadows["core"]
        seen.said = [line.removeprefix("shadow of 'core': ") for line in seen.said]

    run(main)
    return seen


def sending(count, pause_s=0.0):
    """A use of a system: send so many ticks to its first actor."""

    async def use(system):
        for tick in ticks(count):
            await system.ref("sum").send(tick)
            await trio.sleep(pause_s)

    return use


async def state(system, *states):
    """Wait until shadow mode is in one of some states."""
    while True:
        found = (await system.statistics()).shadows["core"]
        if found.state in states:
            return found
        await trio.sleep(0.01)


@pytest.fixture
def original(tmp_path):
    """The settings of an actor that does something else in the twin."""
    return {"path": str(tmp_path / "original")}


def test_what_a_bundle_and_its_twin_send_is_compared_and_nothing_else_sees_the_twin():
    """The counts add up, and the recorder gets each message once."""
    seen = shadowing(system(sum={}), sending(200))
    found = seen.shadow
    assert seen.log == sums(200)
    assert (found.inputs, found.copied, found.waiting, found.skipped) == (200, 200, 0, 0)
    assert (found.compared, found.equal, found.different, found.twins) == (200, 200, 0, 1)
    assert seen.said == ["200 messages compared, 0 different; 0 of 200 inputs skipped; ended"]


def test_what_is_on_its_way_to_the_twin_was_not_skipped():
    """At no moment, while the link to the twin has no room for it."""
    skipped = set()

    async def use(system):
        await state(system, ShadowState.FOLLOWING)
        async with trio.open_nursery() as sending:
            sending.start_soon(system.ref("sum").send_many, ticks(200))
            while (found := (await system.statistics()).shadows["core"]).copied < 200:
                skipped.add(found.skipped)
                await trio.sleep(0.001)

    seen = shadowing(system(sum={"capacity": 1}), use, Faults(delay=1.0, delay_s=0.01))
    assert seen.shadow.equal == 200
    assert skipped == {0}


def test_a_difference_is_counted_kept_and_said(original):
    """Field by field, with the bundle's message; what comes after it is compared as before."""
    seen = shadowing(system(sum={"config": {**original, "wrong_at": 7}}), sending(50))
    found = seen.shadow
    assert (found.equal, found.different) == (49, 1)
    assert seen.log == sums(50)
    assert [str(each) for each in found.last] == ["sum.recorder[7]: total = 28, in the twin 29"]
    assert seen.said[0] == f"the first difference: {found.first}"
    assert json.loads(json.dumps(found.plain()))["first"] == {
        "actor": "sum",
        "port": "recorder",
        "index": 7,
        "kind": "Turn",
        "fields": [{"path": "total", "left": "28", "right": "29"}],
        "message": spore.to_plain(Turn(7, 7, 28)),
    }
    assert cattrs.structure(json.loads(json.dumps(cattrs.unstructure(found))), ShadowStatistics) == found


def test_a_message_that_the_twin_does_not_send_shows(original):
    """All that follow are held against those before them, and the last against nothing; of so many, the first and the last stay."""
    found = shadowing(system(sum={"config": {**original, "silent_at": 10}}), sending(100)).shadow
    assert (found.equal, found.different) == (10, 90)
    assert found.first.index == 10
    assert [each.index for each in found.last] == list(range(80, 100))
    assert (
        str(found.last[-1])
        == "sum.recorder[99]: Turn = Turn(event_time_ns=99, number=99, total=4950, who=''), in the twin nothing"
    )


def test_a_twin_whose_actor_fails_begins_afresh_where_the_bundle_stands(original, monkeypatch):
    """Nothing is different afterwards, and nothing of the bundle's is."""
    monkeypatch.setattr("tests.shadow_actors.os.kill", fail)

    async def use(system):
        for tick in ticks(100):
            await system.ref("sum").send(tick)
        assert "no more" in (await state(system, ShadowState.OUT_OF_STEP)).reason
        for tick in ticks(50, 100):
            await system.ref("sum").send(tick)
        await state(system, ShadowState.FOLLOWING)
        for tick in ticks(50, 150):
            await system.ref("sum").send(tick)

    config = system(sum={"config": {**original, "dies_at": 20}, "supervision": {"on_failure": "escalate"}})
    seen = shadowing(config, use)
    found = seen.shadow
    assert seen.log == sums(200)
    assert (found.twins, found.different, found.reason) == (2, 0, "")
    assert found.skipped >= 50
    assert found.inputs == found.copied + found.skipped
    assert found.equal >= 50
    assert seen.said[0].startswith("out of step: ")


def fail(*_):
    raise ValueError("no more")


def test_a_twin_that_is_behind_is_out_of_step_and_not_wrong(monkeypatch):
    """What it is to have is bounded; it takes over again from where the bundle is then."""
    monkeypatch.setattr(shadow, "KEPT_MESSAGES", 100)

    async def use(system):
        system.ref("sum").tell_many(ticks(1_000))
        assert (
            await state(system, ShadowState.OUT_OF_STEP)
        ).reason == "it is behind: 100 messages of an actor or a port wait"
        await state(system, ShadowState.FOLLOWING)
        await system.ref("sum").send_many(ticks(50, 1_000))

    seen = shadowing(system(sum={}), use)
    assert seen.log == sums(1_050)
    assert (seen.shadow.equal, seen.shadow.different, seen.shadow.skipped) == (50, 0, 1_000)


def test_a_rate_below_1_compares_windows_each_from_where_the_bundle_stands(monkeypatch):
    """In about that share of the messages."""
    monkeypatch.setattr(shadow, "WINDOW", 100)
    seen = shadowing(system(0.25, sum={}), sending(2_000, pause_s=0.01))
    found = seen.shadow
    assert seen.log == sums(2_000)
    assert found.twins > 2
    assert (found.different, found.reason, found.equal) == (0, "", found.copied)
    assert 0.2 < found.copied / found.inputs < 0.4


def test_an_actor_without_a_snapshot_is_followed_from_the_start_and_never_taken_over_from(monkeypatch):
    """When its twin has lost the thread, that is all there is to say until the bundle is started again."""
    monkeypatch.setattr(shadow, "KEPT_MESSAGES", 100)

    async def use(system):
        system.ref("sum").tell_many(ticks(1_000))
        found = await state(system, ShadowState.PAUSED)
        assert found.reason == (
            "it is behind: 100 messages of an actor or a port wait; "
            "actor 'sum' has no snapshot, so that no twin can take over where it stands"
        )
        await system.ref("sum").send_many(ticks(50, 1_000))

    seen = shadowing(system(sum={"type": "Forgetting"}), use)
    assert seen.log == sums(1_050)
    assert (seen.shadow.twins, seen.shadow.compared, seen.shadow.skipped) == (1, 0, 1_050)


def test_what_reaches_an_actor_in_the_middle_from_outside_is_no_difference():
    """The twin cannot have it, so it begins afresh."""

    async def use(system):
        await system.ref("sum").send_many(ticks(10))
        await system.ref("middle").send(Tick(3, 3))
        await system.ref("sum").send_many(ticks(10, 10))
        assert "from outside" in (await state(system, ShadowState.OUT_OF_STEP)).reason
        await state(system, ShadowState.FOLLOWING)
        await system.ref("sum").send_many(ticks(10, 20))

    found = shadowing(system(sum={"wire": {"out": "middle"}}, middle={"type": "Middle"}), use).shadow
    assert (found.different, found.equal >= 20) == (0, True)


def test_an_answer_from_outside_is_no_difference():
    """The twin's actor would get another one."""
    found = shadowing(system(sum={"type": "Asking"}), sending(3)).shadow
    assert (found.equal, found.different) == (1, 0)
    assert found.reason == (
        "actor 'sum' asks somebody outside of the bundle through 'recorder', and the twin cannot have the answer"
    )


def test_an_output_port_that_leads_nowhere_is_compared():
    """As it is in spore compare."""
    found = shadowing(system(sum={"wire": {"recorder": []}}), sending(20)).shadow
    assert (found.equal, found.different) == (20, 0)


def test_a_rate_of_0_is_off():
    """As if nothing were said."""

    async def use(system):
        assert (await system.statistics()).shadows == {}
        system.shadows = None

    config = system(0, sum={})

    async def main():
        async with with_twin(config, local={"recorder": (Recorder, {"log": []})}) as running:
            assert (await running.statistics()).shadows == {}
            assert type(running.ref("sum").behind.cell.actor).__name__ == "Summing"

    run(main)


def test_a_frozen_actor_can_be_fed():
    """As it can be started."""
    found = shadowing(system(sum={"type": "Frozen"}), sending(5)).shadow
    assert (found.equal, found.different) == (5, 0)


def test_what_an_actor_says_when_it_takes_over_is_no_difference(monkeypatch):
    """The bundle's own one has said it long ago; that of the first twin is compared."""
    monkeypatch.setattr(shadow, "KEPT_MESSAGES", 100)

    async def use(system):
        await state(system, ShadowState.FOLLOWING)
        await system.ref("sum").send_many(ticks(10))
        await trio.sleep(1)
        system.ref("sum").tell_many(ticks(200))
        await state(system, ShadowState.OUT_OF_STEP)
        await state(system, ShadowState.FOLLOWING)
        await system.ref("sum").send_many(ticks(10))

    found = shadowing(system(sum={"type": "Greeting"}), use).shadow
    assert (found.twins, found.equal, found.different) == (2, 21, 0)


def test_a_twin_that_is_not_done_in_time_does_not_hold_up_the_end(original):
    """So long as the bundle's own end may take; what was not compared by then is said to be so."""
    seen = shadowing(system(sum={"type": "Hanging", "config": original}), sending(5))
    assert seen.log == sums(5)
    assert (seen.shadow.compared, seen.shadow.state) == (0, ShadowState.ENDED)
    assert seen.shadow.reason == "it had not handled everything 30 s after the end of the bundle"


def test_a_twin_takes_over_from_actors_that_run(monkeypatch):
    """One that has failed is about to begin afresh, so what it knew before is no state to take over."""
    monkeypatch.setattr(shadow, "KEPT_MESSAGES", 100)

    async def use(system):
        system.ref("sum").tell_many(ticks(1_000))
        await state(system, ShadowState.OUT_OF_STEP)
        await system.ref("sum").send(Tick(7_000, 7_000))
        await state(system, ShadowState.FOLLOWING)
        await system.ref("sum").send_many(ticks(50))

    supervision = {"on_failure": "restart", "backoff_s": 5}
    seen = shadowing(system(sum={"config": {"fails_at": 7_000}, "supervision": supervision}), use)
    assert seen.log == sums(1_000) + sums(50)
    assert (seen.shadow.equal, seen.shadow.different) == (50, 0)


def test_a_system_may_end_before_its_twin_has_begun():
    """What it is to have is handled all the same, and compared."""

    async def use(system):
        system.ref("sum").tell_many(ticks(20))

    found = shadowing(system(sum={}), use).shadow
    assert (found.equal, found.different, found.skipped) == (20, 0, 0)


def test_what_is_no_message_is_kept_as_it_prints():
    """It cannot travel, so the twin has sent nothing."""
    tally, stream = Tally(), Stream("desk", "out", 10)
    found = tally.count(stream, 5, None).difference()
    assert (found.kind, found.message, str(found)) == ("int", "5", "desk.out[0]: int = 5, in the twin nothing")
    assert tally.count(stream, None, 6).difference().message is None


async def test_nowhere_takes_everything_and_answers_nothing():
    """An actor need not know that its port was left out."""
    ref = Nowhere("recorder")
    ref.tell(1)
    await ref.send(2)
    with pytest.raises(UsageError, match="'recorder' leads nowhere, so nobody answers"):
        await ref.ask(3)
