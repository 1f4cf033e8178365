"""A default that has no wire form is refused when its class is defined, with the path and what would be right."""

import enum
import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.strategies import MESSAGE_CLASSES, messages, values

import spore
from spore.codec.walk import write_message
from spore.errors import DefinitionError, EncodeError
from spore.message import layout_of, record
from spore.message.defaults import misfit


class Way(enum.Enum):
    IN = 1


@record
class Rung:
    price: spore.U8 = 1


@record
class Counted:
    number: spore.U64 = attrs.field(factory=itertools.count().__next__)


def define(hint, default):
    return record(type("Thing", (), {"__annotations__": {"value": hint}, "value": default}))


@pytest.mark.parametrize(
    ("hint", "default", "said"),
    [
        (spore.U8, 300, "Thing.value: its default 300 cannot be sent: u8 holds 0 to 255"),
        (spore.U8, -1, "u8 holds 0 to 255"),
        (spore.U64, 1.5, "u64 needs an integer, not float"),
        (spore.PriceE8, None, "price needs an integer, not NoneType"),
        (spore.TimestampNs, -1, "timestamp holds 0 to"),
        (spore.Bool, 1, "bool needs True or False"),
        (spore.Str, b"x", "str needs a string, not bytes"),
        (spore.Str, "\ud800", "no UTF-8"),
        (spore.Str, "x" * 65_536, "65,536 bytes, and 65,535 is the most"),
        (spore.Bytes, "x", "bytes needs bytes, not str"),
        (spore.Address, bytes(19), "bytes20 needs 20 bytes, and these are 19"),
        (Way, 1, "needs a member of Way: IN"),
        (spore.U8 | None, 300, "u8 holds 0 to 255"),
        (tuple[spore.U8, ...], [1], "list of u8 needs a tuple, not list"),
        (tuple[spore.U8, ...], (1, 300), "Thing.value[1]: its default (1, 300) cannot be sent"),
        (tuple[spore.U8, ...], (1,) * 65_536, "65,536 items, and 65,535 is the most"),
        (Rung, 5, "needs a Rung, not int"),
        (Rung, Rung(300), "Thing.value.price: its default Rung(price=300) cannot be sent: u8 holds 0 to 255"),
        (tuple[Rung, ...], (Rung(), Rung(300)), "Thing.value[1].price: "),
        (spore.U8, attrs.field(default=300), "u8 holds 0 to 255"),
        (spore.U8, attrs.field(default="300", converter=int), "its default 300 cannot be sent"),
        (spore.U8, attrs.field(factory=str), "u8 needs an integer, not str"),
        (spore.U8, attrs.field(factory=lambda: 300), "its default 300 cannot be sent"),
        (tuple[Rung, ...], attrs.field(factory=lambda: (Rung(), Rung(300))), "Thing.value[1].price: "),
        (spore.U8, attrs.field(factory=lambda: Way.IN), "u8 needs an integer, not Way"),
    ],
)
def test_a_default_that_cannot_be_sent_is_refused(hint, default, said):
    """Wherever in the value it is, and however it is given."""
    with pytest.raises(DefinitionError) as caught:
        define(hint, default)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("hint", "default"),
    [
        (spore.U8, 255),
        (spore.U8 | None, None),
        (Way, Way.IN),
        (tuple[Rung, ...], ()),
        (Rung, attrs.field(factory=Rung)),
        (Way, attrs.field(factory=lambda: Way.IN)),
        (spore.U8, attrs.field(default="7", converter=int)),
    ],
)
def test_a_good_default_is_taken(hint, default):
    """And a message that leaves it out can be sent."""
    made = define(hint, default)
    assert write_message(layout_of(made), made())


def test_what_has_an_effect_is_not_called():
    """A counter, a function that reads a variable or may never end, a method, and what takes the instance are left for when a message is made."""
    called = []
    count = itertools.count()

    def noted():
        called.append(1)
        return 300

    def endless():
        while True:
            pass

    for factory in (
        noted,
        endless,
        count.__next__,
        lambda: print("x"),
        lambda: [each for each in (300,)],  # noqa: C416 - a comprehension is what this is about
        lambda: Way.__call__(1),
    ):
        define(spore.U8, attrs.field(factory=factory))
    define(Counted, attrs.field(factory=Counted))
    define(spore.U8, attrs.field(default=attrs.Factory(lambda self: 300, takes_self=True)))
    define(spore.U8, attrs.field(default=5, converter=lambda value: called.append(1) or value))
    define(
        spore.U8, attrs.field(default="x", converter=int)
    )  # which says itself what is wrong, to who leaves out the field
    assert (called, next(count), Counted().number) == ([], 0, 0)


def test_a_message_is_checked_as_a_record_is():
    """By the decorator of both, and nothing is registered."""
    registry = spore.Registry()
    with pytest.raises(DefinitionError, match=r"Tick\.n: its default 300 cannot be sent"):
        spore.message(type_id=120, domain=spore.Domain.SIGNAL, registry=registry)(
            type("Tick", (), {"__annotations__": {"n": spore.U8}, "n": 300})
        )
    assert not len(registry)


def _encodes(layout, value):
    try:
        write_message(layout, value)
    except EncodeError:
        return False
    return True


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=40), st.just(())
)


@given(st.data(), st.sampled_from(MESSAGE_CLASSES))
def test_the_check_and_the_codec_agree(data, cls):
    """On whole messages, and on those in which one field holds what it may not."""
    layout = layout_of(cls)
    message = data.draw(messages(cls))
    assert misfit(layout, message) is None
    if layout.fields:
        field = data.draw(st.sampled_from(layout.fields))
        other = data.draw(st.one_of(ODD, values(data.draw(st.sampled_from(layout.fields)).wire)))
        changed = attrs.evolve(message, **{field.name: other})
        assert (misfit(layout, changed) is None) == _encodes(layout, changed)
