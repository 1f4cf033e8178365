"""Forgetting by hand: changes to a journal's file beside the relay that writes it, each in a transaction of its own.

A relay that runs notices within a second (`spore.relay.journal.Journal.look`). Nothing here adds to the file, so a full disk is no
obstacle: the relay's reserve is there for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from spore.relay.journal_contents import KeptLink, journal_at
from spore.relay.journal_file import BUSY_S, check_journal
from spore.relay.journal_reasons import explained, is_full
from spore.relay.journal_reserve import LOG_SIZE, Reserve

__all__ = ["Forgetting", "open_forgetting"]

ROWS_AT_ONCE = 1_000


class Forgetting:
    """A journal that is open for forgetting. Made by `open_forgetting`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._reserve = Reserve(path.with_name("reserve"))

    def subscriber(self, links: list[KeptLink], name: str) -> None:
        """Forget a subscriber of some links, which then holds nothing back; if it comes again it begins anew.

        Raises:
            JournalError: if that cannot be written.
        """

        def change() -> None:
            for link in links:
                self._delete("marks", "stream = ? AND receiver = ?", link.key, name)
                self._delete("deaths", "stream = ? AND receiver = ?", link.key, name)

        self._write(change)

    def before(self, link: KeptLink, number: int) -> None:
        """Forget the messages of a link before a number, whoever has not read them.

        Raises:
            JournalError: if that cannot be written. Some may be forgotten already.
        """
        ((count,),) = self._connection.execute(
            "SELECT count(*) FROM frames WHERE stream = ? AND sequence < ?", (link.number, number)
        ).fetchall()
        for _ in range(0, count, ROWS_AT_ONCE):  # in steps, because what is deleted goes through the log
            query = (
                "DELETE FROM frames WHERE stream = ? AND sequence IN"
                " (SELECT sequence FROM frames WHERE stream = ? AND sequence < ? ORDER BY sequence LIMIT ?)"
            )
            values = link.number, link.number, number, ROWS_AT_ONCE
            self._write(partial(self._connection.execute, query, values))

    def dead(self, link: KeptLink, number: int | None, subscriber: str | None) -> None:
        """Forget dead letters of a link.

        Args:
            link: which.
            number: only the message with this number.
            subscriber: only those of this subscriber.

        Raises:
            JournalError: if that cannot be written.
        """
        where = "stream = ? AND ? IN (sequence, -1) AND ? IN (receiver, '')"
        number = -1 if number is None else number
        self._write(lambda: self._delete("dead", where, link.key, number, subscriber or ""))

    def _delete(self, table: str, where: str, *values: object) -> None:
        if self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
            self._connection.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608 - tables of ours

    def _write(self, change: Callable[[], object]) -> None:
        try:
            try:
                self._transaction(change)
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                self._reserve.give_up()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._transaction(change)
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._reserve.hold()
        except (sqlite3.Error, OSError) as error:
            raise explained(str(self._path), error) from error

    def _transaction(self, change: Callable[[], object]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            change()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@contextmanager
def open_forgetting(directory: Path) -> Iterator[Forgetting]:
    """A journal for forgetting for the length of a block, whether a relay runs or not.

    Raises:
        UsageError: if there is no journal.
        JournalError: if it cannot be written.
    """
    path = journal_at(directory)
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        with closing(connection):
            check_journal(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE}")
            yield Forgetting(path, connection)
    except sqlite3.Error as error:
        raise explained(str(path), error) from error
