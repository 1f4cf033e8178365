"""The laws of recordings: with their head they are read as they were written, however they arrive, and no change of a layout's
meaning gets past it."""

import enum
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.rich import RICH
from tests.property.strategies import cut, frames, values

import spore
from spore.codec import Decoder, RecordingDecoder, encode_frame, is_schema_head, schema_head
from spore.codec.schema_head import read_schema_head
from spore.errors import SchemaMismatch
from spore.message import Domain, FixedBytes, Registry, Schema

TYPES = st.sampled_from(
    [spore.U8, spore.U64, spore.I64, spore.PriceE8, spore.MoneyE8, spore.TimestampNs, spore.Bool, spore.Str, spore.Bytes,
     spore.Address, spore.Bytes32, FixedBytes]
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "price", "size", "event_time_ns", "größe"])


@st.composite
def enums(draw):
    names = draw(st.lists(st.sampled_from(["BUY", "SELL", "HOLD", "OFF"]), min_size=1, max_size=4, unique=True))
    numbers = draw(st.lists(st.integers(0, 5), min_size=len(names), max_size=len(names), unique=True))
    return enum.Enum("Way", dict(zip(names, numbers, strict=True)))


def hints():
    """The types of fields, by what they mean; records and enums are made anew each time."""
    plain = TYPES.filter(lambda each: each is not FixedBytes)
    record = st.lists(st.tuples(NAMES, plain), max_size=3, unique_by=lambda pair: pair[0]).map(
        lambda fields: spore.record(type("Inner", (), {"__annotations__": dict([("first", spore.U8), *fields])}))
    )
    leaf = st.one_of(plain, enums(), record)
    return st.one_of(leaf, leaf.map(lambda hint: hint | None), leaf.map(lambda hint: tuple[hint, ...]))


@st.composite
def layouts(draw):
    """A registry with one message of number 120."""
    registry = Registry()
    fields = draw(st.lists(st.tuples(NAMES, hints()), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
    used = [hint for _, hint in fields if "Inner" in str(hint) or "Way" in str(hint)]
    fields = [pair for pair in fields if pair[1] not in used[1:]]  # a name stands for one class
    domain = draw(st.sampled_from([Domain.MARKET_DATA, Domain.SIGNAL]))
    name = draw(st.sampled_from(["Tick", "Tock"]))
    spore.message(type_id=120, domain=domain, registry=registry)(type(name, (), {"__annotations__": dict(fields)}))
    return registry


@given(st.lists(frames(), max_size=4), st.lists(st.integers(0, 20_000), max_size=4).map(sorted))
def test_a_recording_is_read_as_it_was_written(written, places):
    """In any pieces, and it re-encodes to the same bytes."""
    head = schema_head(Schema.of(RICH))
    data = head + b"".join(map(encode_frame, written))
    decoder = RecordingDecoder(registry=RICH)
    found = []
    for piece in cut(data, places):
        decoder.feed(piece)
        found += list(decoder)
    decoder.end()
    assert is_schema_head(found[0])
    assert found[1:] == written
    assert b"".join(map(encode_frame, found)) == data
    assert decoder.unverified == {}


@given(st.dictionaries(st.integers(0, 65_535), st.text(max_size=40).map("x".__add__), max_size=5))
def test_any_schema_survives_its_frame(texts):
    """Whatever its texts are."""
    decoder = Decoder()
    decoder.feed(schema_head(Schema(texts)))
    assert read_schema_head(next(iter(decoder)), offset=0) == Schema(texts)


@settings(max_examples=200)
@given(layouts(), layouts(), st.data())
def test_a_change_of_meaning_is_refused(written, here, data):
    """Any two layouts: equal ones are read, all others are refused with words, and nothing of them is handed on."""
    entry = written.by_type(120)
    message = data.draw(values(entry.layout))
    body = spore.codec.encode(message, sequence=0, timestamp_ns=0)
    decoder = RecordingDecoder(registry=here)
    decoder.feed(schema_head(Schema.of(written)) + body)
    found = []
    if entry.text == here.by_type(120).text:
        found = list(decoder)
        assert len(found) == 2
        return
    with pytest.raises(SchemaMismatch) as caught:  # noqa: PT012 - the frames before it are kept
        for frame in decoder:
            found.append(frame)
    assert len(found) == 1
    assert caught.value.differences
    assert not any("it was '120" in each for each in caught.value.differences)


@given(layouts(), st.integers(1, 5))
def test_recordings_of_one_layout_can_be_appended(registry, times):
    """Heads and all."""
    head = schema_head(Schema.of(registry))
    decoder = RecordingDecoder(registry=registry)
    decoder.feed(reduce(bytes.__add__, [head] * times))
    assert all(is_schema_head(frame) for frame in decoder)
    decoder.end()
