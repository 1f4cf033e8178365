"""A receiver's name that another client has is denied by itself: it is said once, it can be waited for, and nothing else suffers."""

from __future__ import annotations

import logging

import pytest
import trio
from tests.relays import Place, numbers, order, place, run, until

from spore.errors import RelayRefused, UsageError
from spore.relay import Client, Switchboard
from spore.relay.session import Session
from spore.testing import start_probe

__all__ = ["place"]
TAKEN = "receiver 'shared' belongs to client 'first', which is alive"


def test_a_name_that_another_client_has_is_refused_and_nothing_else_is(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """`wait_attached` raises; the client's other receivers and its links go on, without one reconnect, and one line says it."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.node("first") as (one, first), place.node("second") as (two, second):
            shared = await start_probe(one, name="shared")
            first.attach(shared.ref)
            await first.wait_attached("shared")
            for name in ("shared", "own"):
                second.attach((await start_probe(two, name=name)).ref)
            with pytest.raises(RelayRefused, match=TAKEN) as refused:
                await second.wait_attached()
            assert refused.value.reason == "name"
            await second.wait_attached("own")
            assert second.statistics().denied == (f"shared: {TAKEN}",)
            async with place.client("sender") as sender:
                for number in range(10):
                    await sender.ref("own").send(order(number))
                    await sender.ref("shared").send(order(number))
                await sender.drain()
            await trio.sleep(600)
            assert numbers(shared.received) == list(range(10))
            assert (second.statistics().reconnects, board.counts.refused) == (0, 0)

    with caplog.at_level(logging.INFO):
        run(main)
    (line,) = [record.message for record in caplog.records]
    assert line == f"second: {TAKEN}; it is asked for again every 2 s, and everything else goes on"


@pytest.mark.parametrize("how", ["detaches", "leaves", "vanishes"])
def test_the_name_is_had_once_it_is_free(place: Place, how: str) -> None:
    """However its holder goes, the second client has the name soon, is not denied any more, and gets what is sent."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.node("second", heartbeat_s=100) as (bundle, second):
            async with place.client("first") as first:
                first.attach((await start_probe(bundle, name="shared")).ref)
                await first.wait_attached()
                probe = await start_probe(bundle, name="of the second")
                second.attach(probe.ref, name="shared")
                await until(lambda: second.session.names.taken)
                if how == "detaches":
                    first.detach("shared")
                elif how == "vanishes":
                    first.detach("shared")
                    lose(first)
                if how != "leaves":
                    await trio.sleep(5)
            await trio.sleep(5)
            await second.wait_attached("shared")
            assert second.statistics().denied == ()
            async with place.client("sender") as sender:
                await sender.ref("shared").send(order(1))
                await sender.drain()
            assert numbers(probe.received) == [1]

    run(main)


def lose(client: Client) -> None:
    """Its connection is lost."""
    assert client._carrier is not None
    client._carrier.close()


def test_who_asks_while_the_relay_is_away_hears_from_the_next_one(place: Place) -> None:
    """A connection that is lost meanwhile is no answer."""

    async def main() -> None:
        async with place.client("a client", heartbeat_s=1) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_attached)
            async with place.relay():
                await client.wait_connected()
                client.session.attach("x")
            async with place.relay():
                await client.wait_attached("x")

    run(main)


def test_a_name_that_is_given_up_is_not_asked_for_any_more(place: Place) -> None:
    """Detached while another client has it, it is neither denied nor had later."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.node("second") as (bundle, second):
            async with place.client("first") as first:
                first.attach((await start_probe(bundle, name="shared")).ref)
                await first.wait_attached()
                second.attach((await start_probe(bundle, name="other")).ref, name="shared")
                await until(lambda: second.session.names.taken)
                second.detach("shared")
                assert second.statistics().denied == ()
                asked = board.counts.names
                await trio.sleep(20)
                assert board.counts.names == asked
            assert not any("shared" in peer.receivers for peer in board.peers.values())
            with pytest.raises(UsageError, match="are streams of the relay's journal"):
                second.attach((await start_probe(bundle, name="third")).ref, name="journal:x")

    run(main)


def test_a_client_with_two_tokens_stays_through_a_rotation(place: Place) -> None:
    """Relays that take the old one, both, and the new one follow each other; the client says which one it shows, and nothing is lost."""

    async def main() -> None:
        session = Session("c", token=("new", "old"))
        async with place.client("c", session=session) as client:
            for tokens, shown in [("old", 2), (("new", "old"), 2), ("new", 1)]:
                board = Switchboard(token=tokens)
                async with place.relay(board):
                    await client.wait_connected()
                    await until(lambda: client.session.ready)
                    assert client.statistics().token == shown
                    assert board.showing(2 if tokens == ("new", "old") else 1) == ["c"]
                await until(lambda: not client.session.ready)

    run(main)
