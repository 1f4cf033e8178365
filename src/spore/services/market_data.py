"""Market data: what happened on chains and exchanges becomes state, and state becomes opportunities.

Strategy: state is taken from Sync, flow from Swap, and pools are compared once a transaction is over, because between two Syncs of
one they are in a state that nobody can trade on. What an event costs depends on what it changed, not on how much is monitored. Time
is event time only: the same events give the same answers, bit for bit.

Each `process_…` returns what to tell the signal generator, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import attrs

from spore.errors import UsageError
from spore.services.flow import FlowWindow
from spore.services.messages import (
    ChainReorg,
    EventRef,
    GasPrice,
    InstrumentListed,
    LoanPosition,
    MarketMessage,
    MarketSnapshot,
    OrderBook,
    PoolEvaluation,
    PoolListed,
    PoolOpportunity,
    PoolSwap,
    PoolSync,
    PriceTick,
    QuoteUpdate,
    SignalMessage,
    TokenPrice,
    Trade,
    TransactionEnd,
    VolumeUpdate,
)
from spore.services.order_book import LevelBook
from spore.services.pool_book import Pool, PoolBook
from spore.services.prices import PriceBook
from spore.services.quote_board import Line, QuoteBoard
from spore.services.settings import MS, from_choices, token_name, usd, usd_table, whole

__all__ = ["WATCH_LIMIT", "MarketDataProcessor"]

WATCH_LIMIT = 1_000
"""How many tokens of loans have their prices told."""

NOTHING: Sequence[SignalMessage] = ()


@attrs.define
class MarketDataProcessor:
    """Keeps the state of pools and exchanges and finds what may be worth a trade."""

    pools_to_monitor: int = attrs.field(default=1_000, validator=whole(1))
    """Pools that are listed beyond so many are counted, and their events too, but not used."""
    update_frequency_ms: int = attrs.field(default=100, validator=whole(1, 86_400_000))
    """The length of the windows of event time at whose ends snapshots are told."""
    reorg_depth: int = attrs.field(default=64, validator=whole(1, 100_000))
    """How many blocks with changes can be undone. Two epochs of 32 slots, after which Ethereum's blocks are final."""
    instruments_to_monitor: int = attrs.field(default=1_000, validator=whole(1))
    """As `pools_to_monitor`, for instruments on exchanges, counted once for each venue."""
    book_depth: int = attrs.field(default=1_000, validator=whole(1))
    """How many levels of each side of an order book are kept."""
    cross_venue_fee_bps: int = attrs.field(default=20, validator=whole(0, 10_000))
    """What buying on one exchange and selling on another costs together, in hundredths of a percent of the price."""
    tick_source: str = attrs.field(default="quotes", validator=from_choices("quotes", "trades"))
    """What the prices that momentum is computed of are: the middle of the quotes, or the trades."""
    usd_prices: dict[str, Decimal] = attrs.field(
        factory=lambda: {"USDC": Decimal(1), "USDT": Decimal(1), "DAI": Decimal(1)}, validator=usd_table
    )
    """USD for a whole token, by symbol or address; all other prices follow from pools (`spore.services.prices`)."""
    native_token: str = attrs.field(default="WETH", validator=token_name)
    """Symbol or address of the token that stands for what gas is paid in."""
    native_price_usd: Decimal = attrs.field(default=Decimal(2_000), validator=usd)
    """What one is worth while no pool tells: a round figure, to be set where profits in USD decide."""

    skipped: dict[str, int] = attrs.field(factory=dict, init=False)
    """Messages, or parts of the state, that were not used, by reason."""
    pools: PoolBook = attrs.field(init=False)
    quotes: QuoteBoard = attrs.field(init=False)
    prices: PriceBook = attrs.field(init=False)
    books: dict[tuple[int, int], LevelBook] = attrs.field(factory=dict, init=False)
    """The order books, by instrument and venue."""
    flows: FlowWindow = attrs.field(factory=FlowWindow, init=False)
    window_end_ns: int = attrs.field(default=0, init=False)
    """Of the window of event time that is open; 0 before the first event."""
    told_prices: dict[bytes, int | None] = attrs.field(factory=dict, init=False)
    """The tokens whose prices are told, with the price that was told last."""
    window_pools: dict[Pool, None] = attrs.field(factory=dict, init=False)
    """The pools that have changed in this window."""
    _window_ns: int = attrs.field(init=False)
    _handlers: dict[type, Callable[[Any], Sequence[SignalMessage]]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.pools = PoolBook(self.reorg_depth, self.skipped)
        self.prices = PriceBook(self.usd_prices, self.native_token, self.native_price_usd)
        usd_symbols = tuple(token for token in self.usd_prices if not token.startswith("0x"))
        self.quotes = QuoteBoard(
            self.instruments_to_monitor, self.cross_venue_fee_bps, (*usd_symbols, "USD"), self.skipped
        )
        self._window_ns = self.update_frequency_ms * MS
        self._handlers = {
            PoolSync: self.process_sync,
            PoolSwap: self.process_swap,
            TransactionEnd: self.detect_opportunity,
            QuoteUpdate: self.process_quote,
            Trade: self.process_trade,
            OrderBook: self.process_order_book,
            VolumeUpdate: self.process_volume,
            PoolListed: self.process_listing,
            InstrumentListed: self.process_listing,
            ChainReorg: self.process_reorg,
            LoanPosition: self.process_loan,
            GasPrice: self.process_gas_price,
        }

    def initialize(self, listings: Iterable[PoolListed | InstrumentListed]) -> None:
        """Monitor these from the beginning, as if a feed had listed them."""
        for listed in listings:
            self.process_listing(listed)

    def process(self, message: MarketMessage) -> Sequence[SignalMessage]:
        """Handle one message. If its time is beyond the open window, that is closed first.

        Raises:
            UsageError: if it is no message of market data.
        """
        try:
            handler = self._handlers[type(message)]
        except KeyError:
            raise UsageError(f"market data does not handle {type(message).__qualname__}") from None
        if message.event_time_ns < self.window_end_ns:
            return handler(message)
        snapshot = self._close_window(message.event_time_ns)
        told = handler(message)
        return told if snapshot is None else (snapshot, *told)

    def process_listing(self, listed: PoolListed | InstrumentListed) -> Sequence[SignalMessage]:
        """Monitor one more pool or instrument, if there is room."""
        if isinstance(listed, InstrumentListed):
            self.quotes.name(listed)
        elif (known := self.pools.pools.get(listed.pool)) is not None:
            if _meaning(known.listed) != _meaning(listed):
                self._skip("pool listed again as something else")
        elif not (0 < listed.fee_numerator <= listed.fee_denominator and listed.token0 < listed.token1):
            self._skip("pool listed with an impossible fee, or with its tokens out of order")
        elif len(self.pools.pools) >= self.pools_to_monitor:
            self._skip("pool listed beyond pools_to_monitor")
        else:
            self.prices.add(self.pools.add(listed, token_in=self.prices.begins_with(listed)))
            self.prices.forget_native()
        return NOTHING

    def process_sync(self, message: PoolSync) -> Sequence[SignalMessage]:
        """Take over a pool's reserves. What they are worth to trade on shows at the end of the transaction."""
        pool = self.pools.sync(message)
        if pool is not None:
            self.window_pools[pool] = None
            if pool.tells_native:
                self.prices.forget_native()
        return NOTHING

    def process_swap(self, message: PoolSwap) -> Sequence[SignalMessage]:
        """Count what was traded in a pool."""
        pool = self.pools.pools.get(message.pool)
        if pool is None:
            self._skip("pool not monitored")
            return NOTHING
        position = message.block_number << 32 | message.log_index
        if position <= pool.flow_position:
            self._skip("pool event out of order")
            return NOTHING
        pool.flow_position = position
        self.flows.add(pool.flow, message.amount0_in + message.amount0_out, message.amount1_in + message.amount1_out)
        return NOTHING

    def detect_opportunity(self, message: TransactionEnd) -> Sequence[SignalMessage]:
        """Compare the pools that a transaction changed with the others of their pairs.

        Returns:
            One `PoolEvaluation`, or nothing if no monitored pool has changed.
        """
        changed = self.pools.changed
        if not changed:
            return NOTHING
        time_ns = message.event_time_ns
        cause = EventRef(time_ns, message.block_number, message.tx_index, 0, message.tx_hash)
        addresses = tuple([pool.address for pool in changed])
        paying = self.pools.paying()
        if not paying:
            return (PoolEvaluation(time_ns, cause, addresses, None, ()),)
        price = self.prices.q112
        opportunities = tuple(
            [
                PoolOpportunity(
                    first.begins(),
                    second.ends(),
                    first.pair.token_in,
                    first.pair.token_mid,
                    price(first.pair.token_in),
                )
                for first, second in paying
            ]
        )
        return (PoolEvaluation(time_ns, cause, addresses, self.prices.native_q112(), opportunities),)

    def process_quote(self, message: QuoteUpdate) -> Sequence[SignalMessage]:
        """Compare a quote with the other venues' of its instrument."""
        line = self.quotes.quote(message)
        if line is None:
            return NOTHING
        cause = EventRef(message.event_time_ns, message.update_id)
        told: list[SignalMessage] = list(self.quotes.opportunities(line, cause))
        if self.tick_source == "quotes":
            told += self._tick(line, (message.bid_price + message.ask_price) // 2, cause)
        return told

    def process_trade(self, message: Trade) -> Sequence[SignalMessage]:
        """Count a trade on an exchange."""
        line = self.quotes.line(message.instrument_id, message.venue)
        if line is None:
            return NOTHING
        if message.price <= 0:
            self._skip("trade without a positive price")
            return NOTHING
        self.flows.add(line.flow, message.size_e8, message.size_e8 * message.price // 10**8)
        if self.tick_source == "trades":
            return self._tick(line, message.price, EventRef(message.event_time_ns, message.trade_id))
        return NOTHING

    def process_order_book(self, message: OrderBook) -> Sequence[SignalMessage]:
        """Keep an order book."""
        if self.quotes.line(message.instrument_id, message.venue) is not None:
            key = (message.instrument_id, message.venue)
            book = self.books.get(key)
            if book is None:
                book = self.books[key] = LevelBook(self.book_depth)
            problem = book.apply(message)
            if problem is not None:
                self._skip(problem)
        return NOTHING

    def process_volume(self, message: VolumeUpdate) -> Sequence[SignalMessage]:
        """Count what a venue itself says was traded."""
        line = self.quotes.line(message.instrument_id, message.venue)
        if line is not None and message.trades:
            self.flows.add(line.flow, message.base_volume, message.quote_volume, trades=message.trades)
        return NOTHING

    def process_reorg(self, message: ChainReorg) -> Sequence[SignalMessage]:
        """Go back to the state after a block. The pools that this changed are compared after the next transaction.

        Volumes are not taken back: a window tells what was heard in it.
        """
        for pool in self.pools.roll_back(message.block_number):
            self.window_pools[pool] = None
        self.prices.forget_native()
        return NOTHING

    def process_loan(self, message: LoanPosition) -> Sequence[SignalMessage]:
        """Pass a loan on; from now on its tokens' prices are told."""
        for token in (message.collateral_token, message.debt_token):
            if token not in self.told_prices:
                if len(self.told_prices) < WATCH_LIMIT:
                    self.told_prices[token] = None
                else:
                    self._skip("token of a loan beyond the limit: its price is not told")
        return (message,)

    def process_gas_price(self, message: GasPrice) -> Sequence[SignalMessage]:
        """Pass it on."""
        return (message,)

    def _tick(self, line: Line, price: int, cause: EventRef) -> Sequence[SignalMessage]:
        if price == line.last_price:
            return NOTHING
        line.last_price = price
        return (PriceTick(cause.event_time_ns, line.flow.market, price, cause),)

    def _close_window(self, time_ns: int) -> MarketSnapshot | None:
        """End the window that is open and open the one that a time is in."""
        end = self.window_end_ns
        self.window_end_ns = (time_ns // self._window_ns + 1) * self._window_ns
        volumes = self.flows.close()
        changed = len(self.window_pools)
        self.window_pools.clear()
        prices = []
        for token, told in self.told_prices.items():
            price = self.prices.q112(token)
            if price is not None and price != told:
                self.told_prices[token] = price
                prices.append(TokenPrice(token, price))
        if not (volumes or changed or prices):
            return None
        # Before the first event no window is open, and what was listed before has its prices told at once.
        return MarketSnapshot(
            end or time_ns,
            self._window_ns,
            self.pools.block_number,
            changed,
            self.prices.native_q112(),
            tuple(prices),
            volumes,
        )

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


def _meaning(listed: PoolListed) -> tuple[object, ...]:
    tokens = (listed.token0, listed.decimals0, listed.token1, listed.decimals1)
    return (listed.venue, *tokens, listed.fee_numerator, listed.fee_denominator)
