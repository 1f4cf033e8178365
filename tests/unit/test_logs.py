"""How logs are written: a line a record, and who it is about."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
import trio
from tests.actors import NO_WAIT, Log

from spore import open_bundle
from spore.deploy.logs import JsonFormatter, LineFormatter
from spore.testing import run

AT = 1_700_000_000.25


def record(text: str, *args: Any, error: BaseException | None = None, **fields: str) -> logging.LogRecord:
    info = (type(error), error, None) if error is not None else None
    made = logging.LogRecord("spore.bundle", logging.WARNING, "", 0, text, args, info)
    made.created = AT
    vars(made).update(fields)
    return made


def test_a_line_has_the_time_the_sentence_and_who_it_is_about() -> None:
    """What has spaces in it is quoted; a sentence stays on its line."""
    line = LineFormatter("bundle 'core'").format(record("stops after %s", "a\nb", bundle="core", actor="a b"))
    assert line == (
        '2023-11-14T22:13:20.250Z warning spore.bundle: stops after a b part="bundle \'core\'" bundle=core actor="a b"'
    )
    assert LineFormatter().format(record("ends")) == "2023-11-14T22:13:20.250Z warning spore.bundle: ends"


def test_machines_get_an_object_a_line() -> None:
    """With the traceback in it, where there is one."""
    said = JsonFormatter().format(record("ends", error=ValueError("x"), message_type="Tick"))
    assert "\n" not in said
    found = json.loads(said)
    assert (found["level"], found["text"], found["message_type"]) == ("warning", "ends", "Tick")
    assert found["traceback"] == "ValueError: x"
    assert "part" not in found


def restarted(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    async def main() -> None:
        async with open_bundle("core") as bundle:
            ref = await bundle.start(Log, log=[], name="desk", supervision=NO_WAIT)
            ref.tell(ValueError("x"))
            await trio.sleep(1)

    with caplog.at_level(level):
        run(main)
    return caplog.records


def test_a_restart_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """With bundle, actor and message as fields of the record, and no traceback."""
    (line,) = restarted(caplog, logging.WARNING)
    assert line.getMessage() == "actor desk: restarts in 0.000 s after ValueError: x"
    fields: Any = line
    assert (fields.bundle, fields.actor, fields.message_type, line.exc_info) == ("core", "desk", "ValueError", None)


def test_the_traceback_of_a_restart_is_for_those_who_want_it(caplog: pytest.LogCaptureFixture) -> None:
    """At the level debug."""
    _, traceback = restarted(caplog, logging.DEBUG)
    assert (traceback.levelno, traceback.name) == (logging.DEBUG, "spore.supervision")
    assert traceback.exc_info is not None
    assert "in handle" in LineFormatter().format(traceback)
    assert sys.exc_info() == (None, None, None)
