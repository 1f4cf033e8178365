"""What a user writes finds a feed, and several recorded ones become one in a fixed order."""

import json
import sys
from contextlib import aclosing
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from tests.shared_data import SHARED_DATA, needs_shared_data

import spore
from spore.errors import FeedError, UsageError
from spore.feeds import Account, Feed, RecordedFeed, open_feed
from spore.feeds import open as opening
from spore.feeds.merge import MergedFeed, merge
from spore.services.messages import GasPrice, InstrumentListed, PoolSync


def gas(time_ns, source=0, sequence=0):
    """A message that says where it is from."""
    return GasPrice(time_ns, source, sequence, 0)


class Told(RecordedFeed):
    def __init__(self, *messages, progress=None):
        self.name = "told"
        self.told = messages
        self.seen = Account()
        self.share = progress

    @property
    def account(self):
        return self.seen

    @property
    def progress(self):
        return self.share

    def messages(self):
        for message in self.told:
            self.seen.use()
            yield message
        self.seen.skip("the end")


class Live(Feed):
    """A feed that must be entered, as one with a connection must."""

    name = "live"
    account = Account()
    entered = 0

    @classmethod
    def from_spec(cls, rest, options):
        return cls()

    async def __aenter__(self):
        Live.entered += 1

    async def __aexit__(self, *_):
        Live.entered -= 1

    async def batches(self):
        yield [gas(1)]


@pytest.fixture
def live(monkeypatch):
    """A scheme whose class is the one above."""
    monkeypatch.setitem(opening._SCHEMES, "live", "live_feed:Live")
    monkeypatch.setitem(sys.modules, "live_feed", SimpleNamespace(Live=Live))


async def everything(*specs):
    async with open_feed(*specs) as feed, aclosing(feed.batches()) as batches:
        return [message async for batch in batches for message in batch], feed


@given(st.lists(st.lists(st.integers(0, 6), max_size=8).map(sorted), max_size=5))
def test_a_merge_is_the_sort_by_event_time_source_and_sequence(times):
    """Whatever the sources are, as long as each is in order."""
    sources = [[gas(time, source, n) for n, time in enumerate(row)] for source, row in enumerate(times)]
    merged = list(merge([iter(source) for source in sources]))
    everything = [message for source in sources for message in source]
    assert merged == sorted(everything, key=lambda m: (m.event_time_ns, m.block_number, m.base_fee_wei))


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), max_size=4))
def test_nothing_overtakes_within_a_source(times):
    """A source whose time goes back keeps its own order, as if its clock had stood still."""
    sources = [[gas(time, source, n) for n, time in enumerate(row)] for source, row in enumerate(times)]
    clocks = [(max(row[: n + 1]), source, n) for source, row in enumerate(times) for n in range(len(row))]
    merged = list(merge([iter(source) for source in sources]))
    assert [(m.block_number, m.base_fee_wei) for m in merged] == [(source, n) for _, source, n in sorted(clocks)]


def test_a_merge_reads_one_message_ahead():
    """Endless sources can be merged."""
    endless = (gas(n) for n in iter(int, 1))
    assert next(merge([endless, iter([gas(5)])])) == gas(0)


def test_an_error_of_one_source_ends_the_merge():
    """What came before it was handed on."""

    def broken():
        yield gas(1)
        raise FeedError("b", "cut off")

    messages = merge([iter([gas(1), gas(2)]), broken()])
    assert [next(messages), next(messages)] == [gas(1), gas(1)]
    with pytest.raises(FeedError, match="b: cut off"):
        next(messages)


def test_accounts_and_progress_of_a_merge_are_those_of_its_sources():
    """The account is the sum; the progress is the mean, or unknown if one is."""
    feed = MergedFeed([Told(gas(1), gas(2), progress=0.5), Told(gas(1), progress=1.0)])
    assert len(list(feed.messages())) == 3
    assert feed.account == Account(read=5, used=3, skipped={"the end": 2})
    assert feed.progress == 0.75
    assert MergedFeed([Told(progress=0.5), Told()]).progress is None


def test_a_number_is_one_venue_in_all_sources():
    """Two venues of one number would be taken for one, and their quotes for each other's."""
    one, other = InstrumentListed(1, 7, "X", 1, "spot"), InstrumentListed(2, 7, "X", 1, "usdm")
    with pytest.raises(FeedError, match=r"venue 1 is spot in one source and usdm in another; .* first_venue=N"):
        list(MergedFeed([Told(one), Told(other)]).messages())
    assert len(list(MergedFeed([Told(one), Told(one)]).messages())) == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nonsense", "feed 'nonsense' is none; a feed is one of sample, evm-logs:FILE, binance:FILE,FILE, jsonrpc:"),
        ("", "feed '' is none"),
        ("evmlogs:x", "feed 'evmlogs:x' is none"),
        ("sim:seed=1,events=1?", "feed 'sim:seed=1,events=1?': '' is no option; write name=value"),
        ("sim:seed=1,events=1?a", "'a' is no option"),
        ("sim:seed=1,events=1?a=1&a=2", "a is given twice"),
        ("sim:seed=1,events=1?a=1", "sim: there is no option 'a'; it has none"),
        ("binance:", "binance: names no file"),
    ],
)
async def test_a_spec_that_is_none(spec, said):
    """The error names it and what there is."""
    with pytest.raises(UsageError) as caught:
        await everything(spec)
    assert said in str(caught.value)


async def test_no_spec_at_all():
    """The candidates are named."""
    with pytest.raises(UsageError, match="no feed was named; name one or more of sample, evm-logs:FILE"):
        await everything()


@pytest.mark.parametrize("spec", ["evm-logs:nowhere?pools=nowhere", "binance:nowhere", "nowhere.frames"])
async def test_a_missing_file_is_named(spec, tmp_path):
    """When the feed is opened, before anything is read."""
    with pytest.raises(FeedError, match=r"/nowhere"):
        async with open_feed(spec.replace("nowhere", str(tmp_path / "nowhere"))):
            pytest.fail("it must not open")


async def test_a_live_feed_is_entered_and_left(live):
    """Its connection lives as long as the block."""
    messages, _ = await everything("live:x")
    assert (messages, Live.entered) == ([gas(1)], 0)
    async with open_feed("live:x"):
        assert Live.entered == 1


async def test_a_live_feed_cannot_be_merged(live):
    """Nobody can wait for what a node will say next."""
    with pytest.raises(UsageError, match="feed 'live:x' is live, and only what was recorded can be merged"):
        await everything("sim:seed=1,events=1", "live:x")


async def test_recorded_feeds_of_several_kinds_are_merged(tmp_path):
    """By event time, each with its own venues."""
    sim = "sim:seed=1,events=50,pools=2"
    alone, _ = await everything(sim)
    frames = tmp_path / "a.frames"
    frames.write_bytes(b"".join(spore.codec.encode(m, sequence=0, timestamp_ns=0) for m in alone))
    quote = {"u": 1, "s": "X", "b": "1", "B": "1", "a": "1", "A": "1"}
    (tmp_path / "spot").write_text(f"{alone[0].event_time_ns} {json.dumps(quote)}\n")
    merged, feed = await everything(sim, str(frames), f"binance:{tmp_path / 'spot'}?first_venue=9")
    assert len(merged) == 50 + 50 + 2
    start = [m for m in alone if m.event_time_ns == alone[0].event_time_ns]
    assert merged[: 2 * len(start)] == start + start
    assert [m.venue for m in merged[2 * len(start) :][:2]] == [9, 9]
    assert feed.account.used == 101


async def test_batches_stop_where_the_reader_stops():
    """Leaving the block leaves nothing behind that still reads."""
    async with open_feed("sim:seed=1,events=1000000000") as feed, aclosing(feed.batches()) as batches:
        with trio.testing.assert_checkpoints():
            await anext(batches)


@needs_shared_data
async def test_logs_and_frames_of_an_exchange_are_one_feed():
    """Two recordings of different kinds, in the order of their events."""
    logs = SHARED_DATA / "uniswap_v2_session" / "logs.jsonl.gz"
    frames = SHARED_DATA / "binance_ethusdt" / "spot_20240808.gz"
    messages, feed = await everything(f"evm-logs:{logs}", f"binance:{frames}?first_venue=3")
    times = [message.event_time_ns for message in messages]
    assert times == sorted(times)
    assert sum(type(message) is PoolSync for message in messages) == 1_619
    assert feed.account.read == 3_346 + 33_618 == feed.account.used + sum(feed.account.skipped.values())
