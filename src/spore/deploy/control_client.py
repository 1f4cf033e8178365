"""Asking a running system: the end of its control socket that a command line holds."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from spore.deploy.config import Mode
from spore.deploy.control_socket import runner_of
from spore.deploy.control_words import MAX_ACTORS, MAX_ANSWER_BYTES, Answer, Conversation, Request, Status, read
from spore.deploy.reading import Reading, joined
from spore.deploy.strict import Problem, structure
from spore.deploy.switching import Switched
from spore.errors import ControlError, NothingRuns, SwitchFailed

__all__ = ["PATIENCE_S", "Control", "open_control"]

T = TypeVar("T")
PATIENCE_S = 10.0
"""So long a system may take to answer. How long a switch takes is its own business, once it has begun."""


class Control:
    """A running system, from outside. Made by `open_control`. Ask one thing at a time."""

    def __init__(self, path: Path, config: Path, talk: Conversation) -> None:
        self._path = path
        self._config = config
        self._talk = talk

    async def status(self) -> Status:
        """What runs, and in which mode each bundle is.

        Cancellation: a checkpoint.

        Raises:
            ControlError: if there is no answer, or none that makes sense.
        """
        return await self._ask(Request(do="status"), Status)

    async def statistics(self, actors: tuple[str, ...] = ()) -> Reading:
        """A look at everything, or at what is known of some actors.

        Of many actors it is several looks, one part after the other, so that nobody in the system has to wait for all of it.

        Args:
            actors: their names, at most `spore.deploy.control_words.MAX_ACTORS`; by default all.

        Cancellation: a checkpoint.

        Raises:
            ControlError: if there is no answer, or none that makes sense.
        """
        reading = await self._ask(Request(do="statistics", actors=actors), Reading)
        if actors:
            return reading
        parts = [reading]
        for first in range(MAX_ACTORS, reading.total, MAX_ACTORS):
            parts.append(await self._ask(Request(do="statistics", first=first), Reading))  # noqa: PERF401 - it may be cancelled
        return joined(parts)

    async def drain(self) -> None:
        """Have everything that was sent be handled, and the system end, as after SIGTERM. It has only begun when this returns.

        Cancellation: a checkpoint; a system that was asked goes on ending.

        Raises:
            ControlError: if there is no answer, or none that makes sense.
        """
        await self._done(Request(do="drain"))

    async def switch(
        self, bundle: str, to: Mode, *, cold: bool = False, watch: Callable[[str], None] | None = None
    ) -> Switched:
        """Have a bundle go on in another mode.

        Args:
            bundle: its name.
            to: the mode.
            cold: whether actors that cannot hand over their state may start anew.
            watch: told each step as it begins.

        Cancellation: a checkpoint. A switch that has begun goes on.

        Raises:
            SwitchFailed: if the system has not done it; it is as it was.
            ControlError: if there is no answer, or none that makes sense. Whether it was switched is then unknown if it had
                begun.
        """
        await self.status()  # a system that hangs is not to find an order when it goes on
        await self._talk_to(Request(do="switch", bundle=bundle, to=to, cold=cold))
        answer = await self._answer_in_time()
        while answer.event in {"begun", "step"}:
            if watch is not None and answer.text:
                watch(answer.text)
            answer = await self._answer()
        if answer.event == "failed":
            raise SwitchFailed(bundle, answer.step or "begin", answer.text)
        return self._value(answer, Switched)

    async def _ask(self, request: Request, cls: type[T]) -> T:
        return self._value(await self._done(request), cls)

    async def _done(self, request: Request) -> Answer:
        await self._talk_to(request)
        answer = await self._answer_in_time()
        if answer.event != "done":
            raise self._error(f"the system refuses: {answer.text}")
        return answer

    async def _talk_to(self, request: Request) -> None:
        try:
            await self._talk.say(request)
        except trio.BrokenResourceError:
            raise self._error("the system has gone") from None

    async def _answer_in_time(self) -> Answer:
        with trio.move_on_after(PATIENCE_S):
            return await self._answer()
        raise self._error(f"process {runner_of(self._path) or '…'} has not answered within {PATIENCE_S:g} s")

    async def _answer(self) -> Answer:
        try:
            line = await self._talk.hear()
            if line is not None:
                return read(line, Answer)
        except trio.BrokenResourceError:
            line = None
        except ValueError as error:
            raise self._error(f"what was answered makes no sense: {error}") from None
        raise self._error("the system has gone")

    def _value(self, answer: Answer, cls: type[T]) -> T:
        try:
            value: T = structure(answer.value, cls)
        except Problem as problem:
            raise self._error(f"what was answered makes no sense: {problem}") from None
        return value

    def _error(self, reason: str) -> ControlError:
        return ControlError(str(self._config), reason)


@asynccontextmanager
async def open_control(path: Path, config: Path) -> AsyncIterator[Control]:
    """A connection to a running system for the length of a block.

    Args:
        path: of `spore.deploy.control_socket.socket_path`.
        config: the file that it runs, for errors.

    Cancellation: a checkpoint; the connection is closed in any case.

    Raises:
        NothingRuns: if nothing runs that could answer.
        ControlError: if something does, and cannot be reached.
    """
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        sock.close()
        if (pid := runner_of(path)) is not None:
            reason = f"process {pid or '…'} is just beginning or ending, and takes no commands; try again in a moment"
            raise ControlError(str(config), reason) from None
        raise NothingRuns(str(config)) from None
    except OSError as error:
        sock.close()
        raise ControlError(str(config), f"its control socket {path} cannot be reached: {error.strerror}") from None
    async with trio.SocketStream(sock) as stream:
        yield Control(path, config, Conversation(stream, MAX_ANSWER_BYTES))
