"""The line of tasks that wait to send, and the queue that holds one value a key.

Under ``conflate`` both know values by key, and a key is in one of them at the most.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import attrs
import trio

__all__ = ["Keyed", "Line", "Waiter"]

T = TypeVar("T")


class Keyed(Generic[T]):
    """A queue that holds one value a key, the newest, in the order of their arrival."""

    __slots__ = ("key", "values")

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self.key = key
        self.values: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self.values)

    def append(self, value: T) -> None:
        self.replace(self.key(value), value)

    def popleft(self) -> T:
        return self.values.pop(next(iter(self.values)))

    def replace(self, key: Hashable, value: T) -> list[T]:
        """Queue a value, and return the value that it displaces, if there is one.

        The newer value goes to the end of the queue, so that the values of one sender are still received in the
        order in which they were sent.
        """
        older = [self.values.pop(key)] if key in self.values else []
        self.values[key] = value
        return older


@attrs.define(eq=False)
class Waiter(Generic[T]):
    """A task in line, with the value that it brings."""

    value: T
    high: bool
    keyed: bool
    """Whether a newer value with the key of this one displaces it."""
    key: Hashable
    admitted: Callable[[], None] | None
    end: object
    """The end of the channel through which it sends."""


class Line(dict[trio.lowlevel.Task, Waiter[Any]]):
    """Tasks in line, in the order in which they came."""

    __slots__ = ("_by_key", "_high")

    def __init__(self) -> None:
        super().__init__()
        self._high: dict[trio.lowlevel.Task, None] = {}
        self._by_key: dict[Hashable, dict[trio.lowlevel.Task, None]] = {}

    def enter(self, task: trio.lowlevel.Task, waiter: Waiter[Any]) -> None:
        if waiter.keyed:
            self._by_key.setdefault(waiter.key, {})[task] = (
                None  # first: a key that has no hash raises, and nobody is in line
            )
        if waiter.high:
            self._high[task] = None
        self[task] = waiter

    def leave(self, task: trio.lowlevel.Task) -> Waiter[Any]:
        waiter = self.pop(task)
        if waiter.high:
            del self._high[task]
        if waiter.keyed:
            fellows = self._by_key[waiter.key]
            del fellows[task]
            if not fellows:
                del self._by_key[waiter.key]
        return waiter

    def first(self) -> trio.lowlevel.Task:
        """The task whose turn is next: the first of high priority, and else the first."""
        return next(iter(self._high or self))

    def with_key(self, key: Hashable) -> list[trio.lowlevel.Task]:
        """The tasks that bring values with a key, in the order in which they came."""
        return list(self._by_key.get(key, ()))
