"""What `spore compare` says and answers, given what its runs have shown."""

from __future__ import annotations

import json

import attrs
import pytest

from spore.cli import compare as command
from spore.cli.compare import DIFFERENT, UNMET
from spore.deploy import Hop
from spore.migration.compare import BUNDLED, RELAYED, Comparison, Repeat
from spore.migration.find_max import FoundMax
from spore.migration.launch import Measured
from spore.migration.run import Result
from spore.migration.verdict import verdict_of

HOP = Hop(sender="market_data", port="signals", receiver="signal_generator")
RESULT = Result(
    messages=1_000,
    seconds=0.1,
    cpu_seconds=0.01,
    memory_bytes=30_000_000,
    processes=1,
    encoded_messages=0,
    encoded_bytes=0,
    encoded_classes=0,
    lost=0,
    signals=7,
    orders=21,
    digest="ab" * 32,
    tell_adds_ns=90.0,
)
SLOWER = attrs.evolve(
    RESULT,
    seconds=0.4,
    cpu_seconds=0.06,
    processes=5,
    encoded_messages=1_500,
    encoded_bytes=250_000,
    encoded_classes=9,
    tell_adds_ns=None,
)


def comparison(*, hop=HOP, events_ns=(), **changes):
    bundled = attrs.evolve(RESULT, **changes)
    times = (2_000,) * 100 if hop is not None else ()
    full = {BUNDLED: Measured(bundled, 31_000_000), RELAYED: Measured(SLOWER, 140_000_000)}
    paced = {
        BUNDLED: Measured(attrs.evolve(RESULT, hop_ns=times, event_ns=events_ns), 31_000_000),
        RELAYED: Measured(
            attrs.evolve(
                SLOWER, hop_ns=tuple(each * 100 for each in times), event_ns=tuple(each * 10 for each in events_ns)
            ),
            140_000_000,
        ),
    }
    return Comparison(
        events=500,
        loops=2,
        rate=1_000.0,
        hop=hop,
        repeats=(Repeat(full=full, paced=paced),) * 2,
        divergence=None,
        outputs={mode: {"signals": (), "orders": ()} for mode in (BUNDLED, RELAYED)},
    )


@pytest.fixture
def given(monkeypatch):
    """Have the command find what a test gives."""

    def give(found):
        async def compare(*specs, **options):
            return found

        monkeypatch.setattr(command, "compare_modes", compare)

    return give


@pytest.mark.parametrize(
    ("changes", "required", "code"),
    [
        ({}, True, 0),
        ({"tell_adds_ns": 130.0}, False, 0),
        ({"tell_adds_ns": 130.0}, True, UNMET),
        ({"encoded_classes": 1}, True, UNMET),
        ({"lost": 1}, True, UNMET),
        ({"digest": "cd" * 32}, False, DIFFERENT),
        ({"digest": "cd" * 32}, True, DIFFERENT),
    ],
)
def test_the_exit_code_says_which_it_is(given, changes, required, code):
    """A difference before all; what misses a criterion only where that was asked for."""
    given(comparison(**changes))
    assert command.compare(require_criteria=required) == code


def test_the_table_says_what_each_mode_takes(given, capsys):
    """In units that people use, with the change and the verdict beside it."""
    given(comparison())
    command.compare()
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert "hop, mean 200 µs 2.0 µs 99.0 % lower ✓ ≥ 50 % lower" in lines
    assert "events a second 2,500 10,000 300.0 % more ✓ > 50 % more" in lines
    assert "CPU s a million events 60.0 10.0 83.3 % lower ✓ > 30 % lower" in lines
    assert "CPU at 1,000 events/s 15.0 % 10.0 %" in lines
    assert "peak memory, MB 140 31 77.9 % less ✓ < 10 % more" in lines
    assert "messages encoded 1,500 0 ✓ none bundled" in lines
    assert "identical signals and orders in 8 runs · all criteria met" in lines


def test_latency_is_judged_from_event_to_signal(given, capsys):
    """Where events cause signals; the hop is shown beside it."""
    given(comparison(events_ns=(30_000,) * 50))
    command.compare()
    out = " ".join(capsys.readouterr().out.split())
    assert "event → signal, mean 300 µs 30 µs 90.0 % lower ✓ ≥ 50 % lower" in out
    assert "hop, mean 200 µs 2.0 µs median" in out
    assert "of the 90 signals" in out


def test_nothing_that_came_out_is_no_proof(given, capsys):
    """It is said that there was nothing that could differ."""
    given(comparison(signals=0, orders=0))
    assert command.compare() == 0
    assert "no signal and no order came out" in " ".join(capsys.readouterr().out.split())


def test_the_highest_rates_are_in_the_report_where_they_were_searched(given, capsys, tmp_path):
    """In the table, the JSON and the page."""
    sustained = {
        BUNDLED: FoundMax(sustained=80_000, too_much=82_500, tests=()),
        RELAYED: FoundMax(sustained=None, too_much=100, tests=()),
    }
    given(attrs.evolve(comparison(), sustained=sustained))
    to, page = tmp_path / "result.json", tmp_path / "page.html"
    command.compare(find_max=True, json=to, html=page)
    assert "sustained, events a second none 80,000" in " ".join(capsys.readouterr().out.split())
    modes = json.loads(to.read_text())["modes"]
    assert (modes[BUNDLED]["sustained_rate"], modes[BUNDLED]["too_much_rate"]) == (80_000, 82_500)
    assert (modes[RELAYED]["sustained_rate"], modes[RELAYED]["too_much_rate"]) == (None, 100)
    assert "highest rate that was sustained" in page.read_text()
    given(comparison())
    command.compare()
    assert "sustained" not in capsys.readouterr().out


def test_a_verdict_that_more_repeats_may_turn_is_said_to_be_so(given, capsys):
    """The target lies between the ends of the interval."""
    found = comparison()
    slower = attrs.evolve(found.repeats[1].full[BUNDLED], peak_bytes=100_000_000)
    repeats = (found.repeats[0], attrs.evolve(found.repeats[1], full={**found.repeats[1].full, BUNDLED: slower}))
    given(attrs.evolve(found, repeats=repeats))
    command.compare()
    lines = capsys.readouterr().out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if "✓ < 10 % more" in line)
    assert lines[at + 1].strip() == "within noise"


def test_what_could_not_be_measured_is_not_met(given, capsys, tmp_path):
    """A pipeline without a hop has no latency, and the criterion is not taken for granted."""
    given(comparison(hop=None))
    to = tmp_path / "result.json"
    assert command.compare(require_criteria=True, json=to) == UNMET
    assert "not measured" in capsys.readouterr().out
    found = json.loads(to.read_text())["criteria"]["latency_reduction_percent"]
    assert found == {"value": None, "low": None, "high": None, "target": 50, "met": False}


def test_every_run_counts_for_equality():
    """A run for latency that differs from the other one is a difference, too."""
    found = comparison()
    other = Measured(attrs.evolve(SLOWER, digest="cd" * 32), 1)
    repeats = (found.repeats[0], attrs.evolve(found.repeats[1], paced={**found.repeats[1].paced, RELAYED: other}))
    assert verdict_of(found).identical
    assert not verdict_of(attrs.evolve(found, repeats=repeats)).identical
