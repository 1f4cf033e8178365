"""What two layouts of a message mean differently is said field by field; what cannot be read is compared as a whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.strategies import MESSAGE_CLASSES

from spore.message import changes, message_type, name_in
from spore.message.meaning import _parse, type_changes

BEFORE = (
    "120 Tick market_data {n: u64, side: enum u8 {BUY=1, SELL=2}, levels: list of {price: u64, size: optional u64}}"
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n: u64", "n: price", ["n was u64 and is price"]),
        ("n: u64", "m: u64", ["field 1 was n and is m"]),
        ("n: u64, ", "", ["field 1 was n, u64, which is not there any more"]),
        ("{n: u64", "{a: u8, n: u64", ["field 1 is a, u8, which was not there"]),
        ("BUY=1", "BID=1", ["member 1 of side was BUY and is BID"]),
        ("BUY=1, SELL=2", "BUY=2, SELL=1", ["member 1 of side was BUY and is SELL", "member 2 of side was SELL and is BUY"]),
        ("SELL=2", "SELL=2, SHORT=-3", ["member -3 of side is SHORT, which was not there"]),
        ("BUY=1, ", "", ["member 1 of side was BUY, which is not there any more"]),
        ("enum u8", "enum u16", ["side was an enum of u8: BUY=1, SELL=2 and is an enum of u16: BUY=1, SELL=2"]),
        ("{price: u64, size: optional u64}", "{size: optional u64, price: u64}",
         ["levels[].price was field 1 and is field 2", "levels[].size was field 2 and is field 1"]),
        ("optional u64", "u64", ["levels[].size was optional u64 and is u64"]),
        ("optional u64", "optional price", ["levels[].size was u64 and is price"]),
        ("list of {", "optional {", ["levels was list of a record of price, size and is optional a record of price, size"]),
        ("120 ", "121 ", ["its type number was 120 and is 121"]),
        ("Tick", "Tock", ["its name was Tick and is Tock"]),
        ("market_data", "signal", ["its domain was market_data and is signal"]),
    ],
)  # fmt: skip
def test_each_change_is_named_with_its_field(old, new, said):
    """Old first, then new."""
    assert list(changes(BEFORE, BEFORE.replace(old, new))) == said
    assert changes(BEFORE, BEFORE) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "120",
        "120 Tick market_data",
        "120 Tick market_data {",
        "1 T s {a: u8} ",
        "1 T s {a: {}}}",
        "1 T s " + "list of " * 500 + "u8",
    ],
)
def test_what_is_no_layout_is_compared_as_a_whole(text):
    """It may come from a file."""
    assert changes(text, BEFORE) == (f"it was {text!r} and is {BEFORE!r}",)


def test_two_types_by_themselves():
    """Such as records."""
    assert type_changes("{a: u8}", "{a: u16}") == ("a was u8 and is u16",)
    assert type_changes("enum u8 {A=1}", "enum u8 {B=1}") == ("member 1 of it was A and is B",)
    assert type_changes("?", "u8") == ("it was ? and is u8",)


def test_the_name_in_a_text():
    """Or a question mark."""
    assert (name_in(BEFORE), name_in("1")) == ("Tick", "?")


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_every_layout_is_understood(cls):
    """So that none is only compared as a whole."""
    _parse(message_type(cls).text.split(" ", 3)[3])


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_are_answered(was, now):
    """With something to say where they differ, and with nothing where they do not."""
    assert bool(changes(was, now)) == (was != now)
    assert bool(type_changes(was, now)) == (was != now)
