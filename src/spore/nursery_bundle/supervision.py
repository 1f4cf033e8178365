"""Supervision: what happens to an actor whose handler raised, and the two ends of each life, `on_start` and `on_stop`."""

from __future__ import annotations

import inspect
import logging
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.lowlevel import enable_ki_protection

from spore.errors import RestartLimit, StartTimeout, UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.answers import call, discard
from spore.nursery_bundle.cell import Failure
from spore.nursery_bundle.interrupts import calling
from spore.nursery_bundle.log import about_cell, describe, show_traceback
from spore.nursery_bundle.policy import Directive, Supervision
from spore.nursery_bundle.ports import bind_late_ports
from spore.nursery_bundle.whose import calls_actor, hosting

if TYPE_CHECKING:
    import random

    from spore.nursery_bundle.cell import Cell

__all__ = ["AS_IT_IS", "begin", "decide", "next_wait", "note", "restart", "run_on_stop"]

_log = logging.getLogger("spore.supervision")
_DIRECTIVES = frozenset(one.value for one in Directive)
AS_IT_IS: Final = object()
"""In place of an actor's state; see `begin`."""


@calls_actor("cell")
def decide(cell: Cell, error: Exception, message: Any) -> Directive:
    """What the actor itself, or else its supervision, wants done.

    Raises:
        Exception: what `on_error` itself raised, with ``error`` as its context; a UsageError where it answers no directive.
    """
    try:
        directive: Any = calling(cell.actor.on_error, error, message)
        if isinstance(directive, str) and directive in _DIRECTIVES:
            directive = Directive(directive)
        if directive is not None and not isinstance(directive, Directive):
            if inspect.isawaitable(directive):
                discard(directive)
                raise UsageError(f"actor {cell.name!r}: on_error is async, and has to be a plain method")
            raise UsageError(f"actor {cell.name!r}: on_error answers a spore.Directive or None, not {directive!r:.60}")
    except Exception as second:
        raise second from error
    return cell.supervision.on_failure if directive is None else directive


def note(cell: Cell, error: BaseException, message: str = "") -> None:
    """Remember why an actor has failed, for whoever looks at it.

    Args:
        cell: the actor's place.
        error: what was raised.
        message: the class of the message at fault; empty at a restart.
    """
    cell.failure = Failure(describe(error), message, time_ns())


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


@enable_ki_protection
@calls_actor("cell")
async def run_on_stop(cell: Cell) -> None:
    """Call an actor's `on_stop`, once for each `on_start` that has finished. What it raises is logged: the actor is going anyway.

    Where somebody else calls it already, wait until that has ended.

    Cancellation: as its `on_stop`, which is cancelled after `Supervision.stop_timeout_s`.
    """
    while cell.leaving:
        await cell.dispatcher.quiet.park()
    if not cell.living:
        return
    cell.living = False
    cell.leaving = True
    cell.end_timers()
    limit = cell.supervision.stop_timeout_s
    fields = about_cell(cell, failed=False)
    stopped: Any = None
    try:
        stopped = calling(cell.actor.on_stop)
        if stopped is not None:
            with trio.move_on_after(limit) as scope, hosting(cell):
                await call("on_stop", stopped)
            if scope.cancelled_caught:
                _log.error("actor %s: on_stop was cancelled after %g s", cell.name, limit, extra=fields)
    except Exception as error:  # noqa: BLE001 - it is logged, and that is all that can be done
        _log.error("actor %s: on_stop raised %s", cell.name, describe(error), extra=fields)
        show_traceback(_log, error, fields)
    finally:
        cell.leaving = False
        cell.dispatcher.quiet.unpark_all()


@enable_ki_protection
@calls_actor("cell")
async def begin(cell: Cell, state: Any = None) -> None:
    """Build an actor and put it in its place. It handles nothing yet; whoever would stop it waits until it has begun.

    Args:
        cell: the place.
        state: what `Actor.snapshot` of a predecessor returned; None for an actor that begins anew, and `AS_IT_IS` for one that is
            built already and has moved here in the midst of its life.

    Cancellation: as the actor's `on_start`, which is cancelled after `Supervision.start_timeout_s`.

    Raises:
        StartTimeout: if that happened.
        Exception: what the factory or `on_start` raised.
    """
    limit = cell.supervision.start_timeout_s
    cell.beginning = True
    try:
        cell.install(calling(cell.build))
        if state is not AS_IT_IS:
            if state is not None and (unfinished := calling(cell.actor.restore, state)) is not None:
                await call("restore", unfinished)
            started = calling(cell.actor.on_start)
            if started is not None:
                with trio.move_on_after(limit) as scope, hosting(cell):
                    await call("on_start", started)
                if scope.cancelled_caught:
                    reason = f"on_start was cancelled after {limit:g} s; Supervision(start_timeout_s=…) is the limit"
                    raise StartTimeout(cell.name, reason)
        cell.living = True
        if type(cell.actor).on_start is not Actor.on_start:
            bind_late_ports(cell)
    finally:
        cell.beginning = False
        if not cell.living:
            cell.end_timers()
        cell.dispatcher.quiet.unpark_all()
    if cell.over:
        await run_on_stop(cell)  # a deadline or a cancellation did not wait for it


@enable_ki_protection
async def restart(cell: Cell, error: Exception, generation: int, chances: random.Random) -> None:
    """Wait, build a fresh actor from the factory and go on with the mailbox as it is. Repeat while that fails.

    Args:
        cell: the place.
        error: what has failed.
        generation: the cell's when that was. Once the cell has another one, somebody else has restarted it.
        chances: for the jitter.

    Cancellation: a checkpoint; the actor then stays suspended and its mailbox is kept.

    Raises:
        RestartLimit: if there were too many restarts.
    """
    if cell.generation == generation:
        await run_on_stop(cell)
    while True:
        if cell.generation != generation:
            return  # somebody else has restarted it in the meantime
        if cell.over or cell.ending:
            _log.warning("actor %s: has failed, and stops: %s", cell.name, describe(error), extra=about_cell(cell))
            show_traceback(_log, error, about_cell(cell))
            return
        cell.restarted_at = list(cell.restarted_at)
        if cell.handled - cell.restarted_when >= cell.supervision.forgive_after:
            cell.restarted_at.clear()  # it has worked since, so a new row begins
        wait = next_wait(cell.supervision, cell.restarted_at, chances, name=cell.name, error=error)
        fields = about_cell(cell)
        _log.warning("actor %s: restarts in %.3f s after %s", cell.name, wait, describe(error), extra=fields)
        show_traceback(_log, error, fields)
        await trio.sleep(wait)
        if cell.generation != generation or cell.over or cell.ending:
            return
        try:
            await begin(cell)
        except Exception as second:  # noqa: BLE001 - it counts as one more failure
            error = second
            note(cell, error)
            generation = cell.generation
        else:
            cell.restarts += 1
            cell.restarted_when = cell.handled
            cell.resume()
            return
