"""The fields of an actor in which references may be: attributes, slots, and containers in them, however they are nested.

What is found when an actor is built becomes its port. A reference inside a helper object cannot: the object may be another
actor's, too. It is refused, never ignored.
"""

from __future__ import annotations

import copy
import functools
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from spore.errors import UsageError
from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.ref import ActorRef

__all__ = ["fields_of", "hidden_reference", "references_in", "replaced", "slots_of"]

DEEPEST = 6
"""How deep containers and helper objects are looked into."""
LARGEST = 10_000
"""In a search that is repeated, containers with more items are not looked into: those of references are not so large."""

_ATOMS = frozenset({int, float, bool, str, bytes, type(None), types.FunctionType, type, types.ModuleType})
_SLOTS: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()

Replace = Callable[[ActorRef[Any]], ActorRef[Any]]


def slots_of(cls: type) -> tuple[str, ...]:
    """The names of a class's fields that are not in a ``__dict__``, those of its bases included, as `getattr` takes them; of an attrs class in
    the order of their definition.

    Raises:
        UsageError: if the class itself holds a reference, which all its actors would share.
    """
    known = _SLOTS.get(cls)
    if known is None:
        names = dict.fromkeys(field.name for field in attrs.fields(cls)) if attrs.has(cls) else {}
        for base in cls.__mro__:
            for name, member in vars(base).items():
                if isinstance(member, types.MemberDescriptorType):
                    names[name] = None
                elif isinstance(member, ActorRef):
                    raise UsageError(
                        f"class {base.__qualname__} holds a reference in {name!r}, which all its actors would share; "
                        f"give each its own: start(…, {name}=…)"
                    )
        known = _SLOTS[cls] = tuple(names)
    return known


def fields_of(actor: object) -> list[tuple[str, Any]]:
    """The attributes of an object, in slots and in its ``__dict__``, by name; without those that cannot hold a reference."""
    names = slots_of(type(actor))
    found = [(name, value) for name in names if (value := getattr(actor, name, None)).__class__ not in _ATOMS]
    more = getattr(actor, "__dict__", None)
    if more:
        found += [(name, value) for name, value in more.items() if value.__class__ not in _ATOMS and name not in names]
    return found


def replaced(value: Any, by: Replace, *, in_place: bool, depth: int = 0) -> Any:
    """A value with each reference in it replaced; the value itself where there is none.

    Args:
        value: a reference, or a container of some.
        by: what takes the place of one.
        in_place: change a container that can be changed; else, make another one like it, because it may be somebody else's.
        depth: how many containers this one is in.
    """
    if isinstance(value, ActorRef):
        return by(value)
    if depth >= DEEPEST or (in_place and _is_large(value)):
        return value
    again = functools.partial(replaced, by=by, in_place=in_place, depth=depth + 1)
    if isinstance(value, dict):
        pairs = [(key, item, again(key), again(item)) for key, item in value.items()]
        if all(key is new_key and item is new for key, item, new_key, new in pairs):
            return value
        target = value if in_place else copy.copy(value)
        target.clear()
        target.update((new_key, new) for _, _, new_key, new in pairs)
        return target
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        items = [(item, again(item)) for item in value]
        if all(item is new for item, new in items):
            return value
        return _refilled(value, [new for _, new in items], in_place=in_place)
    return value


def _refilled(value: Any, items: list[Any], *, in_place: bool) -> Any:
    if isinstance(value, tuple):
        make = getattr(type(value), "_make", type(value))  # of a named tuple
        return make(items)
    if isinstance(value, frozenset):
        return type(value)(items)
    target = value if in_place else copy.copy(value)
    target.clear()
    (target.update if isinstance(target, set) else target.extend)(items)
    return target


def references_in(value: Any, depth: int = 0, seen: set[int] | None = None) -> Iterator[ActorRef[Any]]:
    """The references in a value, wherever it holds them: in containers and in helper objects."""
    if isinstance(value, ActorRef):
        yield value
        return
    seen = set() if seen is None else seen
    if depth >= DEEPEST or value.__class__ in _ATOMS or id(value) in seen or _is_large(value):
        return
    seen.add(id(value))
    for item in _parts(value):
        yield from references_in(item, depth + 1, seen)


def hidden_reference(value: Any, path: str, depth: int = 0) -> str | None:
    """Where a helper object holds a reference that cannot be made a port; None if none does."""
    if isinstance(value, ActorRef) or value.__class__ in _ATOMS or depth >= 3:
        return None
    if isinstance(value, types.MethodType) and isinstance(value.__self__, ActorRef):
        return f"{path} (a method of a reference)"
    if isinstance(value, functools.partial):
        return next(
            (found for part in (value.func, *value.args) if (found := hidden_reference(part, path, depth + 1))), None
        )
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return path if any(isinstance(item, ActorRef) for item in value.values()) else None
    if isinstance(value, (dict, list, tuple, set, frozenset, deque)):
        items = value.values() if isinstance(value, dict) else value
        return next((found for item in items if (found := hidden_reference(item, f"{path}[…]", depth + 1))), None)
    if not _is_helper(value):
        return None
    for name, item in fields_of(value):
        if any(True for _ in references_in(item, DEEPEST - 2)):
            return f"{path}.{name}"
        if (found := hidden_reference(item, f"{path}.{name}", depth + 1)) is not None:
            return found
    return None


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from value
    elif isinstance(value, types.MethodType):
        yield value.__self__
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif _is_helper(value):
        for _, item in fields_of(value):
            yield item


def _is_helper(value: Any) -> bool:
    """Whether it is an object of a user's class: neither an actor, whose references are its own, nor a part of Spore or of a library."""
    cls = type(value)
    module = getattr(cls, "__module__", "")
    if isinstance(value, Actor) or not isinstance(module, str) or module.split(".")[0] in _LIBRARIES:
        return False
    return attrs.has(cls) or hasattr(value, "__dict__") or hasattr(cls, "__slots__")


_LIBRARIES = frozenset(
    {"spore", "trio", "builtins", "types", "functools", "collections", "logging", "threading", "random", "decimal"}
)


def _is_large(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple, set, frozenset, deque)) and len(value) > LARGEST
