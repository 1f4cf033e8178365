"""The application: its commands, and one place that turns failures into a sentence and an exit code."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from spore.cli.check import check
from spore.cli.compare import compare
from spore.cli.decode import decode
from spore.cli.encode import encode
from spore.cli.loadtest import loadtest
from spore.cli.monitor import monitor
from spore.cli.nats import nats
from spore.cli.record import record
from spore.cli.relay import relay
from spore.cli.replay import replay
from spore.cli.rollback import rollback
from spore.cli.run import run as run_config
from spore.cli.schema import schema
from spore.cli.switch import switch
from spore.errors import RollbackFailed, SporeError, SwitchFailed, UnitFailed

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "PIPE_CLOSED", "app", "run"]

FAILED = 1
"""A part of a running system has failed, or could not be switched, or is not healthy."""
BAD_INPUT = 2
INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""
PIPE_CLOSED = 141
"""128 + SIGPIPE: whoever read our output has gone, as in ``spore decode FILE | head``."""

app = App(
    name="spore",
    version=lambda: importlib.metadata.version("spore"),
    help="Event-driven services as trio actors: bundled in one nursery, or relayed as processes.",
    help_epilogue="Exit codes: 0 done · 1 a part of a running system has failed or is not as it should be · 2 bad input, configuration or usage · 130 interrupted.",
    help_format="markdown",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)
app.command(schema)
app.command(decode)
app.command(encode)
app.command(relay)
app.command(nats)
app.command(record)
app.command(replay)
app.command(compare)
app.command(loadtest)
app.command(check)
app.command(run_config, name="run")
app.command(switch)
app.command(rollback)
app.command(monitor)


def run(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. What went wrong is said on stderr, in one line."""
    try:
        return _run(tokens)
    except BaseExceptionGroup as group:  # what a nursery raises; for a person, its first cause is the error
        return _explained(_first(group))
    except (CycloptsError, SporeError, OSError, KeyboardInterrupt) as error:
        return _explained(error)


def _run(tokens: Sequence[str] | None) -> int:
    result = app(
        tokens,
        error_console=Console(stderr=True),
        exit_on_error=False,
        print_error=True,
        result_action="return_value",
    )
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explained(error: BaseException) -> int:
    """The exit code of a failure, which is said in one line on stderr; what is no failure of the user's is raised."""
    match error:
        case CycloptsError():
            return BAD_INPUT  # it was printed already
        case BrokenPipeError():
            # The interpreter flushes stdout once more at its end; give it somewhere to flush to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        case UnitFailed() | SwitchFailed() | RollbackFailed():
            _say(str(error))
            return FAILED
        case SporeError():
            return _say(str(error))
        case OSError():
            return _say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        case KeyboardInterrupt():
            return INTERRUPTED
    raise error


def _say(what: str) -> int:
    print(f"spore: {what}", file=sys.stderr)
    return BAD_INPUT
