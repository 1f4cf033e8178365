"""Sources: where looks at a system come from, whether it runs in this process or in another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio

from spore.deploy import System
from spore.deploy.control import look_at
from spore.deploy.control_client import Control, open_control
from spore.deploy.reading import Reading
from spore.errors import ControlError, NothingRuns

__all__ = ["SocketSource", "Source", "SystemSource", "open_source"]

CLOSE_S = 1.0
"""So long closing a connection may take."""


class Source(Protocol):
    """Something that can be looked at again and again, by several at a time."""

    async def look(self, actors: tuple[str, ...] = ()) -> Reading:
        """What there is to see now.

        Args:
            actors: the names of those to look at, at most `spore.deploy.control_words.MAX_ACTORS`; by default all.

        Cancellation: a checkpoint.

        Raises:
            NothingRuns: if nothing runs that could be looked at. It may run again by the next look.
            ControlError: if something does, and does not answer.
        """
        ...


class SystemSource:
    """A system in this process.

    Args:
        system: it; None before it runs.
        config: what it runs, for errors.
    """

    def __init__(self, system: System | None = None, config: str | Path = "system") -> None:
        self.system = system
        self._config = config

    async def look(self, actors: tuple[str, ...] = ()) -> Reading:
        if self.system is None:
            await trio.lowlevel.checkpoint()
            raise NothingRuns(str(self._config))
        return await look_at(self.system, actors)


class SocketSource:
    """A system that runs somewhere on this machine, and is reached by its control socket. Made by `open_source`.

    The connection is kept from one look to the next. If it is lost, or the system has been started again, the next look makes
    another one.
    """

    def __init__(self, path: Path, config: Path) -> None:
        self._path = path
        self._config = config
        self._control: Control | None = None
        self._connection = AsyncExitStack()
        self._turn = trio.Lock()
        """One question at a time."""

    async def look(self, actors: tuple[str, ...] = ()) -> Reading:
        async with self._turn:
            if self._control is not None:
                try:
                    return await self._ask(actors)
                except ControlError:
                    pass  # perhaps only this connection is gone; a new one tells
            return await self._ask(actors)

    async def _ask(self, actors: tuple[str, ...]) -> Reading:
        try:
            if self._control is None:
                self._control = await self._connection.enter_async_context(open_control(self._path, self._config))
            return await self._control.statistics(actors)
        except BaseException:  # an answer may be half read: it is not to be taken for that to the next question
            await self.close()  # noqa: ASYNC102 - it is shielded, and bounded
            raise

    async def close(self) -> None:
        """Have no connection until the next look.

        Cancellation: shielded; it takes a moment at most.
        """
        self._control = None
        with trio.move_on_after(CLOSE_S, shield=True):
            await self._connection.aclose()


@asynccontextmanager
async def open_source(path: Path, config: Path) -> AsyncIterator[SocketSource]:
    """A source for the length of a block, whether or not the system runs by now.

    Args:
        path: of `spore.deploy.control_socket.socket_path`.
        config: the file that the system runs, for errors.

    Cancellation: entering is no checkpoint; leaving is shielded, and takes a moment at most.
    """
    source = SocketSource(path, config)
    try:
        yield source
    finally:
        await source.close()  # noqa: ASYNC102 - it is shielded, and bounded
