"""Whoever comes to a listener, and however many: what is held stays bounded, others are served, and the log stays short."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from tests.controlled import TEXT, running, short_folder
from tests.made_up_system import MadeUpSystem
from tests.strangers import drawn_http, drawn_lines

from spore.deploy.control import MAX_CLIENTS
from spore.deploy.control_client import open_control
from spore.deploy.control_socket import socket_path
from spore.observe import listen
from spore.observe.dashboard import Board, ConfigButtons, open_dashboard
from spore.observe.listen import Access, Place, open_site
from spore.observe.metrics import metrics_app
from spore.observe.runs import Runs

HERE = Place("127.0.0.1", 0)
TOKEN = "secret"
INPUTS = 10_000
"""For each listener: half of them where a token is asked for, half where none is."""
AT_ONCE = 40
CROWD = 500
SITES = ("dashboard", "dashboard for all", "metrics", "metrics for all")


@pytest.fixture
def folder(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        (folder / "system.toml").write_text(TEXT)
        yield folder


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO)
    yield
    assert len(caplog.records) <= 1, caplog.text  # all are one peer, and none of this takes a minute
    assert "could not be answered" not in caplog.text
    assert TOKEN not in caplog.text
    assert "Traceback" not in caplog.text


@asynccontextmanager
async def site(which, folder):
    """One of the sites; yields its port."""
    access = Access(token=TOKEN) if not which.endswith("for all") else Access()
    if which.startswith("dashboard"):
        config = folder / "system.toml"
        buttons = ConfigButtons(config, socket_path(config))
        served = open_dashboard(
            Board(MadeUpSystem(), name="x", runs=Runs(folder), buttons=buttons), HERE, access=access
        )
    else:
        served = open_site(metrics_app(MadeUpSystem()), HERE, access, name="metrics")
    async with served as url:
        yield int(url.partition("/?")[0].rstrip("/").rpartition(":")[2])


async def get(port, path="/"):
    """The status for one who knows the token."""
    request = (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    )
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request.encode())
        answer = b"".join([data async for data in stream])
    return int(answer.split()[1])


async def connected(port):
    sock = trio.socket.socket(socket.AF_INET)
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


async def say(stream, data):
    """Send it, end, and read what comes back; a server may close before it has read all."""
    try:
        await stream.send_all(data)
        await stream.send_eof()
        async for _ in stream:
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(stream)


async def play(inputs, connect):
    """Some at a time, until all have come and gone."""
    async with trio.open_nursery() as nursery:

        async def some():
            for data in inputs:
                await say(await connect(), data)

        for _ in range(AT_ONCE):
            nursery.start_soon(some)


@pytest.mark.long
@pytest.mark.parametrize("which", SITES)
async def test_whatever_is_sent_to_a_site_others_are_served(which, folder):
    """Thousands of connections, each with bytes of its own."""
    async with site(which, folder) as port:
        with trio.fail_after(100):
            await play(
                drawn_http(INPUTS // 2, seed=SITES.index(which), host=f"127.0.0.1:{port}".encode()),
                lambda: connected(port),
            )
        assert await get(port) == 200


@pytest.mark.long
async def test_whatever_is_sent_to_a_control_socket_others_are_served(folder):
    """Ten thousand connections, each with lines of its own; the system is as it was."""
    config = folder / "system.toml"
    async with running(config) as system:
        path = str(socket_path(config))
        with trio.fail_after(100):
            await play(drawn_lines(INPUTS), lambda: trio.open_unix_socket(path))  # noqa: ASYNC105 - entered below
        async with open_control(socket_path(config), config) as control:
            assert len((await control.status()).bundles) == 2
        assert {bundle for bundle, *_ in system.asked} <= {"none"}
        assert not system.drained.is_set()


@pytest.mark.parametrize("which", SITES)
@pytest.mark.parametrize(
    "says", ["nothing", "half a request", "a request without its body", "a request, and reads nothing"]
)
async def test_a_crowd_that_stays_keeps_nobody_out(which, says, folder):
    """Five hundred connections at once that are not closed: somebody who comes after them is served."""
    async with site(which, folder) as port, AsyncExitStack() as stack:
        begin = f"host: 127.0.0.1:{port}\r\n"
        said = {
            "nothing": "",
            "half a request": f"GET / HTTP/1.1\r\n{begin}x: ",
            "a request without its body": f"POST /login HTTP/1.1\r\n{begin}content-length: 4000\r\n\r\ntoken=",
            "a request, and reads nothing": f"GET / HTTP/1.1\r\n{begin}\r\n",
        }[says]
        with trio.fail_after(60):
            for _ in range(CROWD):
                stream = await connected(port)
                stack.callback(stream.socket.close)
                await stream.send_all(said.encode())
            assert await get(port) == 200
            if which.startswith("metrics"):
                assert await get(port, "/metrics") == 200


async def test_no_more_connections_are_held_than_there_is_room_for(folder, monkeypatch):
    """The others wait in the system's queue, and are served when those have gone."""
    held = []
    reception = listen.Reception

    class Counting(reception):
        async def _attend(self, *given):
            held.append(self.held)
            await super()._attend(*given)

    monkeypatch.setattr(listen, "Reception", Counting)
    async with site("metrics", folder) as port, trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(get, port)
    assert max(held) <= listen.MAX_CONNECTIONS


@pytest.mark.parametrize("which", SITES)
async def test_who_closes_at_once_is_no_news(which, folder, caplog):
    """Fifty requests of people who do not wait for the answer."""
    async with site(which, folder) as port:
        for path in ("/", "/metrics", "/do/drain", "/login", "/events"):
            for method in ("POST", "GET"):
                for body in (b"", b"x" * 60_000):
                    for _ in range(5):
                        stream = await connected(port)
                        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 60000\r\n\r\n"
                        await stream.send_all(head.encode() + body)
                        stream.socket.close()
        assert await get(port) == 200
    assert caplog.records == []


async def test_a_crowd_at_a_control_socket_keeps_nobody_out(folder, autojump_clock):
    """Of five hundred clients that stay and ask for nothing, those too many are answered, and after a moment all make room."""
    config = folder / "system.toml"
    path = str(socket_path(config))
    async with running(config), AsyncExitStack() as stack:
        streams = [await trio.open_unix_socket(path) for _ in range(CROWD)]
        for stream in streams:
            stack.callback(stream.socket.close)
        answers = [await stream.receive_some() for stream in streams[MAX_CLIENTS:]]
        assert {json.loads(answer)["text"] for answer in answers} == {f"{MAX_CLIENTS} clients are here already"}
        await trio.sleep(2)
        for _ in range(MAX_CLIENTS + 1):
            control = await stack.enter_async_context(open_control(socket_path(config), config))
            assert len((await control.status()).bundles) == 2
