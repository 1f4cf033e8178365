"""Shadow mode with the processes that it starts: whatever becomes of the twin, the bundle does not notice."""

import os
import re
import signal
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import attrs
import pytest
import trio
from tests.pipeline_actors import Tick, Turn

import spore
from spore.deploy import Mode, ShadowState, shadow

ROOT = Path(__file__).parents[2]
SYSTEM = """
[[bundles]]
name = "core"
mode = "shared_memory"
shadow = {{ rate = 1.0 }}
drain_timeout_s = 60

[bundles.actors.sum]
type = "tests.shadow_actors:Summing"
config = {{ path = "{folder}/original"{config} }}
wire = {{ recorder = "recorder", out = [] }}
"""


@attrs.define
class Recorder(spore.Actor[Turn]):
    log: list

    def handle(self, message):
        self.log.append(message.total)


def open_shadowed(tmp_path, log, config=""):
    path = tmp_path / "system.toml"
    path.write_text(SYSTEM.format(folder=tmp_path, config=config))
    return spore.open_system(path, local={"recorder": (Recorder, {"log": log})})


def ticks(count, start=0):
    return [Tick(number, number) for number in range(start, start + count)]


async def until(system, condition):
    """Wait for other processes, which nobody can schedule."""
    with trio.fail_after(60):
        while not condition(found := (await system.statistics()).shadows["core"]):  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)
    return found


@pytest.mark.long
async def test_a_twin_that_is_killed_under_load_is_followed_by_another(tmp_path):
    """The bundle sends what it always sends; the new twin takes over where its actors stand, and nothing differs."""
    log = []
    async with open_shadowed(tmp_path, log) as system:
        ref = system.ref("sum")
        await ref.send_many(ticks(1_000))
        found = await until(system, lambda found: found.equal == 1_000)
        assert found.processes.keys() == {"relay", "actor 'twin of sum'"}
        await ref.send_many(ticks(1_000, 1_000))
        os.kill(found.processes["actor 'twin of sum'"], signal.SIGKILL)
        await ref.send_many(ticks(1_000, 2_000))
        found = await until(system, lambda found: found.state is ShadowState.OUT_OF_STEP)
        assert found.reason == "actor 'twin of sum': its process was killed by SIGKILL"
        await until(system, lambda found: found.state is ShadowState.FOLLOWING)
        await ref.send_many(ticks(1_000, 3_000))
    found = (await system.statistics()).shadows["core"]
    assert log == list(accumulate(range(4_000)))
    assert (found.state, found.reason, found.different, found.twins) == (ShadowState.ENDED, "", 0, 2)
    assert found.equal >= 2_000
    assert found.inputs == 4_000 == found.copied + found.skipped


async def test_a_twin_that_handles_nothing_holds_nobody_up(tmp_path, monkeypatch):
    """The bundle is done before its twin begins. What had no room to wait was skipped, and no difference comes of it."""
    monkeypatch.setattr(shadow, "KEPT_MESSAGES", 3_000)
    log = []
    async with open_shadowed(tmp_path, log, f', gate = "{tmp_path}/gate"') as system:
        await until(system, lambda found: found.state is ShadowState.FOLLOWING)
        for start in range(0, 20_000, 100):
            await system.ref("sum").send_many(ticks(100, start))
            await trio.lowlevel.checkpoint()
        assert log == list(accumulate(range(20_000)))
        assert (await until(system, lambda found: found.reason)).reason.startswith("it is behind: 3,000 messages")
        (tmp_path / "gate").touch()
    found = (await system.statistics()).shadows["core"]
    assert found.different == 0
    assert found.skipped > 10_000


PIPELINE = """
[[bundles]]
name = "trading_core"
mode = "shared_memory"
shadow = {{}}

[bundles.actors.market_data]
type = "MarketDataActor"

[bundles.actors.signal_generator]
type = "tests.shadow_actors:Skewed"
config = {{ path = "{folder}/original" }}

[[feeds]]
source = "sim:seed=1,events=2000,pools=4"
to = "market_data"
"""


@pytest.mark.long
def test_spore_run_says_the_first_difference_and_what_was_compared(tmp_path):
    """On lines of their own; the exit code is what it would be without a twin."""
    path = tmp_path / "system.toml"
    path.write_text(PIPELINE.format(folder=tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "spore", "run", str(path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    shadow = "shadow of 'trading_core': "
    lines = [line.removeprefix(shadow) for line in done.stdout.splitlines() if line.startswith(shadow)]
    assert (done.returncode, done.stderr) == (0, "")
    first = re.fullmatch(
        r"the first difference: signal_generator\.execution\[0\]: amount_in = (\d+), in the twin (\d+)", lines[-2]
    )
    assert int(first[2]) == int(first[1]) + 1
    found = re.fullmatch(r"(\d+) messages compared, (\d+) different; 0 of [\d,]+ inputs skipped; ended", lines[-1])
    assert found[1] == found[2] != "0"
    assert done.stdout.splitlines()[-1] == "ended"


@pytest.mark.long
async def test_a_bundle_that_is_switched_away_and_back_has_a_twin_again(tmp_path):
    """What is relayed has none. The next one takes over where the actors stand, and what an actor says when it moves is no difference."""
    log = []
    async with open_shadowed(tmp_path, log) as system:
        ref = system.ref("sum")
        await ref.send_many(ticks(300))
        await system.switch("core", Mode.RELAY)
        assert (await system.statistics()).shadows == {}
        await ref.send_many(ticks(300, 300))
        await system.wait_idle()  # else the bundle handles some of it before it has a twin
        await system.switch("core", Mode.SHARED_MEMORY)
        await until(system, lambda found: found.state is ShadowState.FOLLOWING)
        await ref.send_many(ticks(300, 600))
        found = await until(system, lambda found: found.compared >= 300)
        assert (found.different, found.skipped) == (0, 0)
    assert log == list(accumulate(range(900)))
