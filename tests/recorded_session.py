"""The recorded Uniswap V2 session as messages, and what its contracts reported."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

from spore.samples import UNISWAP_V2_SESSION
from spore.services.messages import MarketMessage, PoolListed, PoolSwap, PoolSync, TransactionEnd

__all__ = ["listings", "session_messages", "truth"]

SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"


def listings() -> Iterator[PoolListed]:
    described = json.loads((UNISWAP_V2_SESSION / "pools.json").read_text())
    tokens = {token["address"]: token for token in described["tokens"]}
    for pool in described["pools"]:
        zero, one = tokens[pool["token0"]], tokens[pool["token1"]]
        yield PoolListed(
            event_time_ns=0,
            pool=octets(pool["address"]),
            venue=" AB".index(pool["venue"]),
            venue_name=pool["venue"],
            token0=octets(zero["address"]),
            token1=octets(one["address"]),
            symbol0=zero["symbol"],
            symbol1=one["symbol"],
            decimals0=zero["decimals"],
            decimals1=one["decimals"],
            fee_numerator=pool["fee_numerator"],
            fee_denominator=pool["fee_denominator"],
        )


def session_messages() -> Iterator[MarketMessage]:
    yield from listings()
    last: TransactionEnd | None = None
    with gzip.open(UNISWAP_V2_SESSION / "logs.jsonl.gz") as lines:
        for line in lines:
            log = json.loads(line)
            block, tx_index, log_index = (int(log[key], 16) for key in ("blockNumber", "transactionIndex", "logIndex"))
            time_ns, tx_hash = int(log["blockTimestamp"], 16) * 10**9, octets(log["transactionHash"])
            if last is not None and last.tx_hash != tx_hash:
                yield last
            last = TransactionEnd(time_ns, block, tx_index, tx_hash)
            data = octets(log["data"])
            words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
            makers: dict[str, Any] = {SYNC: PoolSync, SWAP: PoolSwap}
            if (maker := makers.get(log["topics"][0])) is not None:
                yield maker(time_ns, block, tx_index, log_index, tx_hash, octets(log["address"]), *words)
    assert last is not None, "the session is empty"
    yield last


def truth() -> Iterator[dict[str, Any]]:
    with gzip.open(UNISWAP_V2_SESSION / "truth.jsonl.gz") as lines:
        yield from map(json.loads, lines)


def octets(text: str) -> bytes:
    return bytes.fromhex(text[2:])
