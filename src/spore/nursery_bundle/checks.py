"""What can be refused when an actor is started is refused then, with what would be right, and not at its first failure."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any
from weakref import WeakSet

import attrs

from spore.errors import OptionError, UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.log import kind_of
from spore.nursery_bundle.policy import Supervision

__all__ = [
    "MAX_CAPACITY",
    "OPTIONS",
    "check_class",
    "check_factory",
    "check_handler",
    "check_name",
    "check_seconds",
    "check_start",
    "check_whole",
]

OPTIONS = frozenset(
    {"capacity", "dispatch", "key", "merge", "name", "overflow", "portable", "state", "supervision", "verify"}
)
"""The options of `spore.Bundle.start`."""
MAX_CAPACITY = 2**32 - 1
"""In messages: what a receiver can tell its senders over a link."""
_PLAIN_METHODS = ("on_error", "skipped", "snapshot", "restore")
_NO_GENERATORS = ("handle", "on_start", "on_stop", *_PLAIN_METHODS)
_checked: WeakSet[type] = WeakSet()
_ordinary: WeakSet[type] = WeakSet()
"""Classes that `check_factory` has nothing to say about."""


def check_name(name: object, what: str) -> None:
    """Refuse a name that could not be shown in a line, or typed.

    Raises:
        UsageError: for anything but text of printable characters.
    """
    if not isinstance(name, str):
        raise OptionError(f"a name of {what} is text, not {name!r:.60}")
    if not name or not name.isprintable() or name != name.strip():
        raise OptionError(
            f"a name of {what} has printable characters, none of them around it a space, and {name!r:.60} has not"
        )


def check_seconds(value: object, what: str, *, zero: bool) -> None:
    """Refuse what is no duration.

    Args:
        value: in seconds; infinity is one.
        what: it is for, with the option's name.
        zero: whether 0 is one.

    Raises:
        UsageError: for anything else.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    if not number or value < 0 or (value == 0 and not zero):  # type: ignore[operator]
        raise OptionError(f"{what} is {'0 seconds or more' if zero else 'more than 0 seconds'}, not {value!r:.60}")


def check_whole(value: object, what: str, *, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number from ``least``, up to ``most``.

    Raises:
        UsageError: for anything else.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        upto = "" if most is None else f" to {most:,}"
        raise OptionError(f"{what} is a whole number from {least}{upto}, not {value!r:.60}")


def check_start(
    name: str,
    *,
    capacity: object,
    verify: object,
    verifier: object,
    merge: object,
    supervision: object,
    key: object,
    portable: object,
) -> None:
    """Refuse options of a start that mean nothing.

    Raises:
        UsageError: naming the option, and what would be right.
    """
    check_whole(capacity, f"actor {name!r}: capacity", least=1, most=MAX_CAPACITY)
    if not isinstance(verify, (int, float)) or not 0 <= verify <= 1:
        raise OptionError(f"actor {name!r}: verify is a share from 0 to 1, not {verify!r:.60}")
    if verify and verifier is None:
        raise UsageError(f"actor {name!r}: nothing to verify with; give open_bundle a verifier")
    if merge not in {None, "event_time"}:
        raise OptionError(f"actor {name!r} cannot merge by {merge!r:.60}; there is only 'event_time'")
    if supervision is not None and not isinstance(supervision, Supervision):
        right = "supervision=spore.Supervision(on_failure=spore.Directive.RESTART)"
        raise OptionError(
            f"actor {name!r}: supervision is a spore.Supervision, not {supervision!r:.60}; for example {right}"
        )
    if key is not None and (not callable(key) or inspect.iscoroutinefunction(key)):
        raise OptionError(f"actor {name!r}: key is a plain function of a message, not {key!r:.60}")
    if not isinstance(portable, bool):
        raise OptionError(f"actor {name!r}: portable is True or False, not {portable!r:.60}")


def check_factory(factory: Callable[..., Any], fields: Mapping[str, Any], *, name: str) -> None:
    """Refuse what cannot make an actor: what cannot be called, an async function, a class that is none of an actor.

    Raises:
        UsageError: naming what would be right.
    """
    if not callable(factory):
        what = (
            f"an {kind_of(factory)} itself; give its class"
            if isinstance(factory, Actor)
            else f"{factory!r:.60}, which cannot be called"
        )
        raise UsageError(f"actor {name!r} is made by a class or a function, not by {what}")
    if inspect.iscoroutinefunction(factory):
        raise UsageError(f"actor {name!r}: its factory is async; make it a plain function, and wait in on_start")
    if not isinstance(factory, type) or factory in _ordinary:
        return
    if not issubclass(factory, Actor):
        raise UsageError(f"actor {name!r}: class {factory.__qualname__} is no spore.Actor; derive it from that")
    check_class(factory, name=name)
    clashing = [
        field
        for field in (attrs.fields(factory) if attrs.has(factory) else ())
        if field.init and field.default is attrs.NOTHING and field.alias in OPTIONS
    ]
    if not clashing:
        _ordinary.add(factory)
    for field in clashing:
        if field.alias not in fields:
            raise UsageError(
                f"actor {name!r}: its field {field.alias!r} has the name of an option of start; "
                f"give it in the factory: start(functools.partial({factory.__name__}, {field.alias}=…))"
            )


def check_class(cls: type, *, name: str) -> None:
    """Refuse a class of actors whose methods could not be called as they will be.

    Raises:
        UsageError: naming the method, and what would be right.
    """
    if cls in _checked:
        return
    for method in _PLAIN_METHODS:
        if inspect.iscoroutinefunction(getattr(cls, method)) or inspect.isasyncgenfunction(getattr(cls, method)):
            raise UsageError(f"actor {name!r}: {cls.__qualname__}.{method} is async, and has to be a plain method")
    for method in _NO_GENERATORS:
        function = inspect.getattr_static(cls, method)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(
                f"actor {name!r}: {cls.__qualname__}.{method} is a generator, which nobody iterates; take the yield out"
            )
        if not callable(getattr(cls, method)) and not isinstance(function, MemberDescriptorType):
            raise UsageError(f"actor {name!r}: {cls.__qualname__}.{method} is no method")
    for method, arguments in (("handle", 1), ("on_start", 0), ("on_stop", 0), ("on_error", 2)):
        _check_takes(cls, method, arguments, name)
    _checked.add(cls)


def check_handler(actor: Actor[Any], *, name: str) -> None:
    """Refuse an actor that has nothing to handle messages with.

    Raises:
        UsageError: naming what would be right.
    """
    handle: object = actor.handle
    if getattr(handle, "__func__", None) is Actor.handle or not callable(handle):
        raise UsageError(f"actor {name!r}: class {type(actor).__qualname__} has no handle(self, message)")


def _check_takes(cls: type, method: str, arguments: int, name: str) -> None:
    function = inspect.getattr_static(cls, method)
    if not inspect.isfunction(function):  # what it takes cannot be told of every descriptor
        return
    try:
        inspect.signature(function).bind(*range(arguments + 1))
    except TypeError:
        right = {"handle": "(self, message)", "on_error": "(self, error, message)"}.get(method, "(self)")
        raise UsageError(
            f"actor {name!r}: {cls.__qualname__}.{method} is called as {method}{right}, and takes something else"
        ) from None
