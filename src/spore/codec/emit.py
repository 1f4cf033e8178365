"""The source of one compiled function in the making, and how such a function says no.

Strategy: functions are built from lines of Python whose parts come from layouts, never from input. Neighbouring
fields of fixed size gather as the codes of one `struct`. What is nested becomes a block of the same function, since a
call for each item costs more than the item.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any
from zlib import crc32

__all__ = ["CODES", "NOT_PLAIN", "Misfit", "Source"]


class Misfit(Exception):
    """A value or some bytes that the compiled code leaves to the reference codec."""


NOT_PLAIN = (Misfit, struct.error, AttributeError, LookupError, OverflowError, TypeError, ValueError)
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}

_SCOPE = {"Misfit": Misfit, "crc32": crc32, "from_bytes": int.from_bytes, "to_bytes": int.to_bytes, "ZERO": 0}
DEEPEST = 15
"""Blocks in blocks: what lies deeper is left to the reference codec. Source: CPython 3.11 nests 20 loops in one
function and no more (CO_MAXBLOCKS)."""


class Source:
    """The lines of one function in the making, and the objects that it refers to.

    Args:
        outer: what this is a block of: the same function, with the same names.
    """

    def __init__(self, outer: Source | None = None) -> None:
        self.scope: dict[str, Any] = outer.scope if outer else dict(_SCOPE)
        self.lines: list[str] = []
        self.codes = ""
        self._numbers: Iterator[int] = outer._numbers if outer else itertools.count(1)
        self._depth: int = outer._depth + 1 if outer else 0

    def fresh(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers)}"

    def refer(self, prefix: str, thing: object) -> str:
        """A name for an object in the function's scope."""
        name = self.fresh(prefix)
        self.scope[name] = thing
        return name

    def refuse_if(self, condition: str) -> None:
        self.lines.append(f"if {condition}: raise Misfit")

    def block(self, opening: str, lines: list[str]) -> None:
        """Put the lines of a source within this one behind a line that opens a block."""
        if self._depth == DEEPEST:
            lines = ["raise Misfit"]
        self.lines += [opening, *[f"    {line}" for line in lines]]

    def take_struct(self) -> struct.Struct:
        """The struct of the fields gathered so far; the next field begins a new one."""
        gathered, self.codes = struct.Struct(f"<{self.codes}"), ""
        return gathered

    def build(self, signature: str, result: str) -> Any:
        body = "\n    ".join([*self.lines, f"return {result}"])
        exec(compile(f"def function({signature}):\n    {body}", "<compiled codec>", "exec"), self.scope)
        return self.scope["function"]
