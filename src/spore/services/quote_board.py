"""The best bid and ask of each instrument on each venue, and where one venue bids above what another asks.

Strategy: venues are indexed by instrument, so that a quote is compared with the same instrument's other venues and nothing else.
"""

from __future__ import annotations

import attrs

import spore
from spore.services.flow import Flow
from spore.services.messages import EventRef, InstrumentListed, MarketRef, QuoteUpdate, VenueOpportunity
from spore.services.settings import BPS

__all__ = ["Line", "LineState", "QuoteBoard"]


@spore.record
class LineState:
    """What a line of the board says."""

    instrument_id: spore.U64
    venue: spore.U16
    symbol: spore.Str
    bid_price: spore.PriceE8
    bid_size_e8: spore.U64
    ask_price: spore.PriceE8
    ask_size_e8: spore.U64
    update_id: spore.U64
    last_price: spore.PriceE8
    """The last one that was told as a tick; 0 before the first."""


@attrs.define(eq=False)
class Line:
    """An instrument on a venue. Prices are 0 until the first quote."""

    flow: Flow
    symbol: str = ""
    bid_price: int = 0
    bid_size_e8: int = 0
    ask_price: int = 0
    ask_size_e8: int = 0
    update_id: int = 0
    last_price: int = 0

    def state(self) -> LineState:
        """As a record."""
        market = self.flow.market
        return LineState(
            market.instrument_id,
            market.venue,
            self.symbol,
            self.bid_price,
            self.bid_size_e8,
            self.ask_price,
            self.ask_size_e8,
            self.update_id,
            self.last_price,
        )

    def restore(self, state: LineState) -> None:
        """Take over what another line was."""
        self.symbol = state.symbol
        self.bid_price, self.bid_size_e8 = state.bid_price, state.bid_size_e8
        self.ask_price, self.ask_size_e8 = state.ask_price, state.ask_size_e8
        self.update_id, self.last_price = state.update_id, state.last_price


@attrs.define
class QuoteBoard:
    """All instruments on all venues.

    Args:
        limit: how many lines there may be.
        fee_bps: what both trades of an opportunity cost together.
        usd_symbols: an instrument whose symbol ends with one of these is quoted in USD.
        skipped: where quotes that are not used are counted, by reason.
    """

    limit: int
    fee_bps: int
    usd_symbols: tuple[str, ...]
    skipped: dict[str, int]
    _venues: dict[int, dict[int, Line]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def name(self, listed: InstrumentListed) -> None:
        """An instrument will be told of under this symbol."""
        line = self.line(listed.instrument_id, listed.venue)
        if line is not None:
            line.symbol = listed.symbol

    def line(self, instrument_id: int, venue: int) -> Line | None:
        """The line of an instrument on a venue, a new one if need be; None, counted, where there is no room."""
        venues = self._venues.get(instrument_id)
        line = None if venues is None else venues.get(venue)
        if line is None:
            if self._count >= self.limit:
                self._skip("instrument beyond instruments_to_monitor")
                return None
            self._count += 1
            line = Line(Flow(MarketRef(venue, instrument_id)))
            self._venues.setdefault(instrument_id, {})[venue] = line
        return line

    def quote(self, message: QuoteUpdate) -> Line | None:
        """Take over a quote; None, counted, where it is not used."""
        line = self.line(message.instrument_id, message.venue)
        if line is None:
            return None
        if message.update_id < line.update_id:
            self._skip("quote out of order")
            return None
        if not 0 < message.bid_price <= message.ask_price:
            self._skip("quote without a positive bid at or below its ask")
            return None
        line.update_id = message.update_id
        line.bid_price, line.bid_size_e8 = message.bid_price, message.bid_size_e8
        line.ask_price, line.ask_size_e8 = message.ask_price, message.ask_size_e8
        return line

    def opportunities(self, line: Line, cause: EventRef) -> list[VenueOpportunity]:
        """Where this line's bid or ask crosses another venue's by more than the fees, in the order of the venues' first quotes."""
        found = []
        for other in self._venues[line.flow.market.instrument_id].values():
            if other is line or not other.bid_price:
                continue
            if self._crosses(line, other):
                found.append(self._opportunity(line, other, cause))
            if self._crosses(other, line):
                found.append(self._opportunity(other, line, cause))
        return found

    def states(self) -> list[LineState]:
        """The whole board."""
        return [line.state() for venues in self._venues.values() for line in venues.values()]

    def _crosses(self, buy: Line, sell: Line) -> bool:
        return sell.bid_price * BPS > buy.ask_price * (BPS + self.fee_bps)

    def _opportunity(self, buy: Line, sell: Line, cause: EventRef) -> VenueOpportunity:
        return VenueOpportunity(
            cause.event_time_ns,
            buy.flow.market,
            sell.flow.market,
            buy.ask_price,
            buy.ask_size_e8,
            sell.bid_price,
            sell.bid_size_e8,
            self.fee_bps,
            buy.symbol.endswith(self.usd_symbols) and sell.symbol.endswith(self.usd_symbols),
            cause,
        )

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
