"""Accepts connections at a socket, so many at a time; those that ask for nothing make room for others.

Invariants: no more connections are held than there is room for, however many come. A connection that is being answered is never closed for
another one. What goes wrong with a connection, or with accepting one, ends nothing else, and makes at most one log line a peer and minute.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from spore.relay.quiet import Quiet

__all__ = ["Reception", "Visit"]

_log = logging.getLogger("spore.deploy")
RETRY_S = 0.1
"""After the system had no room for another connection. Source: `trio.serve_listeners`, which logs each of these attempts."""


@attrs.define(eq=False)
class Visit:
    """A connection that is held."""

    peer: str
    """Who is there, without the port; of IPv6 the network, because a machine has as many addresses there as it likes."""
    since_s: float
    """When it was accepted."""
    busy: bool = False
    """Whether it is being answered. Set by who answers."""
    served: bool = False
    """Whether it has been answered before: then it makes room as soon as it is idle."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Reception:
    """Where connections are accepted.

    Args:
        sock: it listens, and does not block. It is closed in the end.
        name: what listens there, for the log.
        most: how many connections are held.
        grace_s: so long a new connection may be there before it makes room for another one.
        log: where lines about peers go.
        refuse: answers a connection for which there is no room, briefly; without it those wait in the system's queue.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        name: str,
        most: int,
        grace_s: float,
        log: logging.Logger = _log,
        refuse: Callable[[trio.SocketStream], Awaitable[None]] | None = None,
    ) -> None:
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        self._name = name
        self._most = most
        self._grace_s = grace_s
        self._log = log
        self._refuse = refuse
        self._quiet = Quiet(log)
        self._visits: dict[Visit, None] = {}
        """Oldest first."""
        self._changed = trio.Event()
        self._accepting = trio.CancelScope()
        self._stops = False

    @property
    def held(self) -> int:
        """How many connections are held now."""
        return len(self._visits)

    async def run(self, serve: Callable[[trio.SocketStream, Visit], Awaitable[None]]) -> None:
        """Accept connections until `stop`.

        Args:
            serve: answers one. It is closed afterwards.

        Cancellation: always a checkpoint; the socket is closed, and whatever is being answered is cancelled.
        """
        async with trio.open_nursery() as nursery, self._listener:
            with self._accepting:
                await self._welcome(serve, nursery)

    async def _welcome(
        self, serve: Callable[[trio.SocketStream, Visit], Awaitable[None]], nursery: trio.Nursery
    ) -> None:
        while True:
            if self._refuse is None:
                await self._wait_room()
            stream = await self._accept()
            self._quiet.on_time(trio.current_time())
            if self._refuse is not None and not self._make_room():
                nursery.start_soon(self._turn_away, stream, self._refuse)
                continue
            visit = Visit(_peer_of(stream), trio.current_time())
            self._visits[visit] = None
            nursery.start_soon(self._attend, serve, stream, visit)

    def warn(self, visit: Visit, reason: str, text: str) -> None:
        """Log what a peer has done, at most once a minute for each.

        Args:
            visit: its connection.
            reason: in few words, as it is counted by.
            text: the line, without what only the peer may know.
        """
        self._quiet.warn(trio.current_time(), visit.peer, reason, f"{self._name}: {visit.peer}: {text}")

    def busy(self, visit: Visit) -> None:
        """A connection has asked for something: until it is `idle` it is not closed for another one."""
        visit.busy = True

    def idle(self, visit: Visit) -> None:
        """A connection has been answered, and waits for another question."""
        visit.busy, visit.served = False, True
        self._changed.set()
        if self._stops:
            visit.scope.cancel()

    def stop(self) -> None:
        """Accept nothing more, and close what waits for a question. `run` returns once the other connections have been answered."""
        self._stops = True
        self._accepting.cancel()
        for visit in self._visits:
            if not visit.busy:
                visit.scope.cancel()

    async def _accept(self) -> trio.SocketStream:
        while True:
            try:
                return await self._listener.accept()
            except OSError as error:  # too many open files, say
                text = f"{self._name}: no connection can be accepted: {error.strerror or error}"
                self._quiet.warn(trio.current_time(), "here", "not accepted", text)
                await trio.sleep(RETRY_S)

    async def _wait_room(self) -> None:
        while not self._make_room():
            self._changed = trio.Event()
            due = min((visit.since_s + self._grace_s for visit in self._visits if not visit.busy), default=math.inf)
            with trio.CancelScope(deadline=due):
                await self._changed.wait()

    def _make_room(self) -> bool:
        if len(self._visits) < self._most:
            return True
        latest = trio.current_time() - self._grace_s
        idle = [visit for visit in self._visits if not visit.busy and (visit.served or visit.since_s <= latest)]
        if not idle:
            return False
        leaves = next((visit for visit in idle if visit.served), idle[0])
        self._visits.pop(leaves)
        leaves.scope.cancel()
        return True

    async def _turn_away(
        self, stream: trio.SocketStream, refuse: Callable[[trio.SocketStream], Awaitable[None]]
    ) -> None:
        with trio.move_on_after(RETRY_S):
            with suppress(trio.BrokenResourceError):  # it has gone by itself
                await refuse(stream)
        await trio.aclose_forcefully(stream)

    async def _attend(
        self, serve: Callable[[trio.SocketStream, Visit], Awaitable[None]], stream: trio.SocketStream, visit: Visit
    ) -> None:
        try:
            with visit.scope:
                await serve(stream, visit)
        except Exception as error:  # noqa: BLE001 - a question is no reason for the system to end
            self.warn(visit, type(error).__name__, f"could not be answered: {type(error).__name__}: {error}")
            self._log.debug("where that comes from:", exc_info=error)
        finally:
            self._visits.pop(visit, None)
            self._changed.set()
            stream.socket.close()


def _peer_of(stream: trio.SocketStream) -> str:
    try:
        if stream.socket.family == socket.AF_UNIX:
            return f"user {os.getuid()}"  # the socket is for nobody else
        host = str(stream.socket.getpeername()[0])
        address = ipaddress.ip_address(host.partition("%")[0])
    except (OSError, ValueError):
        return "a peer that has gone"
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return host
