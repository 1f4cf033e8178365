"""A table of which only what has changed is told again.

Each row remembers the look at which it changed last. So whoever has missed some looks gets what has changed since the last one that
it had, in one piece, and nothing is kept for anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["Row", "Sheet"]

Row = tuple[Any, ...]
"""What JSON can say. The first value is the row's key."""


class Sheet:
    """A table.

    Args:
        columns: their names, that of the key first.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._rows: dict[str, Row] = {}
        self._changed: dict[str, int] = {}
        """By key: at which look the row changed last."""
        self._shrunk = 0
        """At which look a row went last."""

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, rows: Iterable[Row], look: int) -> None:
        """Have these rows and no others.

        Args:
            rows: with different keys.
            look: the number of this look, above those before.
        """
        before, changed = self._rows, self._changed
        now = {row[0]: row for row in rows}
        for key, row in now.items():
            if before.get(key) != row:
                changed[key] = look
        for key in before.keys() - now.keys():
            del changed[key]
            self._shrunk = look
        self._rows = now

    def since(self, look: int) -> dict[str, Any] | None:
        """What has changed after a look, as JSON can say it; None if nothing has.

        Args:
            look: 0 for everything, with the names of the columns. Where a row has gone meanwhile, everything is told, too: that is
                seldom, and what has gone need not be remembered.
        """
        if not look or self._shrunk > look:
            return {"columns": self.columns, "whole": True, "changed": list(self._rows.values())}
        found = [self._rows[key] for key, at in self._changed.items() if at > look]
        return {"changed": found} if found else None
