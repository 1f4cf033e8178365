"""Two nodes on one machine, through a real server: what is sent on one is handled on the other, whoever ends, dies or comes again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from tests.controlled import short_folder
from tests.integration.test_system import expected, ticks
from tests.nats_servers import NEEDS_SERVER, NatsServer, nats_server
from tests.pipeline_actors import Tick

import spore
from spore.errors import NatsRefused, UsageError, first_cause

__all__ = ["nats_server"]

pytestmark = NEEDS_SERVER
ROOT = Path(__file__).parents[2]
PATIENCE_S = 30
NODES = """
modules = ["tests.pipeline_feed"]
nodes.alpha = {{ carrier = "{address}" }}
nodes.beta = {{ carrier = "{address}" }}
"""
FED = """
[[bundles]]
name = "far"
node = "beta"
mode = "{mode}"
drain_timeout_s = {drain_s}
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "{out}" }}, capacity = 100, durable = {durable} }}

[[feeds]]
source = "{source}"
rate = {rate}
node = "alpha"
to = "writer"
"""
THERE_AND_BACK = """
[[bundles]]
name = "near"
node = "alpha"
mode = "shared_memory"
actors.source = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "detector" }} }}
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{out}" }} }}

[[bundles]]
name = "far"
node = "beta"
mode = "shared_memory"

[bundles.actors.detector]
type = "tests.pipeline_actors:Detector"
config = {{ every = 3, who = "d" }}
wire = {{ signals = "writer", recorder = [] }}
"""

MERGING = """
[[bundles]]
name = "near"
node = "alpha"
mode = "shared_memory"
actors.a = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "both" }} }}
actors.both = {{ type = "tests.pipeline_actors:Merging", merge = "event_time", capacity = 5, wire = {{ signals = "writer" }} }}
actors.writer = {{ type = "tests.pipeline_actors:Writer", config = {{ path = "{out}" }} }}

[[bundles]]
name = "far"
node = "beta"
mode = "shared_memory"
actors.b = {{ type = "tests.pipeline_actors:Source", wire = {{ out = "both" }} }}
"""


class Nodes:
    """``spore run`` of two nodes of one file."""

    def __init__(self, folder: Path, server: NatsServer, **options: object) -> None:
        self.out = folder / "out"
        self.config = folder / "system.toml"
        options = {"mode": "relay", "source": "count:300", "rate": 400, "drain_s": 10, "durable": "false", **options}
        self.config.write_text((NODES + FED).format(address=server.address, out=self.out, **options))
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        self._environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": str(folder)}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, node: str, *folders: Path, command: str = "run") -> subprocess.Popen[str]:
        """Run a node, with modules of its own from these folders, too; or another command about it."""
        words = [sys.executable, "-m", "spore", command, str(self.config), "--node", node]
        path = os.pathsep.join([*map(str, folders), self._environment["PYTHONPATH"]])
        environment = {**self._environment, "PYTHONPATH": path}
        running = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
        )
        self._running.append(running)
        return running

    def numbers(self) -> list[int]:
        return [int(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def wait_for(self, count: int) -> None:
        """Wait until so many were handled."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.numbers()) < count:
            assert time.monotonic() < deadline, self.numbers()
            time.sleep(0.01)

    def close(self) -> None:
        for running in self._running:
            running.kill()
            if not running.stdout.closed:
                running.communicate()


@contextmanager
def nodes(server: NatsServer, **options: object) -> Iterator[Nodes]:
    with short_folder() as folder:
        running = Nodes(folder, server, **options)
        try:
            yield running
        finally:
            running.close()


def until_said(running: subprocess.Popen[str], line: str) -> None:
    """Wait until a node says something."""
    assert any(said == f"{line}\n" for said in running.stdout)


def ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a node that ends by itself, and what it has said."""
    said, _ = running.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in said
    return running.returncode, said


@pytest.mark.long
def test_a_node_that_ends_and_comes_again_loses_and_repeats_nothing(nats_server: NatsServer) -> None:
    """Its senders keep meanwhile what it has not handled, and the feed's node ends once it has all of it."""
    with nodes(nats_server, rate=60) as system:  # what comes in the two seconds in which a node ends it still handles
        alpha, beta = system.start("alpha"), system.start("beta")
        system.wait_for(50)
        beta.send_signal(signal.SIGTERM)
        assert ended(beta)[0] == 0
        before = len(system.numbers())
        assert before < 300
        beta = system.start("beta")
        code, said = ended(alpha)
        assert code == 0
        assert "node 'beta': is there" in said
        assert "not acknowledged" not in said
        assert system.numbers() == list(range(300))
        beta.send_signal(signal.SIGINT)
        assert ended(beta)[0] == 130


@pytest.mark.long
def test_a_node_that_is_killed_and_comes_again_gets_what_it_had_not_handled(nats_server: NatsServer) -> None:
    """What it had handled and not acknowledged it gets once more, and nothing else."""
    with nodes(nats_server) as system:
        alpha, beta = system.start("alpha"), system.start("beta")
        system.wait_for(50)
        beta.kill()
        beta.communicate()
        system.start("beta")
        assert ended(alpha)[0] == 0
        numbers = system.numbers()
        assert sorted(set(numbers)) == list(range(300))
        again = next((at for at, number in enumerate(numbers) if number < at), len(numbers))
        assert numbers[:again] == list(range(again))
        assert numbers[again:] == list(range(numbers[again] if again < len(numbers) else 300, 300))


@pytest.mark.long
def test_a_node_that_ends_alone_says_what_nobody_has_acknowledged(nats_server: NatsServer) -> None:
    """It waits for that as long as its bundles may take to drain."""
    with nodes(nats_server, drain_s=0.3, source="count:300…") as system:
        alpha, beta = system.start("alpha"), system.start("beta")
        system.wait_for(20)
        beta.kill()
        beta.communicate()
        alpha.send_signal(signal.SIGTERM)
        code, said = ended(alpha)
        assert code == 1  # messages are lost to whom they were sent
        assert "feeds[0] → writer: " in said
        assert "messages that were not acknowledged end with this node" in said


def test_a_node_that_waits_for_another_ends_when_it_is_told_to(nats_server: NatsServer) -> None:
    """And has read nothing of its feed."""
    with nodes(nats_server) as system:
        alpha = system.start("alpha")
        until_said(alpha, "node 'beta': is not there yet")
        alpha.send_signal(signal.SIGTERM)
        code, said = ended(alpha)
        assert (code, said.splitlines()[-2:]) == (0, ["ends before everything was there", "ended"])


def test_one_node_runs_once(nats_server: NatsServer) -> None:
    """A second one of that name, from another copy of the file, is refused."""
    with nodes(nats_server) as system, nodes(nats_server) as copy:
        beta = system.start("beta")
        until_said(beta, "node 'alpha': is not there yet")
        code, said = ended(copy.start("beta"))
        assert code == 2
        assert "another process listens at inlet" in said
        assert beta.poll() is None


@pytest.mark.long
def test_what_is_durable_reaches_a_node_that_comes_later(tmp_path: Path) -> None:
    """When its sender has ended long ago; in order, and each once, however often the receiver begins anew."""
    (tmp_path / "server").mkdir()
    server = NatsServer(tmp_path / "server", jetstream={"store_dir": str(tmp_path / "server")})
    server.start()
    try:
        with nodes(server, durable="true", rate=10_000) as system:
            code, said = ended(system.start("alpha"))
            assert (code, "acknowledged" in said) == (0, False)
            for count in (1, 300):
                beta = system.start("beta")
                until_said(beta, "runs")  # the one before may have handled everything already
                system.wait_for(count)
                beta.send_signal(signal.SIGTERM)
                assert ended(beta)[0] == 0
            assert system.numbers() == list(range(300))
    finally:
        server.kill()


@pytest.mark.parametrize("mode", ["shared_memory", "distributed"])
def test_what_goes_there_and_back_is_handled_before_a_node_ends(
    nats_server: NatsServer, tmp_path: Path, mode: str
) -> None:
    """The answers of the other node, too; and both know when nothing is under way."""
    path = tmp_path / "system.toml"
    text = (NODES + THERE_AND_BACK).format(address=nats_server.address, out=tmp_path / "out")
    path.write_text(text.replace('"shared_memory"', f'"{mode}"'))
    there = trio.Event()

    async def beta(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async with spore.open_system(path, node="beta") as system:
            await system.ref("source").send(ticks(1)[0])
            await system.wait_idle()
            assert (tmp_path / "out").read_text().splitlines()[1:] == expected(1)
            there.set()
            await trio.sleep_forever()

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await nursery.start(beta)
                async with spore.open_system(path, node="alpha") as system:
                    await there.wait()
                    for tick in ticks(299, 1):
                        await system.ref("source").send(tick)
                lines = (tmp_path / "out").read_text().splitlines()
                assert lines[1:-1] == expected(300)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_what_two_nodes_send_is_merged_by_event_time(nats_server: NatsServer, tmp_path: Path) -> None:
    """One is far ahead of the other, and the mailbox is small; when the other node ends, it has nothing more to say."""
    path = tmp_path / "system.toml"
    path.write_text((NODES + MERGING).format(address=nats_server.address, out=tmp_path / "out"))
    both_there, far_ended = trio.Event(), trio.Event()

    async def beta() -> None:
        async with spore.open_system(path, node="beta") as system:
            await both_there.wait()
            for time_ns in range(0, 40, 2):
                await system.ref("b").send(Tick(time_ns, time_ns, "b"))
        far_ended.set()

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beta)
                async with spore.open_system(path, node="alpha") as system:
                    both_there.set()
                    for time_ns in range(1, 60, 2):
                        await system.ref("a").send(Tick(time_ns, time_ns, "a"))
                    await far_ended.wait()

    trio.run(main)
    lines = [line.split() for line in (tmp_path / "out").read_text().splitlines()[1:-1]]
    times = sorted([(time_ns, "b") for time_ns in range(0, 40, 2)] + [(time_ns, "a") for time_ns in range(1, 60, 2)])
    assert [(number, who) for number, _, who in lines] == [(str(time_ns), who) for time_ns, who in times]


async def test_which_node_runs_has_to_be_said(tmp_path: Path) -> None:
    """Where there are several."""
    path = tmp_path / "system.toml"
    path.write_text((NODES + THERE_AND_BACK).format(address="nats://127.0.0.1:1", out=tmp_path))
    with pytest.raises(UsageError, match="it was not said which one runs here; there is 'alpha', 'beta'"):
        async with spore.open_system(path):
            pass
    with pytest.raises(UsageError, match="there is no node 'gamma'"):
        async with spore.open_system(path, node="gamma"):
            pass


def test_a_wrong_password_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything has started."""
    server = NatsServer(tmp_path, authorization={"user": "u", "password": "right"})
    server.start()
    monkeypatch.setenv("SPORE_TEST_PASSWORD", "wrong")
    path = tmp_path / "system.toml"
    path.write_text(
        f"""
        nodes.alpha = {{ carrier = "{server.address}", user = "u", password = {{ env = "SPORE_TEST_PASSWORD" }} }}

        [[bundles]]
        name = "core"
        mode = "distributed"
        actors.clock = {{ type = "tests.pipeline_actors:Clock" }}
        """
    )

    async def main() -> None:
        async with spore.open_system(path):
            pass

    try:
        with pytest.raises(ExceptionGroup) as failed:
            trio.run(main)
    finally:
        server.kill()
    error = first_cause(failed.value)
    assert isinstance(error, NatsRefused)
    assert error.reason == "password"
    assert "wrong" not in str(error)


UNEQUAL = """
[[bundles]]
name = "near"
node = "alpha"
mode = "shared_memory"
actors.teller = {{ type = "layout:Teller", wire = {{ out = "reader" }} }}

[[bundles]]
name = "far"
node = "beta"
mode = "shared_memory"
actors.reader = {{ type = "layout:Reader" }}
"""
LAYOUT = """
import attrs
import spore

@spore.message(type_id=150, domain=spore.Domain.SIGNAL)
class Level:
    price: spore.{price}

@attrs.define
class Teller(spore.Actor[Level]):
    out: spore.ActorRef[Level]

    def on_start(self):
        self.out.tell(Level(1))

    def handle(self, message):
        pass

class Reader(spore.Actor[Level]):
    def handle(self, message):
        pass
"""


@pytest.mark.long
def test_nodes_that_mean_different_things_are_not_healthy_and_say_why(nats_server: NatsServer) -> None:
    """One message differs: the log of each says so once, `spore monitor` of either names it, and either ends with 1."""
    with nodes(nats_server) as system:
        system.config.write_text(
            (NODES.replace("tests.pipeline_feed", "layout") + UNEQUAL).format(address=nats_server.address)
        )
        running, folders = {}, {node: system.config.parent / node for node in ("alpha", "beta")}
        for node, price in (("alpha", "U64"), ("beta", "PriceE8")):
            folders[node].mkdir()
            (folders[node] / "layout.py").write_text(LAYOUT.format(price=price))
            running[node] = system.start(node, folders[node])
        for node, process in running.items():
            said = next((line for line in process.stdout if "takes nothing" in line), "")
            assert "differ: Level (150) differs: here 150 Level signal {price: " in said
            code, out = ended(system.start(node, folders[node], command="monitor"))
            assert code == 1
            assert "differ: Level (150) differs: here 150 Level signal {price: " in out
        for process in running.values():
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=PATIENCE_S)
            assert "takes nothing" not in said  # which was said once
            assert (process.returncode, "a link is refused" in said) == (1, True)
