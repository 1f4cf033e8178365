"""Messages: what can be one, what a message is in Python, the registry, the schema and JSON."""

import copy
import enum
import functools
import inspect
import json
import pickle
import re
import typing
from typing import Annotated, Any, NamedTuple, Union

import attrs
import pytest

import spore
from spore import Domain, Registry, Schema, from_plain, to_plain
from spore.codec.frame import Frame, UnknownTlv
from spore.codec.header import Flags
from spore.codec.plain import frame_from_plain, frame_to_plain
from spore.errors import ConversionError, DefinitionError, SporeError
from spore.message import (
    REGISTRY,
    Difference,
    Int,
    Record,
    catalogue,
    domain_of_type,
    layout_of,
    message_type,
)
from spore.services.messages import (
    BookLevel,
    EventRef,
    ExecutionReport,
    LiquidationSignal,
    MarketRef,
    OrderBook,
    OrderRequest,
    OrderStatus,
    Side,
    VolumeUpdate,
)

QUOTES = Registry()


@spore.record
class Level:
    price: spore.PriceE8
    size: spore.U64


@spore.message(type_id=17, domain=Domain.MARKET_DATA, registry=QUOTES)
class Quote:
    """A message with all kinds of arguments that assignment alone can serve."""

    instrument_id: spore.U64
    bid: Level | None = None
    venue: spore.U16 = 7
    tags: tuple[spore.Str, ...] = attrs.field(factory=tuple)


def define(
    hint: object, name: str = "Thing", type_id: Any = 1, domain: Any = Domain.MARKET_DATA, **body: object
) -> type:
    """A message class with one field, ``field``, of some annotation, in a registry of its own."""
    made = type(name, (), {"__annotations__": {"field": hint}, "__module__": __name__, **body})
    return spore.message(type_id=type_id, domain=domain, registry=Registry())(made)


def plain_id(value: object) -> str:
    """A name for a case, without brackets."""
    return "_".join(re.findall(r"\w+", str(value)))[:60]


def refusal(hint: object, **more: Any) -> DefinitionError:
    """The error at the definition of a message with a field like this."""
    with pytest.raises(DefinitionError) as caught:
        define(hint, **more)
    return caught.value


# What a field can be


class Plain:
    pass


@attrs.define
class Defined:
    number: int = 0


class Pair(NamedTuple):
    one: int


class Colour(enum.Flag):
    RED = 1


class Nobody(enum.Enum):
    pass


class Large(enum.IntEnum):
    ONE = 1
    MANY = 256


class Below(enum.IntEnum):
    MINUS = -1


class Lettered(enum.Enum):
    A = "a"


class Truth(enum.Enum):
    YES = True


class MisWired(enum.IntEnum):
    __wire__ = spore.Str
    ONE = 1


class Wide(enum.IntEnum):
    __wire__ = spore.U16
    MANY = 65_535


class TooWide(enum.IntEnum):
    __wire__ = spore.I16
    MANY = 32_768


@spore.record
class Nothing:
    pass


OF_FIXED_POSITIONS = "a tuple of fixed positions has no wire form; use tuple[T, ...] or a record"
NO_UNION = "the only union with a wire form is T | None"
NO_OPTION = "an optional of an optional has no wire form, because None could stand for either"
USE_A_TUPLE = "a list is mutable and messages are shared by reference; use tuple[T, ...]"


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (int, "int has no width; use one of U8 … U256, I8 … I256, PriceE8, MoneyE8, TimestampNs"),
        (
            float,
            "float has no wire form, because money and prices are integers here; use PriceE8 or an integer",
        ),
        (str, "use spore.Str"),
        (bytes, "use spore.Bytes, spore.Address, spore.Bytes32 or Annotated[bytes, spore.FixedBytes(n)]"),
        (bool, "use spore.Bool"),
        (tuple, "say of what: tuple[T, ...]"),
        (list, USE_A_TUPLE),
        (list[spore.U8], USE_A_TUPLE),
        (list[Any] | None, USE_A_TUPLE),
        (dict, "a dict is mutable and has no wire form; use a tuple of records"),
        (dict[str, int], "a dict is mutable and has no wire form; use a tuple of records"),
        (set, "a set is mutable and has no order; use tuple[T, ...]"),
        (set[spore.U8], "a set is mutable and has no order; use tuple[T, ...]"),
        (bytearray, "a bytearray is mutable; use spore.Bytes"),
        (Annotated[bytearray, "of what"], "a bytearray is mutable; use spore.Bytes"),
        (Plain, "Plain has no wire form; use the field types of spore"),
        (Pair, "Pair has no wire form; use the field types of spore"),
        (Any, "Any has no wire form; use the field types of spore"),
        (None, "NoneType has no wire form; use the field types of spore"),
        (
            Defined,
            "Defined is an attrs class but no record; decorate it with @spore.record instead",
        ),
        (Colour, "Colour is a Flag, whose combinations are no members; use an integer field"),
        (Nobody, "Nobody has no members"),
        (Large, "Large.MANY = 256 is no u8; name a wider type with __wire__ in the enum's body"),
        (Below, "Below.MINUS = -1 is no u8; name a wider type with __wire__ in the enum's body"),
        (TooWide, "TooWide.MANY = 32768 is no i16; name a wider type with __wire__ in the enum's body"),
        (Lettered, "Lettered.A = 'a' is no u8; name a wider type with __wire__ in the enum's body"),
        (Truth, "Truth.YES = True is no u8; name a wider type with __wire__ in the enum's body"),
        (MisWired, "MisWired.__wire__ must be an integer type such as spore.U16"),
        (Union[spore.U8, spore.Str], NO_UNION),
        (spore.U8 | spore.Str | None, NO_UNION),
        (Annotated[spore.U8 | None, "an alias"] | None, NO_OPTION),
        (tuple[spore.U8], OF_FIXED_POSITIONS),
        (tuple[spore.U8, spore.U8], OF_FIXED_POSITIONS),
        (tuple[()], OF_FIXED_POSITIONS),
        (
            tuple[Nothing, ...],
            "a list of record Nothing takes no bytes for an item, so its size could not be checked",
        ),
        (tuple[list[spore.U8], ...], USE_A_TUPLE),
    ],
    ids=plain_id,
)
def test_a_field_without_a_wire_form_is_refused(hint: object, reason: str) -> None:
    """A field that cannot travel is refused while its module is imported, with what to write instead."""
    error = refusal(hint)
    assert (error.message, error.field, error.reason) == ("Thing", "field", reason)
    assert str(error) == f"Thing.field: {reason}"
    assert isinstance(error, TypeError)
    assert isinstance(error, SporeError)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (spore.U8, "u8"),
        (spore.I256, "i256"),
        (spore.Bool, "bool"),
        (spore.Str, "str"),
        (spore.Bytes, "bytes"),
        (spore.Address, "bytes20"),
        (spore.Bytes32, "bytes32"),
        (Annotated[bytes, spore.FixedBytes(65_535)], "bytes65535"),
        (spore.PriceE8, "price"),
        (spore.MoneyE8, "money"),
        (spore.TimestampNs, "timestamp"),
        (Annotated[spore.U8, "said of a field by somebody else", {"not": "hashable"}], "u8"),
        (Side, "enum u8 {BUY=1, SELL=2}"),
        (Wide, "enum u16 {MANY=65535}"),
        (spore.U8 | None, "optional u8"),
        (Union[spore.Str, None], "optional str"),
        (None | spore.U8, "optional u8"),
        (tuple[spore.U8, ...], "list of u8"),
        (tuple[tuple[spore.Str | None, ...], ...], "list of list of optional str"),
        (tuple[Nothing | None, ...], "list of optional {}"),
        (Level, "{price: price, size: u64}"),
        (Quote, "{instrument_id: u64, bid: optional {price: price, size: u64}, venue: u16, tags: list of str}"),
    ],
    ids=plain_id,
)
def test_a_field_has_a_canonical_text(hint: object, text: str) -> None:
    """What a field can be has one text, the same on every machine, with nested types written out."""
    assert layout_of(define(hint)).text == f"{{field: {text}}}"


@pytest.mark.parametrize("size", [0, 65_536])
def test_fixed_bytes_have_a_size_that_a_message_can_hold(size: int) -> None:
    """A field of no bytes, or of more than a TLV holds, is a mistake."""
    with pytest.raises(ValueError, match="size"):
        spore.FixedBytes(size)


@pytest.mark.parametrize("bits", [0, 7, 12, 24, 512])
def test_integers_have_the_widths_of_the_format(bits: int) -> None:
    """An integer type of another width has no place in the wire format."""
    with pytest.raises(ValueError, match="bits"):
        Int(bits)


@pytest.mark.parametrize(
    ("bits", "signed", "low", "high"),
    [(8, False, 0, 255), (8, True, -128, 127), (256, False, 0, 2**256 - 1), (128, True, -(2**127), 2**127 - 1)],
)
def test_integers_know_their_range(bits: int, signed: bool, low: int, high: int) -> None:
    """An integer type says which values it holds and how many bytes they take."""
    wire = Int(bits, signed)
    assert (wire.low, wire.high, wire.size) == (low, high, bits // 8)


def test_the_size_of_a_layout_is_known_if_it_depends_on_no_value() -> None:
    """A record of fixed fields has the sum of their sizes; one field of any size leaves it open."""
    assert layout_of(Level).size == 16
    assert layout_of(Nothing).size == 0
    assert layout_of(define(Level)).size == 16
    assert layout_of(define(spore.Str)).size is None


# What a class can be


@pytest.mark.parametrize("size", [65_535, 65_534])
def test_a_message_as_large_as_a_tlv(size: int) -> None:
    """Fixed fields may take as many bytes as a TLV holds."""
    assert layout_of(define(Annotated[bytes, spore.FixedBytes(size)])).size == size


def test_a_message_that_is_too_large() -> None:
    """Fixed fields that take more bytes than a TLV holds could never be sent."""
    with pytest.raises(DefinitionError) as caught:

        @spore.record
        class Huge:
            first: Annotated[bytes, spore.FixedBytes(65_535)]
            second: spore.U8

    assert str(caught.value) == "Huge: its fields take 65,536 bytes and 65,535 is the most"


@pytest.mark.parametrize(
    ("domain", "allowed", "inside", "outside"),
    [
        (Domain.MARKET_DATA, "1–19", (1, 19), (0, 20)),
        (Domain.SIGNAL, "20–39 or 60–79", (20, 39, 60, 79), (19, 40, 59, 80)),
        (Domain.EXECUTION, "40–59", (40, 59), (39, 60)),
        (Domain.SYSTEM, "80–119", (80, 117), (79, 255, -1, 256)),
    ],
)
def test_a_type_number_lies_in_its_domain(
    domain: Domain, allowed: str, inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    """Each domain owns ranges of type numbers, their ends included."""
    for number in inside:
        assert message_type(define(spore.U8, type_id=number, domain=domain)).type_id == number
        assert domain_of_type(number) is domain
    for number in outside:
        error = refusal(spore.U8, type_id=number, domain=domain)
        words = f"type number {number} lies outside {domain.label}, whose numbers are {allowed}"
        assert str(error).startswith(f"Thing: {words}; an application's own numbers are 120–199 in any domain")
        assert domain_of_type(number) is not domain


@pytest.mark.parametrize("number", [-1, 0, 120, 199, 255, 256])
def test_numbers_of_no_domain(number: int) -> None:
    """Some numbers belong to no domain."""
    assert domain_of_type(number) is None


@pytest.mark.parametrize("type_id", ["17", 17.0, True, None, Side.BUY])
def test_a_type_number_is_an_int(type_id: object) -> None:
    """A type number that only resembles an int is refused."""
    assert str(refusal(spore.U8, type_id=type_id)) == f"Thing: type_id must be an int, not {type_id!r}"


@pytest.mark.parametrize("domain", [1, "market_data", None])
def test_a_domain_is_a_member(domain: object) -> None:
    """A domain is named, not numbered."""
    assert str(refusal(spore.U8, domain=domain)) == f"Thing: domain must be a member of spore.Domain, not {domain!r}"


def test_a_type_number_can_be_taken() -> None:
    """The second message of a number is refused with the name of the first, and the registry keeps that one."""
    with pytest.raises(DefinitionError) as caught:

        @spore.message(type_id=17, domain=Domain.MARKET_DATA, registry=QUOTES)
        class Other:
            field: spore.U8

    assert str(caught.value) == f"Other: type number 17 is taken by {__name__}.Quote"
    assert list(QUOTES) == [message_type(Quote)]


def test_a_name_can_be_taken() -> None:
    """The second message of a name is refused: JSON and schemas call messages by name."""
    with pytest.raises(DefinitionError) as caught:
        spore.message(type_id=18, domain=Domain.MARKET_DATA, registry=QUOTES)(
            type("Quote", (), {"__annotations__": {"field": spore.U8}})
        )
    assert str(caught.value).startswith(f"Quote: the name Quote is taken by {__name__}.Quote, which was defined with")
    assert "Quote: its type number was 17 and is 18" in str(caught.value)
    assert list(QUOTES) == [message_type(Quote)]


def test_a_nested_name_can_be_taken() -> None:
    """Two different records, or a record and a message, cannot share a name: the catalogue lists them by it."""
    other_level: type = spore.record(
        type("Level", (), {"__annotations__": {"field": spore.U8}, "__module__": "elsewhere"})
    )
    other_quote: type = spore.record(
        type("Quote", (), {"__annotations__": {"field": spore.U8}, "__module__": "elsewhere"})
    )
    for name, hint in (("Level", other_level), ("Quote", other_quote)):
        with pytest.raises(DefinitionError) as caught:
            spore.message(type_id=18, domain=Domain.MARKET_DATA, registry=QUOTES)(
                type("Book", (), {"__annotations__": {"field": hint}})
            )
        assert str(caught.value) == f"Book: the name {name} is taken by {__name__}.{name}"
    assert len(QUOTES) == 1
    with pytest.raises(DefinitionError) as caught:
        spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=Registry())(
            type("Book", (), {"__annotations__": {"one": Level, "two": other_level}})
        )
    assert str(caught.value) == f"Book: the name Level is taken by {__name__}.Level"


def test_a_refused_message_claims_no_names() -> None:
    """A message that was refused leaves nothing behind in the registry."""
    registry = Registry()
    fine: type = spore.record(type("Fine", (), {"__annotations__": {"field": spore.U8}}))
    first: type = spore.record(type("Same", (), {"__annotations__": {"field": spore.U8}}))
    second: type = spore.record(type("Same", (), {"__annotations__": {"field": spore.U16}}))
    define_in = spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    with pytest.raises(DefinitionError, match="the name Same is taken"):
        define_in(type("Book", (), {"__annotations__": {"a": fine, "b": first, "c": second}}))
    again: type = spore.record(type("Fine", (), {"__annotations__": {"field": spore.U32}}))
    define_in(type("Book", (), {"__annotations__": {"a": again, "c": second}}))
    assert [entry.name for entry in registry] == ["Book"]


def test_a_message_inherits_from_nothing() -> None:
    """Fields that come from elsewhere would have an order that nobody declared."""
    for base in (Plain, Exception):
        with pytest.raises(DefinitionError) as caught:
            spore.record(type("Child", (base,), {}))
        assert str(caught.value) == "Child: a message inherits from nothing; nest a record instead"


def test_a_message_is_final() -> None:
    """What travels is exactly the class that was declared."""
    with pytest.raises(DefinitionError) as caught:

        class Better(Quote):
            pass

    assert str(caught.value) == "Better: a message is final: what travels must be exactly the class that was declared"


def test_an_attrs_class_is_refused() -> None:
    """The decorator makes the attrs class; two of them would disagree."""
    for decorated in (attrs.define(type("Thing", (), {})), Quote):
        with pytest.raises(DefinitionError) as caught:
            spore.record(decorated)
        words = "already an attrs class; drop the other decorator, this one makes it"
        assert str(caught.value) == f"{decorated.__name__}: {words}"


def test_a_field_without_an_annotation() -> None:
    """An attrs field that says no type is refused."""
    with pytest.raises(DefinitionError, match=r"^Thing: a field has no annotation: .*missing") as caught:
        define(spore.U8, missing=attrs.field())
    assert caught.value.field is None


def test_what_attrs_refuses_names_the_class() -> None:
    """What attrs itself refuses says of which message."""
    with pytest.raises(DefinitionError, match=r"^Late: No mandatory attributes allowed after"):

        @spore.record
        class Late:
            first: spore.U8 = 1
            second: spore.U8  # type: ignore[misc]

    with pytest.raises(DefinitionError, match=r"^Thing: Can't freeze a class with a custom __setattr__"):
        define(spore.U8, __setattr__=lambda *_: None)


def test_a_private_field() -> None:
    """A field that Python calls private is refused: everybody who gets the message sees it."""
    with pytest.raises(DefinitionError) as caught:
        spore.record(type("Thing", (), {"__annotations__": {"_hidden": spore.U8}}))
    assert str(caught.value) == "Thing._hidden: the fields of a message are public; drop the underscore"


def test_a_field_that_no_argument_sets() -> None:
    """A decoded message must be one that could have been constructed."""
    error = refusal(spore.U8, field=attrs.field(init=False, default=1))
    assert str(error) == "Thing.field: every field is an argument of the constructor; drop init=False"


def test_a_name_that_is_not_defined() -> None:
    """An annotation that names what does not exist yet says what the order of definitions must be."""
    words = (
        "the annotation names 'Thing', which is not defined where the class is; "
        "a record must be defined before it is used, and cannot contain itself"
    )
    error = refusal("tuple[Thing, ...]")
    assert (error.message, error.field, error.reason) == ("Thing", None, words)


def test_a_class_variable_is_no_field() -> None:
    """What belongs to the class does not travel."""
    made = define(spore.U8, __annotations__={"field": spore.U8, "LIMIT": typing.ClassVar[int]}, LIMIT=5)
    assert [field.name for field in layout_of(made).fields] == ["field"]


# What a message is in Python


def test_arguments_by_position_and_by_name() -> None:
    """A message is constructed like any attrs class."""
    assert Quote(1, None, 2, ("a",)) == Quote(tags=("a",), venue=2, bid=None, instrument_id=1)
    assert Quote(1) == Quote(1, None, 7, ())
    with pytest.raises(TypeError, match="instrument_id"):
        Quote()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Quote(1, colour=2)  # type: ignore[call-arg]


def test_a_factory_makes_a_value_each_time() -> None:
    """A default that a factory makes is made for each message."""
    numbers = iter(range(10))
    made = define(spore.U8, field=attrs.field(factory=lambda: next(numbers)))
    assert [made().field, made().field, made(5).field, made().field] == [0, 1, 5, 2]


def test_attrs_fields_of_every_kind_keep_their_meaning() -> None:
    """What assignment alone cannot serve goes through attrs's own constructor: nothing that was declared is lost."""
    assert define(spore.U8, field=attrs.field(converter=int))("5").field == 5
    with pytest.raises(ValueError, match="must be < 3"):
        define(spore.U8, field=attrs.field(validator=attrs.validators.lt(3)))(5)
    with pytest.raises(TypeError, match="positional argument"):
        define(spore.U8, field=attrs.field(kw_only=True))(5)
    assert define(spore.U8, field=attrs.field(kw_only=True))(field=5).field == 5
    assert define(spore.U8, field=attrs.field(alias="given"))(given=5).field == 5
    of_self = attrs.Factory(lambda thing: len(type(thing).__name__), takes_self=True)
    assert define(spore.U8, field=attrs.field(default=of_self))().field == len("Thing")


def test_hooks_of_the_constructor_are_called() -> None:
    """A class that hooks into its construction is constructed by attrs, or by itself."""
    called: list[str] = []
    define(spore.U8, __attrs_post_init__=lambda _: called.append("post"))(1)
    define(spore.U8, __attrs_pre_init__=lambda _: called.append("pre"))(1)

    def own_init(self: Any, text: str) -> None:
        self.__attrs_init__(len(text))

    own: Any = define(spore.U8, __init__=own_init)
    assert own("four").field == 4
    assert called == ["post", "pre"]


def test_a_message_is_frozen() -> None:
    """A message that several actors hold by reference cannot be changed by one of them."""
    quote = Quote(1)
    for name in ("venue", "colour"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(quote, name, 8)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del quote.venue
    assert quote == Quote(1)


def test_a_decoded_message_is_frozen_too() -> None:
    """What comes off the wire is of exactly the class that was declared, and as unchangeable."""
    quote = Quote(1, Level(2, 3), 4, ("a",))
    came = spore.codec.decode(spore.codec.encode(quote, sequence=1, timestamp_ns=2), registry=QUOTES).message
    assert type(came) is Quote
    assert type(came.bid) is Level
    for thing in (came, came.bid):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            thing.venue = 8  # type: ignore[union-attr, misc]


def test_a_message_has_no_dict() -> None:
    """Slots keep messages small, and keep misspelt fields out."""
    assert not hasattr(Quote(1), "__dict__")
    assert not hasattr(Quote(1), "__weakref__")


def test_messages_are_values() -> None:
    """Messages with equal fields are equal, and can be members of sets and keys of dicts."""
    assert Quote(1) == Quote(1)
    assert Quote(1) != Quote(2)
    assert hash(Quote(1, Level(2, 3))) == hash(Quote(1, Level(2, 3)))
    assert len({Quote(1), Quote(1), Quote(2)}) == 2
    assert Quote(1) != (1, None, 7, ())  # type: ignore[comparison-overlap]


def test_a_message_says_what_it_is() -> None:
    """The representation names all fields."""
    assert repr(Quote(1, Level(2, 3))) == "Quote(instrument_id=1, bid=Level(price=2, size=3), venue=7, tags=())"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_messages(copied: Any) -> None:
    """A copy and a pickled message are frozen messages with the same fields."""
    quote = Quote(1, Level(2, 3), 4, ("a",))
    assert copied(quote) == quote
    assert type(copied(quote)) is Quote
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        copied(quote).venue = 8


def test_evolve_makes_another_message() -> None:
    """`attrs.evolve` changes a field by making a new message."""
    quote = Quote(1)
    assert attrs.evolve(quote, venue=8) == Quote(1, None, 8)  # type: ignore[misc]
    assert quote.venue == 7


def test_the_signature_shows_the_fields() -> None:
    """Editors and `help` see the fields with their types and which may be left out."""
    signature = inspect.signature(Quote)
    assert list(signature.parameters) == ["instrument_id", "bid", "venue", "tags"]
    assert signature.parameters["venue"].default == 7
    assert signature.parameters["instrument_id"].default is inspect.Parameter.empty
    assert Quote.__init__.__annotations__["venue"] == spore.U16
    assert Quote.__init__.__qualname__ == "Quote.__init__"
    assert Quote.__init__.__module__ == __name__


def test_match_takes_a_message_apart() -> None:
    """Fields can be matched by position."""
    match Quote(1, Level(2, 3)):
        case Quote(number, Level(price, _)):
            assert (number, price) == (1, 2)
        case _:
            pytest.fail("it is a Quote")


def test_methods_and_properties_stay() -> None:
    """A message may compute from its fields."""
    twice = functools.cached_property(lambda self: self.field * 2)
    made = define(spore.U8, twice=twice, plus=lambda self, more: self.field + more)
    assert (made(3).twice, made(3).plus(4)) == (6, 7)


def test_what_is_no_message() -> None:
    """Asking for the type of what is no message says how to make one; a record is none."""
    for thing, name in ((5, "int"), (Level, "Level"), (Level(1, 2), "Level"), (Plain(), "Plain")):
        with pytest.raises(TypeError) as caught:
            message_type(thing)
        assert str(caught.value) == f"{name} is not a message; declare it with @spore.message(type_id=…, domain=…)"
    with pytest.raises(TypeError) as caught:
        layout_of(Plain)
    words = "Plain is neither a message nor a record; decorate it with @spore.message"
    assert str(caught.value) == words


def test_the_type_of_a_message() -> None:
    """A message and its class know their number, domain, name and layout."""
    entry = message_type(Quote(1))
    assert entry is message_type(Quote)
    assert (entry.type_id, entry.domain, entry.cls, entry.name) == (17, Domain.MARKET_DATA, Quote, "Quote")
    assert isinstance(entry.layout, Record)
    assert entry.text == (
        "17 Quote market_data "
        "{instrument_id: u64, bid: optional {price: price, size: u64}, venue: u16, tags: list of str}"
    )


# The registry


def test_a_registry_lists_messages_by_number() -> None:
    """A registry is iterated by type number, in whichever order messages were defined."""
    registry = Registry()
    made: dict[int, type] = {}
    for number in (5, 80, 1, 40, 20):
        domain = domain_of_type(number)
        assert domain is not None
        name = f"Message{number}"
        cls = type(name, (), {"__annotations__": {"field": spore.U8}})
        made[number] = spore.message(type_id=number, domain=domain, registry=registry)(cls)
    assert [entry.type_id for entry in registry] == [1, 5, 20, 40, 80]
    assert len(registry) == 5
    assert registry.by_type(40) is message_type(made[40])
    assert registry.by_name("Message40") is message_type(made[40])
    assert registry.by_type(2) is None
    assert registry.by_name("Message2") is None
    assert made[1] in registry
    assert Quote not in registry
    assert "Message1" not in registry


def test_messages_are_registered_where_nothing_else_is_said() -> None:
    """The services' messages stand in the registry that everybody uses."""
    assert {OrderBook, OrderRequest, ExecutionReport} <= {entry.cls for entry in REGISTRY}
    assert Quote not in REGISTRY


# The schema


def schema_of(hint: object = spore.U8, *, name: str = "Thing", field: str = "field", **more: Any) -> Schema:
    """The schema of one message with two fields, of which one is given."""
    annotations = {field: hint, "last": spore.U16}
    made = type(name, (), {"__annotations__": annotations})
    arguments: dict[str, Any] = {"type_id": 20, "domain": Domain.SIGNAL, "registry": Registry()} | more
    return Schema.of([message_type(spore.message(**arguments)(made))])


def test_the_digest_is_the_same_everywhere() -> None:
    """The digest is SHA-256 over one line for each message, and the same on every machine and in every run."""
    assert Schema.of(QUOTES).digest == "f4bda5fe79258415ff9a9df7de4bf9d7ed9069279d6cd3c28ad12a2385555f8e"
    assert Schema({}).digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Schema({2: "b", 1: "a"}).digest == Schema({1: "a", 2: "b"}).digest != Schema({1: "ab", 2: ""}).digest


class Buy(enum.IntEnum):
    BUY = 1
    HOLD = 2


class Sell(enum.IntEnum):
    BUY = 2
    SELL = 1


class More(enum.IntEnum):
    BUY = 1
    SELL = 2
    HOLD = 3


def record_of(**fields: object) -> type:
    return spore.record(type("Inner", (), {"__annotations__": fields}))


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (schema_of(), schema_of(name="Other")),
        (schema_of(), schema_of(type_id=21)),
        (schema_of(), schema_of(type_id=1, domain=Domain.MARKET_DATA)),
        (schema_of(), schema_of(field="other")),
        (schema_of(), schema_of(spore.U16)),
        (schema_of(), schema_of(spore.I8)),
        (schema_of(), schema_of(spore.U8 | None)),
        (schema_of(), schema_of(tuple[spore.U8, ...])),
        (schema_of(spore.I64), schema_of(spore.PriceE8)),
        (schema_of(spore.MoneyE8), schema_of(spore.PriceE8)),
        (schema_of(spore.Address), schema_of(spore.Bytes32)),
        (schema_of(spore.Str), schema_of(spore.Bytes)),
        (schema_of(Side), schema_of(Buy)),
        (schema_of(Side), schema_of(Sell)),
        (schema_of(Side), schema_of(More)),
        (schema_of(Side), schema_of(spore.U8)),
        (schema_of(record_of(a=spore.U8)), schema_of(record_of(b=spore.U8))),
        (schema_of(record_of(a=spore.U8)), schema_of(record_of(a=spore.I8))),
        (schema_of(record_of(a=spore.U8, b=spore.U8)), schema_of(record_of(b=spore.U8, a=spore.U8))),
        (schema_of(record_of(a=spore.U8)), schema_of(record_of(a=spore.U8, b=spore.U8))),
    ],
)
def test_every_change_changes_the_digest(here: Schema, there: Schema) -> None:
    """Whatever two ends do not agree on, their digests differ, and the difference names the message."""
    assert here.digest != there.digest
    assert {difference.name for difference in here.differences(there)} == {"Thing"}
    assert {difference.name for difference in there.differences(here)} <= {"Thing", "Other"}


def test_the_order_of_fields_changes_the_digest() -> None:
    """Fields are packed in declared order, so the order is part of the schema."""
    one = Schema.of([message_type(define(spore.U8, __annotations__={"a": spore.U8, "b": spore.U8}))])
    two = Schema.of([message_type(define(spore.U8, __annotations__={"b": spore.U8, "a": spore.U8}))])
    assert one.digest != two.digest


def test_what_does_not_travel_does_not_change_the_digest() -> None:
    """Defaults, methods and the names of nested classes are each end's own."""
    plain = Schema.of([message_type(define(spore.U8))])
    assert Schema.of([message_type(define(spore.U8, field=5, twice=lambda _: 2))]).digest == plain.digest
    other = enum.IntEnum("Direction", {"SELL": 2, "BUY": 1})  # type: ignore[misc]
    assert schema_of(Side).digest == schema_of(other).digest
    assert schema_of(Side).differences(schema_of(other)) == ()


def test_differences_name_the_messages() -> None:
    """Two ends that disagree are told which messages are known to one of them only, and which differ."""
    here = Schema({1: "1 Trade market_data {a: u8}", 2: "2 Quote market_data {a: u8}", 3: "3 Book market_data {}"})
    there = Schema({1: "1 Trade market_data {a: u16}", 4: "4 Gas market_data {}", 3: "3 Book market_data {}"})
    assert here.differences(there) == (
        Difference(1, "Trade", "1 Trade market_data {a: u8}", "1 Trade market_data {a: u16}"),
        Difference(2, "Quote", "2 Quote market_data {a: u8}", None),
        Difference(4, "Gas", None, "4 Gas market_data {}"),
    )
    assert [str(difference) for difference in here.differences(there)] == [
        "Trade (1) differs: here 1 Trade market_data {a: u8}, there 1 Trade market_data {a: u16}",
        "Quote (2) is known only here: 2 Quote market_data {a: u8}",
        "Gas (4) is known only there: 4 Gas market_data {}",
    ]


@pytest.mark.parametrize("text", ["", "garbage", " "])
def test_a_schema_from_elsewhere_may_be_garbage(text: str) -> None:
    """What the other end sent is compared, not believed."""
    (difference,) = Schema({}).differences(Schema({7: text}))
    assert (difference.type_id, difference.here, difference.there) == (7, None, text)


def test_the_catalogue_lists_messages_records_and_enums() -> None:
    """The catalogue is JSON-ready and shows each record and enum once, by name."""
    registry = Registry()

    @spore.record
    class Leg:
        side: Side
        wide: Wide | None

    @spore.message(type_id=41, domain=Domain.EXECUTION, registry=registry)
    class Basket:
        legs: tuple[Leg, ...]
        first: Leg
        ids: tuple[tuple[spore.U8, ...], ...]

    @spore.message(type_id=20, domain=Domain.SIGNAL, registry=registry)
    class Wish:
        basket: Basket
        at_ns: spore.TimestampNs

    shown = catalogue(registry)
    assert json.loads(json.dumps(shown)) == shown
    legs = [{"name": "side", "type": "enum Side"}, {"name": "wide", "type": "optional enum Wide u16"}]
    fields = [
        {"name": "legs", "type": "list of record Leg"},
        {"name": "first", "type": "record Leg"},
        {"name": "ids", "type": "list of list of u8"},
    ]
    wish = [{"name": "basket", "type": "record Basket"}, {"name": "at_ns", "type": "timestamp"}]
    assert shown == {
        "digest": Schema.of(registry).digest,
        "records": [{"name": "Basket", "fields": fields}, {"name": "Leg", "fields": legs}],
        "enums": [
            {"name": "Side", "type": "u8", "values": {"BUY": 1, "SELL": 2}},
            {"name": "Wide", "type": "u16", "values": {"MANY": 65_535}},
        ],
        "messages": [
            {"type_id": 20, "name": "Wish", "domain": "signal", "fields": wish},
            {"type_id": 41, "name": "Basket", "domain": "execution", "fields": fields},
        ],
    }


# JSON

ORDER = OrderRequest(
    1, 2, Side.SELL, (MarketRef(3, 4, b"\xcd" * 20), MarketRef(5, 6)), None, 2**53, 2**53 + 1, -7, -(2**53) - 1, 8,
    EventRef(1, 2, 3, 4, None),
)  # fmt: skip
PLAIN_ORDER = {
    "event_time_ns": 1,
    "order_id": 2,
    "side": "SELL",
    "route": [
        {"venue": 3, "instrument_id": 4, "pool": "0x" + "cd" * 20},
        {"venue": 5, "instrument_id": 6, "pool": None},
    ],
    "token_in": None,
    "amount_in": 9_007_199_254_740_992,
    "min_amount_out": "9007199254740993",
    "limit_price": -7,
    "max_gas_usd_e8": "-9007199254740993",
    "expires_at_ns": 8,
    "cause": {"event_time_ns": 1, "position": 2, "tx_index": 3, "log_index": 4, "tx_hash": None},
}


def test_a_message_as_json() -> None:
    """Enums are names, bytes are hex, tuples are lists, and integers that a double would round are strings."""
    assert to_plain(ORDER) == PLAIN_ORDER
    assert from_plain(OrderRequest, PLAIN_ORDER) == ORDER


def test_an_integer_may_always_be_a_string() -> None:
    """Small integers too may come as decimal strings, and large ones as numbers."""
    loose = {**PLAIN_ORDER, "order_id": "2", "min_amount_out": 2**53 + 1, "limit_price": "-7"}
    assert from_plain(OrderRequest, loose) == ORDER


def test_fields_with_defaults_may_be_left_out() -> None:
    """JSON that a person writes need not repeat defaults."""
    assert from_plain(MarketRef, {"venue": 1, "instrument_id": 2}) == MarketRef(1, 2, None)


SWAPPED = {"venue": 1, "instrument_id": 2, "pool": "0x" + "00" * 20}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"order_id": 2.0}, "2.0 is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": True}, "True is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": None}, "None is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": "0x2"}, "'0x2' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": "+2"}, "'+2' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": "02"}, "'02' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": "2\n"}, "'2\\n' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": "-0"}, "'-0' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": ""}, "'' is no integer; write a JSON integer or a decimal string @ OrderRequest.order_id"),
        ({"order_id": -1}, f"-1 is no u64, whose values are 0 to {2**64 - 1} @ OrderRequest.order_id"),
        (
            {"order_id": str(2**64)},
            f"{2**64} is no u64, whose values are 0 to {2**64 - 1} @ OrderRequest.order_id",
        ),
        (
            {"limit_price": 2**63},
            f"{2**63} is no i64, whose values are {-(2**63)} to {2**63 - 1} @ OrderRequest.limit_price",
        ),
        ({"side": 2}, "2 is no Side; its members are BUY, SELL @ OrderRequest.side"),
        ({"side": "sell"}, "'sell' is no Side; its members are BUY, SELL @ OrderRequest.side"),
        ({"side": None}, "None is no Side; its members are BUY, SELL @ OrderRequest.side"),
        ({"token_in": "00" * 20}, f"'{'00' * 20}' is no hex string such as 0x00ff @ OrderRequest.token_in"),
        ({"token_in": "0x0"}, "'0x0' is no hex string such as 0x00ff @ OrderRequest.token_in"),
        ({"token_in": "0xzz"}, "'0xzz' is no hex string such as 0x00ff @ OrderRequest.token_in"),
        ({"token_in": 0}, "0 is no hex string such as 0x00ff @ OrderRequest.token_in"),
        ({"token_in": "0x00"}, "1 bytes, and bytes20 has 20 @ OrderRequest.token_in"),
        ({"route": {}}, "{} is no list @ OrderRequest.route"),
        ({"route": "ab"}, "'ab' is no list @ OrderRequest.route"),
        ({"route": [SWAPPED, 5]}, "5 is no object with the fields of MarketRef @ OrderRequest.route[1]"),
        (
            {"route": [{**SWAPPED, "venue": 65_536}]},
            "65536 is no u16, whose values are 0 to 65535 @ OrderRequest.route[0].venue",
        ),
        ({"route": [{"venue": 1}]}, "the key 'instrument_id' is missing @ OrderRequest.route[0].instrument_id"),
        (
            {"cause": {"event_time_ns": 1, "position": 2, "colour": 3, "b": 4}},
            "unknown keys b, colour; the keys are event_time_ns, position, tx_index, log_index, tx_hash"
            " @ OrderRequest.cause",
        ),
        ({"cause": []}, "[] is no object with the fields of EventRef @ OrderRequest.cause"),
    ],
)
def test_json_that_is_not_the_message_is_refused(change: dict[str, object], problem: str) -> None:
    """Nothing is rounded, cut or guessed; what is wrong is told with the path of its key."""
    with pytest.raises(ConversionError) as caught:
        from_plain(OrderRequest, {**PLAIN_ORDER, **change})
    assert caught.value.problems == (problem,)
    assert caught.value.message == "OrderRequest"
    assert str(caught.value) == f"not a OrderRequest: {problem}"


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A person who edits a file sees all mistakes in one go, unknown and missing keys included."""
    wrong: dict[object, object] = {"event_time_ns": 1.5, "status": "DONE", "extra": 1, 5: 6}
    with pytest.raises(ConversionError) as caught:
        from_plain(ExecutionReport, wrong)
    told = "; ".join(caught.value.problems)
    for words in (
        "1.5 is no integer",
        "@ ExecutionReport.event_time_ns",
        "'DONE' is no OrderStatus",
        "the key 'order_id' is missing",
        "the key 'cause' is missing",
        "unknown keys 5, extra",
    ):
        assert words in told
    assert str(caught.value) == f"not a ExecutionReport: {told}"


@pytest.mark.parametrize("wrong", [0, 1, "true", None])
def test_a_bool_is_true_or_false(wrong: object) -> None:
    """A number is no truth value."""
    plain = to_plain(OrderBook(1, 2, 3, 4, 5, True, (), (BookLevel(1, 2),)))
    assert plain["snapshot"] is True
    assert from_plain(OrderBook, plain | {"snapshot": False}).snapshot is False
    with pytest.raises(ConversionError) as caught:
        from_plain(OrderBook, plain | {"snapshot": wrong})
    assert caught.value.problems == (f"{wrong!r} is neither true nor false @ OrderBook.snapshot",)


@pytest.mark.parametrize("wrong", [5, None, ["a"]])
def test_text_is_a_string(wrong: object) -> None:
    """Nothing is turned into a string."""
    plain = to_plain(ExecutionReport(1, 2, OrderStatus.FILLED, 3, 4, 5, "why", EventRef(1, 2)))
    with pytest.raises(ConversionError) as caught:
        from_plain(ExecutionReport, plain | {"reason": wrong})
    assert caught.value.problems == (f"{wrong!r} is no string @ ExecutionReport.reason",)


def test_the_widest_integer_is_a_string_of_78_digits() -> None:
    """A u256 comes and goes as a string; a longer one is not even read."""
    signal = LiquidationSignal(1, 2, b"a" * 20, b"b" * 20, b"c" * 20, 2**256 - 1, 0, 3, 4, 5, EventRef(1, 2))
    plain = to_plain(signal)
    assert plain["collateral_amount"] == str(2**256 - 1)
    assert from_plain(LiquidationSignal, plain) == signal
    with pytest.raises(ConversionError, match="is no u256"):
        from_plain(LiquidationSignal, plain | {"collateral_amount": str(2**256)})
    with pytest.raises(ConversionError, match="is no integer"):
        from_plain(LiquidationSignal, plain | {"collateral_amount": "1" * 81})


def test_only_messages_and_records_are_converted() -> None:
    """Other classes have no fields that anybody declared for this."""
    with pytest.raises(TypeError, match="int is neither a message nor a record"):
        to_plain(5)
    with pytest.raises(TypeError, match="int is neither a message nor a record"):
        from_plain(int, "5")
    with pytest.raises(ConversionError) as caught:
        from_plain(Level, [1, 2])
    assert caught.value.problems == ("[1, 2] is no object with the fields of Level @ Level",)


def test_a_message_that_checks_itself_is_checked() -> None:
    """A validator that the class declares has its say over JSON too."""
    made = define(spore.U8, field=attrs.field(validator=attrs.validators.lt(3)))
    assert from_plain(made, {"field": 2}).field == 2
    with pytest.raises(ConversionError, match="must be < 3"):
        from_plain(made, {"field": 5})


FRAME = Frame(
    Domain.MARKET_DATA,
    source=5,
    flags=Flags.HIGH_PRIORITY | Flags.REDELIVERED,
    sequence=2**64 - 1,
    timestamp_ns=7,
    items=(VolumeUpdate(1, 2, 3, 4, 5, 6, 7), UnknownTlv(108, b"\x00\xff")),
)
PLAIN_FRAME: dict[str, Any] = {
    "domain": "market_data",
    "source": 5,
    "flags": ["high_priority", "redelivered"],
    "sequence": "18446744073709551615",
    "timestamp_ns": 7,
    "items": [
        {"type": "VolumeUpdate", "fields": to_plain(VolumeUpdate(1, 2, 3, 4, 5, 6, 7))},
        {"type_id": 108, "bytes": "0x00ff"},
    ],
}


def test_a_frame_as_json() -> None:
    """A frame shows its header, its messages by name and its unknown TLVs as hex."""
    assert frame_to_plain(FRAME) == PLAIN_FRAME
    assert list(frame_to_plain(FRAME)) == ["domain", "source", "flags", "sequence", "timestamp_ns", "items"]
    assert frame_from_plain(PLAIN_FRAME) == FRAME


def test_a_frame_that_a_person_writes() -> None:
    """Source, flags and items may be left out of a frame in JSON, and the fields of a message that has none."""
    frame = frame_from_plain({"domain": "system", "sequence": 1, "timestamp_ns": 2})
    assert frame == Frame(Domain.SYSTEM, 0, Flags.NONE, 1, 2, ())
    assert type(frame.flags) is Flags
    registry = Registry()
    ping: type = spore.message(type_id=80, domain=Domain.SYSTEM, registry=registry)(type("Ping", (), {}))
    plain = {"domain": "system", "sequence": 1, "timestamp_ns": 2, "items": [{"type": "Ping"}]}
    assert frame_from_plain(plain, registry=registry).items == (ping(),)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"domain": "weather"}, "'WEATHER' is no Domain; its members are MARKET_DATA, SIGNAL, EXECUTION, SYSTEM"),
        ({"domain": 1}, "1 is no Domain; its members are MARKET_DATA, SIGNAL, EXECUTION, SYSTEM"),
        ({"source": 256}, "256 is no u8, whose values are 0 to 255"),
        ({"sequence": -1}, f"-1 is no u64, whose values are 0 to {2**64 - 1}"),
        ({"flags": "reply"}, "'reply' is no list"),
        ({"flags": ["urgent"]}, "flags: there is no flag 'urgent'; there are high_priority, reply, redelivered"),
        ({"colour": 1}, "unknown keys colour; the keys are source, sequence, timestamp_ns, domain, flags"),
        ({"items": {}}, "items: {} is no list"),
        ({"items": [5]}, "items[0]: 5 is no object"),
        ({"items": [{"type": "Gossip"}]}, "items[0].type: there is no message 'Gossip'; there are Trade, OrderBook, "),
        ({"items": [{"type": 5}]}, "items[0].type: there is no message 5; there are Trade, OrderBook, "),
        ({"items": [{"type": []}]}, "items[0].type: there is no message []; there are Trade, OrderBook, "),
        (
            {"items": [{"type": "Trade", "field": {}, 1: 2}]},
            "items[0]: unknown keys 1, field; the keys are type, fields",
        ),
        ({"items": [{"type_id": 256, "bytes": "0x"}]}, "items[0]: 256 is no u8, whose values are 0 to 255"),
        ({"items": [{"bytes": "0x"}]}, "items[0]: the key 'type_id' is missing"),
        ({"items": [{"type": "MomentumSignal", "fields": 5}]}, "items[0]: 5 is no object with the fields of Momentum"),
    ],
)
def test_json_that_is_no_frame_is_refused(change: dict[str, object], problem: str) -> None:
    """What is wrong with a frame is told with its path."""
    with pytest.raises(ConversionError) as caught:
        frame_from_plain({**PLAIN_FRAME, **change})
    assert caught.value.message == "Frame"
    assert caught.value.problems[0].startswith(problem)


def test_what_is_no_object_is_no_frame() -> None:
    """A frame is a JSON object; without messages to name, none is suggested."""
    with pytest.raises(ConversionError, match=r"^not a Frame: \[\] is no object$"):
        frame_from_plain([])
    with pytest.raises(ConversionError, match=r"there is no message 'Trade'; there are none$"):
        frame_from_plain({**PLAIN_FRAME, "items": [{"type": "Trade"}]}, registry=Registry())
