"""Asking whether a message would survive the wire."""

import enum
from typing import NamedTuple

import attrs
import pytest

import spore
from spore.codec import verify, wire_difference

MESSAGES = spore.Registry()


@spore.message(type_id=1, domain=spore.Domain.MARKET_DATA, registry=MESSAGES)
class Level:
    price: spore.PriceE8
    sizes: tuple[spore.U8, ...] = ()


def test_a_message_that_comes_back_the_same_has_no_difference():
    """Most messages are fine, and then there is nothing to say."""
    assert wire_difference(Level(5, (1, 2)), registry=MESSAGES) is None


def test_a_value_without_a_wire_form_is_named():
    """The sentence is that of the codec: message, field and value."""
    said = wire_difference(Level(1.5), registry=MESSAGES)
    assert said == "does not survive the wire: Level.price = 1.5: price needs an integer, not float"


def test_what_is_no_message_is_said_to_be_none():
    """An object that only a bundle can hand over is found before somebody flips the mode."""
    said = wire_difference(attrs.make_class("Note", [])())
    assert said is not None
    assert "Note is not a message" in said


def test_a_message_that_the_other_end_does_not_know_is_a_difference():
    """A message comes back as itself or not at all: an unknown TLV is no message."""
    assert "comes back from the wire as UnknownTlv" in str(wire_difference(Level(1), registry=spore.Registry()))


def test_a_message_that_comes_back_as_something_else_is_a_difference():
    """A value that the wire turns into another one of the same number is one that differs."""

    class Almost(int):
        def __eq__(self, other):
            return False

        __hash__ = None

    assert "comes back from the wire as Level(price=1" in str(wire_difference(Level(Almost(1)), registry=MESSAGES))


class Number(enum.IntEnum):
    ONE = 1


@attrs.frozen
class Scalar:
    """A number as array libraries have them: it passes for an index."""

    value: int

    def __index__(self):
        return self.value


class Name(str):
    """A string with more to it."""


class Pair(NamedTuple):
    first: int
    second: int


class Content(bytes):
    """Bytes with more to them."""


class Side(enum.Enum):
    BUY = 1


@spore.record
class Leg:
    size: spore.U64
    name: spore.Str = ""
    raw: spore.Bytes = b""


@spore.message(type_id=2, domain=spore.Domain.MARKET_DATA, registry=MESSAGES)
class Order:
    small: spore.U8 = 0
    number: spore.U64 = 0
    wide: spore.U256 = 0
    name: spore.Str = ""
    raw: spore.Bytes = b""
    hash: spore.Bytes32 = bytes(32)
    flag: spore.Bool = False
    side: Side = Side.BUY
    numbers: tuple[spore.U64, ...] = ()
    leg: Leg = Leg(1)
    legs: tuple[Leg, ...] = ()
    limit: spore.U64 | None = None
    best: Leg | None = None
    notes: tuple[spore.Str, ...] = ()


@pytest.mark.parametrize("wrong", [True, Number.ONE, Scalar(1)])
@pytest.mark.parametrize("field", ["small", "number", "wide", "limit"])
def test_what_only_equals_an_integer_is_a_difference(field, wrong):
    """A number that travels as an int, and arrives as one, is found where it was none."""
    said = str(wire_difference(Order(**{field: wrong}), registry=MESSAGES))
    assert f"{field} was {wrong!r}, of type {type(wrong).__name__}, and becomes 1, of type int" in said
    assert "comes back from the wire as Order(" in said


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"raw": bytearray(b"x")}, "raw was bytearray(b'x'), of type bytearray, and becomes b'x', of type bytes"),
        ({"hash": bytearray(32)}, "hash was bytearray("),
        ({"raw": Content(b"x")}, "raw was b'x', of type Content, and becomes b'x', of type bytes"),
        ({"name": Name("x")}, "name was 'x', of type Name, and becomes 'x', of type str"),
        (
            {"numbers": Pair(1, 2)},
            "numbers was Pair(first=1, second=2), of type Pair, and becomes (1, 2), of type tuple",
        ),
        ({"numbers": (1, True)}, "numbers[1] was True, of type bool"),
        ({"notes": ("", Name("x"))}, "notes[1] was 'x', of type Name"),
        ({"leg": Leg(True)}, "leg.size was True, of type bool"),
        ({"legs": (Leg(1), Leg(2, raw=bytearray(b"x")))}, "legs[1].raw was bytearray(b'x'), of type bytearray"),
        ({"best": Leg(1, Name("x"))}, "best.name was 'x', of type Name"),
    ],
)
def test_a_value_of_another_type_is_a_difference(fields, path):
    """What is equal and of another type is found wherever it stands, by its path."""
    assert path in str(wire_difference(Order(**fields), registry=MESSAGES))


@pytest.mark.parametrize(
    "fields", [{"numbers": [1, 2]}, {"flag": 1}, {"raw": memoryview(b"x")}, {"legs": [Leg(1)]}, {"best": object()}]
)
def test_what_cannot_travel_does_not_survive(fields):
    """A list is no tuple, and a 1 no bool: the encoder refuses them."""
    assert "does not survive the wire: Order." in str(wire_difference(Order(**fields), registry=MESSAGES))


def test_every_kind_of_field_comes_back_the_same():
    """What is of the types that were declared has no difference, at any depth."""
    leg = Leg(2, "leg", b"raw")
    order = Order(
        1, 2, 2**200, "é", b"raw", bytes(range(32)), True, Side.BUY, (1, 2), leg, (leg, leg), 5, leg, ("a", "")
    )
    assert wire_difference(order, registry=MESSAGES) is None
    assert wire_difference(Order(), registry=MESSAGES) is None


def test_a_codec_that_reads_another_value_is_found_out(monkeypatch):
    """What is asked is what comes back, and not what should."""
    real = verify.decode

    def off_by_one(frame, registry):
        read = real(frame, registry=registry)
        return attrs.evolve(read, items=(attrs.evolve(read.message, price=6),))

    monkeypatch.setattr(verify, "decode", off_by_one)
    said = wire_difference(Level(5), registry=MESSAGES)
    assert said == "comes back from the wire as Level(price=6, sizes=()): price was 5, and becomes 6"
