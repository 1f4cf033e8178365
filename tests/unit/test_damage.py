"""Every way for bytes to be wrong: what it is called, where it lies and which words say so.

Each test damages one good frame in one place, and the checksum is put right again unless the test is about it.
"""

from typing import Annotated, Any
from zlib import crc32

import attrs
import pytest

import spore
from spore.codec import HEADER_SIZE, Decoder, decode, encode, encode_into, encoded_size, peek
from spore.codec.frame import Frame, UnknownTlv
from spore.codec.header import MAX_FRAME_SIZE, Flags
from spore.errors import Damage, DecodeError, EncodeError, UsageError
from spore.message import REGISTRY, Domain, Registry, message_type
from spore.services.messages import OrderCancel, QuoteUpdate, Side

LOCAL = Registry()


@spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=LOCAL)
class Fixed:
    """A fixed size: bool at 0, enum at 1, number at 2 to 9."""

    yes: spore.Bool
    side: Side
    number: spore.U64


@spore.message(type_id=2, domain=Domain.MARKET_DATA, registry=LOCAL)
class Loose:
    """A size that depends on the value."""

    text: spore.Str
    blob: spore.Bytes
    numbers: tuple[spore.U16, ...]
    texts: tuple[spore.Str, ...]
    maybe: spore.U32 | None


@spore.message(type_id=3, domain=Domain.MARKET_DATA, registry=LOCAL)
class Outer:
    """Something nested in a list and in a record, so that a path has something to say."""

    rows: tuple[Loose, ...]
    inner: Fixed


@spore.message(type_id=80, domain=Domain.SYSTEM, registry=LOCAL)
class Note:
    """What may accompany a message of any domain."""

    text: spore.Str


FIXED = bytes.fromhex("01 02 0700000000000000")
LOOSE = bytes.fromhex("0100 61  0200 0102  0200 0300 0400  0100 0100 62  01 05000000")
QUOTE = encode(QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8), sequence=9, timestamp_ns=10)


def frame_of(payload: bytes, *, domain: int = 1, flags: int = 0) -> bytes:
    """A frame around a payload, with the checksum that belongs to it."""
    head = bytes.fromhex("efbeadde") + bytes([domain, 1, 0, flags]) + bytes(16) + len(payload).to_bytes(4, "little")
    return head + crc32(head + payload).to_bytes(4, "little") + payload


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """The data with other bytes at an index."""
    return data[:at] + value + data[at + len(value) :]


def refusal(data: bytes, registry: Registry = LOCAL, *, max_frame_size: int = MAX_FRAME_SIZE) -> DecodeError:
    """The error for damaged data, which is the same for `decode` and for a stream, behind a good frame too."""
    good = frame_of(b"")
    if max_frame_size == MAX_FRAME_SIZE:
        # One of fixed size, so that what comes behind it meets the compiled reader of whole frames.
        good = QUOTE if registry is REGISTRY else frame_of(b"\x01\x0a" + FIXED) if registry is LOCAL else good
    streamed = Decoder(registry=registry, max_frame_size=max_frame_size)
    streamed.feed(good + data)
    assert streamed.next_frame() is not None
    with pytest.raises(DecodeError) as later:
        streamed.next_frame()
    decoder = Decoder(registry=registry, max_frame_size=max_frame_size)
    decoder.feed(data)
    with pytest.raises(DecodeError) as caught:
        decoder.next_frame()
    error = caught.value
    assert later.value.offset == error.offset + len(good)
    assert (later.value.damage, later.value.reason, later.value.message, later.value.field) == (
        error.damage, error.reason, error.message, error.field
    )  # fmt: skip
    if max_frame_size == MAX_FRAME_SIZE and len(data) >= HEADER_SIZE:
        with pytest.raises(DecodeError) as whole:
            decode(data, registry=registry)
        assert str(whole.value) == str(error)
    return error


def check(error: DecodeError, damage: Damage, offset: int, words: str) -> None:
    """The error is of this kind, at this byte, in these words."""
    assert (error.damage, error.offset, str(error)) == (damage, offset, f"at byte {offset}: {words}")


def check_field(error: DecodeError, damage: Damage, at: int, message: str, field: str | None, reason: str) -> None:
    """The error lies in a field of the frame's first message, whose value begins behind a standard head."""
    assert (error.message, error.field, error.reason) == (message, field, reason)
    where = f"{message}.{field}" if field else message
    check(error, damage, HEADER_SIZE + 2 + at, f"{where}: {reason}")


# The header


@pytest.mark.parametrize("wrong", range(4))
def test_magic_is_refused_at_its_first_wrong_byte(wrong: int) -> None:
    """A stream of something else is refused as soon as one byte shows it, even when no more has arrived."""
    begun = patched(bytes.fromhex("efbeadde")[: wrong + 1], wrong, b"\x47")
    error = refusal(begun)
    check(error, Damage.MAGIC, 0, f"a frame begins with ef be ad de, and this is {begun.hex(' ')}")
    with pytest.raises(DecodeError) as caught:
        peek(b"??" + begun, 2)
    assert (caught.value.damage, caught.value.offset) == (Damage.MAGIC, 2)


def test_magic_of_a_whole_frame_is_refused() -> None:
    """Damage to the magic is found as such, although the checksum does not fit either."""
    error = refusal(patched(QUOTE, 3, b"\xdf"))
    check(error, Damage.MAGIC, 0, "a frame begins with ef be ad de, and this is ef be ad df")


@pytest.mark.parametrize("domain", [0, 5, 255])
@pytest.mark.parametrize("arrived", [5, 32])
def test_a_domain_that_does_not_exist_is_refused(domain: int, arrived: int) -> None:
    """A relay domain outside the four is refused as soon as its byte is there."""
    error = refusal(patched(frame_of(b""), 4, bytes([domain]))[:arrived])
    known = "there are 1 market_data, 2 signal, 3 execution, 4 system"
    check(error, Damage.DOMAIN, 4, f"there is no relay domain {domain}; {known}")


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("arrived", [6, 32])
def test_another_version_is_refused(version: int, arrived: int) -> None:
    """Another version of the format is refused by its number, which both ends then know."""
    error = refusal(patched(frame_of(b""), 5, bytes([version]))[:arrived])
    check(error, Damage.VERSION, 5, f"version {version} of the frame format, and this is a reader of version 1")


@pytest.mark.parametrize("bit", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("arrived", [8, 32])
def test_a_reserved_flag_is_refused(bit: int, arrived: int) -> None:
    """Each of the five reserved bits is refused, so that it can be given a meaning one day."""
    error = refusal(frame_of(b"", flags=1 << bit | 1)[:arrived])
    check(error, Damage.FLAGS, 7, f"flags {(1 << bit | 1):#010b} have a reserved bit set")


@pytest.mark.parametrize("payload", [frame_of(bytes.fromhex("010a") + FIXED, flags=8), frame_of(b"\x02\0", flags=255)])
def test_a_reserved_flag_is_refused_in_a_whole_frame(payload: bytes) -> None:
    """A right checksum makes a reserved flag no better, whether or not the frame is of fixed size."""
    assert refusal(payload).damage is Damage.FLAGS


def test_a_size_over_the_limit_is_refused_without_waiting_for_it() -> None:
    """A size over 16 MiB is refused when the 28th byte is there: nothing of the payload is waited for."""
    size = 16 * 1024 * 1024 - 32 + 1
    error = refusal(patched(frame_of(b""), 24, size.to_bytes(4, "little"))[:28])
    check(error, Damage.SIZE, 24, "a frame of 16,777,217 bytes, and 16,777,216 is the most")


def test_a_size_at_the_limit_is_waited_for() -> None:
    """A frame of exactly 16 MiB is allowed to exist."""
    size = 16 * 1024 * 1024 - 32
    head = patched(frame_of(b""), 24, size.to_bytes(4, "little"))
    for arrived in (28, 31, 32):
        decoder = Decoder()
        decoder.feed(head[:arrived])
        assert decoder.next_frame() is None
    header = peek(head)
    assert header is not None
    assert header.frame_size == 16 * 1024 * 1024


def test_the_largest_frame_can_be_had_and_a_larger_one_cannot_be_made() -> None:
    """A frame of exactly 16 MiB goes out and comes in; one byte more does not go out."""
    whole, left = divmod(MAX_FRAME_SIZE - HEADER_SIZE, 5 + 65_535)
    full, last = UnknownTlv(200, bytes(65_535)), UnknownTlv(200, bytes(left - 5))
    frame = Frame(Domain.SYSTEM, 0, Flags.NONE, 1, 2, (*(full,) * whole, last))
    encoded = spore.codec.encode_frame(frame)
    assert len(encoded) == MAX_FRAME_SIZE
    assert decode(encoded) == frame
    longer = Frame(Domain.SYSTEM, 0, Flags.NONE, 1, 2, (*frame.items[:-1], UnknownTlv(200, last.value + b"\0")))
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(longer)
    assert str(caught.value) == "Frame: a payload of 16,777,185 bytes, and 16,777,184 is the most"


@pytest.mark.parametrize("payload", [bytes.fromhex("010a") + FIXED, bytes([2, len(LOOSE)]) + LOOSE])
def test_a_lowered_limit_holds(payload: bytes) -> None:
    """A receiver that allows less refuses what is larger, even when all of it is there, and nothing smaller."""
    data = frame_of(payload)
    error = refusal(data, max_frame_size=len(data) - 1)
    check(error, Damage.SIZE, 24, f"a frame of {len(data)} bytes, and {len(data) - 1} is the most")
    assert str(refusal(data[:28], max_frame_size=len(data) - 1)) == str(error)
    decoder = Decoder(registry=LOCAL, max_frame_size=len(data))
    decoder.feed(data)
    assert decoder.next_frame() == decode(data, registry=LOCAL)


@pytest.mark.parametrize("limit", [31, MAX_FRAME_SIZE + 1])
def test_a_limit_outside_the_format_is_refused(limit: int) -> None:
    """A decoder cannot allow more than the format does, nor less than a header."""
    with pytest.raises(UsageError) as caught:
        Decoder(max_frame_size=limit)
    assert str(caught.value) == f"max_frame_size is 32 to 16777216, not {limit}"


def test_the_smallest_limit_takes_empty_frames() -> None:
    """A limit of one header lets frames without payload through."""
    decoder = Decoder(max_frame_size=HEADER_SIZE)
    decoder.feed(frame_of(b""))
    assert decoder.next_frame() is not None


@pytest.mark.parametrize("at", [6, 8, 16, 40, len(QUOTE) - 1])
def test_damage_that_only_the_checksum_sees(at: int) -> None:
    """A changed source, sequence, timestamp or payload byte is what the checksum is for."""
    error = refusal(patched(QUOTE, at, bytes([QUOTE[at] ^ 0x10])), REGISTRY)
    checksum = int.from_bytes(QUOTE[28:32], "little")
    check(error, Damage.CHECKSUM, 28, f"the checksum is {checksum:#010x}, and the bytes do not add up to it")


@pytest.mark.parametrize("at", [28, 29, 30, 31])
def test_damage_to_the_checksum_itself(at: int) -> None:
    """A wrong byte of the checksum is told as it arrived."""
    wrong = patched(QUOTE, at, bytes([QUOTE[at] ^ 1]))
    checksum = int.from_bytes(wrong[28:32], "little")
    error = refusal(wrong, REGISTRY)
    check(error, Damage.CHECKSUM, 28, f"the checksum is {checksum:#010x}, and the bytes do not add up to it")


# TLVs


@pytest.mark.parametrize("head", ["09", "ff", "ff00", "ff0009", "ff000900"])
def test_a_cut_head(head: str) -> None:
    """A payload that ends inside a TLV's head is refused where that head begins."""
    error = refusal(frame_of(bytes.fromhex("0901aa") + bytes.fromhex(head)))
    check(error, Damage.TLV, HEADER_SIZE + 3, "the payload ends inside the head of a TLV")


@pytest.mark.parametrize(
    ("head", "type_id", "size"),
    [("0903", 9, 3), ("fe03", 254, 3), ("01ff", 1, 255), ("ff00090001", 9, 256), ("ff0009ffff", 9, 65_535)],
)
def test_a_value_that_is_longer_than_the_payload(head: str, type_id: int, size: int) -> None:
    """A TLV that says more bytes than there are is refused where it begins."""
    error = refusal(frame_of(bytes.fromhex("0901aa") + bytes.fromhex(head) + b"\0\0"))
    words = f"a TLV of type {type_id} says {size} bytes, and 2 are left in the payload"
    check(error, Damage.TLV, HEADER_SIZE + 3, words)


@pytest.mark.parametrize("second", [1, 255])
def test_an_extended_head_with_a_wrong_second_byte(second: int) -> None:
    """The byte behind the extended marker is 0 and nothing else."""
    error = refusal(frame_of(bytes([9, 0, 255, second, 9, 0, 1]) + bytes(256)))
    check(error, Damage.FORM, HEADER_SIZE + 3, f"an extended head begins ff 00, and this is ff {second:02x}")


@pytest.mark.parametrize("size", [0, 10, 255])
def test_an_extended_head_for_what_fits_the_standard_form(size: int) -> None:
    """A value that fits the standard form has that form only, so that each message has one encoding."""
    error = refusal(frame_of(bytes([9, 0, 255, 0, 1, size, 0]) + b"\x01" * size))
    check(error, Damage.FORM, HEADER_SIZE + 5, f"an extended head for {size} bytes, which fit the standard form")


def test_an_extended_head_for_256_bytes_is_right() -> None:
    """One byte more than a standard TLV holds is extended."""
    frame = decode(frame_of(bytes([255, 0, 9, 0, 1]) + bytes(256)), registry=LOCAL)
    assert frame.items == (UnknownTlv(9, bytes(256)),)


def test_an_extended_head_of_type_255() -> None:
    """The extended marker is no type number."""
    error = refusal(frame_of(bytes([9, 0, 255, 0, 255, 0, 1]) + bytes(256)))
    check(error, Damage.FORM, HEADER_SIZE + 4, "255 marks an extended head and is no type number")


@pytest.mark.parametrize("head", [bytes([0, 0]), bytes([255, 0, 0, 0, 1]) + bytes(256)])
def test_type_0(head: bytes) -> None:
    """No domain owns type number 0."""
    error = refusal(frame_of(b"\x09\0" + head))
    check(error, Damage.TYPE, HEADER_SIZE + 2, "type number 0 belongs to no domain")


@pytest.mark.parametrize("domain", [Domain.SIGNAL, Domain.EXECUTION, Domain.SYSTEM])
def test_a_message_in_a_frame_of_another_domain(domain: Domain) -> None:
    """A message stands in a frame of its own domain only; else it would have several encodings."""
    error = refusal(frame_of(b"\x01\x0a" + FIXED, domain=domain))
    words = f"Fixed (1) belongs to market_data and cannot stand in a frame of {domain.label}"
    check(error, Damage.TYPE, HEADER_SIZE, words)


def test_a_second_message_of_another_domain() -> None:
    """That the first message is right does not let one of another domain in behind it."""
    error = refusal(frame_of(b"\x50\x02\0\0\x01\x0a" + FIXED, domain=4))
    words = "Fixed (1) belongs to market_data and cannot stand in a frame of system"
    check(error, Damage.TYPE, HEADER_SIZE + 4, words)


def test_a_system_message_accompanies_others() -> None:
    """A message of the system domain may stand behind the first item in a frame of any domain."""
    items = decode(frame_of(b"\x01\x0a" + FIXED + b"\x50\x02\0\0"), registry=LOCAL).items
    assert items == (Fixed(True, Side.SELL, 7), Note(""))


def test_a_system_message_alone_in_another_domain() -> None:
    """A message of the system domain that leads a frame of another domain would have several encodings."""
    error = refusal(frame_of(b"\x50\x02\0\0"))
    check(error, Damage.TYPE, HEADER_SIZE, "Note (80) belongs to system and cannot stand in a frame of market_data")


# Messages and fields


@pytest.mark.parametrize(
    ("there", "field", "needed", "left"),
    [(0, "yes", 1, 0), (1, "side", 1, 0), (2, "number", 8, 0), (9, "number", 8, 7)],
)
def test_missing_bytes(there: int, field: str, needed: int, left: int) -> None:
    """A message that is cut says which field lacks how much."""
    error = refusal(frame_of(bytes([1, there]) + FIXED[:there]))
    at = there - left
    check_field(error, Damage.LENGTH, at, "Fixed", field, f"{needed} bytes are needed and {left} are there")


@pytest.mark.parametrize("extra", [1, 250])
def test_bytes_left_over_in_a_message_of_fixed_size(extra: int) -> None:
    """Bytes behind the last field are refused: a longer message is another message."""
    value = FIXED + bytes(extra)
    error = refusal(frame_of((bytes([1, len(value)]) if extra == 1 else b"\xff\0\x01\x04\x01") + value))
    assert (error.damage, error.message, error.field) == (Damage.LENGTH, "Fixed", None)
    assert error.reason == f"{extra} bytes are left over behind the last field"
    assert error.offset == HEADER_SIZE + (2 if extra == 1 else 5) + len(FIXED)


def test_bytes_left_over_in_a_message_of_any_size() -> None:
    """Bytes behind the last field are refused, however the size of the fields came about."""
    error = refusal(frame_of(bytes([2, len(LOOSE) + 2]) + LOOSE + b"\0\0"))
    check_field(error, Damage.LENGTH, len(LOOSE), "Loose", None, "2 bytes are left over behind the last field")


@pytest.mark.parametrize("byte", [2, 255])
def test_a_bool_of_neither(byte: int) -> None:
    """A boolean has two encodings, not 256."""
    error = refusal(frame_of(b"\x01\x0a" + patched(FIXED, 0, bytes([byte]))))
    check_field(error, Damage.VALUE, 0, "Fixed", "yes", f"a bool is 0 or 1, and this is {byte}")


@pytest.mark.parametrize("byte", [2, 255])
def test_an_optional_of_neither(byte: int) -> None:
    """The byte before an optional says there or not there, and nothing else."""
    at = len(LOOSE) - 5
    error = refusal(frame_of(bytes([2, len(LOOSE)]) + patched(LOOSE, at, bytes([byte]))))
    check_field(error, Damage.VALUE, at, "Loose", "maybe", f"the byte before an optional is 0 or 1, and this is {byte}")


@pytest.mark.parametrize("byte", [2, 128, 255])
@pytest.mark.parametrize("field", ["text", "number"])
def test_an_optional_of_neither_where_the_bytes_would_fit(byte: int, field: str) -> None:
    """The byte before an optional is judged by itself, not by whether what follows could be read."""
    registry = Registry()

    @spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    class Maybes:
        text: spore.Str | None
        number: spore.U8 | None
        rest: spore.Bytes

    right = encode(Maybes("a", 1, bytes(250)), sequence=0, timestamp_ns=0)
    assert decode(right, registry=registry).message == Maybes("a", 1, bytes(250))
    value = right[HEADER_SIZE + 5 :]
    at = {"text": 0, "number": 4}[field]
    wrong = patched(value, at, bytes([byte]))
    error = refusal(frame_of(b"\xff\0\x01" + len(wrong).to_bytes(2, "little") + wrong), registry)
    assert (error.damage, error.field, error.offset) == (Damage.VALUE, field, HEADER_SIZE + 5 + at)


def test_an_unknown_enum() -> None:
    """A number that no member has is refused with those that are known."""
    error = refusal(frame_of(b"\x01\x0a" + patched(FIXED, 1, b"\x03")))
    check_field(error, Damage.VALUE, 1, "Fixed", "side", "3 is no Side; known are 1, 2")


@pytest.mark.parametrize(
    ("octets", "at", "why"),
    [
        ("c0 80", 0, "invalid start byte"),
        ("61 e0 80 80", 1, "invalid continuation byte"),
        ("61 62 ed a0 80", 2, "invalid continuation byte"),
        ("f4 90 80 80", 0, "invalid continuation byte"),
        ("61 ff", 1, "invalid start byte"),
        ("61 e2 82", 1, "unexpected end of data"),
    ],
    ids=["overlong of two", "overlong of three", "surrogate", "beyond Unicode", "no byte of UTF-8", "cut"],
)
def test_text_that_is_no_utf8(octets: str, at: int, why: str) -> None:
    """Text is strict UTF-8, so that one text has one encoding; the offset is that of the first wrong byte."""
    raw = bytes.fromhex(octets)
    error = refusal(frame_of(bytes([2, 2 + len(raw)]) + len(raw).to_bytes(2, "little") + raw))
    check_field(error, Damage.VALUE, 2 + at, "Loose", "text", f"no UTF-8: {why}")


def test_a_cut_string() -> None:
    """A string that says more bytes than there are is refused where its bytes begin."""
    error = refusal(frame_of(bytes([2, 5]) + b"\x04\0abc"))
    check_field(error, Damage.LENGTH, 2, "Loose", "text", "4 bytes are needed and 3 are there")


def test_cut_bytes() -> None:
    """Bytes that say more than there are are refused where they begin."""
    error = refusal(frame_of(bytes([2, 7]) + b"\0\0\xff\xffabc"))
    check_field(error, Damage.LENGTH, 4, "Loose", "blob", "65535 bytes are needed and 3 are there")


def test_a_cut_count() -> None:
    """A count of which half is missing is refused where it begins."""
    error = refusal(frame_of(bytes([2, 3]) + b"\0\0\x01"))
    check_field(error, Damage.LENGTH, 2, "Loose", "blob", "2 bytes are needed and 1 are there")


def test_a_list_that_counts_beyond_the_data() -> None:
    """A list that says more items than there are is refused at the first that is not there, by its number."""
    error = refusal(frame_of(bytes([2, 10]) + b"\0\0\0\0\xff\xff\x01\0\x02\0"))
    check_field(error, Damage.LENGTH, 10, "Loose", "numbers[2]", "2 bytes are needed and 0 are there")


def test_a_list_of_texts_that_counts_beyond_the_data() -> None:
    """Items of no fixed size are counted just as strictly."""
    error = refusal(frame_of(bytes([2, 11]) + b"\0\0\0\0\0\0\x02\0\x01\0a"))
    check_field(error, Damage.LENGTH, 11, "Loose", "texts[1]", "2 bytes are needed and 0 are there")


def test_cut_bytes_of_a_fixed_number() -> None:
    """Bytes whose number the type says are needed to the last."""
    registry = Registry()

    @spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    class Hashed:
        text: spore.Str
        pool: spore.Address

    error = refusal(frame_of(b"\x01\x15\0\0" + bytes(19)), registry)
    check_field(error, Damage.LENGTH, 2, "Hashed", "pool", "20 bytes are needed and 19 are there")


def test_a_cut_count_of_a_list() -> None:
    """A list's count of which half is missing is refused where it begins."""
    error = refusal(frame_of(bytes([2, 5]) + b"\0\0\0\0\x01"))
    check_field(error, Damage.LENGTH, 4, "Loose", "numbers", "2 bytes are needed and 1 are there")


def test_a_cut_optional() -> None:
    """An optional that is there needs all of its bytes."""
    error = refusal(frame_of(bytes([2, len(LOOSE) - 1]) + LOOSE[:-1]))
    check_field(error, Damage.LENGTH, len(LOOSE) - 4, "Loose", "maybe", "4 bytes are needed and 3 are there")


def test_a_field_deep_inside() -> None:
    """The path of a field goes through lists and records; a nested value cannot borrow from what is behind it."""
    value = b"\x02\0" + LOOSE + patched(LOOSE, 2, b"\xff") + FIXED
    error = refusal(frame_of(bytes([3, len(value)]) + value))
    check_field(error, Damage.VALUE, 4 + len(LOOSE), "Outer", "rows[1].text", "no UTF-8: invalid start byte")
    value = b"\x00\0" + patched(FIXED, 1, b"\0")
    error = refusal(frame_of(bytes([3, len(value)]) + value))
    check_field(error, Damage.VALUE, 3, "Outer", "inner.side", "0 is no Side; known are 1, 2")


# Streams


@pytest.mark.parametrize("there", [1, 31, 32, 33, len(QUOTE) - 1])
def test_a_stream_that_ends_inside_a_frame(there: int) -> None:
    """The end of a stream inside a frame is an error that says where that frame began and what is missing."""
    decoder = Decoder()
    decoder.feed(QUOTE)
    decoder.feed(QUOTE[:there])
    assert list(decoder) == [decode(QUOTE)]
    with pytest.raises(DecodeError) as caught:
        decoder.end()
    wanted, what = (32, "header") if there < 32 else (len(QUOTE), "frame")
    words = f"the data ends inside a {what}: {wanted} bytes are needed and {there} are there"
    check(caught.value, Damage.TRUNCATED, len(QUOTE), words)


@pytest.mark.parametrize("there", [0, 1, 31, 32, len(QUOTE) - 1])
def test_data_that_is_less_than_a_frame(there: int) -> None:
    """`decode` wants one whole frame: there is no more to come."""
    with pytest.raises(DecodeError) as caught:
        decode(QUOTE[:there])
    wanted, what = (32, "header") if there < 32 else (len(QUOTE), "frame")
    words = f"the data ends inside a {what}: {wanted} bytes are needed and {there} are there"
    check(caught.value, Damage.TRUNCATED, 0, words)


@pytest.mark.parametrize("data", [QUOTE, frame_of(b"")])
def test_data_behind_a_frame(data: bytes) -> None:
    """`decode` wants one frame and nothing else, of a type that it has met before too; a Decoder takes streams."""
    assert spore.codec.encode_frame(decode(data)) == data
    with pytest.raises(DecodeError) as caught:
        decode(data + b"abc")
    check(caught.value, Damage.LENGTH, len(data), "3 bytes follow the frame")


def test_whole_frames_can_be_taken_after_the_end() -> None:
    """The end of the stream does not take away what arrived before it; the error comes behind it."""
    decoder = Decoder()
    decoder.feed(QUOTE + QUOTE + QUOTE[:40])
    decoder.end()
    frames = iter(decoder)
    assert [next(frames), next(frames)] == [decode(QUOTE)] * 2
    with pytest.raises(DecodeError) as caught:
        next(frames)
    words = f"the data ends inside a frame: {len(QUOTE)} bytes are needed and 40 are there"
    check(caught.value, Damage.TRUNCATED, 2 * len(QUOTE), words)


def test_a_damaged_stream_stays_closed() -> None:
    """Behind damage nothing can be trusted: every later call raises the error that closed the decoder."""
    decoder = Decoder()
    decoder.feed(QUOTE + b"?")
    assert decoder.next_frame() == decode(QUOTE)
    with pytest.raises(DecodeError) as caught:
        decoder.next_frame()
    for call in (decoder.next_frame, lambda: list(decoder), decoder.end, lambda: decoder.feed(QUOTE)):
        with pytest.raises(DecodeError) as again:
            call()
        assert again.value is caught.value
    assert (decoder.offset, decoder.buffered) == (len(QUOTE), 1)


def test_the_offset_counts_from_the_start_of_the_stream() -> None:
    """Places are counted over the whole stream, however it arrived and whatever of it was taken already."""
    decoder = Decoder()
    for taken in range(1, 5):
        decoder.feed(QUOTE)
        assert decoder.next_frame() is not None
        assert (decoder.offset, decoder.buffered) == (taken * len(QUOTE), 0)
    for byte in QUOTE + QUOTE[:1]:
        decoder.feed(bytes([byte]))
        list(decoder)
    assert (decoder.offset, decoder.buffered) == (5 * len(QUOTE), 1)
    decoder.feed(b"?")
    with pytest.raises(DecodeError) as caught:
        decoder.next_frame()
    assert caught.value.offset == 5 * len(QUOTE)


@pytest.mark.parametrize("chunk", [0, 5, "text", [1, 2], None])
def test_a_chunk_is_bytes(chunk: object) -> None:
    """A number is no chunk, although Python would make that many zero bytes of it."""
    for decoder in (Decoder(), Decoder()):
        with pytest.raises(TypeError):
            decoder.feed(chunk)  # type: ignore[arg-type]
        assert decoder.buffered == 0


def test_nothing_is_fed_after_the_end() -> None:
    """A stream that has ended has no more bytes; a new one needs a new decoder."""
    decoder = Decoder()
    decoder.end()
    with pytest.raises(UsageError) as caught:
        decoder.feed(b"")
    assert str(caught.value) == "the stream has ended; a new stream needs a new Decoder"


def test_a_chunk_may_be_reused_by_the_caller() -> None:
    """What was fed is the decoder's own: a receive buffer can be filled again at once."""
    buffer = bytearray(QUOTE)
    decoder = Decoder()
    for _ in range(2):
        decoder.feed(memoryview(buffer)[:50])
        decoder.feed(memoryview(buffer)[50:])
        kept = bytes(buffer)
        buffer[:] = bytes(len(buffer))
        assert list(decoder) == [decode(QUOTE)]
        buffer[:] = kept


# Values that cannot be written


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("sequence", -1, 2**64 - 1),
        ("sequence", 2**64, 2**64 - 1),
        ("timestamp_ns", 2**64, 2**64 - 1),
        ("timestamp_ns", 1.5, 2**64 - 1),
        ("source", 256, 255),
        ("source", "relay", 255),
        ("flags", 8, 7),
        ("flags", -1, 7),
        ("flags", None, 7),
    ],
)
@pytest.mark.parametrize("message", [QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8), OrderCancel(1, 2, "")])
def test_a_value_of_the_header_that_does_not_fit(name: str, value: object, limit: int, message: object) -> None:
    """The header's values are checked like a message's, by name, whichever code writes the frame."""
    header = {"sequence": 1, "timestamp_ns": 2, "source": 3, "flags": 4}
    encode(message, **header)
    with pytest.raises(EncodeError) as caught:
        encode(message, **header | {name: value})  # type: ignore[arg-type]
    assert (caught.value.message, caught.value.field, caught.value.value) == ("Frame", name, value)
    assert str(caught.value) == f"Frame.{name} = {value!r}: needs an integer from 0 to {limit}"
    domain = message_type(message).domain
    with pytest.raises(EncodeError) as again:
        spore.codec.encode_frame(Frame(domain, items=(message,), **header | {name: value}))  # type: ignore[arg-type]
    assert str(again.value) == str(caught.value)


def test_the_first_wrong_value_of_the_header_is_named() -> None:
    """Zero is as good as any value, so what is wrong behind one is named, and not the zero."""
    with pytest.raises(EncodeError) as caught:
        encode(OrderCancel(1, 2, ""), sequence=0, timestamp_ns=0, source=0, flags=8)
    assert caught.value.field == "flags"


@attrs.frozen
class Wrong:
    """A value without a wire form, where it stands, and the words for it."""

    value: object
    field: str
    words: str
    wrong: object = attrs.field(default=attrs.Factory(lambda self: self.value, takes_self=True))


REGISTRY_OF_WORDS = Registry()


@spore.record
class FixedToo:
    """A record with the fields of another."""

    yes: spore.Bool
    side: Side
    number: spore.U64


TOO: Any = FixedToo(True, Side.BUY, 1)


@spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=REGISTRY_OF_WORDS)
class Word:
    """One field of each kind, so that each kind of mistake has a place."""

    number: spore.I8 = 0
    wide: spore.U128 = 0
    yes: spore.Bool = True
    side: Side = Side.BUY
    pool: spore.Address = bytes(20)
    text: spore.Str = ""
    blob: spore.Bytes = b""
    words: tuple[spore.Str, ...] = ()
    inner: Fixed = Fixed(True, Side.BUY, 0)
    maybe: Fixed | None = None
    rows: tuple[Fixed, ...] = ()


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(-129, "number", "-129: i8 holds -128 to 127"),
        Wrong(128, "number", "128: i8 holds -128 to 127"),
        Wrong(1.0, "number", "1.0: i8 needs an integer, not float"),
        Wrong(-1, "wide", f"-1: u128 holds 0 to {2**128 - 1}"),
        Wrong(2**128, "wide", f"{2**128}: u128 holds 0 to {2**128 - 1}"),
        Wrong(1, "yes", "1: bool needs True or False"),
        Wrong(None, "yes", "None: bool needs True or False"),
        Wrong(1, "side", "1: needs a member of Side: BUY, SELL"),
        Wrong("0x00", "pool", "'0x00': bytes20 needs bytes, not str"),
        Wrong(b"abc", "pool", "b'abc': bytes20 needs 20 bytes, and these are 3"),
        Wrong(b"abc", "text", "b'abc': str needs a string, not bytes"),
        Wrong("ab\ud800", "text", "'ab\\ud800': no UTF-8: surrogates not allowed at character 2"),
        Wrong("abc", "blob", "'abc': bytes needs bytes, not str"),
        Wrong([], "words", "[]: list of str needs a tuple, not list"),
        Wrong(("a", 5), "words[1]", "5: str needs a string, not int", 5),
        Wrong(None, "inner", "None: needs a Fixed, not NoneType"),
        Wrong(Fixed(2, Side.BUY, 0), "inner.yes", "2: bool needs True or False", 2),  # type: ignore[arg-type]
        Wrong(5, "maybe", "5: needs a Fixed, not int"),
        Wrong(TOO, "inner", f"{TOO}: needs a Fixed, not FixedToo"),
        Wrong(TOO, "maybe", f"{TOO}: needs a Fixed, not FixedToo"),
        Wrong((TOO,), "rows[0]", f"{TOO}: needs a Fixed, not FixedToo", TOO),
        Wrong(Fixed(True, Side.BUY, -1), "maybe.number", f"-1: u64 holds 0 to {2**64 - 1}", -1),
        Wrong((Fixed(True, 9, 0),), "rows[0].side", "9: needs a member of Side: BUY, SELL", 9),  # type: ignore[arg-type]
    ],
    ids=lambda wrong: wrong.field.replace("[", ".").replace("]", ""),
)
def test_a_value_without_a_wire_form(wrong: Wrong) -> None:
    """Each kind of wrong value is refused by message, field and value, in words that say what is needed."""
    name = wrong.field.partition("[")[0].partition(".")[0]
    encode(Word(), sequence=1, timestamp_ns=2)  # so that compiled code is asked first
    with pytest.raises(EncodeError) as caught:
        encode(Word(**{name: wrong.value}), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
    assert str(caught.value) == f"Word.{wrong.field} = {wrong.words}"
    assert (caught.value.message, caught.value.field) == ("Word", wrong.field)
    assert caught.value.value is wrong.wrong


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("text", "é" * 32_768, "65,536 bytes of UTF-8, and 65,535 is the most"),
        ("blob", bytes(65_536), "65,536 bytes, and 65,535 is the most"),
        ("words", ("",) * 65_536, "65,536 items, and 65,535 is the most"),
    ],
)
def test_more_than_can_be_counted(name: str, value: object, words: str) -> None:
    """A count is a u16: what does not fit it is refused as such, at the field."""
    with pytest.raises(EncodeError) as caught:
        encode(Word(**{name: value}), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.reason) == (name, words)
    assert caught.value.value is value


def test_what_can_be_counted_may_still_be_too_much() -> None:
    """65,535 bytes can be counted, and are too many only together with their count."""
    for value in ("x" * 65_535, "é" * 32_767 + "x"):
        with pytest.raises(EncodeError) as caught:
            encode(OrderCancel(1, 2, value), sequence=1, timestamp_ns=2)
        assert str(caught.value) == "OrderCancel: its fields take 65,553 bytes, and a TLV holds 65,535"


class Five:
    """An integer that is none of Python's, such as numpy has."""

    def __index__(self) -> int:
        return 5


@pytest.mark.parametrize("name", ["sequence", "timestamp_ns", "source", "flags"])
@pytest.mark.parametrize("message", [QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8), OrderCancel(1, 2, "")])
def test_an_integer_of_another_library_is_written_the_first_time_and_later(name: str, message: object) -> None:
    """What stands for an integer is one, for the reference codec and for compiled code alike."""
    header = {"sequence": 5, "timestamp_ns": 5, "source": 5, "flags": 5}
    expected = encode(message, **header)
    domain = message_type(message).domain
    frame = Frame(domain, items=(message,), **header | {name: Five()})  # type: ignore[arg-type]
    assert spore.codec.encode_frame(frame) == expected
    assert encode(message, **header | {name: Five()}) == expected  # type: ignore[arg-type]


class Pretender:
    """Answers like an integer to whoever asks no more than how its bytes look."""

    def to_bytes(self, *_args: object, **_options: object) -> bytes:
        return b"\x01"


def test_what_only_pretends_to_be_an_integer_is_refused() -> None:
    """A wide integer is one because of what it is, not because something has a method of that name."""
    registry = Registry()

    @spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    class Wide:
        number: spore.U128

    for _ in range(2):
        with pytest.raises(EncodeError) as caught:
            encode(Wide(Pretender()), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
        assert caught.value.reason == "u128 needs an integer, not Pretender"


class Mimic:
    """Says that it is of another class, as proxies and mocks do."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __getattribute__(self, name: str) -> object:
        return getattr(object.__getattribute__(self, "thing"), name)


def test_a_proxy_is_refused_by_both_codecs() -> None:
    """What travels is exactly the class that was declared, not something that says that it is."""
    registry = Registry()

    @spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    class Parcel:
        inner: Fixed
        side: Side

    good = Parcel(Fixed(True, Side.BUY, 1), Side.SELL)
    encode(good, sequence=1, timestamp_ns=2)
    for field, wrong in (("inner", Mimic(good.inner)), ("side", Mimic(good.side))):
        with pytest.raises(EncodeError) as caught:
            encode(Parcel(**{"inner": good.inner, "side": good.side, field: wrong}), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
        assert (caught.value.field, caught.value.value) == (field, wrong)


@pytest.mark.parametrize("thing", [5, object(), None, Fixed], ids=["int", "object", "None", "the class itself"])
def test_what_is_no_message_is_not_written(thing: object) -> None:
    """Only instances of message classes travel."""
    name = type(thing).__qualname__
    words = f"{name}: {name} is not a message; declare it with @spore.message(type_id=…, domain=…)"
    for write in (
        lambda: encode(thing, sequence=1, timestamp_ns=2),
        lambda: encoded_size(thing),
        lambda: spore.codec.encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (thing,))),
    ):
        with pytest.raises(EncodeError) as caught:
            write()
        assert str(caught.value) == words


@pytest.mark.parametrize("domain", [0, 5, 1.0, "signal", None, []])
def test_a_frame_of_no_domain_is_not_written(domain: object) -> None:
    """A frame needs one of the four domains."""
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(Frame(domain, 0, Flags.NONE, 1, 2, ()))  # type: ignore[arg-type]
    assert str(caught.value) == f"Frame.domain = {domain!r}: needs a member of spore.Domain"


def test_a_message_in_a_frame_of_another_domain_is_not_written() -> None:
    """What a receiver would refuse is not sent."""
    quote = QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8)
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (UnknownTlv(9, b""), quote)))
    assert (caught.value.message, caught.value.field, caught.value.value) == ("Frame", "items[1]", quote)
    assert caught.value.reason == "QuoteUpdate (17) belongs to market_data and cannot stand in a frame of signal"


@pytest.mark.parametrize("type_id", [0, 255, 256, -1, "9", None, 9.0])
def test_an_unknown_tlv_with_no_type_number_is_not_written(type_id: object) -> None:
    """Type numbers are 1 to 254; a receiver would refuse the others."""
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (UnknownTlv(type_id, b""),)))  # type: ignore[arg-type]
    assert str(caught.value) == f"UnknownTlv.type_id = {type_id!r}: type numbers are 1 to 254"


@pytest.mark.parametrize("type_id", [1, 254])
def test_an_unknown_tlv_may_have_any_type_number(type_id: int) -> None:
    """The first and the last type number are as good as any."""
    frame = Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (UnknownTlv(type_id, b"x"),))
    assert decode(spore.codec.encode_frame(frame), registry=Registry()) == frame


@pytest.mark.parametrize("value", ["text", None, 5, [1]])
def test_an_unknown_tlv_without_bytes_is_not_written(value: object) -> None:
    """What an unknown TLV holds is bytes."""
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (UnknownTlv(9, value),)))  # type: ignore[arg-type]
    assert str(caught.value) == f"UnknownTlv.value = {value!r}: needs bytes, not {type(value).__name__}"


def test_an_unknown_tlv_that_is_too_long_is_not_written() -> None:
    """A TLV holds 65,535 bytes."""
    with pytest.raises(EncodeError) as caught:
        spore.codec.encode_frame(Frame(Domain.SIGNAL, 0, Flags.NONE, 1, 2, (UnknownTlv(9, bytes(65_536)),)))
    assert str(caught.value) == "UnknownTlv 9: its fields take 65,536 bytes, and a TLV holds 65,535"


def test_a_message_that_is_too_large_is_not_written() -> None:
    """Fields may fit each by itself and yet be too much together; nothing says that more clearly than the sum."""
    for write in (lambda m: encode(m, sequence=1, timestamp_ns=2), encoded_size):
        for _ in range(2):
            with pytest.raises(EncodeError) as caught:
                write(OrderCancel(1, 2, "x" * 65_518))
            assert str(caught.value) == "OrderCancel: its fields take 65,536 bytes, and a TLV holds 65,535"
    largest = OrderCancel(1, 2, "x" * 65_517)
    assert encoded_size(largest) == len(encode(largest, sequence=1, timestamp_ns=2)) == 32 + 5 + 65_535
    assert decode(encode(largest, sequence=1, timestamp_ns=2)).message == largest


def test_a_size_is_not_given_for_what_has_none() -> None:
    """A value whose size counts and that has none is refused as encoding it would."""
    for wrong in (None, 5, "\ud800"):
        with pytest.raises(EncodeError) as caught:
            encoded_size(OrderCancel(1, 2, wrong))  # type: ignore[arg-type]
        assert caught.value.field == "reason"


def test_a_long_value_is_shortened_in_the_words_only() -> None:
    """An error quotes a value at a length that a log can bear, and keeps the whole of it."""
    wrong = b"x" * 100
    with pytest.raises(EncodeError) as caught:
        encode(OrderCancel(1, 2, wrong), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
    quoted = "b'" + "x" * 58
    assert str(caught.value) == f"OrderCancel.reason = {quoted}… (103 characters): str needs a string, not bytes"
    assert caught.value.value is wrong


@pytest.mark.parametrize(("size", "at"), [(91, 0), (92, 1), (200, -1), (200, 109), (0, 0)])
def test_a_buffer_without_room_is_left_alone(size: int, at: int) -> None:
    """A frame that does not fit is not begun."""
    buffer = bytearray(b"\x55" * size)
    with pytest.raises(UsageError) as caught:
        encode_into(buffer, QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8), at=at, sequence=1, timestamp_ns=2)
    assert str(caught.value) == f"a frame of 92 bytes at {at} does not fit a buffer of {size}"
    assert buffer == b"\x55" * size


def test_a_buffer_is_written_from_its_start() -> None:
    """Where nothing is said, a frame goes to the start of the buffer, from no source and without flags."""
    buffer = bytearray(100)
    quote = QuoteUpdate(1, 2, 3, 4, 5, 6, 7, 8)
    assert encode_into(buffer, quote, sequence=9, timestamp_ns=10) == 92
    assert buffer == QUOTE + bytes(8)


def test_a_buffer_is_left_alone_when_a_value_is_wrong() -> None:
    """A message without a wire form writes nothing, not even its header."""
    buffer = bytearray(200)
    with pytest.raises(EncodeError):
        encode_into(buffer, OrderCancel(1, 2, None), sequence=1, timestamp_ns=2)  # type: ignore[arg-type]
    assert buffer == bytes(200)


def test_peek_wants_the_whole_header() -> None:
    """A header that is not whole yet has nothing to show, wherever it stands."""
    for arrived in range(HEADER_SIZE):
        assert peek(bytes(40) + QUOTE[:arrived], 40) is None
    header = peek(bytes(40) + QUOTE[:HEADER_SIZE], 40)
    assert header is not None
    assert header.sequence == 9


@pytest.mark.parametrize("at", [-1, 4])
def test_peek_outside_the_data(at: int) -> None:
    """A place outside the data is the caller's mistake and says nothing of the data."""
    with pytest.raises(UsageError) as caught:
        peek(b"abc", at)
    assert str(caught.value) == f"peek at {at}, and there are 3 bytes"


def test_a_frame_without_a_message_that_is_known() -> None:
    """Asking for the message of a frame that holds none that is known says so, and where to look."""
    for items in ((), (UnknownTlv(9, b""), Note("x"))):
        with pytest.raises(UsageError) as caught:
            _ = Frame(Domain.SYSTEM, 0, Flags.NONE, 77, 2, items).message
        assert str(caught.value) == "frame 77 holds no message that is known here; see its items"


def test_a_fixed_size_that_is_too_large_for_a_standard_tlv_is_checked_as_strictly() -> None:
    """A message of fixed size in an extended TLV goes the long way, and is refused there for the same reasons."""
    registry = Registry()

    @spore.message(type_id=1, domain=Domain.MARKET_DATA, registry=registry)
    class Wide:
        octets: Annotated[bytes, spore.FixedBytes(255)]
        yes: spore.Bool

    encoded = encode(Wide(bytes(255), True), sequence=0, timestamp_ns=0)
    assert encoded == frame_of(b"\xff\0\x01\0\x01" + bytes(255) + b"\x01")
    assert decode(encoded, registry=registry).message == Wide(bytes(255), True)
    error = refusal(frame_of(b"\xff\0\x01\0\x01" + bytes(255) + b"\x02"), registry)
    assert (error.damage, error.field, error.offset) == (Damage.VALUE, "yes", HEADER_SIZE + 5 + 255)
