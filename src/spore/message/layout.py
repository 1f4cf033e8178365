"""From a class's annotations to its wire layout, or to a refusal that says what to write instead.

Invariant: a layout that leaves this module can always be compiled: every type in it has a wire form,
nothing in it is mutable, and no list can hold more items than its bytes pay for.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import Any, Union

import attrs

from spore.errors import DefinitionError
from spore.message import wire

__all__ = ["LAYOUT", "layout_of", "resolve_fields"]

LAYOUT = "__spore_layout__"
"""The class attribute that holds the `Record` of a message or record."""

_WIRE_TYPES: tuple[type, ...] = typing.get_args(wire.WireType)

_INSTEAD: dict[Any, str] = {
    int: "int has no width; use one of U8 … U256, I8 … I256, PriceE8, MoneyE8, TimestampNs",
    float: "float has no wire form, because money and prices are integers here; use PriceE8 or an integer",
    bool: "use spore.Bool",
    str: "use spore.Str",
    bytes: "use spore.Bytes, spore.Address, spore.Bytes32 or Annotated[bytes, spore.FixedBytes(n)]",
    tuple: "say of what: tuple[T, ...]",
}
_MUTABLE: dict[Any, str] = {
    list: "a list is mutable and messages are shared by reference; use tuple[T, ...]",
    dict: "a dict is mutable and has no wire form; use a tuple of records",
    set: "a set is mutable and has no order; use tuple[T, ...]",
    bytearray: "a bytearray is mutable; use spore.Bytes",
}


def layout_of(cls: type) -> wire.Record:
    """The layout of a message or record class.

    Raises:
        TypeError: if the class is neither.
    """
    layout = cls.__dict__.get(LAYOUT)
    if not isinstance(layout, wire.Record):
        raise TypeError(f"{cls.__qualname__} is neither a message nor a record; decorate it with @spore.message")
    return layout


def resolve_fields(cls: type) -> tuple[wire.FieldSpec, ...]:
    """The wire fields of an attrs class, in declared order.

    Raises:
        DefinitionError: naming the first field that cannot travel.
    """
    name = cls.__name__
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        reason = (
            f"the annotation names {error.name!r}, which is not defined where the class is; "
            "a record must be defined before it is used, and cannot contain itself"
        )
        raise DefinitionError(name, reason) from error
    fields = []
    for field in attrs.fields(cls):
        if field.name.startswith("_"):
            raise DefinitionError(name, "the fields of a message are public; drop the underscore", field=field.name)
        if not field.init:
            raise DefinitionError(
                name, "every field is an argument of the constructor; drop init=False", field=field.name
            )
        fields.append(wire.FieldSpec(field.name, _Resolver(name, field.name).resolve(hints[field.name])))
    return tuple(fields)


@attrs.frozen
class _Resolver:
    message: str
    field: str

    def refuse(self, reason: str) -> DefinitionError:
        return DefinitionError(self.message, reason, field=self.field)

    def resolve(self, hint: Any) -> wire.WireType:
        """The wire type behind one annotation, nested ones included."""
        if typing.get_origin(hint) is typing.Annotated:  # asked first: what others annotate need not be hashable
            for extra in reversed(hint.__metadata__):
                if isinstance(extra, _WIRE_TYPES):
                    return typing.cast("wire.WireType", extra)
            return self.resolve(hint.__origin__)
        if (instead := _MUTABLE.get(hint) or _MUTABLE.get(typing.get_origin(hint))) is not None:
            raise self.refuse(instead)
        if typing.get_origin(hint) in (Union, types.UnionType):
            return self._optional(typing.get_args(hint))
        if typing.get_origin(hint) is tuple:
            return self._array(typing.get_args(hint))
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enumeration(hint)
        if isinstance(hint, type) and LAYOUT in hint.__dict__:
            return layout_of(hint)
        if isinstance(hint, type) and attrs.has(hint):
            raise self.refuse(
                f"{hint.__name__} is an attrs class but no record; decorate it with @spore.record instead"
            )
        raise self.refuse(_INSTEAD.get(hint) or f"{_show(hint)} has no wire form; use the field types of spore")

    def _optional(self, args: tuple[Any, ...]) -> wire.Option:
        items = [arg for arg in args if arg is not types.NoneType]
        if len(items) != 1 or len(items) == len(args):
            raise self.refuse("the only union with a wire form is T | None")
        item = self.resolve(items[0])
        if isinstance(item, wire.Option):
            # There would be two ways to write None, and one of them would be read and never written.
            raise self.refuse("an optional of an optional has no wire form, because None could stand for either")
        return wire.Option(item)

    def _array(self, args: tuple[Any, ...]) -> wire.Array:
        if len(args) != 2 or args[1] is not Ellipsis:
            raise self.refuse("a tuple of fixed positions has no wire form; use tuple[T, ...] or a record")
        item = self.resolve(args[0])
        if item.size == 0:
            # A count of 65,535 empty items would be two bytes that cost the receiver 65,535 objects.
            raise self.refuse(f"a list of {item.name} takes no bytes for an item, so its size could not be checked")
        return wire.Array(item)

    def _enumeration(self, cls: type[enum.Enum]) -> wire.Enumeration:
        if issubclass(cls, enum.Flag):
            raise self.refuse(f"{cls.__name__} is a Flag, whose combinations are no members; use an integer field")
        named = getattr(cls, "__wire__", wire.U8)
        integer = self.resolve(named)
        if not isinstance(integer, wire.Int):
            raise self.refuse(f"{cls.__name__}.__wire__ must be an integer type such as spore.U16")
        if not len(cls):
            raise self.refuse(f"{cls.__name__} has no members")
        for member in cls:
            value = member.value
            if type(value) is not int or not integer.low <= value <= integer.high:
                raise self.refuse(
                    f"{cls.__name__}.{member.name} = {value!r} is no {integer.form}; "
                    "name a wider type with __wire__ in the enum's body"
                )
        return wire.Enumeration(cls, integer)


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
