"""Where commands print tables: a console that leaves what happens at a closed pipe to `spore.cli.app`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from spore.outputs import STDOUT

__all__ = ["OutputConsole", "kept_in", "output_console"]


class OutputConsole(Console):
    """A console on standard output."""

    def on_broken_pipe(self) -> NoReturn:
        """Whoever read has gone: raise that, where rich would end the process with an exit code of its own."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def output_console(*, width: int | None = None) -> OutputConsole:
    """A console on standard output.

    Args:
        width: in characters, at least, where no terminal says how many there are.
    """
    console = OutputConsole()
    if width is not None and not console.is_terminal:
        console.width = max(console.width, width)
    return console


@contextmanager
def kept_in(*files: Path | None) -> Iterator[None]:
    """Around the printing of what took long to measure: if standard output fails, say on standard error which files have it, too."""
    try:
        yield
    except OSError as error:
        if error.filename == STDOUT and (kept := [str(file) for file in files if file is not None]):
            print(f"spore: the result is in {' and in '.join(kept)}", file=sys.stderr)
        raise
