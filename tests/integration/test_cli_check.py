"""``spore check``, run as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = """
[[bundles]]
name = "core"
mode = "relay"
actors.source = { type = "tests.pipeline_actors:Source", wire = { out = "detector" } }
actors.detector = { type = "tests.pipeline_actors:Detector", wire = { recorder = [] } }
actors.writer = { type = "tests.pipeline_actors:Writer", config = { path = "out" } }
actors.echo = { type = "tests.pipeline_actors:Echo", wire = { peer = "echo" } }
"""


@pytest.fixture
def check(tmp_path):
    def check(text, *options):
        path = tmp_path / "system.toml"
        path.write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "spore", "check", str(path), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"},
        )

    return check


def test_check_prints_every_edge_with_its_route_and_reason_and_every_process(check):
    """Nothing is run, and the exit code is 0. Modules are found from where one stands."""
    done = check(GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "source.out → detector: relay, because mode = \"relay\" in bundle 'core' (wire.out says so)",
        "detector.signals → writer: relay, because mode = \"relay\" in bundle 'core' (it alone handles Turn)",
        "echo.peer → echo: relay, because mode = \"relay\" in bundle 'core', and closes a cycle, so that nobody waits in it (wire.peer says so)",
        "process: relay",
        "process: actor 'echo'",
        "process: actor 'source'",
        "process: actor 'detector'",
        "process: actor 'writer'",
    ]


def test_check_names_the_actors_of_a_process_that_has_several(check):
    """In the order of their start; where nothing leaves the process, there is no relay."""
    done = check(GOOD.replace('"relay"', '"shared_memory"'))
    assert done.stdout.splitlines()[-1] == "process: bundle 'core', with writer, detector, source, echo"
    assert "process: relay" not in done.stdout


def test_check_tells_machines_the_same(check):
    """As one JSON object."""
    told = json.loads(check(GOOD, "--json").stdout)
    assert told["problems"] == []
    assert told["edges"][2] == {
        "sender": "echo",
        "port": "peer",
        "receiver": "echo",
        "route": "relay",
        "reason": "mode = \"relay\" in bundle 'core'",
        "why": "wire.peer says so",
        "feedback": True,
        "durable": False,
        "by": None,
    }
    assert told["processes"][0] == {"name": "relay", "actors": []}
    assert {"name": "actor 'writer'", "actors": ["writer"]} in told["processes"]


def test_check_refuses_with_every_problem(check):
    """What can be said is still said; the exit code is 2."""
    bad = GOOD.replace('"detector" }', '"detecto" }').replace("config = { path", "config = { pth")
    done = check(bad)
    assert done.returncode == 2
    assert "detector.signals → writer: relay" in done.stdout
    first, *problems = done.stderr.splitlines()
    assert first.endswith("system.toml (3 problems): ")
    assert [problem.strip() for problem in problems] == [
        "bundles[0].actors.writer.config.pth: there is no such key here; did you mean 'path'?",
        "bundles[0].actors.writer.config.path: is missing",
        "bundles[0].actors.source.wire.out[0]: there is no actor 'detecto'; did you mean 'detector'?",
    ]
    told = check(bad, "--json")
    assert told.returncode == 2
    assert len(json.loads(told.stdout)["problems"]) == 3


def test_a_file_that_cannot_be_read_strictly_has_no_plan(check):
    """Its problems are told all the same, to people and to machines."""
    done = check("bundles = 5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("system.toml: bundles: must be a list, not the integer 5\n")
    assert json.loads(check("bundles = 5", "--json").stdout) == {
        "problems": ["bundles: must be a list, not the integer 5"],
        "edges": [],
        "shadows": [],
        "processes": [],
    }


def test_a_file_that_is_not_there_is_an_error_in_one_line(check, tmp_path):
    """With its name."""
    done = check("", "--json")
    assert done.returncode == 2
    missing = subprocess.run(
        [sys.executable, "-m", "spore", "check", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (missing.returncode, missing.stderr) == (2, f"spore: {tmp_path / 'none.toml'}: No such file or directory\n")
