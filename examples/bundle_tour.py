"""The same small pipeline as a bundle and as a naive port over trio's channels. Run by `make tour`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable

import attrs
import trio
from rich.console import Console
from rich.table import Table

import spore
from spore.codec import encode
from spore.services.messages import EventRef, MarketRef, MomentumSignal, QuoteUpdate, Side

QUOTES = 50_000


def quotes() -> list[QuoteUpdate]:
    """A market that swings, in integers, so that every run is the same."""
    found = []
    for number in range(QUOTES):
        middle = 268_000_000_000 + (number * number * 7919) % 1_000_003 * 100
        size = 10**8
        found.append(QuoteUpdate(1, middle - 500_000, size, middle + 500_000, size, 1, number * 10**6, number))
    return found


@attrs.define
class Momentum:
    """The service: plain Python that knows neither trio nor actors."""

    slow: int = 0

    def signal(self, quote: QuoteUpdate) -> MomentumSignal | None:
        middle = (quote.bid_price + quote.ask_price) // 2
        self.slow = self.slow + (middle - self.slow) // 16 if self.slow else middle
        apart_bps = (middle - self.slow) * 10_000 // self.slow
        if -1 <= apart_bps <= 1:
            return None
        side = Side.BUY if apart_bps > 0 else Side.SELL
        cause = EventRef(quote.event_time_ns, quote.update_id)
        market = MarketRef(quote.venue, quote.instrument_id)
        return MomentumSignal(quote.event_time_ns, market, side, middle, self.slow, abs(apart_bps), cause)


@attrs.define
class Book:
    """What came out, as one digest over its canonical encoding."""

    signals: list[MomentumSignal] = attrs.field(factory=list)

    def sum_up(self) -> str:
        digest = hashlib.sha256()
        for number, signal in enumerate(self.signals):
            digest.update(encode(signal, sequence=number, timestamp_ns=0))
        return digest.hexdigest()[:16]


@attrs.define
class MomentumActor(spore.Actor[QuoteUpdate]):
    signals: spore.ActorRef[MomentumSignal]
    service: Momentum = attrs.field(factory=Momentum)

    def handle(self, message: QuoteUpdate) -> None:
        if (signal := self.service.signal(message)) is not None:
            self.signals.tell(signal)


@attrs.define
class BookActor(spore.Actor[MomentumSignal]):
    book: Book

    def handle(self, message: MomentumSignal) -> None:
        self.book.signals.append(message)


async def bundled(feed: list[QuoteUpdate], book: Book) -> None:
    async with spore.open_bundle("tour") as bundle:
        desk = await bundle.start(BookActor, book=book, name="book")
        momentum = await bundle.start(MomentumActor, signals=desk, name="momentum")
        for quote in feed:
            await momentum.send(quote)


async def channels(feed: list[QuoteUpdate], book: Book) -> None:
    async def momentum(source: AsyncIterator[QuoteUpdate], sink: trio.MemorySendChannel[MomentumSignal]) -> None:
        service = Momentum()
        async with sink:
            async for quote in source:
                if (signal := service.signal(quote)) is not None:
                    await sink.send(signal)

    async def desk(source: AsyncIterator[MomentumSignal]) -> None:
        async for signal in source:
            book.signals.append(signal)

    async with trio.open_nursery() as nursery:
        send_quote, receive_quote = trio.open_memory_channel[QuoteUpdate](1_000)
        send_signal, receive_signal = trio.open_memory_channel[MomentumSignal](1_000)
        nursery.start_soon(momentum, receive_quote, send_signal)
        nursery.start_soon(desk, receive_signal)
        async with send_quote:
            for quote in feed:
                await send_quote.send(quote)


def alone(feed: list[QuoteUpdate], book: Book) -> None:
    service = Momentum()
    for quote in feed:
        if (signal := service.signal(quote)) is not None:
            book.signals.append(signal)


def main() -> None:
    console = Console(highlight=False)
    console.rule(f"{QUOTES:,} quotes through two actors, and what the hand-over costs")
    feed = quotes()
    table = Table(
        "the pipeline as", "signals", "digest", "µs a quote", "of that, handing over", box=None, pad_edge=False
    )
    runs: list[tuple[str, Callable[[Book], None]]] = [
        ("plain calls, no actors", lambda book: alone(feed, book)),
        ("a Spore bundle", lambda book: trio.run(bundled, feed, book)),
        ("tasks and trio's memory channels", lambda book: trio.run(channels, feed, book)),
    ]
    base_us = 0.0
    for name, run in runs:
        best_us = float("inf")
        for _ in range(3):
            book = Book()
            began = time.perf_counter()
            run(book)
            best_us = min(best_us, (time.perf_counter() - began) / QUOTES * 1e6)
        base_us = base_us or best_us
        over = f"{best_us - base_us:.2f}" if best_us > base_us else "–"
        table.add_row(name, f"{len(book.signals):,}", book.sum_up(), f"{best_us:.2f}", over)
    console.print(table)
    console.print("The best of three runs each; `make bench` measures properly.")


if __name__ == "__main__":
    main()
