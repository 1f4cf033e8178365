"""Ctrl-C: Spore's own steps are not torn apart by it, and a user's code is interrupted wherever it stands.

trio marks code as protected or not, and goes by the innermost frame with a mark. Functions of Spore that take a message and count it
are marked as protected; so each call of a user's code is marked as interruptible again. A mark is made once, and costs nothing per call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any, TypeVar

from trio.lowlevel import disable_ki_protection

__all__ = ["calling", "interruptible"]

T = TypeVar("T")


@disable_ki_protection
def calling(function: Callable[..., T], *args: Any, **fields: Any) -> T:
    """Call a user's function, interruptible."""
    return function(*args, **fields)


def interruptible(function: Callable[..., T]) -> Callable[..., T]:
    """A user's function, interruptible: itself, marked, where it is written in Python; else through `calling`."""
    plain = getattr(function, "__func__", function)
    if isinstance(getattr(plain, "__code__", None), CodeType):
        disable_ki_protection(plain)
        return function
    return partial(calling, function)
