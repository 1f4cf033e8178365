"""The pump: the task that runs one actor's async handler, message by message, for as long as the actor lives."""

from __future__ import annotations

from time import perf_counter_ns
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import enable_ki_protection

from spore.message import set_trace
from spore.nursery_bundle.answers import Unfinished, discard, is_awaitable, is_unfinished
from spore.nursery_bundle.envelope import Envelope
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.surroundings import own_decimals, surroundings
from spore.nursery_bundle.whose import calls_actor

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell

__all__ = ["run_pump"]


@enable_ki_protection
async def run_pump(cell: Cell) -> None:
    """Handle what is queued.

    Cancellation: wherever the handler waits, and between messages; the message in hand is a dead letter then.
    """
    task = trio.lowlevel.current_task()
    own_decimals()
    cell.dispatcher.pumps[task] = cell
    try:
        with trio.CancelScope() as cell.pump_scope:
            await _handle_all(cell, task)
    finally:
        cell.pumping = False
        cell.pump_scope = None
        del cell.dispatcher.pumps[task]
        cell.dispatcher.quiet.unpark_all()


@enable_ki_protection
@calls_actor("cell")
async def _handle_all(cell: Cell, task: trio.lowlevel.Task) -> None:
    mailbox = cell.mailbox

    def unpark(_: Any) -> trio.lowlevel.Abort:
        cell.pump = None
        return trio.lowlevel.Abort.SUCCEEDED

    while not cell.over and cell.is_async:
        if cell.adopted is not None:
            (unfinished, envelope), cell.adopted = cell.adopted, None
            await _finish(cell, unfinished, envelope)
        elif not cell.running or not (mailbox.normal or mailbox.high):
            if not len(mailbox):
                cell.rest()
            cell.pump = task
            if not cell.running:
                cell.dispatcher.quiet.unpark_all()  # somebody may wait until nothing is in hand
            await trio.lowlevel.wait_task_rescheduled(unpark)
            cell.dispatcher.new_slice()
            continue
        else:
            message = mailbox.high.popleft() if mailbox.high else mailbox.normal.popleft()
            cell.relieve()
            if message.__class__ is Envelope:
                await _handle_envelope(cell, message)
            else:
                try:
                    value = cell.handle(message)
                    if value.__class__ is CoroutineType or (value is not None and is_awaitable(value)):
                        value = await value
                    if value is not None and value.__class__ is not cell.finished:
                        _check_finished(cell, value)
                except Exception as error:  # noqa: BLE001 - the supervisor's
                    cell.fail(error, message)
                except BaseException:
                    cell.lose(message, cell.in_hand)
                    raise
        if cell.dispatcher.spent(1):
            await cell.dispatcher.give_way()


@enable_ki_protection
async def _handle_envelope(cell: Cell, envelope: Envelope) -> None:
    cell.before(envelope)
    await _finish(cell, None, envelope)


@enable_ki_protection
@calls_actor("cell")
async def _finish(cell: Cell, unfinished: Any, envelope: Envelope) -> None:
    """Handle a message about which there is more to know, or go on with the coroutine that its handler has returned."""
    token = set_trace(envelope.trace) if envelope.trace is not None else None
    found = surroundings() if envelope.check is not None else None
    began = perf_counter_ns()
    try:
        value = cell.handle(envelope.message) if unfinished is None else unfinished
        if value is not None and is_awaitable(value):
            value = await value
        if value is not None:
            _check_finished(cell, value)
    except Exception as error:  # noqa: BLE001 - the supervisor's
        cell.fail(error, envelope.message, envelope.reply)
    except BaseException:
        cell.lose(envelope, cell.in_hand)
        raise
    else:
        cell.after(envelope, value)
    finally:
        cell.time_handling(perf_counter_ns() - began, 1)
        if found is not None:
            cell.options.guards.compare_surroundings(cell.name, envelope.message, found)
        if token is not None:
            token.var.reset(token)


def _check_finished(cell: Cell, value: Any) -> None:
    if not is_unfinished(value):
        cell.finished = value.__class__
    else:
        discard(value)
        raise Unfinished(f"handle returned a {kind_of(value)}, which nobody runs")
