"""The wire types: what a field can be, as data.

Each type is one small frozen class. It carries what every layer above needs and nothing about bytes:
its name (as in the wire format), a canonical text (nested types written out), and the number of bytes
that it takes, or None where that depends on the value.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Annotated, TypeAlias, Union

import attrs

__all__ = [
    "I8",
    "I16",
    "I32",
    "I64",
    "I128",
    "I256",
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "U256",
    "Address",
    "Array",
    "Blob",
    "Bool",
    "Boolean",
    "Bytes",
    "Bytes32",
    "Enumeration",
    "FieldSpec",
    "FixedBytes",
    "Int",
    "MoneyE8",
    "Option",
    "PriceE8",
    "Record",
    "Str",
    "Text",
    "TimestampNs",
    "WireType",
    "parts",
]


@attrs.frozen
class Int:
    """A little-endian integer of ``bits`` bits, two's complement where ``signed``."""

    bits: int = attrs.field(validator=attrs.validators.in_((8, 16, 32, 64, 128, 256)))
    signed: bool = False
    meaning: str | None = attrs.field(default=None, kw_only=True)
    """What the number stands for (``price``, ``money``, ``timestamp``): its name, not its form."""

    @property
    def form(self) -> str:
        return f"{'i' if self.signed else 'u'}{self.bits}"

    @property
    def name(self) -> str:
        return self.meaning or self.form

    @property
    def text(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        return self.bits // 8

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1


@attrs.frozen
class Boolean:
    """One byte, 0 or 1."""

    name = text = "bool"
    size = 1


@attrs.frozen
class FixedBytes:
    """Exactly ``size`` bytes as they are. Use it as ``Annotated[bytes, FixedBytes(8)]``."""

    size: int = attrs.field(validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(65_535)))

    @property
    def name(self) -> str:
        return f"bytes{self.size}"

    @property
    def text(self) -> str:
        return self.name


@attrs.frozen
class Text:
    """A u16 count of bytes, then strict UTF-8."""

    name = text = "str"
    size = None


@attrs.frozen
class Blob:
    """A u16 count, then the bytes."""

    name = text = "bytes"
    size = None


def _members(wire: Enumeration) -> Mapping[int, enum.Enum]:
    return {int(member.value): member for member in wire.cls}


@attrs.frozen
class Enumeration:
    """One of an enum's integers; an unknown one is an error."""

    cls: type[enum.Enum]
    integer: Int
    members: Mapping[int, enum.Enum] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_members, takes_self=True)
    )
    """The member behind each integer: stricter than calling the class, whose ``_missing_`` may guess."""

    @property
    def name(self) -> str:
        form = "" if self.integer.form == "u8" else f" {self.integer.form}"
        return f"enum {self.cls.__name__}{form}"

    @property
    def text(self) -> str:
        members = ", ".join(f"{self.members[value].name}={value}" for value in sorted(self.members))
        return f"enum {self.integer.form} {{{members}}}"

    @property
    def size(self) -> int:
        return self.integer.size


@attrs.frozen
class Array:
    """A u16 count, then each item. In Python a ``tuple[T, ...]``, because messages are immutable."""

    item: WireType
    size = None

    @property
    def name(self) -> str:
        return f"list of {self.item.name}"

    @property
    def text(self) -> str:
        return f"list of {self.item.text}"


@attrs.frozen
class Option:
    """A byte 0, or a byte 1 and then the item."""

    item: WireType
    size = None

    @property
    def name(self) -> str:
        return f"optional {self.item.name}"

    @property
    def text(self) -> str:
        return f"optional {self.item.text}"


@attrs.frozen
class FieldSpec:
    """A field: its name and its wire type."""

    name: str
    wire: WireType


def _sum_of_sizes(record: Record) -> int | None:
    sizes = [field.wire.size for field in record.fields]
    return None if None in sizes else sum(size for size in sizes if size is not None)


@attrs.frozen
class Record:
    """Named fields in declared order, packed; the layout of every message and of every nested record."""

    cls: type
    fields: tuple[FieldSpec, ...]
    size: int | None = attrs.field(init=False, default=attrs.Factory(_sum_of_sizes, takes_self=True))

    @property
    def name(self) -> str:
        return f"record {self.cls.__name__}"

    @property
    def text(self) -> str:
        return f"{{{', '.join(f'{field.name}: {field.wire.text}' for field in self.fields)}}}"


WireType: TypeAlias = Union[Int, Boolean, FixedBytes, Text, Blob, Enumeration, Array, Option, Record]


def parts(wire: WireType) -> Iterator[WireType]:
    """A wire type and all that are nested in it, outermost first."""
    yield wire
    if isinstance(wire, (Array, Option)):
        yield from parts(wire.item)
    elif isinstance(wire, Record):
        for field in wire.fields:
            yield from parts(field.wire)


U8: TypeAlias = Annotated[int, Int(8)]
U16: TypeAlias = Annotated[int, Int(16)]
U32: TypeAlias = Annotated[int, Int(32)]
U64: TypeAlias = Annotated[int, Int(64)]
U128: TypeAlias = Annotated[int, Int(128)]
U256: TypeAlias = Annotated[int, Int(256)]
I8: TypeAlias = Annotated[int, Int(8, True)]
I16: TypeAlias = Annotated[int, Int(16, True)]
I32: TypeAlias = Annotated[int, Int(32, True)]
I64: TypeAlias = Annotated[int, Int(64, True)]
I128: TypeAlias = Annotated[int, Int(128, True)]
I256: TypeAlias = Annotated[int, Int(256, True)]
Bool: TypeAlias = Annotated[bool, Boolean()]
Str: TypeAlias = Annotated[str, Text()]
Bytes: TypeAlias = Annotated[bytes, Blob()]
Address: TypeAlias = Annotated[bytes, FixedBytes(20)]
"""An EVM account or contract: 20 bytes."""
Bytes32: TypeAlias = Annotated[bytes, FixedBytes(32)]
"""A hash, such as that of a transaction: 32 bytes."""
PriceE8: TypeAlias = Annotated[int, Int(64, True, meaning="price")]
"""A price as an integer with 8 decimals: 1.5 is 150_000_000."""
MoneyE8: TypeAlias = Annotated[int, Int(64, True, meaning="money")]
"""An amount of money (USD unless the field says otherwise) as an integer with 8 decimals."""
TimestampNs: TypeAlias = Annotated[int, Int(64, meaning="timestamp")]
"""Nanoseconds since the Unix epoch."""
