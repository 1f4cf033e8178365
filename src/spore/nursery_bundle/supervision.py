"""Supervision: what happens to an actor whose handler raised."""

from __future__ import annotations

import inspect
import logging
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

import trio

from spore.errors import RestartLimit
from spore.nursery_bundle.cell import Failure
from spore.nursery_bundle.log import about_cell, show_traceback
from spore.nursery_bundle.policy import Directive, Supervision

if TYPE_CHECKING:
    import random

    from spore.nursery_bundle.cell import Cell

__all__ = ["AS_IT_IS", "begin", "call", "decide", "next_wait", "note", "restart", "say_goodbye"]

_log = logging.getLogger("spore.supervision")
AS_IT_IS: Final = object()
"""In place of an actor's state; see `begin`."""


def decide(cell: Cell, error: Exception, message: Any) -> Directive:
    """What the actor itself, or else its supervision, wants done.

    Raises:
        Exception: what `on_error` itself raised, with ``error`` as its context.
    """
    try:
        directive = cell.actor.on_error(error, message)
    except Exception as second:
        raise second from error
    return cell.supervision.on_failure if directive is None else Directive(directive)


def note(cell: Cell, error: BaseException, message: str = "") -> None:
    """Remember why an actor has failed, for whoever looks at it.

    Args:
        cell: the actor's place.
        error: what was raised.
        message: the class of the message at fault; empty at a restart.
    """
    cell.failure = Failure(error, message, time_ns())


def next_wait(
    supervision: Supervision, restarted_at: list[float], chances: random.Random, *, name: str, error: BaseException
) -> float:
    """Seconds to wait before the next restart, which is entered into the list of restarts.

    Raises:
        RestartLimit: if there were too many.
    """
    now = trio.current_time()
    restarted_at[:] = [moment for moment in restarted_at if moment > now - supervision.within_s]
    if len(restarted_at) >= supervision.max_restarts:
        reason = f"failed again after {supervision.max_restarts} restarts in {supervision.within_s:g} s"
        raise RestartLimit(name, reason) from error
    restarted_at.append(now)
    return supervision.backoff(len(restarted_at), chances.random())


async def call(method: Any, *args: Any) -> Any:
    """Call a method that may be plain or async.

    Cancellation: as the method.
    """
    result = method(*args)
    return await result if inspect.isawaitable(result) else result


async def say_goodbye(cell: Cell) -> None:
    """Call an actor's `on_stop`, once for each actor that was started. What it raises is logged: it is going anyway.

    Cancellation: as its `on_stop`.
    """
    if not cell.living:
        return
    cell.living = False
    try:
        await call(cell.actor.on_stop)
    except Exception as error:  # noqa: BLE001 - it is said, and that is all that can be done
        fields = about_cell(cell, failed=False)
        _log.error("actor %s: on_stop raised %s: %s", cell.name, type(error).__name__, error, extra=fields)
        show_traceback(_log, error, fields)


async def begin(cell: Cell, state: Any = None) -> None:
    """Build an actor and put it in its place. It handles nothing yet; whoever would stop it waits until it has begun.

    Args:
        cell: the place.
        state: what `Actor.snapshot` of a predecessor returned; None for an actor that begins anew, and `AS_IT_IS` for one that is
            built already and has moved here in the midst of its life.

    Cancellation: as the actor's `on_start`.

    Raises:
        Exception: what the factory or `on_start` raised.
    """
    cell.beginning = True
    try:
        cell.install(cell.build())
        if state is not AS_IT_IS:
            if state is not None:
                cell.actor.restore(state)
            await call(cell.actor.on_start)
        cell.living = True
    finally:
        cell.beginning = False
        cell.dispatcher.quiet.unpark_all()
    if cell.over:
        await say_goodbye(cell)  # a deadline or a cancellation did not wait for it


async def restart(cell: Cell, error: Exception, chances: random.Random) -> None:
    """Wait, build a fresh actor from the factory and go on with the mailbox as it is. Repeat while that fails.

    Cancellation: a checkpoint; the actor then stays suspended and its mailbox is kept.

    Raises:
        RestartLimit: if there were too many restarts.
    """
    await say_goodbye(cell)
    generation = cell.generation
    while True:
        cell.restarted_at = list(cell.restarted_at)
        wait = next_wait(cell.supervision, cell.restarted_at, chances, name=cell.name, error=error)
        _log.warning(
            "actor %s: restarts in %.3f s after %s: %s",
            cell.name,
            wait,
            type(error).__name__,
            error,
            extra=about_cell(cell),
        )
        show_traceback(_log, error, about_cell(cell))
        await trio.sleep(wait)
        if cell.generation != generation or cell.over:
            return  # somebody else has restarted or stopped it in the meantime
        try:
            await begin(cell)
        except Exception as second:  # noqa: BLE001 - it counts as one more failure
            error = second
            note(cell, error)
            generation = cell.generation
        else:
            cell.restarts += 1
            cell.resume()
            return
