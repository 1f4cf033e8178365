"""Bundles that are switched while they run, with the processes that this takes: nothing is lost, repeated or changed."""

from itertools import cycle, islice

import psutil
import pytest
import trio
from tests.switch_load import SteadyLoad

import spore
from spore.deploy import Mode, load_config, make_plan, run_plan
from spore.errors import SwitchFailed
from spore.feeds.simulator import SimFeed
from spore.migration import Recorder, Recording, digest, entries, tapped
from spore.migration.tap import RECORDER
from spore.samples import PIPELINE

BUNDLED, RELAYED = Mode.SHARED_MEMORY, Mode.RELAY
RATE = 10_000
"""Messages a second."""
SMALL = """
[[bundles]]
name = "core"
mode = "{mode}"

actors.detector = {{ type = "tests.switch_actors:Summing", config = {{ every = 10, who = "d" }}, wire = {{ signals = "writer", recorder = [] }} }}
{inside}
[[bundles]]
name = "back"
mode = "shared_memory"
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{path}" }} }}
{outside}
"""
SOURCE = 'actors.source = { type = "tests.switch_actors:Passing", wire = { out = "detector" } }'


@pytest.fixture
def small(tmp_path):
    """A bundle that is switched, and one behind it that is not, which writes what it gets. The source is in either."""

    class Small:
        path = tmp_path / "system.toml"
        out = tmp_path / "out"

        def write(self, mode, inside=SOURCE, outside=""):
            self.path.write_text(SMALL.format(mode=mode, path=self.out, inside=inside, outside=outside))
            return self.path

        def signals(self):
            return [line for line in self.out.read_text().splitlines() if not line.startswith(("start", "stop"))]

    return Small()


def expected(count):
    total, lines = 0, []
    for number in range(count):
        total += number
        if number % 10 == 0:
            lines.append(f"{number} {total} d")
    return lines


def other(mode):
    return RELAYED if mode is BUNDLED else BUNDLED


def redelivered(statistics):
    """How many messages each client has got that may have been handled before."""
    return [unit.client.redelivered for unit in statistics.units.values() if unit.client is not None]


def children():
    """The processes that this one has started, by number."""
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.long
async def test_ten_times_there_and_back_at_10000_messages_a_second(small):
    """Nothing is lost, nothing repeated, and the signals are those of a run without a switch."""
    config = small.write(BUNDLED, inside="", outside=SOURCE)
    async with spore.open_system(config) as system, trio.open_nursery() as nursery:
        load = SteadyLoad(system.ref("source"), RATE)
        await nursery.start(load.run)
        for mode in islice(cycle([RELAYED, BUNDLED]), 20):
            switched = await system.switch("core", mode)
            assert (switched.mode_before, switched.mode) == (other(mode), mode)
        load.end()
        await system.wait_idle()
        assert not any(redelivered(await system.statistics()))
    assert load.sent > RATE / 10  # how many there are in the time it takes is for a bench to say
    assert small.signals() == expected(load.sent)


@pytest.mark.long
async def test_the_reference_pipeline_gives_the_same_signals():
    """Signals, orders and reports, to the last bit, when it is switched and switched back in the midst of them."""
    events = list(SimFeed.from_spec("seed=3,events=3000,pools=20", {}).messages())
    config = load_config(PIPELINE)

    async def play(*switches):
        recording = Recording()
        local = {RECORDER: (Recorder, {"recording": recording})}
        async with spore.open_system(tapped(config), local=local) as system, trio.open_nursery() as nursery:
            await nursery.start(feed, system.ref(*entries(config)))
            async with trio.open_nursery() as watching:
                watching.start_soon(look, system)
                for mode in switches:
                    await system.switch("trading_core", mode)
                watching.cancel_scope.cancel()
        assert recording.signals
        return digest(recording.signals), digest(recording.executed())

    async def feed(ref, task_status):
        task_status.started()
        for at in range(0, len(events), 20):
            await ref.send_many(events[at : at + 20])
            await trio.sleep(0.01)

    async def look(system):
        while True:  # whatever is asked meanwhile is answered by those who run then
            await system.statistics()
            with trio.move_on_after(0.01):
                await system.wait_idle()

    assert await play(RELAYED, BUNDLED) == await play()


async def test_a_relay_that_cannot_start_leaves_the_bundle_running(small):
    """There was none before, and there is none then."""
    small.path.write_text(FED.partition("[[feeds]]")[0].format(mode=BUNDLED, path=small.out))
    small.path.write_text(f'{small.path.read_text()}[relay]\nsocket = "{small.path}"\n')  # which is no socket
    async with spore.open_system(small.path) as system:
        for _ in range(2):
            with pytest.raises(SwitchFailed, match="unit 'relay': ") as refused:
                await system.switch("fed", RELAYED, cold=True)
            assert refused.value.step == "prepare"
        assert set((await system.statistics()).processes) == {"bundle 'fed'", "outside"}


async def test_a_system_that_is_cancelled_in_the_middle_leaves_no_process(small):
    """Neither an old one nor a new one."""
    before = children()
    with trio.CancelScope() as scope:
        async with spore.open_system(small.write(BUNDLED)) as system:
            await system.switch("core", RELAYED, watch=lambda step: scope.cancel() if step == "hand over" else None)
    assert scope.cancelled_caught
    assert children() == before


FED = """
modules = ["tests.pipeline_feed"]
[[bundles]]
name = "fed"
mode = "{mode}"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "{path}" }} }}
[[feeds]]
source = "count:3000"
to = "writer"
"""


@pytest.mark.long
async def test_a_bundle_with_a_process_of_its_own_is_switched_under_its_feed(small):
    """As `spore run` has it: the feed, in another process, sees nothing but a receiver that is busy."""
    small.path.write_text(FED.format(mode=BUNDLED, path=small.out))
    plan = make_plan(load_config(small.path), apart=True)
    said = []
    async with run_plan(plan, say=said.append) as system:
        for mode in (RELAYED, BUNDLED):
            await system.switch("fed", mode, cold=True)
        await system.wait_feeds()
    assert "actor 'writer' begins anew: it has no snapshot and restore" in said
    assert small.out.read_text().splitlines() == [str(number) for number in range(3_000)]


async def test_who_waits_for_feeds_does_not_mind_a_switch(small):
    """As `spore run` does all the time: what has moved meanwhile is no feed."""
    small.path.write_text(FED.replace("count:3000", "count:10…").format(mode=BUNDLED, path=small.out))
    plan = make_plan(load_config(small.path), apart=True)
    async with trio.open_nursery() as nursery, run_plan(plan) as system:
        nursery.start_soon(system.wait_feeds)  # noqa: ASYNC111 - until the system has ended its feed
        await system.switch("fed", RELAYED, cold=True)
