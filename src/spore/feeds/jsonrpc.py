"""``jsonrpc:ws://…``: a live Ethereum node, over as many connections as it takes.

One task owns the connection and is the only one that touches the protocol's state; what it makes of the chain goes
through a channel without a buffer, so that a slow reader slows the node down and nothing piles up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trio

from spore.distribution import missing
from spore.errors import FeedError, UsageError
from spore.feeds.chain_follower import ChainFollower
from spore.feeds.evm import LogDecoder
from spore.feeds.feed import Account, Feed
from spore.feeds.options import check_options, whole_number
from spore.feeds.pools import Pools
from spore.services.messages import MarketMessage

__all__ = ["NodeFeed"]

_OPTIONS = ("pools", "from_block", "to_block", "blocks", "confirmations")


class NodeFeed(Feed):
    """Swaps and syncs of pools as a node learns of them, and what gas costs. Use it as an async context manager.

    ::

        async with NodeFeed("ws://127.0.0.1:8545", pools) as feed:
            async for batch in feed.batches(): ...

    A batch is at least one whole block. The account counts the logs of blocks that were told, not their announcements.
    """

    def __init__(
        self,
        url: str,
        pools: Pools,
        *,
        from_block: int | None = None,
        to_block: int | None = None,
        blocks: int | None = None,
        confirmations: int = 0,
    ) -> None:
        """
        Args:
            url: of the node's WebSocket.
            pools: what to tell about.
            from_block: the first block to tell; by default the newest.
            to_block: the last one; by default there is none.
            blocks: how many, instead of ``to_block``.
            confirmations: how many blocks must stand on a block before it is told.

        Raises:
            UsageError: for arguments that do not fit, or without trio-websocket.
        """
        try:
            from spore.feeds.node_link import NodeLink  # noqa: PLC0415 - what it needs may be missing
        except ModuleNotFoundError as error:
            if error.name != "trio_websocket":
                raise
            raise UsageError(missing("jsonrpc:", "trio-websocket", "live")) from None
        if to_block is not None and blocks is not None:
            raise UsageError("jsonrpc: to_block and blocks both say where to end; give one of them")
        if to_block is not None and from_block is not None and to_block < from_block:
            raise UsageError(f"jsonrpc: to_block={to_block} is before from_block={from_block}")
        self.name = f"jsonrpc:{_public(url)}"
        self._account = Account()
        follower = ChainFollower(
            LogDecoder(pools, self._account),
            first=from_block,
            last=to_block,
            count=blocks,
            confirmations=confirmations,
        )
        self._send, self._receive = trio.open_memory_channel[Sequence[MarketMessage]](0)
        self._link = NodeLink(url, source=_public(url), pools=pools, follower=follower, hand_on=self._send.send)
        self._stack: AsyncExitStack | None = None
        self._failure: FeedError | None = None

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """What ``jsonrpc:URL?pools=PATH`` means.

        Raises:
            UsageError: for an option that there is not, that has no such value, or that is missing.
            FeedError: if the list of pools is wrong.
        """
        check_options("jsonrpc", options, _OPTIONS)
        if "pools" not in options:
            raise UsageError("jsonrpc: says nothing about pools; write jsonrpc:URL?pools=PATH")
        return cls(
            rest,
            Pools.load(Path(options["pools"])),
            from_block=whole_number("jsonrpc", options, "from_block"),
            to_block=whole_number("jsonrpc", options, "to_block"),
            blocks=whole_number("jsonrpc", options, "blocks", least=1),
            confirmations=whole_number("jsonrpc", options, "confirmations") or 0,
        )

    @property
    def account(self) -> Account:
        return self._account

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise UsageError(f"{self.name} is read once")
        self._stack = AsyncExitStack()
        nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # The nursery is not told of the body's exception, because it would make a group of it.
        if self._stack is not None:
            await self._stack.aclose()
        return None

    async def batches(self) -> AsyncIterator[Sequence[MarketMessage]]:
        if self._stack is None:
            raise UsageError(f"{self.name} is read inside of `async with`")
        async for batch in self._receive:
            yield batch
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        async with self._send:
            try:
                await self._link.run()
            except FeedError as error:
                self._failure = error


def _public(url: str) -> str:
    """A URL without the path, in which providers put their keys."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"jsonrpc: {error} in the node's URL") from None
    if parts.scheme not in {"ws", "wss"} or not host:
        raise UsageError("jsonrpc: no URL of a WebSocket; write jsonrpc:ws://HOST:PORT or jsonrpc:wss://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise UsageError("jsonrpc: the node's URL has a user or a password, which would not be sent; leave them out")
    place = f"[{host}]" if ":" in host else host
    hidden = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{place}" + (f":{port}" if port is not None else "") + hidden
