"""``spore top``: the actors of a running system, the busiest first."""

from __future__ import annotations

import json as jsonlib
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
import trio
from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from spore.cli.config_argument import DEFAULT_CONFIG
from spore.cli.console import output_console
from spore.cli.keys import keys, single_keys
from spore.cli.top_table import OTHER_LINES, top_table
from spore.deploy import load_config
from spore.deploy.control_socket import socket_path
from spore.deploy.nodes import run_label
from spore.deploy.truth import Finding
from spore.errors import ControlError
from spore.observe.rates import RateMeter
from spore.observe.rows import SORTS, Sort, rows_of, totals_of
from spore.observe.source import Source, open_source
from spore.observe.warn import Warner

__all__ = ["top"]

EVERY_S = 1.0
WIDE = 200
"""Where stdout is no terminal nothing is cut off."""
ESCAPE, BACKSPACE, ENTER = "\x1b", ("\x7f", "\x08"), ("\n", "\r")


def top(
    where: Annotated[
        Path, Parameter(help="The file that `spore run` runs, or the control socket of a run.")
    ] = DEFAULT_CONFIG,
    /,
    *,
    sort: Sort = "busy",
    filter: str = "",  # noqa: A002 - what it is called on the command line
    once: bool = False,
    json: bool = False,
    node: str | None = None,
) -> int:
    """Show the actors of a running system, once a second, until q or Ctrl-C.

    Of each actor: the share of the time that it is busy, messages a second, the mean time that a message waits and is handled, the queue,
    and, since its process began, what it failed at, what was lost, and restarts; and below, what is to be known of the system, the worst
    first: refused links, losses, restarts, who holds up whom, rates that fell to nothing. Keys: s sorts by something else, / filters, q ends. If the
    system ends it says so, and waits until it runs again.

    How busy an actor is, is estimated: a sample of its messages is timed, and each is taken to last as long as those do in the mean. What it
    calls inline is in its time.

    Examples: `spore top` · `spore top config/live.toml --sort queued --filter market` · `spore top --once --json | jq '.actors[0]'`

    Exit codes: 0 ended by q, or after `--once` · 2 bad input, or with `--once` nothing runs there · 130 interrupted.

    Parameters
    ----------
    sort
        What comes first: busy, waiting, queued, handled (a second), lost (and failed), or name.
    filter
        Only actors with this in their name, their bundle's or their state.
    once
        Look for a second, print the table, and end. So it is where stdout is no terminal, too, unless `--json` is given.
    json
        Print one JSON object a look.
    node
        Which node to look at, where the configuration has several: one that this machine runs.
    """
    path, config = _reached(where, node)
    screen = Screen(sort=sort, pattern=filter, title=str(where))
    return trio.run(partial(_top, path, config, screen, once=once or not (json or sys.stdout.isatty()), json=json))


def _reached(where: Path, node: str | None) -> tuple[Path, Path]:
    """Where the system is reached, and what to call it in errors."""
    if where.is_socket():
        return where, where
    loaded = load_config(where)
    return socket_path(where, loaded.control.socket, run_label(loaded, node)), where


@attrs.define
class Screen:
    """What is shown, and how."""

    sort: Sort
    pattern: str
    title: str
    typing: bool = False
    """Whether the pattern is just being typed."""
    table: RenderableType = ""
    """The last one."""
    problem: str = "looks"
    """Why there is no newer one; empty while there is."""

    def press(self, key: str) -> bool:
        """A key was pressed; return whether that ends it."""
        if self.typing:
            if key in ENTER:
                self.typing = False
            elif key == ESCAPE:
                self.typing, self.pattern = False, ""
            elif key in BACKSPACE:
                self.pattern = self.pattern[:-1]
            elif key.isprintable():
                self.pattern += key
        elif key == "q":
            return True
        elif key == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        elif key == "/":
            self.typing, self.pattern = True, ""
        elif key == ESCAPE:
            self.pattern = ""
        return False

    def render(self) -> RenderableType:
        said = f"filter: {self.pattern}▏" if self.typing else f"sorted by {self.sort}"
        if self.pattern and not self.typing:
            said += f" · only {self.pattern!r}"
        keys = "Enter takes it · Esc drops it" if self.typing else "q ends · s sorts · / filters"
        head = Text(self.title, style="bold")
        if self.problem:
            head.append(f"   {self.problem}", style="yellow")
        return Group(head, self.table, Text(f"{said} · {keys}", style="dim"))


async def _top(path: Path, config: Path, screen: Screen, *, once: bool, json: bool) -> int:
    console = output_console(width=WIDE)
    show = partial(_print, screen=screen, json=json, console=console)
    async with open_source(path, config) as source:
        if once:
            await _look_once(source, show)
            return 0
        if json:
            await _look_on(source, show, lambda error: print(f"spore: {error}; waits", file=sys.stderr))
            return 0
        with single_keys() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
            async with trio.open_nursery() as nursery:
                if keyboard:
                    nursery.start_soon(_obey, screen, live, nursery.cancel_scope)
                nursery.start_soon(
                    _look_on, source, partial(_update, screen=screen, live=live), partial(_say, screen, live)
                )
    return 0


async def _look_once(source: Source, show: Any) -> None:
    meter, warner = RateMeter(), Warner()
    first = await source.look()
    meter.see(first)
    warner.see(first)
    await trio.sleep(EVERY_S)
    reading = await source.look()
    show(reading, meter.see(reading), warner.see(reading))


async def _look_on(source: Source, show: Any, say: Any) -> None:
    """Look once a second. While there is nothing to see, say so, once for each reason."""
    meter, warner = RateMeter(), Warner()
    said = ""
    while True:
        due = trio.current_time() + EVERY_S
        try:
            reading = await source.look()
        except ControlError as error:
            meter, warner = RateMeter(), Warner()  # what was between the two is nobody's rate
            if str(error) != said:
                said = str(error)
                say(error)
        else:
            said = ""
            found = warner.see(reading)
            if (rates := meter.see(reading)) is not None:
                show(reading, rates, found)
        await trio.sleep_until(due)


def _print(reading: Any, rates: Any, findings: list[Finding], *, screen: Screen, json: bool, console: Console) -> None:
    rows = rows_of(reading, rates, sort=screen.sort, pattern=screen.pattern)
    totals = totals_of(reading, rates)
    if json:
        print(
            jsonlib.dumps(
                {
                    "system": attrs.asdict(totals),
                    "findings": [attrs.asdict(finding) for finding in findings],
                    "actors": [attrs.asdict(row) for row in rows],
                }
            ),
            flush=True,
        )
    else:
        table = top_table(totals, rows, of=reading.total, sort=screen.sort, findings=findings, width=console.width)
        console.print(table)


def _update(reading: Any, rates: Any, findings: list[Finding], *, screen: Screen, live: Live) -> None:
    rows = rows_of(reading, rates, sort=screen.sort, pattern=screen.pattern)
    most, width = live.console.height - OTHER_LINES, live.console.width
    totals = totals_of(reading, rates)
    screen.table = top_table(
        totals, rows, of=reading.total, sort=screen.sort, findings=findings, most=most, width=width
    )
    screen.problem = ""
    live.update(screen.render(), refresh=True)


def _say(screen: Screen, live: Live, error: ControlError) -> None:
    screen.problem = f"{error.reason}; waits"
    live.update(screen.render(), refresh=True)


async def _obey(screen: Screen, live: Live, everything: trio.CancelScope) -> None:
    async for key in keys():
        if screen.press(key):
            everything.cancel()
        live.update(screen.render(), refresh=True)
