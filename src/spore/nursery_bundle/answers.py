"""What a handler may return, and what it has not finished: a coroutine that somebody must await, a generator that nobody iterates."""

from __future__ import annotations

import types
from contextlib import suppress
from inspect import isawaitable
from typing import Any

__all__ = ["Unfinished", "call", "discard", "is_awaitable", "is_unfinished"]

_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)


class Unfinished(TypeError):
    """A method returned something that would still have to be awaited or iterated, and that nobody will."""


def is_awaitable(value: Any) -> bool:
    """Whether somebody has to await it."""
    return value.__class__ is types.CoroutineType or isawaitable(value)


def is_unfinished(value: Any) -> bool:
    """Whether something has still to be run for it to be an answer."""
    return value.__class__ is types.CoroutineType or isinstance(value, _GENERATORS) or isawaitable(value)


def discard(value: Any) -> None:
    """Let go of what will never be run, without the warning that it never was."""
    close = getattr(value, "close", None)
    if close is not None:
        with suppress(Exception):
            close()


async def call(what: str, result: Any) -> Any:
    """The outcome of a method that may be plain or async.

    Args:
        what: the method's name, for the error.
        result: what calling the method returned.

    Cancellation: as the method.

    Raises:
        Unfinished: if that is a generator.
    """
    if isawaitable(result):
        result = await result
    if is_unfinished(result):
        discard(result)
        raise Unfinished(
            f"{what} returned a {type(result).__name__}, which nobody runs; make it an async def without yield"
        )
    return result
