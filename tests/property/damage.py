"""Damage: the ways in which bytes go wrong, and values that have no wire form.

Strategy: a checksum stops nearly every damage before it reaches anything worth testing, so `repaired` puts
the size and the checksum right again, and what is wrong behind the header reaches TLVs and fields.
"""

from typing import Any
from zlib import crc32

import attrs
from hypothesis import strategies as st
from tests.property.rich import Colour, Point
from tests.property.strategies import values

from spore.message import Array, Blob, Boolean, Enumeration, FixedBytes, Int, Option, Record, Text, WireType, layout_of

__all__ = ["damaged", "misfits", "repaired", "wrong_values"]


def repaired(data: bytes) -> bytes:
    """The bytes with magic, domain, version, flags, size and checksum as they must be; 28 zeros precede short ones."""
    head = bytearray(data[:32].ljust(32, b"\0"))
    payload = data[32:]
    head[0:4] = b"\xef\xbe\xad\xde"
    head[4] = (head[4] - 1) % 4 + 1
    head[5] = 1
    head[7] &= 7
    head[24:28] = len(payload).to_bytes(4, "little")
    head[28:32] = crc32(payload, crc32(head[:28])).to_bytes(4, "little")
    return bytes(head) + payload


@st.composite
def damaged(draw: st.DrawFn, data: bytes, start: int = 0) -> bytes:
    """The bytes with a few flips, cuts, insertions, repetitions and overwritten counts from an index on."""
    raw = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(start, max(start, len(raw) - 1)))
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "drop", "repeat"])):
            case "flip" if at < len(raw):
                raw[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if at < len(raw):
                raw[at] = draw(st.sampled_from([0, 1, 2, 254, 255]))
            case "cut":
                del raw[at:]
            case "insert":
                raw[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "drop":
                del raw[at : at + draw(st.integers(1, 4))]
            case "repeat":
                raw[at:at] = raw[at : at + draw(st.integers(1, 40))]
    return bytes(raw)


def _not(*accepted: type) -> st.SearchStrategy[object]:
    """Values of which none is of the accepted types."""
    others = [
        None,
        True,
        0,
        1,
        2,
        1.5,
        "",
        "text",
        b"",
        b"\0",
        [],
        (),
        (1,),
        {},
        object(),
        Colour.RED,
        Point(1, 2, True),
    ]
    return st.sampled_from([other for other in others if not isinstance(other, accepted)])


def misfits(wire: WireType) -> st.SearchStrategy[tuple[object, str, object]]:
    """``(value, path, wrong)``: a value without a wire form, where in it the fault lies, and what stands there."""
    match wire:
        case Int():
            outside = st.sampled_from([wire.low - 1, wire.high + 1, -(2**300), 2**300])
            return st.one_of(outside, _not(int)).map(_itself)
        case Boolean():
            return _not(bool).map(_itself)
        case FixedBytes():
            wrong = st.sampled_from([b"", b"\0" * (wire.size - 1), bytearray(wire.size + 1)])
            views = st.sampled_from([memoryview(bytes(wire.size)), "x" * wire.size, [0] * wire.size])
            return st.one_of(wrong.filter(lambda x: len(x) != wire.size), views, _not(bytes)).map(_itself)
        case Text():
            return st.one_of(st.sampled_from(["\ud800", "a\udfffb", "x" * 65_536, "é" * 32_768]), _not(str)).map(
                _itself
            )
        case Blob():
            return st.one_of(st.sampled_from([bytes(65_536), memoryview(b"")]), _not(bytes)).map(_itself)
        case Enumeration():
            member = next(iter(wire.cls))
            return st.one_of(st.just(member.value), _not(wire.cls)).map(_itself)
        case Array():
            return st.one_of(_not(tuple).map(_itself), _with_a_wrong_item(wire.item))
        case Option():
            return misfits(wire.item).filter(lambda misfit: misfit[0] is not None)
        case Record():
            return st.one_of(_not(wire.cls).map(_itself), _with_a_wrong_field(wire))


def wrong_values(cls: type) -> st.SearchStrategy[tuple[Any, str, object]]:
    """``(message, path, wrong)`` for a message class that has fields."""
    return _with_a_wrong_field(layout_of(cls))


def _itself(wrong: object) -> tuple[object, str, object]:
    return wrong, "", wrong


@st.composite
def _with_a_wrong_item(draw: st.DrawFn, item: WireType) -> tuple[object, str, object]:
    good = draw(st.lists(values(item), max_size=2))
    value, path, wrong = draw(misfits(item))
    index = draw(st.integers(0, len(good)))
    good.insert(index, value)
    return tuple(good), _join(f"[{index}]", path), wrong


@st.composite
def _with_a_wrong_field(draw: st.DrawFn, record: Record) -> tuple[object, str, object]:
    fields = [field for field in record.fields if not isinstance(field.wire, Record) or field.wire.fields]
    if not fields:
        return (), "", ()
    field = draw(st.sampled_from(fields))
    value, path, wrong = draw(misfits(field.wire))
    good = draw(values(record))
    return attrs.evolve(good, **{field.name: value}), _join(field.name, path), wrong


def _join(before: str, path: str) -> str:
    return f"{before}.{path}" if path and not path.startswith("[") else before + path
