"""A look at a running system as a table with a line an actor, as wide and as high as the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spore.cli.monitor_table import shown_time
from spore.cli.narrow import Fitting, counted
from spore.deploy.truth import Finding, Level
from spore.observe.rows import Row, Sort, Totals

__all__ = ["OTHER_LINES", "top_table"]

OTHER_LINES = 9
"""What is not an actor: the system, the head of the table, what is left out, the keys."""
OTHER_COLUMNS = 68
"""What the names leave to them, in characters."""
BUSY = 0.8
"""From here on an actor is shown as one that may soon be the bottleneck."""
MOST_FINDINGS = 6
LEVELS = {Level.LOSS: "bold red", Level.FAULT: "red", Level.NOTE: "yellow"}
COLUMNS: tuple[tuple[str, Sort], ...] = (
    ("busy", "busy"),
    ("msg/s", "handled"),
    ("waiting", "waiting"),
    ("handling", "name"),
    ("queue", "queued"),
    ("failed", "lost"),
    ("lost", "lost"),
    ("restarts", "name"),
)


def top_table(
    totals: Totals,
    rows: Sequence[Row],
    *,
    of: int,
    sort: Sort,
    findings: Sequence[Finding] = (),
    most: int | None = None,
    width: int = 120,
) -> RenderableType:
    """The system, its actors, and below them what is to be known of it.

    Args:
        totals: the system.
        rows: the actors, as they are to stand.
        of: how many there are, those that nobody wants to see included.
        sort: by what they are sorted.
        findings: what is to be known, the worst first.
        most: so many lines of actors and findings at the most; by default all.
        width: of the terminal, in characters.
    """
    told = _told(findings)
    shown = rows if most is None else rows[: max(1, most - len(told))]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("actor", no_wrap=True, overflow="ellipsis", max_width=max(12, width - OTHER_COLUMNS))
    for name, by in COLUMNS:
        marked = by == sort and name != "failed"
        table.add_column(f"{name}▾" if marked else name, justify="right", no_wrap=True)
    for row in shown:
        table.add_row(*map(escape, _cells(row)), style=_style(row))
    parts: list[RenderableType] = [Text(_system(totals), no_wrap=True, overflow="ellipsis"), Text(), Fitting(table)]
    if len(shown) < of:
        parts.append(Text(f"{len(shown):,} of {counted(of, 'actor')}", style="dim"))
    parts += told
    errors = [row for row in shown if row.error]
    if errors:
        last = errors[0]
        parts.append(Text(f"{last.name}: {last.error}", style="red", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _told(findings: Sequence[Finding]) -> list[Text]:
    told = [
        Text(str(finding), style=LEVELS[finding.level], no_wrap=True, overflow="ellipsis")
        for finding in findings[:MOST_FINDINGS]
    ]
    if len(findings) > MOST_FINDINGS:
        told.append(Text(f"… and {len(findings) - MOST_FINDINGS:,} more; spore monitor lists them", style="dim"))
    return told


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name if row.state == "running" else f"{row.name} ({row.state})",
        "–" if row.busy is None else f"{row.busy:.0%}",
        f"{row.per_second:,.0f}",
        shown_time(row.waiting_us),
        shown_time(row.handling_us),
        f"{row.queued:,}/{row.capacity:,}",
        f"{row.failed:,}",
        f"{sum(row.lost.values()):,}",
        f"{row.restarts:,}",
    )


def _style(row: Row) -> str:
    if row.state != "running" or row.queued >= row.capacity:
        return "red"
    return "yellow" if (row.busy or 0.0) >= BUSY else ""


def _system(totals: Totals) -> str:
    first = (
        f"{totals.per_second:,.0f} messages/s · {totals.cores:.2f} cores · {_size(totals.resident_bytes)} in "
        f"{counted(totals.processes, 'process', 'processes')}"
    )
    second = (
        f"encoded {_size(totals.encoded_per_second)}/s · by reference ≈ {_size(totals.saved_per_second)}/s · "
        f"restarts {totals.process_restarts:,} · dead letters {totals.dead_letters:,}"
    )
    if totals.silent:
        second += f" · no answer from {', '.join(totals.silent)}"
    return f"{first}\n{second}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 100 else f"{count:,.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} GB"
