"""The relay's own side: where it listens, whom it lets in, and how it parts from those who have vanished."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme
from tests.actors import only
from tests.relays import Place, numbers, order, place, run, until

import spore
from spore import open_bundle
from spore.errors import RelayError, RelayRefused, UsageError
from spore.relay import Address, Limits, Switchboard, TlsFiles, open_client, open_relay
from spore.relay import server as relay_server
from spore.relay.carrier import SocketCarrier
from spore.relay.control import (
    ANNOUNCED,
    Accept,
    Announce,
    Attach,
    Begin,
    Bye,
    Heartbeat,
    Policy,
    Reason,
    Refused,
    Welcome,
)
from spore.services.messages import OrderCancel
from spore.testing import start_probe

__all__ = ["place"]


async def listen(*addresses: Address, **options: Any) -> None:
    async with open_relay(list(addresses), **options):
        pass


# Addresses


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("unix:/run/r", Address(path="/run/r"), True),
        ("unix:r", Address(path="r"), True),
        ("/run/r", Address(path="/run/r"), True),
        ("tcp:localhost:0", Address(host="localhost"), True),
        ("tcp:127.0.0.2:80", Address(host="127.0.0.2", port=80), True),
        ("tcp:[::1]:80", Address(host="::1", port=80), True),
        ("tcp:10.0.0.1:65535", Address(host="10.0.0.1", port=65_535), False),
        ("tcp:example.org:1", Address(host="example.org", port=1), False),
    ],
)
def test_addresses(text: str, address: Address, loopback: bool) -> None:
    """As people write them; only what this machine alone can reach is the loopback."""
    assert Address.parse(text) == address
    assert address.is_loopback is loopback
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "here", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:host:", "tcp:host:65536", "tcp:host:-1", "udp:a:1"],
)
def test_what_is_no_address(text: str) -> None:
    """The error says what would be."""
    with pytest.raises(UsageError, match="is no address; write unix:PATH or tcp:HOST:PORT"):
        Address.parse(text)


# Sockets


def test_the_socket_is_for_its_user_alone_and_is_removed(place: Place) -> None:
    """Mode 0600 from the first moment on, and nothing is left when the relay has ended."""

    async def main() -> None:
        async with place.relay() as relay:
            mode = place.path.stat().st_mode
            assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
            assert relay.addresses == (place.address,)
        assert not place.path.exists()

    run(main)


def test_the_socket_of_a_dead_relay_is_replaced_and_that_of_a_live_one_is_not(place: Place) -> None:
    """A file that nobody listens at is no reason not to start; a relay that listens is."""

    async def main() -> None:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(place.path))
        dead.close()
        async with place.relay(), place.client("c") as client:
            await client.wait_connected()
            with pytest.raises(UsageError, match=f"a relay listens at {place.path} already"):
                await listen(place.address)
            assert place.path.exists()

    run(main)


def test_where_it_cannot_listen(place: Place) -> None:
    """A file that is no socket is left as it is, and each reason is named with the place."""

    async def main() -> None:
        place.path.write_text("precious")
        with pytest.raises(UsageError, match=f"{place.path} exists and is no socket; nothing was changed"):
            await listen(place.address)
        assert place.path.read_text() == "precious"
        with pytest.raises(UsageError, match=r"cannot listen at unix:.*nowhere/r: No such file or directory"):
            await listen(Address(path=str(place.folder / "nowhere" / "r")))
        with pytest.raises(UsageError, match="a socket's path has at most 107 bytes, and this one 200"):
            Address(path="/" + "x" * 199)
        async with open_relay([Address(host="127.0.0.1")]) as relay:
            with pytest.raises(UsageError, match=r"cannot listen at tcp:127.0.0.1:.*: Address already in use"):
                await listen(*relay.addresses)

    run(main)


def test_a_socket_that_cannot_be_asked_is_left_alone(place: Place) -> None:
    """If it cannot be told whether a relay listens there, nothing is removed."""

    async def main() -> None:
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        datagrams.bind(str(place.path))
        with datagrams, pytest.raises(UsageError, match=f"cannot tell whether a relay listens at {place.path}: "):
            await listen(place.address)
        assert place.path.exists()

    run(main)


def test_tcp_off_the_loopback_needs_tls_or_a_word(place: Place) -> None:
    """Nothing listens at all if one of the addresses is not to be."""

    async def main() -> None:
        everywhere = Address(host="0.0.0.0")
        with pytest.raises(UsageError, match="has neither TLS nor your word that this is meant; give certificates"):
            await listen(place.address, everywhere)
        assert not place.path.exists()
        async with open_relay([everywhere], plain_tcp=True) as relay:
            (address,) = relay.addresses
            async with open_client(f"tcp:127.0.0.1:{address.port}", name="c") as client:
                await client.wait_connected()

    trio.run(main)  # the loopback takes real time


def test_messages_over_tcp(place: Place) -> None:
    """The loopback, in both versions of IP, at a port that the system chooses."""

    async def main() -> None:
        async with open_relay([Address(host="localhost"), Address(host="::1")]) as relay:
            for address in relay.addresses:
                await exchange(str(address), None)

    trio.run(main)  # the loopback takes real time


async def exchange(address: str, tls: ssl.SSLContext | None, count: int = 300) -> None:
    """Messages through a relay and an answer back."""
    options: dict[str, Any] = {"tls": tls}
    async with (
        open_client(address, name="receiver", **options) as receiver,
        open_client(address, name="sender", **options) as sender,
        open_bundle("b") as bundle,
    ):
        probe = await start_probe(bundle, answer=lambda message: order(-message.order_id % 1_000))
        receiver.attach(probe.ref)
        ref = sender.ref("probe")
        await ref.send_many([order(number) for number in range(count)])
        assert await ref.ask(order(1)) == order(999)
        await sender.drain()
        assert numbers(probe.received) == [*range(count), 1]


# TLS


@attrs.frozen
class Certificates:
    """The files of a relay, of a client, and of a stranger, who has another authority."""

    relay: TlsFiles
    client: TlsFiles
    stranger: TlsFiles
    folder: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def files(ca: trustme.CA, name: str) -> TlsFiles:
        issued = ca.issue_cert(name)
        paths = [folder / f"{name}-{id(ca)}.{kind}" for kind in ("cert", "key", "ca")]
        issued.cert_chain_pems[0].write_to_path(paths[0])
        issued.private_key_pem.write_to_path(paths[1])
        ca.cert_pem.write_to_path(paths[2])
        return TlsFiles(certificate=paths[0], key=paths[1], ca=paths[2])

    ours, theirs = trustme.CA(), trustme.CA()
    return Certificates(files(ours, "127.0.0.1"), files(ours, "client.test"), files(theirs, "client.test"), folder)


def test_tls_with_certificates_on_both_sides(certificates: Certificates) -> None:
    """Messages and answers pass, in pieces larger than a record of TLS."""

    async def main() -> None:
        async with open_relay([Address(host="127.0.0.1")], tls=certificates.relay.for_server()) as relay:
            await exchange(str(relay.addresses[0]), certificates.client.for_client())

    trio.run(main)  # the loopback takes real time


def without_certificate(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.client.ca)


def mixed(certificates: Certificates) -> ssl.SSLContext:
    """A stranger who trusts our relay."""
    context = ssl.create_default_context(cafile=certificates.client.ca)
    context.load_cert_chain(certificates.stranger.certificate, certificates.stranger.key)
    return context


@pytest.mark.parametrize(
    ("host", "context", "said"),
    [
        ("127.0.0.1", without_certificate, "alert certificate required"),
        ("127.0.0.1", mixed, "alert unknown ca"),
        ("127.0.0.1", lambda certificates: certificates.stranger.for_client(), "certificate verify failed"),
        (
            "localhost",
            lambda certificates: certificates.client.for_client(),
            "certificate is not valid for 'localhost'",
        ),
    ],
    ids=["no_certificate", "unknown_authority", "unknown_relay", "wrong_host"],
)
def test_who_is_not_trusted_is_told_and_does_not_come_again(
    certificates: Certificates, host: str, context: Any, said: str
) -> None:
    """Each end's distrust ends the client with its reason; the relay goes on."""

    async def main() -> None:
        async with open_relay([Address(host="127.0.0.1")], tls=certificates.relay.for_server()) as relay:
            (address,) = relay.addresses
            with pytest.raises(ExceptionGroup) as caught:
                async with open_client(f"tcp:{host}:{address.port}", name="stranger", tls=context(certificates)):
                    await trio.sleep_forever()
            refused = only(caught)
            assert isinstance(refused, RelayRefused)
            assert refused.reason == "certificate"
            assert said in str(refused)
            await exchange(str(address), certificates.client.for_client(), count=3)

    trio.run(main)  # the loopback takes real time


def test_who_speaks_no_tls_is_not_let_in(certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is closed, and the log says why; so it is with one that says nothing for too long."""

    async def main() -> None:
        async with open_relay([Address(host="127.0.0.1")], tls=certificates.relay.for_server()) as relay:
            (address,) = relay.addresses
            for said in (b"hello relay, this is no TLS at all", b""):
                stream = await trio.open_tcp_stream("127.0.0.1", address.port)
                if said:
                    await stream.send_all(said)
                while await stream.receive_some(1_000):
                    pass
                await stream.aclose()

            await trio.sleep(61)

    run(main)
    first, more = [record.message for record in caplog.records]
    assert first.startswith("refused a connection from 127.0.0.1: no handshake of TLS: [SSL")
    assert more.startswith(
        "127.0.0.1: 1 more in a minute (tls 1), at last: refused a connection from 127.0.0.1: no handshake"
    )


def test_tls_files_that_cannot_be_used(certificates: Certificates) -> None:
    """A file that is missing or holds something else is named before anything listens."""
    missing = attrs.evolve(certificates.relay, key=certificates.folder / "nowhere")
    with pytest.raises(UsageError, match=r"the TLS files .*nowhere.* cannot be used: .*No such file"):
        missing.for_server()
    swapped = attrs.evolve(certificates.relay, ca=certificates.relay.key)
    with pytest.raises(UsageError, match="cannot be used"):
        swapped.for_client()


# Those who say too much, too little, or nothing


def test_who_says_nothing_is_parted_from(place: Place) -> None:
    """A connection without a word, and a client without a heartbeat, are told so after three heartbeats."""

    async def main() -> None:
        board = Switchboard(heartbeat_s=1)
        async with place.relay(board):
            for introduced in (False, True):
                raw = await place.raw()
                if introduced:
                    await raw.hello(heartbeat_ms=500)
                    await raw.hear(Welcome)
                began = trio.current_time()
                refused = await raw.hear(Refused)
                assert refused.reason is Reason.SILENCE
                assert 3 <= trio.current_time() - began <= 4
                await raw.end()
                await until(lambda: not board.peers)

    run(main)


def test_who_takes_nothing_is_parted_from_although_there_is_something_to_write(place: Place) -> None:
    """With its socket full, nothing can be told to a peer that has vanished; its name is free again all the same."""

    async def main() -> None:
        board = Switchboard(heartbeat_s=1)
        async with place.relay(board), place.client("sender") as sender, open_bundle("b") as bundle:
            raw = await receiver_of_its_own(place)
            ref = sender.ref("probe", feedback=True)
            ref.links()
            await accept(raw)
            await ref.wait_open()
            for number in range(3_000):
                ref.tell(OrderCancel(1, number, "x" * 1_000))
            await until(lambda: "raw" not in {peer.name for peer in board.peers.values()})
            async with place.client("successor") as successor:
                probe = await start_probe(bundle)
                successor.attach(probe.ref)
                await probe.wait_for(3_000)
                assert numbers(probe.received) == list(range(3_000))
                assert successor.statistics().redelivered > 0

    run(main)


async def receiver_of_its_own(place: Place) -> Any:
    """A connection that has an actor ``probe``, as the relay sees it."""
    raw = await place.raw()
    await raw.hello()
    await raw.hear(Welcome)
    await raw.say(Attach("probe", ()))
    return raw


async def accept(raw: Any) -> Announce:
    announce = await raw.hear(Announce)
    assert announce.channel >= ANNOUNCED
    await raw.say(Accept(announce.channel, 0, "probe", 7, False, 0, 0, 1_000_000, Policy.BLOCK))
    return announce


def test_who_sends_to_a_full_socket_is_held_and_not_taken_for_silent(place: Place) -> None:
    """The relay stops reading a sender that does not keep to windows, for as long as its receiver takes nothing."""

    async def main() -> None:
        board = Switchboard(heartbeat_s=1)
        async with place.relay(board), place.client("sender", heartbeat_s=1) as sender, trio.open_nursery() as nursery:
            raw = await receiver_of_its_own(place)
            ref = sender.ref("probe", feedback=True)
            ref.links()
            await accept(raw)
            await ref.wait_open()
            nursery.start_soon(beat, raw)
            for number in range(900):
                ref.tell(OrderCancel(1, number, "x" * 30_000))
            await trio.sleep(60)
            held = [peer for peer in board.peers.values() if peer.held]
            assert [peer.name for peer in held] == ["sender"]
            assert max(peer.out_bytes for peer in board.peers.values()) < 20 * 1024 * 1024
            assert sender.reconnects == 0
            nursery.cancel_scope.cancel()

    async def beat(raw: Any) -> None:
        while True:
            await raw.say(Heartbeat())
            await trio.sleep(1)

    run(main)


def test_only_so_many_connections(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is closed at once, and those that are there go on."""
    monkeypatch.setattr(relay_server, "MAX_CONNECTIONS", 1)

    async def main() -> None:
        async with place.relay(), place.client("c") as client:
            await client.wait_connected()
            raw = await place.raw()
            assert await raw.sock.recv(1) == b""
            assert client.statistics().connected

    run(main)


def test_when_there_are_no_descriptors_left_it_waits(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The relay says so once a minute, and takes the connection once it can."""

    async def main() -> None:
        import resource

        async with place.relay(), place.client("c") as client:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken: list[int] = []
            await client.wait_connected()
            raw = trio.socket.socket(socket.AF_UNIX)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 2, hard))
                with suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                await raw.connect(str(place.path))
                await trio.sleep(1)
            finally:
                for descriptor in taken:
                    os.close(descriptor)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await raw.send(b"\xff" * 32)
            assert await raw.recv(1)
            raw.close()

    run(main)
    assert sum("cannot take a connection" in record.message for record in caplog.records) == 1


async def have_an_actor(place: Place) -> None:
    async with place.client("a client") as client, open_bundle("b") as bundle:
        client.attach((await start_probe(bundle)).ref)
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(names=3), "a name of 8 bytes; 1 to 3 are allowed"),
        (Limits(messages=1), "messages, and 1 is the most"),
        (Limits(receivers=0), "more than 0 receivers"),
        (Limits(frame_size=100), "and 100 is the most"),
    ],
)
def test_more_than_the_relay_allows_is_an_error_for_good(place: Place, limits: Limits, said: str) -> None:
    """A client that is refused for what it is does not come again and again."""

    async def main() -> None:
        async with place.relay(Switchboard(limits=limits)):
            with pytest.raises(ExceptionGroup) as caught:
                await have_an_actor(place)
        refused = only(caught)
        assert isinstance(refused, RelayError)
        assert said in str(refused)

    run(main)


def test_frames_without_a_link_are_published_by_their_domain(place: Place) -> None:
    """Whoever writes frames and nothing else reaches the subscribers of their domain, in order, and is waited for."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board), place.node("c") as (bundle, client):
            raw = await place.raw()
            await raw.sock.send(spore.codec.encode(order(0), sequence=1, timestamp_ns=0))
            await until(lambda: board.counts.unheard == 1)
            probe = await start_probe(bundle, capacity=2)
            client.attach(probe.ref, topics=("execution",))
            await until(lambda: client.statistics().incoming)
            await until(
                lambda: all(
                    m.begun for p in board.peers.values() for k in p.channels.values() for m in k.members.values()
                )
            )
            frames = b"".join(spore.codec.encode(order(n), sequence=0, timestamp_ns=0) for n in range(1, 200))
            await raw.sock.send(frames)
            await probe.wait_for(199)
            assert numbers(probe.received) == list(range(1, 200))

    run(main)


def test_a_client_that_leaves_is_let_go(place: Place) -> None:
    """The relay closes the connection after a goodbye, and remembers nothing of it."""

    async def main() -> None:
        board = Switchboard()
        async with place.relay(board):
            raw = await place.raw()
            await raw.hello()
            await raw.hear(Welcome)
            await raw.say(Attach("probe", ("t",)), Bye())
            await raw.end()
            await until(lambda: not board.peers)

    run(main)


def test_a_carrier_whose_other_end_is_gone_says_so(place: Place) -> None:
    """Every way to use a lost connection is the same error."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        carrier = SocketCarrier(ours)
        theirs.close()
        with pytest.raises(trio.BrokenResourceError):
            carrier.send_nowait(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await carrier.send_all(b"x")
        assert await carrier.receive() == b""
        carrier.close()
        carrier.close()
        for use in (carrier.receive, lambda: carrier.send_all(b"x")):
            with pytest.raises(trio.BrokenResourceError):
                await use()

    run(main)


def test_a_carrier_that_is_closed_while_it_waits(place: Place) -> None:
    """Whoever reads or writes then is told at once."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        carrier = SocketCarrier(ours)

        async def broken(use: Any) -> None:
            with pytest.raises(trio.BrokenResourceError):
                await use()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(broken, carrier.receive)
            nursery.start_soon(broken, lambda: carrier.send_all(b"x" * 10_000_000))
            await trio.testing.wait_all_tasks_blocked()
            carrier.close()
        theirs.close()

    run(main)


def test_logs_are_quiet_where_nothing_is_wrong(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A client that comes, sends and leaves is not worth a line."""

    async def main() -> None:
        async with place.relay():
            await exchange(str(place.address), None)

    with caplog.at_level(logging.INFO):
        run(main)
    assert caplog.records == []


def test_begin_is_only_for_receivers_that_are_there(place: Place) -> None:
    """What a client says of channels that there are not is no harm."""

    async def main() -> None:
        async with place.relay() as relay:
            raw = await place.raw()
            await raw.hello()
            await raw.hear(Welcome)
            await raw.say(Begin(5, 1, 1, ()), Accept(ANNOUNCED, 0, "x", 1, False, 0, 0, 1, Policy.BLOCK), Heartbeat())
            await until(lambda: relay.board.peers)

    run(main)
