"""A market that never was: constant-product pools, the same tokens at several venues, and traders who move them apart.

Invariant: the same settings give the same messages, bit for bit, on any machine and version of Python. All is integers;
chance is `random.Random.getrandbits` alone, whose numbers Python promises to keep for a seed.

Strategy: traders come to a pool at random. Most push its price towards where it began, some anywhere, so that prices
keep wandering a little without ever leaving, and two venues of a pair are now and then further apart than their fees.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from random import Random

import attrs

from spore.services.messages import GasPrice, MarketMessage, PoolListed, PoolSwap, PoolSync, TransactionEnd

__all__ = ["BLOCK_NS", "START_NS", "MarketModel", "SimPool", "trade"]

START_NS = 1_700_000_000_000_000_000
BLOCK_NS = 12_000_000_000
"""A slot of Ethereum's."""
FIRST_BLOCK = 18_500_000
FEE = (997, 1000)
"""What is left of an amount after a V2 pair's fee of 0.3 % (Uniswap V2 core, ``UniswapV2Pair.swap``)."""
GWEI = 10**9


@attrs.define(eq=False)
class SimPool:
    """A pool: what it began with, and what it holds."""

    listed: PoolListed
    address: bytes
    start0: int
    start1: int
    reserve0: int = attrs.field(init=False)
    reserve1: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reserve0, self.reserve1 = self.start0, self.start1


@attrs.define(kw_only=True)
class MarketModel:
    """What there is, and how it is traded. `transactions` begins anew each time."""

    seed: int
    pools: int = 100
    venues: int = 2
    """Each pair of tokens has a pool at each."""
    tx_swaps: int = 1
    """Swaps in a transaction."""
    first_venue: int = 1

    def transactions(self) -> Iterator[list[MarketMessage]]:
        """First the pools, then one transaction after the other without end, and before each block its gas price."""
        random = Random(self.seed)  # noqa: S311 - a market, no secret
        pools = self.make_pools(random)
        prefix = _digest(self.seed, "transaction")[:24]
        yield [pool.listed for pool in pools]
        number, base_fee = 0, 20 * GWEI
        for block in range(FIRST_BLOCK, 1 << 62):
            time_ns = START_NS + (block - FIRST_BLOCK) * BLOCK_NS
            yield [GasPrice(time_ns, block, base_fee, GWEI)]
            # By an eighth a block at the most, as EIP-1559 moves it.
            base_fee = min(max(base_fee + base_fee * (random.getrandbits(8) - 128) // 1024, GWEI), 200 * GWEI)
            if block == FIRST_BLOCK:
                for tx_index, pool in enumerate(pools):
                    tx_hash = prefix + number.to_bytes(8, "big")
                    number += 1
                    yield [
                        PoolSync(time_ns, block, tx_index, tx_index, tx_hash, pool.address, pool.start0, pool.start1),
                        TransactionEnd(time_ns, block, tx_index, tx_hash),
                    ]
                continue
            log_index = 0
            for tx_index in range(64 + random.getrandbits(6)):
                tx_hash = prefix + number.to_bytes(8, "big")
                number += 1
                told: list[MarketMessage] = []
                for _ in range(self.tx_swaps):
                    bits = random.getrandbits(55)
                    pool = pools[(bits & 0xFFFFFFFF) * len(pools) >> 32]
                    told += trade(pool, bits >> 32, (time_ns, block, tx_index), log_index=log_index, tx_hash=tx_hash)
                    log_index += 3
                told.append(TransactionEnd(time_ns, block, tx_index, tx_hash))
                yield told

    def make_pools(self, random: Random) -> list[SimPool]:
        """The pools as they begin: one of a pair's at each venue, at one price, of different sizes."""
        weth = (_digest(self.seed, "WETH")[:20], "WETH", 18)
        pools = []
        for pair in range(self.pools // self.venues):
            symbol, decimals = ("USDC", 6) if pair == 0 else (f"TOKEN{pair}", 18)
            token = (_digest(self.seed, symbol)[:20], symbol, decimals)
            # A price from 1,000 to about 5,000 of the token for one WETH: whole tokens, then their units.
            price = 1_000 + random.getrandbits(12)
            for venue in range(self.venues):
                weth_amount = (1_000 + random.getrandbits(13)) * 10**18
                amounts = {weth: weth_amount, token: weth_amount * price * 10**decimals // 10**18}
                token0, token1 = sorted((weth, token))
                listed = PoolListed(
                    event_time_ns=START_NS,
                    pool=_digest(self.seed, f"pool {pair} {venue}")[:20],
                    venue=self.first_venue + venue,
                    venue_name=f"sim{venue + 1}",
                    token0=token0[0],
                    token1=token1[0],
                    symbol0=token0[1],
                    symbol1=token1[1],
                    decimals0=token0[2],
                    decimals1=token1[2],
                    fee_numerator=FEE[0],
                    fee_denominator=FEE[1],
                )
                pools.append(SimPool(listed, listed.pool, amounts[token0], amounts[token1]))
        return pools


def trade(
    pool: SimPool, chance: int, where: tuple[int, int, int], *, log_index: int, tx_hash: bytes
) -> tuple[MarketMessage, ...]:
    """Trade, by 23 bits of chance: 12 for the size, 3 for the direction, 8 for whether it is large.

    Args:
        pool: whose reserves change.
        chance: the 23 bits.
        where: event time, block number and index of the transaction.
        log_index: of the first of up to three messages.
        tx_hash: of the transaction.
    """
    reserve0, reserve1, address = pool.reserve0, pool.reserve1, pool.address
    size = (chance & 0xFFF) + 1 << (4 if chance >> 15 == 0 else 0)
    mood = chance >> 12 & 7
    zero_in = mood == 0 if mood < 2 else reserve0 * pool.start1 < reserve1 * pool.start0
    if zero_in:
        given = reserve0 * size >> 23
        kept = given * FEE[0]
        taken = kept * reserve1 // (reserve0 * FEE[1] + kept)
        reserve0, reserve1 = reserve0 + given, reserve1 - taken
        amounts = (given, 0, 0, taken)
    else:
        given = reserve1 * size >> 23
        kept = given * FEE[0]
        taken = kept * reserve0 // (reserve1 * FEE[1] + kept)
        reserve0, reserve1 = reserve0 - taken, reserve1 + given
        amounts = (0, given, taken, 0)
    told: tuple[MarketMessage, ...] = (
        PoolSync(*where, log_index, tx_hash, address, reserve0, reserve1),
        PoolSwap(*where, log_index + 1, tx_hash, address, *amounts),
    )
    if reserve0 > 4 * pool.start0:
        # Fees make pools grow. Now and then somebody takes theirs out, so that reserves never leave 112 bits.
        reserve0, reserve1 = reserve0 // 2, reserve1 // 2
        told += (PoolSync(*where, log_index + 2, tx_hash, address, reserve0, reserve1),)
    pool.reserve0, pool.reserve1 = reserve0, reserve1
    return told


def _digest(seed: int, name: str) -> bytes:
    return blake2b(f"{seed} {name}".encode(), digest_size=32).digest()
