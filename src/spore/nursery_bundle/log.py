"""What is said in logs, and who it is about: a sentence a record, and names as fields of the record.

Every record of Spore has one line. The traceback of a failure that is dealt with is in a record of its own, at the level DEBUG.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spore.nursery_bundle.cell import Cell

__all__ = ["FIELDS", "about", "about_cell", "show_traceback"]

FIELDS = ("bundle", "actor", "message_type")
"""The fields that a record may have beside the usual ones: names, and the class of a message."""


def about(*, bundle: str = "", actor: str = "", message_type: str = "") -> dict[str, str]:
    """The fields of a record, for ``extra=``; those that say nothing are left out."""
    given = {"bundle": bundle, "actor": actor, "message_type": message_type}
    return {name: value for name, value in given.items() if value}


def about_cell(cell: Cell, *, failed: bool = True) -> dict[str, str]:
    """The same of an actor; with the message at which it has failed the last time, if that is what is said."""
    message = cell.failure.message if failed and cell.failure is not None else ""
    return about(bundle=cell.keeper.bundle, actor=cell.name, message_type=message)


def show_traceback(log: logging.Logger, error: BaseException, fields: dict[str, str]) -> None:
    """Say where an error that was told of in a line comes from, to whoever wants to know it."""
    log.debug("where that comes from:", exc_info=error, extra=fields)
