"""Servers that die, stop, lose each other or fill up: nothing is lost, nothing comes twice, and order is kept.

Real servers, and nodes in this process. Whatever waits for time to pass in earnest waits less here.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.nats_nodes import Node, node, run, until
from tests.nats_servers import NEEDS_SERVER, NatsServer, durable_server, free_port, jetstream
from tests.relays import numbers, order

from spore import ActorRef
from spore.errors import LinkDenied
from spore.relay import Client, nats, nats_connection, nats_reader, nats_writer
from spore.relay.nats import StreamOptions
from spore.relay.streams import WINDOW
from spore.services.messages import OrderCancel
from spore.testing import Probe, start_probe

__all__ = ["durable_server"]

pytestmark = [pytest.mark.long, NEEDS_SERVER]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is silent is noticed soon."""
    monkeypatch.setattr(nats_connection, "BEAT_S", 0.2)
    monkeypatch.setattr(nats_connection, "SILENT_S", 0.5)
    monkeypatch.setattr(nats_connection, "CONNECT_S", 1.0)
    monkeypatch.setattr(nats_connection, "ANSWER_S", 1.0)
    monkeypatch.setattr(nats, "ANSWER_S", 0.5)
    monkeypatch.setattr(nats_reader, "TRIM_EVERY_S", 0.1)
    monkeypatch.setattr(nats_reader, "NOTE_EVERY_S", 0.05)
    monkeypatch.setattr(nats_reader, "SILENT_S", 1.0)
    monkeypatch.setattr(nats_reader, "BEAT_S", 0.3)
    monkeypatch.setattr(nats_writer, "ANSWER_S", 1.0)
    monkeypatch.setattr(nats_writer, "RETRY_S", 0.1)


class Traffic:
    """Messages under way from one node to another, by a link and by a stream, for as long as a test disturbs them."""

    def __init__(self, sender: Node, client: Client, refs: list[ActorRef[Any]], probes: list[Probe[Any]]) -> None:
        self.sender, self.client = sender, client
        self.sent = 0
        self.enough = False
        self._refs = refs
        self._probes = probes

    async def flow(self) -> None:
        while not self.enough:
            for ref in self._refs:
                await ref.send(order(self.sent))
            self.sent += 1
            await trio.sleep(0.001)

    @property
    def came(self) -> list[int]:
        return [len(probe.received) for probe in self._probes]

    async def moves(self) -> None:
        """Wait until both ways have let something through again."""
        before = self.came
        await until(lambda: all(now > then + 10 for now, then in zip(self.came, before, strict=True)))

    async def arrives(self) -> None:
        """Everything is there, once and in order."""
        await until(lambda: min(self.came) >= self.sent)
        for probe in self._probes:
            assert numbers(probe.received) == list(range(self.sent))


@asynccontextmanager
async def traffic(alpha: str, beta: str, **streams: Any) -> AsyncIterator[Traffic]:
    """From node beta to node alpha, each with the servers that it knows; in the end everything has to arrive."""
    options = StreamOptions(**streams)
    async with (
        node(alpha, "alpha", streams=options, heartbeat_s=0.3) as there,
        node(beta, "beta", streams=options) as here,
    ):
        probes = [await start_probe(there.bundle, name) for name in ("direct", "durable")]
        there.client.attach(probes[0].ref)
        there.client.attach(probes[1].ref, streams=("orders",))
        client = await here.client_of("alpha", heartbeat_s=0.3)
        flowing = Traffic(here, client, [client.ref("direct"), here.client.stream("orders")], probes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flowing.flow)
            await flowing.moves()
            yield flowing
            flowing.enough = True
        await flowing.arrives()


def test_a_server_that_is_killed_twenty_times_loses_and_repeats_nothing(durable_server: NatsServer) -> None:
    """Under load, by links and by streams."""

    async def main() -> None:
        async with traffic(durable_server.address, durable_server.address) as flowing:
            for _ in range(20):
                durable_server.kill()
                durable_server.start()
                await flowing.moves()

    run(main)


def test_a_server_that_stands_still_is_left_and_found_again(durable_server: NatsServer) -> None:
    """Its connections are open all the time; that it says nothing is what counts."""

    async def main() -> None:
        async with traffic(durable_server.address, durable_server.address) as flowing:
            for _ in range(2):
                before = flowing.sender.nats.reconnects
                durable_server.stop()
                await until(lambda before=before: flowing.sender.nats.reconnects > before)
                durable_server.go_on()
                await flowing.moves()

    run(main)


@contextmanager
def cluster(
    folder: Path, hosts: list[str], within: list[tuple[str, ...]], routes: list[str]
) -> Iterator[list[NatsServer]]:
    """Servers that are one cluster."""
    ports = [free_port() for _ in hosts]
    servers = []
    for number, (host, route) in enumerate(zip(hosts, routes, strict=True)):
        others = [f"nats://{other}:{port}" for other, port in zip(routes, ports, strict=True) if port != ports[number]]
        settings = {
            "server_name": f"s{number}",
            "jetstream": jetstream(folder, f"store-{number}"),
            "cluster": {"name": "c", "listen": f"{route}:{ports[number]}", "routes": others},
        }
        servers.append(NatsServer(folder / f"s{number}", host=host, within=within[number], **settings))
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def test_of_three_servers_the_leader_can_be_killed(tmp_path: Path) -> None:
    """With three copies of each message the others go on, with all that was acknowledged."""

    async def main() -> None:
        with cluster(tmp_path, ["127.0.0.1"] * 3, [()] * 3, ["127.0.0.1"] * 3) as servers:
            address = "nats://" + ",".join(server.address.removeprefix("nats://") for server in servers)
            async with traffic(address, address, replicas=3) as flowing:
                connection = await flowing.sender.nats.connection()
                info = await connection.ask(lambda jetstream: jetstream.stream_info("SPORE_system_orders"))
                servers[int(info.cluster.leader[1:])].kill()
                await flowing.moves()

    run(main)


@attrs.frozen
class Hosts:
    """Two hosts, as it were."""

    names: list[str]
    set: Callable[[str], None]
    """Puts the wire between them ``up`` or ``down``."""


@pytest.fixture
def two_hosts() -> Iterator[Hosts]:
    """Two network namespaces, joined by one wire, and by one each with this process."""
    names = [f"spore-{free_port()}-{number}" for number in (1, 2)]

    def ip(*arguments: str, within: str | None = None) -> None:
        inside = ["netns", "exec", within, "ip"] if within else []
        subprocess.run(["ip", *inside, *arguments], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces are not permitted here: {error}")
    try:
        ip("link", "add", "wire1", "netns", names[0], "type", "veth", "peer", "name", "wire2", "netns", names[1])
        for number, name in enumerate(names, 1):
            here = f"sp{name[6:]}"
            ip("link", "add", here, "type", "veth", "peer", "name", "home", "netns", name)
            ip("addr", "add", f"198.18.{number}.1/24", "dev", here)
            ip("link", "set", here, "up")
            for device, address in (
                ("lo", None),
                ("home", f"198.18.{number}.2/24"),
                (f"wire{number}", f"198.18.3.{number}/24"),
            ):
                if address is not None:
                    ip("addr", "add", address, "dev", device, within=name)
                ip("link", "set", device, "up", within=name)
        yield Hosts(names, lambda state: ip("link", "set", "wire1", state, within=names[0]))
    finally:
        for name in names:
            ip("netns", "del", name)


def test_what_a_cut_between_two_nodes_holds_up_arrives_when_they_are_joined_again(
    tmp_path: Path, two_hosts: Hosts
) -> None:
    """Each node has its own server, and the way between the servers is cut, without a word to either."""
    within = [("ip", "netns", "exec", name) for name in two_hosts.names]

    async def main() -> None:
        with cluster(tmp_path, ["198.18.1.2", "198.18.2.2"], within, ["198.18.3.1", "198.18.3.2"]) as servers:
            async with traffic(servers[0].address, servers[1].address) as flowing:
                for _ in range(2):
                    before = flowing.client.reconnects
                    two_hosts.set("down")
                    await until(lambda before=before: not flowing.client.session.ready)
                    two_hosts.set("up")
                    await flowing.moves()

    run(main)


class Valve:
    """Stands between a node and a server, and lets through what the server says, or holds it back."""

    def __init__(self) -> None:
        self.port = 0
        self.shut = False
        self._streams: list[trio.SocketStream] = []

    async def serve(self, server: NatsServer, *, task_status: trio.TaskStatus[None]) -> None:
        async def one(near: trio.SocketStream) -> None:
            far = await trio.open_tcp_stream(server.host, server.port)
            self._streams += [near, far]
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(self._pass, near, far, False)
                await self._pass(far, near, True)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), one, 0)
            self.port = listener.socket.getsockname()[1]
            task_status.started()

    async def _pass(self, source: trio.SocketStream, sink: trio.SocketStream, back: bool) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if not (back and self.shut):
                    await sink.send_all(data)

    async def cut(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        self._streams.clear()


def test_an_outage_longer_than_the_server_remembers_repeats_nothing(durable_server: NatsServer) -> None:
    """What the server has stored, and forgotten that it has, it stores twice; the numbers in the frames tell."""

    async def main() -> None:
        valve = Valve()
        async with trio.open_nursery() as nursery:
            await nursery.start(valve.serve, durable_server)
            streams = StreamOptions(duplicates_s=1)
            async with (
                node(durable_server.address, "alpha", streams=streams) as alpha,
                node(f"nats://127.0.0.1:{valve.port}", "beta", streams=streams) as beta,
            ):
                probe = await start_probe(alpha.bundle)
                alpha.client.attach(probe.ref, streams=("orders",))
                ref = beta.client.stream("orders")
                await ref.send(order(0))
                await beta.client.drain()
                valve.shut = True
                await ref.send(order(1))
                await probe.wait_for(2)  # it is stored, and its sender does not know
                await valve.cut()
                await trio.sleep(1.2)  # longer than `duplicates_s`, by the clock of a real server
                valve.shut = False
                await ref.send(order(2))
                await beta.client.drain()
                await probe.wait_for(3)
                assert numbers(probe.received) == [0, 1, 2]
                assert await stored(alpha, "orders") > 3  # or this example would show nothing
            nursery.cancel_scope.cancel()

    run(main)


def test_a_full_stream_holds_up_its_senders_until_there_is_room(
    durable_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once; a receiver that comes makes room, and everything arrives."""

    async def main() -> None:
        streams = StreamOptions(max_bytes=64 * 1024)
        async with node(durable_server.address, "beta", streams=streams) as beta:
            ref = beta.client.stream("orders")
            sent = 0

            async def flow() -> None:
                nonlocal sent
                while sent < 5_000:
                    await ref.send(order(sent))
                    sent += 1

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flow)
                await until(lambda: "takes nothing more" in caplog.text)
                await until(lambda: beta.client.statistics().outgoing[0].outstanding == WINDOW)
                assert sent < 5_000
                async with node(durable_server.address, "alpha", streams=streams) as alpha:
                    probe = await start_probe(alpha.bundle)
                    alpha.client.attach(probe.ref, streams=("orders",))
                    await probe.wait_for(5_000)
                    await beta.client.drain()
                    assert numbers(probe.received) == list(range(5_000))

    run(main)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR][:1]
    assert "stream orders takes nothing more; its senders wait: maximum bytes exceeded" in said
    assert "has room again" in caplog.text


def test_a_message_that_no_server_takes_is_refused_with_both_sizes(durable_server: NatsServer) -> None:
    """Where it goes to a stream. A link between nodes carries it in chunks."""

    async def main() -> None:
        big = OrderCancel(0, 0, "x" * 60_000)
        durable_server.kill()
        durable_server.settings["max_payload"] = 50_000
        durable_server.start()
        async with (
            node(durable_server.address, "alpha", streams=StreamOptions()) as alpha,
            node(durable_server.address, "beta", streams=StreamOptions()) as beta,
        ):
            probe = await start_probe(alpha.bundle)
            alpha.client.attach(probe.ref)
            client = await beta.client_of("alpha")
            await client.ref("probe").send(big)
            await probe.wait_for(1)
            ref = beta.client.stream("orders")
            with pytest.raises(LinkDenied, match=r"message 1 has 60,\d+ bytes, and the NATS server takes 49,\d+"):
                await send_often(ref, big)

    run(main)


async def send_often(ref: ActorRef[Any], message: Any) -> None:
    while True:
        await ref.send(message)
        await trio.sleep(0.01)


async def stored(node: Node, stream: str) -> int:
    """How many messages of NATS a stream has ever held."""
    connection = await node.nats.connection()
    info = await connection.ask(lambda jetstream: jetstream.stream_info(f"SPORE_system_{stream}"))
    return info.state.last_seq
