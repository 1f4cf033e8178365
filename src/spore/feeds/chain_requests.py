"""What a follower asks a node for, and what it makes of the logs that it is answered."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from spore.feeds.chain_block import Block
from spore.feeds.evm_words import entry, fixed, quantity, shown

__all__ = ["BlockRequest", "LogsRequest", "Request", "last_index", "log_of", "what"]


@attrs.frozen(eq=False)
class BlockRequest:
    """Ask for a block's head: `eth_getBlockByNumber`."""

    number: int | None
    """None asks for the newest."""
    attempt: int = 0
    """How many have led nowhere before it. Whoever sends it waits the longer."""


@attrs.frozen(eq=False)
class LogsRequest:
    """Ask for a block's logs: `eth_getLogs`."""

    number: int
    block_hash: bytes
    attempt: int = 0


Request: TypeAlias = BlockRequest | LogsRequest


def log_of(block: Block, log: object) -> dict[str, Any]:
    """A log of an answer, which must be of the block that was asked for; its time is the block's.

    Raises:
        ValueError: if it is none of that block.
    """
    fields = entry(log, "log")
    if fields.get("removed", False) is not False:
        raise ValueError(f"removed: {shown(fields['removed'])} in an answer to eth_getLogs")
    number, block_hash = quantity(fields, "blockNumber"), fixed(fields, "blockHash", 32)
    if (number, block_hash) != (block.number, block.hash):
        raise ValueError(
            f"eth_getLogs of block {block.number}, 0x{block.hash.hex()}: the answer has a log of block {number}, "
            f"0x{block_hash.hex()}"
        )
    quantity(fields, "logIndex", bits=32)
    return {"blockTimestamp": hex(block.time_s)} | fields


def last_index(logs: list[dict[str, Any]]) -> int:
    """The log index of the last; -1 where there is none."""
    return quantity(logs[-1], "logIndex", bits=32) if logs else -1


def what(request: Request) -> str:
    """A request as an error names it."""
    if isinstance(request, LogsRequest):
        return f"eth_getLogs of block {request.number}, 0x{request.block_hash.hex()}"
    return f"eth_getBlockByNumber of {'the newest block' if request.number is None else f'block {request.number}'}"
