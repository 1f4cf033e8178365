"""NATS carries the link: between an inlet and its clients everything is as over a socket."""

from __future__ import annotations

from typing import Any

import trio
from tests.nats_servers import NEEDS_SERVER, NatsServer, nats_server
from tests.relays import numbers, order

from spore import open_bundle
from spore.relay import open_client
from spore.relay.nats import open_inlet, open_nats
from spore.testing import start_probe

__all__ = ["nats_server"]

pytestmark = NEEDS_SERVER
PATIENCE_S = 30


def run(main: Any) -> Any:
    """In real time, because a real server keeps it."""

    async def with_patience() -> Any:
        with trio.fail_after(PATIENCE_S):
            return await main()

    return trio.run(with_patience)


def test_a_message_goes_from_node_to_node_without_a_relay(nats_server: NatsServer) -> None:
    """What is sent to an actor behind an inlet is handled there once and in order, and acknowledged."""

    async def main() -> None:
        async with (
            open_nats(nats_server.address, name="alpha") as alpha,
            open_nats(nats_server.address, name="beta") as beta,
            open_inlet(alpha, "alpha") as inlet,
            open_client(name="alpha", connect=inlet.connect) as receiver,
            open_bundle("alpha") as bundle,
            open_client(name="beta", connect=lambda: beta.connect("alpha")) as sender,
        ):
            probe = await start_probe(bundle)
            receiver.attach(probe.ref)
            ref = sender.ref("probe")
            for number in range(5_000):
                await ref.send(order(number))
            await sender.drain()
            assert numbers(probe.received) == list(range(5_000))

    run(main)
