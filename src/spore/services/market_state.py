"""The state of market data as a record: what a successor, perhaps in another process, takes over.

It holds everything that a later message can depend on, and nothing that follows from the settings.
"""

from __future__ import annotations

import spore
from spore.errors import ConversionError
from spore.services.flow import Flow
from spore.services.market_data import MarketDataProcessor
from spore.services.messages import MarketRef, MarketVolume, PoolListed
from spore.services.order_book import BookState, LevelBook
from spore.services.pool_book import Pool, PoolState, UndoBlock
from spore.services.quote_board import Line, LineState

__all__ = ["MarketDataState", "restore_market_data", "save_market_data"]


@spore.record
class ToldPrice:
    """A token whose price is told, and what was told last."""

    token: spore.Address
    usd_q112: spore.U256 | None


@spore.record
class Skipped:
    """How many were not used for a reason."""

    reason: spore.Str
    count: spore.U64


@spore.record
class MarketDataState:
    """A processor between two messages."""

    listed: tuple[PoolListed, ...]
    pools: tuple[PoolState, ...]
    undo: tuple[UndoBlock, ...]
    block_number: spore.U64
    forgotten: spore.U64
    changed: tuple[spore.Address, ...]
    lines: tuple[LineState, ...]
    books: tuple[BookState, ...]
    volumes: tuple[MarketVolume, ...]
    window_end_ns: spore.TimestampNs
    window_pools: tuple[spore.Address, ...]
    told_prices: tuple[ToldPrice, ...]
    skipped: tuple[Skipped, ...]


def save_market_data(processor: MarketDataProcessor) -> MarketDataState:
    """What a processor is."""
    pools = processor.pools
    return MarketDataState(
        listed=tuple(pool.listed for pool in pools.pools.values()),
        pools=tuple(pool.state() for pool in pools.pools.values()),
        undo=tuple(pools.undo_blocks()),
        block_number=pools.block_number,
        forgotten=pools.forgotten,
        changed=tuple(pool.address for pool in pools.changed),
        lines=tuple(processor.quotes.states()),
        books=tuple(book.state(*key) for key, book in processor.books.items()),
        volumes=processor.flows.volumes(),
        window_end_ns=processor.window_end_ns,
        window_pools=tuple(pool.address for pool in processor.window_pools),
        told_prices=tuple(ToldPrice(*told) for told in processor.told_prices.items()),
        skipped=tuple(Skipped(*skipped) for skipped in processor.skipped.items()),
    )


def restore_market_data(processor: MarketDataProcessor, state: MarketDataState) -> None:
    """Make a fresh processor, with the settings of its predecessor, what that was.

    Raises:
        ConversionError: if the state speaks of a pool or market that it does not list, or of more than the settings allow.
    """
    processor.initialize(state.listed)
    pools = processor.pools
    for place in (*state.pools, *(before for block in state.undo for before in block.before)):
        _pool(processor, place.pool)
    changed = [_pool(processor, pool) for pool in state.changed]
    pools.restore(state.pools, state.undo, block_number=state.block_number, forgotten=state.forgotten, changed=changed)
    for line in state.lines:
        _line(processor, line.instrument_id, line.venue).restore(line)
    for entry in state.books:
        book = processor.books[entry.instrument_id, entry.venue] = LevelBook(processor.book_depth)
        book.restore(entry)
    for volume in state.volumes:
        flow = _flow(processor, volume.market)
        processor.flows.add(flow, volume.base_volume, volume.quote_volume, trades=volume.trades)
    processor.window_end_ns = state.window_end_ns
    processor.window_pools = dict.fromkeys(_pool(processor, pool) for pool in state.window_pools)
    processor.told_prices = {told.token: told.usd_q112 for told in state.told_prices}
    processor.skipped.clear()
    processor.skipped.update({skipped.reason: skipped.count for skipped in state.skipped})


def _pool(processor: MarketDataProcessor, address: bytes) -> Pool:
    pool = processor.pools.pools.get(address)
    if pool is None:
        problem = f"the pool 0x{address.hex()} is not among the {len(processor.pools.pools)} that could be listed"
        raise ConversionError(MarketDataState.__name__, (problem,))
    return pool


def _flow(processor: MarketDataProcessor, market: MarketRef) -> Flow:
    if market.pool is not None:
        return _pool(processor, market.pool).flow
    return _line(processor, market.instrument_id, market.venue).flow


def _line(processor: MarketDataProcessor, instrument_id: int, venue: int) -> Line:
    line = processor.quotes.line(instrument_id, venue)
    if line is None:
        problem = f"instrument {instrument_id} on venue {venue} is beyond instruments_to_monitor"
        raise ConversionError(MarketDataState.__name__, (problem,))
    return line
