"""Real NATS servers for tests, each with a folder of its own, all of them killed at the end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NEEDS_SERVER", "NatsServer", "durable_server", "free_port", "jetstream", "nats_server"]

BINARY = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
NEEDS_SERVER = pytest.mark.skipif(BINARY is None, reason="needs nats-server; the extra nats brings it")
PATIENCE_S = 20.0


class NatsServer:
    """One server, which can be killed and started again at the same port with the same files.

    Args:
        folder: its own.
        host: where it listens.
        within: what its command stands behind, such as ``ip netns exec NAME``.
        settings: more of its configuration.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", within: tuple[str, ...] = (), **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.host = host
        self.port = free_port()
        self.settings = {"listen": f"{host}:{self.port}", "write_deadline": "2s", **settings}
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"nats://{self.host}:{self.port}"

    def start(self) -> None:
        config = self.folder / "nats.conf"
        config.write_text(json.dumps(self.settings))  # which its own format includes
        with (self.folder / "log").open("ab") as log:
            assert BINARY is not None  # else NEEDS_SERVER has skipped the test
            self._process = subprocess.Popen([*self._within, BINARY, "-c", config], stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"no server at {self.port}: {self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server without JetStream, running."""
    server = NatsServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def durable_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with JetStream, running."""
    server = NatsServer(tmp_path / "durable", jetstream=jetstream(tmp_path))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def jetstream(folder: Path, name: str = "store") -> dict[str, str]:
    """What makes a server keep streams, as durably as `spore nats` has it."""
    return {"store_dir": str(folder / name), "sync_interval": "always"}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
