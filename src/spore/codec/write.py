"""Emits the code that turns values into bytes: straight lines, no loop over fields.

Strategy: the lines check what struct would not, a class or a length, and then one expression packs and joins all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from spore.codec.emit import CODES, Source
from spore.message import (
    Array,
    Blob,
    Boolean,
    Enumeration,
    FixedBytes,
    Int,
    Record,
    Text,
    WireType,
)

__all__ = ["Writer"]


class Writer(Source):
    """Emits code that turns values into bytes."""

    def __init__(self, outer: Source | None = None) -> None:
        super().__init__(outer)
        self.values: list[str] = []
        self.parts: list[str] = []

    def value_function(self, layout: Record) -> Callable[[Any], bytes]:
        """``function(message) -> bytes``. The class of the message is checked by the caller."""
        self.contents(layout, "value")
        return self.build("value", self.result())  # type: ignore[no-any-return]

    def result(self) -> str:
        """An expression for all bytes so far, good behind the lines so far."""
        self.flush()
        return self.parts[0] if len(self.parts) == 1 else f"b''.join(({', '.join(self.parts)}))"

    def flush(self) -> None:
        if self.codes or not self.parts:
            pack = self.refer("pack", self.take_struct().pack)
            self.parts.append(f"{pack}({', '.join(self.values)})")
            self.values = []

    def put(self, code: str, value: str) -> None:
        self.codes += code
        self.values.append(value)

    def put_count(self, of: str) -> None:
        self.put("H", f"len({of})")
        self.flush()

    def local(self, value: str) -> str:
        if value.isidentifier():
            return value
        name = self.fresh("v")
        self.lines.append(f"{name} = {value}")
        return name

    def instance(self, value: str, cls: type) -> str:
        name = self.local(value)
        self.refuse_if(f"type({name}) is not {self.refer('cls', cls)}")
        return name

    def contents(self, layout: Record, value: str) -> None:
        """Like `write`, for a record whose class is known to be right."""
        for field in layout.fields:
            self.write(field.wire, f"{value}.{field.name}")

    def write(self, wire: WireType, value: str) -> None:
        match wire:
            case Int():
                self.integer(wire, value)
            case Boolean():
                name = self.local(value)
                self.refuse_if(f"{name} is not True and {name} is not False")
                self.put("?", name)
            case FixedBytes():
                name = self.local(value)
                self.refuse_if(f"len({name}) != {wire.size}")
                self.put(f"{wire.size}s", name)
            case Enumeration():
                self.integer(wire.integer, f"{self.instance(value, wire.cls)}._value_")
            case Record():
                self.contents(wire, self.instance(value, wire.cls))
            case Text():
                encoded = self.local(f"{self.instance(value, str)}.encode()")
                self.put_count(encoded)
                self.parts.append(encoded)
            case Blob():
                name = self.instance(value, bytes)
                self.put_count(name)
                self.parts.append(name)
            case Array():
                name = self.instance(value, tuple)
                self.put_count(name)
                self.parts.append(self.items(wire.item, name))
            case _:  # Option: nothing else is left
                name = self.local(value)
                self.option(wire.item, name)

    def integer(self, wire: Int, value: str) -> None:
        if wire.form in CODES:
            self.put(CODES[wire.form], value)
        else:
            # Half of the amounts in a swap are 0, and for those struct's padding does: no bytes are as good as 16.
            # It must be `is`, since False, 0.0 and others equal 0, and not all of them may travel.
            name = self.fresh("v")
            signed = ", signed=True" if wire.signed else ""
            wide = f"to_bytes({name}, {wire.size}, 'little'{signed})"
            self.put(f"{wire.size}s", f"b'' if ({name} := {value}) is ZERO else {wide}")

    def items(self, item: WireType, value: str) -> str:
        if isinstance(item, Int) and item.form in CODES:
            pack = self.refer("pack", struct.pack)
            return f"{pack}('<%d{CODES[item.form]}' % len({value}), *{value})"
        each, packed = self.fresh("item"), self.fresh("packed")
        inner = Writer(self)
        inner.write(item, each)
        result = inner.result()
        self.lines.append(f"{packed} = []")
        self.block(f"for {each} in {value}:", [*inner.lines, f"{packed}.append({result})"])
        return f"b''.join({packed})"

    def option(self, item: WireType, value: str) -> None:
        packed = self.fresh("packed")
        inner = Writer(self)
        inner.put("B", "1")
        inner.write(item, value)
        result = inner.result()
        self.block(f"if {value} is None:", [f"{packed} = b'\\0'"])
        self.block("else:", [*inner.lines, f"{packed} = {result}"])
        if self.codes:
            self.flush()
        self.parts.append(packed)
