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
FED = """\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "relay"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "{path}" }} }}

[[feeds]]
source = "count:500…"
to = "writer"
"""
MOVABLE = """\
# an actor that hands over its state
[[bundles]]
name = "core"
mode = "shared_memory"    # or "relay"
actors.signals = {{ type = "SignalGeneratorActor" }}
"""


class Run:
    """``spore run`` of a configuration, and commands to it."""

    def __init__(self, folder: Path, text: str) -> None:
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
def system(text: str):
    with short_folder() as folder:
        run = Run(folder, text)
        try:
            run.begin()
            yield run
        finally:
            run.close()


@pytest.mark.long
def test_the_runbook_goes_back_to_the_relay_and_forth_again():
    """The file follows the running system, one line of it; and a switch is no reason to be called unhealthy."""
    with system(MOVABLE) as run:
        config, before = str(run.config), run.config.read_text()
        monitor = run.start(["scripts/monitor_health.sh", config])
        code, lines, err = run.do("scripts/rollback_to_relay.sh", "core", config, "--minutes", "0")
        assert (code, err) == (0, "")
        assert any(line.startswith("bundle 'core' runs in relay now, after a pause of ") for line in lines)
        (backup,) = run.folder.glob("system.toml.*.bak")
        assert lines[-1] == f"to undo this: spore rollback core {config} --restore {backup}"
        assert run.config.read_text() == before.replace('"shared_memory" ', '"relay" ')
        assert backup.read_text() == before
        code, lines, err = run.do("rollback", "core", config, "--minutes", "0", "--restore", str(backup))
        assert (code, err) == (0, "")
        assert any(line.startswith("bundle 'core' runs in shared_memory now, after a pause of ") for line in lines)
        assert run.config.read_text() == before
        assert run.do("scripts/rollback_to_relay.sh", "nothing", config)[0] == 2
        out, err = monitor.communicate(timeout=60)
        assert (monitor.returncode, out.splitlines()[-1], err) == (0, "healthy", "")


@pytest.mark.long
def test_a_process_that_dies_while_somebody_watches_is_not_healthy():
    """The system goes on, and the exit code is 1. When it has ended nothing of it is left, and the code is 2."""
    with system(FED) as run:
        monitor = run.start([sys.executable, "-m", "spore", "monitor", str(run.config), "--json"])
        assert json.loads(monitor.stdout.readline())["healthy"]
        os.kill(run.pid("actor 'writer'"), signal.SIGKILL)
        code, _, refused = run.do("run", str(run.config))
        out, err = monitor.communicate(timeout=60)
        assert (monitor.returncode, err) == (1, "")
        (excess,) = json.loads(out.splitlines()[-1])["excesses"]
        assert excess == {"limit": "max_restarts", "where": "the process of actor 'writer'", "value": 1, "allowed": 0}
        run.popen.send_signal(signal.SIGTERM)
        _, err = run.popen.communicate(timeout=60)
        assert (run.popen.returncode, err) == (0, "")
        assert not list(run.folder.glob("run/spore/*"))
        assert run.do("monitor", str(run.config))[0] == 2
    reason = f"is run already, by process {run.popen.pid}; end that one first, or run a copy of the file"
    assert (code, refused) == (2, f"spore: {run.config} {reason}\n")


def test_the_scripts_do_without_arguments_what_the_runbook_says(tmp_path):
    """On the file of that runbook: everything goes back to the relay, and then five minutes are watched."""
    with short_folder() as folder:
        (folder / "config").mkdir()
        (folder / "run").mkdir()
        config = folder / "config" / "bundles.toml"
        config.write_bytes((ROOT / "config" / "bundles.toml").read_bytes())
        spore = folder / "spore"
        spore.write_text(f'#!/bin/sh\necho "spore $*" >>called\nexec {sys.executable} -m spore "$@"\n')
        spore.chmod(0o755)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        }
        command = [sys.executable, "-m", "spore", "run", "config/bundles.toml"]
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as running:
            while running.stdout.readline() != "runs\n":
                assert running.poll() is None
            script = str(ROOT / "scripts" / "rollback_to_relay.sh")
            done = subprocess.run([script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert 'mode = "relay"' in config.read_text()
            assert "bundle 'trading_core' runs in relay now, after a pause of " in done.stdout
            again = subprocess.run([script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert (again.returncode, again.stderr) == (0, "")
            watched = subprocess.run(
                [str(ROOT / "scripts" / "monitor_health.sh"), "config/bundles.toml"],
                cwd=folder, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (watched.returncode, watched.stdout.splitlines()[-1]) == (0, "healthy")
            running.terminate()
        spore.write_text('#!/bin/sh\necho "spore $*" >>called\n')
        subprocess.run([str(ROOT / "scripts" / "monitor_health.sh")], cwd=folder, env=environment, check=True)
        assert (folder / "called").read_text().splitlines() == [
            *["spore rollback --minutes 0"] * 2,
            "spore monitor config/bundles.toml",
            "spore monitor --minutes 5",
        ]
