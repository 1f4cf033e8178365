"""A process is killed at each step of a switch, in either direction and under load: nothing is lost, and who lives goes on where it stood."""

import os
import re
import signal

import attrs
import psutil
import pytest
import trio
from tests.pipeline_actors import Tick
from tests.switch_load import SteadyLoad

from spore.deploy import STEPS, Mode, load_config, make_plan, run_plan, supervise
from spore.errors import SwitchFailed
from spore.nursery_bundle.policy import Supervision

pytestmark = pytest.mark.long

BUNDLED, RELAYED = Mode.SHARED_MEMORY, Mode.RELAY
LABELS = {BUNDLED: "bundle 'core'", RELAYED: "actor 'detector'"}
"""Apart from whoever starts it, either mode has a process of its own."""
REVOCABLE = ("prepare", "pause", "drain", "hand over", "go on")
"""The steps at which there is a new process, and the old one can go on."""
RATE = 1_000
"""Messages a second."""
SYSTEM = """
[[bundles]]
name = "core"
mode = "shared_memory"
drain_timeout_s = 60
actors.detector = {{ type = "tests.switch_actors:Summing", config = {{ every = 5, who = "d" }}, wire = {{ signals = "writer", recorder = [] }} }}

[[bundles]]
name = "back"
mode = "shared_memory"
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{out}" }} }}
"""


class Kills:
    """Kills that are still to be: in a switch to a mode, of whom, and at which step."""

    def __init__(self, wanted):
        self.left = [(to, who, step) for to in LABELS for who, steps in wanted.items() for step in steps]
        self._alive = {}
        self._labels = {}
        self._to = self._step = None

    def begin(self, to):
        """A switch begins."""
        self._to, self._labels = to, {"relay": "relay", "old": LABELS[other(to)], "new": LABELS[to]}
        self._alive.pop(LABELS[to], None)  # that of an earlier switch, which was ended without a word

    def watch(self, step):
        """A step begins."""
        self._step = step
        for who in self._labels:
            if self._kill(who):
                return

    def say(self, line):
        """What a system says: among it, which processes live."""
        if (runs := re.fullmatch(r"(.*): runs as process (\d+)", line)) is not None:
            self._alive[runs[1]] = int(runs[2])
            if self._step == "prepare":  # in the midst of it, because there is no new process when it begins
                self._kill("new")
        elif (died := re.match(r"(.*): its process ", line)) is not None:
            self._alive.pop(died[1], None)

    def _kill(self, who):
        """Kill one, if that is wanted now, and it lives; return whether it was."""
        wanted, label = (self._to, who, self._step), self._labels[who]
        if wanted not in self.left or label not in self._alive:
            return False
        self.left.remove(wanted)
        os.kill(self._alive.pop(label), signal.SIGKILL)
        return True


@attrs.frozen
class Outcome:
    """What a run has shown."""

    sent: int
    signals: list[tuple[int, int]]
    """Number and sum, in order."""
    switched: int
    failures: list[str]
    redelivered: int
    """Ticks that were sent again, marked, because their receiver had died."""

    @property
    def expected(self):
        """The signals of an undisturbed run."""
        return [(number, number * (number + 1) // 2) for number in range(0, self.sent, 5)]


def other(mode):
    return RELAYED if mode is BUNDLED else BUNDLED


def processes():
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture
def quick_restarts(monkeypatch):
    """Who dies is started again at once, and as often as it dies."""
    quickly = Supervision(max_restarts=1_000, backoff_s=0.01, backoff_max_s=0.01)
    monkeypatch.setattr(supervise, "RESTARTS", quickly)


@pytest.fixture
def outcome_of(tmp_path, quick_restarts):
    """Runs a system that is switched to and fro until all has been killed that is wanted."""
    path, out = tmp_path / "system.toml", tmp_path / "out"
    path.write_text(SYSTEM.format(out=out))
    plan = make_plan(load_config(path), apart=True)

    async def run(wanted):
        kills, before, switched, failures = Kills(wanted), processes(), 0, []
        async with run_plan(plan, say=kills.say) as system, trio.open_nursery() as nursery:
            load = SteadyLoad(system.ref("detector"), RATE)
            await nursery.start(load.run)
            while kills.left:
                mode = system.plan.bundle("core").mode
                kills.begin(other(mode))
                try:
                    await system.switch("core", other(mode), watch=kills.watch)
                except SwitchFailed as failed:
                    failures.append(failed.reason)
                    assert system.plan.bundle("core").mode is mode
                else:
                    switched += 1
                    assert system.plan.bundle("core").mode is other(mode)
                await load.go_on()
                await system.statistics()  # who is being started again answers when it runs
            load.end()
            await system.wait_idle()
            statistics = await system.statistics()
            assert processes() - before == set(statistics.processes.values()) - {os.getpid()}
        signals = [line.split() for line in out.read_text().splitlines() if line.endswith(" d")]
        return Outcome(
            sent=load.sent,
            signals=[(int(number), int(total)) for number, total, _ in signals],
            switched=switched,
            failures=failures,
            redelivered=sum(link.redelivered for link in statistics.client.outgoing),
        )

    return run


async def test_the_new_process_is_killed_at_each_step_that_can_be_undone(outcome_of):
    """Each time the switch says so, and the old process goes on: signals, sums and order are those of an undisturbed run."""
    outcome = await outcome_of({"new": REVOCABLE})
    assert len(outcome.failures) == 2 * len(REVOCABLE)
    assert all("was killed by SIGKILL" in reason or "has died" in reason for reason in outcome.failures)
    assert outcome.signals == outcome.expected
    assert outcome.redelivered == 0


async def test_the_relay_is_killed_at_each_step(outcome_of):
    """No switch fails, signals, sums and order are those of an undisturbed run, and nothing is sent again for a dead receiver."""
    outcome = await outcome_of({"relay": STEPS})
    assert outcome.failures == []
    assert outcome.signals == outcome.expected
    assert outcome.redelivered == 0


async def test_the_process_that_runs_the_actors_is_killed_at_each_step(outcome_of):
    """The old one, or when that leaves the new one. Its sums die with it, so they begin anew; but no signal is missing or out of turn, and
    those that come twice are of ticks that were marked as sent again."""
    outcome = await outcome_of({"old": STEPS, "new": ["leave"]})
    assert all("has died" in reason for reason in outcome.failures)
    numbers = [number for number, _ in outcome.signals]
    assert list(dict.fromkeys(numbers)) == [number for number, _ in outcome.expected]
    assert 0 <= len(numbers) - len(set(numbers)) <= outcome.redelivered


async def test_an_old_process_that_is_back_before_the_others_have_drained_is_not_taken_for_itself(
    tmp_path, quick_restarts
):
    """It knows nothing of the switch, and its state died with it: the switch fails, however long the drain takes."""
    path, out = tmp_path / "system.toml", tmp_path / "out"
    slow = 'actors.slow = {{ type = "tests.switch_actors:Slow", wire = {{ out = "detector" }} }}\nactors.detector'
    text = (
        SYSTEM.replace("shared_memory", "relay", 1)
        .replace("actors.detector", slow, 1)
        .replace("every = 5", "every = 1")
    )
    path.write_text(text.format(out=out))
    kills = Kills({"old": ["drain"]})
    kills.begin(BUNDLED)
    async with run_plan(make_plan(load_config(path), apart=True), say=kills.say) as system:
        await system.ref("slow").send_many([Tick(number, number) for number in range(5)])
        with pytest.raises(SwitchFailed, match="the process of actor 'detector' has died"):
            await system.switch("core", BUNDLED, watch=kills.watch)
    numbers = [int(line.split()[0]) for line in out.read_text().splitlines() if line.endswith(" d")]
    assert list(dict.fromkeys(numbers)) == list(range(5))
