"""What a message consists of at one moment, so that the debug guard can see whether it has changed since.

A fingerprint is a nest of tuples with types and plain values: it never asks a message's own ``__eq__``, which may
leave something out, or return an array. What is no part of a message's value is left out: what a cached property, or a
slot that is filled lazily, has kept, and whatever has a life of its own, such as the actor behind a reference.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from spore.nursery_bundle.actor import Actor
from spore.nursery_bundle.ref import ActorRef

__all__ = ["fingerprint"]

_PLAIN: Final = (type(None), bool, int, complex, str, bytes)
_SELF: Final = (
    *(type, enum.Enum, Actor, ActorRef, trio.abc.AsyncResource, weakref.ref, types.ModuleType),
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.CodeType, types.FrameType),
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, type(NotImplemented), type(...)),
)
"""What is never looked into: it is the same while it is the same object."""
_LIVES: Final = {"asyncio", "concurrent", "logging", "queue", "threading", "trio"}
"""Packages whose objects, such as events and locks, change because that is what they are for."""


def fingerprint(message: Any) -> Callable[[], bool]:
    """Remember what a message consists of now.

    Returns:
        A function that says whether the message is unchanged. If that cannot be found out, it says so of every message.
    """
    before = _walk(message)
    return lambda: before is None or _unchanged(before, message)


def _walk(message: Any) -> object | None:
    try:
        return _Walk().value(message)
    except Exception:  # noqa: BLE001 - whatever its own methods raise: it cannot be watched, and that is no fault
        return None


def _unchanged(before: object, message: Any) -> bool:
    after = _walk(message)
    try:
        return after is None or before == after  # in this order: what is filled lazily is no change
    except RecursionError:
        return True


class _Same:
    """Equals itself for the same object only, and keeps that alive, so that no other takes its address."""

    __slots__ = ("of",)

    def __init__(self, of: object) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.of is other.of

    def __hash__(self) -> int:
        return id(self.of)


class _Named:
    """Values by name, of which those that were not there before may be there now."""

    __slots__ = ("lazy", "values")

    def __init__(self, values: dict[str, object], lazy: Callable[[str], bool]) -> None:
        self.values = values
        self.lazy = lazy

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Named):
            return NotImplemented
        new = other.values.keys() - self.values.keys()
        there = all(name in other.values and value == other.values[name] for name, value in self.values.items())
        return there and all(map(self.lazy, new))

    def __hash__(self) -> int:
        return len(type(self).__name__)


class _Walk:
    """One walk through a message."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, object]] = {}
        """The number of each object that was met, by its address; and the object, so that no other takes that."""

    def value(self, value: Any) -> object:
        cls = type(value)
        if cls in _PLAIN:
            return cls, value
        if cls is float:
            return cls, value.hex()  # which tells 0.0 from -0.0, and takes a NaN for itself
        if isinstance(value, _SELF) or _has_life(cls):
            return _Same(value)
        known = self._seen.get(id(value))
        if known is not None:
            return "met before", known[0]
        self._seen[id(value)] = len(self._seen), value
        return cls, self._content(cls, value)

    def _content(self, cls: type, value: Any) -> object:
        if cls in {tuple, list, set, frozenset}:
            return self._all(value)
        if cls is deque:
            return value.maxlen, self._all(value)
        if cls is dict or cls is types.MappingProxyType:
            return self._items(value)
        if cls in {bytearray, memoryview}:
            return bytes(value)
        if attrs.has(cls):
            return self._named(value, [each.name for each in attrs.fields(cls) if each.init or each.eq])
        if dataclasses.is_dataclass(cls):
            return self._named(value, [each.name for each in dataclasses.fields(cls) if each.init or each.compare])
        return self._state(cls, value)

    def _all(self, values: Iterable[Any]) -> tuple[object, ...]:
        return tuple([self.value(value) for value in values])

    def _items(self, values: Mapping[Any, Any]) -> tuple[object, ...]:
        return tuple([(self.value(key), self.value(value)) for key, value in values.items()])

    def _named(self, value: object, names: Iterable[str]) -> object:
        """Declared fields, without those that neither the constructor nor equality knows: they are caches."""
        fields = {name: self.value(getattr(value, name)) for name in names if hasattr(value, name)}
        return _Named(fields, lambda _: True), self._base(value)

    def _base(self, value: object) -> object:
        """What a class with fields has from a base that is a container."""
        if isinstance(value, dict):
            return self._items(value)
        if isinstance(value, (tuple, list, set, frozenset, deque)):
            return self._all(value)
        return self._all(value.args) if isinstance(value, BaseException) else None

    def _state(self, cls: type, value: Any) -> object:
        """What the object would be rebuilt from: by its class's own rule for that, or its attributes and slots."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - it cannot be pickled, which says nothing about what it consists of
            reduced = ()
        if isinstance(reduced, str) or not (reduced or hasattr(value, "__dict__") or _slots(cls)):
            return _Same(value)
        rule: list[Any] = [*reduced, *[None] * (5 - len(reduced))]
        state, items, pairs = rule[2:5]
        if not reduced or all(getattr(cls, name) is getattr(object, name) for name in _RULES):
            slots = {name: getattr(value, name) for name in _slots(cls) if hasattr(value, name)}
            state = getattr(value, "__dict__", None), slots
        if isinstance(state, dict):
            state = state, {}
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            own: object = self._attributes(cls, state[0] or {}), self._slots(state[1])
        else:
            own = self.value(state)
        return (
            self.value(rule[0]),
            self._all(rule[1] or ()),
            own,
            self._all(items or ()),
            self._items(dict(pairs or ())),
        )

    def _attributes(self, cls: type, values: Mapping[str, Any]) -> object:
        """The instance's ``__dict__``, without what cached properties keep there."""
        own = {name: self.value(value) for name, value in values.items() if not _is_cache(cls, name)}
        return _Named(own, lambda name: name.startswith("_"))

    def _slots(self, values: Mapping[str, Any]) -> object:
        return _Named({name: self.value(value) for name, value in values.items()}, lambda _: True)


_RULES: Final = ("__reduce_ex__", "__reduce__", "__getstate__")
"""The methods by which a class says what an object is rebuilt from."""


def _has_life(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _LIVES or cls.__module__.startswith("spore.nursery_bundle.")


def _is_cache(cls: type, name: str) -> bool:
    """Whether what an object keeps by that name hides a descriptor that makes it, as a cached property does."""
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if isinstance(found, (types.FunctionType, staticmethod, classmethod)):
        return False
    return hasattr(type(found), "__get__") and not hasattr(type(found), "__set__")


def _slots(cls: type) -> list[str]:
    """The names of all slots, those of base classes and private ones among them."""
    return [
        name for base in cls.__mro__ for name, of in vars(base).items() if isinstance(of, types.MemberDescriptorType)
    ]
