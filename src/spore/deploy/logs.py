"""How the processes of a system write their logs: on stderr, a line a record, as text or as JSON.

Quiet by default: warnings and errors. A traceback is written of what ends a part of the system, which is an error, and of everything
at the level ``debug``. A process writes as the one that has started it does.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import attrs

from spore.nursery_bundle.log import FIELDS

__all__ = ["Form", "Level", "Logs", "logs_here", "set_up_logs"]

Form: TypeAlias = Literal["text", "json"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


@attrs.frozen(kw_only=True)
class Logs:
    """What is written, and how."""

    form: Form = "text"
    level: Level = "warning"
    """Of Spore's own records. Of others' it is always ``warning``."""


class LineFormatter(logging.Formatter):
    """``TIME LEVEL LOGGER: SENTENCE key=value …``, for people.

    Args:
        part: which part of the system this process runs; empty for the one that controls the others.
    """

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self.part = part

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_quoted(value)}" for name, value in _facts(record, self.part).items())
        line = f"{_at(record)} {record.levelname.lower()} {record.name}: {_sentence(record)}"
        return f"{line} {facts}".rstrip() + (f"\n{self.traceback(record)}" if record.exc_info else "")

    def traceback(self, record: logging.LogRecord) -> str:
        """Where the record's error comes from."""
        return self.formatException(record.exc_info) if record.exc_info else ""


class JsonFormatter(LineFormatter):
    """A JSON object a record, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": _sentence(record),
            "pid": record.process,
            **_facts(record, self.part),
        }
        if record.exc_info:
            said["traceback"] = self.traceback(record)
        return json.dumps(said, ensure_ascii=False)


def set_up_logs(logs: Logs, part: str = "") -> None:
    """Write records to stderr from now on, unless this process does something with them already.

    Args:
        logs: what, and how.
        part: which part of the system this process runs; empty for the one that controls the others.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonFormatter if logs.form == "json" else LineFormatter)(part))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("spore").setLevel(logs.level.upper())


def logs_here() -> Logs:
    """As this process writes its own."""
    form: Form = "text"
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers):
        form = "json"
    number = logging.getLogger("spore").getEffectiveLevel()
    levels: tuple[tuple[int, Level], ...] = (
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warning"),
    )
    level: Level = "error"
    for most, name in reversed(levels):
        if number <= most:
            level = name
    return Logs(form=form, level=level)


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sentence(record: logging.LogRecord) -> str:
    """What is said, on one line whatever an error has in it."""
    return " ".join(record.getMessage().splitlines())


def _facts(record: logging.LogRecord, part: str) -> dict[str, str]:
    facts = {"part": part} if part else {}
    return facts | {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}


def _quoted(value: str) -> str:
    return (
        value
        if value and value.isprintable() and not set(value) & set(' "=')
        else json.dumps(value, ensure_ascii=False)
    )
