"""Plain data to attrs classes, strictly: nothing is converted silently, and each error has the path of its key.

Strategy: cattrs finds the hook for a type, and every hook here accepts that type and nothing else. The one exception is
that an integer will do where a decimal or a float is asked. A hook reports everything that is wrong below it at once.
"""

from __future__ import annotations

import difflib
import enum
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs

from spore.errors import SettingError, SporeError

__all__ = [
    "Found",
    "Hidden",
    "OneOrSeveral",
    "Problem",
    "among",
    "arguments",
    "built",
    "invalid",
    "joined",
    "key",
    "structure",
    "structure_fields",
]

Found = tuple[str, str]
"""The path of a key, and the sentence about it."""
Hook = Callable[[Any, Any], Any]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_VALIDATOR = re.compile(r"'(\w+)' must be (.*): [^:]*$")
"""What the validators of attrs say."""


class OneOrSeveral:
    """In ``Annotated[tuple[X, ...], OneOrSeveral()]``: a single X may stand for a list of one."""


class Hidden:
    """What stands in place of a value of such an attrs class is told to nobody: it may be a secret."""

    WANTED: ClassVar[str] = "another value"
    """What would be right."""


class Problem(Exception):
    """Everything that is wrong with some data.

    Attributes:
        found: each thing with its path, seen from the data.
    """

    def __init__(self, found: Iterable[Found]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(f"{path}: {sentence}" for path, sentence in self.found))

    def under(self, path: str) -> Iterator[Found]:
        """The same, seen from further out."""
        return ((joined(path, inner), sentence) for inner, sentence in self.found)


def key(name: str) -> str:
    """A key as it stands in a path, quoted where TOML would have it quoted."""
    return name if _BARE_KEY.fullmatch(name) else repr(name)


def joined(path: str, inner: str) -> str:
    """One path behind another."""
    return f"{path}.{inner}" if path and inner and not inner.startswith("[") else path + inner


def among(name: str, known: Iterable[str]) -> str:
    """What could have been meant: the closest names, or else all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"there is {', '.join(map(repr, known))}" if known else "there is none"


def structure(data: Any, cls: Any) -> Any:
    """Data as a value of a type.

    Raises:
        Problem: with everything that does not fit.
    """
    return _CONVERTER.structure(data, cls)


def structure_fields(
    data: Mapping[str, Any], types: Mapping[str, Any], required: Iterable[str]
) -> tuple[dict[str, Any], list[Found]]:
    """The values for some named types that fit, and what is wrong with the others."""
    values: dict[str, Any] = {}
    found: list[Found] = []
    for name, value in data.items():
        if name not in types:
            found.append((key(name), f"there is no such key here; {among(name, types)}"))
            continue
        try:
            values[name] = structure(value, types[name])
        except Problem as problem:
            found += problem.under(key(name))
    found += [(key(name), "is missing") for name in required if name not in data]
    return values, found


@lru_cache(maxsize=256)  # annotations take far longer to resolve than a value to read
def arguments(cls: type) -> Mapping[str, tuple[Any, bool]]:
    """What the constructor of an attrs class takes: for each name the type, and whether it has to be given."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        field.alias or field.name: (hints.get(field.name, Any), field.default is attrs.NOTHING)
        for field in attrs.fields(cls)
        if field.init
    }


# The hooks


def _wrong(value: object, wanted: str) -> Problem:
    return Problem([("", f"must be {wanted}, not {_said(value)}")])


def _said(value: object) -> str:
    """A value and its type in the words of TOML."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int():
            return f"the integer {value}"
        case float() | Decimal():
            return f"the number {value}"
        case str():
            return f"the string {value!r}" if len(value) <= 60 else f"a string of {len(value)} characters"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _exactly(wanted: type, words: str) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not wanted:
            raise _wrong(value, words)
        return value

    return hook


def _decimal(value: Any, _: Any) -> Decimal:
    if type(value) is not Decimal and type(value) is not int:
        raise _wrong(value, "a decimal number")
    number = Decimal(value)
    if not number.is_finite():
        raise _wrong(value, "a finite number")
    return number


def _float(value: Any, _: Any) -> float:
    if type(value) not in {Decimal, int, float}:
        raise _wrong(value, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(value, "a finite number")
    return number


def _path(value: Any, _: Any) -> Path:
    if type(value) is not str:
        raise _wrong(value, "a path, as a string")
    return Path(value)


def _enum(value: Any, cls: type[enum.Enum]) -> enum.Enum:
    words = {member.value: member for member in cls}
    if isinstance(value, cls):
        return value
    if type(value) not in {str, int} or value not in words:
        known = ", ".join(repr(word) for word in words)
        close = difflib.get_close_matches(value, [str(word) for word in words], n=1) if isinstance(value, str) else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise Problem([("", f"must be one of {known}, not {_said(value)}{hint}")])
    return words[value]


def _literal(value: Any, cls: Any) -> Any:
    for choice in get_args(cls):
        if type(choice) is type(value) and choice == value:
            return value
    raise Problem([("", f"must be one of {', '.join(map(repr, get_args(cls)))}, not {_said(value)}")])


def _sequence(value: Any, cls: Any) -> Any:
    if type(value) not in {list, tuple}:
        raise _wrong(value, "a list")
    origin, args = get_origin(cls) or cls, get_args(cls)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(value):
            raise _wrong(value, f"a list of {len(args)}")
        inner = args
    else:
        inner = (args[0] if args else Any,) * len(value)
    items: list[Any] = []
    found: list[Found] = []
    for number, (item, kind) in enumerate(zip(value, inner, strict=True)):
        try:
            items.append(structure(item, kind))
        except Problem as problem:
            found += problem.under(f"[{number}]")
    if found:
        raise Problem(found)
    return items if origin in {list, Sequence} else origin(items)


def _one_or_several(value: Any, cls: Any) -> Any:
    inner = get_args(cls)[0]
    return _sequence(value if type(value) in {list, tuple} else [value], inner)


def _mapping(value: Any, cls: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "a table")
    _, inner = get_args(cls) or (str, Any)
    values, found = structure_fields(value, dict.fromkeys(value, inner), ())
    if found:
        raise Problem(found)
    return values


def _class(value: Any, cls: type) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise Problem([("", f"must be {cls.WANTED}")]) if issubclass(cls, Hidden) else _wrong(value, "a table")
    fields = arguments(cls)
    values, found = structure_fields(
        value, {name: kind for name, (kind, _) in fields.items()}, [name for name, (_, must) in fields.items() if must]
    )
    found += invalid(cls, values)
    if found:
        raise Problem(found)
    return built(cls, values)


def invalid(cls: type, values: Mapping[str, Any]) -> Iterator[Found]:
    """What the validators of single fields say, each of them."""
    for field in attrs.fields(cls):
        name = field.alias or field.name
        if name in values and field.validator is not None:
            try:
                built(lambda field=field, **given: field.validator(None, field, *given.values()), {name: values[name]})
            except Problem as problem:
                yield from problem.found
            except AttributeError:  # it looks at the other fields, too, which are there once the whole is built
                continue


def built(make: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call a class with values that have the right types; what its own validators say becomes a problem."""
    try:
        return make(**values)
    except SettingError as error:
        raise Problem([(error.setting, f"{error.reason}; this is {_said(error.value)}")]) from None
    except (ValueError, TypeError, SporeError) as error:
        text = str(error.args[0]) if error.args else str(error)
        if (said := _VALIDATOR.fullmatch(text)) is not None and said[1] in values:
            raise Problem([(said[1], f"must be {said[2]}, not {values[said[1]]}")]) from None
        raise Problem([("", text)]) from None


def _instance(value: Any, cls: Any) -> Any:
    """What TOML has a value for, such as a date, is taken; anything else cannot be written there."""
    if isinstance(cls, type) and isinstance(value, cls):
        return value
    raise _wrong(value, f"a {_named(cls)}")


def _union(value: Any, cls: Any) -> Any:
    members = get_args(cls)
    if value is None and NoneType in members:
        return None
    members = tuple(member for member in members if member is not NoneType)
    problems = []
    for member in members:
        try:
            return structure(value, member)
        except Problem as problem:
            problems.append(problem)
    raise problems[0] if len(problems) == 1 else _wrong(value, " or ".join(map(_named, members)))


def _named(cls: Any) -> str:
    return getattr(cls, "__name__", str(cls))


def _annotated(value: Any, cls: Any) -> Any:
    return structure(value, get_args(cls)[0])


def _is(*origins: Any) -> Callable[[Any], bool]:
    return lambda cls: (get_origin(cls) or cls) in origins


def _marked(cls: Any) -> bool:
    return get_origin(cls) is Annotated and any(isinstance(mark, OneOrSeveral) for mark in cls.__metadata__)


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    # What is registered later is asked first.
    for predicate, hook in (
        (lambda _: True, _instance),
        (lambda cls: isinstance(cls, type) and attrs.has(cls), _class),
        (_is(Any), lambda value, _: value),
        (_is(Literal), _literal),
        (_is(tuple, list, set, frozenset, Sequence), _sequence),
        (_is(dict, Mapping), _mapping),
        (_is(Union, UnionType), _union),
        (_is(Annotated), _annotated),
        (_marked, _one_or_several),
    ):
        converter.register_structure_hook_func(predicate, hook)
    by_class: dict[type, Hook] = {
        bool: _exactly(bool, "true or false"),
        int: _exactly(int, "an integer"),
        str: _exactly(str, "a string"),
        Decimal: _decimal,
        float: _float,
        Path: _path,
        **dict.fromkeys((enum.Enum, enum.StrEnum, enum.IntEnum), _enum),
    }
    for cls, exact in by_class.items():
        converter.register_structure_hook(cls, exact)
    return converter


_CONVERTER = _new_converter()
