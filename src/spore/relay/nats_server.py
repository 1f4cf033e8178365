"""NATS servers on this machine for a start without an installation: on the loopback, with JetStream in a folder of their own.

The server is the one that the extra ``nats`` brings, or else the one on the PATH. It syncs what it stores before it
acknowledges it (``sync_interval: always``): by default it would do so every two minutes, and a power failure would take what
Spore counts as handled.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import trio

from spore.distribution import install
from spore.errors import UnitFailed, UsageError
from spore.relay.environment import child_environment

__all__ = ["Servers", "find_server", "open_servers", "server_config"]

START_S = 20.0
END_S = 10.0
MAX_PAYLOAD = 8 * 1024 * 1024
"""Source: the server's own advice for the most, and so the largest message that a stream can take."""
_PR_SET_PDEATHSIG = 1


def find_server() -> str:
    """The server's program.

    Raises:
        UsageError: if there is none.
    """
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise UsageError(f"there is no nats-server here: {install('nats')} brings one")
    return found


def server_config(folder: Path, port: int, *, name: str = "spore", cluster: Sequence[int] = (), number: int = 0) -> str:
    """A server's configuration.

    Args:
        folder: for what it stores.
        port: for clients.
        name: which no other server of a cluster has.
        cluster: the ports at which the servers of a cluster listen to each other.
        number: which of them is its own.
    """
    settings: dict[str, object] = {
        "listen": f"127.0.0.1:{port}",
        "server_name": name,
        "max_payload": MAX_PAYLOAD,
        "jetstream": {"store_dir": str(folder), "sync_interval": "always"},
    }
    if cluster:
        settings["cluster"] = {
            "name": "spore",
            "listen": f"127.0.0.1:{cluster[number]}",
            "routes": [f"nats://127.0.0.1:{other}" for other in cluster if other != cluster[number]],
        }
    return json.dumps(settings, indent=1)  # which the server's own format includes


class Servers:
    """Servers that run. Made by `open_servers`."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.address = "nats://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        """For clients, as `spore.relay.nats.NatsOptions.parse` reads it."""
        self.processes: list[subprocess.Popen[bytes]] = []

    async def wait_ended(self) -> None:
        """Wait until one of them has ended by itself, which is a failure.

        Cancellation: a checkpoint if it waits.

        Raises:
            UnitFailed: always.
        """
        async with trio.open_nursery() as nursery:
            for process in self.processes:
                nursery.start_soon(_outlive, process)


@asynccontextmanager
async def open_servers(folder: Path, ports: Sequence[int]) -> AsyncIterator[Servers]:
    """A server for each port; several are a cluster.

    Args:
        folder: where they store everything, made for its owner alone if it is not there. One set of servers at a time may have it.
        ports: for clients; for a 0 the system chooses one.

    Cancellation: a checkpoint; the servers have ended on return.

    Raises:
        UsageError: if there is no program, the folder is in use, or a port is taken.
        UnitFailed: if a server does not start.
    """
    program = find_server()
    with ExitStack() as stack:
        stack.enter_context(_locked(folder))
        ports = [_free(port) for port in ports]
        cluster = [_free(0) for _ in ports] if len(ports) > 1 else []
        servers = Servers(ports)
        try:
            for number, port in enumerate(ports):
                home = folder / f"server-{number + 1}-of-{len(ports)}"
                home.mkdir(mode=0o700, exist_ok=True)
                config = home / "nats.conf"
                config.write_text(server_config(home, port, name=f"spore-{number + 1}", cluster=cluster, number=number))
                servers.processes.append(_start([program, "-c", str(config), "-l", str(home / "log")]))
            with trio.move_on_after(START_S) as patience:
                for process, port in zip(servers.processes, ports, strict=True):
                    await _wait_listening(process, port)
            if patience.cancelled_caught:
                raise UnitFailed("nats", f"a server does not listen after {START_S:g} s; see {folder}/server-*/log")
            yield servers
        finally:
            for process in servers.processes:
                process.terminate()
            with trio.move_on_after(END_S, shield=True):
                for process in servers.processes:
                    await _ended(process)
            for process in servers.processes:
                process.kill()
                process.wait()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Have a folder for oneself: two servers would destroy each other's files."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder} is in use by other servers; stop them, or name another folder") from None
        yield
    finally:
        os.close(descriptor)


def _free(port: int) -> int:
    """A port that can be had: this one, or, for 0, any."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"cannot listen at 127.0.0.1:{port}: {error.strerror}; name another port") from None
        return int(sock.getsockname()[1])


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # Not by a worker thread, as trio would: with that thread the kernel takes the parent for dead.
    return subprocess.Popen(command, process_group=0, preexec_fn=_die_with_parent, env=child_environment())  # noqa: S603, PLW1509 - one system call


async def _wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    while True:
        with suppress(OSError):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.aclose()
            return
        if process.poll() is not None:
            await _outlive(process)
        await trio.sleep(0.02)


async def _outlive(process: subprocess.Popen[bytes]) -> None:
    await _ended(process)
    log = Path(process.args[-1])  # type: ignore[index,arg-type]  # as it was started
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = next((line.partition("] ")[2] for line in reversed(lines) if "[FTL]" in line), "")
    code = process.returncode
    how = f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    raise UnitFailed("nats", f"a server has ended {how}; see {log}{': ' if said else ''}{said}")


async def _ended(process: subprocess.Popen[bytes]) -> None:
    descriptor = os.pidfd_open(process.pid) if process.poll() is None else -1
    if descriptor >= 0:
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
    process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
