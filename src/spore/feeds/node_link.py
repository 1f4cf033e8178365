"""The connections to a node: one after another, each a WebSocket that carries a `NodeSession`.

All that is decided here is when: how long to wait before another attempt, and when a connection counts as dead. What
is told is the follower's, which outlives the connections.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import trio

from spore.distribution import needs
from spore.errors import FeedError
from spore.feeds.chain_follower import ChainFollower
from spore.feeds.node_session import NodeSession
from spore.feeds.pools import Pools
from spore.nursery_bundle import Supervision
from spore.services.messages import MarketMessage

with needs("live"):
    from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

__all__ = ["BACKOFF", "CONNECT_ATTEMPTS", "MESSAGE_LIMIT", "QUIET_S", "NodeLink"]

BACKOFF = Supervision(backoff_s=0.1, backoff_max_s=10.0, jitter=0.3)
"""How long to wait before another attempt to connect, or to have an answer."""
CONNECT_ATTEMPTS = 20
"""In a row, after which a node that could be reached once is given up: some two minutes."""
CONNECT_TIMEOUT_S = 10.0
"""For the connection, and again for its handshake. A server that closes during the handshake is noticed by this."""
CLOSE_TIMEOUT_S = 1.0
"""For the close handshake. Nothing is lost without it."""
QUIET_S = 30.0
"""After so long without a word the node is asked for one, and after as long again the connection counts as dead."""
MESSAGE_LIMIT = 64 << 20
"""Bytes in one answer. All logs of a full Ethereum block are a few hundred KB."""
_TOO_BIG = 1009
"""The close code for a larger one: RFC 6455, section 7.4.1."""


class NodeLink:
    """Keeps a follower connected, and hands on what it tells."""

    def __init__(
        self,
        url: str,
        *,
        source: str,
        pools: Pools,
        follower: ChainFollower,
        hand_on: Callable[[Sequence[MarketMessage]], Awaitable[None]],
    ) -> None:
        self._url = url
        self._source = source
        self._pools = pools
        self._follower = follower
        self._hand_on = hand_on
        self._chances = random.Random()  # noqa: S311 - for jitter

    async def run(self) -> None:
        """Go on until the follower is done.

        Cancellation: always a checkpoint; what was handed on are whole blocks.

        Raises:
            FeedError: if the node cannot be reached at first, or not for long, or makes no sense.
        """
        attempt, reached = 0, False
        while True:
            session = NodeSession(self._follower, self._pools)
            lost = await self._connect(session)
            if self._follower.done:
                return
            reached = reached or session.ready
            attempt = 1 if session.ready else attempt + 1
            if not reached or attempt > CONNECT_ATTEMPTS:
                raise FeedError(self._source, f"no connection to the node: {lost}")
            await self._wait(attempt)

    async def _connect(self, session: NodeSession) -> str:
        """Use one connection until it is lost or not needed any more, and say how it ended."""
        parts = urlsplit(self._url)
        host, tls = parts.hostname or "", parts.scheme == "wss"
        port = parts.port or (443 if tls else 80)
        # The stream is opened and closed here: trio-websocket leaves one open that the other side has cut.
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                if tls:
                    stream = await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True)
                else:
                    stream = await trio.open_tcp_stream(host, port)
        except (OSError, trio.BrokenResourceError) as error:
            return str(error) or type(error).__name__
        except trio.TooSlowError:
            return f"no connection within {CONNECT_TIMEOUT_S:g} s"
        try:
            return await self._use(stream, session, host=parts.netloc)
        finally:
            await trio.aclose_forcefully(stream)

    async def _use(
        self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream], session: NodeSession, *, host: str
    ) -> str:
        parts = urlsplit(self._url)
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        outcome: str | FeedError = "ended"
        try:
            async with trio.open_nursery() as nursery:  # for the task that reads
                try:
                    with trio.fail_after(CONNECT_TIMEOUT_S):
                        connection = await wrap_client_stream(
                            nursery, stream, host, resource, max_message_size=MESSAGE_LIMIT
                        )
                    await self._talk(connection, session)
                    with trio.move_on_after(CLOSE_TIMEOUT_S):
                        await connection.aclose()
                except ConnectionClosed as error:
                    outcome = self._closed(error)
                except trio.TooSlowError:
                    outcome = f"silent for {2 * QUIET_S:g} s" if session.ready else "it does not answer as a node does"
                except FeedError as error:
                    outcome = error
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as rejections:  # raised by the task that reads
            statuses = [error.status_code for error in rejections.exceptions if isinstance(error, ConnectionRejected)]
            outcome = f"refused with HTTP status {statuses[0]}"
        if isinstance(outcome, FeedError):
            raise outcome
        return outcome

    def _closed(self, error: ConnectionClosed) -> str | FeedError:
        if error.reason is None:
            return "closed"
        if error.reason.code == _TOO_BIG:
            return FeedError(self._source, f"an answer of more than {MESSAGE_LIMIT} bytes")
        return f"closed, {error.reason.code} {error.reason.name}"

    async def _talk(self, connection: WebSocketConnection, session: NodeSession) -> None:
        asked = False
        while True:
            await self._send(connection, session)
            await self._hand_on_all()
            if self._follower.done:
                return
            text: str | bytes | None = None
            with trio.move_on_after(QUIET_S):
                text = await connection.get_message()
            if text is not None:
                await self._receive(session, text)
            elif asked or not session.ready:
                raise trio.TooSlowError
            else:
                self._follower.check()
            asked = text is None

    async def _send(self, connection: WebSocketConnection, session: NodeSession) -> None:
        try:
            outgoing = session.take_outgoing()
        except ValueError as error:
            raise FeedError(self._source, str(error)) from None
        for request in outgoing:
            if request.attempt > 1:
                await self._wait(request.attempt - 1)
            await connection.send_message(request.text)

    async def _receive(self, session: NodeSession, text: str | bytes) -> None:
        nonsense: FeedError | None = None
        try:
            session.receive(text)
        except ValueError as error:
            nonsense = FeedError(self._source, str(error))
        if nonsense is not None:
            await self._hand_on_all()
            raise nonsense

    async def _hand_on_all(self) -> None:
        messages = self._follower.take_messages()
        if messages:
            await self._hand_on(messages)

    async def _wait(self, attempt: int) -> None:
        await trio.sleep(BACKOFF.backoff(attempt, self._chances.random()))
