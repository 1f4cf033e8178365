"""The rows of the table in docs/reference/security.md that are about inlets, which listen on NATS."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tests.nats_nodes import run, until
from tests.nats_servers import NEEDS_SERVER, NatsServer, nats_server
from tests.relays import numbers, order
from tests.sans_io import hello

from spore import open_bundle
from spore.codec import encode
from spore.relay import Switchboard, open_client
from spore.relay import server as relay_server
from spore.relay.carrier import Carrier
from spore.relay.control import Attach, Heartbeat, Reason, control_frame, control_of
from spore.relay.nats import open_inlet, open_nats
from spore.relay.nats_carrier import APART, CHUNK_BYTES, HEAD, NatsCarrier
from spore.services.messages import OrderCancel
from spore.testing import start_probe

__all__ = ["nats_server"]
pytestmark = NEEDS_SERVER
PLAIN = encode(OrderCancel(1, 2, "x"), sequence=1, timestamp_ns=0)


async def heard(carrier: Carrier) -> bytes:
    """All that comes before the end."""
    found = b""
    while data := await carrier.receive():
        found += data
    return found


@pytest.mark.parametrize(
    "first",
    [
        PLAIN,
        PLAIN * 50,
        control_frame(hello(token="wrong")),
        control_frame(Attach("probe", ())),
        control_frame(Heartbeat()),
    ],
)
def test_nobody_gets_in_at_an_inlet_without_its_token(nats_server: NatsServer, first: bytes) -> None:
    """Row "inlet": what is said before Hello with the token is refused as ``token``, and reaches nobody; who has it is let in, and either
    of two will do."""

    async def main() -> None:
        board = Switchboard(token=("new", "old"))
        async with (
            open_nats(nats_server.address, name="here") as nats,
            open_inlet(nats, "here", board=board) as inlet,
            open_client(connect=inlet.connect, name="own", token="new") as own,
            open_bundle("b") as bundle,
            open_nats(nats_server.address, name="there") as there,
        ):
            probe = await start_probe(bundle)
            own.attach(probe.ref, topics=("execution",))
            await own.wait_attached()
            await inlet.wait_listening()
            stranger = await there.connect("here")
            await stranger.send_all(first)
            assert control_of(await heard(stranger)).reason is Reason.TOKEN  # type: ignore[attr-defined]
            stranger.close()
            assert board.counts.frames == 0
            async with open_client(connect=lambda: there.connect("here"), name="friend", token="old") as friend:
                await friend.ref("probe").send(order(1))
                await friend.drain()
                assert board.showing(2) == ["friend"]
            assert numbers(probe.received) == [1]

    run(main)


def test_wishes_to_connect_are_bounded_in_number_and_time(
    nats_server: NatsServer, monkeypatch: Any, caplog: Any
) -> None:
    """Row "inlet", before: one that says nothing more is given up; beyond the most that there may be nobody is answered; what is no wish
    is logged once a minute, and does not end the inlet's own connection with the server."""
    monkeypatch.setattr(relay_server, "MAX_CONNECTIONS", 3)

    async def main() -> None:
        board = Switchboard(heartbeat_s=0.1)
        async with (
            open_nats(nats_server.address, name="here") as nats,
            open_inlet(nats, "here", board=board) as inlet,
            open_nats(nats_server.address, name="there") as there,
        ):
            await inlet.wait_listening()
            connection = await there.connection()
            for wish in (b"probe 1", b"connect 1", b"connect 2", b"", b"\xff" * 1_000):
                for _ in range(20):
                    connection.publish(f"{there.prefix}.in.here", wish)
            half_open = [await there.connect("here") for _ in range(3)]
            with trio.move_on_after(0.05) as waited:
                await there.connect("here")
            assert waited.cancelled_caught
            for carrier in half_open:
                assert control_of(await heard(carrier)).reason is Reason.SILENCE  # type: ignore[attr-defined]
            await until(lambda: not board.peers)
            (await there.connect("here")).close()
            assert (nats.reconnects, inlet.relay.board) == (0, board)

    run(main)
    lines = [record.message for record in caplog.records]
    assert len(lines) <= 2
    assert "is no wish to connect that is known here" in lines[0]


def test_many_small_chunks_take_no_more_than_a_few_large_ones(nats_server: NatsServer) -> None:
    """Row "inlet", memory: bytes that come one by one while nobody reads are kept together."""

    async def main() -> None:
        async with open_nats(nats_server.address, name="x") as nats:
            carrier = NatsCarrier(await nats.connection(), nats.inbox(), nats.inbox())
            for number in range(1, 50_001):
                carrier._take(HEAD.pack(number, 0) + b"x")
            assert len(carrier._arrived) <= APART + 50_000 // CHUNK_BYTES + 1
            assert len(await carrier.receive()) == 1
            assert sum(map(len, carrier._arrived)) == 49_999
            carrier.close()

    run(main)
