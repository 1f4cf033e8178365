"""Emits the code that turns bytes into values: straight lines, no loop over fields."""

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

    def __init__(self) -> None:
        super().__init__()
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

    def value_function(self, wire: WireType) -> Callable[..., Any]:
        """``function(data, at) -> value`` for a fixed size, else ``function(data, at, stop) -> (value, at)``."""
        made = self.read(wire)
        if wire.size is not None:
            self.flush(checked=True)
            return self.build("data, at", made)  # type: ignore[no-any-return]
        self.flush()
        return self.build("data, at, stop", f"{made}, at")  # type: ignore[no-any-return]

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
        count = self.take_count()
        name = self.fresh("items")
        if item.size is not None:
            self.lines.append(f"end = at + {count} * {item.size}")
            self.refuse_if("end > stop")
            self.lines += [f"{name} = {self.fixed_items(item, count)}", "at = end"]
        else:
            read = self.refer("read", Reader().value_function(item))
            self.lines += [
                f"{name} = []",
                f"for _ in range({count}):",
                f"    item, at = {read}(data, at, stop)",
                f"    {name}.append(item)",
                f"{name} = tuple({name})",
            ]
        return name

    def fixed_items(self, item: WireType, count: str) -> str:
        if isinstance(item, Int) and item.form in CODES:
            unpack = self.refer("unpack", struct.unpack_from)
            return f"{unpack}('<%d{CODES[item.form]}' % {count}, data, at)"
        read = self.refer("read", Reader().value_function(item))
        return f"tuple([{read}(data, i) for i in range(at, end, {item.size})])"

    def option(self, item: WireType) -> str:
        tag = self.take("B")
        self.flush()
        name = self.fresh("option")
        read = self.refer("read", Reader().value_function(item))
        self.refuse_if(f"{tag} > 1")
        if item.size is None:
            self.lines += [f"if {tag}: {name}, at = {read}(data, at, stop)", f"else: {name} = None"]
        else:
            self.refuse_if(f"at + {tag} * {item.size} > stop")
            self.lines += [f"{name} = {read}(data, at) if {tag} else None", f"at += {tag} * {item.size}"]
        return name
