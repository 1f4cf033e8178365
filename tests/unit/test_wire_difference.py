"""Asking whether a message would survive the wire."""

import attrs

import spore
from spore.codec import wire_difference

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
