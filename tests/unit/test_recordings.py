"""A recording says what its messages meant; with another meaning it is not read, and without a schema it is read with one warning."""

import logging

import attrs
import pytest

import spore
from spore.codec import (
    Decoder,
    Flags,
    Frame,
    RecordingDecoder,
    UnknownTlv,
    encode,
    encode_frame,
    is_schema_head,
    schema_head,
)
from spore.codec.plain import frame_from_plain, frame_to_plain
from spore.codec.schema_head import HEADS, MARK, SchemaHead, SchemaLine, read_schema_head, with_names
from spore.errors import DecodeError, EncodeError, FeedError, SchemaMismatch
from spore.feeds import feed_of
from spore.feeds import frames as frames_feed
from spore.feeds.frames import recording_head
from spore.message import REGISTRY, Domain, Registry, Schema
from spore.relay.framing import FrameSplitter
from spore.services.messages import GasPrice, QuoteUpdate

GAS = GasPrice(5, 6, 7, 8)


def ticks(**fields):
    """A registry with one message."""
    registry = Registry()
    made = spore.message(type_id=120, domain=Domain.MARKET_DATA, registry=registry)(
        type("Tick", (), {"__annotations__": fields})
    )
    return registry, made


WRITTEN, Tick = ticks(n=spore.U64, size=spore.U64, price=spore.U64)
SWAPPED, _ = ticks(n=spore.U64, price=spore.U64, size=spore.U64)
PRICED, _ = ticks(n=spore.U64, size=spore.U64, price=spore.PriceE8)
LONGER, _ = ticks(n=spore.U64, size=spore.U64, price=spore.U64, venue=spore.U16)
FRAME = encode(Tick(1, 2, 3), sequence=0, timestamp_ns=0)
HEAD = schema_head(Schema.of(WRITTEN))


def read(data, registry=WRITTEN, **options):
    decoder = RecordingDecoder(registry=registry, **options)
    decoder.feed(data)
    found = [frame for frame in decoder if not is_schema_head(frame)]
    decoder.end()
    return [item for frame in found for item in frame.items], decoder


def test_what_was_recorded_is_read_with_the_same_layout():
    """And nothing is left unverified."""
    found, decoder = read(HEAD + FRAME)
    assert (found, decoder.unverified, decoder.warning("x")) == ([Tick(1, 2, 3)], {}, None)


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        (SWAPPED, "size was field 2 and is field 3; price was field 3 and is field 2"),
        (PRICED, "price was u64 and is price"),
        (LONGER, "field 4 is venue, u16, which was not there"),
    ],
)
def test_another_meaning_is_refused(registry, said):
    """Also where the bytes would fit, and where they would not: the words are about the field in both cases."""
    with pytest.raises(SchemaMismatch) as caught:
        read(HEAD + FRAME, registry)
    assert f"at byte {len(HEAD)}: Tick (120) was recorded with another meaning: {said}; " in str(caught.value)
    assert (caught.value.message, caught.value.type_id, caught.value.offset) == ("Tick", 120, len(HEAD))


def test_a_reader_that_was_refused_stays_closed():
    """As a decoder that has met damage does."""
    decoder = RecordingDecoder(registry=SWAPPED)
    decoder.feed(HEAD + FRAME)
    for again in (lambda: list(decoder), lambda: list(decoder), decoder.end, lambda: decoder.feed(b"")):
        with pytest.raises(SchemaMismatch):
            again()


def test_what_does_not_come_is_not_compared():
    """A schema that differs in a message that the recording does not hold is no reason to refuse it."""
    head = schema_head(Schema({**Schema.of(WRITTEN).texts, 121: "121 Other signal {a: u8}"}))
    registry, _ = ticks(n=spore.U64, size=spore.U64, price=spore.U64)
    spore.message(type_id=121, domain=Domain.SIGNAL, registry=registry)(
        type("Other", (), {"__annotations__": {"b": spore.U16}})
    )
    assert len(read(head + FRAME, registry)[0]) == 1


def test_a_message_beside_another_is_compared_too():
    """Wherever it stands in a frame."""
    beside = encode_frame(Frame(Domain.MARKET_DATA, 0, Flags.NONE, 0, 0, (UnknownTlv(19, b""), Tick(1, 2, 3))))
    with pytest.raises(SchemaMismatch):
        read(HEAD + beside, SWAPPED)


def test_a_recording_without_a_schema_is_read_as_it_is_understood_here():
    """And the warning names what nobody has verified."""
    found, decoder = read(FRAME * 3, SWAPPED)
    assert [attrs.astuple(each) for each in found] == [(1, 2, 3)] * 3
    assert decoder.warning("a.frames").startswith("a.frames: no schema says what Tick (120) meant when it was recorded")


def test_a_message_that_the_schema_does_not_list_is_unverified():
    """It was appended by somebody else, for example."""
    other = encode(GAS, sequence=0, timestamp_ns=0)
    _, decoder = read(schema_head(Schema.of(WRITTEN)) + other, REGISTRY)
    assert decoder.unverified == {18: "GasPrice"}


def test_recordings_that_were_appended_to_each_other():
    """Each head counts for what follows it."""
    other = schema_head(Schema.of(SWAPPED))
    assert len(read(HEAD + FRAME + HEAD + FRAME)[0]) == 2
    for data, at in ((HEAD + FRAME + other + FRAME, len(HEAD + FRAME + other)), (other + FRAME + HEAD, len(other))):
        decoder = RecordingDecoder(registry=WRITTEN)
        decoder.feed(data)
        with pytest.raises(SchemaMismatch) as caught:
            list(decoder)
        assert caught.value.offset == at
    found, decoder = read(other + HEAD + FRAME)
    assert (found, decoder.unverified) == ([Tick(1, 2, 3)], {})
    _, decoder = read(FRAME + HEAD + FRAME)
    assert decoder.unverified == {120: "Tick"}


def test_a_schema_that_is_known_from_elsewhere():
    """A journal keeps it beside the frames."""
    with pytest.raises(SchemaMismatch):
        read(FRAME, PRICED, schema=Schema.of(WRITTEN))
    assert read(FRAME, schema=Schema.of(WRITTEN))[1].unverified == {}


def test_messages_that_are_not_known_here_pass_through():
    """With the name under which they were recorded."""
    found, decoder = read(HEAD + FRAME, Registry())
    assert (type(found[0]), decoder.recorded_name(120), decoder.recorded_name(121)) == (UnknownTlv, "Tick", None)


def test_a_message_that_is_registered_after_the_head_was_read():
    """It is compared when it comes."""
    registry = Registry()
    decoder = RecordingDecoder(registry=registry)
    decoder.feed(HEAD)
    assert len(list(decoder)) == 1
    spore.message(type_id=120, domain=Domain.MARKET_DATA, registry=registry)(
        type("Tick", (), {"__annotations__": dict.fromkeys(("n", "price", "size"), spore.U64)})
    )
    decoder.feed(FRAME)
    with pytest.raises(SchemaMismatch):
        list(decoder)


# The head itself


def test_the_head_is_one_frame_of_the_system_domain():
    """To the byte, for whoever writes or reads one; a plain decoder and the relay see a frame that they pass on."""
    head = schema_head(Schema({1: "1 T signal {}"}))
    assert head[32:].hex() == (
        "7632" + b"spore schema".hex() + "0100" + Schema({1: "1 T signal {}"}).digest + "01000000"
        "7711" + "0100" + "0d00" + b"1 T signal {}".hex()
    )
    decoder = Decoder()
    decoder.feed(head)
    (frame,) = decoder
    assert encode_frame(frame) == head
    assert [type(item) for item in frame.items] == [UnknownTlv] * 2
    splitter = FrameSplitter()
    splitter.feed(head + FRAME)
    assert [(count, kind) for _, _, count, kind in splitter.runs()] == [(2, 0)]


def test_a_schema_of_long_texts_is_read_again():
    """A text that no TLV holds is continued in the next ones."""
    schema = Schema({1: "1 T signal {" + "ü" * 70_000 + "}", 2: "2 U signal {}"})
    decoder = Decoder()
    decoder.feed(schema_head(schema))
    head = next(iter(decoder))
    assert read_schema_head(head, offset=0) == schema
    assert read_schema_head(with_names(head), offset=0) == schema


def head_of(*items):
    return encode_frame(Frame(Domain.SYSTEM, 0, Flags.NONE, 0, 0, items))


LINE = SchemaLine(1, "1 T signal {}")
DIGEST = bytes.fromhex(Schema({1: "1 T signal {}"}).digest)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ((SchemaHead(MARK, 1, DIGEST, 2), LINE), "the schema head says 2 lines, and has 1"),
        ((SchemaHead(MARK, 1, bytes(32), 1), LINE), "do not have the digest that it says"),
        ((SchemaHead(MARK, 1, DIGEST, 3), LINE, SchemaLine(2, "x"), LINE), "two lines of type number 1"),
        (
            (UnknownTlv(118, MARK + b"\x02\x00 and more"),),
            "the schema head is version 2, and this program reads version 1",
        ),
        ((UnknownTlv(118, MARK + b"\x01\x00"),), "SchemaHead.digest: 32 bytes are needed and 0 are there"),
        ((SchemaHead(MARK, 1, DIGEST, 1), UnknownTlv(119, b"\x01")), "SchemaLine.type_id: 2 bytes are needed"),
    ],
)
def test_a_head_that_is_damaged_is_an_error(items, said):
    """With its offset: a recording is not taken for one without a schema."""
    with pytest.raises(DecodeError) as caught:
        read(FRAME + head_of(*items) + FRAME)
    assert said in str(caught.value)
    assert caught.value.offset >= len(FRAME)


def test_a_head_can_say_more_later():
    """TLVs that are not known here are passed over."""
    head = head_of(SchemaHead(MARK, 1, DIGEST, 1), LINE, UnknownTlv(117, b"later"))
    assert read(head, Registry())[1].recorded_name(1) == "T"


def test_another_programs_frame_of_that_number_is_no_head():
    """Without the mark it is a frame like any other."""
    other = head_of(UnknownTlv(118, b"something else"))
    assert read(other + FRAME)[0] == [UnknownTlv(118, b"something else"), Tick(1, 2, 3)]
    assert not is_schema_head(Frame(Domain.SIGNAL, 0, Flags.NONE, 0, 0, (UnknownTlv(118, MARK),)))


def test_a_head_as_json_and_back():
    """People read its lines, and `spore encode` makes the same bytes of them."""
    decoder = Decoder()
    decoder.feed(HEAD)
    plain = frame_to_plain(next(iter(decoder)))
    assert plain["items"][0]["type"] == "SchemaHead"
    assert plain["items"][1]["fields"] == {"type_id": 120, "text": WRITTEN.by_type(120).text}
    assert encode_frame(frame_from_plain(plain)) == HEAD
    assert len(HEADS) == 2


def test_a_schema_that_no_frame_holds():
    """Is an error of the codec, as any other frame that is too large."""
    with pytest.raises(EncodeError, match="is the most"):
        schema_head(Schema({1: "x" * (17 << 20)}))


# As a feed


def recording(tmp_path, *parts, name="a.frames"):
    (tmp_path / name).write_bytes(b"".join(parts))
    return feed_of(str(tmp_path / name))


def frame(message):
    return encode(message, sequence=0, timestamp_ns=0)


def test_a_feed_reads_its_own_head(tmp_path, caplog):
    """Which is no event, and no reason to warn."""
    feed = recording(tmp_path, recording_head(), frame(GAS))
    assert list(feed.messages()) == [GAS]
    assert (feed.account.read, feed.account.used, feed.account.skipped, caplog.records) == (1, 1, {}, [])


def test_a_feed_with_another_meaning_is_an_error(tmp_path):
    """That names file, message and field; what came before was handed on."""
    texts = {**Schema.of(REGISTRY).texts, 17: REGISTRY.by_type(17).text.replace("bid_price: price", "bid_price: u64")}
    feed = recording(tmp_path, schema_head(Schema(texts)), frame(GAS), frame(QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8)))
    messages = feed.messages()
    assert next(messages) == GAS
    with pytest.raises(
        FeedError, match=r"a\.frames: at byte \d+: QuoteUpdate \(17\) was .*: bid_price was u64 and is price"
    ):
        next(messages)


def test_one_warning_for_a_file_without_a_schema(tmp_path, caplog):
    """However often a process reads it."""
    for _ in range(3):
        assert list(recording(tmp_path, frame(GAS) * 2).messages()) == [GAS] * 2
    assert [record.name for record in caplog.records] == ["spore.feeds"]
    assert "no schema says what GasPrice (18) meant" in caplog.records[0].getMessage()
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_head_that_was_cut_is_an_error(cut, tmp_path):
    """As any frame that was cut."""
    with pytest.raises(FeedError, match="at byte 0: the data ends inside a "):
        list(recording(tmp_path, recording_head()[:-cut]).messages())


def test_a_file_of_unknown_messages_is_an_error(tmp_path):
    """It names their numbers, their recorded names, and what to do; one message that is known makes it a feed."""
    with pytest.raises(FeedError, match=r"none of its 2 frames .* of type number 120, which .* with --module"):
        list(recording(tmp_path, FRAME * 2).messages())
    with pytest.raises(FeedError, match=r"of type number 120 \(Tick\), which"):
        list(recording(tmp_path, HEAD, FRAME).messages())
    assert list(recording(tmp_path, FRAME, frame(GAS)).messages()) == [GAS]


def test_a_file_of_what_is_no_market_data_is_an_error(tmp_path):
    """It names what is in it instead."""
    signal = encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 0, 0, ()))
    with pytest.raises(FeedError, match="none of its 1 frames can be used: 1 no market data: signal"):
        list(recording(tmp_path, signal).messages())


def test_an_empty_recording_is_a_feed_of_nothing(tmp_path):
    """Its head says so."""
    feed = recording(tmp_path, recording_head())
    assert (list(feed.messages()), feed.account.read) == ([], 0)
    assert frames_feed.SUFFIX == ".frames"
