"""The application: its commands, and one place that turns failures into a sentence and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from spore import outputs
from spore.cli import BAD_INPUT, INTERRUPTED
from spore.cli.config_argument import DEFAULT_CONFIG
from spore.cli.console import OutputConsole
from spore.distribution import VERSION, extra_of, missing
from spore.errors import JournalFailed, JournalFull, RollbackFailed, SporeError, SwitchFailed, UnitFailed

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "PIPE_CLOSED", "app_for", "run"]

FAILED = 1
"""A part of a running system has failed, or could not be switched, or is not healthy."""
PIPE_CLOSED = 141
"""128 + SIGPIPE: whoever read our output has gone, as in ``spore decode FILE | head``."""

COMMANDS = (
    "schema",
    "decode",
    "encode",
    "relay",
    "journal",
    "nats",
    "record",
    "replay",
    "compare",
    "loadtest",
    "check",
    "run",
    "switch",
    "rollback",
    "monitor",
    "top",
    "metrics",
    "dashboard",
)
"""Each is the function of its name in the module of its name."""
USAGE = {"switch": "switch BUNDLE --to MODE FILE", "rollback": "rollback BUNDLE FILE"}
"""How a file is named where it is not the only argument."""


def app_for(tokens: Sequence[str]) -> App:
    """The application for a command line.

    It has the command with which the line begins, which does not wait for the imports that only others need, or all of them if it begins
    with none.
    """
    app = App(
        name="spore",
        console=OutputConsole(),
        version=VERSION,
        help="Event-driven services as trio actors: bundled in one nursery, or relayed as processes.",
        help_epilogue="Exit codes: 0 done · 1 a part of a running system has failed or is not as it should be · 2 bad input, configuration or usage · 130 interrupted.",
        help_format="markdown",
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )
    for name in tokens[:1] if tokens and tokens[0] in COMMANDS else COMMANDS:
        app.command(getattr(importlib.import_module(f"spore.cli.{name}"), name))
    return app


def run(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. What went wrong is said on stderr, in one line."""
    try:
        return _run(tokens)
    except BaseExceptionGroup as group:  # what a nursery raises; for a person, its first cause is the error
        error = _first(group)
    except (CycloptsError, SporeError, OSError, KeyboardInterrupt, ModuleNotFoundError) as raised:
        error = raised
    with suppress(OSError):  # that what was printed before cannot be written any more is not why the command failed
        sys.stdout.flush()
    return _explained(error, _hint_at_default(error, sys.argv[1:] if tokens is None else tokens))


def _run(tokens: Sequence[str] | None) -> int:
    words = sys.argv[1:] if tokens is None else tokens
    result = app_for(words)(
        words,
        error_console=Console(stderr=True),
        exit_on_error=False,
        print_error=True,
        result_action="return_value",
    )
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _hint_at_default(error: BaseException, words: Sequence[str]) -> str:
    """Why an error speaks of a configuration that nobody has named; empty if it does not."""
    default = str(DEFAULT_CONFIG)
    meant = error.filename == default if isinstance(error, OSError) else str(error).startswith(default)
    if not meant or default in words or not words:
        return ""
    usage = USAGE.get(words[0], f"{words[0]} FILE")
    return f" (no file was named, so {default} is meant; name another as in: spore {usage})"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explained(error: BaseException, hint: str = "") -> int:
    """The exit code of a failure, which is said in one line on stderr; what is no failure of the user's is raised."""
    match error:
        case CycloptsError():
            return BAD_INPUT  # it was printed already
        case BrokenPipeError(filename=None | outputs.STDOUT):
            return PIPE_CLOSED
        case ModuleNotFoundError() if (extra := extra_of(error)) is not None:
            return _say(missing("this command", error.name, extra))
        case UnitFailed() | SwitchFailed() | RollbackFailed() | JournalFailed() | JournalFull():
            _say(f"{error}{hint}")
            return FAILED
        case SporeError():
            return _say(f"{error}{hint}")
        case OSError():
            said = error.strerror or str(error)
            return _say(f"{error.filename}: {said}{hint}" if error.filename else said)
        case KeyboardInterrupt():
            return INTERRUPTED
    raise error


def _say(what: str) -> int:
    print(f"spore: {what}", file=sys.stderr)
    return BAD_INPUT
