"""``spore loadtest`` as users run it: real processes, a low rate, a fraction of a second. What is asserted of times is what no slow
machine can change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.load_actors import STALL_S

from spore.cli.app import run
from spore.deploy import Mode, load_config
from spore.errors import RunFailed
from spore.migration.loadtest import loadtest
from spore.samples import PIPELINE as PIPELINE_FILE

MODES = {"bundled": (Mode.SHARED_MEMORY, 1), "relayed": (Mode.RELAY, 5)}
PIPELINE = """
[[bundles]]
name = "core"
mode = "shared_memory"
[bundles.actors.market_data]
type = "{market_data}"
capacity = 64
overflow = "{overflow}"
"""
SIGNALS = """
[bundles.actors.signal_generator]
type = "{type}"
"""


def pipeline(folder: Path, signals: str = "", market_data: str = "MarketDataActor", overflow: str = "block") -> Path:
    path = folder / "pipeline.toml"
    text = PIPELINE.format(market_data=market_data, overflow=overflow)
    path.write_text(text + (SIGNALS.format(type=signals) if signals else ""))
    return path


@pytest.mark.long
@pytest.mark.parametrize("mode", list(MODES))
async def test_a_load_comes_through_whole(mode: str) -> None:
    """Everything that was sent is handled, in either mode; samples go on over the whole test, and only what is after the warm-up is
    timed."""
    wanted, processes = MODES[mode]
    seen = []
    found = await loadtest(
        "sample",
        config=load_config(PIPELINE_FILE).in_mode(wanted),
        mode=mode,
        rate=1_000,
        seconds=1.0,
        watch=seen.append,
    )
    result = found.result
    assert (result.planned, result.lost, result.processes) == (1_000, 0, processes)
    assert result.orders == result.signals > 0
    assert result.reports == 2 * result.orders
    assert 0 < result.output.count < result.signals + result.orders
    assert 0 < result.output.p50 <= result.output.p99 <= result.output.max
    assert 0 < result.sending.count <= 90
    assert list(found.samples) == seen
    assert [sample.at_s for sample in seen] == sorted(sample.at_s for sample in seen)
    assert seen[-1].sent == result.sent
    assert all(sample.memory_bytes > 10_000_000 * processes for sample in seen)
    assert result.cpu_seconds > 0


@pytest.mark.long
@pytest.mark.parametrize("mode", list(MODES))
def test_a_stall_shows(mode: str, tmp_path: Path) -> None:
    """What was due while an actor stood still counts from when it was due, though the load could not even be sent meanwhile."""
    config, to = pipeline(tmp_path, "tests.load_actors:Stalling"), tmp_path / "result.json"
    command = [sys.executable, "-m", "spore", "loadtest", config, "--mode", mode, "--json", to]
    done = subprocess.run(
        [*command, "--rate", "1000", "--seconds", "1"], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(to.read_text())
    assert found["sustained"] is False
    assert found["checks"]["output_p99_ns"]["met"] is False
    assert found["result"]["lost"] == 0
    assert found["result"]["output"]["max"] > STALL_S / 2 * 1e9
    assert "signals late" in done.stdout
    if mode == "bundled":
        assert found["result"]["sending"]["max"] > STALL_S / 2 * 1e9


@pytest.mark.parametrize("mode", list(MODES))
def test_what_is_lost_is_counted(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a mailbox that drops, or by the link before it. Nothing comes out, so there is no latency to judge."""
    config, to = (
        pipeline(tmp_path, market_data="tests.mode_dependent:Slow", overflow="drop_oldest"),
        tmp_path / "a.json",
    )
    options = ["--rate", "40000", "--seconds", "0.2", "--json", str(to)]
    assert run(["loadtest", str(config), "--mode", mode, *options]) == 1
    found = json.loads(to.read_text())
    assert 0 < found["result"]["lost"] < found["result"]["sent"]
    assert found["checks"]["output_p99_ns"]["met"] is None
    assert "messages lost" in capsys.readouterr().out


def test_a_search_that_finds_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where even the lowest rate is too much, twice, there is none to tell."""
    config = pipeline(tmp_path, "tests.load_actors:Stalling")
    options = ["--rate", "100", "--seconds", "0.5", "--find-max"]
    assert run(["loadtest", str(config), *options]) == 1
    assert "as configured sustains none of these rates" in capsys.readouterr().out


async def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    """An actor that gives up ends the test, and the error is the actor's, in no group."""
    config = load_config(pipeline(tmp_path, "tests.mode_dependent:Failing"))
    with pytest.raises(RunFailed, match="a run in mode 'bundled' has failed: ValueError: no more"):
        await loadtest("sample", config=config, mode="bundled", rate=1_000, seconds=0.5)


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """No traceback, no file, no process; 130, as a shell reports it."""
    command = [sys.executable, "-m", "spore", "loadtest", "--mode", "relayed", "--json", str(tmp_path / "a.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            started: list[psutil.Process] = []
            while len(started) < 5:  # the test's own process, the relay and three actors
                assert process.poll() is None
                os.sched_yield()
                started = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert list(tmp_path.iterdir()) == []
    assert psutil.wait_procs(started, timeout=30)[1] == []
