"""Defaults are checked when a class is defined: one that has no wire form would fail much later, where it is first sent.

Strategy: the rules are those of the reference codec, restated because messages know no bytes (a test holds the two together).
A default that has to be computed is computed only where that can have no effect: by a type that is immutable, by a record, or
by a function that does nothing but name constants, members and such types.
"""

from __future__ import annotations

import builtins
import dis
import enum
import inspect
import operator
from types import CodeType, FunctionType
from typing import Any

import attrs

from spore.errors import DefinitionError
from spore.message.wire import (
    Array,
    Blob,
    Boolean,
    Enumeration,
    FixedBytes,
    Int,
    Option,
    Record,
    Text,
    WireType,
)

__all__ = ["check_defaults", "misfit"]

MAX_COUNT = 65_535
"""A count is a u16."""
_PLAIN_TYPES = (bool, int, str, bytes, tuple)


def check_defaults(layout: Record, own: str) -> None:
    """Check the defaults of a class's fields.

    Args:
        layout: the class's.
        own: the class attribute that messages and records have.

    Raises:
        DefinitionError: naming the first field whose default has no wire form, and why.
    """
    specs = {spec.name: spec.wire for spec in layout.fields}
    for field in attrs.fields(layout.cls):
        known, value = _default(field, own)
        if not known:
            continue
        found = misfit(specs[field.name], value)
        if found is not None:
            path, reason = found
            text = repr(value)
            shown = text if len(text) <= 80 else f"{text[:60]}…"
            raise DefinitionError(
                layout.cls.__name__, f"its default {shown} cannot be sent: {reason}", field=f"{field.name}{path}"
            )


def misfit(wire: WireType, value: Any) -> tuple[str, str] | None:
    """Where in a value something has no wire form, as a path behind the field's name, and why; None if all of it has."""
    match wire:
        case Int():
            return _misfit_int(wire, value)
        case Boolean():
            return None if value is True or value is False else ("", "bool needs True or False")
        case FixedBytes() | Blob() | Text():
            return _misfit_text(wire, value)
        case Enumeration():
            members = ", ".join(wire.cls.__members__)
            return None if type(value) is wire.cls else ("", f"needs a member of {wire.cls.__name__}: {members}")
        case Option():
            return None if value is None else misfit(wire.item, value)
        case Array():
            return _misfit_array(wire, value)
    if type(value) is not wire.cls:
        return "", f"needs a {wire.cls.__name__}, not {type(value).__name__}"
    for field in wire.fields:
        if (found := misfit(field.wire, getattr(value, field.name))) is not None:
            return f".{field.name}{found[0]}", found[1]
    return None


def _misfit_int(wire: Int, value: Any) -> tuple[str, str] | None:
    try:
        number = operator.index(value)
    except TypeError:
        return "", f"{wire.name} needs an integer, not {type(value).__name__}"
    return None if wire.low <= number <= wire.high else ("", f"{wire.name} holds {wire.low} to {wire.high}")


def _misfit_text(wire: FixedBytes | Blob | Text, value: Any) -> tuple[str, str] | None:
    if isinstance(wire, Text):
        if not isinstance(value, str):
            return "", f"str needs a string, not {type(value).__name__}"
        try:
            value = value.encode()
        except UnicodeEncodeError as error:
            return "", f"no UTF-8: {error.reason} at character {error.start}"
    elif not isinstance(value, (bytes, bytearray)):
        return "", f"{wire.name} needs bytes, not {type(value).__name__}"
    if isinstance(wire, FixedBytes) and len(value) != wire.size:
        return "", f"{wire.name} needs {wire.size} bytes, and these are {len(value)}"
    return None if len(value) <= MAX_COUNT else ("", f"{len(value):,} bytes, and {MAX_COUNT:,} is the most")


def _misfit_array(wire: Array, value: Any) -> tuple[str, str] | None:
    if not isinstance(value, tuple):
        return "", f"{wire.name} needs a tuple, not {type(value).__name__}"
    if len(value) > MAX_COUNT:
        return "", f"{len(value):,} items, and {MAX_COUNT:,} is the most"
    for index, item in enumerate(value):
        if (found := misfit(wire.item, item)) is not None:
            return f"[{index}]{found[0]}", found[1]
    return None


def _default(field: Any, own: str) -> tuple[bool, Any]:
    """Whether a field's default is known without any effect, and what it is."""
    value: Any = field.default
    if value is attrs.NOTHING:
        return False, None
    converter = field.converter
    if converter is not None and converter not in _PLAIN_TYPES:
        return False, None
    made: Any = attrs.Factory
    try:
        if isinstance(value, made):
            factory: Any = value
            if factory.takes_self or not _has_no_effect(factory.factory, own):
                return False, None
            value = factory.factory()
        return True, value if converter is None else converter(value)
    except Exception:  # noqa: BLE001 - whatever it is, it comes again where somebody leaves out the field
        return False, None


def _has_no_effect(factory: Any, own: str) -> bool:
    if _is_safe(factory, own):
        return True
    if not isinstance(factory, FunctionType) or factory.__closure__ or factory.__code__.co_flags & _GENERATORS:
        return False
    if any(each.opname.startswith(("FOR_ITER", "JUMP_BACKWARD")) for each in dis.get_instructions(factory)):
        return False  # a loop, which may have no end; a comprehension is one since Python 3.12
    scope = {**vars(builtins), **factory.__globals__}
    return all(
        _is_safe(scope.get(name), own) or _is_member(name, factory.__code__, scope)
        for name in factory.__code__.co_names
    ) and not any(isinstance(constant, CodeType) for constant in factory.__code__.co_consts)


_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _is_safe(called: Any, own: str) -> bool:
    """Whether calling a type makes a value and does nothing else."""
    if not isinstance(called, type):
        return False
    if own in called.__dict__:
        code = getattr(called.__init__, "__code__", None)  # type: ignore[misc]
        factories = [field.default.factory for field in attrs.fields(called) if hasattr(field.default, "factory")]
        return (
            code is not None
            and code.co_filename == f"<constructor of {called.__qualname__}>"
            and all(_has_no_effect(factory, own) for factory in factories)
        )
    return called in _PLAIN_TYPES or issubclass(called, enum.Enum)


def _is_member(name: str, code: CodeType, scope: dict[str, Any]) -> bool:
    """Whether a name can only be that of a member of an enum that the code names."""
    enums = [found for each in code.co_names if isinstance(found := scope.get(each), enum.EnumMeta)]
    return any(name in each.__members__ for each in enums) and name not in scope
