"""Sessions that live in the relay's own process: connected with its switchboard without a socket."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from spore.errors import RelayError
from spore.relay.bell import Bell
from spore.relay.peer import Peer
from spore.relay.quiet import Quiet
from spore.relay.session import Session
from spore.relay.switchboard import Switchboard

__all__ = ["Insiders"]

_log = logging.getLogger("spore.relay")


class Insiders:
    """The journal's ends of links.

    Args:
        board: the relay's switchboard.
        flush: writes what is queued for clients.
    """

    def __init__(self, board: Switchboard, flush: Callable[[], None]) -> None:
        self.on_arrived: Callable[[], None] = _nothing
        """Called when messages have come over some link."""
        self._board = board
        self._flush = flush
        self._said = Bell()
        self._quiet = Quiet(_log)
        self._peers: dict[Session, Peer] = {}

    def join(self, session: Session, *, any_schema: bool = False) -> None:
        """Connect a session.

        Args:
            session: is told the time by trio's clock.
            any_schema: whether it takes messages as they are, whatever they mean.
        """
        now_s = trio.current_time()
        peer = self._peers[session] = self._board.connect(now_s)
        peer.deliver = partial(self._deliver, session)
        peer.any_schema = any_schema
        session.on_send = self._said.ring
        session.connected(now_s)

    async def exchange(self) -> None:
        """Pass on to the switchboard what they say, until cancelled.

        Cancellation: always a checkpoint.
        """
        while True:
            now_s = trio.current_time()
            for session, peer in tuple(self._peers.items()):
                data = session.data_to_send(now_s)
                if data:
                    self._board.receive(peer, data, now_s)
            self._flush()
            await self._said.heard()

    def _deliver(self, session: Session, data: bytes) -> None:
        try:
            if session.receive(data, trio.current_time()):
                self.on_arrived()
        except RelayError as error:  # some client has made it so; that must not be the end of all
            text = f"the journal begins anew with the relay: {error}"
            self._quiet.warn(trio.current_time(), "the journal", "anew", text)
            peer = self._peers[session]
            self._board.disconnect(peer)
            self.join(session, any_schema=peer.any_schema)


def _nothing() -> None:
    pass
