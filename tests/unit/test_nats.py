"""NATS carries the link: between an inlet and its clients everything is as over a socket, and what cannot be is said clearly."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from tests.nats_nodes import node, run, until
from tests.nats_servers import NEEDS_SERVER, NatsServer, nats_server
from tests.relays import numbers, order

from spore.errors import NatsRefused, UsageError, first_cause
from spore.relay.nats import NatsOptions, open_inlet, open_nats
from spore.relay.nats_carrier import HEAD, WINDOW_BYTES, NatsCarrier
from spore.relay.nats_options import token_of
from spore.testing import start_probe

__all__ = ["nats_server"]


# Addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats://h", NatsOptions(servers=("h:4222",))),
        ("nats://h:1,[::1]:2,[::1]", NatsOptions(servers=("h:1", "[::1]:2", "[::1]:4222"))),
        ("nats://u:p%40ss@h", NatsOptions(servers=("h:4222",), user="u", password="p@ss")),
        ("nats://secret@h", NatsOptions(servers=("h:4222",), token="secret")),
        ("tls://h", NatsOptions(servers=("h:4222",), tls=True)),
        (
            "nats://h?ca=/c.pem&cert=/a&key=/k",
            NatsOptions(servers=("h:4222",), tls_ca=Path("/c.pem"), tls_cert=Path("/a"), tls_key=Path("/k")),
        ),
        ("nats://h?credentials=/u.creds", NatsOptions(servers=("h:4222",), credentials=Path("/u.creds"))),
    ],
)
def test_an_address_names_servers_and_who_one_is(text: str, expected: NatsOptions) -> None:
    """User and password, or a token, stand before the servers; files behind a question mark."""
    assert NatsOptions.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://h", "begins with nats:// or tls://, not with 'http://h'"),
        ("nats://", "no NATS server was named"),
        ("nats://h:0", "'h:0' is no server"),
        ("nats://h:x", "'h:x' is no server"),
        ("nats://h,,i", "'' is no server"),
        ("nats://[::1", "no address of NATS"),
        ("nats://h/path", "behind the servers comes a question mark"),
        ("nats://h?tls=yes", "'tls' is no option of NATS; there are: credentials, ca, cert, key"),
        ("nats://h?cert=/a", "a certificate for NATS needs its key"),
        ("nats://u:p@h?credentials=/u", "exclude each other"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(text: str, said: str) -> None:
    """The part that is wrong, and the form."""
    with pytest.raises(UsageError, match=re.escape(said)):
        NatsOptions.parse(text)


def test_secrets_do_not_show() -> None:
    """Neither in the representation nor in what people are shown."""
    for text in ("nats://user:hidden@h", "nats://hidden@h"):
        options = NatsOptions.parse(text)
        assert "hidden" not in f"{options!r} {options}"


def test_files_of_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Before anything is connected."""
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(UsageError, match="cannot be used") as caught:
        NatsOptions.parse(f"nats://h?ca={tmp_path}/ca").tls_context()
    assert f"{tmp_path}/ca" in str(caught.value)


def test_a_name_is_one_word_of_a_subject() -> None:
    """Whatever it is, it has no dots, wildcards or spaces, and no two names become one."""
    assert token_of("desk-1_a") == "desk-1_a"
    assert token_of("a.b *>%é") == "a%2Eb%20%2A%3E%25%C3%A9"


# Refusals


def refused(address: str, **options: Any) -> NatsRefused:
    """Why a server is not worked with."""

    async def main() -> None:
        async with open_nats(address, name="x", **options) as nats:
            await nats.connection()

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main)
    error = first_cause(caught.value)
    assert isinstance(error, NatsRefused)
    return error


@NEEDS_SERVER
@pytest.mark.parametrize(
    ("authorization", "who", "said"),
    [
        ({"user": "a", "password": "right"}, "a:wrong@", "it does not let in user 'a' with this password"),
        ({"user": "a", "password": "right"}, "", "it does not let in anybody without a name"),
        ({"token": "right"}, "wrong@", "it does not let in this token"),
    ],
)
def test_a_wrong_password_is_refused_for_good(tmp_path: Path, authorization: Any, who: str, said: str) -> None:
    """It says who was not let in, and the password nowhere."""
    server = NatsServer(tmp_path, authorization=authorization)
    server.start()
    try:
        error = refused(f"nats://{who}127.0.0.1:{server.port}")
    finally:
        server.kill()
    assert (error.reason, error.server) == ("password", f"127.0.0.1:{server.port}")
    assert said in str(error)
    assert "wrong" not in str(error)


@NEEDS_SERVER
def test_certificates_that_are_not_good_are_refused_with_the_reason(tmp_path: Path) -> None:
    """The server's that has expired or that nobody here trusts, one of ours that has expired, and none where one is asked for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca")
    past = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2021, 1, 1, tzinfo=UTC)}
    for name, cert in {
        "good": authority.issue_cert("127.0.0.1"),
        "old": authority.issue_cert("127.0.0.1", **past),
        "late": authority.issue_cert("client@example.org", **past),
    }.items():
        cert.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        cert.cert_chain_pems[0].write_to_path(tmp_path / name)
    late = f"cert={tmp_path}/late&key={tmp_path}/late.key"
    for name, options, ours, said in (
        ("old", {}, "", "its certificate is not accepted here, by the authority in"),
        ("good", {}, None, "by the system's authorities (ca=FILE names another)"),
        ("good", {"verify": True}, "", "it asks for a certificate (cert=FILE&key=FILE)"),
        ("good", {"verify": True}, late, f"it does not accept {tmp_path}/late: "),
    ):
        tls = {"cert_file": f"{tmp_path}/{name}", "key_file": f"{tmp_path}/{name}.key", "ca_file": f"{tmp_path}/ca"}
        server = NatsServer(tmp_path / "server", tls={**tls, **options})
        server.start()
        try:
            error = refused(
                f"tls://127.0.0.1:{server.port}" + (f"?ca={tmp_path}/ca&{ours}" if ours is not None else "")
            )
        finally:
            server.kill()
        assert error.reason == "certificate"
        assert said in str(error)


@NEEDS_SERVER
def test_where_tls_is_wanted_nothing_secret_goes_out_without_it(nats_server: NatsServer) -> None:
    """A server that does not ask for it is refused, before it hears a password."""
    error = refused(f"tls://a:b@127.0.0.1:{nats_server.port}")
    assert (error.reason, "nothing secret was sent" in error.text) == ("tls", True)


@NEEDS_SERVER
def test_a_server_without_jetstream_is_refused_where_streams_are_needed(nats_server: NatsServer) -> None:
    """With its version, and what to do."""
    error = refused(nats_server.address, durable=True)
    assert error.reason == "jetstream"
    assert "it is version 2." in error.text
    assert "start it with -js" in error.text


@pytest.mark.parametrize(("version", "durable", "least"), [("2.1.9", False, "2.2"), ("2.9.25", True, "2.10")])
def test_a_server_that_is_too_old_is_refused_with_its_version(version: str, durable: bool, least: str) -> None:
    """At its greeting."""

    async def main() -> None:
        async def greet(stream: trio.SocketStream) -> None:
            await stream.send_all(b'INFO {"version":"%s","max_payload":1048576}\r\n' % version.encode())
            assert await stream.receive_some() == b""

        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), greet, 0)
            address = f"nats://127.0.0.1:{listener.socket.getsockname()[1]}"
            async with open_nats(address, name="x", durable=durable) as nats:
                await nats.connection()

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main)
    error = first_cause(caught.value)
    assert isinstance(error, NatsRefused)
    assert (error.reason, error.text) == ("version", f"it is version {version}, and {least} or newer is needed")


@NEEDS_SERVER
def test_what_the_server_forbids_is_named(tmp_path: Path) -> None:
    """The subject at which a client may not listen."""
    users = [{"user": "a", "password": "b", "permissions": {"publish": "spore.>", "subscribe": "other.>"}}]
    server = NatsServer(tmp_path, authorization={"users": users})
    server.start()

    async def main() -> None:
        async with open_nats(f"nats://a:b@127.0.0.1:{server.port}", name="x") as nats, open_inlet(nats, "here"):
            await trio.sleep_forever()

    try:
        with pytest.raises(BaseExceptionGroup) as caught:
            run(main)
    finally:
        server.kill()
    error = first_cause(caught.value)
    assert isinstance(error, NatsRefused)
    assert error.reason == "permission"
    assert '"spore.system.back.x.' in error.text


@NEEDS_SERVER
def test_an_inlet_has_its_name_for_itself(nats_server: NatsServer) -> None:
    """The second one is told, and the first goes on."""

    async def main() -> None:
        async with node(nats_server.address, "here") as first:
            await first.inlet.wait_listening()
            with pytest.raises(BaseExceptionGroup) as caught:
                async with node(nats_server.address, "here"):
                    await trio.sleep_forever()
            error = first_cause(caught.value)
            assert isinstance(error, NatsRefused)
            assert error.reason == "name"
            async with open_nats(nats_server.address, name="x") as nats:
                (await nats.connect("here")).close()

    run(main)


# The link


@NEEDS_SERVER
def test_a_message_goes_from_node_to_node_without_a_relay(nats_server: NatsServer) -> None:
    """What is sent to an actor behind an inlet is handled there once and in order, and answered."""

    async def main() -> None:
        async with node(nats_server.address, "alpha") as alpha, node(nats_server.address, "beta") as beta:
            probe = await start_probe(alpha.bundle, answer=lambda message: message)
            alpha.client.attach(probe.ref)
            client = await beta.client_of("alpha")
            ref = client.ref("probe")
            for number in range(5_000):
                await ref.send(order(number))
            await client.drain()
            assert numbers(probe.received) == list(range(5_000))
            assert (await ref.ask(order(7))).order_id == 7

    run(main)


@NEEDS_SERVER
def test_whoever_listens_nowhere_is_noticed_at_once(nats_server: NatsServer) -> None:
    """An inlet that is not there refuses, and one that is gone ends its connections with the next word."""

    async def main() -> None:
        async with open_nats(nats_server.address, name="x") as nats:
            with pytest.raises(ConnectionRefusedError, match="nobody listens at inlet 'there'"):
                await nats.connect("there")
            async with node(nats_server.address, "there") as there:
                await there.inlet.wait_listening()
                carrier = await nats.connect("there")
            assert await carrier.receive() == b""
            with pytest.raises(trio.BrokenResourceError):
                carrier.send_nowait(b"x")
            carrier.close()

    run(main)


@NEEDS_SERVER
def test_a_client_waits_for_an_inlet_and_comes_back_to_its_successor(nats_server: NatsServer) -> None:
    """What was sent before there was one, and between two of them, is handled by the next."""

    async def main() -> None:
        async with node(nats_server.address, "beta") as beta:
            client = await beta.client_of("alpha")
            ref = client.ref("probe")
            for first in (0, 10):
                for number in range(first, first + 10):
                    await ref.send(order(number))
                async with node(nats_server.address, "alpha") as alpha:
                    probe = await start_probe(alpha.bundle)
                    alpha.client.attach(probe.ref)
                    await client.drain()
                    assert numbers(probe.received) == list(range(first, first + 10))

    run(main)


# Carriers


@NEEDS_SERVER
def test_no_more_than_the_window_is_under_way_until_it_is_read(nats_server: NatsServer) -> None:
    """So whoever does not read holds up the sender, and neither a server nor a process has to store more."""

    async def main() -> None:
        async with pair(nats_server) as (near, far):
            assert near.send_nowait(b"x" * (2 * WINDOW_BYTES)) == WINDOW_BYTES
            assert near.send_nowait(b"x") == 0
            read = 0
            while read < WINDOW_BYTES:
                read += len(await far.receive())
            await near.send_all(b"y" * (WINDOW_BYTES // 2))
            while read < WINDOW_BYTES * 3 // 2:
                read += len(await far.receive())

    run(main)


@NEEDS_SERVER
def test_what_is_larger_than_a_message_may_be_comes_in_chunks(tmp_path: Path) -> None:
    """The server's limit is asked for, and kept to."""
    server = NatsServer(tmp_path, max_payload=2_000)
    server.start()

    async def main() -> None:
        async with pair(server) as (near, far):
            sent = bytes(range(256)) * 100
            assert near.send_nowait(sent) == len(sent)
            came = b""
            while len(came) < len(sent):
                chunk = await far.receive()
                came += chunk
                assert len(chunk) <= 2_000 - HEAD.size
            assert came == sent

    try:
        run(main)
    finally:
        server.kill()


@NEEDS_SERVER
@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (HEAD.pack(3, 0) + b"c", "chunk 2 is missing: 3 has come"),
        (HEAD.pack(1, 0) + b"a", "chunk 2 is missing: 1 has come"),
        (b"short", "chunk 2 is missing: 0 has come"),
        (HEAD.pack(2, 0) + b"x" * WINDOW_BYTES, "the other end does not keep to the window"),
    ],
)
def test_a_chunk_that_is_missing_ends_the_connection(tmp_path: Path, chunk: bytes, said: str) -> None:
    """As does one that comes twice, that is none, or that is more than there is room for. What came before it is good."""
    server = NatsServer(tmp_path, max_payload=2 * WINDOW_BYTES)
    server.start()

    async def main() -> None:
        async with pair(server) as (near, far):
            near.send_nowait(b"a")
            near._connection.publish(near.to, chunk)
            await until(lambda: far._error)
            assert await far.receive() == b"a"
            with pytest.raises(trio.BrokenResourceError, match=said):
                await far.receive()

    try:
        run(main)
    finally:
        server.kill()


@asynccontextmanager
async def pair(server: NatsServer) -> AsyncIterator[tuple[NatsCarrier, NatsCarrier]]:
    """Both ends of a connection."""
    async with open_nats(server.address, name="x") as nats:
        connection = await nats.connection()
        one, other = nats.inbox(), nats.inbox()
        near, far = NatsCarrier(connection, one, other), NatsCarrier(connection, other, one)
        await near.listen()
        await far.listen()
        yield near, far
        near.close()
        far.close()
