"""Logs of Uniswap V2 pairs, as `eth_getLogs` gives them, made into messages.

Invariant: positions (block, log index) only grow, except past a removed log; a transaction's messages stand together
and its end follows them; a pool is listed before anything else is told of it; every log is used or counted by reason.

An event's time is that of its block. What keeps the order within a block is the order of the messages. Time never
goes back: where another branch of the chain has earlier blocks than what was told, they have the time of the last
thing told.

Source: Uniswap V2 core, ``interfaces/IUniswapV2Pair.sol`` and ``IUniswapV2ERC20.sol``, for the events. A topic is the
Keccak-256 hash of the event's signature.
"""

from __future__ import annotations

from typing import Any

from spore.feeds.evm_words import entry, fixed, four_uint112, quantity, shown, two_uint112
from spore.feeds.feed import Account
from spore.feeds.pools import Pool, Pools
from spore.services.messages import ChainReorg, MarketMessage, PoolSwap, PoolSync, TransactionEnd

__all__ = ["OTHER_EVENTS", "REMEMBERED", "SWAP", "SYNC", "LogDecoder"]

SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
"""``Sync(uint112,uint112)``: the reserves after whatever changed them."""
SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
"""``Swap(address,uint256,uint256,uint256,uint256,address)``: sender and receiver are topics, the amounts are data."""
OTHER_EVENTS = {
    "0x4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f": "Mint",
    "0xdccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496": "Burn",
    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef": "Transfer",
    "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925": "Approval",
}
"""The pair's other events. Their effect on the reserves is in the Sync before them."""

REMEMBERED = 256
"""Blocks that may still be taken back. No Ethereum reorganisation since its merge has been deeper than 7, and finality
comes within 96."""
_LAST_SECOND = ((1 << 64) - 1) // 1_000_000_000
"""The last that a time in 64 bits of nanoseconds can hold."""


class LogDecoder:
    """Makes messages of one chain's logs, in their order.

    Every method raises ValueError, with what is wrong and what would be right, for what no chain of blocks can contain.
    After that it is of no use any more.
    """

    def __init__(self, pools: Pools, account: Account) -> None:
        self.account = account
        self._pools: dict[str, Pool] = {f"0x{pool.address.hex()}": pool for pool in pools}
        self._listed: set[str] = set()
        self._block: tuple[Any, ...] | None = None
        """Hash, number and time of the block in hand, as the node wrote them: most logs have those of the one before."""
        self._number = -1
        self._hash = b""
        self._time_s = 0
        self._time_ns = 0
        self._floor_ns = 0
        self._transaction: tuple[Any, ...] | None = None
        self._tx_index = -1
        self._tx_hash = b""
        self._log_index = -1
        self._open: TransactionEnd | None = None
        """The end of the transaction in hand, if anything was told of it."""
        self._hashes: dict[int, bytes] = {}
        """Of the last blocks that were told, by number: only what was told can be taken back."""
        self._undone: int | None = None
        """The lowest block of a row of removed logs."""

    def decode(self, log: object) -> list[MarketMessage]:
        """The messages that follow from one log.

        Raises:
            ValueError: as the class says.
        """
        fields = entry(log, "log")
        removed = fields.get("removed", False)
        if removed is True:
            self._remove(fields)
            return []
        if removed is not False:
            raise ValueError(f"removed: {shown(removed)} is neither true nor false")
        messages: list[MarketMessage] = []
        if self._undone is not None:
            messages += self.roll_back(self._undone - 1)
        try:
            block = (fields["blockHash"], fields["blockNumber"], fields["blockTimestamp"])
            transaction = (fields["transactionHash"], fields["transactionIndex"])
            address, topics = fields["address"], fields["topics"]
        except KeyError as error:
            raise ValueError(f"the key {error.args[0]!r} is missing{_HINTS.get(error.args[0], '')}") from None
        if block != self._block:
            messages += self._enter(fields, block)
        if transaction != self._transaction:
            messages += self._begin(fields, transaction)
        log_index = quantity(fields, "logIndex", bits=32)
        if log_index <= self._log_index:
            raise ValueError(
                f"logIndex: {log_index} in block {self._number} comes after {self._log_index}: out of order, or twice"
            )
        self._log_index = log_index
        pool = self._pools.get(address.lower()) if type(address) is str else None
        if pool is None:
            fixed(fields, "address", 20)
            self.account.skip("unknown pool")
        else:
            self._decode_event(fields, pool=pool, topics=_topics(topics), messages=messages)
        return messages

    def end(self) -> list[MarketMessage]:
        """What was left open when no more logs come, at the end of a file or of a whole block."""
        if self._undone is not None:
            return self.roll_back(self._undone - 1)
        return self._close()

    def enter_block(self, *, number: int, block_hash: bytes, time_s: int) -> int:
        """Go on to a block, and return the time of its events in nanoseconds. For whoever knows blocks without logs.

        Raises:
            ValueError: as the class says.
        """
        if number < self._number:
            raise ValueError(f"blockNumber: {number} comes after block {self._number}, and no log was removed")
        if number == self._number:
            if not self._hash:
                raise ValueError(f"blockNumber: {number} comes after block {number}, which is told, and stands")
            if block_hash != self._hash:
                raise ValueError(f"blockHash: block {number} has two hashes, and no log was removed")
            if time_s != self._time_s:
                raise ValueError(f"blockTimestamp: block {number} has two times, {self._time_s} and {time_s}")
            return self._time_ns
        if not self._time_s <= time_s <= _LAST_SECOND:
            limit = f"at least {self._time_s}, the time of the block before it, and at most {_LAST_SECOND}"
            raise ValueError(f"blockTimestamp: {time_s} of block {number} must be {limit}")
        self._number, self._hash, self._time_s = number, block_hash, time_s
        self._hashes[number] = block_hash
        if len(self._hashes) > REMEMBERED:
            del self._hashes[next(iter(self._hashes))]
        self._time_ns = max(time_s * 1_000_000_000, self._floor_ns)
        self._transaction, self._tx_index, self._log_index = None, -1, -1
        return self._time_ns

    def roll_back(self, number: int) -> list[MarketMessage]:
        """Take back everything after a block.

        Args:
            number: of the last block that still stands.
        """
        messages = self._close()
        messages.append(ChainReorg(event_time_ns=self._time_ns, block_number=number))
        self._undone = None
        # Nothing is known of the block that stands, but that no more logs of it will come.
        self._block = self._transaction = None
        self._number, self._hash, self._time_s = number, b"", 0
        self._hashes = {told: block_hash for told, block_hash in self._hashes.items() if told <= number}
        self._floor_ns = self._time_ns
        return messages

    def _enter(self, fields: dict[str, Any], block: tuple[Any, ...]) -> list[MarketMessage]:
        number = quantity(fields, "blockNumber")
        block_hash = fixed(fields, "blockHash", 32)
        time_s = quantity(fields, "blockTimestamp")
        messages = self._close() if number > self._number else []
        self.enter_block(number=number, block_hash=block_hash, time_s=time_s)
        self._block = block
        return messages

    def _begin(self, fields: dict[str, Any], transaction: tuple[Any, ...]) -> list[MarketMessage]:
        tx_index = quantity(fields, "transactionIndex", bits=32)
        tx_hash = fixed(fields, "transactionHash", 32)
        if (tx_index, tx_hash) != (self._tx_index, self._tx_hash) and tx_index <= self._tx_index:
            raise ValueError(
                f"transactionIndex: {tx_index} in block {self._number} comes after another transaction of index "
                f"{self._tx_index}"
            )
        same = tx_index == self._tx_index
        self._transaction, self._tx_index, self._tx_hash = transaction, tx_index, tx_hash
        return [] if same else self._close()

    def _close(self) -> list[MarketMessage]:
        end, self._open = self._open, None
        return [] if end is None else [end]

    def _remove(self, fields: dict[str, Any]) -> None:
        number = quantity(fields, "blockNumber")
        block_hash = fixed(fields, "blockHash", 32)
        if number == 0:
            raise ValueError("blockNumber: the first block of a chain cannot be removed")
        if len(self._hashes) == REMEMBERED and number < next(iter(self._hashes)):
            raise ValueError(
                f"blockNumber: {number} is removed, more than {REMEMBERED} blocks with logs after it was told"
            )
        if self._hashes.get(number) != block_hash:
            self.account.skip("removed, but never told")
            return
        self._undone = number if self._undone is None else min(number, self._undone)
        self.account.use()

    def _decode_event(
        self, fields: dict[str, Any], *, pool: Pool, topics: list[str], messages: list[MarketMessage]
    ) -> None:
        topic = topics[0].lower() if topics else ""
        where = (self._time_ns, self._number, self._tx_index, self._log_index, self._tx_hash, pool.address)
        message: MarketMessage
        if topic == SYNC:
            message = PoolSync(*where, *two_uint112(_event_data(fields, topics, indexed=0)))
        elif topic == SWAP:
            message = PoolSwap(*where, *four_uint112(_event_data(fields, topics, indexed=2)))
        else:
            event = OTHER_EVENTS.get(topic, "an event that no pair has") if topics else "no topic"
            self.account.skip(f"not a swap or sync: {event}")
            return
        address = fields["address"].lower()
        if address not in self._listed:
            self._listed.add(address)
            messages.append(pool.listed(self._time_ns))
        messages.append(message)
        self.account.use()
        if self._open is None:
            self._open = TransactionEnd(self._time_ns, self._number, self._tx_index, self._tx_hash)


_HINTS = {
    "blockTimestamp": "; nodes that leave it out of logs give it with the block, and the recorder has to add it",
}


def _topics(topics: object) -> list[str]:
    if type(topics) is not list or len(topics) > 4 or not all(type(topic) is str for topic in topics):
        raise ValueError(f"topics: {shown(topics)} is no array of at most four hashes")
    return topics


def _event_data(fields: dict[str, Any], topics: list[str], *, indexed: int) -> object:
    if len(topics) != 1 + indexed:
        raise ValueError(f"topics: {len(topics)}, and this event has {1 + indexed}")
    try:
        return fields["data"]
    except KeyError:
        raise ValueError("the key 'data' is missing") from None
