"""The keeper: the relay's journal at work, as a client of the relay that lives in its process.

Follow one message: its sender's link leads to ``journal:NAME`` → `Intake` → the journal, in batches → the acknowledgement, once
it is on the disk. For each subscriber `Outlets` reads it back and sends it on a link of its own, and what the subscriber
has acknowledged is noted, so that a restarted one goes on from there, and so does a restarted relay.

Invariants: nothing is acknowledged that is not on the disk; what some subscriber has not acknowledged is never trimmed; at
most a window of each link is in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from spore.errors import RelayError
from spore.relay.bell import Bell
from spore.relay.intake import Intake
from spore.relay.journal import Journal
from spore.relay.outlets import Outlets
from spore.relay.peer import Peer
from spore.relay.session import Session
from spore.relay.shelf import Shelf
from spore.relay.switchboard import Switchboard

__all__ = ["Keeper"]

_log = logging.getLogger("spore.relay")


class Keeper:
    """A journal, and its links to and from the clients of a relay.

    Args:
        journal: its memory, open. Closing it is the caller's.
        board: the relay's switchboard.
        flush: writes what is queued for clients.
    """

    def __init__(self, journal: Journal, board: Switchboard, flush: Callable[[], None]) -> None:
        self._board = board
        self._flush = flush
        self._said = Bell()
        self._peers: dict[Session, Peer] = {}
        shelf = Shelf(journal)
        self._outlets = Outlets(shelf, self._join)
        self._intake = Intake(shelf, board.hello_of, self._outlets.added)
        self.wanted = self._intake.wanted
        self.subscribed = self._outlets.subscribed
        self.left = self._outlets.left
        board.keeper = self
        self._join(self._intake.session)

    @property
    def full(self) -> bool:
        """Whether the journal has no room, so that senders to its streams wait."""
        return self._intake.full

    async def run(self) -> None:
        """Keep what comes and give what is wanted, until cancelled.

        Cancellation: always a checkpoint. A batch that is being written is on the disk before.

        Raises:
            JournalError: if the journal fails for another reason than a lack of room.
        """
        async with trio.open_nursery() as nursery:
            for task in (self._exchange, self._intake.run, self._outlets.run, self._outlets.note):
                nursery.start_soon(task)

    def finish(self) -> None:
        """Note, at the end, how far everybody has come. It blocks while the disk does."""
        self._outlets.finish()

    async def _exchange(self) -> None:
        """Pass on to the switchboard what the journal's ends of links say."""
        while True:
            now_s = trio.current_time()
            for session, peer in tuple(self._peers.items()):
                data = session.data_to_send(now_s)
                if data:
                    self._board.receive(peer, data, now_s)
            self._flush()
            await self._said.heard()

    def _join(self, session: Session) -> None:
        """Connect a session of the journal's with the switchboard, without a socket."""
        now_s = trio.current_time()
        peer = self._peers[session] = self._board.connect(now_s)
        peer.deliver = partial(self._deliver, session)
        peer.any_schema = session is self._intake.session
        session.on_send = self._said.ring
        session.connected(now_s)

    def _deliver(self, session: Session, data: bytes) -> None:
        try:
            if session.receive(data, trio.current_time()):
                self._intake.arrived.ring()
        except RelayError as error:  # some client has made it so; that must not be the end of all
            _log.warning("the journal begins anew with the relay: %s", error)
            self._board.disconnect(self._peers[session])
            self._join(session)
