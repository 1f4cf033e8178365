"""What tokens are worth in USD, from the pools themselves, in integers.

The rule, in this order, so that equal pools give equal prices:

1. a price that the configuration sets holds (by address, or by symbol: stable tokens count 1 USD);
2. else the pool that pairs the token with such a token decides: of several, the one that holds most USD on that side, and of
   equals the one listed first;
3. else the pool that pairs it with the native token and holds most of that, at the native token's price;
4. else the price is unknown; but the native token has the fallback that the configuration gives.

A pool that is not known has no say. A price is ``usd_q112`` (see `spore.services.messages.detection`), rounded down at each step.
Symbols are what a token calls itself: where pools of strangers are fed, set prices by address.
"""

from __future__ import annotations

from decimal import Decimal

import attrs

from spore.services.messages import PoolListed
from spore.services.pool_book import Pool
from spore.services.settings import usd_e8

__all__ = ["FRACTION_BITS", "PriceBook"]

FRACTION_BITS = 112
"""Source: Uniswap V2 core, ``UQ112x112``."""
_MOST = 2**256 - 1


@attrs.define
class PriceBook:
    """The prices of all tokens of the pools that were added.

    Args:
        usd_prices: what the configuration sets, by symbol or address.
        native: symbol or address of the token that gas is paid in.
        native_fallback: USD for one of it, while no pool tells.
    """

    usd_prices: dict[str, Decimal]
    native: str
    native_fallback: Decimal
    _fixed: dict[bytes, int] = attrs.field(factory=dict, init=False)
    _by_fixed: dict[bytes, list[tuple[Pool, bool, int]]] = attrs.field(factory=dict, init=False)
    """By token: each pool that pairs it with a fixed price, whether the token is token0, and that price."""
    _by_native: dict[bytes, list[tuple[Pool, bool]]] = attrs.field(factory=dict, init=False)
    _native: dict[bytes, int] = attrs.field(factory=dict, init=False)
    """The native token, with its fallback: one entry as soon as it is known."""
    _native_q112: int | None = attrs.field(default=None, init=False)
    """The price of the native token, until a pool that tells it changes."""
    _exact: dict[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        named = {token: usd_e8(token, price) for token, price in self.usd_prices.items()}
        self._exact = {token.lower() if token.startswith("0x") else token: price for token, price in named.items()}

    def begins_with(self, listed: PoolListed) -> bytes:
        """Which of a pool's tokens an arbitrage should begin and end with: the native one, else one whose price is set,
        else token0."""
        tokens = ((listed.token0, listed.symbol0), (listed.token1, listed.symbol1))
        for token, symbol in tokens:
            if self._is_native(token, symbol):
                return token
        for token, symbol in tokens:
            if self._set_price(token, symbol) is not None:
                return token
        return listed.token0

    def add(self, pool: Pool) -> None:
        """One more pool that tells prices."""
        listed = pool.listed
        zero = (listed.token0, listed.symbol0, listed.decimals0)
        one = (listed.token1, listed.symbol1, listed.decimals1)
        for token, symbol, decimals in (zero, one):
            price = self._set_price(token, symbol)
            if price is not None:
                self._fixed.setdefault(token, (price << FRACTION_BITS) // 10**decimals)
            if self._is_native(token, symbol):
                fallback = usd_e8("native_price_usd", self.native_fallback)
                self._native.setdefault(token, (fallback << FRACTION_BITS) // 10**decimals)
        for token, other, is_zero in ((zero[0], one[0], True), (one[0], zero[0], False)):
            if other in self._fixed:
                self._by_fixed.setdefault(token, []).append((pool, is_zero, self._fixed[other]))
                pool.tells_native |= token in self._native
            elif other in self._native:
                self._by_native.setdefault(token, []).append((pool, is_zero))

    @property
    def native_token(self) -> bytes | None:
        """The native token's address; None before a pool with it was added."""
        return next(iter(self._native), None)

    def native_q112(self) -> int | None:
        """The price of the native token; None while no pool with it is known."""
        if self._native_q112 is None and self._native:
            self._native_q112 = self._price(next(iter(self._native)))
        return self._native_q112

    def forget_native(self) -> None:
        """A pool that tells the price of the native token has changed."""
        self._native_q112 = None

    def q112(self, token: bytes) -> int | None:
        """The price of a token, as ``usd_q112``; None where it is unknown or too large to be told."""
        return self.native_q112() if token in self._native else self._price(token)

    def _price(self, token: bytes) -> int | None:
        price = self._fixed.get(token)
        if price is None:
            price = self._from_fixed(token)
        if price is None:
            price = self._native[token] if token in self._native else self._from_native(token)
        return price if price is None or price <= _MOST else None

    def _from_fixed(self, token: bytes) -> int | None:
        best: int | None = None
        most = 0
        for pool, is_zero, price in self._by_fixed.get(token, ()):
            own, other = (pool.reserve0, pool.reserve1) if is_zero else (pool.reserve1, pool.reserve0)
            worth = other * price
            if own and worth > most:
                most, best = worth, worth // own
        return best

    def _from_native(self, token: bytes) -> int | None:
        best: int | None = None
        most = 0
        for pool, is_zero in self._by_native.get(token, ()):
            own, other = (pool.reserve0, pool.reserve1) if is_zero else (pool.reserve1, pool.reserve0)
            if own and other > most:
                price = self.native_q112()
                most, best = other, None if price is None else other * price // own
        return best

    def _set_price(self, token: bytes, symbol: str) -> int | None:
        return self._exact.get(f"0x{token.hex()}", self._exact.get(symbol))

    def _is_native(self, token: bytes, symbol: str) -> bool:
        # The first token of that name stays the native one: a later namesake is another token.
        known = self.native_token
        if known is not None:
            return token == known
        return self.native == symbol or self.native.lower() == f"0x{token.hex()}"
