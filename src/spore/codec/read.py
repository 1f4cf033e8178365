"""Emits the code that turns bytes into values: straight lines, no loop over fields.

Strategy: first unpack all that is there in fixed places, then make of it what is to be made (`later`). Whatever moves
the place of what follows (a count, an optional) ends such a run.
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
    open_twin,
)

__all__ = ["Reader"]


class Reader(Source):
    """Emits code that turns bytes into values. In it ``at`` moves on and ``stop`` is where it must not pass."""

    def __init__(self, outer: Source | None = None) -> None:
        super().__init__(outer)
        self.names: list[str] = []
        self.later: list[str] = []

    def message_function(self, layout: Record) -> Callable[[bytes, int, int], Any]:
        """``function(data, at, stop) -> message``, refusing bytes that are missing or left over."""
        if layout.size is not None:
            self.refuse_if(f"stop - at != {layout.size}")
            made = self.read(layout)
            self.flush(checked=True)
        else:
            made = self.read(layout)
            self.flush()
            self.refuse_if("at != stop")
        return self.build("data, at, stop", made)  # type: ignore[no-any-return]

    def flush(self, *, checked: bool = False) -> None:
        """Emit one unpack for the fields gathered so far, and then what was to be made of them."""
        if self.codes:
            gathered = self.take_struct()
            unpack = self.refer("unpack", gathered.unpack_from)
            if not checked:
                self.refuse_if(f"at + {gathered.size} > stop")
            self.lines.append(f"{', '.join(self.names)}, = {unpack}(data, at)")
            if not checked:
                self.lines.append(f"at += {gathered.size}")
        self.lines += self.later
        self.names, self.later = [], []

    def take(self, code: str) -> str:
        self.codes += code
        self.names.append(self.fresh("n"))
        return self.names[-1]

    def take_count(self) -> str:
        count = self.take("H")
        self.flush()
        return count

    def read(self, wire: WireType) -> str:
        """An expression for the value, good once `flush` has been called."""
        match wire:
            case Int():
                return self.integer(wire)
            case Boolean():
                name = self.take("B")
                self.later.append(f"if {name} > 1: raise Misfit")
                return f"{name} == 1"
            case FixedBytes():
                return self.take(f"{wire.size}s")
            case Enumeration():
                return f"{self.refer('members', wire.members)}[{self.integer(wire.integer)}]"
            case Record():
                return self.record(wire)
            case Text():
                return f"str({self.counted_bytes()}, 'utf-8')"
            case Blob():
                return self.counted_bytes()
            case Array():
                return self.items(wire.item)
            case _:  # Option: nothing else is left
                return self.option(wire.item)

    def integer(self, wire: Int) -> str:
        if wire.form in CODES:
            return self.take(CODES[wire.form])
        if wire.bits == 128:
            low, high = self.take("Q"), self.take("q" if wire.signed else "Q")
            return f"({low} | {high} << 64 if {high} else {low})"
        signed = ", signed=True" if wire.signed else ""
        return f"from_bytes({self.take(f'{wire.size}s')}, 'little'{signed})"

    def record(self, wire: Record) -> str:
        fields = [(field.name, self.read(field.wire)) for field in wire.fields]
        made = self.fresh("made")
        self.later.append(f"{made} = {self.refer('twin', open_twin(wire.cls))}()")
        self.later += [f"{made}.{name} = {value}" for name, value in fields]
        self.later.append(f"{made}.__class__ = {self.refer('cls', wire.cls)}")
        return made

    def counted_bytes(self) -> str:
        count = self.take_count()
        name = self.fresh("raw")
        self.refuse_if(f"at + {count} > stop")
        self.lines += [f"{name} = data[at:at + {count}]", f"at += {count}"]
        return name

    def items(self, item: WireType) -> str:
        count, name = self.take_count(), self.fresh("items")
        if item.size is not None:
            self.lines.append(f"end = at + {count} * {item.size}")
            self.refuse_if("end > stop")
            self.fixed_items(item, count, name)
            self.lines.append("at = end")
        else:
            inner = Reader(self)
            made = inner.read(item)
            inner.flush()
            self.collect(name, f"for _ in range({count}):", inner.lines, made)
        return name

    def fixed_items(self, item: WireType, count: str, name: str) -> None:
        if isinstance(item, Int) and item.form in CODES:
            unpack = self.refer("unpack", struct.unpack_from)
            self.lines.append(f"{name} = {unpack}('<%d{CODES[item.form]}' % {count}, data, at)")
            return
        inner = Reader(self)
        made = inner.read(item)
        unpack = self.refer("unpack", inner.take_struct().iter_unpack)
        self.collect(name, f"for {', '.join(inner.names)}, in {unpack}(data[at:end]):", inner.later, made)

    def collect(self, name: str, loop: str, lines: list[str], made: str) -> None:
        self.lines.append(f"{name} = []")
        self.block(loop, [*lines, f"{name}.append({made})"])
        self.lines.append(f"{name} = tuple({name})")

    def option(self, item: WireType) -> str:
        tag, name = self.take("B"), self.fresh("option")
        self.flush()
        self.refuse_if(f"{tag} > 1")
        inner = Reader(self)
        made = inner.read(item)
        inner.flush()
        self.block(f"if {tag}:", [*inner.lines, f"{name} = {made}"])
        self.block("else:", [f"{name} = None"])
        return name
