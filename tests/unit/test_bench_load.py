"""The bench of the steady load: from what the tests have shown to figures and verdicts."""

from __future__ import annotations

import json

import attrs
import pytest
from bench import load

from spore.migration.find_max import FoundMax
from spore.migration.lateness import LatenessSummary
from spore.migration.load import LoadResult
from spore.migration.load_report import LoadTest, Sample

MS = 1_000_000
HIGHEST = {"bundled": 90_000, "relayed": 30_000}


def made(mode, *, seconds=60.0, lost=0):
    """A test whose relayed latency is four times the other's."""
    late = LatenessSummary(count=100, p50=MS, p99=10 * MS, p999=11 * MS, max=12 * MS)
    if mode == "relayed":
        late = attrs.evolve(late, p50=4 * MS, p99=40 * MS)
    result = LoadResult(
        planned=1_000,
        sent=1_000,
        lost=lost,
        seconds=seconds,
        cpu_seconds=0.02,
        processes=1,
        signals=50,
        orders=50,
        reports=100,
        sending=late,
        output=late,
    )
    samples = [
        Sample(at_s=at, sent=0, waiting=7 - n, late_ns=MS, memory_bytes=30_000_000)
        for n, at in enumerate((0.0, 0.5 * seconds, seconds))
    ]
    return LoadTest(mode=mode, rate=10_000, seconds=seconds, result=result, samples=tuple(samples))


@pytest.fixture
def given(monkeypatch):
    """Have tests end as told, and searches with `HIGHEST`."""

    def give(highest=HIGHEST, **changes):
        async def loadtest(*specs, config, mode, rate, seconds):
            return made(mode, seconds=seconds, **changes)

        async def find_max(*specs, config, mode, seconds, watch):
            watch((), 1)
            return FoundMax(sustained=highest[mode], too_much=None, tests=(made(mode),))

        monkeypatch.setattr(load, "loadtest", loadtest)
        monkeypatch.setattr(load, "find_max", find_max)

    return give


def test_both_modes_side_by_side(given, tmp_path, capsys):
    """Each figure of both, compared where that makes sense; every expectation is judged."""
    given()
    assert load.main(["--require", "--json", str(tmp_path / "a.json"), "--rounds", "2"]) == 0
    rows = {row["case"]: row for row in json.loads((tmp_path / "a.json").read_text())}
    assert rows["latency p99: bundled"]["ratio"] == 0.25
    assert rows["highest rate: bundled"]["ratio"] == 3
    assert (rows["waiting, most: relayed"]["value"], rows["CPU: bundled"]["value"]) == (7, 20)
    assert list(rows)[:4] == [f"latency {p}: {mode}" for p in ("p50", "p99") for mode in HIGHEST]
    out = capsys.readouterr().out
    assert out.count("met with") == len(load.EXPECTATIONS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lost": 1}, "relayed: nothing lost, and all sent: NOT met"),
        ({"highest": {"bundled": 9_000, "relayed": None}}, "relayed: sustains 10,000 events a second: NOT met"),
    ],
)
def test_what_is_not_as_expected_is_said(given, capsys, changes, said):
    """And is an exit code where that is required."""
    given(**changes)
    assert load.main(["--require"]) == 1
    assert said in capsys.readouterr().out


def test_memory_of_a_short_test_is_not_judged(given, capsys):
    """Nothing is made up for want of a figure."""
    given()
    assert load.main(["--seconds", "2", "--require"]) == 0
    assert capsys.readouterr().out.count("not judged, for lack of figures") == 2
