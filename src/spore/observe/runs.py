"""Runs of commands that measure, as their records tell of them: those that go on, and those that have ended.

A file is read again when it has grown, and otherwise not. What is in it came from this user's own processes, and is shown and not
trusted: a line that makes no sense is left out.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import attrs

from spore.observe.records import FILE_NAME, MAX_BYTES, MAX_KEPT, records_folder

__all__ = ["Run", "Runs"]


@attrs.define(kw_only=True)
class Run:
    """One run, as far as it has been told."""

    name: str
    """Of its file, without the suffix."""
    command: str
    begin: dict[str, Any]
    """When it began, and with what."""
    progress: dict[str, Any] | None = None
    """The last that was told: ``what``, ``done``, ``total``."""
    measured: list[dict[str, Any]] = attrs.field(factory=list)
    samples: list[dict[str, Any]] = attrs.field(factory=list)
    end: dict[str, Any] | None = None
    """The result, or ``error``."""
    goes_on: bool = False
    """Whether its process writes still."""

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        return attrs.asdict(self)


class Runs:
    """The runs of this user, newest first.

    Args:
        folder: where their records are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else records_folder()
        self._known: dict[str, tuple[tuple[int, bool], Run]] = {}

    def look(self) -> list[Run]:
        """What there is now. Empty if there is no folder, or it cannot be read. A run that has not changed is the same object."""
        try:
            names = sorted((name for name in os.listdir(self._folder) if FILE_NAME.fullmatch(name)), reverse=True)
        except OSError:
            return []
        found = {name: known for name in names[: 2 * MAX_KEPT] if (known := self._known_of(name)) is not None}
        self._known = found
        return [run for _, run in found.values()]

    def _known_of(self, name: str) -> tuple[tuple[int, bool], Run] | None:
        try:
            file = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            mark = os.fstat(file).st_size, _is_locked(file)
            known = self._known.get(name)
            if known is not None and known[0] == mark:
                return known
            run = _run(name.removesuffix(".jsonl"), os.pread(file, 2 * MAX_BYTES, 0), goes_on=mark[1])
        finally:
            os.close(file)
        return (mark, run) if run is not None else None


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _run(name: str, data: bytes, *, goes_on: bool) -> Run | None:
    run: Run | None = None
    for line in data.split(b"\n")[:-1]:  # what follows the last line break is not whole yet
        try:
            facts = json.loads(line, parse_constant=lambda _: None)  # no browser reads a NaN
            event = facts.pop("event")
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
            continue
        if run is None:
            if event != "begin":
                return None
            run = Run(name=name, command=str(facts.get("command", "")), begin=facts, goes_on=goes_on)
        match event:
            case "progress":
                run.progress = facts
            case "measured":
                run.measured.append(facts)
            case "sample":
                run.samples.append(facts)
            case "end":
                run.end = facts
    return run
