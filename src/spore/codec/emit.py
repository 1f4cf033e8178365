"""The source of one compiled function in the making, and how it says no.

Strategy: functions are built from lines of Python whose parts come from layouts, never from input. Neighbouring
fields of fixed size gather as the codes of one `struct`.
"""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

__all__ = ["CODES", "NOT_PLAIN", "Misfit", "Source"]


class Misfit(Exception):  # noqa: N818 - it never leaves the codec
    """A value or some bytes that the compiled code leaves to the reference codec."""


NOT_PLAIN = (Misfit, struct.error, AttributeError, LookupError, OverflowError, TypeError, ValueError)


CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}


class Source:
    """The lines of one function in the making, and the objects that it refers to."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {
            "Misfit": Misfit,
            "crc32": crc32,
            "from_bytes": int.from_bytes,
            "to_bytes": int.to_bytes,
            "ZERO": 0,
        }
        self.lines: list[str] = []
        self.codes = ""
        self._count = 0

    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def refer(self, prefix: str, thing: object) -> str:
        """A name for an object in the function's scope."""
        name = self.fresh(prefix)
        self.scope[name] = thing
        return name

    def refuse_if(self, condition: str) -> None:
        self.lines.append(f"if {condition}: raise Misfit")

    def take_struct(self) -> struct.Struct:
        """The struct of the fields gathered so far; the next field begins a new one."""
        gathered, self.codes = struct.Struct(f"<{self.codes}"), ""
        return gathered

    def build(self, signature: str, result: str) -> Any:
        body = "\n    ".join([*self.lines, f"return {result}"])
        exec(compile(f"def function({signature}):\n    {body}", "<compiled codec>", "exec"), self.scope)
        return self.scope["function"]
