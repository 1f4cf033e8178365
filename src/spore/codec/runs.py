"""Runs: the messages of neighbouring frames, read in one go, for whoever takes them one after the other.

Strategy: in a stream most frames look like the one before. The compiled loop takes a frame only if it is plainly right: whole, with one
message of the run's class, the same source, no flags, the number that is next, and its checksum. It makes no `Frame`, because
nothing of one is left to tell. Where it stops, the caller asks `decode`, which finds the error or takes the frame after all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spore.codec.emit import NOT_PLAIN
from spore.codec.header import HEADER_SIZE, SUMMED_SIZE, frame_prefix
from spore.codec.read import Reader
from spore.codec.tlv import EXTENDED, EXTENDED_HEAD_SIZE, STANDARD_HEAD_SIZE, STANDARD_MAX
from spore.message import MAX_VALUE_SIZE, REGISTRY, MessageType, Registry

__all__ = ["LARGEST", "RunReader"]

LARGEST = HEADER_SIZE + EXTENDED_HEAD_SIZE + MAX_VALUE_SIZE
"""No frame of a run is larger, in bytes."""
_KIND_AT = HEADER_SIZE + 2
"""Where the type number stands in an extended TLV."""
_Loop = Callable[[bytes, int, int, int], "tuple[list[Any], int]"]


class RunReader:
    """Reads runs of the messages that a registry knows."""

    def __init__(self, registry: Registry = REGISTRY) -> None:
        self._registry = registry

    def read(self, data: bytes, at: int, number: int, most: int) -> tuple[list[Any], int]:
        """The run that begins at an index, as far as it goes.

        Args:
            number: of the first frame; those of the others count up by one.
            most: so many frames at most.

        Returns:
            The messages, and the index behind the last one's frame: none, and the same index, if no run begins there.
        """
        kind = data[at + HEADER_SIZE] if at + _KIND_AT < len(data) else 0
        extended = kind == EXTENDED
        entry = self._registry.by_type(data[at + _KIND_AT] if extended else kind)
        if entry is None:
            return [], at
        key = entry.cls, extended
        loop = _LOOPS.get(key)
        if loop is None:
            loop = _LOOPS[key] = _compiled(entry, extended=extended)
        return loop(data, at, number, most)


_LOOPS: dict[tuple[type, bool], _Loop] = {}


def _compiled(entry: MessageType, *, extended: bool) -> _Loop:
    """One `struct` takes the header, the TLV's head and the first fields; then all that is constant is compared."""
    mark = bytes((EXTENDED, 0, entry.type_id)) if extended else bytes((entry.type_id,))
    tlv_head_size = EXTENDED_HEAD_SIZE if extended else STANDARD_HEAD_SIZE
    outer = Reader()
    outer.scope |= {"NOT_PLAIN": NOT_PLAIN, "mark": mark, "prefix": frame_prefix(entry.domain)}
    emit = Reader(outer)
    emit.codes = "8sQ8xII3sH" if extended else "8sQ8xII1sB"
    emit.names = ["head", "sequence", "payload_size", "checksum", "found_mark", "size"]
    made = emit.read(entry.layout)
    emit.flush()
    unpacking, rest = emit.lines[:3], emit.lines[3:]
    # To join the two takes less time than to sum them one after the other, unless there is much to copy.
    payload = f"begin + {HEADER_SIZE}:stop"
    summed = f"data[begin:begin + {SUMMED_SIZE}]"
    found = f"crc32(view[{payload}], crc32({summed}))" if extended else f"crc32({summed} + data[{payload}])"
    conditions = (
        "head != first",
        "sequence != number",
        "found_mark != mark",
        f"payload_size != {tlv_head_size} + size",
        f"size < {STANDARD_MAX + 1 if extended else 0}",
        "stop > length",
        f"{found} != checksum",
    )
    turn = [
        "stop = length",
        *unpacking,
        f"stop = begin + {HEADER_SIZE + tlv_head_size} + size",
        f"if {' or '.join(conditions)}: break",
        *rest,
        "if at != stop: break",
        f"append({made})",
        "begin = at",
        "number += 1",
    ]
    outer.lines += [
        "found, begin, length, last, view = [], at, len(data), number + most, memoryview(data)",
        f"append, first = found.append, data[at:at + {len('headhead')}]",
        "if not first.startswith(prefix) or first[7]: return found, at",
    ]
    loop = Reader(outer)
    loop.block("while number < last:", turn)
    outer.block("try:", loop.lines)
    outer.block("except NOT_PLAIN:", ["pass"])
    return outer.build("data, at, number, most", "(found, begin)")  # type: ignore[no-any-return]
