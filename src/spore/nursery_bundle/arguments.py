"""What a mailbox is made with, checked: errors are Spore's, and of the types that trio raises for its channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

from spore.errors import UsageError
from spore.nursery_bundle.policy import Overflow

__all__ = ["WrongType", "WrongValue", "check_callable", "check_capacity", "check_limit", "check_overflow"]


class WrongType(UsageError, TypeError):
    """An argument of the wrong type, such as a capacity of ``1.5``."""


class WrongValue(UsageError, ValueError):
    """An argument that means nothing, such as a capacity of 0."""


def check_capacity(capacity: float) -> None:
    """Raise for what is no int of at least 1, and not infinite."""
    if capacity != math.inf and not isinstance(capacity, int):
        raise WrongType(f"a mailbox's capacity is an int of at least 1, or math.inf, and cannot be {capacity!r}")
    if capacity < 1:
        raise WrongValue(f"a mailbox holds at least 1 message, so its capacity cannot be {capacity!r}")


def check_overflow(overflow: Overflow | str, key: Callable[[Any], Hashable] | None) -> Overflow:
    """The policy that a word names. Raise for a word that names none, or one that does not go with the key."""
    try:
        policy = Overflow(overflow)
    except ValueError:
        known = ", ".join(Overflow)
        raise WrongValue(f"there is no overflow policy {overflow!r}; there are {known}") from None
    if (policy is Overflow.CONFLATE) != (key is not None):
        raise WrongValue("a key, and only with it, the policy conflate: the newest of each key is kept")
    check_callable("key", key)
    return policy


def check_callable(name: str, function: object) -> None:
    """Raise for what is to be called with a message, and cannot be."""
    if function is not None and not callable(function):
        raise WrongType(f"{name} is called with a message, and {function!r} cannot be called")


def check_limit(limit: int | None) -> None:
    """Raise for a batch of less than one message."""
    if limit is not None and not isinstance(limit, int):
        raise WrongType(f"a batch's limit is an int or None, not {limit!r}")
    if limit is not None and limit < 1:
        raise WrongValue(f"a batch holds at least 1 message, not {limit}")
