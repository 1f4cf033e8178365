"""Dead letters of a journal: messages that ended the process of their subscriber, set aside with how often they did.

Invariant: a message is set aside in the same transaction in which its subscriber's mark passes it, so it is never lost between the
two, whatever ends the relay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from time import time_ns

import attrs

from spore.relay.journal_file import JournalFile
from spore.relay.journal_layout import DEAD_TABLE, DEATHS_TABLE

__all__ = ["Aside", "DeadLetters"]

MARK = "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)"


@attrs.frozen
class Aside:
    """A message that is not given to a subscriber any more."""

    stream: str
    """The stream's name in the journal, which is one sender's link."""
    receiver: str
    sequence: int
    deaths: int
    """Of processes that had it in hand."""


class DeadLetters:
    """The tables of deaths and of dead letters in a journal's file."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def records(self) -> dict[tuple[str, str], str]:
        """What was noted of the deaths of subscribers, by stream and receiver. See `write`."""
        with self._file.turn() as connection:
            if not _has(connection, "deaths"):
                return {}
            rows = connection.execute("SELECT stream, receiver, record FROM deaths")
            return {(stream, receiver): record for stream, receiver, record in rows}

    def write(self, aside: Iterable[Aside], records: Mapping[tuple[str, str], str | None]) -> None:
        """Set messages aside, and note what is known of deaths: all or nothing, and durable on return.

        Args:
            aside: messages of which the subscriber is done from now on, so that its mark passes them.
            records: by stream and receiver; None to forget one.
        """

        def change(file: sqlite3.Connection) -> None:
            file.execute(DEATHS_TABLE)
            file.execute(DEAD_TABLE)
            for each in aside:
                file.execute(
                    "INSERT OR IGNORE INTO dead SELECT name, ?, sequence, frame, ?, ? FROM frames"
                    " JOIN streams ON streams.id = frames.stream WHERE name = ? AND sequence = ?",
                    (each.receiver, each.deaths, time_ns(), each.stream, each.sequence),
                )
                file.execute(MARK, (each.stream, each.receiver, each.sequence))
            for key, record in records.items():
                if record is None:
                    file.execute("DELETE FROM deaths WHERE stream = ? AND receiver = ?", key)
                else:
                    file.execute("INSERT OR REPLACE INTO deaths VALUES (?, ?, ?)", (*key, record))

        with self._file.turn():
            self._file.shrink(change)


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0])
