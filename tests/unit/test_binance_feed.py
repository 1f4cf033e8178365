"""Recorded Binance frames become messages, exactly, and every frame is accounted for."""

import gzip
import json
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.shared_data import SHARED_DATA, needs_shared_data

import spore
from spore.errors import FeedError, UsageError
from spore.feeds.binance import BinanceFeed
from spore.feeds.binance_frames import MAX_LEVELS, FrameDecoder, instrument_id_of
from spore.feeds.decimals import DecimalsError, e8
from spore.services.messages import BookLevel, InstrumentListed, OrderBook, QuoteUpdate, Side, Trade
from spore.services.order_book import LevelBook

ETH = instrument_id_of("ETHUSDT")
QUOTE = {"u": 7, "s": "ETHUSDT", "b": "2683.80000000", "B": "3.02920000", "a": "2683.81000000", "A": "31.43950000"}
TRADE = {"e": "trade", "E": 1, "s": "ETHUSDT", "t": 5, "p": "2683.8", "q": "0.002", "T": 2, "m": True}
DEPTH = {
    "e": "depthUpdate",
    "s": "ETHUSDT",
    "U": 3,
    "u": 6,
    "b": [["2683.8", "0"]],
    "a": [["2690", "1.5"], ["2691.25", "2"]],
}
SNAPSHOT = {"lastUpdateId": 9, "bids": [["2683.8", "1"]], "asks": []}


def decoded(*frames):
    """What a venue's frames become, received at 100, 101, …, without the listings."""
    decoder = FrameDecoder(venue=3, venue_name="spot")
    found = []
    for time_ns, frame in enumerate(frames, start=100):
        messages = decoder.decode(frame, time_ns)
        found += [messages] if isinstance(messages, str) else [m for m in messages if type(m) is not InstrumentListed]
    return found


def recording(path, *frames, start_ns=1_000):
    lines = [f"{time_ns} {json.dumps(frame)}\n" for time_ns, frame in enumerate(frames, start=start_ns)]
    path.write_text("".join(lines))
    return path


def read(spec, **options):
    feed = BinanceFeed.from_spec(spec, options)
    return list(feed.messages()), feed


def test_a_quote_is_exact():
    """Decimals become integers with 8 decimals, and the event time is the time of receipt."""
    assert decoded({"stream": "ethusdt@bookTicker", "data": QUOTE}) == [
        QuoteUpdate(ETH, 268_380_000_000, 302_920_000, 268_381_000_000, 3_143_950_000, 3, 100, 7)
    ]
    assert decoded({"data": QUOTE}) == decoded({"data": {"e": "bookTicker", **QUOTE}})


def test_the_aggressor_is_who_was_not_in_the_book():
    """m says that the buyer was the maker, so the seller came to the market."""
    sold, bought = decoded({"data": TRADE}, {"data": {**TRADE, "m": False}})
    assert sold == Trade(ETH, 3, 100, 5, 268_380_000_000, 200_000, Side.SELL)
    assert bought.aggressor is Side.BUY


def test_a_change_of_a_book_and_a_snapshot():
    """A change has a range of updates; a snapshot is the book as of one, of the only instrument that was seen."""
    level = BookLevel(268_380_000_000, 0)
    change, snapshot = decoded({"data": DEPTH}, SNAPSHOT)
    asks = (BookLevel(269_000_000_000, 150_000_000), BookLevel(269_125_000_000, 200_000_000))
    assert change == OrderBook(ETH, 3, 100, 3, 6, False, (level,), asks)
    assert snapshot == OrderBook(ETH, 3, 101, 9, 9, True, (BookLevel(268_380_000_000, 100_000_000),), ())


def test_a_change_of_a_futures_book_goes_on_where_the_one_before_ended():
    """Between two updates of a future's stream numbers are left out; a gap is what the exchange calls one."""
    book = LevelBook(10)
    frames = [
        {**DEPTH, "U": 3, "u": 6, "pu": 1},
        {**DEPTH, "U": 9, "u": 12, "pu": 6},
        {**DEPTH, "U": 20, "u": 21, "pu": 19},
    ]
    changes = decoded(*({"data": frame} for frame in frames))
    assert [(change.first_update, change.last_update) for change in changes] == [(2, 6), (7, 12), (20, 21)]
    assert [book.apply(change) is None for change in changes] == [True, True, False]


def test_an_instrument_is_listed_before_anything_else_about_it():
    """Once for each symbol, with the first frame that becomes a message."""
    decoder = FrameDecoder(venue=3, venue_name="spot")
    unusable = {**QUOTE, "b": "0.123456789"}
    assert decoder.decode(unusable, 1) == "a number with more than 8 decimals"
    first = decoder.decode(QUOTE, 2)
    assert first[0] == InstrumentListed(2, ETH, "ETHUSDT", 3, "spot")
    assert len(decoder.decode(QUOTE, 3)) == 1
    assert len(decoder.decode({**QUOTE, "s": "BTCUSDT"}, 4)) == 2


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"result": None, "id": 1}, "no event, such as the answer to a request"),
        ({"data": {"e": "aggTrade", "s": "ETHUSDT"}}, "another event"),
        ({"data": {**TRADE, "X": "NA", "p": "0"}}, "a trade outside the market"),
        (SNAPSHOT, "a snapshot that does not say of which instrument"),
        ({"stream": "ethusdt@depth5", "data": SNAPSHOT}, "the best levels of a book without the others"),
        ({"data": {**QUOTE, "B": "92233720368.54775808"}}, "a number that does not fit 64 bits with 8 decimals"),
        (
            {"data": {**DEPTH, "b": [["1", "1"]] * (MAX_LEVELS + 1), "a": []}},
            f"more than {MAX_LEVELS} levels of a book",
        ),
    ],
)
def test_what_is_not_used_has_a_reason(frame, reason):
    """An exchange may send it, and nothing is rounded or guessed to make it fit."""
    assert decoded(frame) == [reason]


def test_a_snapshot_is_of_no_instrument_if_it_may_be_of_two():
    """It does not say whose it is."""
    frames = [QUOTE, {**QUOTE, "s": "BTCUSDT"}, SNAPSHOT]
    assert decoded(*frames)[2] == "a snapshot that does not say of which instrument"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ([], "a frame is a JSON object"),
        ({"data": 5}, "data: is no JSON object"),
        ({"data": {**QUOTE, "b": 2683.8}}, "2683.8 is no decimal number in a string"),
        ({"data": {**QUOTE, "b": "-1"}}, "'-1' is no decimal number"),
        ({"data": {**QUOTE, "s": ""}}, "s: '' is no symbol"),
        ({"data": {**QUOTE, "s": ["ETHUSDT"]}}, "is no symbol"),
        ({"data": {**QUOTE, "u": True}}, "u: True is no whole number"),
        ({"data": {**QUOTE, "u": -1}}, "u: -1 is no whole number"),
        ({"data": {**TRADE, "m": 1}}, "m: 1 is neither true nor false"),
        ({"data": {**TRADE, "t": 2**64}}, "is no whole number of 64 bits"),
        ({"data": {**DEPTH, "a": 5}}, "a: is no array of levels"),
        ({"data": {**DEPTH, "a": [["1"]]}}, "a: "),
        ({"data": {**DEPTH, "b": [["1", "x"]]}}, "b: 'x' is no decimal number"),
        ({"data": {"e": "trade"}}, "the key 'p' is missing"),
    ],
)
def test_what_no_exchange_sends_is_an_error(frame, said):
    """The sentence names the key or the value."""
    with pytest.raises(ValueError, match=r".") as caught:
        decoded(frame)
    assert said in str(caught.value)


def test_the_longest_book_fits_a_message():
    """The limit of levels is the wire's."""
    (book,) = decoded({"data": {**DEPTH, "b": [["1", "1"]] * MAX_LEVELS, "a": []}})
    spore.codec.encode(book, sequence=0, timestamp_ns=0)


@given(st.integers(0, 2**63 - 1), st.integers(0, 4))
@example(0, 0)
@example(2**63 - 1, 3)
def test_decimals_are_read_exactly(value, zeros):
    """Any number that fits is itself, with any zeros behind it."""
    text = f"{value // 10**8}.{value % 10**8:08d}{'0' * zeros}"
    assert e8(text) == value
    assert e8(text) == value  # remembered


@given(st.from_regex(r"[0-9]{1,12}(\.[0-9]{0,12})?", fullmatch=True))
def test_decimals_agree_with_decimal(text):
    """Either the exact value, or a refusal because there is none."""
    exact = Decimal(text) * 10**8
    if exact == int(exact) < 2**63:
        assert e8(text) == exact
    else:
        with pytest.raises(DecimalsError):
            e8(text)


@pytest.mark.parametrize(
    "text", ["", ".", ".5", "1e5", "+1", "1_0", " 1", "1 ", "١", "NaN", "0x1", "1.2.3", "1\n", "9" * 41, None, 5, []]
)
def test_text_that_is_no_decimal_number(text):
    """What Python's own numbers take and an exchange does not write is refused."""
    with pytest.raises(ValueError, match="is no decimal number"):
        e8(text)


def test_venues_are_merged_by_receive_time_then_file(tmp_path):
    """Numbers follow the files, names their names, and the symbol is one instrument on both."""
    spot = recording(tmp_path / "spot_20240808", QUOTE, QUOTE, start_ns=5)
    perpetual = recording(tmp_path / "usdm.x", QUOTE, QUOTE, start_ns=4)
    messages, feed = read(f"{spot},{perpetual}")
    assert [(m.event_time_ns, m.venue) for m in messages if type(m) is QuoteUpdate] == [(4, 2), (5, 1), (5, 2), (6, 1)]
    assert [(m.venue, m.venue_name) for m in messages if type(m) is InstrumentListed] == [(2, "usdm"), (1, "spot")]
    assert {m.instrument_id for m in messages} == {ETH}
    assert feed.account.used == 4


def test_two_files_of_one_venue_are_one_venue(tmp_path):
    """Its instruments are listed once, by whichever file comes first in time."""
    late = recording(tmp_path / "spot_2", QUOTE, start_ns=9)
    early = recording(tmp_path / "spot_1", QUOTE, start_ns=2)
    messages, _ = read(f"{late},{early}")
    assert [type(m).__name__ for m in messages] == ["InstrumentListed", "QuoteUpdate", "QuoteUpdate"]
    assert {m.venue for m in messages} == {1}
    assert messages[0].event_time_ns == 2


def test_venues_can_be_named_and_numbered(tmp_path):
    """By options, in the order of the files."""
    path = recording(tmp_path / "a", QUOTE)
    messages, _ = read(f"{path},{path}", venues="x,y", first_venue="7")
    assert sorted({(m.venue, m.venue_name) for m in messages if type(m) is InstrumentListed}) == [(7, "x"), (8, "y")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"venue": "x"}, "its options are venues, first_venue"),
        ({"venues": "x,y"}, "must be a name for each of the 1 files"),
        ({"venues": ","}, "must be a name for each"),
        ({"first_venue": "0"}, "first_venue='0' is no whole number of at least 1"),
        ({"first_venue": "65536"}, "venues are 1 to 65535"),
    ],
)
def test_options_that_are_wrong(options, said, tmp_path):
    """Each names what would be right."""
    with pytest.raises(UsageError) as caught:
        BinanceFeed.from_spec(str(recording(tmp_path / "a", QUOTE)), options)
    assert said in str(caught.value)


def test_a_missing_file_is_named_when_the_feed_is_made(tmp_path):
    """Nothing is read before all files are there."""
    with pytest.raises(FeedError, match="nowhere: cannot be read: No such file"):
        BinanceFeed.from_spec(f"{recording(tmp_path / 'a', QUOTE)},{tmp_path / 'nowhere'}", {})
    with pytest.raises(UsageError, match="names no file"):
        BinanceFeed.from_spec("", {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "this begins with no time"),
        (b"{}", "this begins with no time"),
        (b"1_0 {}", "this begins with no time"),
        (b"18446744073709551616 {}", "this begins with no time"),
        (b"1001 {", "no JSON: Expecting property name enclosed in double quotes at character 2 of the frame"),
        (b"1001 \xff", "no UTF-8: invalid start byte at byte 0 of the frame"),
        (b"1001 " + b"[" * 100_000, "nested too deeply"),
        (b"1001 5", "a frame is a JSON object"),
        (b"999 {}", "received at 999, which is before the line above it (1000): out of order"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(line, said, tmp_path):
    """What came before it was handed on."""
    path = recording(tmp_path / "spot", QUOTE)
    path.write_bytes(path.read_bytes() + line + b"\n")
    feed = BinanceFeed.from_spec(str(path), {})
    found = []
    with pytest.raises(FeedError) as caught:
        found.extend(feed.messages())
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)
    assert (len(found), caught.value.line) == (2, 2)


def test_a_gzip_file_that_was_cut_off(tmp_path):
    """The lines before the cut are handed on, and then it is an error."""
    path = tmp_path / "spot.gz"
    path.write_bytes(gzip.compress(recording(tmp_path / "spot", QUOTE, QUOTE).read_bytes())[:-9])
    with pytest.raises(FeedError, match="cut off"):
        list(BinanceFeed.from_spec(str(path), {}).messages())


@needs_shared_data
def test_every_frame_of_the_recorded_session_is_used():
    """Two venues of ETHUSDT: 108,273 frames, in the kinds that its README counts, and a snapshot for each venue."""
    folder = SHARED_DATA / "binance_ethusdt"
    messages, feed = read(f"{folder / 'spot_20240808.gz'},{folder / 'usdm_20240808.gz'}")
    kinds = Counter((message.venue, type(message).__name__) for message in messages)
    assert kinds == {
        (1, "InstrumentListed"): 1,
        (1, "QuoteUpdate"): 24_077,
        (1, "OrderBook"): 3_434 + 1,
        (1, "Trade"): 6_106,
        (2, "InstrumentListed"): 1,
        (2, "QuoteUpdate"): 53_992,
        (2, "OrderBook"): 6_586 + 1,
        (2, "Trade"): 14_076,
    }
    assert (feed.account.read, feed.account.used, feed.account.skipped) == (108_273, 108_273, {})
    assert feed.progress == 1.0
    times = [message.event_time_ns for message in messages]
    assert times == sorted(times)
    assert sum(message.snapshot for message in messages if type(message) is OrderBook) == 2
