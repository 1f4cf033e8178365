"""A process of a system: ``python -m spore.deploy.child``. It is told what to run on stdin, and what to do with it.

Both ways one JSON object a line. It ends when stdin does, whatever it is doing, so that nothing outlives the process that
started it. What actors print goes to stderr, where logs go; stdout belongs to the one who listens there.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import cattrs
import trio

from spore.deploy.feeding import RunningFeed
from spore.deploy.handover import Handover
from spore.deploy.logs import Logs, set_up_logs
from spore.deploy.shadow import Shadow
from spore.deploy.spec import FeedSpec, RelaySpec, UnitSpec, from_json, to_json
from spore.deploy.system import run_plan
from spore.deploy.unit import RunningUnit
from spore.errors import first_cause
from spore.outputs import open_standard_streams, write_line
from spore.relay import Address, Switchboard, open_relay

__all__ = ["FAILED", "GRACE_S", "Command", "Job", "first_cause", "main"]

FAILED = 1
GRACE_S = 5.0
"""So long what runs here may take to stop once nobody listens any more."""
_log = logging.getLogger("spore.deploy")


@attrs.frozen(kw_only=True)
class Job:
    """The first line: what to run. One of the three."""

    path: tuple[str, ...]
    """Where to import modules from: as in the process that has started this one."""
    unit: UnitSpec | None = None
    feed: FeedSpec | None = None
    relay: RelaySpec | None = None
    logs: Logs = attrs.field(factory=Logs)


@attrs.frozen(kw_only=True)
class Command:
    """Each further line."""

    do: str
    id: int
    """Comes back with the answer."""
    actor: str = ""
    actors: tuple[str, ...] | None = None
    letters: int = 0
    receivers: tuple[str, ...] = ()
    idle: bool = False
    inside: tuple[str, ...] = ()
    merging: tuple[str, ...] = ()
    cold: bool = False
    handover: str = ""
    """A `spore.deploy.handover.Handover`, as JSON."""


class Relaying:
    """The relay, as something to run."""

    def __init__(self, spec: RelaySpec) -> None:
        self.label = spec.label
        self._spec = spec
        self.started = trio.Event()
        self._to_leave = trio.Event()

    async def run(self) -> None:
        """Serve until it is to leave.

        Cancellation: as `spore.relay.open_relay`.
        """
        board = Switchboard(heartbeat_s=self._spec.heartbeat_s)
        async with open_relay([Address.parse(self._spec.address)], board=board):
            self.started.set()
            await self._to_leave.wait()

    def leave(self) -> None:
        self._to_leave.set()


def main() -> int:
    """Run one job, and return the exit code."""
    faulthandler.enable()
    open_standard_streams(goes_on=True)  # what actors print is no reason to fail, whoever has stopped reading it
    out = os.dup(1)
    os.dup2(2, 1)
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever sends them to a whole group means the one that started us
        signal.signal(number, signal.SIG_IGN)
    lines = _lines()
    first = next(lines, None)
    if first is None:
        return 0
    job = from_json(first, Job)
    sys.path[:] = job.path
    spec = job.unit or job.feed or job.relay
    set_up_logs(job.logs, part=spec.label if spec is not None else "")

    def say(**event: Any) -> None:
        write_line(out, json.dumps(event))

    return trio.run(_run, _running(job, say), lines, say)


def _running(job: Job, say: Callable[..., None]) -> Any:
    if job.unit is not None:
        twin = job.unit.twin
        shadow = Shadow(twin, run_plan, lambda line: say(event="says", line=line)) if twin is not None else None
        return RunningUnit(job.unit, shadow=shadow)
    if job.feed is not None:
        return RunningFeed(job.feed)
    if job.relay is not None:
        return Relaying(job.relay)
    raise ValueError("a job says what to run: a unit, a feed or a relay")


async def _run(running: Any, lines: Iterator[bytes], say: Callable[..., None]) -> int:
    commands, arrived = trio.open_memory_channel[bytes](64)
    gone = False
    code = 0
    try:
        async with trio.open_nursery() as nursery:

            def on_end() -> None:
                nonlocal gone
                gone = True
                nursery.cancel_scope.cancel()

            _listen(lines, trio.lowlevel.current_trio_token(), commands, on_end)
            nursery.start_soon(_run_to_its_end, running, nursery.cancel_scope)
            await running.started.wait()
            say(event="ready")
            async for line in arrived:
                nursery.start_soon(_obey, running, from_json(line, Command), say)
    except* BrokenPipeError:
        gone = True
    except* Exception as group:  # noqa: BLE001 - whatever it is, it is told
        code = FAILED
        if not gone:
            _tell(group, running.label, say)
    return FAILED if gone else code


def _tell(group: BaseExceptionGroup[BaseException], label: str, say: Callable[..., None]) -> None:
    """Say why this ends: to people with everything, to the one who listens in a line."""
    error = first_cause(group)
    _log.error("%s: ends after %s: %s", label, type(error).__name__, error, exc_info=group)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    with suppress(BrokenPipeError):
        say(event="failed", reason=f"{type(error).__name__}: {error}{notes}")


async def _run_to_its_end(running: Any, everything: trio.CancelScope) -> None:
    await running.run()
    everything.cancel()


async def _obey(running: Any, command: Command, say: Callable[..., None]) -> None:
    value: object = None
    match command.do:
        case "settle":
            value = await running.settle(command.receivers, idle=command.idle)
        case "statistics":
            value = cattrs.unstructure(await running.statistics(command.actors, letters=command.letters))
        case "lift_bounds":
            await running.lift_bounds()
        case "stop":
            await running.stop(command.actor)
        case "finish":
            await running.finish()
        case "part":
            await running.part()
        case "leave":
            running.leave()
        case "read":
            await running.read()
        case "wait_ended":
            await running.wait_ended()
        case "pause":
            await running.pause(command.inside, command.merging)
        case "resume":
            await running.resume()
        case "quiet":
            value = await running.quiet(command.receivers)
        case "hand_over":
            value = to_json(await running.hand_over(cold=command.cold))
        case "take_over":
            value = await running.take_over(from_json(command.handover, Handover))
        case "go_on":
            await running.go_on()
        case "let_go":
            await running.let_go()
        case "retire":
            await running.retire()
        case other:
            raise ValueError(f"there is no command {other!r}")
    say(event="answer", id=command.id, value=value)


def _lines() -> Iterator[bytes]:
    """The lines of stdin. Not by its own buffer, which a thread that waits there would hold at the interpreter's end."""
    rest = bytearray()
    while data := os.read(0, 1 << 16):
        if b"\n" in data:
            *lines, begun = (bytes(rest) + data).split(b"\n")
            yield from lines
            rest = bytearray(begun)
        else:
            rest += data


def _listen(
    lines: Iterator[bytes],
    token: trio.lowlevel.TrioToken,
    commands: trio.MemorySendChannel[bytes],
    on_end: Callable[[], None],
) -> None:
    """Read in a thread, so that the end is noticed even while a handler holds the loop for ever."""

    def read() -> None:
        try:
            for line in lines:
                trio.from_thread.run(commands.send, line, trio_token=token)
            token.run_sync_soon(on_end)
        except trio.RunFinishedError:
            return
        time.sleep(GRACE_S)
        os._exit(FAILED)

    threading.Thread(target=read, name="stdin", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
