"""Messages as JSON-ready dicts and back, through cattrs: for files and for people, never for the hot path.

Integers beyond 2⁵³ become decimal strings (JSON readers that use doubles would round them), bytes become
0x-prefixed hex, enums their members' names. Reading is strict: nothing is rounded, cut or guessed.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, TypeVar, cast, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from spore.errors import ConversionError
from spore.message.layout import LAYOUT, layout_of
from spore.message.wire import Blob, Boolean, Enumeration, FixedBytes, Int, Text, parts

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")

_EXACT = 2**53
"""The largest magnitude up to which every integer is a double: RFC 8259, section 6."""
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")


def to_plain(message: object) -> dict[str, Any]:
    """A message or record as a dict of what JSON can hold.

    Raises:
        TypeError: if it is neither.
    """
    if LAYOUT not in type(message).__dict__:
        raise TypeError(f"{type(message).__qualname__} is neither a message nor a record")
    return cast("dict[str, Any]", _CONVERTER.unstructure(message))


def from_plain(cls: type[T], data: object) -> T:
    """A message or record out of what `to_plain` made.

    Raises:
        ConversionError: naming everything that is wrong, each with the path of its key.
        TypeError: if the class is neither a message nor a record.
    """
    layout_of(cls)
    try:
        return _CONVERTER.structure(data, cls)
    except (cattrs.BaseValidationError, cattrs.ForbiddenExtraKeysError, TypeError, ValueError) as error:
        problems = cattrs.transform_error(error, path=cls.__name__, format_exception=_sentence)
        raise ConversionError(cls.__name__, tuple(problems)) from None


def _sentence(error: BaseException, _type: type | None) -> str:
    if isinstance(error, KeyError):
        return f"the key {error.args[0]!r} is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        allowed = ", ".join(field.name for field in attrs.fields(error.cl))
        return f"unknown keys {', '.join(sorted(map(str, error.extra_fields)))}; the keys are {allowed}"
    return str(error)


def _wire(hint: Any) -> Any:
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in reversed(hint.__metadata__) if isinstance(extra, _KINDS)), None)


_KINDS = (Int, Boolean, FixedBytes, Text, Blob)


def _plain_int(value: int) -> int | str:
    return value if -_EXACT <= value <= _EXACT else str(value)


def _structure_for(hint: Any) -> Any:
    kind = _wire(hint)

    def integer(data: object, _: object) -> int:
        if isinstance(data, str) and _DECIMAL.fullmatch(data) and len(data) <= 80:
            value = int(data)
        elif type(data) is int:
            value = data
        else:
            raise ValueError(f"{data!r} is no integer; write a JSON integer or a decimal string")
        if not kind.low <= value <= kind.high:
            raise ValueError(f"{value} is no {kind.form}, whose values are {kind.low} to {kind.high}")
        return value

    def boolean(data: object, _: object) -> bool:
        if not isinstance(data, bool):
            raise ValueError(f"{data!r} is neither true nor false")
        return data

    def text(data: object, _: object) -> str:
        if not isinstance(data, str):
            raise ValueError(f"{data!r} is no string")
        return data

    def octets(data: object, _: object) -> bytes:
        if not isinstance(data, str) or not re.fullmatch(r"0x([0-9a-fA-F]{2})*", data):
            raise ValueError(f"{data!r} is no hex string such as 0x00ff")
        value = bytes.fromhex(data[2:])
        if isinstance(kind, FixedBytes) and len(value) != kind.size:
            raise ValueError(f"{len(value)} bytes, and {kind.name} has {kind.size}")
        return value

    return {Int: integer, Boolean: boolean, Text: text}.get(type(kind), octets)


def _structure_enum(data: object, cls: type[enum.Enum]) -> enum.Enum:
    if isinstance(data, str) and data in cls.__members__:
        return cls[data]
    raise ValueError(f"{data!r} is no {cls.__name__}; its members are {', '.join(cls.__members__)}")


def _structure_tuple_for(hint: Any, converter: cattrs.Converter) -> Any:
    item = hint.__args__[0]
    hook = converter.get_structure_hook(item)

    def structure(data: object, _: object) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise ValueError(f"{data!r} is no list")
        return tuple(_item(hook, entry, item, index) for index, entry in enumerate(data))

    return structure


def _item(hook: Any, entry: object, item: Any, index: int) -> Any:
    try:
        return hook(entry, item)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        note = cattrs.IterableValidationNote(f"item {index}", index, item)
        error.add_note(note)
        raise cattrs.IterableValidationError("items", [error], tuple) from None  # pyright: ignore[reportCallIssue]


def _structure_record_for(cls: Any, converter: cattrs.Converter) -> Any:
    for part in parts(layout_of(cls)):
        if isinstance(part, Enumeration):
            # By class: an IntEnum is an int too, and cattrs would otherwise take it for one.
            converter.register_structure_hook(part.cls, _structure_enum)
    fill = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True)

    def structure(data: object, _: object) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{data!r} is no object with the fields of {cls.__name__}")
        return fill(data, cls)

    return structure


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook_factory(lambda hint: _wire(hint) is not None, _structure_for)
    converter.register_structure_hook_factory(_is_tuple, _structure_tuple_for)
    converter.register_structure_hook_factory(
        lambda hint: isinstance(hint, type) and LAYOUT in hint.__dict__, _structure_record_for
    )
    converter.register_unstructure_hook_func(lambda hint: hint is int or isinstance(_wire(hint), Int), _plain_int)
    converter.register_unstructure_hook(bytes, lambda value: f"0x{value.hex()}")
    converter.register_unstructure_hook_func(
        lambda hint: isinstance(hint, type) and issubclass(hint, enum.Enum), lambda member: member.name
    )
    converter.register_unstructure_hook_func(_is_tuple, lambda items: [converter.unstructure(item) for item in items])
    return converter


_CONVERTER = _converter()
