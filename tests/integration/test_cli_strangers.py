"""What is served by a process of its own, and five hundred strangers at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = 'bundles = [{ name = "core", mode = "shared_memory", actors.signals = { type = "SignalGeneratorActor" } }]\n'
CROWD = 500
HEAD_BYTES = 16_000
MOST_BYTES = 16 * 1024 * 1024


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connected(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize("command", ["dashboard", "metrics"])
def test_a_crowd_of_strangers_takes_no_memory_and_writes_no_log(tmp_path, command):
    """Five hundred that stay with as much of a request as is accepted, and fifty that close at once: who knows the token is served meanwhile."""
    (tmp_path / "system.toml").write_text(SYSTEM)
    (tmp_path / "token").write_text("secret")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_RUNTIME_DIR": str(tmp_path)}
    arguments = ["-m", "spore", command, "system.toml", "--listen", "127.0.0.1:0", "--token-file", "token"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, env=environment, **pipes) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        port = int(process.stdout.readline().split()[1].split(":")[2].split("/")[0])
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Authorization": "Bearer secret"})

        def served():
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status

        assert served() == 200
        before = resident_bytes(process.pid)
        for _ in range(50):
            with connected(port) as sock:
                sock.send(f"POST /do/drain HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 2\r\n\r\n".encode())
        for _ in range(CROWD):
            stranger = stack.enter_context(connected(port))
            stranger.send(f"POST / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx: {'y' * HEAD_BYTES}".encode())
        assert served() == 200
        assert resident_bytes(process.pid) - before < MOST_BYTES
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(err.splitlines()) <= 1
