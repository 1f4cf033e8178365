"""What a comparison computes: latencies by number, spreads, reports, verdicts, loops, and where two runs part."""

from __future__ import annotations

import os
from mmap import MAP_PRIVATE, mmap

import attrs
import pytest
import trio
from tests.pipeline_actors import Tick

import spore
from spore.deploy import ActorConfig, BundleConfig, Hop, HopTimes, Mode, SystemConfig, load_config, open_system
from spore.errors import UsageError
from spore.migration.divergence import Side, differences, first_divergence
from spore.migration.interval import ratio_change, spread
from spore.migration.latency import event_latencies, hop_of, joined, latency_of, settled
from spore.migration.loop import Looped, Paced, looped, read_whole
from spore.migration.play import play_feed
from spore.migration.recording import Recording
from spore.migration.report import MigrationMetrics, criteria, report_of
from spore.migration.resources import cpu_seconds, proportional_bytes, written_bytes
from spore.migration.run import RunJob, run
from spore.nursery_bundle.policy import Overflow
from spore.samples import PIPELINE
from spore.services.messages import ArbitrageSignal, EventRef, MarketRef, PoolSync, QuoteUpdate, TransactionEnd

HOP = Hop(sender="a", port="out", receiver="b")


def quote(number, **changes):
    made = QuoteUpdate(
        instrument_id=1,
        bid_price=100 + number,
        bid_size_e8=1,
        ask_price=101 + number,
        ask_size_e8=1,
        venue=2,
        event_time_ns=1_000 + 10 * number,
        update_id=number,
    )
    return attrs.evolve(made, **changes)


def arbitrage(number, **changes):
    made = ArbitrageSignal(
        event_time_ns=number,
        first=MarketRef(venue=1, instrument_id=7),
        second=MarketRef(venue=2, instrument_id=7),
        token_in=None,
        token_mid=b"\x01" * 20,
        amount_in=10,
        amount_mid=20,
        profit=1,
        profit_usd_e8=None,
        gas_usd_e8=None,
        slippage_usd_e8=None,
        net_profit_usd_e8=None,
        spread_bps=61,
        expires_at_ns=number + 1,
        cause=EventRef(number, 5, 1),
    )
    return attrs.evolve(made, **changes)


# Latency


def ends(sent, handled, *, sent_count=None, handled_count=None):
    return [
        HopTimes(hop=HOP, sent=False, count=handled_count or len(handled), at_ns=tuple(handled)),
        HopTimes(hop=HOP, sent=True, count=sent_count or len(sent), at_ns=tuple(sent)),
    ]


def test_the_ends_of_a_hop_are_joined_by_number():
    """However many are under way at once."""
    assert joined(ends([10, 20, 30], [25, 26, 31])) == [15, 6, 1]


@pytest.mark.parametrize(
    "times",
    [
        ends([10, 20], [11, 21], handled_count=3),
        ends([10, 20], [11]),
        ends([10], [11])[:1],
        [],
    ],
    ids=["other counts", "one not handled", "one end", "no end"],
)
def test_ends_that_do_not_match_are_refused(times):
    """A number that may not be the same message is no latency."""
    with pytest.raises(UsageError):
        joined(times)


def timed(*signals):
    """Signals with the time at which each came."""
    return Recording(signals=[each for each, _ in signals], signals_at_ns=[at_ns for _, at_ns in signals])


def test_a_signal_is_timed_from_the_event_that_it_names():
    """However many events were handed in meanwhile, and however many signals one has caused."""
    tx = b"\x02" * 32
    events = [PoolSync(1, 5, 1, 0, tx, b"\x01" * 20, 1, 1), TransactionEnd(1, 5, 1, tx), TransactionEnd(2, 5, 1, tx)]
    recording = timed((arbitrage(1), 40), (arbitrage(1), 45), (arbitrage(2), 50))
    assert event_latencies(events, [10, 20, 30], recording) == [20, 25, 20]


@pytest.mark.parametrize(
    ("signal", "events"),
    [
        (arbitrage(1), [TransactionEnd(1, 6, 1, b"\x02" * 32)]),
        (arbitrage(1, cause=EventRef(1, 7)), [quote(0, event_time_ns=1, update_id=7, venue=venue) for venue in (1, 2)]),
        (arbitrage(9, cause=EventRef(1, 7)), [quote(0, event_time_ns=1, update_id=7)]),
    ],
    ids=["no such event", "two such events", "an event of another time"],
)
def test_a_signal_that_no_one_event_has_caused_at_once_is_not_timed(signal, events):
    """No guess is made, and what the market has taken is no latency."""
    assert event_latencies(events, [10, 10], timed((signal, 20))) == []


def test_percentiles_are_those_of_the_values():
    """To three digits, and the largest exactly."""
    found = latency_of(range(1, 10_001))
    assert (found.count, found.mean, found.max) == (10_000, 5_000.5, 10_000)
    assert found.p50 == pytest.approx(5_000, rel=0.001)
    assert found.p99 == pytest.approx(9_900, rel=0.001)
    assert found.p999 == pytest.approx(9_990, rel=0.001)


def test_no_values_have_no_percentiles():
    """Better an error than a zero."""
    with pytest.raises(UsageError, match="no message was timed"):
        latency_of([])


def test_the_first_tenth_is_a_warm_up():
    """Which is left out."""
    assert list(settled(range(20))) == list(range(2, 20))


def test_the_hop_of_the_reference_pipeline():
    """From market data to the signals."""
    found = hop_of(load_config(PIPELINE))
    assert (found.sender, found.port, found.receiver) == ("market_data", "signals", "signal_generator")


@pytest.mark.parametrize("mode", list(Mode)[:2])
async def test_both_ends_of_a_hop_count_the_same_in_either_mode(mode):
    """Nothing that is measured changes what comes out."""
    config = SystemConfig(
        bundles=(
            BundleConfig(
                name="core",
                mode=mode,
                actors={
                    "source": ActorConfig(type="tests.pipeline_actors:Source", wire={"out": ("detector",)}),
                    "detector": ActorConfig(type="tests.pipeline_actors:Detector", wire={"signals": ("paper",)}),
                    "paper": ActorConfig(type="tests.pipeline_actors:Paper"),
                },
            ),
        )
    )
    hop = Hop(sender="source", port="out", receiver="detector", every=3)
    async with open_system(config, hops=(hop,)) as system:
        await system.ref("source").send_many([Tick(number, number) for number in range(10)])
        await system.wait_idle()
        statistics = await system.statistics()
    times = [each for unit in statistics.units.values() for each in unit.hops]
    assert [(each.count, len(each.at_ns)) for each in times] == [(10, 3), (10, 3)]
    assert all(latency > 0 for latency in joined(times))


# Reports


def metrics(**changes):
    values = {
        "messages_processed": 1_000,
        "avg_latency_before_ns": 200_000.0,
        "avg_latency_after_ns": 1_000.0,
        "serialization_eliminated_bytes": 2_500_000,
        "cpu_usage_before": 50.0,
        "cpu_usage_after": 10.0,
        "throughput_before": 10_000.0,
        "throughput_after": 40_000.0,
        "memory_before": 100,
        "memory_after": 25,
    }
    return MigrationMetrics(**{**values, **changes})


def test_a_report_is_in_percent_of_before():
    """Lower latency and CPU are reductions, more events an increase, less memory a negative change."""
    report = report_of([metrics()])
    found = [getattr(report, field.name).value for field in attrs.fields(type(report))]
    assert found == pytest.approx([99.5, 300.0, 2.5e6 / 1_048_576, 80.0, -75.0])


def test_an_interval_is_students():
    """The mean ± t · s / √n, with t = 4.303 for three values."""
    found = spread([-1.0, 0.0, 4.0])
    assert found.value == 1.0
    assert (found.low, found.high) == pytest.approx((1 - 4.303 * 7**0.5 / 3**0.5, 1 + 4.303 * 7**0.5 / 3**0.5))


def test_what_is_above_zero_has_a_geometric_mean():
    """Half is as far from the whole as double is, and the ends are so, too."""
    found = spread([50.0, 100.0, 200.0])
    assert found.value == pytest.approx(100.0)
    assert found.low * found.high == pytest.approx(100.0**2)
    assert 0 < found.low < 50


@pytest.mark.parametrize("values", [[4], [7, 7, 7], [0, 0]])
def test_what_does_not_vary_has_no_interval(values):
    """Nor has a single repeat."""
    assert set(attrs.astuple(spread(values))) == {values[0]}


def test_a_change_is_taken_pair_by_pair():
    """A machine that is slow in one repeat is so for both, and says nothing about their ratio."""
    assert attrs.astuple(ratio_change([(10.0, 5.0), (40.0, 20.0)])) == (-50.0, -50.0, -50.0)


def judged(*repeats, **changes):
    given = {"tell_adds_ns": [90.0], "identical": True, "encoded_bundled": 0, "lost": 0}
    return criteria(report_of(repeats or (metrics(),)), **{**given, **changes})


def test_all_criteria_can_be_met():
    """And each says how far it goes and what was wanted."""
    found = judged(metrics(), metrics(throughput_after=40_000.0), metrics(throughput_after=40_000.0))
    assert all(each.met for each in found.values())
    assert not any(each.within_noise for each in found.values())
    assert attrs.astuple(found["throughput_increase_percent"]) == (300.0, 300.0, 300.0, 50, True)


def test_a_target_in_the_interval_is_within_noise():
    """The verdict is that of the value, and it is said that more repeats may turn it."""
    found = judged(metrics(memory_after=100), metrics(memory_after=105), metrics(memory_after=122))
    memory = found["memory_increase_percent"]
    assert (memory.met, memory.within_noise) == (True, True)
    assert memory.low < memory.value < 10 < memory.high


@pytest.mark.parametrize(
    ("changed", "given", "name"),
    [
        ({}, {"tell_adds_ns": [99.0, 100.0, 130.0]}, "bundled_message_ns"),
        ({"avg_latency_after_ns": 100_001.0}, {}, "latency_reduction_percent"),
        ({"avg_latency_before_ns": None, "avg_latency_after_ns": None}, {}, "latency_reduction_percent"),
        ({"throughput_after": 15_000.0}, {}, "throughput_increase_percent"),
        ({"cpu_usage_after": 35.0}, {}, "cpu_reduction_percent"),
        ({"memory_after": 110}, {}, "memory_increase_percent"),
        ({}, {"identical": False}, "identical_signals"),
        ({}, {"encoded_bundled": 1}, "zero_serialisation"),
        ({}, {"lost": 1}, "messages_lost"),
    ],
)
def test_what_misses_its_target_is_not_met(changed, given, name):
    """Each criterion for itself; a value at the limit of 'more than' or 'less than' misses it."""
    found = judged(metrics(**changed), **given)
    assert [each for each, verdict in found.items() if not verdict.met] == [name]


# The input


def test_a_loop_moves_on_whatever_counts_up():
    """So that nothing of it is old news, and event time never runs backwards."""
    first = [quote(0), quote(1), quote(4)]
    found = looped(first, 3)
    assert found[:3] == first
    assert [each.event_time_ns for each in found] == [1_000, 1_010, 1_040, 1_041, 1_051, 1_081, 1_082, 1_092, 1_122]
    assert [each.update_id for each in found] == [0, 1, 4, 5, 6, 9, 10, 11, 14]
    assert {each.bid_price for each in found} == {100, 101, 104}


async def test_a_paced_feed_is_an_open_loop(autojump_clock):
    """A message is due at its time; who comes late gets all that are due."""
    feed = Paced([quote(number) for number in range(6)], 10.0)
    seen = []
    async for batch in feed.batches():
        seen.append((round(trio.current_time() % 1_000, 3), [each.update_id for each in batch]))
        await trio.sleep(0.25 if len(seen) == 2 else 0)
    start = seen[0][0]
    assert [(round(at - start, 3), numbers) for at, numbers in seen] == [
        (0.0, [0]),
        (0.1, [1]),
        (0.35, [2, 3]),
        (0.4, [4]),
        (0.5, [5]),
    ]


async def test_a_paced_message_counts_from_the_moment_when_it_was_due(autojump_clock, monkeypatch):
    """Where the feed was busy then; so that a system that holds the feed up does not hide it."""
    monkeypatch.setattr("spore.migration.loop.perf_counter_ns", lambda: round(trio.current_time() * 1e9))
    feed = Paced([quote(number) for number in range(5)], 10.0)
    async for batch in feed.batches():
        await trio.sleep(0.25 if batch[0].update_id == 1 else 0)
    start = feed.handed_ns[0]
    assert [(each - start) / 1e9 for each in feed.handed_ns] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


# Where runs part


def sides(left, right):
    return Side(label="left", streams={"signals": left}), Side(label="right", streams={"signals": right})


def test_equal_runs_do_not_part():
    """There is nothing to show."""
    assert first_divergence(*sides([arbitrage(1)], [arbitrage(1)])) is None


def test_a_difference_is_found_with_its_fields_and_its_event():
    """The first that differs, each value on both sides, and the input that its cause names."""
    tx = b"\x02" * 32
    end = TransactionEnd(2, 5, 1, tx)
    right = arbitrage(2, spread_bps=62, cause=EventRef(2, 5, 1, 4))
    events = [PoolSync(2, 5, 1, 0, tx, b"\x01" * 20, 1, 1), end, TransactionEnd(2, 5, 2, tx)]
    found = first_divergence(*sides([arbitrage(1), arbitrage(2), arbitrage(3)], [arbitrage(1), right]), events)
    assert (found.stream, found.index, found.kind) == ("signals", 1, "ArbitrageSignal")
    assert [attrs.astuple(each) for each in found.fields] == [("spread_bps", "61", "62"), ("cause.log_index", "0", "4")]
    assert found.event is end
    assert found.plain()["event"]["kind"] == "TransactionEnd"


def test_a_message_too_few_is_a_difference():
    """One side has nothing there."""
    found = first_divergence(*sides([arbitrage(1)], []))
    ((path, left, right),) = [attrs.astuple(each) for each in found.fields]
    assert (path, right) == ("", "nothing")
    assert left.startswith("ArbitrageSignal(")


def test_messages_of_two_classes_differ_whole():
    """There are no fields to set side by side."""
    assert [each.path for each in differences(arbitrage(1), quote(1))] == [""]


# What is counted


def test_resources_are_summed_over_processes():
    """Of those that are there."""
    assert cpu_seconds([os.getpid()]) > 0
    assert proportional_bytes([os.getpid()]) > 1_000_000
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_seconds([2**22 + 1])
    assert proportional_bytes([2**22 + 1]) == 0
    assert written_bytes([2**22 + 1]) == 0


def test_written_memory_grows_with_what_is_kept():
    """By as much as was filled; what is only mapped does not count."""
    before = written_bytes([os.getpid()])
    with mmap(-1, 64_000_000, MAP_PRIVATE) as kept:
        assert written_bytes([os.getpid()]) - before < 32_000_000
        kept.write(b"x" * 64_000_000)
        assert written_bytes([os.getpid()]) - before > 60_000_000


async def test_bytes_encoded_are_those_of_the_frames(tmp_path):
    """Neither an estimate nor the size of an object: what the codec makes of the same messages is as long."""
    config = SystemConfig(
        bundles=(
            BundleConfig(
                name="core", mode=Mode.RELAY, actors={"market_data": ActorConfig(type="tests.mode_dependent:Slow")}
            ),
        )
    )
    feed = "sim:seed=1,events=200,pools=6"
    events = await read_whole(feed)
    job = RunJob(path=(), feeds=(feed,), config=config, mode=Mode.RELAY, folder=str(tmp_path))
    result = await run(job, lambda **_: None)
    frames = [spore.codec.encode(event, sequence=number, timestamp_ns=0) for number, event in enumerate(events)]
    assert (result.encoded_messages, result.encoded_bytes) == (len(frames), sum(map(len, frames)))


class Telling(Looped):
    """Makes a file when everything was sent."""

    def __init__(self, messages, path):
        super().__init__(messages)
        self._path = path

    async def batches(self):
        async for batch in super().batches():
            yield batch
        self._path.touch()


async def test_what_a_link_has_given_up_counts_as_lost(tmp_path):
    """A receiver that is held up and keeps only the newest loses messages on the sender's side of the relay, too."""
    everything_sent = tmp_path / "sent"
    config = SystemConfig(
        bundles=(
            BundleConfig(
                name="core",
                mode=Mode.RELAY,
                actors={
                    "market_data": ActorConfig(
                        type="tests.mode_dependent:Held",
                        config={"path": str(everything_sent)},
                        capacity=4,
                        overflow=Overflow.DROP_OLDEST,
                    )
                },
            ),
        )
    )
    sent = 3_000
    played = await play_feed(Telling([quote(number) for number in range(sent)], everything_sent), config=config)
    bundle = played.statistics.units["actor 'market_data'"].bundle
    assert bundle is not None
    (actor,) = bundle.actors.values()
    (link,) = played.statistics.client.outgoing
    assert sum(link.lost.values()) > 0
    assert played.lost == sum(link.lost.values()) + sum(actor.lost.values())
    assert played.lost + actor.handled == sent
