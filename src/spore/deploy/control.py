"""A running system takes commands: the end of its control socket that answers.

Invariant: no client hurts the system. What comes is bounded and read strictly, a client that hangs holds a task of its own and
nothing else, and makes room when others come; and a switch that has begun belongs to the system and not to whoever has asked for it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import cattrs
import trio

from spore.deploy.config import Mode
from spore.deploy.control_words import (
    MAX_ACTORS,
    MAX_REQUEST_BYTES,
    Answer,
    BundleStatus,
    Conversation,
    Request,
    Status,
    read,
)
from spore.deploy.reading import Reading, joined, reading_of
from spore.deploy.reception import Reception, Visit
from spore.deploy.system import System
from spore.errors import SporeError, SwitchFailed

__all__ = ["MAX_CLIENTS", "look_at", "serve_control"]

_log = logging.getLogger("spore.deploy")
MAX_CLIENTS = 16
GRACE_S = 1.0
"""A client that has asked for nothing after so long makes room for another one, if there is no other. One that has been answered does so at once."""
IDLE_S = 60.0
"""A client that says nothing, or takes nothing, for so long is sent away."""
PATIENCE_S = 2.0
"""So long a process of the system may take to say what it has counted."""
LONGEST = 200
"""Characters of what is logged of a request that is none."""
LETTERS = 20
"""So many of the last dead letters of each actor and reason are told; see `spore.nursery_bundle.report.MOST`."""


async def serve_control(
    sock: socket.socket, system: System, say: Callable[[str], None], drain: Callable[[], None]
) -> None:
    """Answer whoever comes to a socket that listens.

    Args:
        sock: of `spore.deploy.control_socket.claim`. It is closed in the end.
        system: what is controlled.
        say: told in one line what a client has had done.
        drain: has the system handle what was sent, and end. It returns at once.

    Cancellation: always a checkpoint. A switch that is under way is cancelled, as `spore.deploy.System.switch` says.
    """
    async with trio.open_nursery() as nursery:
        reception = Reception(
            sock, name="control socket", most=MAX_CLIENTS, grace_s=GRACE_S, log=_log, refuse=_turn_away
        )
        desk = Desk(system, say, drain, nursery, reception)
        await reception.run(desk.serve)


async def _turn_away(stream: trio.SocketStream) -> None:
    await Conversation(stream, MAX_REQUEST_BYTES).say(_failed(f"{MAX_CLIENTS} clients are here already"))
    await stream.send_eof()
    while await stream.receive_some(MAX_REQUEST_BYTES):
        pass  # closed with a question unread, it would not get the answer


class Desk:
    """Where clients are answered.

    Args:
        system: what is controlled.
        say: told in one line what a client has had done.
        drain: has the system end.
        nursery: where what it has begun goes on without its client.
        reception: where clients come in.
    """

    def __init__(
        self,
        system: System,
        say: Callable[[str], None],
        drain: Callable[[], None],
        nursery: trio.Nursery,
        reception: Reception,
    ) -> None:
        self._system = system
        self._say = say
        self._drain = drain
        self._nursery = nursery
        self._reception = reception
        self._since = _now()
        self._switched: dict[str, str] = {}
        """By bundle: when."""
        self._under_way: Request | None = None

    async def serve(self, stream: trio.SocketStream, visit: Visit) -> None:
        """Answer one client until it goes.

        Cancellation: always a checkpoint.
        """
        talk = Conversation(stream, MAX_REQUEST_BYTES)
        try:
            while True:
                with trio.move_on_after(IDLE_S) as idle:
                    line = await talk.hear()
                    if line is None:
                        return
                    self._reception.busy(visit)
                    await self._answer(talk, line, idle)
                    self._reception.idle(visit)
                if idle.cancelled_caught:
                    return
        except ValueError as error:
            text = f"that is no request: {error}"
            self._reception.warn(visit, "no request", text[:LONGEST])
            with trio.move_on_after(IDLE_S):
                await talk.say(_failed(text))
        except trio.BrokenResourceError:
            pass  # it has gone, and whatever it asked for goes on

    async def _answer(self, talk: Conversation, line: bytes, idle: trio.CancelScope) -> None:
        request = read(line, Request)
        if request.do == "status":
            await talk.say(_done(self._status()))
        elif request.do == "statistics":
            await talk.say(_done(await _look(self._system, request.first, request.actors)))
        elif request.do == "drain":
            await talk.say(_done(None))
            self._drain()
        else:
            idle.deadline = math.inf  # a switch takes as long as it takes; what is said of it does not
            await self._switch(talk, request)

    def _status(self) -> Status:
        bundles = tuple(
            BundleStatus(name=bundle.name, mode=bundle.mode, since=self._switched.get(bundle.name, self._since))
            for bundle in self._system.plan.config.bundles
        )
        return Status(pid=os.getpid(), since=self._since, bundles=bundles)

    async def _switch(self, talk: Conversation, request: Request) -> None:
        """Have a bundle switched, and tell the client of each step."""
        if request.to is None or not request.bundle:
            await _say(talk, _failed("a switch is of a bundle to a mode"))
            return
        if self._under_way is not None:
            other = f"bundle {self._under_way.bundle!r} is just being switched to {self._under_way.to}"
            await _say(talk, _failed(f"{other}; one switch at a time", step="begin"))
            return
        self._under_way = request
        try:
            await _say(talk, Answer(event="begun"))
        except BaseException:  # who has given up meanwhile does not want it any more
            self._under_way = None
            raise
        tell, told = trio.open_memory_channel[Answer](math.inf)  # a switch has a handful of steps
        self._nursery.start_soon(self._carry_out, request, request.to, tell)
        async with told:
            async for answer in told:
                await _say(talk, answer)

    async def _carry_out(self, request: Request, to: Mode, tell: trio.MemorySendChannel[Answer]) -> None:
        def answer(answer: Answer) -> None:
            with suppress(trio.BrokenResourceError):  # the client has gone
                tell.send_nowait(answer)

        with tell:
            try:
                switched = await self._system.switch(
                    request.bundle,
                    to,
                    cold=request.cold,
                    watch=lambda step: answer(Answer(event="step", text=step)),
                )
            except SwitchFailed as error:
                self._say(str(error))
                answer(_failed(error.reason, step=error.step))
            except SporeError as error:
                answer(_failed(str(error)))
            except Exception as error:  # noqa: BLE001 - a defect of a switch is no reason for the system to end
                _log.error("the switch of bundle %r has failed", request.bundle, exc_info=error)
                answer(_failed(f"{type(error).__name__}: {error}", step="switch"))
            else:
                self._switched[request.bundle] = _now()
                self._say(f"bundle {request.bundle!r} is in {to} now, after a pause of {switched.pause_s * 1e3:.1f} ms")
                answer(_done(switched))
            finally:
                self._under_way = None


async def look_at(system: System, actors: tuple[str, ...] = ()) -> Reading:
    """What a client is told, for whoever has the system in its own process; see `spore.deploy.control_client.Control.statistics`.

    Cancellation: a checkpoint.
    """
    parts = [await _look(system, 0, actors)]
    if not actors:
        for first in range(MAX_ACTORS, parts[0].total, MAX_ACTORS):
            parts.append(await _look(system, first, ()))  # noqa: PERF401 - it may be cancelled
    return joined(parts)


async def _look(system: System, first: int, names: tuple[str, ...]) -> Reading:
    """At no more than `MAX_ACTORS` actors, and only from the first of them at dead letters."""
    configured = [name for bundle in system.plan.config.bundles for name in bundle.actors]
    wanted = (names or configured[first:])[:MAX_ACTORS]
    statistics = await system.statistics(wanted, letters=0 if first else LETTERS, patience_s=PATIENCE_S)
    return reading_of(system.plan, statistics, wanted)


async def _say(talk: Conversation, answer: Answer) -> None:
    """Tell a client that may not be listening any more.

    Raises:
        trio.BrokenResourceError: if it does not take it within `IDLE_S`, or has gone.
    """
    with trio.move_on_after(IDLE_S) as patience:
        await talk.say(answer)
    if patience.cancelled_caught:
        raise trio.BrokenResourceError("the client takes nothing")


def _done(value: Any) -> Answer:
    return Answer(event="done", value=cattrs.unstructure(value))


def _failed(text: str, *, step: str = "") -> Answer:
    return Answer(event="failed", text=text, step=step)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
