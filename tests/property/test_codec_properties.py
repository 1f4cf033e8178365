"""What holds for every message, every frame and every stream, whatever bytes arrive."""

import contextlib
import importlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from tests.property.damage import damaged, repaired, wrong_values
from tests.property.rich import RICH, Empty, Lists, Options, Texts
from tests.property.strategies import (
    MESSAGE_CLASSES,
    SERVICES,
    chunkings,
    exactly,
    frames,
    headers,
    messages,
    unknown_tlvs,
)

from spore.codec import (
    HEADER_SIZE,
    Decoder,
    Flags,
    Frame,
    UnknownTlv,
    decode,
    encode,
    encode_frame,
    encode_into,
    encoded_size,
    peek,
)
from spore.codec.compile import NOT_PLAIN, codec_of
from spore.codec.plain import frame_from_plain, frame_to_plain
from spore.codec.walk import read_message, write_message
from spore.errors import ConversionError, Damage, DecodeError, EncodeError
from spore.message import Registry, from_plain, layout_of, message_type, to_plain

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

EITHER = st.sampled_from([RICH, SERVICES])
FEWER = settings(max_examples=max(10, settings().max_examples // 5))
"""For what is done for each class: there are two dozen of them."""
every_class = pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda cls: cls.__name__)


def registry_of(cls: type) -> Registry:
    """The registry in which a message class stands."""
    return RICH if cls in RICH else SERVICES


def attempt(error: type[E], call: Callable[..., T], *given: Any, **named: Any) -> tuple[T | None, E | None]:
    """What a call returns, and None; or None, and the error of this type that it raises instead."""
    try:
        return call(*given, **named), None
    except error as raised:
        return None, raised


def decode_all(chunks: list[bytes], registry: Registry) -> list[Frame]:
    """The frames of a stream, which must end behind the last of them."""
    decoder = Decoder(registry=registry)
    found: list[Frame] = []
    for chunk in chunks:
        decoder.feed(chunk)
        found += decoder
    decoder.end()
    return found


# Messages


@given(st.data(), messages(), headers())
def test_round_trip(data: st.DataObject, message: Any, header: dict[str, Any]) -> None:
    """A message comes back from its frame as it was, with the types that it had and the header it was given."""
    frame = decode(encode(message, **header), registry=registry_of(type(message)))
    assert exactly(frame.message) == exactly(message)
    assert frame == Frame(message_type(message).domain, items=(message,), **header)
    assert type(frame.flags) is Flags


@given(messages(), headers())
def test_encoded_size_is_the_size(message: Any, header: dict[str, Any]) -> None:
    """The size that is promised without encoding is the size of the frame."""
    assert encoded_size(message) == len(encode(message, **header))


@given(messages(), headers(), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_encode_into_writes_the_frame_and_nothing_else(
    message: Any, header: dict[str, Any], before: int, behind: int, as_view: bool
) -> None:
    """Encoding into a buffer writes what `encode` returns, says where it ends and leaves the other bytes alone."""
    frame = encode(message, **header)
    buffer = bytearray(b"\xaa" * (before + len(frame) + behind))
    target = memoryview(buffer) if as_view else buffer
    assert encode_into(target, message, at=before, **header) == before + len(frame)
    assert buffer == b"\xaa" * before + frame + b"\xaa" * behind


@given(messages(), headers())
def test_a_message_has_the_bytes_of_a_frame_that_holds_it(message: Any, header: dict[str, Any]) -> None:
    """Encoding a message and encoding a frame with it are the same, so each message has one encoding."""
    frame = Frame(message_type(message).domain, items=(message,), **header)
    assert encode_frame(frame) == encode(message, **header)


@given(st.data(), st.sampled_from([cls for cls in MESSAGE_CLASSES if cls is not Empty]))
def test_a_wrong_value_is_refused_by_name(data: st.DataObject, cls: type) -> None:
    """A value without a wire form is refused with the message, the path of the field and the value itself."""
    message, path, wrong = data.draw(wrong_values(cls))
    with pytest.raises(EncodeError) as caught:
        encode(message, sequence=0, timestamp_ns=0)
    assert (caught.value.message, caught.value.field) == (cls.__name__, path)
    assert caught.value.value is wrong
    assert str(caught.value).startswith(f"{cls.__name__}.{path} = ")


# Frames


@given(st.data(), EITHER)
def test_accepted_bytes_re_encode_identically(data: st.DataObject, registry: Registry) -> None:
    """A frame, whatever it holds, comes back from its bytes, and its bytes from the frame."""
    frame = data.draw(frames(registry))
    encoded = encode_frame(frame)
    again = decode(encoded, registry=registry)
    assert exactly(again) == exactly(frame)
    assert encode_frame(again) == encoded


@given(st.data(), EITHER)
def test_any_chunking_gives_the_same_frames(data: st.DataObject, registry: Registry) -> None:
    """How a stream was cut into chunks cannot be seen in the frames that come out of it."""
    sent = data.draw(st.lists(frames(registry), max_size=4))
    encoded = [encode_frame(frame) for frame in sent]
    starts = tuple(len(b"".join(encoded[:index])) for index in range(len(encoded)))
    chunks = data.draw(chunkings(b"".join(encoded), starts or (0,)))
    assert decode_all(chunks, registry) == sent


@given(st.data(), EITHER)
def test_a_strict_prefix_needs_more(data: st.DataObject, registry: Registry) -> None:
    """A frame that is cut is no error until the stream ends, and then the error says where the frame began."""
    encoded = encode_frame(data.draw(frames(registry)))
    prefix = encoded[: data.draw(st.integers(1, len(encoded) - 1))]
    decoder = Decoder(registry=registry)
    for chunk in data.draw(chunkings(prefix)):
        decoder.feed(chunk)
        assert decoder.next_frame() is None
    assert (decoder.offset, decoder.buffered) == (0, len(prefix))
    with pytest.raises(DecodeError) as caught:
        decoder.end()
    assert (caught.value.damage, caught.value.offset) == (Damage.TRUNCATED, 0)


@given(st.data(), EITHER, st.binary(max_size=80))
def test_what_follows_a_frame_stays(data: st.DataObject, registry: Registry, behind: bytes) -> None:
    """The bytes behind a frame are neither taken nor judged before the frame was taken."""
    frame = data.draw(frames(registry))
    encoded = encode_frame(frame)
    decoder = Decoder(registry=registry)
    decoder.feed(encoded + behind)
    assert decoder.next_frame() == frame
    assert (decoder.offset, decoder.buffered) == (len(encoded), len(behind))


@given(st.data(), headers())
def test_unknown_tlvs_survive(data: st.DataObject, header: dict[str, Any]) -> None:
    """A receiver that knows none of the messages passes every one of them on, byte for byte."""
    frame = data.draw(frames(RICH))
    encoded = encode_frame(frame)
    relayed = decode(encoded, registry=Registry())
    assert all(isinstance(item, UnknownTlv) for item in relayed.items)
    assert encode_frame(relayed) == encoded


@given(st.data(), EITHER, st.integers(0, 9))
def test_peek_agrees_with_decode(data: st.DataObject, registry: Registry, before: int) -> None:
    """The header that a router reads is the one of the frame that a receiver gets."""
    frame = data.draw(frames(registry))
    encoded = encode_frame(frame)
    header = peek(b"\0" * before + encoded, before)
    assert header is not None
    for name in ("domain", "source", "flags", "sequence", "timestamp_ns"):
        assert exactly(getattr(header, name)) == exactly(getattr(frame, name))
    assert header.frame_size == len(encoded)
    assert header.payload_size == len(encoded) - HEADER_SIZE
    assert header.checksum == int.from_bytes(encoded[28:32], "little")
    assert peek(encoded[: data.draw(st.integers(0, HEADER_SIZE - 1))]) is None


# Damage


def check_stream(chunks: list[bytes], registry: Registry, largest: int) -> tuple[list[Frame], DecodeError | None]:
    """What comes out of a stream, whatever it is made of; it asserts what must hold for any bytes."""
    decoder = Decoder(registry=registry, max_frame_size=largest)
    found: list[Frame] = []
    fed = 0

    def run() -> None:
        nonlocal fed
        for chunk in chunks:
            decoder.feed(chunk)
            fed += len(chunk)
            found.extend(decoder)
            # Not the chunk, not what was taken: less than one frame that is allowed to exist.
            assert decoder.buffered < largest
            assert decoder.offset + decoder.buffered == fed
        decoder.end()

    _, error = attempt(DecodeError, run)
    event(error.damage.value if error else "no damage")
    assert error is None or 0 <= error.offset - decoder.offset <= largest
    return found, error


def facts(error: DecodeError | None) -> tuple[object, ...] | None:
    return (error.damage, error.offset, error.message, error.field) if error else None


@given(st.data(), EITHER)
def test_arbitrary_bytes_give_frames_or_one_error(data: st.DataObject, registry: Registry) -> None:
    """Whatever arrives gives frames, a wish for more or a DecodeError, the same in any chunking, and is not hoarded."""
    good = b"".join(encode_frame(frame) for frame in data.draw(st.lists(frames(registry), max_size=2)))
    again = damaged(good).map(lambda wrong: good + wrong)
    wrong = data.draw(st.one_of(damaged(good), again, damaged(good).map(repaired), st.binary(max_size=100)))
    largest = data.draw(st.sampled_from([64, 512, 16 * 1024 * 1024]))
    whole, error = check_stream([wrong], registry, largest)
    pieces, same_error = check_stream(data.draw(chunkings(wrong)), registry, largest)
    assert pieces == whole
    # All but the words: those about the magic quote the bytes that have arrived.
    assert facts(same_error) == facts(error)
    consumed = b"".join(encode_frame(frame) for frame in whole)
    assert wrong.startswith(consumed)
    assert wrong == consumed or error is not None


@given(st.data(), EITHER)
def test_damage_behind_a_right_checksum_is_canonical_or_refused(data: st.DataObject, registry: Registry) -> None:
    """Where a payload was damaged before its checksum was taken, it is refused, or else is another frame's one encoding."""
    good = encode_frame(data.draw(frames(registry)))
    wrong = repaired(data.draw(damaged(good, HEADER_SIZE)))
    frame, error = attempt(DecodeError, decode, wrong, registry=registry)
    # Behind the good one, the damaged frame meets the compiled reader of whole frames.
    decoder = Decoder(registry=registry)
    decoder.feed(good + wrong)
    assert decoder.next_frame() is not None
    again, same_error = attempt(DecodeError, decoder.next_frame)
    assert exactly(again) == exactly(frame)
    assert (same_error and same_error.reason) == (error and error.reason)
    event(error.damage.value if error else "accepted")
    if error is not None:
        assert error.damage in {Damage.TLV, Damage.FORM, Damage.TYPE, Damage.LENGTH, Damage.VALUE}
        assert HEADER_SIZE <= error.offset <= len(wrong)
    else:
        assert frame is not None
        assert encode_frame(frame) == wrong


@given(st.data(), EITHER)
def test_a_flipped_bit_never_passes(data: st.DataObject, registry: Registry) -> None:
    """No single flipped bit gives a frame: that is what the checksum is for."""
    encoded = bytearray(encode_frame(data.draw(frames(registry))))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecodeError) as caught:
        decode(bytes(encoded), registry=registry)
    # A size that grew asks for bytes that are not there; one that shrank has no checksum that fits.
    assert caught.value.damage in {
        Damage.MAGIC, Damage.DOMAIN, Damage.VERSION, Damage.FLAGS, Damage.SIZE, Damage.TRUNCATED, Damage.CHECKSUM
    }  # fmt: skip


# The compiled codec against the reference


@every_class
@FEWER
@given(st.data())
def test_both_codecs_write_and_read_alike(cls: type, data: st.DataObject) -> None:
    """For every message, the compiled code writes the reference's bytes, and both read the message out of them."""
    message = data.draw(messages(cls))
    layout, codec = layout_of(cls), codec_of(cls)
    value = write_message(layout, message)
    assert codec.write_value(message) == value
    assert codec.value_size(message) == len(value)
    around = b"\x55" * 3 + value + b"\x55" * 3
    stop = 3 + len(value)
    assert exactly(codec.read_value(around, 3, stop)) == exactly(message)
    assert exactly(read_message(layout, around, 3, stop, offset=0)) == exactly(message)


@every_class
@FEWER
@given(st.data())
def test_both_codecs_accept_alike(cls: type, data: st.DataObject) -> None:
    """For any bytes, the compiled code accepts what the reference accepts, and reads the same out of them."""
    good = write_message(layout_of(cls), data.draw(messages(cls)))
    value = data.draw(st.one_of(damaged(good), st.binary(max_size=60)))
    before = data.draw(st.integers(0, 3))
    around = b"\0" * before + value + b"\0" * data.draw(st.integers(0, 300))
    stop = before + len(value)
    expected, error = attempt(DecodeError, read_message, layout_of(cls), around, before, stop, offset=before)
    event(error.damage.value if error else "accepted")
    if error is not None:
        assert error.message == cls.__name__
        assert before <= error.offset <= stop
        with pytest.raises(NOT_PLAIN):
            codec_of(cls).read_value(around, before, stop)
    else:
        assert exactly(codec_of(cls).read_value(around, before, stop)) == exactly(expected)
        assert write_message(layout_of(cls), expected) == value


@given(st.data(), st.sampled_from([cls for cls in MESSAGE_CLASSES if cls is not Empty]))
def test_compiled_code_accepts_no_wrong_value(data: st.DataObject, cls: type) -> None:
    """What the reference refuses to write, compiled code never writes."""
    message, _, _ = data.draw(wrong_values(cls))
    with pytest.raises(EncodeError):
        write_message(layout_of(cls), message)
    codec = codec_of(cls)
    with pytest.raises(NOT_PLAIN):
        codec.write_value(message)
    if codec.write_frame is not None:
        with pytest.raises(NOT_PLAIN):
            codec.write_frame(message, 0, 0, 0, 0)


# By name, because the functions of these names hide the modules.
ENCODE = importlib.import_module("spore.codec.encode")
DECODE = importlib.import_module("spore.codec.decode")


def unreachable(*_args: object, **_named: object) -> Any:
    raise AssertionError("the reference codec was asked for what is plainly right")


@every_class
@FEWER
@given(st.data())
def test_what_is_plainly_right_never_asks_the_reference(cls: type, data: st.DataObject) -> None:
    """Compiled code serves every right message by itself: an optimisation that never runs is none."""
    message = data.draw(messages(cls))
    registry = registry_of(cls)
    encoded = encode(message, sequence=1, timestamp_ns=2, flags=5)  # the first time compiles
    frame = decode(encoded, registry=registry)
    decoder = Decoder(registry=registry)
    decoder.feed(encoded)
    assert exactly(decoder.next_frame()) == exactly(frame)
    size = layout_of(cls).size
    fits = size is not None and size <= 255
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ENCODE, "_encode_exactly", unreachable)
        patch.setattr(ENCODE, "write_message", unreachable)
        patch.setattr(DECODE, "read_message", unreachable)
        if fits:
            # One fixed size that fits a standard TLV: the whole frame is read and written in one go.
            patch.setattr(ENCODE, "_assemble", unreachable)
            patch.setattr(DECODE, "_items", unreachable)
        assert encode(message, sequence=1, timestamp_ns=2, flags=5) == encoded
        assert encoded_size(message) == len(encoded)
        decoder.feed(encoded + encoded)
        assert [exactly(one) for one in decoder] == [exactly(frame)] * 2
        if fits and registry is SERVICES:
            # `decode` remembers the readers of the one registry that everybody uses, and of no other.
            patch.setattr(DECODE, "_frame_at", unreachable)
            assert exactly(decode(encoded)) == exactly(frame)


def test_the_largest_message_never_asks_the_reference() -> None:
    """Compiled code serves messages up to the very size that a TLV holds."""
    message = Texts("", bytes(65_535 - 2 - 2 - 2 - 2 - 1), 1, "", True)
    encoded = encode(message, sequence=1, timestamp_ns=2)
    assert len(encoded) == 32 + 5 + 65_535
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ENCODE, "_encode_exactly", unreachable)
        patch.setattr(ENCODE, "write_message", unreachable)
        patch.setattr(DECODE, "read_message", unreachable)
        assert encode(message, sequence=1, timestamp_ns=2) == encoded
        assert encoded_size(message) == len(encoded)
        assert decode(encoded, registry=RICH).message == message


class Index:
    """An integer in all but name."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def _alike(value: object) -> st.SearchStrategy[object]:
    """What equals a value, or stands for it, without being of the type that the field asks for."""
    if isinstance(value, int):
        return st.sampled_from([value, Index(value), True if value == 1 else value, type("Sub", (int,), {})(value)])
    if isinstance(value, bytes):
        return st.sampled_from([value, bytearray(value), memoryview(value), type("Sub", (bytes,), {})(value)])
    if isinstance(value, str):
        return st.sampled_from([value, type("Sub", (str,), {})(value), value.encode()])
    if isinstance(value, tuple):
        return st.sampled_from([value, list(value), type("Sub", (tuple,), {})(value), iter(value)])
    return st.sampled_from([value, getattr(value, "value", value)])


@every_class
@FEWER
@given(st.data())
def test_both_codecs_treat_look_alikes_alike(cls: type, data: st.DataObject) -> None:
    """A value that only resembles what a field asks for is written as the reference writes it, or refused as there."""
    message = data.draw(messages(cls))
    for field in attrs.fields(cls):
        message = attrs.evolve(message, **{field.name: data.draw(_alike(getattr(message, field.name)))})
    layout = layout_of(cls)
    header = {"sequence": 1, "timestamp_ns": 2}
    value, error = attempt(EncodeError, write_message, layout, message)
    if value is None:
        with pytest.raises(EncodeError) as caught:
            encode(message, **header)
        assert str(caught.value) == str(error)
    else:
        with contextlib.suppress(*NOT_PLAIN):
            assert codec_of(cls).write_value(message) == value
        # Twice: the first frame of a class is the reference's, the second the compiled code's.
        first = encode(message, **header)
        assert encode(message, **header) == first
        assert first.endswith(value)


# JSON


@given(messages())
def test_json_and_back(message: Any) -> None:
    """A message comes back from its JSON text as it was."""
    cls = type(message)
    assert exactly(from_plain(cls, to_plain(message))) == exactly(message)
    assert exactly(from_plain(cls, json.loads(json.dumps(to_plain(message))))) == exactly(message)


@given(st.data(), EITHER)
def test_frames_as_json_and_back(data: st.DataObject, registry: Registry) -> None:
    """A frame comes back from its JSON text as it was, unknown TLVs and flags included."""
    frame = data.draw(frames(registry))
    plain = json.loads(json.dumps(frame_to_plain(frame)))
    assert exactly(frame_from_plain(plain, registry=registry)) == exactly(frame)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)


@given(st.data(), messages())
def test_any_json_gives_a_message_or_a_conversion_error(data: st.DataObject, message: Any) -> None:
    """JSON with one value replaced by any other is a message that comes back, or refused with the path in words."""
    plain = to_plain(message)
    assume(plain)
    name = data.draw(st.sampled_from(sorted(plain)))
    plain[name] = data.draw(json_values)
    made, error = attempt(ConversionError, from_plain, type(message), plain)
    if error is not None:
        assert all(f"{type(message).__name__}.{name}" in problem for problem in error.problems)
    else:
        assert from_plain(type(message), to_plain(made)) == made


@given(unknown_tlvs(RICH), st.sampled_from([Texts("", b"", 0, "", False), Empty()]))
def test_an_unknown_tlv_may_stand_before_a_message(unknown: UnknownTlv, message: Any) -> None:
    """Nothing can be said of an unknown TLV's domain, so it may stand anywhere, and the next message still decides."""
    entry = message_type(message)
    frame = Frame(entry.domain, 0, Flags.NONE, 1, 2, (unknown, message))
    assert decode(encode_frame(frame), registry=RICH) == frame


def test_the_rich_messages_use_every_wire_type() -> None:
    """The examples leave out no kind of field, so what holds for them holds for all."""
    from spore.message import parts, wire

    kinds = {type(part) for entry in RICH for part in parts(entry.layout)}
    assert kinds == {
        wire.Int, wire.Boolean, wire.FixedBytes, wire.Text, wire.Blob, wire.Enumeration, wire.Array, wire.Option,
        wire.Record,
    }  # fmt: skip
    assert {type(field.wire.item) for field in layout_of(Lists).fields} >= kinds - {wire.Boolean}  # type: ignore[union-attr]
    assert {type(field.wire.item) for field in layout_of(Options).fields[:-1]} == kinds - {wire.Option}  # type: ignore[union-attr]
