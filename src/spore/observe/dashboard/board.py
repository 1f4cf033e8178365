"""The board that all pages look at: one look a second at the system, and what each page has not had of it.

Rules: however many pages there are, the system is looked at once a second, and not at all while there is none. For a page nothing is
kept but the number of the last look that it had; what it has missed since is told in one piece, and of two values the newer one.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from spore.errors import ControlError, NothingRuns
from spore.observe.dashboard.buttons import Buttons
from spore.observe.dashboard.sheet import Row, Sheet
from spore.observe.dashboard.told import ACTOR_COLUMNS, EDGE_COLUMNS, Teller, Told
from spore.observe.runs import Run, Runs
from spore.observe.source import Source

__all__ = ["EVERY_S", "MAX_SEATS", "Board", "Full", "Seat"]

EVERY_S = 1.0
PATIENCE_S = 4.0
"""A system that has not answered by then is silent. A page that hears nothing for longer takes it that the server has gone."""
MAX_SEATS = 24
"""Pages. Each may take as much memory as its connection takes that does not read: an event, and the buffers of the system."""
KEPT_POINTS = 300
"""Of the history, one a look: five minutes."""
KEPT_SAMPLES = 400
"""Of a run, that a page is told."""
MOST_RUNS = 8
"""The newest."""


class Full(Exception):
    """There are as many pages as there may be."""


class Board:
    """What is known, and who looks.

    Args:
        source: what is looked at; None where there is nothing, and only runs of commands are shown.
        name: what to call it.
        hint: what to do if nothing runs, in a sentence.
        buttons: what the buttons of the page do; None for a page without.
        runs: where the runs are.
        clock: milliseconds since the Unix epoch.
    """

    def __init__(
        self,
        source: Source | None,
        *,
        name: str,
        hint: str = "",
        buttons: Buttons | None = None,
        runs: Runs | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._source = source
        self._name = name
        self._hint = hint
        self.buttons = buttons
        self._runs = runs or Runs()
        self._clock = clock
        self._teller = Teller()
        self._look = 0
        self._sections: dict[str, tuple[int, Any]] = {}
        """By name: at which look it changed, and what it is."""
        self._sheets = {"actors": Sheet(ACTOR_COLUMNS), "edges": Sheet(EDGE_COLUMNS), "runs": Sheet(("name", "run"))}
        self._run_rows: list[tuple[Run, Row]] = []
        self._points: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT_POINTS)
        self._encoded: dict[int, bytes] = {}
        """By what a page had: the event that it gets now."""
        self._seats = 0
        self._wanted = trio.Event()
        self._looked = trio.Event()

    async def run(self) -> None:
        """Look, as long as somebody wants to see it.

        Cancellation: always a checkpoint.
        """
        while True:
            await self._wanted.wait()
            due = trio.current_time() + EVERY_S
            await self.look()
            await trio.sleep_until(due)

    async def look(self) -> None:
        """Look once, and tell whoever waits.

        Cancellation: a checkpoint.
        """
        told = await self._told()
        runs = await trio.to_thread.run_sync(self._runs.look)
        self._look += 1
        self._encoded.clear()
        self._set("at_ms", self._clock())
        self._sheets["runs"].update(self._rows_of(runs[:MOST_RUNS]), self._look)
        self._set("source", {"name": self._name, "buttons": self.buttons is not None, **told.source})
        for name, value in told.sections.items():
            self._set(name, value)
        if told.point is not None:
            self._points.append((self._look, {"at_ms": self._clock(), **told.point}))
        for name, rows in told.rows.items():
            self._sheets[name].update(rows, self._look)
        self._looked.set()
        self._looked = trio.Event()

    async def _told(self) -> Told:
        if self._source is None:
            return self._teller.nothing("There is nothing to look at", self._hint)
        reading = None
        try:
            with trio.move_on_after(PATIENCE_S):
                reading = await self._source.look()
        except NothingRuns as error:
            return self._teller.nothing(str(error), self._hint)
        except ControlError as error:
            return self._teller.silent(str(error))
        if reading is None:
            return self._teller.silent(f"{self._name} has not answered within {PATIENCE_S:g} s")
        return await trio.to_thread.run_sync(self._teller.tell, reading)  # of ten thousand actors it takes a while

    def _set(self, name: str, value: Any) -> None:
        known = self._sections.get(name)
        if known is None or known[1] != value:
            self._sections[name] = self._look, value

    def since(self, look: int) -> bytes:
        """An event for a page that has had a look; 0 for one that has had none.

        The event is JSON: each section that has changed, by its name; ``actors``, ``edges`` and ``runs`` as `Sheet.since` tells them; and
        ``history``, whose ``points`` are new, or all where it is ``whole``.
        """
        if look not in self._encoded:
            event = {name: value for name, (at, value) in self._sections.items() if at > look}
            for name, sheet in self._sheets.items():
                if (rows := sheet.since(look)) is not None:
                    event[name] = rows
            event["history"] = {"whole": not look, "points": [point for at, point in self._points if at > look]}
            text = json.dumps(event, separators=(",", ":"), allow_nan=False)
            self._encoded[look] = f"data: {text}\n\n".encode()
        return self._encoded[look]

    def _rows_of(self, runs: list[Run]) -> Iterator[Row]:
        """A run that has not changed has the same row, which is then not looked into."""
        self._run_rows = [
            next((each for each in self._run_rows if each[0] is run), (run, (run.name, _bounded(run.plain()))))
            for run in runs
        ]
        return (row for _, row in self._run_rows)

    @contextmanager
    def open_seat(self) -> Iterator[Seat]:
        """A page, for the length of a block.

        Raises:
            Full: if there are `MAX_SEATS` already.
        """
        if self._seats >= MAX_SEATS:
            raise Full(f"{MAX_SEATS} pages are open already; close one")
        self._seats += 1
        self._wanted.set()
        try:
            yield Seat(self)
        finally:
            self._seats -= 1
            if not self._seats:
                self._wanted = trio.Event()

    async def wait_newer(self, look: int) -> int:
        """Wait until there is a newer look, and return its number.

        Cancellation: a checkpoint if it waits.
        """
        while self._look <= look:
            await self._looked.wait()
        return self._look


class Seat:
    """A page that looks. Made by `Board.open_seat`."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._had = 0

    async def next(self) -> bytes:
        """What it has not had yet, as soon as there is something.

        Cancellation: always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        look = await self._board.wait_newer(self._had)
        event = self._board.since(self._had)
        self._had = look
        return event


def _bounded(run: dict[str, Any]) -> dict[str, Any]:
    """A run with as many samples as a chart can show, and the last of them."""
    samples = run["samples"]
    step = -(-len(samples) // KEPT_SAMPLES) if samples else 1
    return {**run, "samples": [*samples[:-1:step], *samples[-1:]]}
