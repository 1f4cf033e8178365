"""A real system, controlled as people do: by commands, scripts and signals."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.controlled import short_folder

ROOT = Path(__file__).parents[2]
TEXT = """\
# a feed that is over soon and never ends
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "relay"    # or "shared_memory"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "{path}" }} }}

[[feeds]]
source = "count:500…"
to = "writer"
"""


class Run:
    """``spore run`` of a configuration, and commands to it."""

    def __init__(self, folder: Path, text: str = TEXT) -> None:
        self.folder = folder
        self.config = folder / "system.toml"
        self.config.write_text(text.format(path=folder / "out"))
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }
        (folder / "run").mkdir()
        spore = folder / "spore"
        spore.write_text(f'#!/bin/sh\nexec {sys.executable} -m spore "$@"\n')
        spore.chmod(0o755)
        self.environment["PATH"] = f"{folder}{os.pathsep}{self.environment['PATH']}"
        self.popen = self.start([sys.executable, "-m", "spore", "run", str(self.config)])
        self.lines: list[str] = []

    def begin(self) -> None:
        """Wait until it runs."""
        while not self.lines or self.lines[-1] != "runs":
            line = self.popen.stdout.readline()
            assert line, self.popen.stderr.read()
            self.lines.append(line.rstrip("\n"))

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, cwd=ROOT
        )

    def do(self, *command: str) -> tuple[int, list[str], str]:
        """Run a command to its end: exit code, lines, errors."""
        if not command[0].endswith(".sh"):
            command = (sys.executable, "-m", "spore", *command)
        process = self.start(list(command))
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out.splitlines(), err

    def pid(self, name: str) -> int:
        return next(int(line.split()[-1]) for line in self.lines if line.startswith(f"{name}: runs as process"))

    def close(self) -> None:
        self.popen.kill()
        self.popen.communicate()


@contextmanager
def system(text: str = TEXT):
    with short_folder() as folder:
        run = Run(folder, text)
        try:
            run.begin()
            yield run
        finally:
            run.close()


@pytest.fixture(scope="module")
def run():
    """One for all that leaves it as it was."""
    with system() as run:
        yield run


@pytest.fixture(scope="module", autouse=True)
def monitor(run):
    """The runbook's script, which takes some seconds and watches all that the others do."""
    monitor = run.start(["scripts/monitor_health.sh", str(run.config)])
    yield monitor
    monitor.kill()
    monitor.communicate()


def test_a_rollback_of_what_is_in_relay_already_changes_nothing(run):
    """Neither the file nor the system; the runbook's script passes arguments and exit codes on."""
    before = run.config.read_text()
    code, lines, err = run.do("scripts/rollback_to_relay.sh", "core", str(run.config), "--minutes", "0")
    assert (code, err) == (0, "")
    assert lines == [
        "the system runs bundle 'core' in relay already",
        f'{run.config} says mode = "relay" already, and is as it was',
    ]
    assert run.config.read_text() == before
    assert not list(run.folder.glob("*.bak"))
    assert run.do("scripts/rollback_to_relay.sh", "nothing", str(run.config))[0] == 2


def test_a_second_run_of_a_file_is_refused(run):
    """With the number of the first, which goes on."""
    code, _, err = run.do("run", str(run.config))
    assert (code, err) == (
        2,
        f"spore: {run.config} is run already, by process {run.popen.pid}; end that one first, or run a copy of the file\n",
    )
    assert run.do("switch", "core", str(run.config), "--to", "relay")[:2] == (
        0,
        ["bundle 'core' runs in relay already"],
    )


def test_a_system_with_which_nothing_is_wrong_is_healthy(monitor):
    """A line an actor and the verdict; the exit code of the command is that of the script."""
    out, err = monitor.communicate(timeout=60)
    assert (monitor.returncode, out.splitlines()[-1], err) == (0, "healthy", "")
    assert any(line.split()[:1] == ["writer"] for line in out.splitlines())


def test_a_process_that_dies_while_somebody_watches_is_not_healthy():
    """The system goes on, and the exit code is 1. When it has ended nothing of it is left, and the code is 2."""
    with system() as run:
        monitor = run.start([sys.executable, "-m", "spore", "monitor", str(run.config), "--json"])
        assert json.loads(monitor.stdout.readline())["healthy"]
        os.kill(run.pid("actor 'writer'"), signal.SIGKILL)
        out, err = monitor.communicate(timeout=60)
        assert (monitor.returncode, err) == (1, "")
        (excess,) = json.loads(out.splitlines()[-1])["excesses"]
        assert excess == {"limit": "max_restarts", "where": "the process of actor 'writer'", "value": 1, "allowed": 0}
        run.popen.send_signal(signal.SIGTERM)
        _, err = run.popen.communicate(timeout=60)
        assert (run.popen.returncode, err) == (0, "")
        assert not list(run.folder.glob("run/spore/*"))
        assert run.do("monitor", str(run.config))[0] == 2
