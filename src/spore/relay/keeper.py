"""The keeper: the relay's journal at work, as a client of the relay that lives in its process.

Follow one message: its sender's link leads to ``journal:NAME`` → `Intake` → the journal, in batches → the acknowledgement, once
it is on the disk. For each subscriber `Outlets` reads it back and sends it on a link of its own, and what the subscriber
has acknowledged is noted, so that a restarted one goes on from there, and so does a restarted relay.

What fails on the disk is tried again, and said in the log (`Trouble`); links and topics do not notice.

Invariants: nothing is acknowledged that is not on the disk; what some subscriber has not acknowledged is never trimmed; at
most a window of each link is in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from spore.errors import JournalError
from spore.relay.deaths import DEFAULT_DEATHS, Deaths
from spore.relay.inside import Insiders
from spore.relay.intake import Intake
from spore.relay.journal import Journal
from spore.relay.outlets import Outlets
from spore.relay.shelf import Shelf
from spore.relay.switchboard import Switchboard
from spore.relay.trouble import Trouble

__all__ = ["Keeper"]

LOOK_EVERY_S = 1.0
"""So often the journal is asked whether another process has forgotten something in it."""


class Keeper:
    """A journal, and its links to and from the clients of a relay.

    Args:
        journal: its memory, open. Closing it is the caller's.
        board: the relay's switchboard.
        flush: writes what is queued for clients.
        deaths: a message is set aside when so many processes of a subscriber died of it.

    Raises:
        JournalError: if the journal cannot be read.
    """

    def __init__(
        self, journal: Journal, board: Switchboard, flush: Callable[[], None], *, deaths: int = DEFAULT_DEATHS
    ) -> None:
        self._shelf = shelf = Shelf(journal)
        self._trouble = Trouble()
        self._inside = Insiders(board, flush)
        known = Deaths(journal.dead.records(), deaths)
        self._outlets = Outlets(shelf, self._inside.join, self._trouble, known)
        self._intake = Intake(shelf, board.hello_of, self._outlets.added, self._trouble)
        self._inside.on_arrived = self._intake.arrived.ring
        self.wanted = self._intake.wanted
        self.subscribed = self._outlets.subscribed
        self.left = self._outlets.left
        self.vanished = self._outlets.vanished
        board.keeper = self
        self._inside.join(self._intake.session, any_schema=True)

    @property
    def full(self) -> bool:
        """Whether the journal has no room, so that senders to its streams wait."""
        return self._trouble.full

    @property
    def trouble(self) -> tuple[JournalError, ...]:
        """What cannot be done with the journal now, and is tried again."""
        return tuple(self._trouble.now.values())

    async def run(self) -> None:
        """Keep what comes and give what is wanted, until cancelled. Whatever the journal cannot do is tried again.

        Cancellation: always a checkpoint. A batch that is being written is on the disk before.
        """
        async with trio.open_nursery() as nursery:
            for task in (self._inside.exchange, self._intake.run, self._outlets.run, self._outlets.note, self._look):
                nursery.start_soon(task)

    async def _look(self) -> None:
        while True:
            await trio.sleep(LOOK_EVERY_S)
            try:
                found = await trio.to_thread.run_sync(self._shelf.look)
            except JournalError as error:
                self._trouble.happened("looking", error, "streams wait")
            else:
                self._trouble.over("looking")
                if found is not None:
                    self._outlets.forgotten(*self._shelf.adopt(*found))

    def finish(self) -> None:
        """Note, at the end, how far everybody has come. It blocks while the disk does."""
        self._outlets.finish()
