"""What is said in logs, and who it is about: a sentence a record, and names as fields of the record.

Every record of Spore has one line. The traceback of a failure that is dealt with is in a record of its own, at the level DEBUG.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell

__all__ = ["FIELDS", "about", "about_cell", "describe", "kind_of", "show", "show_traceback"]

LONGEST = 200
"""Characters of what is logged of an object."""

FIELDS = ("bundle", "actor", "message_type")
"""The fields that a record may have beside the usual ones: names, and the class of a message."""


def kind_of(thing: object) -> str:
    """The name of an object's class. It never raises."""
    name = getattr(type(thing), "__name__", None)
    return name if isinstance(name, str) else "object"


def describe(error: BaseException) -> str:
    """An error in one line: its class and its text. It never raises, whatever the error's own methods do."""
    kind = kind_of(error)
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error that cannot be printed is still one
        text = "(it cannot be printed)"
    return f"{kind}: {text}" if text else kind


def show(thing: object) -> str:
    """An object as its ``repr`` has it, shortened. It never raises, whatever the object's own methods do."""
    try:
        text = repr(thing)
    except Exception:  # noqa: BLE001 - an object that cannot be shown is still one
        text = object.__repr__(thing)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def about(*, bundle: str = "", actor: str = "", message_type: str = "") -> dict[str, str]:
    """The fields of a record, for ``extra=``; those that say nothing are left out."""
    given = {"bundle": bundle, "actor": actor, "message_type": message_type}
    return {name: value for name, value in given.items() if value}


def about_cell(cell: Cell, *, failed: bool = True) -> dict[str, str]:
    """The fields of a record about an actor; with the message at which it failed the last time, if the record says that."""
    message = cell.failure.message if failed and cell.failure is not None else ""
    return about(bundle=cell.keeper.bundle, actor=cell.name, message_type=message)


def show_traceback(log: logging.Logger, error: BaseException, fields: dict[str, str]) -> None:
    """Log the traceback of an error at the level DEBUG. A line about the error stands before it."""
    log.debug("where that comes from:", exc_info=error, extra=fields)
