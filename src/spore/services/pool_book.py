"""The state of pools: reserves from Sync events, pairs to compare, and the way back when the chain reorganises.

Strategy: pools are indexed by their token pair, so that what a transaction costs depends on the pools of the pairs that it
changed and not on how many pools there are. A pool whose reserves are 0 is one that nobody can trade with: one that is not known
yet, or no longer, looks the same.

Invariant: before the first change of a pool in a block, what it was is kept, for the last `reorg_depth` blocks that changed
anything. Going back to a block restores exactly that. Beyond it, a pool that has changed since is lost: its reserves are 0 until
its next Sync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

import spore
from spore.services.amm import MAX_RESERVE
from spore.services.flow import Flow
from spore.services.messages import MarketRef, PoolHop, PoolListed, PoolSync

__all__ = ["Pair", "Pool", "PoolBook", "PoolState", "UndoBlock"]

_LAST_LOG = 2**32 - 1


@spore.record
class PoolState:
    """What a pool was, or is."""

    pool: spore.Address
    reserve0: spore.U128
    reserve1: spore.U128
    position: spore.U128
    """Of the last Sync: the block number and the log index, 32 bits. 0 before the first."""
    flow_position: spore.U128
    """Of the last Swap."""


@spore.record
class UndoBlock:
    """What pools were before a block."""

    block_number: spore.U64
    before: tuple[PoolState, ...]


@attrs.define(eq=False)
class Pair:
    """The pools that trade the same two tokens."""

    token_in: bytes
    """What an arbitrage in this pair begins and ends with."""
    token_mid: bytes
    pools: list[Pool] = attrs.field(factory=list)


@attrs.define(eq=False)
class Pool:
    """A pool, with the products that comparing it needs: ``n`` and ``d`` are the fee fraction, ``x`` the reserve of the
    pair's `token_in` and ``y`` that of its `token_mid`."""

    listed: PoolListed
    pair: Pair
    flow: Flow
    address: bytes = attrs.field(init=False)
    flipped: bool = attrs.field(init=False)
    """Whether the arbitrage begins with token1."""
    reserve0: int = 0
    reserve1: int = 0
    position: int = 0
    flow_position: int = 0
    nx: int = 0
    ny: int = 0
    dx: int = 0
    dy: int = 0
    first_hop: PoolHop | None = None
    """The pool as the first half of an arbitrage, once somebody has asked and until it changes."""
    second_hop: PoolHop | None = None
    tells_native: bool = False
    """Whether the price of the native token follows from it."""

    def __attrs_post_init__(self) -> None:
        self.address = self.listed.pool
        self.flipped = self.pair.token_in == self.listed.token1

    def put(self, reserve0: int, reserve1: int, position: int) -> None:
        """Set the reserves."""
        self.reserve0, self.reserve1, self.position = reserve0, reserve1, position
        x, y = (reserve1, reserve0) if self.flipped else (reserve0, reserve1)
        if not (x and y):
            x = y = 0  # then no product with another pool's is above the other
        numerator, denominator = self.listed.fee_numerator, self.listed.fee_denominator
        self.nx, self.ny = numerator * x, numerator * y
        self.dx, self.dy = denominator * x, denominator * y
        self.first_hop = self.second_hop = None

    def state(self) -> PoolState:
        """What it is now."""
        return PoolState(self.address, self.reserve0, self.reserve1, self.position, self.flow_position)

    def begins(self) -> PoolHop:
        """The pool as the first half of an arbitrage sees it."""
        if self.first_hop is None:
            self.first_hop = self._hop(from_zero=not self.flipped)
        return self.first_hop

    def ends(self) -> PoolHop:
        """The pool as the second half of an arbitrage sees it."""
        if self.second_hop is None:
            self.second_hop = self._hop(from_zero=self.flipped)
        return self.second_hop

    def _hop(self, *, from_zero: bool) -> PoolHop:
        reserve_in, reserve_out = (self.reserve0, self.reserve1) if from_zero else (self.reserve1, self.reserve0)
        listed = self.listed
        return PoolHop(self.flow.market, reserve_in, reserve_out, listed.fee_numerator, listed.fee_denominator)


@attrs.define(eq=False)
class PoolBook:
    """All pools that are monitored.

    Args:
        reorg_depth: how many blocks back a reorganisation can be followed exactly.
        skipped: where events that are not used are counted, by reason.
    """

    reorg_depth: int
    skipped: dict[str, int]
    block_number: int = attrs.field(default=0, init=False)
    """The last block with a change that still stands."""
    pools: dict[bytes, Pool] = attrs.field(factory=dict, init=False)
    changed: dict[Pool, None] = attrs.field(factory=dict, init=False)
    """The pools that have changed since the last evaluation, in the order in which they did."""
    _pairs: dict[tuple[bytes, bytes], Pair] = attrs.field(factory=dict, init=False)
    _undo: deque[tuple[int, dict[Pool, PoolState]]] = attrs.field(factory=deque, init=False)
    _forgotten: int = attrs.field(default=0, init=False)
    """The last block whose changes cannot be undone any more."""

    def add(self, listed: PoolListed, *, token_in: bytes) -> Pool:
        """Monitor one more pool. The first one of a pair decides which token arbitrages in it begin with."""
        key = (listed.token0, listed.token1)
        token_mid = listed.token1 if token_in == listed.token0 else listed.token0
        pair = self._pairs.setdefault(key, Pair(token_in, token_mid))
        pool = Pool(listed, pair, Flow(MarketRef(listed.venue, 0, listed.pool)))
        pair.pools.append(pool)
        self.pools[listed.pool] = pool
        return pool

    def sync(self, message: PoolSync) -> Pool | None:
        """Take over the reserves; None, counted, where they are not used."""
        pool = self.pools.get(message.pool)
        if pool is None:
            self._skip("pool not monitored")
            return None
        block = message.block_number
        position = block << 32 | message.log_index
        if block < self.block_number or position <= pool.position:
            self._skip("pool event out of order")
            return None
        if not self._undo or self._undo[-1][0] != block:
            self._begin(block)
        before = self._undo[-1][1]
        if pool not in before:
            before[pool] = pool.state()
        reserve0, reserve1 = message.reserve0, message.reserve1
        if reserve0 > MAX_RESERVE or reserve1 > MAX_RESERVE:
            self._skip("reserves beyond uint112: pool unknown until its next Sync")
            reserve0 = reserve1 = 0
        pool.put(reserve0, reserve1, position)
        self.changed[pool] = None
        return pool

    def paying(self) -> list[tuple[Pool, Pool]]:
        """Each direction of the changed pools' pairs, first pool and second pool, that pays. Then nothing is changed any more."""
        found: list[tuple[Pool, Pool]] = []
        seen: set[Pool] = set()
        for pool in self.changed:
            nx, ny, dx, dy = pool.nx, pool.ny, pool.dx, pool.dy
            for other in pool.pair.pools:
                if other is pool or other in seen:
                    continue
                if ny * other.nx > dx * other.dy:
                    found.append((pool, other))
                elif other.ny * nx > other.dx * dy:  # never both: each leg of a round trip costs a fee
                    found.append((other, pool))
            seen.add(pool)
        self.changed.clear()
        return found

    def roll_back(self, block_number: int) -> list[Pool]:
        """Undo what later blocks did. All pools that this changed count as changed, and are returned."""
        undone: dict[Pool, None] = {}
        end = block_number << 32 | _LAST_LOG
        while self._undo and self._undo[-1][0] > block_number:
            _, before = self._undo.pop()
            for pool, state in before.items():
                pool.put(state.reserve0, state.reserve1, state.position)
                pool.flow_position = min(pool.flow_position, end)
                undone[pool] = None
        if block_number < self._forgotten:
            for pool in self.pools.values():
                if pool.position > end:
                    pool.put(0, 0, end)
                    undone[pool] = None
                    self._skip("pool state lost: reorganisation deeper than reorg_depth")
            self._forgotten = block_number
        self.block_number = min(self.block_number, block_number)
        self.changed |= undone
        return list(undone)

    def undo_blocks(self) -> list[UndoBlock]:
        """What pools were before the last blocks, oldest first."""
        return [UndoBlock(block, tuple(before.values())) for block, before in self._undo]

    @property
    def forgotten(self) -> int:
        """The last block that cannot be undone any more; 0 if there is none."""
        return self._forgotten

    def restore(
        self,
        states: Iterable[PoolState],
        undo: Iterable[UndoBlock],
        *,
        block_number: int,
        forgotten: int,
        changed: Iterable[Pool],
    ) -> None:
        """Take over what another book was, whose pools are monitored here already."""
        for state in states:
            pool = self.pools[state.pool]
            pool.put(state.reserve0, state.reserve1, state.position)
            pool.flow_position = state.flow_position
        self._undo = deque((block.block_number, {self.pools[s.pool]: s for s in block.before}) for block in undo)
        self.block_number, self._forgotten = block_number, forgotten
        self.changed = dict.fromkeys(changed)

    def _begin(self, block: int) -> None:
        self.block_number = block
        self._undo.append((block, {}))
        if len(self._undo) > self.reorg_depth:
            self._forgotten = self._undo.popleft()[0]

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
