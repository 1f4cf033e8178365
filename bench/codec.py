"""The codec against other formats: one PoolSwap to bytes and back.

frame    the whole job, from the message to a frame with header and checksum, and back with every check;
         the peers' bytes go behind the same header
payload  the peers' bytes alone; beside them Spore's codec of values alone and, so that nobody is misled,
         Spore's whole frame against msgspec's bare bytes
stream   a Decoder on 1,000 frames in chunks, for each frame
book     a message of variable size: an OrderBook of 20 levels a side, as a whole frame
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TypeVar

import msgspec

from bench.codec_peers import PEERS, BytesSwap, Peer, framed
from bench.measure import Case, Expectation, Run, arguments, calling, run_bench
from spore.codec import Decoder, decode, encode
from spore.codec.compile import codec_of
from spore.services.messages import BookLevel, OrderBook, PoolSwap

T = TypeVar("T")

SEQUENCE = 1_000_000
TIME_NS = 1_700_000_000_123_456_789
SWAP = PoolSwap(
    event_time_ns=TIME_NS,
    block_number=18_500_000,
    tx_index=112,
    log_index=340,
    tx_hash=bytes(range(100, 132)),
    pool=bytes(range(200, 220)),
    amount0_in=5 * 10**21,  # 5,000 tokens of 18 decimals: more than 64 bits
    amount1_in=0,
    amount0_out=0,
    amount1_out=8_431_250_000,  # 8,431.25 tokens of 6 decimals
)
BOOK = OrderBook(
    instrument_id=7,
    venue=2,
    event_time_ns=TIME_NS,
    first_update=90_000_000,
    last_update=90_000_012,
    snapshot=True,
    bids=tuple(BookLevel(price=300_000_000_000 - i * 1_000_000, size_e8=150_000_000 + i) for i in range(20)),
    asks=tuple(BookLevel(price=300_001_000_000 + i * 1_000_000, size_e8=150_000_000 + i) for i in range(20)),
)
FRAMES_IN_STREAM = 1_000
CHUNK_SIZE = 65_536
"""Bytes of the stream fed at once: what a read from a socket may bring."""

SPORE, VALUES, WHOLE = "spore", "spore, values only", "spore, whole frame"
BYTES = "msgspec, only bytes"
"""Bytes in, bytes out."""
DIRECTIONS = ("encode", "decode", "encode + decode")


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__).parse_args(argv)
    cases = [
        *spore_cases("frame", SPORE, SWAP),
        *[case for peer in PEERS for case in frame_cases(peer)],
        *payload_cases("payload", spore_values(), SWAP),
        *[case for peer in PEERS for case in payload_cases("payload", peer, SWAP, baseline=VALUES)],
        *payload_cases("payload", msgspec_bytes(), BytesSwap.of(SWAP), baseline=VALUES),
        *spore_cases("payload", WHOLE, SWAP, baseline="msgspec"),
        stream_case(),
        *spore_cases("book", SPORE, BOOK),
    ]
    groups = list(dict.fromkeys(case.group for case in cases))
    cases.sort(key=lambda case: groups.index(case.group))
    both = DIRECTIONS[-1]
    expectations = [
        Expectation(
            f"frame: {both} ahead of all peers",
            f"frame {both}: {SPORE}",
            tuple(f"frame {both}: {peer.name}" for peer in PEERS),
        ),
        Expectation(
            f"frame: {both} at most 3 times msgspec's of bytes in, bytes out, without a frame",
            f"payload {both}: {WHOLE}",
            (f"payload {both}: {BYTES}",),
            limit=3,
        ),
    ]
    return run_bench(options, "codec: one PoolSwap of 140 bytes", cases, expectations)


def spore_cases(group: str, name: str, message: object, *, baseline: str | None = None) -> list[Case]:
    """The whole job by Spore, through its public API."""
    data = encode(message, sequence=SEQUENCE, timestamp_ns=TIME_NS)
    found = decode(data)
    _check(name, (found.message, found.sequence, found.timestamp_ns), (message, SEQUENCE, TIME_NS))

    def run_encode(iterations: int) -> None:
        for _ in repeat(None, iterations):
            encode(message, sequence=SEQUENCE, timestamp_ns=TIME_NS)

    def run_both(iterations: int) -> None:
        for _ in repeat(None, iterations):
            decode(encode(message, sequence=SEQUENCE, timestamp_ns=TIME_NS))

    return _three(group, name, (run_encode, _each(decode, data), run_both), baseline)


def frame_cases(peer: Peer[PoolSwap]) -> list[Case]:
    """The whole job by a peer."""
    write, read = framed(peer)
    data = write(SWAP, SEQUENCE, TIME_NS)
    _check(peer.name, read(data), (SWAP, SEQUENCE, TIME_NS))

    def run_encode(iterations: int) -> None:
        for _ in repeat(None, iterations):
            write(SWAP, SEQUENCE, TIME_NS)

    def run_both(iterations: int) -> None:
        for _ in repeat(None, iterations):
            read(write(SWAP, SEQUENCE, TIME_NS))

    return _three("frame", peer.name, (run_encode, _each(read, data), run_both), SPORE)


def payload_cases(group: str, peer: Peer[T], message: T, *, baseline: str | None = None) -> list[Case]:
    """The bytes of the message alone: no sequence, no timestamp, no checksum."""
    write, read = peer.write, peer.read
    data = write(message)
    _check(peer.name, read(data), message)

    def run_both(iterations: int) -> None:
        for _ in repeat(None, iterations):
            read(write(message))

    return _three(group, peer.name, (_each(write, message), _each(read, data), run_both), baseline)


def spore_values() -> Peer[PoolSwap]:
    """Spore's compiled codec of the fields, without TLV and frame."""
    codec = codec_of(PoolSwap)
    read_value = codec.read_value
    return Peer(VALUES, codec.write_value, lambda data: read_value(data, 0, len(data)))


def msgspec_bytes() -> Peer[BytesSwap]:
    """As quick as it gets: C code from attributes to bytes and back, nothing converted."""
    return Peer(BYTES, msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(BytesSwap).decode)


def stream_case() -> Case:
    """A decoder's way through many frames that arrive in chunks."""
    stream = b"".join([encode(SWAP, sequence=n, timestamp_ns=TIME_NS) for n in range(FRAMES_IN_STREAM)])
    chunks = [stream[at : at + CHUNK_SIZE] for at in range(0, len(stream), CHUNK_SIZE)]

    def read_stream() -> int:
        decoder, last = Decoder(), -1
        for chunk in chunks:
            decoder.feed(chunk)
            for found in decoder:
                last = found.sequence
        decoder.end()
        return last

    _check("stream", read_stream(), FRAMES_IN_STREAM - 1)
    return Case("stream decode: spore", calling(read_stream), baseline=f"frame decode: {SPORE}", per=FRAMES_IN_STREAM)


def _each(function: Callable[[T], object], argument: T) -> Run:
    def run(iterations: int) -> None:
        for _ in repeat(None, iterations):
            function(argument)

    return run


def _three(group: str, name: str, runs: tuple[Run, Run, Run], baseline: str | None) -> list[Case]:
    return [
        Case(f"{group} {what}: {name}", run, baseline=f"{group} {what}: {baseline}" if baseline else None)
        for what, run in zip(DIRECTIONS, runs, strict=True)
    ]


def _check(name: str, found: object, wanted: object) -> None:
    """What is timed must first be right."""
    if found != wanted:
        raise AssertionError(f"{name}: {found} came back instead of {wanted}")


if __name__ == "__main__":
    sys.exit(main())
