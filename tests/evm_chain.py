"""A chain for tests: blocks with logs of two pairs, drawn or written down, in the words of a node."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from spore.feeds.evm import SWAP, SYNC
from spore.feeds.pools import Pools

__all__ = [
    "BURN",
    "OTHER",
    "PAIRS",
    "POOLS",
    "TRANSFER",
    "FakeBlock",
    "branch",
    "hashed",
    "log",
    "swap_data",
    "sync_data",
    "words",
]

PAIRS = ("0x" + "a1" * 20, "0x" + "b2" * 20)
OTHER = "0x" + "cc" * 20
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
BURN = "0xdccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496"
TOKENS = ("0x" + "11" * 20, "0x" + "22" * 20)
POOLS_DATA: dict[str, Any] = {
    "chain_id": 31337,
    "pools": [
        {
            "address": address,
            "venue": venue,
            "token0": TOKENS[0],
            "token1": TOKENS[1],
            "fee_numerator": 997,
            "fee_denominator": 1000,
        }
        for address, venue in zip(PAIRS, ("east", "west"), strict=True)
    ],
    "tokens": [{"address": TOKENS[0], "symbol": "WETH", "decimals": 18}],
}
POOLS = Pools.from_data(POOLS_DATA)


def hashed(*parts: object) -> str:
    return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()


def words(*values: int) -> str:
    return "0x" + "".join(f"{value:064x}" for value in values)


def sync_data(reserve0: int, reserve1: int) -> str:
    return words(reserve0, reserve1)


def swap_data(*amounts: int) -> str:
    return words(*amounts)


def log(**changes: Any) -> dict[str, Any]:
    """A good Sync of the first pair, but for the changes; a value of None leaves the key out."""
    made = {
        "address": PAIRS[0],
        "topics": [SYNC],
        "data": sync_data(1_000, 2_000),
        "blockHash": hashed("block", 7),
        "blockNumber": "0x7",
        "blockTimestamp": "0x64",
        "transactionHash": hashed("tx", 7, 0),
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    } | changes
    return {key: value for key, value in made.items() if value is not None}


@attrs.frozen
class FakeBlock:
    """A block, whose logs come in runs: (pair, reserve) of each Sync of each transaction."""

    number: int
    parent: str
    salt: int
    transactions: tuple[tuple[tuple[int, int], ...], ...] = ()

    @property
    def hash(self) -> str:
        return hashed(self.number, self.parent, self.salt, self.transactions)

    def head(self) -> dict[str, Any]:
        return {
            "number": hex(self.number),
            "hash": self.hash,
            "parentHash": self.parent,
            "timestamp": hex(1_000 + 12 * self.number + self.salt % 5),
            "baseFeePerGas": hex(7 + self.salt),
            "miner": OTHER,
        }

    def logs(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for tx_index, events in enumerate(self.transactions):
            for pair, reserve in events:
                place = {
                    "address": [*PAIRS, OTHER][pair],
                    "blockHash": self.hash,
                    "blockNumber": hex(self.number),
                    "blockTimestamp": self.head()["timestamp"],
                    "transactionHash": hashed("tx", self.hash, tx_index),
                    "transactionIndex": hex(tx_index),
                }
                swap = {"topics": [SWAP, hashed("sender"), hashed("to")], "data": swap_data(reserve, 0, 0, 1)}
                for event in ({"topics": [SYNC], "data": sync_data(reserve, 5)}, swap):
                    made.append(log(**place, **event, logIndex=hex(len(made))))
        return made


def branch(start: FakeBlock | None, length: int, *, salt: int, transactions: Any = ()) -> list[FakeBlock]:
    """So many blocks upon one (or a first block of number 3 and what follows it)."""
    blocks: list[FakeBlock] = []
    for index in range(length):
        last = blocks[-1] if blocks else start
        events = transactions[index] if index < len(transactions) else ()
        number, parent = (3, hashed("before")) if last is None else (last.number + 1, last.hash)
        blocks.append(FakeBlock(number, parent, salt, events))
    return blocks
