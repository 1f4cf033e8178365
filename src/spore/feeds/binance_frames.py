"""One frame of a Binance market stream, as JSON has it, made into messages. It reads no file.

Invariant: a frame becomes messages, or has one reason why not, or is an error; nothing is rounded. What an exchange may
send and this does not use (another event, a size that 64 bits cannot hold) is a reason; what no exchange sends is an
error.

Source: Binance's documentation of its WebSocket market streams and of the REST depth snapshot, spot and USDⓈ-M futures.
A snapshot does not say whose it is: it is taken for that of the only instrument seen before it, if it is the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeAlias, Union

from spore.feeds.decimals import DecimalsError, e8
from spore.feeds.evm_words import shown
from spore.message import MAX_VALUE_SIZE
from spore.services.messages import (
    BookLevel,
    InstrumentListed,
    MarketMessage,
    OrderBook,
    QuoteUpdate,
    Side,
    Trade,
)

__all__ = ["MAX_LEVELS", "FrameDecoder", "instrument_id_of"]

MAX_LEVELS = (MAX_VALUE_SIZE - 39) // 16
"""Levels of a book that one message can carry: 39 bytes are its other fields, and 16 a level."""
_LIMIT = 1 << 64
_SYMBOL_LENGTH = 64

Levels: TypeAlias = tuple[BookLevel, ...]
Event: TypeAlias = Union[QuoteUpdate, Trade, OrderBook]


def instrument_id_of(symbol: str) -> int:
    """The number of an instrument: the first 8 bytes of the symbol's BLAKE2b, so that it is the same everywhere."""
    return int.from_bytes(blake2b(symbol.encode(), digest_size=8).digest(), "big")


class FrameDecoder:
    """Makes messages of one venue's frames, in their order."""

    def __init__(self, *, venue: int, venue_name: str) -> None:
        self._venue = venue
        self._venue_name = venue_name
        self._ids: dict[str, int] = {}
        """Of each symbol that was seen, its number."""
        self._listed: set[int] = set()

    def decode(self, frame: object, time_ns: int) -> Sequence[MarketMessage] | str:
        """The messages that follow from a frame that was received at a time, or why there are none.

        Raises:
            ValueError: for what Binance does not send, with what is wrong.
        """
        if type(frame) is not dict:
            raise ValueError("a frame is a JSON object")
        data = frame.get("data", frame)
        if type(data) is not dict:
            raise ValueError("data: is no JSON object")
        try:
            event = self._decode(data, time_ns, streamed=data is not frame)
        except KeyError as error:
            raise ValueError(f"the key {error.args[0]!r} is missing") from None
        except DecimalsError as error:
            return str(error)
        if isinstance(event, str):
            return event
        instrument = event.instrument_id
        if instrument in self._listed:
            return (event,)
        self._listed.add(instrument)
        return (InstrumentListed(time_ns, instrument, data["s"], self._venue, self._venue_name), event)

    def _decode(self, data: dict[str, Any], time_ns: int, *, streamed: bool) -> Event | str:
        kind = data.get("e")
        if kind == "bookTicker" or (kind is None and "s" in data):  # spot quotes do not say what they are
            bid, bid_size, ask, ask_size = e8(data["b"]), e8(data["B"]), e8(data["a"]), e8(data["A"])
            instrument, update = self._instrument(data["s"]), _number(data, "u")
            return QuoteUpdate(instrument, bid, bid_size, ask, ask_size, self._venue, time_ns, update)
        if kind == "trade":
            if data.get("X", "MARKET") != "MARKET":
                return "a trade outside the market"
            price, size, instrument = e8(data["p"]), e8(data["q"]), self._instrument(data["s"])
            return Trade(instrument, self._venue, time_ns, _number(data, "t"), price, size, _aggressor(data["m"]))
        if kind == "depthUpdate":
            bids, asks, instrument = _levels(data, "b"), _levels(data, "a"), self._instrument(data["s"])
            # Futures leave out numbers between two updates of a stream, and name the last one of the update before.
            last = _number(data, "u")
            first = min(_number(data, "pu") + 1, last) if "pu" in data else _number(data, "U")
            return self._book(instrument, time_ns, first, last, (bids, asks))
        if "lastUpdateId" not in data:
            return "no event, such as the answer to a request" if kind is None else "another event"
        if streamed:
            return "the best levels of a book without the others"
        if len(self._listed) != 1:
            return "a snapshot that does not say of which instrument"
        (instrument,) = self._listed
        last = _number(data, "lastUpdateId")
        return self._book(instrument, time_ns, None, last, (_levels(data, "bids"), _levels(data, "asks")))

    def _book(
        self, instrument: int, time_ns: int, first: int | None, last: int, sides: tuple[Levels, Levels]
    ) -> OrderBook | str:
        """A change of a book, or a snapshot, where ``first`` is None."""
        bids, asks = sides
        if len(bids) + len(asks) > MAX_LEVELS:
            return f"more than {MAX_LEVELS} levels of a book"
        if first is None:
            return OrderBook(instrument, self._venue, time_ns, last, last, True, bids, asks)
        return OrderBook(instrument, self._venue, time_ns, first, last, False, bids, asks)

    def _instrument(self, symbol: object) -> int:
        try:
            return self._ids[symbol]  # type: ignore[index]
        except (KeyError, TypeError):
            if not isinstance(symbol, str) or not 0 < len(symbol) <= _SYMBOL_LENGTH or not symbol.isprintable():
                raise ValueError(f"s: {shown(symbol)} is no symbol") from None
            number = self._ids[symbol] = instrument_id_of(symbol)
            return number


def _number(data: dict[str, Any], key: str) -> int:
    number = data[key]
    if type(number) is int and 0 <= number < _LIMIT:
        return number
    raise ValueError(f"{key}: {shown(number)} is no whole number of 64 bits")


def _aggressor(buyer_is_maker: object) -> Side:
    if buyer_is_maker is True:
        return Side.SELL
    if buyer_is_maker is False:
        return Side.BUY
    raise ValueError(f"m: {shown(buyer_is_maker)} is neither true nor false")


def _levels(data: dict[str, Any], key: str) -> Levels:
    try:
        return tuple([BookLevel(e8(price), e8(size)) for price, size in data[key]])
    except TypeError:
        raise ValueError(f"{key}: is no array of levels, each a price and a size") from None
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
