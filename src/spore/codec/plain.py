"""Frames as JSON-ready dicts and back: one line of a file that a person can read and edit.

Shape: ``{"domain", "source", "flags": [name, …], "sequence", "timestamp_ns", "items": [item, …]}``, where an
item is ``{"type": name, "fields": {…}}`` or, for a type that is not known, ``{"type_id", "bytes": "0x…"}``.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from spore.codec.frame import Frame, UnknownTlv
from spore.codec.header import FLAGS, Flags
from spore.codec.schema_head import HEADS, with_names
from spore.errors import ConversionError
from spore.message import (
    REGISTRY,
    U8,
    U64,
    Bytes,
    Domain,
    Registry,
    Str,
    from_plain,
    message_type,
    record,
    to_plain,
)

__all__ = ["frame_from_plain", "frame_to_plain"]

T = TypeVar("T")


@record
class FrameHeader:
    source: U8
    sequence: U64
    timestamp_ns: U64
    domain: Domain
    flags: tuple[Str, ...]


@record
class UnknownItem:
    type_id: U8
    bytes: Bytes


def frame_to_plain(frame: Frame) -> dict[str, Any]:
    """A frame as a dict of what JSON can hold.

    Raises:
        DecodeError: if it is the head of a recording that is damaged.
    """
    frame = with_names(frame)
    flags = tuple(flag.name.lower() for flag in FLAGS[frame.flags] if flag.name)
    header = FrameHeader(frame.source, frame.sequence, frame.timestamp_ns, frame.domain, flags)
    plain = to_plain(header)
    return {
        "domain": frame.domain.label,
        "source": plain["source"],
        "flags": plain["flags"],
        "sequence": plain["sequence"],
        "timestamp_ns": plain["timestamp_ns"],
        "items": [_item_to_plain(item) for item in frame.items],
    }


def frame_from_plain(data: object, *, registry: Registry = REGISTRY) -> Frame:
    """A frame out of what `frame_to_plain` made.

    Raises:
        ConversionError: naming what is wrong, each with the path of its key.
    """
    if not isinstance(data, dict):
        _refuse(f"{data!r} is no object")
    items = data.get("items", [])
    if not isinstance(items, list):
        _refuse(f"items: {items!r} is no list")
    header = {"source": 0, "flags": [], **{key: value for key, value in data.items() if key != "items"}}
    if isinstance(label := header.get("domain"), str):
        header["domain"] = label.upper()
    read = _read(FrameHeader, header, "")
    flags = Flags.NONE
    for name in read.flags:
        if name.upper() not in Flags.__members__:
            _refuse(f"flags: there is no flag {name!r}; there are {', '.join(x.name.lower() for x in Flags if x.name)}")
        flags |= Flags[name.upper()]
    found = tuple([_item_from_plain(item, f"items[{index}]", registry) for index, item in enumerate(items)])
    return Frame(read.domain, read.source, flags, read.sequence, read.timestamp_ns, found)


def _item_to_plain(item: object) -> dict[str, Any]:
    if isinstance(item, UnknownTlv):
        return to_plain(UnknownItem(item.type_id, item.value))
    return {"type": message_type(item).name, "fields": to_plain(item)}


def _item_from_plain(data: object, path: str, registry: Registry) -> object:
    if not isinstance(data, dict):
        _refuse(f"{path}: {data!r} is no object")
    if "type" not in data:
        unknown = _read(UnknownItem, data, f"{path}: ")
        return UnknownTlv(unknown.type_id, unknown.bytes)
    if extra := sorted(str(key) for key in set(data) - {"type", "fields"}):
        _refuse(f"{path}: unknown keys {', '.join(extra)}; the keys are type, fields")
    name = data["type"]
    entry = (registry.by_name(name) or HEADS.by_name(name)) if isinstance(name, str) else None
    if entry is None:
        known = ", ".join(entry.name for entry in registry) or "none"
        _refuse(f"{path}.type: there is no message {data['type']!r}; there are {known}")
    return _read(entry.cls, data.get("fields", {}), f"{path}: ")


def _read(cls: type[T], data: object, where: str) -> T:
    try:
        return from_plain(cls, data)
    except ConversionError as error:
        raise ConversionError("Frame", tuple([f"{where}{problem}" for problem in error.problems])) from None


def _refuse(problem: str) -> NoReturn:
    raise ConversionError("Frame", (problem,))
