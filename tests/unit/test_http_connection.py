"""The limits of one connection, in memory and by a clock that jumps."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from spore.observe.http_connection import LEFT_BYTES, Connection
from spore.observe.http_exchange import Limits

LIMITS = Limits()
HEAD = b"host: x\r\n"


class Client:
    """A client, the application that answers it, and what was noted of either."""

    def __init__(self) -> None:
        self.end, theirs = trio.testing.memory_stream_pair()
        self.bad, self.seen, self.answered = [], [], 0
        facts = {"scheme": "http", "client": ("x", 1), "server": ("y", 2)}
        self.connection = Connection(theirs, self.app, facts, limits=LIMITS, on_idle=self.idle, bad=self.bad.append)
        self.theirs = theirs
        self.ended = trio.Event()

    def idle(self) -> None:
        self.answered += 1

    async def run(self) -> None:
        try:
            await self.connection.run()
        finally:
            self.ended.set()
            await trio.aclose_forcefully(self.theirs)

    async def app(self, scope, receive, send) -> None:
        """Reads what there is of a body, and answers with its length; with more than anybody takes at ``/much``."""
        body = b""
        if scope["path"] != "/unread":
            while True:
                message = await receive()
                self.seen.append(message["type"])
                if message["type"] == "http.disconnect":
                    raise RuntimeError("the client has gone")
                body += message["body"]
                if not message["more_body"]:
                    break
        if scope["path"] == "/breaks":
            raise ValueError("a defect")
        events = scope["path"] == "/events"
        kind = b"text/event-stream" if events else b"text/plain"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for _ in range(1_000 if scope["path"] in {"/much", "/events"} else 0):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            if events:
                await trio.sleep(1)
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    async def say(self, data: bytes) -> None:
        await self.end.send_all(data)

    async def hear(self) -> bytes:
        """All, to the end."""
        heard = b""
        try:
            async for data in self.end:
                heard += data
        except trio.BrokenResourceError:
            pass
        return heard


@pytest.fixture
async def client(autojump_clock, nursery) -> Client:
    made = Client()
    nursery.start_soon(made.run)
    return made


async def test_one_connection_has_many_requests(client):
    """As they come, also several at once, and byte by byte; and what comes ahead is kept."""
    await client.say(b"POST / HTTP/1.1\r\n" + HEAD + b"content-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" + HEAD + b"\r\n")
    for byte in b"POST / HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":
        await client.say(bytes([byte]))
    await client.say(b"HEAD / HTTP/1.1\r\n" + HEAD + b"connection: close\r\n\r\n")
    await client.end.send_eof()
    heard = await client.hear()
    assert heard.count(b"HTTP/1.1 200") == 4
    assert client.bad == []


@pytest.mark.parametrize(
    ("said", "status", "after_s"),
    [
        (b"", b"", LIMITS.head_s),
        (b"GET / HTTP/1.1\r\n" + HEAD, b"408", LIMITS.head_s),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"content-length: 900\r\n\r\n", b"408", LIMITS.body_s),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\nfff\r\n", b"408", LIMITS.body_s),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"expect: 100-continue\r\ncontent-length: 900\r\n\r\n", b"408", LIMITS.body_s),
    ],
)
async def test_who_does_not_come_to_the_end_is_not_waited_for(client, said, status, after_s):
    """Headers and bodies have a time as a whole: a byte now and then does not make it longer."""
    began = trio.current_time()

    async def drip() -> None:
        while said:
            await trio.sleep(0.9)
            await client.say(b"a")

    async with trio.open_nursery() as nursery:
        await client.say(said)
        nursery.start_soon(drip)
        heard = await client.hear()
        nursery.cancel_scope.cancel()
    assert status in heard
    assert bool(heard) == bool(said)
    assert after_s <= trio.current_time() - began <= after_s + LIMITS.left_s + 0.1


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + HEAD + b"x: " + b"y" * 40_000, 431),
        (b"GET /" + b"a" * 40_000, 431),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"content-length: 65537\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65_537, 413),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01 hello\r\n\r\n", 400),
    ],
)
async def test_what_is_too_large_or_no_request_is_refused(client, said, status):
    """In one answer; it is noted once, and the connection ends. What is still coming is read for a moment, so that the answer arrives."""
    await client.say(said)
    heard = await client.hear()
    assert heard.startswith(b"HTTP/1.1 ")
    assert heard[9:12] == str(status).encode()
    assert b"connection: close" in heard.lower()
    assert len(client.bad) == 1


async def test_other_protocols_are_not_spoken(client):
    """Asked for HTTP/2 or a WebSocket, the answer is that to a plain request."""
    for upgrade in (
        b"h2c\r\nhttp2-settings: AAMAAABk",
        b"websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==",
    ):
        await client.say(
            b"GET /unread HTTP/1.1\r\n" + HEAD + b"connection: upgrade\r\nupgrade: " + upgrade + b"\r\n\r\n"
        )
    await client.say(b"GET / HTTP/1.1\r\n" + HEAD + b"connection: close\r\n\r\n")
    heard = await client.hear()
    assert b"101" not in heard
    assert heard.startswith(b"HTTP/1.1 200")


async def test_an_answer_does_not_wait_for_a_body_that_nobody_reads(client):
    """It may never come. So much of it is read as the client needs to see the answer, and no more."""
    began = trio.current_time()
    await client.say(b"POST /unread HTTP/1.1\r\n" + HEAD + b"content-length: 60000\r\n\r\nabc")
    heard = await client.hear()
    assert heard.startswith(b"HTTP/1.1 200")
    await client.ended.wait()
    assert trio.current_time() - began <= LIMITS.left_s + 0.1
    assert LIMITS.body_bytes < LEFT_BYTES


async def test_who_takes_nothing_is_given_up(autojump_clock):
    """The application learns it, and its answer goes nowhere; or goes on to come, to who takes some of it in time."""
    for path, takes, least_s in (
        ("/much", False, LIMITS.take_s),
        ("/much", True, LIMITS.answer_s),
        ("/events", True, 600),
    ):
        client = Client()
        began = trio.current_time()
        stuck, theirs = trio.testing.lockstep_stream_pair()
        client.connection = Connection(
            theirs, client.app, {}, limits=LIMITS, on_idle=client.idle, bad=client.bad.append
        )
        client.theirs = theirs
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            await stuck.send_all(f"GET {path} HTTP/1.1\r\n".encode() + HEAD + b"\r\n")

            async def take(stuck=stuck, client=client) -> None:
                while not client.ended.is_set():
                    await trio.sleep(1)
                    try:
                        await stuck.receive_some(70_000)
                    except trio.ClosedResourceError:
                        return

            if takes:
                nursery.start_soon(take)
            with trio.move_on_after(700):
                await client.ended.wait()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began >= least_s
        if path == "/much":
            assert trio.current_time() - began <= least_s + 2
        assert client.bad == []


async def test_what_an_application_raises_for_a_client_that_has_gone_is_no_news(autojump_clock):
    """For one that is there it is: that one is answered, and the error comes out."""
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await client.say(b"POST / HTTP/1.1\r\n" + HEAD + b"content-length: 9\r\n\r\nabc")
        await trio.testing.wait_all_tasks_blocked()
        await client.end.aclose()
    assert client.seen[-1] == "http.disconnect"
    assert client.bad == []
    client = Client()
    await client.say(b"GET /breaks HTTP/1.1\r\n" + HEAD + b"\r\n")
    with pytest.raises(ValueError, match="a defect"):
        await client.run()
    assert (await client.end.receive_some()).startswith(b"HTTP/1.1 500")
