"""``spore dashboard``, as people start and end it."""

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = 'bundles = [{ name = "core", mode = "shared_memory", actors.signals = { type = "SignalGeneratorActor" } }]\n'


@contextmanager
def started(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "spore", "dashboard", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_is_and_ends_without_a_word(tmp_path, number, code):
    """With nothing that runs, and even without a configuration; while a page is open."""
    if number == signal.SIGINT:
        (tmp_path / "system.toml").write_text(SYSTEM)
    with started(tmp_path, *(["system.toml"] if number == signal.SIGINT else [])) as process:
        label, address = process.stdout.readline().split()
        assert label == "dashboard:"
        assert ("/?code=" in address) == (number == signal.SIGINT)  # what could be changed without a system?
        with urllib.request.urlopen(address.partition("?")[0] + "events") as events:
            assert b'"state":"none"' in events.readline()
            process.send_signal(number)
            assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == code


def test_what_others_could_reach_is_refused_without_a_token(tmp_path):
    """It says what is missing, and serves nothing."""
    (tmp_path / "system.toml").write_text(SYSTEM)
    with started(tmp_path, "system.toml", "--listen", "0.0.0.0:0") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("spore: 0.0.0.0:0 can be reached from other machines, so it needs TLS")
