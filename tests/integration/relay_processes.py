"""Real processes around a real relay, for tests: all of them are killed at the end, whatever happens.

Nothing here waits for time to pass: a test waits for what a process says, or for a condition, and gives up after
`PATIENCE_S`, which only a failure ever takes.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["PATIENCE_S", "Process", "Processes", "Proxy", "eventually", "handled", "processes_in"]

PATIENCE_S = 60.0
PEER = Path(__file__).with_name("relay_peer.py")
# Everything is imported before it waits for a line, so that a relay that is needed again is there at once.
RELAY = """
import pathlib, sys
from spore.cli.relay import relay
print("ready", flush=True)
sys.stdin.readline()
relay(socket=pathlib.Path(sys.argv[1]))
"""
_MIB = 1024 * 1024


class Process:
    """A process that says things in lines."""

    def __init__(self, arguments: list[str], folder: Path, name: str) -> None:
        self.name = name
        self._errors = folder / f"{name}.stderr"
        self._lines: queue.Queue[str | None] = queue.Queue()
        with self._errors.open("ab") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, and nothing of Python's state
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._errors.read_text()

    def line(self, wanted: Callable[[str], bool] = bool) -> str:
        """The next line that is wanted; those before it are dropped."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name} has not said what was waited for; stderr: {self.errors}") from None
            if line is None:
                raise AssertionError(f"{self.name} has ended; stderr: {self.errors}")
            if wanted(line):
                return line

    def event(self, key: str, at_least: int | None = None) -> Any:
        """What it says next under a key, once that has got so far."""

        def wanted(line: str) -> bool:
            event = json.loads(line)
            return key in event and (at_least is None or event[key] >= at_least)

        return json.loads(self.line(wanted))[key]

    def do(self, command: str, **options: Any) -> None:
        """Tell a peer what to do."""
        self.popen.stdin.write(json.dumps({"do": command, **options}) + "\n")
        self.popen.stdin.flush()

    def statistics(self) -> dict[str, Any]:
        """A peer's."""
        self.do("statistics")
        return self.event("statistics")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it without a chance to say anything, stopped or not."""
        self.popen.kill()
        self.popen.wait(PATIENCE_S)

    def wait(self) -> int:
        """Wait for its end."""
        return self.popen.wait(PATIENCE_S)

    def close(self) -> None:
        self.kill()
        self._reader.join(PATIENCE_S)
        with suppress(BrokenPipeError):
            self.popen.stdin.close()
        self.popen.stdout.close()

    @property
    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))

    @property
    def memory_mib(self) -> float:
        """Its resident memory now."""
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB

    @property
    def peak_mib(self) -> float:
        """The most resident memory that it ever had."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


class Processes:
    """All processes of one test, and its sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "r"
        self.peak_mib = 0.0
        """The most memory that any relay had which was killed by `kill_relay`."""
        self._all: list[Process] = []

    def spare_relay(self) -> Process:
        """A relay that has started, and listens once `listen` lets it."""
        relay = self._start(["-c", RELAY, str(self.socket)], "relay")
        relay.line(lambda line: line == "ready")
        return relay

    def listen(self, relay: Process) -> Process:
        relay.popen.stdin.write("\n")
        relay.popen.stdin.flush()
        relay.line(lambda line: line.startswith("listening"))
        return relay

    def relay(self, *options: str) -> Process:
        """A relay that listens at `socket`."""
        relay = self._start(["-m", "spore", "relay", "--socket", str(self.socket), *options], "relay")
        relay.line(lambda line: line.startswith("listening"))
        return relay

    def kill_relay(self, relay: Process) -> None:
        self.peak_mib = max(self.peak_mib, relay.peak_mib)
        relay.kill()

    def peer(self, name: str, *, at: Path | None = None, **options: Any) -> Process:
        """A process with a client."""
        given = {"address": f"unix:{at or self.socket}", "name": name, **options}
        peer = self._start([str(PEER), json.dumps(given)], name)
        peer.event("started")
        return peer

    def receiver(self, name: str = "receiver", *, actor: str = "sink", log: str = "log", **options: Any) -> Process:
        """A peer with an actor that writes to the file ``log`` what it handles."""
        of_actor = {key: options.pop(key) for key in ("capacity", "gated", "topics") if key in options}
        peer = self.peer(name, **options)
        peer.do("receive", actor=actor, log=str(self.folder / log), **of_actor)
        peer.event("receiving")
        return peer

    def log(self, log: str = "log") -> list[int]:
        """What an actor has handled, in order."""
        return handled(self.folder / log)

    def _start(self, arguments: list[str], name: str) -> Process:
        process = Process(arguments, self.folder, name)
        self._all.append(process)
        return process

    def close(self) -> None:
        for process in self._all:
            process.close()


@contextmanager
def processes_in(folder: Path) -> Iterator[Processes]:
    """Processes for the length of a block. Their sockets are in a folder with a short name, as sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="spore-") as short:
        processes = Processes(folder)
        if len(os.fsencode(folder)) > 80:
            processes.socket = Path(short, "r")
        try:
            yield processes
        finally:
            processes.close()


class Proxy:
    """Stands between clients and the relay, in threads of the test, and does to bytes what a bad network does.

    Args:
        listen: the socket at which clients are to connect.
        target: the relay's.
        chunk: how many bytes are read and written at a time.
    """

    def __init__(self, listen: Path, target: Path, *, chunk: int = 65_536) -> None:
        self.path = listen
        self.swallow = threading.Event()
        """While it is set, what comes vanishes, and nobody hears that a connection is closed."""
        self._target = target
        self._chunk = chunk
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listen))
        self._listener.listen()
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            self._socks += [near, far]
            try:
                far.connect(str(self._target))
            except OSError:
                near.close()
                continue
            self._run(self._pass, near, far)
            self._run(self._pass, far, near)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        lost = False
        with suppress(OSError):
            while data := source.recv(self._chunk):
                lost = lost or self.swallow.is_set()  # what misses a byte can never go on
                if not lost:
                    sink.sendall(data)
        if not lost and not self.swallow.is_set():
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in (self._listener, *self._socks):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


def handled(log: Path) -> list[int]:
    """The whole lines of a log."""
    return [int(line) for line in log.read_bytes().split(b"\n")[:-1]] if log.exists() else []


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for a condition of which no process tells, and return what it returned."""
    end = time.monotonic() + PATIENCE_S
    while not (result := condition()):
        assert time.monotonic() < end, "what was waited for has not happened"
        time.sleep(0.01)
    return result


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
