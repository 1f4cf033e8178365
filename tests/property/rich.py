"""One family of messages that uses every wire type, alone, nested, listed and optional.

Invariant: whatever a layout can be, one of these has it; a property that holds for them holds for layouts.
They live in a registry of their own, so that they never meet the messages of the services.
"""

import enum
from typing import Annotated

import attrs

import spore
from spore import Domain, Registry

RICH = Registry()

Tag = Annotated[bytes, spore.FixedBytes(3)]


class Colour(enum.IntEnum):
    """A byte on the wire, with both ends of its range taken."""

    RED = 0
    GREEN = 7
    BLUE = 255


class Level(enum.Enum):
    """Wider than a byte and signed, and no int in Python."""

    __wire__ = spore.I16

    DEEP = -32_768
    GROUND = 0
    HIGH = 32_767


class Huge(enum.Enum):
    """Wider than any single machine word."""

    __wire__ = spore.U128

    SMALL = 1
    LARGE = 2**128 - 1


@spore.record
class Point:
    """A record of fixed size."""

    x: spore.I32
    y: spore.I128
    sure: spore.Bool


@spore.record
class Label:
    """A record whose size depends on its value."""

    text: spore.Str
    colour: Colour | None


@spore.record
class Line:
    """Records within a record."""

    start: Point
    label: Label
    end: Point


@spore.record
class Nothing:
    """A record without fields, which takes no bytes at all."""


@spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=RICH)
class Integers:
    u8: spore.U8
    u16: spore.U16
    u32: spore.U32
    u64: spore.U64
    u128: spore.U128
    u256: spore.U256
    i8: spore.I8
    i16: spore.I16
    i32: spore.I32
    i64: spore.I64
    i128: spore.I128
    i256: spore.I256


@spore.message(type_id=2, domain=Domain.MARKET_DATA, registry=RICH)
class Scalars:
    yes: spore.Bool
    colour: Colour
    level: Level
    huge: Huge
    pool: spore.Address
    tx_hash: spore.Bytes32
    tag: Tag
    price: spore.PriceE8
    amount_e8: spore.MoneyE8
    event_time_ns: spore.TimestampNs
    where: Point
    nothing: Nothing


@spore.message(type_id=3, domain=Domain.MARKET_DATA, registry=RICH)
class Texts:
    """Bytes whose number depends on the value, with something fixed between and behind them."""

    text: spore.Str
    blob: spore.Bytes
    between: spore.U16
    second: spore.Str
    behind: spore.Bool


@spore.message(type_id=4, domain=Domain.MARKET_DATA, registry=RICH)
class Lists:
    bytes_: tuple[spore.U8, ...]
    shorts: tuple[spore.I16, ...]
    words: tuple[spore.U64, ...]
    wides: tuple[spore.I128, ...]
    widest: tuple[spore.U256, ...]
    prices: tuple[spore.PriceE8, ...]
    bools: tuple[spore.Bool, ...]
    colours: tuple[Colour, ...]
    levels: tuple[Level, ...]
    tags: tuple[Tag, ...]
    points: tuple[Point, ...]
    labels: tuple[Label, ...]
    texts: tuple[spore.Str, ...]
    blobs: tuple[spore.Bytes, ...]
    maybes: tuple[spore.U32 | None, ...]
    maybe_texts: tuple[spore.Str | None, ...]
    maybe_nothings: tuple[Nothing | None, ...]
    rows: tuple[tuple[spore.U8, ...], ...]
    cubes: tuple[tuple[tuple[Label, ...], ...], ...]


@spore.message(type_id=5, domain=Domain.MARKET_DATA, registry=RICH)
class Nested:
    """Records in records, and a message used as a record."""

    line: Line
    texts: Texts
    scalars: Scalars | None
    lines: tuple[Line, ...]


@spore.message(type_id=20, domain=Domain.SIGNAL, registry=RICH)
class Options:
    small: spore.U8 | None
    wide: spore.I256 | None
    half: spore.U128 | None
    yes: spore.Bool | None
    colour: Colour | None
    level: Level | None
    tag: Tag | None
    text: spore.Str | None
    blob: spore.Bytes | None
    point: Point | None
    label: Label | None
    nothing: Nothing | None
    words: tuple[spore.U16, ...] | None
    labels: tuple[Label | None, ...] | None
    behind: spore.U8


@spore.message(type_id=40, domain=Domain.EXECUTION, registry=RICH)
class Empty:
    """A message without fields: its TLV is a head and nothing else."""


@spore.message(type_id=41, domain=Domain.EXECUTION, registry=RICH)
class Defaults:
    """Fields that need not be given, and one that attrs builds by position of a keyword only."""

    first: spore.U8
    second: spore.U8 = 7
    third: tuple[spore.U8, ...] = attrs.field(factory=lambda: (1, 2))
    fourth: spore.Str = attrs.field(default="four", kw_only=True)


@spore.message(type_id=42, domain=Domain.EXECUTION, registry=RICH)
class Standard:
    """Exactly what a standard TLV can hold: one byte more and it is extended."""

    octets: Annotated[bytes, spore.FixedBytes(254)]
    last: spore.Bool


@spore.message(type_id=43, domain=Domain.EXECUTION, registry=RICH)
class Extended:
    """A fixed size that is one byte too much for a standard TLV."""

    octets: Annotated[bytes, spore.FixedBytes(255)]
    last: spore.Bool


@spore.message(type_id=199, domain=Domain.SYSTEM, registry=RICH)
class Trace:
    """Accompanies a message of any domain; its type number is the last that an application can have."""

    trace_id: Annotated[bytes, spore.FixedBytes(16)]
    hops: spore.U8
