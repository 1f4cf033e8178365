"""Events of a small market, short to write: tokens and pools have names of one word."""

from __future__ import annotations

from typing import Any

from spore.services.messages import (
    BookLevel,
    ChainReorg,
    GasPrice,
    InstrumentListed,
    LoanPosition,
    OrderBook,
    PoolListed,
    PoolSwap,
    PoolSync,
    QuoteUpdate,
    Side,
    Trade,
    TransactionEnd,
)

__all__ = [
    "E18",
    "SECOND",
    "book",
    "end",
    "gas",
    "instrument",
    "loan",
    "named",
    "pool",
    "q",
    "quote",
    "reorg",
    "swap",
    "sync",
    "trade",
]

E18 = 10**18
SECOND = 10**9


def named(name: str) -> bytes:
    """The address of a token, pool or account; alphabetical order is that of the addresses."""
    return name.encode().ljust(20, b".")


def pool(name: str, token0: str, token1: str, *, venue: int = 1, **other: Any) -> PoolListed:
    """USDC and USDT have 6 decimals, other tokens 18; a token's symbol is its name."""
    fields: dict[str, Any] = {
        "event_time_ns": 0,
        "pool": named(name),
        "venue": venue,
        "venue_name": f"venue {venue}",
        "token0": named(token0),
        "token1": named(token1),
        "symbol0": token0,
        "symbol1": token1,
        "decimals0": 6 if token0.startswith("USD") else 18,
        "decimals1": 6 if token1.startswith("USD") else 18,
        "fee_numerator": 997,
        "fee_denominator": 1000,
    }
    return PoolListed(**{**fields, **other})


def sync(name: str, reserve0: int, reserve1: int, *, block: int = 1, log: int = 1, tx: int = 0) -> PoolSync:
    return PoolSync(block * SECOND, block, tx, log, tx_hash(block, tx), named(name), reserve0, reserve1)


def swap(name: str, *, into: tuple[int, int] = (0, 0), out: tuple[int, int] = (0, 0), **at: int) -> PoolSwap:
    block, tx, log = at.get("block", 1), at.get("tx", 0), at.get("log", 2)
    return PoolSwap(block * SECOND, block, tx, log, tx_hash(block, tx), named(name), *into, *out)


def end(*, block: int = 1, tx: int = 0) -> TransactionEnd:
    return TransactionEnd(block * SECOND, block, tx, tx_hash(block, tx))


def reorg(block: int, *, at: int) -> ChainReorg:
    return ChainReorg(at * SECOND, block)


def gas(wei: int, *, block: int = 1) -> GasPrice:
    return GasPrice(block * SECOND, block, wei, 0)


def loan(
    account: str, collateral: int, debt: int, *, block: int = 1, tokens: tuple[str, str] = ("WETH", "USDC")
) -> LoanPosition:
    """The debt may be worth 80 % of the collateral; closing it pays 5 %."""
    place = (block * SECOND, block, 0, 0, tx_hash(block, 0), 7)
    return LoanPosition(*place, named(account), named(tokens[0]), named(tokens[1]), collateral, debt, 8_000, 500)


def instrument(symbol: str, venue: int, *, number: int = 5) -> InstrumentListed:
    return InstrumentListed(0, number, symbol, venue, f"venue {venue}")


def quote(
    venue: int, bid: int, ask: int, *, at: int = 1, size: int = 10**8, update: int = 0, number: int = 5
) -> QuoteUpdate:
    return QuoteUpdate(number, bid, size, ask, size, venue, at * SECOND, update or at)


def trade(venue: int, price: int, size: int, *, at: int = 1, number: int = 5) -> Trade:
    return Trade(number, venue, at * SECOND, at, price, size, Side.BUY)


def book(
    bids: dict[int, int], asks: dict[int, int], *, first: int, last: int, snapshot: bool = False, number: int = 5
) -> OrderBook:
    levels = [tuple(BookLevel(*level) for level in side.items()) for side in (bids, asks)]
    return OrderBook(number, 1, last * SECOND, first, last, snapshot, *levels)


def tx_hash(block: int, tx: int) -> bytes:
    return b"tx" + block.to_bytes(15, "big") + tx.to_bytes(15, "big")


def q(usd: int, decimals: int) -> int:
    """The price of a token that is worth so many USD, as messages carry it."""
    price: int = (usd * 10**8 << 112) // 10**decimals
    return price
