"""What a desk holds that provides a share of every pool: it takes that share of the other side of each swap.

All is integers. What a transaction has done counts at its end, when its pools are in a state that existed. A branch that the chain leaves
is not taken back, so a live feed is to tell of confirmed blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from examples.risk.messages import PositionUpdate

import spore
from spore.services.messages import EventRef, MarketMessage, PoolListed, PoolSwap, PoolSync, TransactionEnd

__all__ = ["PositionKeeper", "PositionState"]

BPS = 10_000


@spore.record
class PoolHeld:
    """A pool of a token and the coin that values are counted in."""

    pool: spore.Address
    token: spore.Address
    coin_is_0: spore.Bool
    token_reserve: spore.U128
    coin_reserve: spore.U128


@spore.record
class Holding:
    """What is held of a token."""

    token: spore.Address
    amount: spore.I256


@spore.record
class PositionState:
    """A keeper between two messages."""

    pools: tuple[PoolHeld, ...]
    holdings: tuple[Holding, ...]
    touched: tuple[spore.Address, ...]
    """The pools that the transaction under way has traded in."""


@attrs.define
class PositionKeeper:
    """Folds swaps into positions. Pools without the coin are passed over."""

    share_bps: int = attrs.field(default=1_000, validator=[attrs.validators.ge(1), attrs.validators.le(BPS)])
    """The desk's share of each pool, in hundredths of a percent."""
    coin: str = "WETH"
    """The symbol of the token that values are counted in."""

    pools: dict[bytes, PoolHeld] = attrs.field(factory=dict, init=False)
    amounts: dict[bytes, int] = attrs.field(factory=dict, init=False)
    """By token, in its native units."""
    _touched: dict[bytes, None] = attrs.field(factory=dict, init=False)

    def process(self, message: MarketMessage) -> Sequence[PositionUpdate]:
        """Handle one message; return the positions that have changed, in the order of their swaps."""
        match message:
            case PoolListed():
                self._list(message)
            case PoolSync() if (held := self.pools.get(message.pool)) is not None:
                pair = (message.reserve0, message.reserve1)
                coin, token = pair if held.coin_is_0 else reversed(pair)
                self.pools[message.pool] = PoolHeld(held.pool, held.token, held.coin_is_0, token, coin)
            case PoolSwap() if (held := self.pools.get(message.pool)) is not None:
                self._swap(held, message)
            case TransactionEnd():
                return self._end(message)
        return ()

    def state(self) -> PositionState:
        """All of the state."""
        holdings = tuple(Holding(token, amount) for token, amount in self.amounts.items())
        return PositionState(tuple(self.pools.values()), holdings, tuple(self._touched))

    def restore(self, state: PositionState) -> None:
        """Take over what another keeper was. This one must be fresh."""
        self.pools = {held.pool: held for held in state.pools}
        self.amounts = {holding.token: holding.amount for holding in state.holdings}
        self._touched = dict.fromkeys(state.touched)

    def _list(self, listed: PoolListed) -> None:
        if listed.symbol0 == self.coin:
            self.pools[listed.pool] = PoolHeld(listed.pool, listed.token1, True, 0, 0)
        elif listed.symbol1 == self.coin:
            self.pools[listed.pool] = PoolHeld(listed.pool, listed.token0, False, 0, 0)

    def _swap(self, held: PoolHeld, swap: PoolSwap) -> None:
        taken, given = (swap.amount1_in, swap.amount1_out) if held.coin_is_0 else (swap.amount0_in, swap.amount0_out)
        change = taken * self.share_bps // BPS - given * self.share_bps // BPS
        self.amounts[held.token] = self.amounts.get(held.token, 0) + change
        self._touched[held.pool] = None

    def _end(self, end: TransactionEnd) -> list[PositionUpdate]:
        touched = [self.pools[pool] for pool in self._touched]
        self._touched.clear()
        cause = EventRef(end.event_time_ns, end.block_number, end.tx_index, 0, end.tx_hash)
        return [
            PositionUpdate(
                end.event_time_ns, held.token, amount, amount * held.coin_reserve // held.token_reserve, cause
            )
            for held in touched
            if held.token_reserve
            for amount in [self.amounts[held.token]]
        ]
