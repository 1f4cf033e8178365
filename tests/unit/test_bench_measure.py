"""The benches' harness, with a clock that moves only when a case moves it."""

import gc
import json
from pathlib import Path
from typing import cast

import attrs
import pytest
from bench.measure import Case, Expectation, Result, Run, arguments, calling, measure, report, save
from rich.console import Console


@attrs.define
class FakeClock:
    """Stands still except when work is done."""

    now_ns: int = 0
    ran: list[str] = attrs.field(factory=list)

    def __call__(self) -> int:
        return self.now_ns

    def work(self, name: str, cost_ns: int = 1_000) -> Run:
        """What a case runs that costs this much an iteration."""

        def run(iterations: int) -> None:
            self.ran.append(name)
            self.now_ns += iterations * cost_ns

        return run


def result(name: str, *samples: float, baseline: str | None = None) -> Result:
    return Result(Case(name, lambda _: None, baseline=baseline), samples)


def test_cases_take_turns_in_every_round() -> None:
    """No case is sampled twice before all others were."""
    clock = FakeClock()
    told: list[str] = []
    cases = [Case(name, clock.work(name)) for name in "abc"]
    measure(cases, rounds=3, clock=clock, progress=told.append)
    assert clock.ran[-9:] == list("abcabcabc")
    assert told[-1] == "round 3 of 3: c"


@pytest.mark.parametrize("cost_ns", [1, 70, 1_000, 10_000_000, 10_000_000_000])
def test_a_sample_takes_as_long_as_was_asked_for(cost_ns: int) -> None:
    """The iterations are chosen so that cheap and dear cases take the same time, but never less than one iteration."""
    clock = FakeClock()
    took: list[int] = []

    def run(iterations: int) -> None:
        took.append(iterations * cost_ns)
        clock.now_ns += took[-1]

    values = measure([Case("a", run)], rounds=1, sample_s=0.03, clock=clock)
    assert values["a"].value == cost_ns
    assert took[-1] == pytest.approx(max(30_000_000, cost_ns), rel=0.01)


def test_a_case_may_time_itself_and_count_several_operations() -> None:
    """A figure that a case returns is taken instead of the clock's, and is shared among its operations."""
    clock = FakeClock()
    work = clock.work("work", 8_000)

    def timed(iterations: int) -> float:
        work(iterations)
        return 500.0

    cases = [Case("own", timed, per=10), Case("clock's", work, per=10)]
    values = measure(cases, rounds=2, clock=clock)
    assert (values["own"].value, values["clock's"].value) == (50, 800)


def test_a_plain_callable_is_called_once_an_iteration() -> None:
    """A function without arguments can be a case."""
    calls: list[int] = []
    calling(lambda: calls.append(1))(7)
    assert len(calls) == 7


def test_gc_is_off_during_a_sample_only() -> None:
    """The collector cannot run within a sample, and runs again even after a case that fails."""
    clock = FakeClock()
    seen: list[bool] = []

    def run(iterations: int) -> None:
        seen.append(gc.isenabled())
        clock.now_ns += iterations * 1_000_000

    measure([Case("a", run)], rounds=1, clock=clock)
    assert set(seen) == {False}
    with pytest.raises(ZeroDivisionError):
        measure([Case("a", lambda n: n / 0)], rounds=1, clock=clock)
    assert gc.isenabled()


def test_a_ratio_is_taken_within_rounds() -> None:
    """A machine that slows down for some rounds does not change the ratio."""
    assert result("a", 100, 900, 200).ratio(result("b", 50, 450, 100)) == 2


def test_names_are_checked_before_the_long_run() -> None:
    """A baseline that is no case, or a name used twice, is refused before anything runs."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="'c'"):
        measure([Case("a", clock.work("a"), baseline="c")], rounds=1, clock=clock)
    with pytest.raises(ValueError, match="same name"):
        measure([Case("a", clock.work("a"))] * 2, rounds=1, clock=clock)
    assert not clock.ran


@pytest.mark.parametrize(
    ("expectation", "met", "text"),
    [
        (Expectation("ahead", "a", ("b", "c")), True, "ahead: met with 20.0% to spare (against c)"),
        (Expectation("ahead", "c", ("a", "b")), False, "ahead: NOT met by 25.0% (against a)"),
        (Expectation("thrice", "b", ("a",), limit=3), True, "thrice: met with 33.3% to spare (against a)"),
        (Expectation("much", "b", ("a",), limit=4, at_least=True), False, "much: NOT met by 50.0% (against a)"),
        (Expectation("quick", "a", limit=100), True, "quick: met with 60.0% to spare"),
    ],
)
def test_a_verdict_says_by_how_much(expectation: Expectation, met: bool, text: str) -> None:
    """The case that comes closest to the limit, or passes it furthest, decides and is named."""
    results = {"a": result("a", 40), "b": result("b", 80), "c": result("c", 50)}
    assert expectation.judge(results) == (met, text)


def test_the_table_shows_values_spread_and_ratio() -> None:
    """Each case is a row with its ratio, if any; a baseline of the same group is named without the group."""
    results = {
        "a: x": result("a: x", 1_000, 1_200, 1_400),
        "b: y": result("b: y", 2_500, 3_000, 3_500, baseline="a: x"),
        "b: z": result("b: z", 1_250, 1_500, 1_750, baseline="b: y"),
    }
    console = Console(width=120)
    with console.capture() as captured:
        report("the title", results, console)
    lines = captured.get().splitlines()
    assert lines[0].strip() == "the title"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if ": " in line]
    assert rows == [
        ["a: x", "1,200", "ns", "1,100–1,300", "", ""],
        ["b: y", "3,000", "ns", "2,750–3,250", "a: x", "2.50"],
        ["b: z", "1,500", "ns", "1,375–1,625", "y", "0.50"],
    ]


def test_json_is_replaced_whole(tmp_path: Path) -> None:
    """The file holds the figures of all cases, and nothing is left beside it."""
    path = tmp_path / "results.json"
    path.write_text("what was there before")
    save(path, {"a": result("a", 50), "b": result("b", 100, baseline="a")})
    assert json.loads(path.read_text()) == [
        {"case": "a", "value": 50, "unit": "ns", "baseline": None, "baseline_value": None, "ratio": None}
        | {"samples": [50], "ratios": None},
        {"case": "b", "value": 100, "unit": "ns", "baseline": "a", "baseline_value": 50, "ratio": 2}
        | {"samples": [100], "ratios": [2]},
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    """A failure while writing costs neither the old figures nor a stray file."""
    path = tmp_path / "results.json"
    path.write_text("what was there before")
    with pytest.raises(TypeError):
        save(path, {"a": Result(Case("a", lambda _: None, unit=cast("str", object())), (1.0,))})
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_there_is_at_least_one_round(capsys: pytest.CaptureFixture[str]) -> None:
    """No rounds, no figures: that is refused with the usage."""
    with pytest.raises(SystemExit):
        arguments("a bench").parse_args(["--rounds", "0"])
    assert "at least 1" in capsys.readouterr().err
