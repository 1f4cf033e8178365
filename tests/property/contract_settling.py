"""A bundle's own counts and dead letters, held against the books of the drawn program."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.property.contract_books import Account, Message, Place

from spore.nursery_bundle import DeadLetter, Loss

__all__ = ["settle"]


def settle(account: Account, *, final: bool) -> None:
    """Hold a bundle's counts and dead letters against what was written here."""
    bundle, hold = account.bundle, account.books.hold
    if bundle is None:
        return
    hold(not bundle.defects, "{}: its guards have found {}", account.name, bundle.defects)
    letters = [*bundle.dead_letters]
    hold(
        bundle.dead_letters.total == len(letters),
        "{}: {} letters of {}",
        account.name,
        len(letters),
        bundle.dead_letters.total,
    )
    by_message: dict[int, DeadLetter] = {}
    ticks = 0
    for letter in letters:
        if not isinstance(letter.message, Message) or _was_no_tick(letter):
            ticks += 1
            continue
        message = letter.message
        hold(message.place.account is account, "{!r} is a dead letter of {}", message, account.name)
        hold(letter.actor == message.place.name, "{!r} is a dead letter of actor {}", message, letter.actor)
        hold(message.number not in by_message, "{!r} is two dead letters", message)
        by_message[message.number] = letter
    for place in account.places:
        _settle_place(place, by_message, final=final)
    hold(
        ticks >= account.timer_failures,
        "{}: {} letters of {} timers that failed",
        account.name,
        ticks,
        account.timer_failures,
    )
    statistics = bundle.statistics()
    known = [*statistics.actors.values(), statistics.ended]
    cells = [place.cell for place in account.places if place.cell is not None]
    for what, counted, expected in (
        ("received", sum(each.received for each in known), sum(_received(cell) + _held(cell) for cell in cells)),
        ("failed", sum(each.failed for each in known), sum(cell.failures for cell in cells)),
        ("lost", sum(sum(each.lost.values()) for each in known), sum(sum(cell.lost.values()) for cell in cells)),
        (
            "dead letters",
            statistics.dead_letters,
            sum(each.failed + sum(each.lost.values()) for each in known) + ticks,
        ),
    ):
        hold(
            counted == expected,
            "{}: {} is {} in its statistics, and {} in its actors",
            account.name,
            what,
            counted,
            expected,
        )
    for actor in statistics.actors.values():
        sums = actor.handled + actor.failed + sum(actor.lost.values()) + actor.queued + actor.held
        hold(actor.received == sums and actor.handled >= 0, "{}: {} does not add up", account.name, actor)
    if final:
        hold(statistics.active == 0, "{}: {} actors are at work after the end", account.name, statistics.active)


def _settle_place(place: Place, letters: dict[int, DeadLetter], *, final: bool) -> None:
    hold = place.account.books.hold
    taken = received = failed = 0
    lost: Counter[Loss] = Counter()
    for message in place.messages:
        letter = letters.get(message.number)
        received += bool(letter or message.begun)
        if letter is not None and letter.reason is Loss.FAILED:
            failed += 1
            hold(message.ended == "raised", "{!r} is a dead letter that failed", message)
        elif letter is not None:
            lost[letter.reason] += 1
            hold(
                message.ended == "cut" or not message.begun,
                "{!r} is a dead letter ({}), and was handled",
                message,
                letter.reason,
            )
        elif message.begun:
            taken += 1
            hold(
                message.ended == "done" or (not message.ended and not final),
                "{!r} was begun, and is no dead letter",
                message,
            )
        if message.fate == "accepted" and final:
            hold(bool(letter or message.begun), "{!r} was accepted, and nothing has become of it", message)
        if message.fate == "refused":
            hold(not letter and not message.begun, "{!r} was refused, and {}", message, letter or "was handled")
        if final:
            hold(message.fate != "open", "{!r}: its sender never came back", message)
    cell = place.cell
    if cell is None:
        hold(not received, "{} was never there, and has received {}", place.label, received)
        return
    adopted = not final and cell.turned_async
    hold(
        taken <= cell.handled <= taken + adopted,
        "{}: {} handled by its count, {} in truth",
        place.label,
        cell.handled,
        taken,
    )
    hold(cell.failures == failed, "{}: {} failed by its count, {} in truth", place.label, cell.failures, failed)
    hold({**cell.lost} == {**lost}, "{}: lost {} by its count, {} in truth", place.label, cell.lost, dict(lost))
    if cell.mailbox.overflow not in ("block", "conflate"):
        hold(len(cell.mailbox) <= cell.capacity, "{} holds {} of {}", place.label, len(cell.mailbox), cell.capacity)
    if not final:
        return
    hold(
        _received(cell) == received,
        "{}: {} received by its count, {} in truth",
        place.label,
        _received(cell),
        received,
    )
    hold(
        not len(cell.mailbox) and not cell.mailbox.sending,
        "{} has {} queued after the end",
        place.label,
        len(cell.mailbox),
    )
    hold(not cell.merge, "{} holds {} after the end", place.label, cell.merge and len(cell.merge))
    hold(not cell.overfull or cell not in cell.dispatcher.overfull, "{} is overfull after the end", place.label)
    for life in place.lives:
        hold(
            life.state in ("built", "failed", "gone"),
            "life {} of {} is {} after the end",
            life.number,
            place.label,
            life.state,
        )


def _received(cell: Any) -> int:
    return int(cell.sent_before + sum(edge.sent for edge in cell.edges))


def _held(cell: Any) -> int:
    return len(cell.merge) if cell.merge is not None else 0


def _was_no_tick(letter: DeadLetter) -> bool:
    """Whether a timer could not send at all: its receiver was not there, so nothing has failed at it."""
    return (
        letter.reason is Loss.FAILED
        and letter.error is not None
        and letter.error.kind == "UsageError"
        and not letter.message.begun
    )
