"""Strategies built from layouts: what a message can hold, what a frame can hold, how a stream can arrive.

Strategy: sizes and numbers are drawn close to where the format changes its mind: 0, 255 and 256 bytes of a TLV,
both ends of an integer, the machine word inside a wide one.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs
from hypothesis import strategies as st
from tests.property.rich import RICH

from spore.codec import Flags, Frame, UnknownTlv
from spore.message import (
    REGISTRY,
    Array,
    Blob,
    Boolean,
    Domain,
    Enumeration,
    FixedBytes,
    Int,
    Option,
    Record,
    Registry,
    Text,
    WireType,
    layout_of,
)
from spore.services import messages as service_messages

__all__ = ["MESSAGE_CLASSES", "SERVICES", "chunkings", "cut", "exactly", "frames", "headers", "messages", "values"]

SERVICES = REGISTRY
"""The registry that importing the services' messages has filled."""
assert service_messages.PoolSwap in SERVICES

MESSAGE_CLASSES: tuple[type, ...] = tuple(entry.cls for entry in (*RICH, *SERVICES))

U64_MAX = 2**64 - 1


def sizes(most: int = 300) -> st.SearchStrategy[int]:
    """Lengths: mostly short, now and then around those at which a TLV's form changes."""
    return st.one_of(st.integers(0, 8), st.sampled_from([n for n in (0, 1, 253, 254, 255, 256, 257) if n <= most]))


@cache
def integers(wire: Int) -> st.SearchStrategy[int]:
    """Any integer of a type, with both ends and the edges of the words inside it drawn often."""
    edges = {wire.low, wire.low + 1, wire.high - 1, wire.high, 0, 1, 127, 128, 255, 256, -1, -128, -129}
    edges |= {sign * (2**bits) + more for bits in (32, 53, 63, 64, 127, 128) for sign in (1, -1) for more in (-1, 0, 1)}
    fitting = sorted(edge for edge in edges if wire.low <= edge <= wire.high)
    return st.one_of(st.sampled_from(fitting), st.integers(wire.low, wire.high))


def texts() -> st.SearchStrategy[str]:
    """Text of any script; long ones are one character many times, which costs Hypothesis little."""
    return st.one_of(st.text(max_size=12), st.builds(str.__mul__, st.sampled_from("aé€😀\0"), sizes()))


def blobs() -> st.SearchStrategy[bytes]:
    """Bytes, a few of any kind or many of one kind."""
    return st.one_of(st.binary(max_size=12), st.builds(bytes.__mul__, st.sampled_from([b"\0", b"\xff"]), sizes()))


@cache
def values(wire: WireType) -> st.SearchStrategy[Any]:
    """What a field of this type can hold."""
    match wire:
        case Int():
            return integers(wire)
        case Boolean():
            return st.booleans()
        case FixedBytes():
            few = st.binary(min_size=min(wire.size, 4), max_size=min(wire.size, 4))
            return few.map(lambda some: (some * wire.size)[: wire.size])
        case Enumeration():
            return st.sampled_from(list(wire.cls))
        case Text():
            return texts()
        case Blob():
            return blobs()
        case Array():
            return _arrays(wire.item)
        case Option():
            return st.one_of(st.none(), values(wire.item))
        case Record():
            return st.builds(wire.cls, **{field.name: values(field.wire) for field in wire.fields})


def _arrays(item: WireType) -> st.SearchStrategy[tuple[Any, ...]]:
    few = st.lists(values(item), max_size=3).map(tuple)
    if item.size is None or item.size > 2:
        return few
    return st.one_of(few, st.builds(lambda one, times: (one,) * times, values(item), sizes()))


def messages(cls: type | None = None) -> st.SearchStrategy[Any]:
    """Instances of a message class; of any registered one, the rich and those of the services, where none is given."""
    return st.sampled_from(MESSAGE_CLASSES).flatmap(messages) if cls is None else values(layout_of(cls))


def headers() -> st.SearchStrategy[dict[str, Any]]:
    """What `encode` wants to know beside the message."""
    return st.fixed_dictionaries(
        {
            "sequence": st.one_of(st.sampled_from([0, 1, U64_MAX]), st.integers(0, U64_MAX)),
            "timestamp_ns": st.one_of(st.sampled_from([0, U64_MAX]), st.integers(0, U64_MAX)),
            "source": st.integers(0, 255),
            "flags": st.integers(0, 7).map(Flags),
        }
    )


def unknown_tlvs(registry: Registry = RICH) -> st.SearchStrategy[UnknownTlv]:
    """TLVs whose type no message of a registry has."""
    types = [number for number in range(1, 255) if registry.by_type(number) is None]
    return st.builds(UnknownTlv, st.sampled_from(types), blobs())


@st.composite
def frames(draw: st.DrawFn, registry: Registry = RICH, most: int = 3) -> Frame:
    """Frames of a registry: empty, with one message, with what may accompany it, with unknown TLVs anywhere."""
    domain = draw(st.sampled_from(Domain))
    first = [entry.cls for entry in registry if entry.domain is domain]
    beside = [entry.cls for entry in registry if entry.domain in (domain, Domain.SYSTEM)]
    items: list[object] = []
    for _ in range(draw(st.integers(0, most))):
        allowed = beside if items else first
        known = st.sampled_from(allowed).flatmap(messages) if allowed else st.nothing()
        items.append(draw(st.one_of(known, unknown_tlvs(registry))))
    return Frame(domain=domain, items=tuple(items), **draw(headers()))


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data in pieces that end at the given places."""
    start = 0
    for place in sorted(places):
        yield data[start:place]
        start = max(start, place)
    yield data[start:]


_EDGES = (0, 1, 3, 4, 5, 6, 8, 24, 27, 28, 31, 32, 33, 34, 37)
"""Where a header's fields and the heads behind it end."""


@st.composite
def chunkings(draw: st.DrawFn, data: bytes, starts: tuple[int, ...] = (0,)) -> list[bytes]:
    """The data in chunks, empty ones included: whole, byte by byte, evenly, or cut near the given starts of frames."""
    match draw(st.sampled_from(["whole", "bytes", "even", "anywhere", "edges"])):
        case "whole":
            places: list[int] = []
        case "bytes":
            places = list(range(1, min(len(data), 600)))
        case "even":
            places = list(range(0, len(data), draw(st.integers(2, 70))))
        case "anywhere":
            places = draw(st.lists(st.integers(0, len(data)), max_size=8))
        case _:
            near = sorted({min(start + edge, len(data)) for start in starts for edge in _EDGES})
            places = draw(st.lists(st.sampled_from(near), max_size=12))
    return list(cut(data, places))


def exactly(value: object) -> object:
    """A value with the types in it spelt out, because True == 1, b"" == bytearray() and a member equals its int."""
    cls = type(value)
    if attrs.has(cls):
        return cls, [exactly(getattr(value, field.name)) for field in attrs.fields(cls)]
    if isinstance(value, tuple):
        return cls, [exactly(item) for item in value]
    return cls, value
