"""Two runs of a bench against each other: what counts as a change."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.against import changes, main
from bench.measure import Case, Result, save


def saved(folder: Path, *results: Result) -> Path:
    folder.mkdir()
    save(folder / "relay.json", {result.case.name: result for result in results})
    return folder


def latency(*samples: float) -> Result:
    return Result(Case("latency: spore", unit="µs", baseline="latency: bare"), samples)


def bare(*samples: float) -> Result:
    return Result(Case("latency: bare", unit="µs"), samples)


def throughput(*samples: float) -> Result:
    return Result(Case("throughput: spore", unit="msg/s"), samples)


def test_on_a_machine_that_is_half_as_fast_a_ratio_has_not_changed(tmp_path: Path, capsys) -> None:
    """The figure without a baseline has, and nobody can tell why."""
    before = saved(tmp_path / "before", latency(20, 22, 21), bare(10, 11, 10.5))
    after = saved(tmp_path / "after", latency(40, 44, 42), bare(20, 22, 21))
    assert main([str(before), str(after)]) == 0
    assert "2 cases: 0 better, 1 worse, 1 as they were" in capsys.readouterr().out


def test_what_has_become_slower_is_worse_and_what_carries_more_is_better(tmp_path: Path, capsys) -> None:
    """Required, the one decides the exit code."""
    before = saved(tmp_path / "before", throughput(100, 101, 102), latency(10, 10, 10), bare(10, 10, 10))
    after = saved(tmp_path / "after", throughput(120, 121, 122), latency(12, 12, 12), bare(10, 10, 10))
    assert main([str(before), str(after), "--require"]) == 1
    out = capsys.readouterr().out
    assert "3 cases: 1 better, 1 worse, 1 as they were" in out
    assert "+20.0%" in out


@pytest.mark.parametrize(
    ("after", "verdict"), [((104, 104, 104), ""), ((80, 130, 110), ""), ((120, 121, 122), "better"), ((50,), "worse")]
)
def test_noise_is_no_change(after: tuple[float, ...], verdict: str) -> None:
    """Less than a twentieth, or rounds that overlap."""
    row = {"case": "throughput: spore", "unit": "msg/s", "baseline": None, "ratios": None}
    [found] = changes([{**row, "samples": (99, 100, 101)}], [{**row, "samples": after}])
    assert found.verdict == verdict


def test_without_a_baseline_of_figures_it_says_where_to_get_one(tmp_path: Path, capsys) -> None:
    """`make bench` keeps them."""
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), str(tmp_path)])
    assert stopped.value.code == 2
    assert "`make bench` keeps the figures to compare with" in capsys.readouterr().err
