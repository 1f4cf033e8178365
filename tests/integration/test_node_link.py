"""The live feed's connections, with a node that misbehaves in each way that a network has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
from tests.evm_chain import POOLS, branch
from tests.fake_node import FakeNode
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from spore.errors import FeedError, UsageError
from spore.feeds import node_link
from spore.feeds.jsonrpc import NodeFeed
from spore.nursery_bundle import Supervision
from spore.services.messages import GasPrice


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_link, "QUIET_S", 0.2)
    monkeypatch.setattr(node_link, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(node_link, "CONNECT_ATTEMPTS", 3)
    monkeypatch.setattr(node_link, "BACKOFF", Supervision(backoff_s=0.001, backoff_max_s=0.01))


Serve = Callable[[WebSocketConnection], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def handle(request: WebSocketRequest) -> None:
        connection = await request.accept()
        with suppress(ConnectionClosed):
            await serve(connection)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


async def tell(told: list[Any], url: str, **options: Any) -> None:
    """Keep all that a feed tells, which is there even if the feed fails."""
    with trio.fail_after(20):
        async with NodeFeed(url, POOLS, **options) as feed:
            async for batch in feed.batches():
                told += batch


async def told_by(url: str, **options: Any) -> list[Any]:
    told: list[Any] = []
    await tell(told, url, **options)
    return told


def answering(node: FakeNode, *, answers: int = 1_000_000) -> Serve:
    """Answer so many requests, and then say nothing any more."""

    async def serve(connection: WebSocketConnection) -> None:
        left = answers
        while True:
            request = json.loads(await connection.get_message())
            if left:
                left -= 1
                answer = {"jsonrpc": "2.0", "id": request["id"]} | node.result(request["method"], request["params"])
                await connection.send_message(json.dumps(answer))

    return serve


def heights(messages: list[Any]) -> list[int]:
    return [message.block_number for message in messages if isinstance(message, GasPrice)]


async def test_a_silent_connection_is_replaced_and_nothing_is_told_twice() -> None:
    """A node that stops answering is asked once more, then another connection goes on where the first stopped."""
    node = FakeNode(branch(None, 12, salt=0))
    connections = 0

    async def serve(connection: WebSocketConnection) -> None:
        nonlocal connections
        connections += 1
        await answering(node, answers=10 if connections < 3 else 1_000)(connection)

    async with serving(serve) as url:
        told = await told_by(url, from_block=3, blocks=12)
    assert heights(told) == list(range(3, 15))
    assert connections == 3


async def test_a_quiet_chain_is_no_lost_connection() -> None:
    """Where nothing happens, asking for the newest block keeps the connection, and finds what was not announced."""
    node = FakeNode(branch(None, 2, salt=0))
    connections = asked = 0

    async def serve(connection: WebSocketConnection) -> None:
        nonlocal connections, asked
        connections += 1
        while True:
            request = json.loads(await connection.get_message())
            if request["params"][:1] == ["latest"]:
                asked += 1
                if asked == 4:
                    node.chain = node.chain + branch(node.chain[-1], 1, salt=1)
            answer = {"jsonrpc": "2.0", "id": request["id"]} | node.result(request["method"], request["params"])
            await connection.send_message(json.dumps(answer))

    async with serving(serve) as url:
        assert heights(await told_by(url, from_block=3, blocks=3)) == [3, 4, 5]
    assert connections == 1


async def test_nonsense_ends_the_feed_after_what_came_before() -> None:
    """What was told before is handed on; the error names the node and what it said."""
    node = FakeNode(branch(None, 4, salt=0))
    told: list[Any] = []

    async def serve(connection: WebSocketConnection) -> None:
        while True:
            request = json.loads(await connection.get_message())
            answer = node.result(request["method"], request["params"])
            if request["params"][:1] == ["0x5"]:
                answer = {"result": {"number": "five"}}
            await connection.send_message(json.dumps({"jsonrpc": "2.0", "id": request["id"]} | answer))

    async with serving(serve) as url:
        with pytest.raises(FeedError) as caught:
            await tell(told, url, from_block=3)
    assert caught.value.source == url
    assert caught.value.reason == "number: 'five' is no quantity such as 0x1b4"
    assert heights(told) in ([], [3], [3, 4])


async def test_what_an_answer_completes_is_handed_on_before_what_it_cannot() -> None:
    """A bad block that came too early is an error only after the good one before it is told."""
    node = FakeNode(branch(None, 2, salt=0, transactions=[(((0, 1),),), (((1, 2),),)]))
    told: list[Any] = []

    async def serve(connection: WebSocketConnection) -> None:
        logs: list[dict[str, Any]] = []
        while True:
            request = json.loads(await connection.get_message())
            answer = {"jsonrpc": "2.0", "id": request["id"]} | node.result(request["method"], request["params"])
            if request["method"] == "eth_getLogs":
                logs.append(answer)
                if len(logs) == 2:
                    logs[1]["result"][0]["data"] = "0x"
                    for each in reversed(logs):
                        await connection.send_message(json.dumps(each))
            else:
                await connection.send_message(json.dumps(answer))

    async with serving(serve) as url:
        with pytest.raises(FeedError, match="data: '0x' is not 0x and 128 hex digits"):
            await tell(told, url, from_block=3)
    assert heights(told) == [3]
    assert len(told) == 5


async def test_a_node_that_cannot_be_reached_is_an_error_at_once() -> None:
    """Where nothing listens, or no node does, the error says so."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(FeedError, match=rf"ws://127.0.0.1:{port}: no connection to the node: .*{port}"):
        await told_by(f"ws://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "refused with HTTP status 404"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it does not answer as a node does"),
        (b"", "it does not answer as a node does"),
    ],
)
async def test_what_is_no_websocket_is_an_error(reply: bytes, reason: str) -> None:
    """Another server, and one that closes during the handshake, are told from a node."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4_096)
        if reply:
            await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        with pytest.raises(FeedError, match=f"no connection to the node: {reason}"):
            await told_by(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        nursery.cancel_scope.cancel()


async def test_a_node_that_went_away_for_long_is_given_up() -> None:
    """After so many attempts in a row the feed ends with an error, and what it had told stays told."""
    gone = trio.Event()

    class Told(list[Any]):
        def __iadd__(self, batch: Any) -> Told:  # type: ignore[misc, override]
            super().__iadd__(batch)
            if len(heights(self)) == 3:
                gone.set()
            return self

    told = Told()

    async def be_there_until_gone(task_status: trio.TaskStatus[str]) -> None:
        async with serving(answering(FakeNode(branch(None, 3, salt=0)))) as url:
            task_status.started(url)
            await gone.wait()

    async with trio.open_nursery() as nursery:
        url = await nursery.start(be_there_until_gone)
        with pytest.raises(FeedError, match="no connection to the node"):
            await tell(told, url, from_block=3)
    assert heights(told) == [3, 4, 5]


async def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has a limit, and another connection would not change it."""
    monkeypatch.setattr(node_link, "MESSAGE_LIMIT", 1_000)

    async def serve(connection: WebSocketConnection) -> None:
        await connection.send_message("x" * 2_000)
        await connection.get_message()

    async with serving(serve) as url:
        with pytest.raises(FeedError, match="an answer of more than 1000 bytes"):
            await told_by(url)


async def test_leaving_the_feed_ends_everything() -> None:
    """The block can be left at any time, and a feed is read once, inside of its block."""
    async with serving(answering(FakeNode(branch(None, 3, salt=0)))) as url:
        feed = NodeFeed(url, POOLS)
        with pytest.raises(UsageError, match="inside of `async with`"):
            async with aclosing(feed.batches()) as batches:
                await batches.__anext__()
        async with feed, aclosing(feed.batches()) as batches:
            assert heights(list(await batches.__anext__())) == [5]
        with pytest.raises(UsageError, match="is read once"):
            async with feed:
                pass
