"""What a type checker knows of the public API. `make types` checks this file; the tests only run it."""

from __future__ import annotations

from typing import Any, assert_type

import attrs

import spore
from spore.services.messages import PoolSync
from spore.testing import run, start_probe


@attrs.define
class Echo(spore.Actor[PoolSync]):
    out: spore.ActorRef[PoolSync] | None = None

    def handle(self, message: PoolSync) -> int:
        if self.out is not None:
            self.out.tell(message)
        return message.reserve0


def test_a_message_has_the_types_of_its_fields() -> None:
    """Fields are ints and bytes to a type checker, and the constructor takes them by name."""
    sync = PoolSync(
        event_time_ns=1,
        block_number=2,
        tx_index=3,
        log_index=4,
        tx_hash=bytes(32),
        pool=bytes(20),
        reserve0=5,
        reserve1=6,
    )
    assert_type(sync.reserve0, int)
    assert_type(sync.pool, bytes)
    assert_type(spore.codec.encode(sync, sequence=1, timestamp_ns=1), bytes)
    assert_type(spore.from_plain(PoolSync, spore.to_plain(sync)), PoolSync)


def test_a_reference_knows_what_its_actor_handles() -> None:
    """`start` returns a reference to messages of the actor's type."""

    async def main() -> None:
        async with spore.open_bundle("typed") as bundle:
            assert_type(bundle, spore.Bundle)
            probe = await start_probe(bundle)
            assert_type(probe.received, list[Any])
            echo = await bundle.start(Echo, out=probe.ref, name="echo")
            assert_type(echo, spore.ActorRef[PoolSync])

    run(main)
