"""Frames written out by hand from the wire format, each read and written.

Strategy: one table drives both directions. Each frame is fed whole, byte by byte, and with bytes behind it.
The checksums were computed once with another program than this one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

import spore
from spore.codec import Decoder, Flags, Frame, UnknownTlv, decode, encode, encode_frame, encode_into, encoded_size
from spore.message import Domain, Registry
from spore.services.messages import (
    BookLevel,
    EventRef,
    ExecutionReport,
    MarketRef,
    OrderBook,
    OrderCancel,
    OrderRequest,
    OrderStatus,
    PoolSwap,
    QuoteUpdate,
    Side,
)


class Golden(NamedTuple):
    """A frame, and its bytes in hex with a comment behind each line."""

    name: str
    frame: Frame
    text: str

    @property
    def octets(self) -> bytes:
        return bytes.fromhex("".join(line.partition("#")[0] for line in self.text.splitlines()))


GOLDEN = (
    Golden(
        "PoolSwap",
        Frame(
            Domain.MARKET_DATA,
            source=0,
            flags=Flags.NONE,
            sequence=1,
            timestamp_ns=2,
            items=(
                PoolSwap(
                    event_time_ns=1_700_000_000_000_000_000,
                    block_number=19_000_000,
                    tx_index=7,
                    log_index=258,
                    tx_hash=bytes(range(32)),
                    pool=b"\xab" * 20,
                    amount0_in=10**18,
                    amount1_in=0,
                    amount0_out=0,
                    amount1_out=2**112 - 1,
                ),
            ),
        ),
        """
        ef be ad de              # magic
        01                       # relay_domain: market data
        01                       # version
        00                       # source: unspecified
        00                       # flags: none
        01 00 00 00 00 00 00 00  # sequence
        02 00 00 00 00 00 00 00  # timestamp
        8e 00 00 00              # payload_size: 2 + 140
        f4 92 20 3a              # checksum
        0b 8c                    # TLV: type 11 PoolSwap, 140 bytes
        00 00 2a 36 fe 9c 97 17  # event_time_ns: 1.7e18
        c0 ea 21 01 00 00 00 00  # block_number: 19,000,000
        07 00 00 00              # tx_index
        02 01 00 00              # log_index: 258
        00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  # tx_hash
        10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f
        ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab  # pool
        00 00 64 a7 b3 b6 e0 0d 00 00 00 00 00 00 00 00  # amount0_in: 1e18
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # amount1_in
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # amount0_out
        ff ff ff ff ff ff ff ff ff ff ff ff ff ff 00 00  # amount1_out: the most that a uint112 holds
        """,
    ),
    Golden(
        "QuoteUpdate, high priority and redelivered, from a collector",
        Frame(
            Domain.MARKET_DATA,
            source=5,
            flags=Flags.HIGH_PRIORITY | Flags.REDELIVERED,
            sequence=0x0102030405060708,
            timestamp_ns=2**64 - 1,
            items=(
                QuoteUpdate(
                    instrument_id=1,
                    bid_price=150_000_000,
                    bid_size_e8=2,
                    ask_price=-1,
                    ask_size_e8=3,
                    venue=0x1234,
                    event_time_ns=4,
                    update_id=5,
                ),
            ),
        ),
        """
        ef be ad de              # magic
        01                       # relay_domain: market data
        01                       # version
        05                       # source: a collector
        05                       # flags: bit 0 high priority, bit 2 redelivered
        08 07 06 05 04 03 02 01  # sequence
        ff ff ff ff ff ff ff ff  # timestamp
        3c 00 00 00              # payload_size: 2 + 58
        30 52 c8 6c              # checksum
        11 3a                    # TLV: type 17 QuoteUpdate, 58 bytes
        01 00 00 00 00 00 00 00  # instrument_id
        80 d1 f0 08 00 00 00 00  # bid_price: 1.5
        02 00 00 00 00 00 00 00  # bid_size_e8
        ff ff ff ff ff ff ff ff  # ask_price: -0.00000001
        03 00 00 00 00 00 00 00  # ask_size_e8
        34 12                    # venue
        04 00 00 00 00 00 00 00  # event_time_ns
        05 00 00 00 00 00 00 00  # update_id
        """,
    ),
    Golden(
        "OrderBook, two lists of records",
        Frame(
            Domain.MARKET_DATA,
            source=1,
            flags=Flags.NONE,
            sequence=9,
            timestamp_ns=10,
            items=(
                OrderBook(
                    instrument_id=1,
                    venue=2,
                    event_time_ns=3,
                    first_update=4,
                    last_update=5,
                    snapshot=True,
                    bids=(BookLevel(6, 7), BookLevel(8, 0)),
                    asks=(),
                ),
            ),
        ),
        """
        ef be ad de              # magic
        01 01 01 00              # relay_domain, version, source, flags
        09 00 00 00 00 00 00 00  # sequence
        0a 00 00 00 00 00 00 00  # timestamp
        49 00 00 00              # payload_size: 2 + 71
        fa 4c e8 10              # checksum
        03 47                    # TLV: type 3 OrderBook, 71 bytes
        01 00 00 00 00 00 00 00  # instrument_id
        02 00                    # venue
        03 00 00 00 00 00 00 00  # event_time_ns
        04 00 00 00 00 00 00 00  # first_update
        05 00 00 00 00 00 00 00  # last_update
        01                       # snapshot: true
        02 00                    # bids: two
        06 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00  # bids[0]: price, size_e8
        08 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # bids[1]
        00 00                    # asks: none
        """,
    ),
    Golden(
        "OrderRequest, optionals that are there and that are not",
        Frame(
            Domain.EXECUTION,
            source=21,
            flags=Flags.REPLY,
            sequence=2,
            timestamp_ns=3,
            items=(
                OrderRequest(
                    event_time_ns=1,
                    order_id=2,
                    side=Side.SELL,
                    route=(MarketRef(3, 4, None), MarketRef(5, 6, b"\xcd" * 20)),
                    token_in=b"\xee" * 20,
                    amount_in=7,
                    min_amount_out=8,
                    limit_price=None,
                    max_gas_usd_e8=-9,
                    expires_at_ns=10,
                    cause=EventRef(11, 12, 13, 14, None),
                ),
            ),
        ),
        """
        ef be ad de              # magic
        03 01 15 02              # relay_domain: execution, version, source: a strategy, flags: reply
        02 00 00 00 00 00 00 00  # sequence
        03 00 00 00 00 00 00 00  # timestamp
        9e 00 00 00              # payload_size: 2 + 156
        63 86 3a 09              # checksum
        28 9c                    # TLV: type 40 OrderRequest, 156 bytes
        01 00 00 00 00 00 00 00  # event_time_ns
        02 00 00 00 00 00 00 00  # order_id
        02                       # side: SELL
        02 00                    # route: two markets
        03 00                    # route[0].venue
        04 00 00 00 00 00 00 00  # route[0].instrument_id
        00                       # route[0].pool: not there
        05 00                    # route[1].venue
        06 00 00 00 00 00 00 00  # route[1].instrument_id
        01                       # route[1].pool: there
        cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd cd
        01                       # token_in: there
        ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee ee
        07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # amount_in
        08 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # min_amount_out
        00                       # limit_price: not there
        f7 ff ff ff ff ff ff ff  # max_gas_usd_e8: -0.00000009
        0a 00 00 00 00 00 00 00  # expires_at_ns
        0b 00 00 00 00 00 00 00  # cause.event_time_ns
        0c 00 00 00 00 00 00 00  # cause.position
        0d 00 00 00              # cause.tx_index
        0e 00 00 00              # cause.log_index
        00                       # cause.tx_hash: not there
        """,
    ),
    Golden(
        "ExecutionReport, an enum and text that is not ASCII",
        Frame(
            Domain.EXECUTION,
            source=40,
            flags=Flags.NONE,
            sequence=0,
            timestamp_ns=0,
            items=(
                ExecutionReport(
                    event_time_ns=1,
                    order_id=2,
                    status=OrderStatus.REJECTED,
                    filled_in=2**64,
                    filled_out=2**128 - 1,
                    gas_usd_e8=0,
                    reason="zu spät €",
                    cause=EventRef(3, 4, 5, 6, b"\x77" * 32),
                ),
            ),
        ),
        """
        ef be ad de              # magic
        03 01 28 00              # relay_domain: execution, version, source: execution, flags
        00 00 00 00 00 00 00 00  # sequence
        00 00 00 00 00 00 00 00  # timestamp
        82 00 00 00              # payload_size: 2 + 128
        b6 17 2b 50              # checksum
        2d 80                    # TLV: type 45 ExecutionReport, 128 bytes
        01 00 00 00 00 00 00 00  # event_time_ns
        02 00 00 00 00 00 00 00  # order_id
        05                       # status: REJECTED
        00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00  # filled_in: 2**64
        ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff  # filled_out: 2**128 - 1
        00 00 00 00 00 00 00 00  # gas_usd_e8
        0c 00                    # reason: 12 bytes of UTF-8
        7a 75 20 73 70 c3 a4 74 20 e2 82 ac
        03 00 00 00 00 00 00 00  # cause.event_time_ns
        04 00 00 00 00 00 00 00  # cause.position
        05 00 00 00              # cause.tx_index
        06 00 00 00              # cause.log_index
        01                       # cause.tx_hash: there
        77 77 77 77 77 77 77 77 77 77 77 77 77 77 77 77
        77 77 77 77 77 77 77 77 77 77 77 77 77 77 77 77
        """,
    ),
    Golden(
        "OrderCancel, an extended TLV",
        Frame(
            Domain.EXECUTION,
            source=0,
            flags=Flags.NONE,
            sequence=1,
            timestamp_ns=1,
            items=(OrderCancel(event_time_ns=1, order_id=2, reason="x" * 300),),
        ),
        """
        ef be ad de              # magic
        03 01 00 00              # relay_domain: execution, version, source, flags
        01 00 00 00 00 00 00 00  # sequence
        01 00 00 00 00 00 00 00  # timestamp
        43 01 00 00              # payload_size: 5 + 318
        b3 6f 7c 9a              # checksum
        ff 00 2b 3e 01           # TLV: extended, type 43 OrderCancel, 318 bytes
        01 00 00 00 00 00 00 00  # event_time_ns
        02 00 00 00 00 00 00 00  # order_id
        2c 01                    # reason: 300 bytes
        """
        + "78" * 300,
    ),
    Golden(
        "a message, and behind it a TLV that nobody here knows",
        Frame(
            Domain.EXECUTION,
            source=0,
            flags=Flags.NONE,
            sequence=1,
            timestamp_ns=1,
            items=(OrderCancel(event_time_ns=1, order_id=2, reason=""), UnknownTlv(110, b"\x01\x02\x03")),
        ),
        """
        ef be ad de              # magic
        03 01 00 00              # relay_domain: execution, version, source, flags
        01 00 00 00 00 00 00 00  # sequence
        01 00 00 00 00 00 00 00  # timestamp
        19 00 00 00              # payload_size: 2 + 18 + 2 + 3
        73 73 ad d7              # checksum
        2b 12                    # TLV: type 43 OrderCancel, 18 bytes
        01 00 00 00 00 00 00 00  # event_time_ns
        02 00 00 00 00 00 00 00  # order_id
        00 00                    # reason: empty
        6e 03                    # TLV: type 110, 3 bytes
        01 02 03
        """,
    ),
    Golden(
        "no TLV at all",
        Frame(Domain.SYSTEM, source=99, flags=Flags.NONE, sequence=2**64 - 1, timestamp_ns=0, items=()),
        """
        ef be ad de              # magic
        04 01 63 00              # relay_domain: system, version, source: a relay, flags
        ff ff ff ff ff ff ff ff  # sequence
        00 00 00 00 00 00 00 00  # timestamp
        00 00 00 00              # payload_size
        8a 8f 5a 2c              # checksum
        """,
    ),
)

golden = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)


def one_by_one(data: bytes) -> Iterator[bytes]:
    """The bytes of some data, each by itself."""
    return (data[index : index + 1] for index in range(len(data)))


@golden
def test_a_frame_is_read(golden: Golden) -> None:
    """The bytes that the format prescribes are read as the frame that they mean."""
    assert decode(golden.octets) == golden.frame


@golden
def test_a_frame_is_written(golden: Golden) -> None:
    """A frame is written as the bytes that the format prescribes."""
    assert encode_frame(golden.frame) == golden.octets


@golden
def test_a_frame_arrives_whole(golden: Golden) -> None:
    """A frame that arrives in one chunk is there at once, and nothing behind it."""
    decoder = Decoder()
    decoder.feed(golden.octets)
    assert list(decoder) == [golden.frame]
    assert (decoder.offset, decoder.buffered) == (len(golden.octets), 0)
    decoder.end()


@golden
def test_a_frame_arrives_byte_by_byte(golden: Golden) -> None:
    """A frame that arrives a byte at a time is there with its last byte and not before."""
    decoder = Decoder()
    *but_one, last = one_by_one(golden.octets)
    for byte in but_one:
        decoder.feed(byte)
        assert decoder.next_frame() is None
    decoder.feed(last)
    assert decoder.next_frame() == golden.frame
    decoder.end()


@golden
def test_a_frame_arrives_with_bytes_behind_it(golden: Golden) -> None:
    """What stands behind a frame stays until it is a frame of its own."""
    decoder = Decoder()
    decoder.feed(golden.octets + golden.octets[:20])
    assert list(decoder) == [golden.frame]
    assert (decoder.offset, decoder.buffered) == (len(golden.octets), 20)
    decoder.feed(golden.octets[20:])
    assert list(decoder) == [golden.frame]


@pytest.mark.parametrize("golden", [x for x in GOLDEN if len(x.frame.items) == 1], ids=lambda golden: golden.name)
def test_a_message_is_written(golden: Golden) -> None:
    """A message is written as the frame that holds it: returned, into a buffer, and first and later alike."""
    frame = golden.frame
    header = {
        "sequence": frame.sequence,
        "timestamp_ns": frame.timestamp_ns,
        "source": frame.source,
        "flags": frame.flags,
    }
    for _first_by_the_reference_codec_then_by_compiled_code in range(2):
        assert encode(frame.message, **header) == golden.octets
    assert encoded_size(frame.message) == len(golden.octets)
    buffer = bytearray(len(golden.octets) + 2)
    assert encode_into(buffer, frame.message, at=1, **header) == len(golden.octets) + 1
    assert buffer == b"\0" + golden.octets + b"\0"


def test_an_unspecified_source_and_no_flags_are_zero() -> None:
    """Whoever says neither source nor flags sends zeros."""
    assert encode(GOLDEN[0].frame.message, sequence=1, timestamp_ns=2) == GOLDEN[0].octets


def test_a_type_that_is_registered_later_is_known_from_then_on() -> None:
    """A decoder that has passed a type on unread reads it as soon as a message of that number is registered."""
    registry = Registry()
    decoder = Decoder(registry=registry)
    octets = GOLDEN[6].octets
    decoder.feed(octets)
    assert [type(item) for item in next(iter(decoder)).items] == [UnknownTlv, UnknownTlv]

    @spore.message(type_id=43, domain=Domain.EXECUTION, registry=registry)
    class Cancel:
        event_time_ns: spore.TimestampNs
        order_id: spore.U64
        reason: spore.Str

    decoder.feed(octets)
    assert next(iter(decoder)).message == Cancel(1, 2, "")
