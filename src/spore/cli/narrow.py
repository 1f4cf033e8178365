"""Tables where there is little room: what would be cut off is written below each other."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["Fitting", "counted"]

ANY_WIDTH = 10_000


class Fitting:
    """A table if it fits; else a paragraph for each row, with a line for each column that says something.

    Args:
        table: the table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """How rich prints it."""
        needed = Measurement.get(console, options.update(max_width=ANY_WIDTH), self._table).minimum
        if needed <= options.max_width:
            yield self._table
        else:
            yield from self._paragraphs(console)

    def _paragraphs(self, console: Console) -> Iterator[Text]:
        columns = self._table.columns
        if self._table.title is not None:
            yield _text(self._table.title, console)
        for cells in zip(*(column.cells for column in columns), strict=True):
            name, *others = (_text(cell, console) for cell in cells)
            name.stylize("bold")
            if name.plain.strip():
                yield name
            for column, cell in zip(columns[1:], others, strict=True):
                heading = _text(column.header, console).plain.strip() if self._table.show_header else ""
                lines = [line for line in cell.split() if line.plain.strip()]
                if len(lines) > 1:
                    yield Text(f"    {heading}:")
                    yield from (Text("      ").append_text(line) for line in lines)
                elif lines:
                    yield Text(f"    {heading}: " if heading else "    ").append_text(lines[0])


def _text(cell: object, console: Console) -> Text:
    text = cell.copy() if isinstance(cell, Text) else console.render_str(str(cell))
    text.no_wrap = False
    text.overflow = "fold"
    return text


def counted(count: int, one: str, several: str = "") -> str:
    """A number of things, in words: ``1 actor``, ``2 actors``."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
