"""The reference codec of values: field by field over the layout, slow, obvious, exact about errors.

It is the authority. The compiled codec of `compile` is a faster way to the same result and hands over
to this one whenever a value is not plainly right; this one then finds the words, and the path and offset.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import attrs

from spore.errors import Damage, DecodeError, EncodeError
from spore.message import (
    MAX_VALUE_SIZE,
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
    open_twin,
)

__all__ = ["MAX_COUNT", "check_value_size", "read_message", "write_message"]

MAX_COUNT = 65_535
"""The most items of a list and bytes of a string: their count is a u16."""


def check_value_size(name: str, size: int) -> None:
    """Raise EncodeError if the fields of a message take more bytes than a TLV can hold."""
    if size > MAX_VALUE_SIZE:
        raise EncodeError(name, f"its fields take {size:,} bytes, and a TLV holds {MAX_VALUE_SIZE:,}")


def write_message(layout: Record, message: object) -> bytes:
    """The bytes of a message's fields.

    Raises:
        EncodeError: naming the first field whose value has no wire form.
    """
    writer = _Writer(layout.cls.__name__)
    writer.write(layout, message, "")
    check_value_size(writer.message, len(writer.out))
    return bytes(writer.out)


def read_message(layout: Record, data: bytes, start: int, stop: int, *, offset: int, more: bool = False) -> Any:
    """A message out of exactly the bytes ``data[start:stop]``, which begin at ``offset`` in the stream.

    Args:
        more: whether fields that are not known here may follow those that are.

    Raises:
        DecodeError: naming the first field whose bytes are wrong, or what is left over.
    """
    reader = _Reader(layout.cls.__name__, data, start, stop, offset - start)
    message = reader.read(layout, "")
    if reader.at != stop and not more:
        left = stop - reader.at
        reader.fail(Damage.LENGTH, f"{left} bytes are left over behind the last field", "", reader.at)
    return message


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@attrs.define
class _Writer:
    message: str
    out: bytearray = attrs.field(factory=bytearray, init=False)

    def fail(self, reason: str, path: str, value: object) -> NoReturn:
        raise EncodeError(self.message, reason, field=path or None, value=value)

    def wrong_class(self, wanted: type, reason: str, value: object, path: str) -> NoReturn:
        given = type(value)
        if (given.__module__, given.__qualname__) == (wanted.__module__, wanted.__qualname__):
            reason = f"this {wanted.__name__} is of another definition; define {self.message} again, too"
        self.fail(reason, path, value)

    def write(self, wire: WireType, value: Any, path: str) -> None:
        _WRITERS[type(wire)](self, wire, value, path)

    def integer(self, wire: Int, value: Any, path: str) -> None:
        try:
            number = operator.index(value)
        except TypeError:
            self.fail(f"{wire.name} needs an integer, not {type(value).__name__}", path, value)
        if not wire.low <= number <= wire.high:
            self.fail(f"{wire.name} holds {wire.low} to {wire.high}", path, value)
        self.out += number.to_bytes(wire.size, "little", signed=wire.signed)

    def boolean(self, _wire: Boolean, value: Any, path: str) -> None:
        if value is not True and value is not False:
            self.fail("bool needs True or False", path, value)
        self.out.append(value)

    def fixed(self, wire: FixedBytes, value: Any, path: str) -> None:
        if not isinstance(value, (bytes, bytearray)):
            self.fail(f"{wire.name} needs bytes, not {type(value).__name__}", path, value)
        if len(value) != wire.size:
            self.fail(f"{wire.name} needs {wire.size} bytes, and these are {len(value)}", path, value)
        self.out += value

    def blob(self, _wire: Blob, value: Any, path: str) -> None:
        if not isinstance(value, (bytes, bytearray)):
            self.fail(f"bytes needs bytes, not {type(value).__name__}", path, value)
        self.counted(value, "bytes", path, value)
        self.out += value

    def text(self, _wire: Text, value: Any, path: str) -> None:
        if not isinstance(value, str):
            self.fail(f"str needs a string, not {type(value).__name__}", path, value)
        try:
            encoded = value.encode()
        except UnicodeEncodeError as error:
            self.fail(f"no UTF-8: {error.reason} at character {error.start}", path, value)
        self.counted(encoded, "bytes of UTF-8", path, value)
        self.out += encoded

    def counted(self, items: Any, what: str, path: str, value: object) -> None:
        if len(items) > MAX_COUNT:
            self.fail(f"{len(items):,} {what}, and {MAX_COUNT:,} is the most", path, value)
        self.out += len(items).to_bytes(2, "little")

    def enumeration(self, wire: Enumeration, value: Any, path: str) -> None:
        if type(value) is not wire.cls:
            self.wrong_class(
                wire.cls, f"needs a member of {wire.cls.__name__}: {', '.join(wire.cls.__members__)}", value, path
            )
        self.integer(wire.integer, value.value, path)

    def array(self, wire: Array, value: Any, path: str) -> None:
        if not isinstance(value, tuple):
            self.fail(f"{wire.name} needs a tuple, not {type(value).__name__}", path, value)
        self.counted(value, "items", path, value)
        for index, item in enumerate(value):
            self.write(wire.item, item, f"{path}[{index}]")

    def option(self, wire: Option, value: Any, path: str) -> None:
        self.out.append(value is not None)
        if value is not None:
            self.write(wire.item, value, path)

    def record(self, wire: Record, value: Any, path: str) -> None:
        if type(value) is not wire.cls:
            self.wrong_class(wire.cls, f"needs a {wire.cls.__name__}, not {type(value).__name__}", value, path)
        for field in wire.fields:
            self.write(field.wire, getattr(value, field.name), _join(path, field.name))


@attrs.define
class _Reader:
    message: str
    data: bytes
    at: int
    stop: int
    shift: int
    """What turns an index of the data into an offset of the stream."""

    def fail(self, damage: Damage, reason: str, path: str, at: int) -> NoReturn:
        raise DecodeError(damage, reason, offset=at + self.shift, message=self.message, field=path or None)

    def read(self, wire: WireType, path: str) -> Any:
        return _READERS[type(wire)](self, wire, path)

    def take(self, count: int, path: str) -> bytes:
        there = self.stop - self.at
        if there < count:
            self.fail(Damage.LENGTH, f"{count} bytes are needed and {there} are there", path, self.at)
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def count(self, path: str) -> int:
        return int.from_bytes(self.take(2, path), "little")

    def integer(self, wire: Int, path: str) -> int:
        return int.from_bytes(self.take(wire.size, path), "little", signed=wire.signed)

    def bit(self, what: str, path: str) -> int:
        at = self.at
        byte = self.take(1, path)[0]
        if byte > 1:
            self.fail(Damage.VALUE, f"{what} is 0 or 1, and this is {byte}", path, at)
        return byte

    def boolean(self, _wire: Boolean, path: str) -> bool:
        return self.bit("a bool", path) == 1

    def fixed(self, wire: FixedBytes, path: str) -> bytes:
        return self.take(wire.size, path)

    def blob(self, _wire: Blob, path: str) -> bytes:
        return self.take(self.count(path), path)

    def text(self, _wire: Text, path: str) -> str:
        encoded = self.take(self.count(path), path)
        try:
            return encoded.decode()
        except UnicodeDecodeError as error:
            at = self.at - len(encoded) + error.start
            self.fail(Damage.VALUE, f"no UTF-8: {error.reason}", path, at)

    def enumeration(self, wire: Enumeration, path: str) -> Any:
        at = self.at
        value = self.integer(wire.integer, path)
        if value not in wire.members:
            known = ", ".join(str(number) for number in wire.members)
            self.fail(Damage.VALUE, f"{value} is no {wire.cls.__name__}; known are {known}", path, at)
        return wire.members[value]

    def array(self, wire: Array, path: str) -> tuple[Any, ...]:
        return tuple([self.read(wire.item, f"{path}[{index}]") for index in range(self.count(path))])

    def option(self, wire: Option, path: str) -> Any:
        return self.read(wire.item, path) if self.bit("the byte before an optional", path) else None

    def record(self, wire: Record, path: str) -> Any:
        made = open_twin(wire.cls)()
        for field in wire.fields:
            setattr(made, field.name, self.read(field.wire, _join(path, field.name)))
        made.__class__ = wire.cls
        return made


_WRITERS: dict[type, Callable[..., None]] = {
    Int: _Writer.integer,
    Boolean: _Writer.boolean,
    FixedBytes: _Writer.fixed,
    Blob: _Writer.blob,
    Text: _Writer.text,
    Enumeration: _Writer.enumeration,
    Array: _Writer.array,
    Option: _Writer.option,
    Record: _Writer.record,
}
_READERS: dict[type, Callable[..., Any]] = {
    Int: _Reader.integer,
    Boolean: _Reader.boolean,
    FixedBytes: _Reader.fixed,
    Blob: _Reader.blob,
    Text: _Reader.text,
    Enumeration: _Reader.enumeration,
    Array: _Reader.array,
    Option: _Reader.option,
    Record: _Reader.record,
}
