"""What is wrong with the journal, in the log: a line at first, then at most one a minute, and one when it works again."""

from __future__ import annotations

import logging

import trio

from spore.errors import JournalError, JournalFull

__all__ = ["RETRY_S", "SAY_EVERY_S", "Trouble"]

_log = logging.getLogger("spore.relay")

RETRY_S = 1.0
"""What has failed is tried again so often."""
SAY_EVERY_S = 60.0


class Trouble:
    """One for all that the relay does with its journal: a disk that fails fails in every way at once."""

    def __init__(self) -> None:
        self.now: dict[str, JournalError] = {}
        """By what is done with the journal: what is in the way, for as long as it is."""
        self._said_at = -SAY_EVERY_S
        self._said: JournalError | None = None

    @property
    def full(self) -> bool:
        """Whether there is no room, so that senders wait."""
        return any(isinstance(error, JournalFull) for error in self.now.values())

    def happened(self, doing: str, error: JournalError, consequence: str) -> None:
        """Something has failed; it is to be tried again.

        Args:
            doing: what has failed, as `over` will name it.
            error: why.
            consequence: what that means for others, for the log.
        """
        self.now[doing] = error
        if trio.current_time() >= self._said_at + SAY_EVERY_S:
            _log.error("%s; %s; links and topics go on", error, consequence)
            self._said_at, self._said = trio.current_time(), error

    def over(self, doing: str) -> None:
        """It has been done."""
        if self.now.pop(doing, None) is not None and not self.now and self._said is not None:
            what = "has room" if isinstance(self._said, JournalFull) else "works"
            _log.warning("journal %s: the journal %s again", self._said.path, what)
            self._said = None
