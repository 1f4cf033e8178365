"""What a stream of a durable actor holds at one sequence: ``python examples/nodes/read_stream.py nats://HOST:PORT STREAM SEQUENCE``."""

from __future__ import annotations

import asyncio
import importlib
import sys

import nats

from spore.codec import Decoder


async def main(address: str, stream: str, sequence: str) -> None:
    client = await nats.connect(address)
    try:
        kept = await client.jetstream().get_msg(stream, seq=int(sequence))
        state = (await client.jetstream().stream_info(stream)).state
    finally:
        await client.close()
    print(f"{stream}: sequences {state.first_seq} to {state.last_seq}, {state.bytes:,} bytes")
    importlib.import_module("spore.services.messages")  # what is not declared here cannot be read
    decoder = Decoder()
    decoder.feed(kept.data or b"")
    frames = list(decoder)
    print(
        f"{sequence}: {len(frames)} messages of one sender, its numbers {frames[0].sequence} to {frames[-1].sequence}"
    )
    print(frames[0].items[0])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
