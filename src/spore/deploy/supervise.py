"""Keeping a process alive: it is started, listened to, and started again when it dies.

A process that dies is restarted, with a growing wait, and gives up past an intensity. A process that says why it ends is
not: something in it was escalated, which is a decision. In either case the whole system ends with `UnitFailed`. A process that cannot even
be started, because the machine has no memory or no files left for it, is tried again until it can.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import cattrs
import trio

from spore.deploy.handover import Handover
from spore.deploy.logs import logs_here
from spore.deploy.spec import FeedSpec, RelaySpec, UnitSpec, from_json, to_json
from spore.deploy.unit import UnitStatistics
from spore.errors import RestartLimit, UnitFailed
from spore.nursery_bundle.chance import chances
from spore.nursery_bundle.policy import Supervision
from spore.nursery_bundle.supervision import next_wait
from spore.relay.environment import child_environment

__all__ = ["MAX_LINE_BYTES", "RESTARTS", "Child", "Died"]

_log = logging.getLogger("spore.deploy")
RESTARTS = Supervision(max_restarts=5, within_s=60.0, backoff_s=0.1, backoff_max_s=5.0, jitter=0.2)
"""How processes are restarted."""
STARTS = Supervision(max_restarts=8, within_s=3_600.0, backoff_s=0.1, backoff_max_s=5.0, jitter=0.2)
"""How often a process is tried to be started that has never run. One that has, and without which the rest waits, is tried for ever."""
MAX_LINE_BYTES = 64 * 1024 * 1024
"""A process that says more in one line is not one of ours."""


class Died(Exception):
    """The process ended before it answered."""


class _NotStarted(Exception):
    """There is no process: the system has refused to make one."""


class Child:
    """A process of its own that runs a part of the system.

    Args:
        spec: what it runs.
        say: told in one line whatever a person may want to know.
        outlives: when all are killed, those that go first, as they are then. Without it they would have time to complain that it
            has gone.
        restarts: whether it is started again at all.
        note: told in one line what an operator has to know who comes later.
    """

    def __init__(
        self,
        spec: UnitSpec | FeedSpec | RelaySpec,
        say: Callable[[str], None],
        outlives: Collection[Child] = (),
        *,
        restarts: bool = True,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.label = spec.label
        self.restarts = 0
        self.started = trio.Event()
        """Set when what it runs has started for the first time."""
        self.ended = trio.Event()
        """Set when it has left, and will not come back."""
        self._job = to_json(_job(spec)).encode()
        self._say = say
        self._note = note or (lambda _: None)
        self._outlives = outlives
        self._gone = trio.Event()
        """Set while there is no process."""
        self._gone.set()
        self._restartable = restarts
        self._feed = isinstance(spec, FeedSpec)
        self._unit = isinstance(spec, UnitSpec)
        self._pausing = False
        self._takes_part = 0
        """How often it had been started again when its part in a switch began."""
        self._restarted_at: list[float] = []
        self._chances = chances(None)
        self._process: trio.Process | None = None
        self._commands: trio.MemorySendChannel[bytes] | None = None
        self._answers: dict[int, Answer] = {}
        self._numbers = 0
        self._starts = 0
        """How often in a row it could not be started."""
        self._ready = trio.Event()
        self._failure: str | None = None
        self._finished = False
        self._leaving = False

    @property
    def pid(self) -> int:
        """The process's number; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    async def keep(self) -> None:
        """Run the process until it has been told to leave.

        Cancellation: always a checkpoint; the process is killed.

        Raises:
            UnitFailed: if it has failed, or died too often.
        """
        while True:
            try:
                how = await self._run_once()
            except _NotStarted as refused:
                if self._leaving:
                    self._ready.set()  # whoever asks it to leave need not wait for one that could
                    self.ended.set()
                    return
                await self._wait_to_start(refused)
                continue
            if self._leaving:
                self.ended.set()
                return
            if self._failure is not None:
                raise UnitFailed(self.label, self._failure)
            self._ready = trio.Event()
            error = UnitFailed(self.label, f"its process {how}")
            if not self.started.is_set():
                raise UnitFailed(self.label, f"its process {how} before it was ready")
            if self._finished:
                raise UnitFailed(
                    self.label, f"its process {how} after it had stopped, and with it what it had still to send"
                )
            if not self._restartable:
                raise error
            if self._feed:
                raise UnitFailed(
                    self.label, f"its process {how}; a feed is not started again, because it would repeat itself"
                )
            try:
                wait = next_wait(RESTARTS, self._restarted_at, self._chances, name=self.label, error=error)
            except RestartLimit as limit:
                raise UnitFailed(self.label, f"its process {how}; it {limit.reason}") from limit
            knew = ", without the state of its actors" if self._unit else ""
            self._note(f"its process {how}, and was started again{knew}")
            self._say(f"{self.label}: its process {how}; starts again in {wait:.2f} s")
            self.restarts += 1
            await trio.sleep(wait)

    async def _wait_to_start(self, error: _NotStarted) -> None:
        """The machine has nothing left for a process, or not the program. That may pass, and meanwhile everybody else waits for this one."""
        self._starts += 1
        if self._starts > STARTS.max_restarts and not self.started.is_set():
            raise UnitFailed(
                self.label, f"its process cannot be started, tried {self._starts} times: {error}"
            ) from error
        wait = STARTS.backoff(self._starts, self._chances.random())
        if self._starts == 1:
            self._note(f"its process could not be started: {error}")
        self._say(f"{self.label}: its process cannot be started: {error}; tried again in {wait:.2f} s")
        await trio.sleep(wait)

    async def _run_once(self) -> str:
        """Run the process to its end; return what has become of it, in words.

        Raises:
            _NotStarted: if there is none.
        """
        commands, to_write = trio.open_memory_channel[bytes](1_024)
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "spore.deploy.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,  # so that Ctrl-C reaches the one who decides, and nobody else
            )
        except OSError as error:
            raise _NotStarted(error.strerror or str(error)) from error
        self._starts = 0
        self._process = process
        self._gone = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, process, to_write)
                await commands.send(self._job)
                self._commands = commands
                await self._listen(process)
                nursery.cancel_scope.cancel()
            await process.wait()
        finally:
            self._commands = None
            self._process = None
            for answer in self._answers.values():
                answer.fail()
            self._answers.clear()
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    for other in tuple(self._outlives):
                        await other._gone.wait()
                    process.kill()
                    await process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        await pipe.aclose()
            self._gone.set()
        return _ended(process.returncode)

    async def _write(self, process: trio.Process, to_write: trio.MemoryReceiveChannel[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        try:
            async for line in to_write:
                await process.stdin.send_all(line + b"\n")
        except trio.BrokenResourceError:
            pass  # whoever listens will notice the end

    async def _listen(self, process: trio.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        rest = bytearray()
        async for data in process.stdout:
            if b"\n" in data:
                *lines, begun = (bytes(rest) + data).split(b"\n")
                for line in lines:
                    self._hear(line, process.pid)
                rest = bytearray(begun)
            else:
                rest += data
            if len(rest) > MAX_LINE_BYTES:
                process.kill()
                raise UnitFailed(self.label, f"its process said more than {MAX_LINE_BYTES} bytes in one line")

    def _hear(self, line: bytes, pid: int) -> None:
        event = json.loads(line)
        match event["event"]:
            case "ready":
                self._say(f"{self.label}: runs as process {pid}")
                self.started.set()
                self._ready.set()
            case "failed":
                self._failure = str(event["reason"])
            case "says":
                self._say(str(event["line"]))
            case "answer":
                answer = self._answers.pop(event["id"], None)
                if answer is not None:
                    answer.give(event["value"])

    # What the system asks of it

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Have the process do something, and wait for its answer.

        Cancellation: a checkpoint; the process does it anyway.

        Raises:
            Died: if it ended instead.
        """
        await self._ready.wait()
        if self._commands is None:
            await trio.lowlevel.checkpoint()  # whoever asks again and again is to notice what happens meanwhile
            raise Died(self.label)
        self._numbers += 1
        answer = self._answers[self._numbers] = Answer()
        await self._commands.send(json.dumps({"do": do, "id": self._numbers, **arguments}).encode())
        return await answer.wait(self.label)

    async def _ask_now(self, do: str, **arguments: Any) -> Any:
        """The same, of the process that takes part in a switch: one that was started again since is another one, and not paused.

        Cancellation: as `ask`.

        Raises:
            Died: if it has ended, or ends instead.
        """
        if not self._ready.is_set() or self.restarts != self._takes_part:
            raise Died(self.label)
        return await self.ask(do, **arguments)

    async def settle(self, receivers: tuple[str, ...], *, idle: bool) -> tuple[int, int]:
        """As `spore.deploy.unit.RunningUnit.settle`; the number tells a process from its successor, too.

        Cancellation: a checkpoint.

        Raises:
            Died: if it ended instead.
        """
        return self.restarts, await self.ask("settle", receivers=receivers, idle=idle)

    async def statistics(self, actors: Collection[str] | None = None, *, letters: int = 0) -> UnitStatistics:
        """Counts of everything in it, since it was started the last time; see `spore.deploy.unit.RunningUnit.statistics`.

        Cancellation: a checkpoint.

        Raises:
            Died: if it ended instead.
        """
        value = await self.ask("statistics", actors=actors if actors is None else tuple(actors), letters=letters)
        found: UnitStatistics = cattrs.structure({**value, "restarts": self.restarts}, UnitStatistics)
        return found

    async def lift_bounds(self) -> None:
        """As `spore.deploy.unit.RunningUnit.lift_bounds`; see `ask`."""
        await self.ask("lift_bounds")

    async def stop(self, actor: str) -> None:
        """As `spore.deploy.unit.RunningUnit.stop`; see `ask`."""
        await self.ask("stop", actor=actor)

    async def finish(self) -> None:
        """As `spore.deploy.unit.RunningUnit.finish`; see `ask`."""
        await self.ask("finish")
        self._finished = True

    async def part(self) -> None:
        """As `spore.deploy.unit.RunningUnit.part`; see `ask`."""
        await self.ask("part")

    # In a switch; see `spore.deploy.unit.RunningUnit` for what each does, and `_ask_now` for cancellation and errors

    async def pause(self, inside: tuple[str, ...], merging: tuple[str, ...] = ()) -> None:
        """Take nothing more, but from these senders. The process that is there now is the one that takes part."""
        if not self._pausing:
            self._pausing, self._takes_part = True, self.restarts
        await self._ask_now("pause", inside=inside, merging=merging)

    async def resume(self) -> None:
        """Nobody takes over: go on."""
        self._pausing = False
        await self._ask_now("resume")

    async def quiet(self, receivers: tuple[str, ...]) -> tuple[int, int]:
        """Wait until nothing is in hand, and nothing under way to these receivers."""
        return self.restarts, await self._ask_now("quiet", receivers=receivers)

    async def hand_over(self, *, cold: bool) -> Handover:
        """Where its actors stand."""
        return from_json(await self._ask_now("hand_over", cold=cold), Handover)

    async def take_over(self, handover: Handover) -> str:
        """Start its actors from there; return why not, if it cannot."""
        return str(await self._ask_now("take_over", handover=to_json(handover)))

    async def go_on(self) -> None:
        """Be reached from now on."""
        await self._ask_now("go_on")

    async def let_go(self) -> None:
        """Be reached no more."""
        await self._ask_now("let_go")

    async def retire(self) -> None:
        """Say goodbye and leave. It is not started again, whatever happens."""
        with suppress(Died):
            await self._ask_now("retire")
        await self.ended.wait()

    def remain(self, spec: UnitSpec, *, restarts: bool) -> None:
        """It was to take over, and has: if it dies, it is started again like any other, or not."""
        self._job = to_json(_job(spec)).encode()
        self._restartable = restarts

    def depart(self) -> None:
        """Others have taken over: whatever becomes of it, it is not started again."""
        self._leaving = True

    async def leave(self) -> None:
        """Have it go, and wait until it has.

        Cancellation: a checkpoint.
        """
        self._leaving = True
        with suppress(Died):
            await self.ask("leave")
        await self.ended.wait()


class Answer:
    """What somebody waits for."""

    def __init__(self) -> None:
        self._there = trio.Event()
        self._died = False
        self._value: Any = None

    def give(self, value: Any) -> None:
        self._value = value
        self._there.set()

    def fail(self) -> None:
        """There will be no answer."""
        self._died = True
        self._there.set()

    async def wait(self, label: str) -> Any:
        """The answer.

        Cancellation: always a checkpoint.

        Raises:
            Died: if there will be none.
        """
        await self._there.wait()
        if self._died:
            raise Died(label)
        return self._value


def _job(spec: UnitSpec | FeedSpec | RelaySpec) -> dict[str, Any]:
    kind = "unit" if isinstance(spec, UnitSpec) else "feed" if isinstance(spec, FeedSpec) else "relay"
    return {"path": [entry or os.getcwd() for entry in sys.path], kind: spec, "logs": logs_here()}


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
