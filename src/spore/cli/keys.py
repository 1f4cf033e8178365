"""Keys that are pressed in a terminal, one at a time and without Enter."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import trio

__all__ = ["keys", "single_keys"]


@contextmanager
def single_keys() -> Iterator[bool]:
    """Have stdin give each key at once, unseen, for the length of a block. Ctrl-C stays what it is.

    Yields:
        Whether there is somebody with a keyboard.
    """
    if not sys.stdin.isatty():
        yield False
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield True
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def keys() -> AsyncIterator[str]:
    """Each key, as long as there is a keyboard; of a key that sends several characters, all of them together.

    Cancellation: a checkpoint before each.
    """
    terminal = sys.stdin.fileno()
    while True:
        await trio.lowlevel.wait_readable(terminal)
        data = os.read(terminal, 64)
        if not data:
            return
        text = data.decode(errors="ignore")
        if text.startswith("\x1b"):
            yield text
        else:
            for character in text:
                yield character
