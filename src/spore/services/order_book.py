"""The order book of an instrument on a venue, kept from its updates.

An update says what a price's size is now, so that a missed one is made good by the next of the same price. Updates older than the
last one are not used; a gap between two is told, and the book goes on.
"""

from __future__ import annotations

import attrs

import spore
from spore.services.messages import BookLevel, OrderBook

__all__ = ["BookState", "LevelBook"]


@spore.record
class BookState:
    """A whole order book."""

    instrument_id: spore.U64
    venue: spore.U16
    last_update: spore.U64
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


@attrs.define
class LevelBook:
    """Sizes by price, for both sides.

    Args:
        depth: how many levels of a side are kept; those furthest from the other side go first.
    """

    depth: int
    last_update: int = attrs.field(default=0, init=False)
    _bids: dict[int, int] = attrs.field(factory=dict, init=False)
    _asks: dict[int, int] = attrs.field(factory=dict, init=False)

    def apply(self, update: OrderBook) -> str | None:
        """Take over an update.

        Returns:
            None, or what is wrong with it, to be counted. A gap is told although the update was used.
        """
        if not update.snapshot and update.last_update <= self.last_update:
            return "order book update out of order"
        gap = not update.snapshot and self.last_update and update.first_update > self.last_update + 1
        if update.snapshot:
            self._bids.clear()
            self._asks.clear()
        self.last_update = update.last_update
        for side, levels in ((self._bids, update.bids), (self._asks, update.asks)):
            for level in levels:
                if level.size_e8:
                    side[level.price] = level.size_e8
                else:
                    side.pop(level.price, None)
        if len(self._bids) > 2 * self.depth:
            self._bids = dict(sorted(self._bids.items(), reverse=True)[: self.depth])
        if len(self._asks) > 2 * self.depth:
            self._asks = dict(sorted(self._asks.items())[: self.depth])
        return "order book updates missing: book goes on with a gap" if gap else None

    def bids(self) -> tuple[BookLevel, ...]:
        """Best first."""
        return tuple(BookLevel(*level) for level in sorted(self._bids.items(), reverse=True)[: self.depth])

    def asks(self) -> tuple[BookLevel, ...]:
        """Best first."""
        return tuple(BookLevel(*level) for level in sorted(self._asks.items())[: self.depth])

    def state(self, instrument_id: int, venue: int) -> BookState:
        """All of it as a record."""
        bids, asks = (tuple(BookLevel(*level) for level in side.items()) for side in (self._bids, self._asks))
        return BookState(instrument_id, venue, self.last_update, bids, asks)

    def restore(self, state: BookState) -> None:
        """Take over what another book was."""
        self.last_update = state.last_update
        self._bids = {level.price: level.size_e8 for level in state.bids}
        self._asks = {level.price: level.size_e8 for level in state.asks}
