"""A local Ethereum node with the published Uniswap V2 contracts, for tests: two venues, one pair each, and trades.

The node and the contracts come from npm into pytest's cache folder, on the first use. The contracts are under the GPL:
they are installed for the test and never shipped.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from eth_abi.abi import decode, encode
from trio_websocket import WebSocketConnection, open_websocket_url

__all__ = [
    "CallFailed",
    "Chain",
    "Market",
    "NodeFiles",
    "node_files",
    "open_chain",
    "open_market",
    "out",
]

PACKAGES = ("@foundry-rs/anvil@1.7.1", "@uniswap/v2-core@1.0.1")
CHAIN_ID = 31337
GAS = 8_000_000
"""A transaction's limit: enough to deploy a factory, and below the 2²⁴ that a transaction may have (EIP-7825)."""
SELECTORS = {
    "balanceOf(address)": "70a08231",
    "createPair(address,address)": "c9c65396",
    "getPair(address,address)": "e6a43905",
    "getReserves()": "0902f1ac",
    "mint(address)": "6a627842",
    "swap(uint256,uint256,address,bytes)": "022c0d9f",
    "transfer(address,uint256)": "a9059cbb",
}


class CallFailed(AssertionError):
    """The node has answered with an error, or a transaction was reverted."""


@attrs.frozen
class NodeFiles:
    """Where the node is, and the contracts."""

    binary: Path
    contracts: Path

    def bytecode(self, name: str) -> str:
        code: str = json.loads((self.contracts / f"{name}.json").read_text())["bytecode"]
        return code


@pytest.fixture(scope="session")
def node_files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NodeFiles:
    """The node and the contracts, installed once."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, and the local node comes from it")
    cache = getattr(request.config, "cache", None)  # there is none with -p no:cacheprovider
    folder = tmp_path_factory.mktemp("local-node") if cache is None else Path(cache.mkdir("local-node"))
    place = folder / "-".join(package.rpartition("@")[2] for package in PACKAGES)
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", scratch, *PACKAGES]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                pytest.skip(f"npm cannot install the local node: {done.stderr.strip()[-300:]}")
            try:
                Path(scratch, "node_modules").rename(place)
            except OSError:
                if not place.exists():  # otherwise another worker was faster
                    raise
    binaries = sorted(place.glob("@foundry-rs/anvil-*/bin/anvil"))
    if not binaries:
        pytest.skip("the local node's package has no binary for this machine")
    binaries[0].chmod(0o755)
    return NodeFiles(binaries[0], place / "@uniswap" / "v2-core" / "build")


class Chain:
    """JSON-RPC to the node, and what tests do with it. Blocks are mined when the test says so."""

    def __init__(self, port: int, connection: WebSocketConnection, files: NodeFiles) -> None:
        self.port = port
        self.files = files
        self.account = ""
        self._connection = connection
        self._numbers = count(1)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def rpc(self, method: str, *params: Any) -> Any:
        number = next(self._numbers)
        await self._connection.send_message(
            json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        )
        while True:
            answer = json.loads(await self._connection.get_message())
            if answer.get("id") == number:
                break
        if "error" in answer:
            raise CallFailed(f"{method}: {answer['error']}")
        return answer["result"]

    async def send(self, to: str | None, data: str) -> str:
        """Send a transaction, to be mined with the next block, and return its hash."""
        transaction = {"from": self.account, "data": data, "gas": hex(GAS)} | ({"to": to} if to else {})
        tx_hash: str = await self.rpc("eth_sendTransaction", transaction)
        return tx_hash

    async def mine(self) -> int:
        """Mine a block of what was sent, and return its number."""
        await self.rpc("evm_mine")
        return await self.height()

    async def height(self) -> int:
        return int(await self.rpc("eth_blockNumber"), 16)

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        receipt: dict[str, Any] | None = None
        while receipt is None:
            receipt = await self.rpc("eth_getTransactionReceipt", tx_hash)
        if receipt["status"] != "0x1":
            raise CallFailed(f"reverted: {tx_hash}")
        return receipt

    async def transact(self, to: str | None, data: str) -> dict[str, Any]:
        """Send a transaction, mine it alone, and return its receipt."""
        tx_hash = await self.send(to, data)
        await self.mine()
        return await self.receipt(tx_hash)

    async def deploy(self, code: str) -> str:
        address: str = (await self.transact(None, f"0x{code}"))["contractAddress"]
        return address

    async def call(self, to: str, data: str, results: list[str], *, block: int | None = None) -> tuple[Any, ...]:
        at = "latest" if block is None else hex(block)
        answer = await self.rpc("eth_call", {"from": self.account, "to": to, "data": data}, at)
        return decode(results, bytes.fromhex(answer[2:]))


def call_data(signature: str, *values: Any) -> str:
    types = signature[signature.index("(") + 1 : -1].split(",") if not signature.endswith("()") else []
    return f"0x{SELECTORS[signature]}{encode(types, values).hex()}"


@asynccontextmanager
async def open_chain(files: NodeFiles, *, chain_id: int = CHAIN_ID) -> AsyncIterator[Chain]:
    """A fresh node, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(files.binary), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id),
        "--base-fee", "0", "--gas-price", "0", "--timestamp", "1700000000", "--no-mining", "--quiet",
    ]  # fmt: skip
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": tempfile.gettempdir()}
    process = await trio.lowlevel.open_process(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        with trio.fail_after(30):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    if process.poll() is not None:
                        raise CallFailed("the node has ended at once") from None
                    await trio.sleep(0.02)  # nothing tells when it listens
        async with open_websocket_url(f"ws://127.0.0.1:{port}", max_message_size=1 << 26) as connection:
            chain = Chain(port, connection, files)
            chain.account = (await chain.rpc("eth_accounts"))[0]
            await chain.rpc("anvil_setBlockTimestampInterval", 1)
            yield chain
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@attrs.define
class Market:
    """Two venues with a pair of the same tokens each, and a contract that executes several calls in one transaction."""

    chain: Chain
    tokens: tuple[str, str]
    pairs: dict[str, str]
    """By venue."""
    executor: str
    first_block: int
    """The first block with logs of the pairs."""

    def pools(self) -> dict[str, Any]:
        """What ``pools.json`` says of it."""
        fee = {"fee_numerator": 997, "fee_denominator": 1000}
        tokens = {"token0": self.tokens[0], "token1": self.tokens[1]}
        return {
            "chain_id": CHAIN_ID,
            "pools": [{"address": pair, "venue": venue} | tokens | fee for venue, pair in self.pairs.items()],
            "tokens": [
                {"address": token, "symbol": symbol, "decimals": 18}
                for token, symbol in zip(self.tokens, ("WETH", "TKN"), strict=True)
            ],
        }

    async def reserves(self, venue: str, *, block: int | None = None) -> tuple[int, int]:
        results = ["uint112", "uint112", "uint32"]
        found = await self.chain.call(self.pairs[venue], call_data("getReserves()"), results, block=block)
        return found[0], found[1]

    async def balance(self, token: str, holder: str) -> int:
        (balance,) = await self.chain.call(token, call_data("balanceOf(address)", holder), ["uint256"])
        return int(balance)

    async def fund(self, venue: str, amount0: int, amount1: int) -> None:
        """Send liquidity, to be mined with the next block."""
        pair = self.pairs[venue]
        for token, amount in zip(self.tokens, (amount0, amount1), strict=True):
            await self.chain.send(token, call_data("transfer(address,uint256)", pair, amount))
        await self.chain.send(pair, call_data("mint(address)", self.chain.account))

    async def trade(
        self, venue: str, *, token_in: int, amount_in: int, reserves: tuple[int, int]
    ) -> tuple[str, tuple[int, int]]:
        """Send a swap at these reserves, to be mined with the next block; return its hash and the reserves it leaves."""
        amount_out = out(amount_in, reserves[token_in], reserves[1 - token_in])
        sent = await self.chain.send(self.executor, self._calls(self._steps(venue, token_in, amount_in, amount_out)))
        after = [*reserves]
        after[token_in] += amount_in
        after[1 - token_in] -= amount_out
        return sent, (after[0], after[1])

    async def arbitrage(
        self, first: str, second: str, *, token_in: int, amount_in: int, amount_mid: int, amount_out: int
    ) -> str:
        """Send a transfer and two swaps as one transaction, to be mined with the next block, and return its hash."""
        steps = self._steps(first, token_in, amount_in, amount_mid, to=self.pairs[second])
        last = self._swap(second, 1 - token_in, amount_out, to=self.executor)
        return await self.chain.send(self.executor, self._calls([*steps, last]))

    def _steps(
        self, venue: str, token_in: int, amount_in: int, amount_out: int, *, to: str | None = None
    ) -> list[tuple[str, str]]:
        transfer = call_data("transfer(address,uint256)", self.pairs[venue], amount_in)
        return [(self.tokens[token_in], transfer), self._swap(venue, token_in, amount_out, to=to or self.executor)]

    def _swap(self, venue: str, token_in: int, amount_out: int, *, to: str) -> tuple[str, str]:
        amounts = (0, amount_out) if token_in == 0 else (amount_out, 0)
        return self.pairs[venue], call_data("swap(uint256,uint256,address,bytes)", *amounts, to, b"")

    @staticmethod
    def _calls(calls: list[tuple[str, str]]) -> str:
        """What `EXECUTOR` reads: for each call a word with the contract, a word with the length, and the data."""
        return "0x" + "".join(f"{int(to, 16):064x}{len(data) // 2 - 1:064x}{data[2:]}" for to, data in calls)


def assembled(*code: str | int) -> str:
    """Opcodes by name, numbers as they are, and jumps by label (``:name`` declares, ``@name`` pushes)."""
    opcodes = {
        "ADD": 0x01, "EQ": 0x14, "ISZERO": 0x15, "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37,
        "CODECOPY": 0x39, "POP": 0x50, "JUMP": 0x56, "JUMPI": 0x57, "GAS": 0x5A, "JUMPDEST": 0x5B, "PUSH": 0x60,
        "DUP1": 0x80, "DUP2": 0x81, "DUP3": 0x82, "DUP4": 0x83, "DUP7": 0x86, "SWAP1": 0x90, "CALL": 0xF1,
        "RETURN": 0xF3, "REVERT": 0xFD, "STOP": 0x00,
    }  # fmt: skip
    made: list[int | str] = []
    labels: dict[str, int] = {}
    for item in code:
        if isinstance(item, int):
            made += [opcodes["PUSH"], item]
        elif item.startswith(":"):
            labels[item[1:]] = len(made)
            made.append(opcodes["JUMPDEST"])
        elif item.startswith("@"):
            made += [opcodes["PUSH"], item[1:]]
        else:
            made.append(opcodes[item])
    return bytes(labels[item] if isinstance(item, str) else item for item in made).hex()


EXECUTOR = assembled(
    0,  # where in the call data it stands
    ":next",
    "DUP1", "CALLDATASIZE", "EQ", "@end", "JUMPI",
    "DUP1", "CALLDATALOAD",  # the contract
    "DUP2", 32, "ADD", "CALLDATALOAD",  # the length
    "DUP1", "DUP4", 64, "ADD", 0, "CALLDATACOPY",
    0, 0, "DUP3", 0, 0, "DUP7", "GAS", "CALL",
    "ISZERO", "@failed", "JUMPI",
    "SWAP1", "POP", "ADD", 64, "ADD", "@next", "JUMP",
    ":end", "STOP",
    ":failed", 0, 0, "REVERT",
)  # fmt: skip
"""A contract that makes the calls that it is given one after the other; if one fails, none has happened."""


def deployment(runtime: str) -> str:
    """The code that deploys a contract of less than 256 bytes."""
    size = len(runtime) // 2
    return assembled(size, "DUP1", 11, 0, "CODECOPY", 0, "RETURN").ljust(22, "0") + runtime


@asynccontextmanager
async def open_market(files: NodeFiles) -> AsyncIterator[Market]:
    """Venues "A" and "B", whose pairs have no liquidity yet; the executor has tokens."""
    async with open_chain(files) as chain:
        token_code = files.bytecode("ERC20") + f"{10**30:064x}"
        tokens = sorted([await chain.deploy(token_code), await chain.deploy(token_code)], key=lambda it: int(it, 16))
        factory_code = files.bytecode("UniswapV2Factory") + encode(["address"], [chain.account]).hex()
        pairs = {}
        for venue in ("A", "B"):
            factory = await chain.deploy(factory_code)
            await chain.transact(factory, call_data("createPair(address,address)", *tokens))
            (pairs[venue],) = await chain.call(factory, call_data("getPair(address,address)", *tokens), ["address"])
        executor = await chain.deploy(deployment(EXECUTOR))
        for token in tokens:
            await chain.transact(token, call_data("transfer(address,uint256)", executor, 10**26))
        yield Market(chain, (tokens[0], tokens[1]), pairs, executor, await chain.height() + 1)


def out(amount_in: int, reserve_in: int, reserve_out: int) -> int:
    """What a pair gives. Source: Uniswap V2 periphery, ``UniswapV2Library.getAmountOut``."""
    return 997 * amount_in * reserve_out // (1000 * reserve_in + 997 * amount_in)
