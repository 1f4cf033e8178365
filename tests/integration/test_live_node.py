"""The live feed against a real node and the published Uniswap V2 contracts."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.local_chain import CallFailed, Market, NodeFiles, node_files, open_chain, open_market

import spore
from spore.errors import FeedError
from spore.feeds.evm import OTHER_EVENTS, SWAP, SYNC
from spore.feeds.evm_logs import EvmLogsFeed
from spore.feeds.jsonrpc import NodeFeed
from spore.feeds.pools import Pools
from spore.services import (
    ExecutionActor,
    MarketDataActor,
    MarketDataProcessor,
    PaperExecution,
    SignalGenerator,
    SignalGeneratorActor,
)
from spore.services.messages import ArbitrageSignal, ChainReorg, GasPrice, PoolSync, TransactionEnd
from spore.testing import start_probe

__all__ = ["node_files"]

ETHER = 10**18


class Listener:
    """Reads a feed, and keeps what it tells."""

    def __init__(self, also: Callable[[Sequence[Any]], Awaitable[None]] | None = None) -> None:
        self.told: list[Any] = []
        self.also = also
        self.ended = trio.Event()
        self._more = trio.Condition()

    async def read(self, feed: NodeFeed) -> None:
        async for batch in feed.batches():
            if self.also is not None:
                await self.also(batch)
            self.told += batch
            async with self._more:
                self._more.notify_all()
        self.ended.set()

    async def wait_for(self, condition: Callable[[list[Any]], bool]) -> None:
        with trio.fail_after(60):
            async with self._more:
                while not condition(self.told):
                    await self._more.wait()

    async def wait_told(self, block: int) -> None:
        """Wait until the block is the last one told."""
        await self.wait_for(lambda told: bool(told) and told[-1].block_number == block)

    def reserves(self, market: Market) -> dict[str, tuple[int, int]]:
        """Each pair's, after what was told and not taken back."""
        left: list[PoolSync] = []
        for message in self.told:
            if isinstance(message, ChainReorg):
                left = [sync for sync in left if sync.block_number <= message.block_number]
            elif isinstance(message, PoolSync):
                left.append(message)
        venues = {pair: venue for venue, pair in market.pairs.items()}
        return {venues[f"0x{sync.pool.hex()}"]: (sync.reserve0, sync.reserve1) for sync in left}


@asynccontextmanager
async def listening(
    market: Market,
    *,
    url: str | None = None,
    also: Callable[[Sequence[Any]], Awaitable[None]] | None = None,
    **options: Any,
) -> AsyncIterator[Listener]:
    listener = Listener(also)
    feed = NodeFeed(url or market.chain.url, Pools.from_data(market.pools()), from_block=market.first_block, **options)
    async with feed, trio.open_nursery() as nursery:
        nursery.start_soon(listener.read, feed)
        yield listener
        nursery.cancel_scope.cancel()
    account = feed.account
    assert account.read == account.used + sum(account.skipped.values())


async def all_told(feed: NodeFeed) -> list[Any]:
    async with feed:
        return [message async for batch in feed.batches() for message in batch]


async def real_reserves(market: Market, *, block: int | None = None) -> dict[str, tuple[int, int]]:
    return {venue: await market.reserves(venue, block=block) for venue in market.pairs}


async def trade_at_random(market: Market, chances: random.Random, *, blocks: int) -> None:
    """Some blocks of some swaps each."""
    for _ in range(blocks):
        reserves = await real_reserves(market)
        for _ in range(chances.randrange(4)):
            venue = chances.choice(sorted(reserves))
            token_in, amount_in = chances.randrange(2), chances.randrange(1, 5 * ETHER)
            _, reserves[venue] = await market.trade(
                venue, token_in=token_in, amount_in=amount_in, reserves=reserves[venue]
            )
        await market.chain.mine()
        assert await real_reserves(market) == reserves


async def start(market: Market) -> None:
    """A block in which both pairs get liquidity, at prices that are apart."""
    await market.fund("A", 500 * ETHER, 1_000 * ETHER)
    await market.fund("B", 300 * ETHER, 700 * ETHER)
    await market.chain.mine()


async def test_live_messages_are_what_the_chain_did(node_files: NodeFiles, tmp_path: Path) -> None:
    """Reserves after each block are the contracts' own, gas prices the node's, and a recording gives the same."""
    async with open_market(node_files) as market:
        await start(market)
        async with listening(market) as listener:
            await trade_at_random(market, random.Random(1), blocks=12)
            last = await market.chain.height()
            await listener.wait_told(last)
        for block in range(market.first_block, last + 1):
            seen = Listener()
            seen.told = [message for message in listener.told if message_block(message) <= block]
            assert seen.reserves(market) == await real_reserves(market, block=block)
            head = await market.chain.rpc("eth_getBlockByNumber", hex(block), False)
            time_ns = int(head["timestamp"], 16) * 10**9
            price = GasPrice(time_ns, block, int(head["baseFeePerGas"], 16), 0)
            assert [m for m in listener.told if isinstance(m, GasPrice) and m.block_number == block] == [price]
        logs = await market.chain.rpc("eth_getLogs", {"fromBlock": hex(market.first_block), "toBlock": hex(last)})
        (tmp_path / "logs.jsonl").write_text("".join(json.dumps(log) + "\n" for log in logs))
        (tmp_path / "pools.json").write_text(json.dumps(market.pools()))
        recorded = list(EvmLogsFeed.from_spec(str(tmp_path / "logs.jsonl"), {}).messages())
        assert [message for message in listener.told if not isinstance(message, GasPrice)] == recorded
        assert sum(isinstance(message, TransactionEnd) for message in recorded) > 10


def message_block(message: Any) -> int:
    return getattr(message, "block_number", 0)


async def test_catching_up_tells_what_listening_would_have(node_files: NodeFiles) -> None:
    """A feed that begins late, and ends by itself, tells the same as one that was there."""
    async with open_market(node_files) as market:
        await start(market)
        async with listening(market) as there:
            await trade_at_random(market, random.Random(2), blocks=25)
            last = await market.chain.height()
            await there.wait_told(last)
        async with listening(market, to_block=last) as late:
            with trio.fail_after(60):
                await late.ended.wait()
        assert late.told == there.told


async def test_a_reorganisation_rolls_back_and_goes_on_right(node_files: NodeFiles) -> None:
    """What the node takes back is taken back, and what it does then is told."""
    async with open_market(node_files) as market:
        await start(market)
        async with listening(market) as listener:
            await trade_at_random(market, random.Random(3), blocks=6)
            height = await market.chain.height()
            await listener.wait_told(height)
            before = await real_reserves(market, block=height - 4)
            assert listener.reserves(market) != before
            await market.chain.rpc("anvil_reorg", 4, [])
            assert await real_reserves(market) == before
            await listener.wait_for(lambda told: any(isinstance(message, ChainReorg) for message in told))
            assert listener.reserves(market) == before
            await trade_at_random(market, random.Random(4), blocks=3)
            await listener.wait_told(await market.chain.height())
            assert listener.reserves(market) == await real_reserves(market)
        reorgs = [message for message in listener.told if isinstance(message, ChainReorg)]
        assert [reorg.block_number for reorg in reorgs] == [height - 4]
        times = [message.event_time_ns for message in listener.told]
        assert times == sorted(times)


class Proxy:
    """Stands between the feed and the node, and can be cut."""

    def __init__(self, port: int, nursery: trio.Nursery) -> None:
        self.port = 0
        self._node_port = port
        self._nursery = nursery
        self._scope = trio.CancelScope()

    async def join(self) -> None:
        """Let connections through, on the same port each time."""
        self._scope = trio.CancelScope()
        self.port = await self._nursery.start(self._serve)

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._scope.cancel()

    async def _serve(self, task_status: trio.TaskStatus[int]) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
                task_status.started(listeners[0].socket.getsockname()[1])
                await trio.serve_listeners(self._carry, listeners, handler_nursery=nursery)

    async def _carry(self, stream: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._node_port) as node, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, stream, node, nursery.cancel_scope)
            await self._copy(node, stream, nursery.cancel_scope)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in source:
                await sink.send_all(data)
        scope.cancel()


async def test_a_lost_connection_misses_nothing(node_files: NodeFiles) -> None:
    """Blocks and a reorganisation that happen while the connection is down are told once it is back."""
    async with open_market(node_files) as market, trio.open_nursery() as nursery:
        proxy = Proxy(market.chain.port, nursery)
        await proxy.join()
        await start(market)
        async with listening(market, url=f"ws://127.0.0.1:{proxy.port}") as listener:
            for seed in (5, 6):
                await trade_at_random(market, random.Random(seed), blocks=3)
                await listener.wait_told(await market.chain.height())
                proxy.cut()
                await trade_at_random(market, random.Random(seed + 10), blocks=40)
                if seed == 6:
                    await market.chain.rpc("anvil_reorg", 42, [])
                    await trade_at_random(market, random.Random(seed + 20), blocks=1)
                await proxy.join()
                await listener.wait_told(await market.chain.height())
                assert listener.reserves(market) == await real_reserves(market)
        gas = [message.block_number for message in listener.told if isinstance(message, GasPrice)]
        reorg = next(message for message in listener.told if isinstance(message, ChainReorg))
        again = gas.index(reorg.block_number + 1) + 1
        assert gas[:again] == list(range(market.first_block, market.first_block + again))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def signalling(market: Market) -> AsyncIterator[tuple[Listener, list[Any]]]:
    """The live feed into the pipeline of actors: what the feed tells, and the signals and reports that come out."""
    async with spore.open_bundle("trading") as bundle:
        recorder = await start_probe(bundle, capacity=1_000)
        execution = await bundle.start(
            ExecutionActor, inner=PaperExecution(), recorder=recorder.ref, name="execution", capacity=1_000
        )
        signals = await bundle.start(
            SignalGeneratorActor,
            inner=SignalGenerator(all_opportunities=True),
            execution=execution,
            recorder=recorder.ref,
            name="signals",
        )
        actor = await bundle.start(MarketDataActor, inner=MarketDataProcessor(), signals=signals, name="market_data")

        async def send(batch: Sequence[Any]) -> None:
            await actor.send_many(batch)
            await bundle.wait_idle()

        async with listening(market, also=send) as listener:
            yield listener, recorder.received


def best_signal(received: list[Any], tx_hash: str) -> ArbitrageSignal | None:
    """The one that pays most, of those on the state after a transaction."""
    found = [each for each in received if isinstance(each, ArbitrageSignal) and each.cause.tx_hash is not None]
    after = [each for each in found if each.cause.tx_hash == bytes.fromhex(tx_hash[2:])]
    return max(after, key=lambda signal: signal.profit, default=None)


async def test_a_signalled_arbitrage_pays_exactly_its_profit(node_files: NodeFiles) -> None:
    """What a signal promises, the contracts pay, to the last unit; one unit more they refuse; then nothing is left."""
    async with open_market(node_files) as market:
        await start(market)
        venues = {bytes.fromhex(pair[2:]): venue for venue, pair in market.pairs.items()}
        async with signalling(market) as (listener, received):
            paid = []
            for amount, token_in in ((9 * ETHER, 0), (40 * ETHER, 1), (3 * ETHER + 7, 0), (77 * ETHER, 1)):
                reserves = await market.reserves("A")
                sent, _ = await market.trade("A", token_in=token_in, amount_in=amount, reserves=reserves)
                await listener.wait_told(await market.chain.mine())
                signal = best_signal(received, sent)
                assert signal is not None
                assert signal.token_in is not None
                order = {
                    "token_in": market.tokens.index(f"0x{signal.token_in.hex()}"),
                    "amount_in": signal.amount_in,
                    "amount_mid": signal.amount_mid,
                }
                route = venues[signal.first.pool or b""], venues[signal.second.pool or b""]
                amount_out = signal.amount_in + signal.profit
                token = market.tokens[order["token_in"]]
                before = await market.balance(token, market.executor)

                greedy = await market.arbitrage(*route, **order, amount_out=amount_out + 1)
                await market.chain.mine()
                with pytest.raises(CallFailed, match="reverted"):
                    await market.chain.receipt(greedy)

                exact = await market.arbitrage(*route, **order, amount_out=amount_out)
                block = await market.chain.mine()
                await market.chain.receipt(exact)
                assert await market.balance(token, market.executor) - before == signal.profit
                await listener.wait_told(block)
                assert listener.reserves(market) == await real_reserves(market)
                assert best_signal(received, exact) is None
                paid.append(signal.profit)
    assert len(paid) == 4
    assert all(paid)


async def test_the_topics_are_those_of_the_events(node_files: NodeFiles) -> None:
    """Each topic is the Keccak-256 of its event's signature, which the node can tell."""
    signatures = {
        SYNC: "Sync(uint112,uint112)",
        SWAP: "Swap(address,uint256,uint256,uint256,uint256,address)",
        "Mint": "Mint(address,uint256,uint256)",
        "Burn": "Burn(address,uint256,uint256,address)",
        "Transfer": "Transfer(address,address,uint256)",
        "Approval": "Approval(address,address,uint256)",
    }
    topics = {SYNC: SYNC, SWAP: SWAP} | {name: topic for topic, name in OTHER_EVENTS.items()}
    async with open_chain(node_files) as chain:
        made = {key: await chain.rpc("web3_sha3", "0x" + text.encode().hex()) for key, text in signatures.items()}
    assert made == topics


async def test_a_node_of_another_chain_is_refused(node_files: NodeFiles) -> None:
    """The list of pools says which chain it is about."""
    async with open_market(node_files) as market, open_chain(node_files, chain_id=5) as other:
        feed = NodeFeed(other.url, Pools.from_data(market.pools()))
        with pytest.raises(FeedError, match="the node is on chain 5, and the list of pools on chain 31337"):
            await all_told(feed)
