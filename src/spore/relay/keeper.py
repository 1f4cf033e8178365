"""The keeper: the relay's journal at work, as a client of the relay that lives in its process.

Follow one message: its sender's link leads to ``journal:NAME`` → `Intake` → the journal, in batches → the acknowledgement, once
it is on the disk. For each subscriber `Outlets` reads it back and sends it on a link of its own, and what the subscriber
has acknowledged is noted, so that a restarted one goes on from there, and so does a restarted relay.

Invariants: nothing is acknowledged that is not on the disk; what some subscriber has not acknowledged is never trimmed; at
most a window of each link is in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from spore.relay.inside import Insiders
from spore.relay.intake import Intake
from spore.relay.journal import Journal
from spore.relay.outlets import Outlets
from spore.relay.shelf import Shelf
from spore.relay.switchboard import Switchboard

__all__ = ["Keeper"]


class Keeper:
    """A journal, and its links to and from the clients of a relay.

    Args:
        journal: its memory, open. Closing it is the caller's.
        board: the relay's switchboard.
        flush: writes what is queued for clients.
    """

    def __init__(self, journal: Journal, board: Switchboard, flush: Callable[[], None]) -> None:
        shelf = Shelf(journal)
        self._inside = Insiders(board, flush)
        self._outlets = Outlets(shelf, self._inside.join)
        self._intake = Intake(shelf, board.hello_of, self._outlets.added)
        self._inside.on_arrived = self._intake.arrived.ring
        self.wanted = self._intake.wanted
        self.subscribed = self._outlets.subscribed
        self.left = self._outlets.left
        board.keeper = self
        self._inside.join(self._intake.session, any_schema=True)

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
            for task in (self._inside.exchange, self._intake.run, self._outlets.run, self._outlets.note):
                nursery.start_soon(task)

    def finish(self) -> None:
        """Note, at the end, how far everybody has come. It blocks while the disk does."""
        self._outlets.finish()
