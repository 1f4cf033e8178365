"""Tokens that last are seen by nobody: in no line, address or argument, and not in the environment of a child."""

from __future__ import annotations

import http.cookiejar
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.controlled import short_folder

ROOT = Path(__file__).parents[2]
SYSTEM = """\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "shared_memory"
actors.signals = { type = "SignalGeneratorActor" }

[[bundles]]
name = "far"
mode = "relay"
actors.other = { type = "SignalGeneratorActor" }

[[feeds]]
source = "count:0…"
to = "signals"

[observe]
dashboard = "127.0.0.1:0"
metrics = "127.0.0.1:0"
log_level = "debug"
"""
STAYS, GOES = "the-token-that-is-to-stay", "the-token-that-is-to-go"


@pytest.fixture
def folder(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        (folder / "token").write_text(f"{STAYS}\n{GOES}\n")
        yield folder


class Process:
    """A command of ``spore`` that goes on until it is ended, and all that it has printed."""

    def __init__(self, folder, *arguments, **variables):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        self.printed = folder / "printed"
        self.file = self.printed.open("w")
        command = [sys.executable, "-m", "spore", *arguments]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.file, text=True, cwd=folder, env=environment
        )
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.communicate()
        self.file.close()

    def address(self, what):
        """Where it is served."""
        for line in self.popen.stdout:
            self.lines.append(line)
            if line.startswith(f"{what}: http"):
                return line.split()[1]
        raise AssertionError(f"{what} is not served: {self.lines} {self.printed.read_text()}")

    def wait_for(self, wanted):
        for line in self.popen.stdout:
            self.lines.append(line)
            if line == f"{wanted}\n":
                return
        raise AssertionError(self.printed.read_text())

    def end(self):
        self.popen.send_signal(signal.SIGTERM)
        rest, _ = self.popen.communicate(timeout=60)
        self.file.close()
        return "".join([*self.lines, rest, self.printed.read_text()])


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():  # each thread has its own
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(child)]
    return found


def ask(address, data=None, **headers):
    """The status of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, named), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("where", ["file", "variable"])
def test_a_run_shows_its_token_to_nobody(folder, where):
    """Whatever clients ask, right or wrong, and with every log line there is. Its children do not get it; a browser gets in with the code."""
    if where == "file":
        (folder / "system.toml").write_text(SYSTEM + 'token_file = "token"\n')
        tokens, run = (STAYS, GOES), Process(folder, "run", "system.toml")
    else:
        (folder / "system.toml").write_text(SYSTEM)
        tokens, run = (STAYS,), Process(folder, "run", "system.toml", SPORE_TOKEN=STAYS)
    with run:
        metrics, dashboard = run.address("metrics"), run.address("dashboard")
        run.wait_for("runs")
        children = descendants(run.popen.pid)
        assert len(children) >= 3
        for pid in children:
            told = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            assert STAYS.encode() not in told
        site = dashboard.partition("?")[0]
        for token in tokens:
            assert ask(metrics, Authorization=f"Bearer {token}") == 200
            assert ask(f"{site}main.js", Authorization=f"Bearer {token}") == 200
        for address in (metrics, site, f"{site}events", f"{site}do/drain"):
            assert ask(address) == 401
            assert ask(f"{address}?token={STAYS}") == 401
            assert ask(address, Authorization=f"Bearer {STAYS}?") == 401
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies := http.cookiejar.CookieJar()))
        with browser.open(dashboard, timeout=10) as page:
            assert (page.status, page.url) == (200, site)
        assert ask(dashboard, Accept="text/html") == 401  # a code works once
        (cookie,) = cookies
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"
        assert not {STAYS, GOES} & {cookie.value, cookie.name}
        press = urllib.request.Request(f"{site}do/drain", b"{}", {"Content-Type": "application/json"})
        with browser.open(press, timeout=10) as answer:
            assert answer.status == 200
        printed = run.end()
    assert run.popen.returncode == 0, printed
    assert "was asked to end" in printed
    assert STAYS not in printed
    assert GOES not in printed


@pytest.mark.parametrize("command", ["dashboard", "metrics"])
def test_what_is_served_beside_a_run_shows_its_token_to_nobody(folder, command):
    """And a file with three tokens is refused, without a word of what is in it."""
    (folder / "system.toml").write_text(SYSTEM)
    arguments = [command, "system.toml", "--listen", "127.0.0.1:0", "--token-file", "token"]
    with Process(folder, *arguments) as served:
        address = served.address(command)
        assert ask(address, Authorization=f"Bearer {GOES}") == 200
        assert ask(address, Authorization="Bearer wrong", Accept="text/html") in {
            401,
            200 if "code=" in address else 401,
        }
        printed = served.end()
    assert STAYS not in printed
    assert GOES not in printed
    (folder / "token").write_text(f"{STAYS}\n{GOES}\nthird\n")
    with Process(folder, *arguments) as served:
        assert served.popen.wait(timeout=60) == 2
        printed = served.end()
    assert "3 lines, and 2 is the most" in printed
    assert STAYS not in printed
