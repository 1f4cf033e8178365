"""Whole systems, with the processes that they need: the same results in both modes, whatever dies on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
import trio
from tests.actors import only
from tests.pipeline_actors import Tick, Turn

import spore
from spore.deploy import Mode, load_config
from spore.deploy.config import FeedConfig
from spore.deploy.feeding import RunningFeed
from spore.deploy.links import open_links
from spore.deploy.spec import FeedSpec, LinkSpec, Target
from spore.errors import UnitFailed
from spore.relay import Address, open_relay
from spore.services.messages import PoolSync

ROOT = Path(__file__).parents[2]
PIPELINE = """
[[bundles]]
name = "core"
mode = "{mode}"

[bundles.actors.source]
type = "tests.pipeline_actors:Source"
wire = {{ out = "detector" }}

[bundles.actors.detector]
type = "tests.pipeline_actors:Detector"
config = {{ every = 3, fee = 0.25, who = "d" }}
wire = {{ signals = ["writer"]{recorder} }}

[bundles.actors.writer]
type = "tests.pipeline_actors:Writer"
config = {{ path = "{path}"{options} }}
"""
MODES = pytest.mark.parametrize("mode", [Mode.SHARED_MEMORY, Mode.RELAY])


@attrs.define
class Recorder(spore.Actor[Turn]):
    log: list
    fail_at: int = -1

    def handle(self, message):
        if message.number == self.fail_at:
            raise ValueError("no more")
        self.log.append((message.number, message.total, message.who))

    def on_error(self, error, message):
        return spore.Directive.ESCALATE


@attrs.define
class Blocks(spore.Actor[PoolSync]):
    log: list

    def handle(self, message):
        self.log.append(message.block_number)


@pytest.fixture
def pipeline(tmp_path):
    """Writes the configuration of the pipeline, and reads what its writer has written."""

    class Pipeline:
        path = tmp_path / "system.toml"
        out = tmp_path / "out"

        def write(self, mode=Mode.RELAY, options="", recorder=", recorder = []", more=""):
            text = PIPELINE.format(mode=mode, path=self.out, options=options, recorder=recorder)
            self.path.write_text(text + more)
            return self.path

        def lines(self):
            return self.out.read_text().splitlines() if self.out.exists() else []

        def signals(self):
            return [line for line in self.lines() if not line.startswith(("start", "stop"))]

    return Pipeline()


def expected(count):
    total, lines = 0, []
    for number in range(count):
        total += number
        if number % 3 == 0:
            lines.append(f"{number} {total} d")
    return lines


def ticks(count, start=0):
    return [Tick(number, number) for number in range(start, start + count)]


async def failure_of(config, *messages):
    """The error with which a system ends that gets some messages and is then left alone."""

    async def main():
        async with spore.open_system(config) as system:
            if messages:
                await system.ref("source").send_many(messages)
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as group:
        await main()
    return only(group)


async def until(condition):
    """Wait for other processes, which nobody can schedule."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - no event of this process tells
            await trio.sleep(0.01)


@MODES
async def test_the_same_file_gives_the_same_results_in_both_modes(pipeline, mode):
    """What is written, and what a recorder of the caller's own gets, depends on the messages alone."""
    log = []
    config = load_config(pipeline.write(recorder="")).in_mode(mode)
    async with spore.open_system(config, local={"recorder": (Recorder, {"log": log})}) as system:
        await system.ref("source").send_many(ticks(2_000))
    assert pipeline.signals() == expected(2_000)
    assert [f"{number} {total} {who}" for number, total, who in log] == expected(2_000)
    assert pipeline.lines()[-1] == "stop"


@MODES
async def test_wait_idle_returns_when_everything_has_been_handled(pipeline, mode):
    """After it, what the last actor has done can be seen, and nothing is queued or under way."""
    async with spore.open_system(pipeline.write(mode)) as system:
        for start in (0, 500):
            await system.ref("source").send_many(ticks(500, start))
            await system.wait_idle()
            assert pipeline.signals() == expected(start + 500)
        units = (await system.statistics()).units.values()
    actors = {name: actor for unit in units if unit.bundle for name, actor in unit.bundle.actors.items()}
    assert {name: actor.handled for name, actor in actors.items()} == {"source": 1000, "detector": 1000, "writer": 334}
    assert not any(actor.queued for actor in actors.values())
    assert all(link.outstanding == 0 for unit in units if unit.client for link in unit.client.outgoing)


async def test_a_relayed_system_is_one_process_an_actor_and_a_relay(pipeline):
    """They are all different processes, and all gone when the block has been left."""
    async with spore.open_system(pipeline.write()) as system:
        processes = (await system.statistics()).processes
    assert set(processes) == {"outside", "relay", "actor 'source'", "actor 'detector'", "actor 'writer'"}
    assert len(set(processes.values())) == 5
    del processes["outside"]
    assert not any(map(alive, processes.values()))


async def test_a_bundled_system_is_one_process(pipeline):
    """Nothing is started that nobody needs."""
    async with spore.open_system(pipeline.write(Mode.SHARED_MEMORY)) as system:
        assert set((await system.statistics()).processes.values()) == {os.getpid()}
        assert type(system.ref("source").behind).__name__ == "LocalRef"


def test_the_socket_of_a_run_is_for_its_user_alone(pipeline, tmp_path, monkeypatch):
    """Nobody else can even see it, and it is gone afterwards."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    async def main():
        async with spore.open_system(pipeline.write()):
            (socket,) = tmp_path.glob("spore-*/relay")
            assert socket.stat().st_mode & 0o777 == 0o600
            assert socket.parent.stat().st_mode & 0o777 == 0o700

    trio.run(main)
    assert not list(tmp_path.glob("spore-*"))


async def test_who_is_not_patient_gets_statistics_without_a_process_that_hangs(pipeline):
    """It is named, with its number; a patient one waits until it goes on."""
    async with spore.open_system(pipeline.write()) as system:
        writer = (await system.statistics()).processes["actor 'writer'"]
        os.kill(writer, signal.SIGSTOP)
        try:
            statistics = await system.statistics(patience_s=0.2)
        finally:
            os.kill(writer, signal.SIGCONT)
        assert "actor 'writer'" in statistics.silent
        assert "actor 'writer'" not in statistics.units
        assert statistics.processes["actor 'writer'"] == writer
        assert (await system.statistics()).silent == ()


async def test_a_receiver_that_is_killed_under_load_loses_nothing(pipeline):
    """Its successor gets what it had not acknowledged, and then the rest, in order."""
    async with spore.open_system(pipeline.write()) as system:
        ref = system.ref("source")
        await ref.send_many(ticks(3_000))
        await until(lambda: len(pipeline.signals()) > 100)
        before = (await system.statistics()).processes["actor 'writer'"]
        os.kill(before, signal.SIGKILL)
        await ref.send_many(ticks(3_000, 3_000))
        await system.wait_idle()
        unit = (await system.statistics()).units["actor 'writer'"]
        assert (unit.restarts, unit.pid == before) == (1, False)
    assert list(dict.fromkeys(pipeline.signals())) == expected(6_000)


@pytest.mark.long
async def test_a_relay_that_is_killed_under_load_loses_and_repeats_nothing(pipeline):
    """It comes back, and all links go on from where they were."""
    async with spore.open_system(pipeline.write()) as system:
        ref = system.ref("source")
        await ref.send_many(ticks(2_000))
        os.kill((await system.statistics()).processes["relay"], signal.SIGKILL)
        await ref.send_many(ticks(2_000, 2_000))
        await system.wait_idle()
    assert pipeline.signals() == expected(4_000)


@pytest.mark.long
async def test_a_process_that_keeps_dying_ends_the_system(pipeline, monkeypatch):
    """After the intensity is exceeded it is not started again; the error names it, and how it died."""
    monkeypatch.setattr("spore.deploy.supervise.RESTARTS", spore.Supervision(max_restarts=2, within_s=60, backoff_s=0))
    error = await failure_of(pipeline.write(options=", die_at = 3"), *ticks(30))
    assert isinstance(error, UnitFailed)
    assert str(error) == (
        "unit \"actor 'writer'\": its process was killed by SIGKILL; it failed again after 2 restarts in 60 s"
    )
    assert sum(line.startswith("start") for line in pipeline.lines()) == 3


ESCALATES = 'supervision = { on_failure = "escalate" }\n'


async def test_what_escalates_in_another_process_ends_the_system(pipeline):
    """As it does in one process: an escalation is a decision, and no accident that a restart could mend."""
    error = await failure_of(pipeline.write(options=", fail_at = 6", more=ESCALATES), *ticks(30))
    assert str(error) == (
        "unit \"actor 'writer'\": ValueError: number 6 (escalated by actor 'writer' of bundle 'core')"
    )


async def test_what_escalates_in_this_process_leaves_the_block_as_it_is(pipeline):
    """With its own class."""
    error = await failure_of(pipeline.write(Mode.SHARED_MEMORY, options=", fail_at = 6", more=ESCALATES), *ticks(30))
    assert isinstance(error, ValueError)
    assert str(error) == "number 6"


async def test_an_actor_that_fails_is_restarted_in_its_process(pipeline):
    """Supervision works as in a bundle: the message at fault is counted, the others are handled by a fresh actor."""
    async with spore.open_system(pipeline.write(options=", fail_at = 6")) as system:
        await system.ref("source").send_many(ticks(30))
        await system.wait_idle()
        unit = (await system.statistics()).units["actor 'writer'"]
        assert (unit.restarts, unit.bundle.actors["writer"].restarts, unit.bundle.actors["writer"].failed) == (0, 1, 1)
    assert pipeline.signals() == [line for line in expected(30) if not line.startswith("6 ")]


async def test_an_actor_that_cannot_start_ends_the_system_before_it_has_begun(pipeline):
    """The body is never entered, and the error says what kept the actor."""
    with pytest.raises(BaseExceptionGroup) as group:
        async with spore.open_system(pipeline.write(options=", fail_to_start = true")):
            pytest.fail("it has begun")
    assert str(only(group)) == "unit \"actor 'writer'\": OSError: no pen"


async def test_cancellation_stops_at_once_and_leaves_no_process(pipeline):
    """What is under way is not waited for."""
    with trio.CancelScope() as scope:
        async with spore.open_system(pipeline.write()) as system:
            processes = (await system.statistics()).processes
            scope.cancel()
            await trio.sleep_forever()
    del processes["outside"]
    assert not any(map(alive, processes.values()))


TWO_BUNDLES = """
[[bundles]]
name = "front"
mode = "shared_memory"
actors.source = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "detector" }} }}

[[bundles]]
name = "back"
mode = "{mode}"
actors.detector = {{ type = "tests.pipeline_actors:Detector", config = {{ every = 3, who = "d" }}, wire = {{ signals = "writer", recorder = [] }} }}
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{path}" }} }}
"""


@MODES
async def test_two_bundles_send_to_each_other_through_the_relay(pipeline, mode, tmp_path):
    """Each may have a mode of its own."""
    pipeline.path.write_text(TWO_BUNDLES.format(mode=mode, path=pipeline.out))
    async with spore.open_system(pipeline.path) as system:
        assert "relay" in (await system.statistics()).processes
        await system.ref("source").send_many(ticks(1_000))
    assert pipeline.signals() == expected(1_000)


CYCLE = """
[[bundles]]
name = "cycle"
mode = "relay"
actors.ping = {{ type = "tests.pipeline_actors:Echo", capacity = 2, wire = {{ peer = "pong" }}, config = {{ path = "{path}" }} }}
actors.pong = {{ type = "tests.pipeline_actors:Echo", capacity = 2, wire = {{ peer = "ping" }} }}
actors.self = {{ type = "tests.pipeline_actors:Echo", capacity = 2, wire = {{ peer = "self" }} }}
"""


async def test_cycles_over_the_relay_do_not_block(pipeline):
    """More messages than all mailboxes hold go around, to each other and to oneself, and all are handled before the end."""
    pipeline.path.write_text(CYCLE.format(path=pipeline.out))
    async with spore.open_system(pipeline.path) as system:
        with trio.fail_after(60):
            for name in ("ping", "self"):
                await system.ref(name).send_many([Tick(0, 20)] * 20)
            await system.wait_idle()
        units = (await system.statistics()).units
        handled = [units[f"actor '{name}'"].bundle.actors[name].handled for name in ("ping", "pong", "self")]
        assert handled == [20 * 11, 20 * 10, 20 * 21]


MERGING = """
[[bundles]]
name = "merging"
mode = "{mode}"
actors.a = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "both" }} }}
actors.b = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "both" }} }}
actors.both = {{ type = "tests.pipeline_actors:Merging", merge = "event_time", capacity = 5, wire = {{ signals = "writer" }} }}
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{path}" }} }}
"""


@MODES
async def test_an_actor_that_merges_gets_one_order_in_both_modes_and_leaving_ends_its_wait(pipeline, mode):
    """Although one sender is far ahead of the other, which has nothing more to say, and its mailbox is small."""
    pipeline.path.write_text(MERGING.format(mode=mode, path=pipeline.out))
    async with spore.open_system(pipeline.path) as system:
        await system.ref("b").send_many([Tick(time, time, "b") for time in range(0, 6, 2)])
        await system.ref("a").send_many([Tick(time, time, "a") for time in range(1, 60, 2)])
    order = [(line.split()[0], line.split()[2]) for line in pipeline.signals()]
    times = sorted([(time, "b") for time in range(0, 6, 2)] + [(time, "a") for time in range(1, 60, 2)])
    assert order == [(str(time), who) for time, who in times]


FED = """
modules = ["tests.pipeline_feed"]
[[bundles]]
name = "fed"
mode = "{mode}"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", capacity = 10, config = {{ path = "{path}" }} }}
[[feeds]]
source = "{source}"
to = "writer"
"""


@MODES
async def test_a_feed_sends_what_it_reads_from_a_process_of_its_own(pipeline, mode):
    """When it has ended, everything that it has read has been sent, and leaving the block handles that."""
    pipeline.path.write_text(FED.format(mode=mode, path=pipeline.out, source="count:500"))
    async with spore.open_system(pipeline.path) as system:
        await system.wait_feeds()
        unit = (await system.statistics()).units["feed 'feeds[0]'"]
        assert unit.account == {"read": 500, "used": 500, "skipped": {}}
        assert unit.pid != os.getpid()
    assert pipeline.lines() == [str(number) for number in range(500)]


@pytest.mark.long
async def test_feeds_that_are_merged_begin_when_their_receiver_knows_them_all(pipeline):
    """The first is there long before the second, and its events wait for those of the second all the same."""
    text = FED.format(mode=Mode.RELAY, path=pipeline.out, source="count:50").replace(
        "capacity", 'merge = "event_time", capacity'
    )
    pipeline.path.write_text(text + '[[feeds]]\nsource = "count:50"\nto = "writer"\n')
    async with spore.open_system(pipeline.path) as system:
        await system.wait_feeds()
    assert pipeline.lines() == [str(number) for number in range(50) for _ in range(2)]


async def test_a_feed_that_has_started_reads_nothing_until_it_is_told_to(tmp_path):
    """So that all others can start, too."""
    address = f"unix:{tmp_path / 'relay'}"
    link = LinkSpec(address=address, heartbeat_s=2.0, messages=("spore.services.messages:PoolSync",))
    targets = (Target(receiver="writer", remote=True, capacity=10),)
    source = FeedConfig(source=("count:5",), to=("writer",))
    spec = FeedSpec(label="f", name="f", feed=source, targets=targets, link=link, modules=("tests.pipeline_feed",))
    log = []
    async with (
        open_relay([Address.parse(address)]),
        spore.open_bundle("writers") as bundle,
        open_links(link, "writers") as links,
        trio.open_nursery() as nursery,
    ):
        links.attach(await bundle.start(Blocks, log=log, name="writer"), relayed=True)
        feed = RunningFeed(spec)
        nursery.start_soon(feed.run)
        await feed.started.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert (await feed.statistics()).account["read"] == 0
        await feed.read()
        await feed.wait_ended()
        await feed.settle((), idle=True)
        feed.leave()
    assert log == [0, 1, 2, 3, 4]


async def test_a_feed_without_an_end_is_stopped_with_the_system(pipeline):
    """What it has sent is handled."""
    pipeline.path.write_text(FED.format(mode=Mode.RELAY, path=pipeline.out, source="count:500…"))
    async with spore.open_system(pipeline.path):
        await until(lambda: len(pipeline.lines()) > 100)
    assert pipeline.lines() == [str(number) for number in range(len(pipeline.lines()))]


async def test_a_feed_that_cannot_be_read_ends_the_system(pipeline):
    """With the place in its source."""
    pipeline.path.write_text(FED.format(mode=Mode.RELAY, path=pipeline.out, source="count:5!"))
    error = await failure_of(pipeline.path)
    assert str(error) == "unit \"feed 'feeds[0]'\": FeedError: count:5!:7: is broken"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# spore run


@pytest.fixture
def running():
    """Starts ``spore run``, and makes sure that it is gone in the end."""
    started = []

    def start(path, **options):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "spore", "run", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
            **options,
        )
        started.append(process)
        lines = []
        while not lines or lines[-1] != "runs":
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line.rstrip("\n"))
        return process, lines

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def pids(lines):
    return {line.split(":")[0]: int(line.split()[-1]) for line in lines if ": runs as process" in line}


def test_spore_run_drains_on_sigterm(pipeline, running):
    """It says what runs where, stops every actor, and exits with 0; no process is left."""
    process, lines = running(pipeline.write())
    processes = pids(lines)
    assert set(processes) == {"relay", "actor 'source'", "actor 'detector'", "actor 'writer'"}
    assert "detector.signals → writer: relay" in lines
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["handles what was sent, and ends", "ended"]
    assert pipeline.lines()[-1] == "stop"
    assert not any(map(alive, processes.values()))


def test_spore_run_runs_a_bundle_in_shared_memory_as_one_process(pipeline, running):
    """And needs no relay for it."""
    process, lines = running(pipeline.write(Mode.SHARED_MEMORY))
    assert set(pids(lines)) == {"bundle 'core'"}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_ctrl_c_ends_without_a_traceback(pipeline, running):
    """A terminal sends it to every process of the group; the end is a drain, and the code is 130."""
    process, _ = running(pipeline.write(), start_new_session=True)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert pipeline.lines()[-1] == "stop"


@pytest.mark.long
def test_a_second_ctrl_c_ends_at_once(pipeline, running, tmp_path):
    """Even while an actor would take a minute to stop."""
    more = f'\n[bundles.actors.slow]\ntype = "tests.pipeline_actors:Stubborn"\nconfig = {{ path = "{tmp_path / "slow"}" }}\n'
    process, lines = running(pipeline.write(more=more), start_new_session=True)
    process.send_signal(signal.SIGINT)
    while not (tmp_path / "slow").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert not any(map(alive, pids(lines).values()))


@pytest.mark.long
def test_whoever_is_killed_is_started_again_and_it_is_said(pipeline, running):
    """One line tells who died, of what, and when it comes back."""
    process, lines = running(pipeline.write())
    os.kill(pids(lines)["actor 'writer'"], signal.SIGKILL)
    line = process.stdout.readline()
    assert line.startswith("actor 'writer': its process was killed by SIGKILL; starts again in 0.")
    assert process.stdout.readline().startswith("actor 'writer': runs as process ")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.long
def test_a_killed_supervisor_leaves_no_orphans(pipeline, running, tmp_path):
    """Not even one that never gives way."""
    more = (
        f'\n[bundles.actors.slow]\ntype = "tests.pipeline_actors:Busy"\nconfig = {{ path = "{tmp_path / "busy"}" }}\n'
    )
    process, lines = running(pipeline.write(more=more))
    processes = pids(lines).values()
    while not (tmp_path / "busy").exists():
        time.sleep(0.01)
    assert all(map(alive, processes))
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, processes))


def test_a_run_whose_feeds_have_ended_ends_by_itself(pipeline, running):
    """With everything handled, and exit code 0."""
    pipeline.path.write_text(FED.format(mode=Mode.SHARED_MEMORY, path=pipeline.out, source="count:500"))
    process, _ = running(pipeline.path)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err, out.splitlines()[-2:]) == (0, "", ["the feeds have ended", "ended"])
    assert pipeline.lines() == [str(number) for number in range(500)]


def test_a_part_that_fails_ends_the_run_with_1(pipeline, tmp_path):
    """One line says which part, and why."""
    path = pipeline.write(options=", fail_to_start = true")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "spore", "run", str(path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "spore: unit \"actor 'writer'\": OSError: no pen"
