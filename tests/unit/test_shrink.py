"""How a short input that differs is looked for, and how it is kept."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.market import quote
from trio.testing import MockClock

from spore.cli.prefix import keep_prefix
from spore.cli.record import recorded
from spore.deploy import Mode, load_config
from spore.errors import RunFailed
from spore.feeds import feed_of
from spore.migration import compare as comparing
from spore.migration import digest
from spore.migration.compare import BUNDLED, Comparison, compare
from spore.migration.divergence import Divergence
from spore.migration.launch import Measured
from spore.migration.loop import looped
from spore.migration.run import ORDERS, SIGNALS, Result, frames_of
from spore.migration.shrink import AGAIN, MAX_PAIRS, Prefix, shrink
from spore.samples import PIPELINE
from spore.services.messages import EventRef, MarketRef, MomentumSignal, Side

QUOTES = tuple(quote(1, 100, 101, at=number, update=number + 1) for number in range(8_000))


def found(differs, whole=8_000, guess=None):
    """What the search finds, and the lengths that it has tried."""
    tried = []

    async def answer(length):
        tried.append(length)
        return await differs(length)

    async def main():
        return await shrink(QUOTES[:whole], answer, guess=guess)

    return trio.run(main, clock=MockClock(autojump_threshold=0)), tried


def from_length(shortest):
    async def differs(length):
        return length >= shortest

    return differs


def one_by_one(*answers):
    left = iter(answers)

    async def differs(length):
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return differs


def test_a_good_guess_takes_two_pairs_of_runs():
    """One that differs, and one event fewer that does not; then the first again."""
    prefix, tried = found(from_length(2_000), guess=2_000)
    assert tried == [2_000, 1_999, 2_000, 2_000]
    assert (prefix.messages, prefix.pairs, prefix.differed, prefix.ended) == (QUOTES[:2_000], 3, 3, None)


@pytest.mark.parametrize(("shortest", "guess"), [(2_003, 2_000), (1_998, 2_000), (1, 3), (8_000, 7_999), (1, 1)])
def test_a_guess_may_be_off_either_way(shortest, guess):
    """It is only where the search begins."""
    prefix, _ = found(from_length(shortest), guess=guess)
    assert (len(prefix.messages), prefix.ended) == (shortest, None)


@given(st.data())
def test_what_is_found_has_differed_and_is_the_shortest_unless_it_says_otherwise(data):
    """Whatever the input, the guess and the truth, in so many runs at the most."""
    whole = data.draw(st.integers(1, 8_000))
    shortest = data.draw(st.integers(1, whole))
    prefix, tried = found(from_length(shortest), whole, data.draw(st.none() | st.integers(1, whole)))
    length = len(prefix.messages)
    assert prefix.pairs == prefix.differed == tried.count(length)
    assert len(tried) <= MAX_PAIRS
    assert length == shortest if prefix.ended is None else length >= shortest or not length


def test_an_input_that_is_too_long_to_halve_down_is_cut_as_far_as_the_runs_go():
    """And it says why it is no shorter."""
    prefix, tried = found(from_length(1))
    assert len(tried) == MAX_PAIRS
    assert 1 < len(prefix.messages) < 100
    assert prefix.ended == f"after {MAX_PAIRS - AGAIN} runs of both modes"


def test_a_difference_that_comes_and_goes_is_told_as_such():
    """In so many of so many runs."""
    prefix, tried = found(one_by_one(True, False, False, True), whole=100, guess=50)
    assert tried == [50, 49, 50, 50]
    assert (len(prefix.messages), prefix.pairs, prefix.differed) == (50, 3, 2)


def test_a_difference_that_does_not_come_again_has_no_prefix():
    """However far one looks."""
    prefix, tried = found(one_by_one(*[False] * 9), whole=100, guess=50)
    assert tried == [50, 51, 55, 71, 100]
    assert (prefix.messages, prefix.pairs, prefix.differed, prefix.plain()["events"]) == ((), 5, 0, None)


def test_the_search_takes_a_minute_at_the_most():
    """The runs that are under way are cancelled, and what was found is kept."""

    async def differs(length):
        await trio.sleep(25)
        return length >= 30

    prefix, tried = found(differs, whole=100, guess=50)
    assert (len(prefix.messages), tried, prefix.ended) == (49, [50, 49, 47], "after 60 s")


def test_a_run_that_fails_ends_the_search():
    """The difference is told all the same, with what was found so far, and what has failed."""
    failed = ExceptionGroup("nursery", [RunFailed("relay", "its process died")])
    prefix, _ = found(one_by_one(True, failed), guess=50)
    assert (len(prefix.messages), prefix.pairs) == (50, 1)
    assert prefix.ended == "a run in mode 'relay' has failed: its process died"


def test_any_other_error_is_one():
    """As everywhere."""
    with pytest.raises(ExceptionGroup):
        found(one_by_one(ExceptionGroup("nursery", [OSError("no more processes")])))


# What becomes of it

PREFIX = Prefix(messages=QUOTES[:7], whole=100, pairs=3, differed=3)
DIVERGENCE = Divergence(stream="signals", index=0, left="bundled", right="relayed", kind="Signal", fields=())


def kept(folder, prefix=PREFIX):
    divergence = attrs.evolve(DIVERGENCE, prefix=prefix)
    comparison = Comparison(
        events=100, loops=1, rate=1.0, hop=None, repeats=(), divergence=divergence, outputs={BUNDLED: {}}
    )
    return keep_prefix(comparison, folder).divergence.prefix.file


def test_a_prefix_is_kept_as_a_feed(tmp_path):
    """With those messages in it."""
    file = kept(tmp_path)
    assert tuple(feed_of(file).messages()) == QUOTES[:7]


def test_no_file_is_ever_replaced(tmp_path):
    """The same input is the same file, and another input another one."""
    first = kept(tmp_path)
    made = tmp_path.joinpath(first).stat()
    assert kept(tmp_path) == first
    assert kept(tmp_path, attrs.evolve(PREFIX, messages=QUOTES[:8])) != first
    assert tmp_path.joinpath(first).stat() == made
    assert len(list(tmp_path.iterdir())) == 2


def test_where_nothing_can_be_written_the_difference_is_told_all_the_same(tmp_path, capsys):
    """And why the input is not kept."""
    assert kept(tmp_path / "missing") is None
    assert "No such file or directory, so the input that shows the difference is not kept" in capsys.readouterr().err


def test_no_prefix_leaves_no_file(tmp_path):
    """An empty feed shows nothing."""
    assert kept(tmp_path, Prefix(messages=(), whole=100, pairs=5, differed=0)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"file": "d.frames"},
            ["The first 7 of 100 events show a difference, in 3 of 3 runs", "Kept as a feed: --feed d.frames"],
        ),
        ({"messages": QUOTES[:1], "differed": 1}, ["The first of 100 events shows a difference, in 1 of 3 runs"]),
        ({"messages": (), "differed": 0}, ["It has not come again: in 3 runs of both modes"]),
        (
            {"messages": (), "pairs": 0, "ended": "after 60 s"},
            ["The search for a shorter input ended early: after 60 s."],
        ),
        ({"ended": "after 60 s"}, ["The first 7", "The search for a shorter input ended early: after 60 s."]),
    ],
)
def test_what_was_found_is_said_in_sentences(changes, lines):
    """How short it is, how sure, and where it is."""
    said = [*attrs.evolve(PREFIX, **changes).sentences()]
    assert [line.startswith(start) for line, start in zip(said, lines, strict=True)] == [True] * len(lines)


# Within a comparison


def played(monkeypatch, tmp_path, *, differs):
    """A comparison of 20 events, played three times in a row, whose runs answer each event with a signal; told of the job and the
    number of the event, `differs` says which."""
    feed = tmp_path / "quotes.frames"
    feed.write_bytes(recorded(QUOTES[:20]))

    async def launch(job):
        await trio.lowlevel.checkpoint()
        messages = looped(QUOTES[:20], job.loops)[: job.limit]
        signals = [signal(each, 2 if differs(job, number) else 1) for number, each in enumerate(messages)]
        folder = Path(job.folder)
        folder.joinpath(SIGNALS).write_bytes(frames_of(signals))
        folder.joinpath(ORDERS).write_bytes(b"")
        return Measured(result(len(messages), digest(signals)), 1)

    monkeypatch.setattr(comparing, "launch", launch)
    return trio.run(partial(compare, config=load_config(PIPELINE), repeat=2, seconds=0.3), str(feed)).divergence


def signal(event, strength):
    cause = EventRef(event.event_time_ns, event.update_id)
    return MomentumSignal(event.event_time_ns, MarketRef(1, 5), Side.BUY, 2, 1, strength, cause)


def result(messages, digest):
    return Result(
        messages=messages,
        seconds=0.1,
        cpu_seconds=0.01,
        memory_bytes=1,
        processes=1,
        encoded_messages=0,
        encoded_bytes=0,
        encoded_classes=0,
        lost=0,
        signals=messages,
        orders=0,
        digest=digest,
    )


def test_a_difference_in_a_later_loop_has_a_prefix_of_the_looped_input(monkeypatch, tmp_path):
    """Which is a recording like any other: its clock has moved on."""
    found = played(monkeypatch, tmp_path, differs=lambda job, number: job.mode is Mode.RELAY and number >= 31)
    assert (found.index, found.position) == (31, 31)
    assert found.prefix.messages == tuple(looped(QUOTES[:20], 2)[:32])
    assert (found.prefix.whole, found.prefix.pairs, found.prefix.differed) == (60, 3, 3)


def test_a_difference_of_paced_runs_is_looked_for_at_that_pace(monkeypatch, tmp_path):
    """It may not be there at any other."""
    found = played(
        monkeypatch,
        tmp_path,
        differs=lambda job, number: job.mode is Mode.RELAY and job.rate is not None and number >= 4,
    )
    assert (len(found.prefix.messages), found.prefix.differed) == (5, 3)


def test_a_difference_between_runs_of_one_mode_is_one(monkeypatch, tmp_path):
    """That the modes agree afterwards is told, too."""
    runs = Counter()

    def differs(job, number):
        runs[job.folder] += 1
        return number == 7 and len(runs) == 8  # the second bundled one for throughput

    found = played(monkeypatch, tmp_path, differs=differs)
    assert {found.left, found.right} == {"bundled, run 1", "bundled, run 2"}
    assert (found.index, found.prefix.messages, found.prefix.differed) == (7, (), 0)
