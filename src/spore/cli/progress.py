"""A progress bar for what turns out to take long: nothing in the first two seconds, nothing where nobody looks."""

from __future__ import annotations

import time
from types import TracebackType

import rich.progress
from rich.console import Console

__all__ = ["PATIENCE_S", "LateProgress"]

PATIENCE_S = 2.0


class LateProgress:
    """A bar on stderr over a known or unknown total, shown once `PATIENCE_S` have passed.

    Use it as a context manager and call `advance`.

    Args:
        what: what is being done.
        total: how much there is to do, or None.
        in_bytes: whether that is bytes, to be shown as such.
        console: where to draw; stderr.
    """

    def __init__(self, what: str, total: int | None, *, in_bytes: bool = True, console: Console | None = None) -> None:
        self._what = what
        self._total = total
        self._columns = [rich.progress.DownloadColumn()] if in_bytes else []
        self._done = 0
        self._console = console or Console(stderr=True)
        self._bar: rich.progress.Progress | None = None
        self._show_at = time.monotonic() + PATIENCE_S

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Say that so much more is done."""
        self._done += count
        if self._bar is None:
            if time.monotonic() < self._show_at or not self._console.is_terminal:
                return
            self._bar = rich.progress.Progress(
                *rich.progress.Progress.get_default_columns(),
                *self._columns,
                console=self._console,
                transient=True,
            )
            self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done)

    def reach(self, done: int, *, total: int | None, what: str) -> None:
        """Say that so much of so much, or of nobody knows how much, is done, and what is done next."""
        self._what, self._total = what, total
        self.advance(done - self._done)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=total, description=what, refresh=True)
