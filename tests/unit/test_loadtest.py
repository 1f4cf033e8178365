"""What a load test sends, how it is judged, how the highest rate is searched, and what the command says of it."""

from __future__ import annotations

import json

import attrs
import pytest
import trio
from rich.console import Console

from spore.cli import loadtest as command
from spore.cli.app import run
from spore.cli.loadtest import NOT_SUSTAINED
from spore.cli.loadtest_table import show_test
from spore.deploy import load_config
from spore.deploy.system import SystemStatistics
from spore.deploy.unit import UnitStatistics
from spore.migration import find_max as finding
from spore.migration.bursts import BURST_NS, Bursts, Endless
from spore.migration.find_max import FoundMax, find_max, search
from spore.migration.lateness import Lateness, LatenessSummary
from spore.migration.load import LoadResult, Output, OutputCounter, waiting_in
from spore.migration.load_report import LoadTest, Sample
from spore.nursery_bundle.statistics import ActorState, ActorStatistics, BundleStatistics, Sampled
from spore.relay.statistics import ClientStatistics, IncomingStatistics, OutgoingStatistics
from spore.samples import PIPELINE, UNISWAP_V2_SESSION
from spore.services.messages import ExecutionReport, GasPrice, OrderStatus, PoolSync

MS = 1_000_000
POOL, TX = b"\x01" * 20, b"\x02" * 32


def sync(number):
    return PoolSync(1_000 + number, 7 + number, 3, number, TX, POOL, 50 + number, 60)


# The load


def test_a_recording_without_end_moves_on_what_counts_up():
    """The block goes on where the turn before has ended; the event time is the one that was asked for; all else stays."""
    recording = [sync(0), sync(2), GasPrice(1_005, 10, 5, 1)]
    found = Endless(recording).take(7, 99)
    assert [each.block_number for each in found] == [7, 9, 10, 11, 13, 14, 15]
    assert {each.event_time_ns for each in found} == {99}
    assert found[3] == attrs.evolve(sync(0), event_time_ns=99, block_number=11)
    assert [type(each) for each in found[:3]] == [type(each) for each in recording]


def bursts(*, rate=10_000, seconds=0.05, warm_up_s=0.0):
    return Bursts(Endless([sync(0)]), rate=rate, seconds=seconds, patience_s=0.1, warm_up_s=warm_up_s)


async def played(load, *, held_up=None):
    """When each burst came, in ms after the beginning, with its length; at the number ``held_up`` the taker takes 25 ms."""
    load.begin()
    found = []
    async for batch in load.batches():
        found.append((round(load.age_s * 1_000), len(batch), batch[0].event_time_ns - load._began_ns))
        await trio.sleep(0.025 if len(found) == held_up else 0)
    return found


async def test_every_ten_milliseconds_the_messages_that_are_due(autojump_clock):
    """At 10,000 a second a hundred, and their event time is the moment when they were due."""
    assert await played(bursts()) == [(10 * n, 100, n * BURST_NS) for n in range(5)]


async def test_a_rate_that_does_not_divide_loses_nothing(autojump_clock):
    """The bursts differ, or are left out where nothing is due; in a second it comes to the rate."""
    found = await played(bursts(rate=150, seconds=0.1))
    assert [(at, count) for at, count, _ in found] == [(10 * n, 1 + n % 2) for n in range(10)]
    assert [at for at, _, _ in await played(bursts(rate=20, seconds=0.1))] == [40, 90]


async def test_who_is_late_gets_the_bursts_at_once_and_their_lateness_counts(autojump_clock):
    """An open loop: event times are those when they were due, and nothing that was held up is left out."""
    load = bursts()
    found = await played(load, held_up=2)
    assert [at for at, _, _ in found] == [0, 10, 35, 35, 40]
    assert [due for _, _, due in found] == [n * BURST_NS for n in range(5)]
    assert load.late.summary().max == pytest.approx(15 * MS, abs=10)


async def test_the_warm_up_is_not_timed(autojump_clock):
    """But it is sent like the rest."""
    load = bursts(warm_up_s=0.03)
    assert len(await played(load, held_up=1)) == 5
    assert (load.late.count, load.late.max_ns) == (2, 0)


async def test_what_is_far_too_late_is_not_sent(autojump_clock):
    """A test ends a tenth of a second after its end, however far behind it is."""
    load = bursts()
    load.begin()
    sent = 0
    async for batch in load.batches():
        sent += len(batch)
        await trio.sleep(0.1)
    assert (sent, load.planned, load.due()) == (200, 500, 500)


# What is seen of it


def test_a_distribution_takes_what_it_is_given():
    """Percentiles to three digits, and the most exactly; nothing is all zeros."""
    late = Lateness()
    assert attrs.astuple(late.summary()) == (0, 0, 0, 0, 0)
    for value in range(1, 1_001):
        late.add(value * MS)
    found = late.summary()
    assert (found.count, found.max) == (1_000, 1_000 * MS)
    assert found.p50 == pytest.approx(500 * MS, rel=0.001)
    assert found.p99 == pytest.approx(990 * MS, rel=0.001)
    assert (late.take_recent_ns(), late.take_recent_ns()) == (1_000 * MS, 0)


def test_reports_are_counted_but_not_timed():
    """A fill may be due later than the order."""
    output = Output()
    OutputCounter(output).handle(ExecutionReport(1, 1, OrderStatus.FILLED, 1, 1, 0, "", None))
    assert (output.reports, output.signals, output.orders, output.late.count) == (1, 0, 0, 0)


def test_what_a_pipeline_calls_a_signal_is_one():
    """A message of its own; it is timed if it has an event time."""
    output = Output()
    OutputCounter(output).handle(GasPrice(1, 2, 3, 4))
    OutputCounter(output).handle("without one")
    assert (output.signals, output.late.count) == (2, 1)


def actor(name, queued):
    return ActorStatistics(name, ActorState.RUNNING, queued, 0, 0, {}, queued, 9, 0, Sampled(), Sampled())


def client(*, outstanding=(), waiting=()):
    made = ClientStatistics("c", True, 0, 0, (), (), (), 0, 0, 0, 0)
    links = [OutgoingStatistics("s", "p", "r", False, 9, each, 9, 0, 0, 0, 0, 0, {}, "") for each in outstanding]
    arrived = [IncomingStatistics("c", "s", "p", "r", False, 9, each, 0, 0, 0) for each in waiting]
    return attrs.evolve(made, outgoing=tuple(links), incoming=tuple(arrived))


def unit(label, *actors, link=None):
    bundle = BundleStatistics(label, {each.name: each for each in actors}, (), 0, 0, 0)
    return UnitStatistics(label=label, pid=1, restarts=0, bundle=bundle, client=link)


def test_what_waits_is_counted_once():
    """A message that has come by a link and is in a mailbox is its sender's, too, until it has been handled."""
    a, b = unit("a", actor("a", 5), link=client(outstanding=[7, 1])), unit("b", actor("b", 4), link=client(waiting=[3]))
    assert waiting_in(SystemStatistics({"a": a, "b": b}, {}, client(outstanding=[10]))) == 10 + 7 + 1 + 5 + (4 - 3)
    assert waiting_in(SystemStatistics({"a": unit("a", actor("a", 5))}, {}, None)) == 5


# How it is judged

RESULT = LoadResult(
    planned=600_000,
    sent=600_000,
    lost=0,
    seconds=60.0,
    cpu_seconds=9.0,
    processes=1,
    signals=70,
    orders=7,
    reports=14,
    sending=LatenessSummary(count=6_000, p50=MS, p99=5 * MS, p999=9 * MS, max=20 * MS),
    output=LatenessSummary(count=77, p50=2 * MS, p99=8 * MS, p999=9 * MS, max=21 * MS),
)


def loaded(*, waiting=lambda n: 3, memory=lambda n: 30_000_000, seconds=60.0, **changes):
    """A test of 60 samples whose queues and memory go as told."""
    samples = tuple(
        Sample(at_s=seconds * n / 60, sent=n, waiting=waiting(n), late_ns=MS, memory_bytes=memory(n)) for n in range(60)
    )
    result = attrs.evolve(RESULT, **changes)
    return LoadTest(mode="bundled", rate=10_000, seconds=seconds, result=result, samples=samples)


def late(p99):
    return LatenessSummary(count=100, p50=MS, p99=p99, p999=p99, max=p99)


def unmet(test):
    return [name for name, check in test.checks.items() if check.met is False]


def test_a_steady_run_is_sustained_and_flat():
    """Each check says what was found and what may be."""
    test = loaded()
    assert (test.sustained, test.flat, unmet(test)) == (True, True, [])
    assert [check.limit for check in test.checks.values()] == [0, 1e8, 1e8, 1_000, 0, 5]


@pytest.mark.parametrize(
    ("test", "name"),
    [
        (loaded(sent=599_999), "unsent"),
        (loaded(sending=late(101 * MS)), "sending_p99_ns"),
        (loaded(output=late(101 * MS)), "output_p99_ns"),
        (loaded(waiting=lambda n: 25 * n), "queue_growth"),
        (loaded(lost=1), "lost"),
    ],
)
def test_each_check_is_enough_not_to_be_sustained(test, name):
    """By itself, whatever the others say."""
    assert (test.sustained, unmet(test)) == (False, [name])


def test_the_table_counts_as_people_do(capsys):
    """One signal, and not 1 signals."""
    show_test(loaded(signals=1, orders=0), Console(width=120))
    assert "1 signal, 0 orders" in capsys.readouterr().out


def test_a_queue_that_was_long_for_a_while_has_not_grown():
    """A stall that was made up for; it shows in the latency, not here."""
    assert unmet(loaded(waiting=lambda n: 50_000 if 20 <= n < 40 else 10)) == []
    assert unmet(loaded(waiting=lambda n: 50_000 if n == 59 else 10)) == []


def test_memory_that_grows_is_not_flat():
    """In MB a minute over the second half: what the first one has built up is no growth. The load is sustained all the same."""
    grows = loaded(memory=lambda n: 30_000_000 + 100_000 * n)
    assert (grows.sustained, grows.flat, unmet(grows)) == (True, False, ["memory_mb_per_minute"])
    assert grows.checks["memory_mb_per_minute"].value == pytest.approx(6.0)
    assert loaded(memory=lambda n: 30_000_000 + 1_000_000 * min(n, 30)).flat is True


def test_what_cannot_be_told_is_neither_met_nor_failed():
    """Memory in a short test, and latency where nothing came out."""
    test = loaded(
        seconds=19.0, memory=lambda n: n * 10**9, output=LatenessSummary(count=0, p50=0, p99=0, p999=0, max=0)
    )
    assert (test.sustained, test.flat) == (True, None)
    assert [name for name, check in test.checks.items() if check.met is None] == [
        "output_p99_ns",
        "memory_mb_per_minute",
    ]


def test_a_pipeline_that_never_answered_is_judged_by_the_last_sample():
    """A single one has no slope, and nothing that has grown."""
    test = loaded()
    test = attrs.evolve(test, samples=test.samples[-1:])
    assert (test.sustained, test.flat, test.checks["queue_growth"].value) == (True, None, 0)


# The search


async def searched(highest, start=10_000):
    """What a search finds where rates up to ``highest`` are sustained, and in which order it tries them."""
    tried = []

    async def sustains(rate):
        tried.append(rate)
        return rate <= highest

    return await search(sustains, start), tried


async def test_a_rate_is_doubled_until_it_is_too_much_and_then_halved_in_between():
    """To 5 %."""
    found, tried = await searched(33_000)
    assert tried == [10_000, 20_000, 40_000, 30_000, 35_000, 32_500, 33_750]
    assert found == (32_500, 33_750)


async def test_a_start_that_is_too_much_is_halved_first():
    """Down to a message a burst, below which there is nothing to search."""
    assert await searched(3_000) == ((2_968, 3_046), [10_000, 5_000, 2_500, 3_750, 3_125, 2_812, 2_968, 3_046])
    assert await searched(0) == ((None, 100), [10_000, 5_000, 2_500, 1_250, 625, 312, 156, 100])
    assert await searched(0, start=40) == ((None, 40), [40])


async def test_a_search_ends_at_the_highest_rate_there_is():
    """Nothing was too much."""
    assert (await searched(10**9))[0] == (1_000_000, None)


async def test_a_rate_is_too_much_when_two_tests_say_so(monkeypatch):
    """One that fails may be the machine's fault; it is run once more, and the search goes on by what comes then."""
    answers = iter([False, True, False, False, False, True] + [False] * 99)

    async def loadtest(*specs, rate, seconds, **options):
        return attrs.evolve(loaded(lost=int(not next(answers))), rate=rate, seconds=seconds)

    monkeypatch.setattr(finding, "loadtest", loadtest)
    seen = []
    found = await find_max(
        "sample",
        config=load_config(PIPELINE),
        mode="bundled",
        start=1_000,
        watch=lambda tests, rate: seen.append((len(tests), rate)),
    )
    assert seen[:6] == [(0, 1_000), (1, 1_000), (2, 2_000), (3, 2_000), (4, 1_500), (5, 1_500)]
    assert (found.sustained, found.too_much) == (1_500, 1_562)
    assert [test.rate for test in found.tests] == [rate for _, rate in seen]
    assert {test.seconds for test in found.tests} == {5.0}


# The command


@pytest.fixture
def given(monkeypatch):
    """Have the command find what a test gives."""

    def give(found):
        async def find(*specs, watch, **options):
            watch(*(found.tests, 7) if isinstance(found, FoundMax) else found.samples[:1])
            return found

        monkeypatch.setattr(command, "search_max" if isinstance(found, FoundMax) else "run_test", find)

    return give


@pytest.mark.parametrize(
    ("test", "code", "sentence"),
    [
        (loaded(), 0, "sustained · nothing lost · memory flat"),
        (loaded(seconds=1.0), 0, "sustained · nothing lost · too short to judge memory"),
        (loaded(lost=7), NOT_SUSTAINED, "not sustained (messages lost) · 7 lost · memory flat"),
        (
            loaded(sending=late(10**9), output=late(2 * 10**9), sent=1),
            NOT_SUSTAINED,
            "not sustained (sends too late, signals late) · nothing lost · memory flat",
        ),
        (
            loaded(waiting=lambda n: 10**6 * n),
            NOT_SUSTAINED,
            "not sustained (queues grow) · nothing lost · memory flat",
        ),
        (loaded(memory=lambda n: 10**6 * n), NOT_SUSTAINED, "sustained · nothing lost · memory grows"),
    ],
)
def test_the_exit_code_and_a_sentence_say_which_it_is(given, capsys, test, code, sentence):
    """Whatever fails."""
    given(test)
    assert run(["loadtest"]) == code
    assert sentence in capsys.readouterr().out


def test_the_table_says_what_was_found_and_what_may_be(given, capsys):
    """In units that people use; queues and memory over time as bars from 0 to the most."""
    given(loaded(waiting=lambda n: n))
    run(["loadtest", "--mode", "bundled"])
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert "bundled: 10,000 events a second for 60 s, every 10 ms" in lines
    assert "events sent 600,000 of 600,000 ✓ all" in lines
    assert "sent late by median 1.0, 99 % 5.0, most 20.0 ms ✓ 99 % ≤ 100 ms" in lines
    assert "waiting first 0, last 59, most 59 ▁▂▂▃▃▃▄▄▅▅▆▆▇▇██ ✓ growth ≤ 1,000" in lines
    assert f"memory 30.0 to 30.0 MB, +0.0 MB/min {'█' * 16} ✓ ≤ 5 MB/min" in lines


def test_nothing_that_came_out_is_said_to_be_nothing(given, capsys):
    """There is no latency of it."""
    given(loaded(output=LatenessSummary(count=0, p50=0, p99=0, p999=0, max=0)))
    run(["loadtest"])
    assert "event to output nothing to time" in " ".join(capsys.readouterr().out.split())


def test_the_file_says_all_that_was_found(given, tmp_path):
    """Checks, figures, and every sample."""
    given(loaded())
    run(["loadtest", "--json", str(tmp_path / "a.json")])
    found = json.loads((tmp_path / "a.json").read_text())
    assert list(found) == ["mode", "rate", "seconds", "sustained", "memory_flat", "checks", "result", "samples"]
    assert found["checks"]["lost"] == {"value": 0, "limit": 0, "met": True}
    assert len(found["samples"]) == 60


def test_a_search_tells_each_test_and_what_it_comes_to(given, capsys, tmp_path):
    """In a table, a sentence and a file."""
    tests = (loaded(), attrs.evolve(loaded(output=late(2 * 10**9)), rate=20_000))
    given(FoundMax(sustained=10_000, too_much=20_000, tests=tests))
    assert run(["loadtest", "--find-max", "--json", str(tmp_path / "a.json")]) == 0
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert "10,000 8.0 ms 3 0 ✓" in lines
    assert "20,000 2,000.0 ms 3 0 ✗ signals late" in lines
    assert "bundled sustains 10,000 events a second · 20,000 are too many" in lines
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["sustained_rate"], found["too_much_rate"], len(found["tests"])) == (10_000, 20_000, 2)


@pytest.mark.parametrize(
    ("found", "code", "sentence"),
    [
        (FoundMax(sustained=None, too_much=100, tests=(loaded(),)), NOT_SUSTAINED, "sustains none of these rates"),
        (FoundMax(sustained=1_000_000, too_much=None, tests=(loaded(),)), 0, "no more were tried"),
    ],
)
def test_a_search_without_one_of_its_ends_says_so(given, capsys, found, code, sentence):
    """And fails only where nothing was sustained."""
    given(found)
    assert run(["loadtest", "--find-max"]) == code
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rate", "0"], "a load is 1 to 1,000,000 messages a second, not 0"),
        (["--seconds", "0"], "a load test lasts more than 0 and at most 86,400 seconds, not 0"),
        (["--seconds", "nan"], "not nan"),
        (["--feed", "sampel"], "feed 'sampel' is none"),
        (["--feed", f"jsonrpc:ws://127.0.0.1:9?pools={UNISWAP_V2_SESSION / 'pools.json'}"], "is live"),
        (["--find-max", "--feed", "binance:no-such-file"], "no-such-file"),
        (["no-such.toml"], "no-such.toml"),
        (["--json", __file__], "add --force to replace it"),
    ],
)
def test_bad_input_is_told_before_anything_runs(capsys, arguments, sentence):
    """In a sentence, with exit code 2."""
    assert run(["loadtest", *arguments]) == 2
    assert sentence in capsys.readouterr().err
