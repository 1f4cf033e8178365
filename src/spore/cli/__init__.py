"""The command line: one module a command, put together in `app`."""

from __future__ import annotations

import sys
from typing import NoReturn

from spore.distribution import extra_of, missing
from spore.outputs import open_standard_streams

__all__ = ["BAD_INPUT", "INTERRUPTED", "SERVING", "main"]

BAD_INPUT = 2
INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""
SERVING = frozenset({"run", "relay", "nats", "metrics", "dashboard", "switch", "rollback"})
"""Commands that others rely on, or that change something: they go on, and keep their exit code, when nobody reads their output."""


def main() -> NoReturn:
    """Run ``spore`` with the arguments of this process, and exit with its code."""
    open_standard_streams(goes_on=not SERVING.isdisjoint(sys.argv[1:2]))
    try:
        from spore.cli.app import run  # noqa: PLC0415 - what it needs may be missing

        sys.exit(run())
    except ModuleNotFoundError as error:
        if (extra := extra_of(error)) is None:
            raise
        print(f"spore: {missing('the command line', error.name, extra)}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:  # before there was a command that could tell
        sys.exit(INTERRUPTED)
