"""Whose code is running: the actor in whose handler, `on_start` or `on_stop` a call was made.

Strategy: nothing is written down when a handler is called, because the hot path pays for nothing. Whoever has to know, seldom,
walks up the stack to the innermost frame of the few functions that call an actor's code. A task that a handler has started is
followed to its parent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import trio

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell

__all__ = ["calls_actor", "current_cell", "current_host", "hosting", "hosts"]

F = TypeVar("F", bound=Callable[..., Any])

_CALLERS: dict[int, str] = {}
"""The functions that call an actor's code, by the identity of their code, because a code object is slow to hash; and the name of the
local variable that holds the cell."""

_HOSTS: trio.lowlevel.RunVar[dict[trio.lowlevel.Task, Cell]] = trio.lowlevel.RunVar("spore.hosts")


def calls_actor(variable: str) -> Callable[[F], F]:
    """Mark a function that calls an actor's code, and say which local variable holds the actor's cell. Costs nothing per call."""

    def mark(function: F) -> F:
        _CALLERS[id(function.__code__)] = variable
        return function

    return mark


def hosts() -> dict[trio.lowlevel.Task, Cell]:
    """The tasks of this run of trio that run an async handler, `on_start` or `on_stop`, of whichever bundle, and the cell of each."""
    try:
        return _HOSTS.get()
    except LookupError:
        found: dict[trio.lowlevel.Task, Cell] = {}
        _HOSTS.set(found)
        return found
    except RuntimeError:  # outside of trio, where no task is
        return {}


@contextmanager
def hosting(cell: Cell) -> Iterator[None]:
    """A block in which the current task runs an actor's `on_start` or `on_stop`."""
    running, task = hosts(), trio.lowlevel.current_task()
    before = running.get(task)
    running[task] = cell
    try:
        yield
    finally:
        if before is None:
            running.pop(task, None)
        else:
            running[task] = before


def current_cell(besides: Cell | None = None) -> Cell | None:
    """The cell of the actor whose code makes this call; None outside of actors.

    Args:
        besides: the receiver of the message that is being sent, whose `tell` is on the stack and calls no handler.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        variable = _CALLERS.get(id(frame.f_code))
        if variable is not None:
            cell: Cell = frame.f_locals[variable]
            if cell is not besides:
                return cell
        frame = frame.f_back
    return current_host()


def current_host() -> Cell | None:
    """As `current_cell`, for callers that are async: their task, or one above it, is known."""
    try:
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    except RuntimeError:
        return None
    running = hosts()
    if not running:
        return None
    while task is not None:
        if task in running:
            return running[task]
        task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
    return None
