"""``pools.json``: which pools a feed tells about, and what their amounts mean.

Reading is strict, by the same rules as messages: unknown keys, wrong types and impossible values are refused with the
path of the key. Venues are numbered from 1 in the order in which the file names them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from spore.errors import ConversionError, FeedError
from spore.message import U8, U32, U64, Address, Str, from_plain, record
from spore.services.messages import PoolListed

__all__ = ["Pool", "Pools", "Token"]

SIZE_LIMIT = 64 << 20
"""Bytes of the file: some 200,000 pools."""
USUAL_DECIMALS = 18
"""Of a token of which nothing is known: most have as many (EIP-20 leaves them open)."""


@record
class Token:
    """An entry of ``tokens``."""

    address: Address
    symbol: Str
    decimals: U8


@record
class _Entry:
    address: Address
    venue: Str
    token0: Address
    token1: Address
    fee_numerator: U32
    fee_denominator: U32


@record
class _File:
    chain_id: U64
    pools: tuple[_Entry, ...]
    tokens: tuple[Token, ...] = ()


@attrs.frozen(kw_only=True)
class Pool:
    """A constant-product pool."""

    address: bytes
    venue: int
    venue_name: str
    token0: Token
    token1: Token
    fee_numerator: int
    """Of what goes in, this share of ``fee_denominator`` is traded."""
    fee_denominator: int

    def listed(self, event_time_ns: int) -> PoolListed:
        """What a feed says of the pool before anything else."""
        return PoolListed(
            event_time_ns=event_time_ns,
            pool=self.address,
            venue=self.venue,
            venue_name=self.venue_name,
            token0=self.token0.address,
            token1=self.token1.address,
            symbol0=self.token0.symbol,
            symbol1=self.token1.symbol,
            decimals0=self.token0.decimals,
            decimals1=self.token1.decimals,
            fee_numerator=self.fee_numerator,
            fee_denominator=self.fee_denominator,
        )


@attrs.frozen
class Pools:
    """The pools of one chain, in the file's order."""

    chain_id: int
    pools: tuple[Pool, ...]

    def __iter__(self) -> Iterator[Pool]:
        return iter(self.pools)

    def __len__(self) -> int:
        return len(self.pools)

    @classmethod
    def load(cls, path: Path) -> Pools:
        """Read a file.

        Raises:
            FeedError: naming the file, and each key at fault.
        """
        try:
            if path.stat().st_size > SIZE_LIMIT:
                raise FeedError(str(path), f"more than {SIZE_LIMIT} bytes, which is no list of pools")
            data = json.loads(path.read_bytes())
        except OSError as error:
            raise FeedError(str(path), f"the list of pools cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise FeedError(str(path), f"no JSON: {error}") from None
        try:
            return cls.from_data(data)
        except ConversionError as error:
            raise FeedError(str(path), "; ".join(map(_keyed, error.problems))) from None

    @classmethod
    def from_data(cls, data: Any) -> Pools:
        """The pools that a file's JSON describes.

        Raises:
            ConversionError: naming everything that is wrong, each with the path of its key.
        """
        file = from_plain(_File, data)
        problems = [*_problems_of_pools(file), *_problems_of_tokens(file)]
        if problems:
            raise ConversionError("list of pools", tuple(problems))
        venues = {name: number for number, name in enumerate(dict.fromkeys(p.venue for p in file.pools), start=1)}
        tokens = {token.address: token for token in file.tokens}

        def token_at(address: bytes) -> Token:
            return tokens.get(address) or Token(address, "", USUAL_DECIMALS)

        return cls(
            file.chain_id,
            tuple(
                Pool(
                    address=entry.address,
                    venue=venues[entry.venue],
                    venue_name=entry.venue,
                    token0=token_at(entry.token0),
                    token1=token_at(entry.token1),
                    fee_numerator=entry.fee_numerator,
                    fee_denominator=entry.fee_denominator,
                )
                for entry in file.pools
            ),
        )


def _keyed(problem: str) -> str:
    """A problem with the path of its key in front, without the name of the class that stands for the file."""
    said, found, path = problem.rpartition(f" @ {_File.__name__}")
    return f"{path.removeprefix('.')}: {said}" if found and path else said or problem


def _problems_of_pools(file: _File) -> Iterator[str]:
    if not file.pools:
        yield "pools: there is none"
    if len({entry.venue for entry in file.pools}) >= 1 << 16:
        yield f"pools: more than {(1 << 16) - 1} venues"
    seen = Counter(entry.address for entry in file.pools)
    for index, entry in enumerate(file.pools):
        key = f"pools[{index}]"
        if seen[entry.address] > 1:
            yield f"{key}.address: 0x{entry.address.hex()} is there {seen[entry.address]} times"
        if not entry.venue:
            yield f"{key}.venue: is empty; write a name"
        if entry.token0 >= entry.token1:
            yield f"{key}.token0: is not below token1, and a pair sorts its tokens as integers"
        if not 0 < entry.fee_numerator <= entry.fee_denominator:
            yield (
                f"{key}.fee_numerator: {entry.fee_numerator} of fee_denominator {entry.fee_denominator} cannot be what "
                f"is left after a fee, as 997 of 1000 is"
            )


def _problems_of_tokens(file: _File) -> Iterator[str]:
    seen = Counter(token.address for token in file.tokens)
    for index, token in enumerate(file.tokens):
        if seen[token.address] > 1:
            yield f"tokens[{index}].address: 0x{token.address.hex()} is there {seen[token.address]} times"
