"""Emits the code that adds up what a value would take, without making its bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spore.codec.emit import Source
from spore.message import Array, Option, Record, Text, WireType

__all__ = ["Sizer"]


class Sizer(Source):
    """Emits code that adds up what a value would take."""

    def function(self, wire: WireType) -> Callable[[Any], int]:
        return self.build("value", self.size(wire, "value"))  # type: ignore[no-any-return]

    def size(self, wire: WireType, value: str) -> str:
        """An expression for the bytes of a value."""
        if wire.size is not None:
            return str(wire.size)
        match wire:
            case Record():
                fixed = sum(field.wire.size or 0 for field in wire.fields)
                rest = [self.size(x.wire, f"{value}.{x.name}") for x in wire.fields if x.wire.size is None]
                return " + ".join([str(fixed), *rest])
            case Text():
                return f"{self.refer('size', _text_size)}({value})"
            case Array(item=item) if item.size is not None:
                return f"2 + len({value}) * {item.size}"
            case Array(item=item):
                return f"2 + sum([{self.nested(item, 'item')} for item in {value}])"
            case Option(item=item):
                return f"(1 if {value} is None else 1 + {self.nested(item, value)})"
            case _:
                return f"2 + len({value})"

    def nested(self, item: WireType, value: str) -> str:
        return str(item.size) if item.size is not None else f"{self.refer('size', Sizer().function(item))}({value})"


def _text_size(text: str) -> int:
    return 2 + (len(text) if text.isascii() else len(text.encode()))
