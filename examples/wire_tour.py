"""A message's way over the wire: declared, encoded, taken apart, damaged, refused. Run by `make tour`."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

import spore
from spore.codec import Decoder, Flags, decode, encode
from spore.services.messages import PoolSwap

SWAP = PoolSwap(
    event_time_ns=1_700_000_300_000_000_000,
    block_number=25,
    tx_index=0,
    log_index=7,
    tx_hash=bytes.fromhex("045e0fd44b93c473d4172bd4c5beeff4691d258f878d74b76949d097795a5879"),
    pool=bytes.fromhex("d1f1bbbf65cceb5caf1691a76c17d4e75213b69c"),
    amount0_in=5 * 10**21,
    amount1_in=0,
    amount0_out=0,
    amount1_out=14_955 * 10**18,
)
PARTS = [
    (0, 4, "magic"),
    (4, 5, "domain: market data"),
    (5, 6, "version"),
    (6, 7, "source: a collector"),
    (7, 8, "flags: high priority"),
    (8, 16, "sequence"),
    (16, 24, "timestamp"),
    (24, 28, "payload size"),
    (28, 32, "CRC-32"),
    (32, 34, "TLV: type 11, 140 bytes"),
    (34, 174, "the fields of PoolSwap, packed"),
]


def main() -> None:
    console = Console(highlight=False)
    console.rule("A message")
    console.print(SWAP)

    frame = encode(SWAP, sequence=1, timestamp_ns=SWAP.event_time_ns, source=3, flags=Flags.HIGH_PRIORITY)
    console.rule(f"Its frame: {len(frame)} bytes")
    table = Table("bytes", "what", "on the wire", box=None, pad_edge=False)
    for start, end, what in PARTS:
        octets = frame[start:end].hex(" ")
        table.add_row(f"{start}–{end - 1}", what, octets if end - start <= 12 else f"{octets[:44]} …")
    console.print(table)

    console.rule("And back")
    decoded = decode(frame).message
    console.print(f"the same message: {decoded == SWAP}, the same object: {decoded is SWAP}")

    console.rule("A stream that is damaged in its third frame")
    decoder = Decoder()
    decoder.feed(frame * 2 + frame[:100] + bytes([frame[100] ^ 1]) + frame[101:])
    try:
        for number, _ in enumerate(decoder, start=1):
            console.print(f"frame {number} is whole")
    except spore.DecodeError as error:
        console.print(f"refused {error}")

    console.rule("What it costs here")
    rounds = 20_000
    began = time.perf_counter()
    for sequence in range(rounds):
        decode(encode(SWAP, sequence=sequence, timestamp_ns=0))
    each_us = (time.perf_counter() - began) / rounds * 1e6
    console.print(
        f"encode + decode: {each_us:.2f} µs a message (one run of {rounds:,}; `make bench` measures properly)"
    )


if __name__ == "__main__":
    main()
