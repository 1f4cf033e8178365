"""Rates, rows and metrics of made-up looks, and sources whose system comes and goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families
from tests.controlled import TEXT, running, short_folder
from tests.unit.test_health import actor, process, shadow

from spore.cli.top import Screen
from spore.cli.top_table import top_table
from spore.deploy import Route
from spore.deploy.control_socket import socket_path
from spore.deploy.reading import EdgeReading, Reading
from spore.errors import ControlError, NothingRuns
from spore.nursery_bundle.statistics import LastError, Sampled
from spore.observe.metrics import Scrapes, exposed
from spore.observe.rates import RateMeter
from spore.observe.rows import rows_of, totals_of
from spore.observe.source import SystemSource, open_source

SECOND = 1_000_000_000
ROOT = Path(__file__).parents[2]


def edge(**given: Any) -> EdgeReading:
    place = {"sender": "a", "port": "out", "receiver": "desk", "route": Route.RELAY, "reason": "", "pid": 7}
    return EdgeReading(**{**place, "messages": 0, **given})


def reading(*things: Any, at: float = 0) -> Reading:
    def of(kind: str) -> tuple[Any, ...]:
        return tuple(each for each in things if type(each).__name__ == f"{kind}Reading")

    return Reading(
        at_ns=int(at * SECOND),
        total=len(of("Actor")),
        actors=of("Actor"),
        edges=of("Edge"),
        processes=of("Process"),
        shadows=of("Shadow"),
    )


def rates(*looks: Any) -> Any:
    """Of the last of some looks, one every two seconds; a look is a thing or several."""
    meter = RateMeter()
    for number, look in enumerate(looks):
        found = meter.see(reading(*(look if isinstance(look, tuple) else (look,)), at=2 * number))
    return found


# Rates


def test_the_first_look_has_no_rates() -> None:
    """It takes two."""
    assert rates(actor(handled=5)) is None


def test_how_busy_an_actor_is_comes_from_the_times_of_a_sample() -> None:
    """Mean by count over time; of all so far where none was timed since; unknown where none ever was; never more than all of it."""

    def busy(early: Sampled, late: Sampled, handled: int = 1_000) -> float | None:
        found = rates(actor(handled=0, handling=early), actor(handled=handled, handling=late)).actors["desk"]
        return found.busy  # type: ignore[no-any-return]

    ms = 1_000_000
    assert busy(Sampled(10, 90 * ms, 0), Sampled(20, 100 * ms, 0)) == 0.5  # 1 ms each, 1,000 of them in 2 s
    assert busy(Sampled(10, 10 * ms, 0), Sampled(10, 10 * ms, 0)) == 0.5
    assert busy(Sampled(), Sampled()) is None
    assert busy(Sampled(), Sampled(1, 10 * ms, 0)) == 1.0


def test_a_new_process_has_counted_from_nothing() -> None:
    """Although its number of messages is higher than that of its predecessor."""
    early = (actor(handled=100, lost={"full": 4}), edge(messages=50, encoded_bytes=500), process(cpu_s=3.0))
    late = (
        actor(handled=300, failed=20, lost={"full": 6}, pid=8),
        edge(messages=60, encoded_bytes=600, pid=8),
        process(cpu_s=1.0, pid=8),
    )
    found = rates(early, late)
    desk, sent = found.actors["desk"], found.edges["a", "out", "desk"]
    assert (desk.per_second, desk.failed_per_second, desk.lost_per_second) == (150, 10, 3)
    assert (sent.per_second, sent.encoded_per_second, sent.saved_per_second) == (30, 300, 0)
    assert found.processes["actor 'desk'"].cpu == 0.5
    assert rates(process(), process()).processes["actor 'desk'"].cpu is None


# Rows


def desks() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    names = {"one": 10, "two": 30, "three": 20}
    early = tuple(actor(name=name) for name in names)
    late = tuple(
        actor(name=name, handled=count, queued=40 - count, failed=count == 20) for name, count in names.items()
    )
    return early, late


@pytest.mark.parametrize(
    ("sort", "pattern", "names"),
    [
        ("handled", "", ["two", "three", "one"]),
        ("queued", "", ["one", "three", "two"]),
        ("lost", "", ["three", "one", "two"]),
        ("busy", "", ["one", "three", "two"]),
        ("name", "T", ["three", "two"]),
        ("handled", "core.tw", ["two"]),
        ("handled", "suspended", []),
    ],
)
def test_rows_are_sorted_and_chosen(sort: Any, pattern: str, names: list[str]) -> None:
    """By what there is most of, and by name where there is as much; by a part of a name, a bundle's or a state."""
    early, late = desks()
    rows = rows_of(reading(*late), rates(early, late), sort=sort, pattern=pattern)
    assert [row.name for row in rows] == names


def test_the_table_names_what_it_leaves_out_and_the_last_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that looks like markup is a name."""
    from rich.console import Console

    failed = LastError("ValueError: [bold]x", "Tick", 0)
    early, late = desks()
    late = (*late[:2], attrs.evolve(late[2], error=failed, name="[red]", state="suspended"), process(answers=False))
    early = (*early[:2], attrs.evolve(early[2], name="[red]"))
    found, now = rates(early, late), reading(*late)
    rows = rows_of(now, found, sort="lost")
    Console(width=100).print(top_table(totals_of(now, found), rows, of=now.total, sort="lost", most=2, width=100))
    out = capsys.readouterr().out
    assert "[red] (suspended)" in out
    assert "2 of 3 actors" in out
    assert "[red]: ValueError: [bold]x" in out
    assert "no answer from actor 'desk'" in out
    assert "lost▾" in out


def test_keys_sort_filter_and_end() -> None:
    """What is typed after / is the filter, letter by letter, until Enter or Esc."""
    screen = Screen(sort="busy", pattern="", title="")
    for key in "s/qsX\x7f\n":
        assert not screen.press(key)
    assert (screen.sort, screen.pattern, screen.typing) == ("waiting", "qs", False)
    screen.press("\x1b")
    assert screen.pattern == ""
    assert screen.press("q")


# Metrics


def everything() -> Reading:
    return reading(
        actor(handled=12, failed=1, lost={"full": 5, "dropped_oldest": 2}, handling=Sampled(2, 3_000_000, 0)),
        edge(messages=9, encoded_bytes=900, lost={"full": 3}),
        process(cpu_s=1.5, resident_bytes=4_096, restarts=2, reconnects=1),
        shadow(compared=8, different=1),
    )


def scraped(body: bytes) -> dict[tuple[str, frozenset[Any]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_prometheus_reads_what_a_look_shows() -> None:
    """What another process counts is a metric of its own, so that a counter never falls when only that one begins anew."""
    found = scraped(exposed(everything())[0])

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    desk = {"bundle": "core", "actor": "desk"}
    way = {"sender": "a", "port": "out", "receiver": "desk", "route": "relay"}
    assert value("spore_up") == 1
    assert value("spore_actor_messages_handled_total", **desk) == 12
    assert value("spore_actor_messages_lost_total", **desk, reason="full") == 2
    assert value("spore_edge_messages_lost_total", **way, reason="full") == 3
    assert value("spore_actor_messages_lost_total", **desk, reason="dropped_oldest") == 2
    assert value("spore_actor_handling_seconds_sum", **desk) == 0.003
    assert value("spore_actor_handling_seconds_count", **desk) == 2
    assert value("spore_edge_encoded_bytes_total", **way) == 900
    assert value("spore_process_cpu_seconds_total", process="actor 'desk'") == 1.5
    assert value("spore_process_relay_reconnects_total", process="actor 'desk'") == 1
    assert value("spore_shadow_different_messages_total", bundle="core") == 1
    assert value("spore_bundle_info", bundle="core", mode="relay") == 1


def test_while_nothing_runs_that_is_what_is_measured() -> None:
    """And nothing else."""
    assert scraped(exposed(None)[0]) == {("spore_up", frozenset()): 0}


def test_every_metric_has_its_help_and_every_counter_its_total() -> None:
    """As those who read them expect, in OpenMetrics as well."""
    for family in text_string_to_metric_families(exposed(everything())[0].decode()):
        assert family.documentation.endswith(".")
        assert all(sample.name.endswith("_total") for sample in family.samples) == (family.type == "counter")
    body, kind = exposed(everything(), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_grafana_asks_for_metrics_that_exist() -> None:
    """In panels and in variables."""
    text = (ROOT / "config" / "grafana" / "spore.json").read_text()
    board = json.loads(text)
    families = list(text_string_to_metric_families(exposed(everything())[0].decode()))
    known = {sample.name for family in families for sample in family.samples}
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    names = [set(re.findall(r"\bspore_\w+", query)) for query in asked]
    assert all(names)
    assert set().union(*names) <= known


# Sources


async def test_a_source_goes_on_when_its_system_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so while there is none."""
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        config = folder / "system.toml"
        config.write_text(TEXT)
        async with open_source(socket_path(config), config) as source:
            with pytest.raises(NothingRuns):
                await source.look()
            for _ in range(2):
                async with running(config):
                    assert (await source.look()).total == 2
                    assert (await source.look()).total == 2
                with pytest.raises(NothingRuns):
                    await source.look()


async def test_a_system_that_is_not_there_yet_is_none_that_runs() -> None:
    """Whoever serves metrics may do so before."""
    with pytest.raises(NothingRuns, match=r"^x\.toml: nothing runs it"):
        await SystemSource(config="x.toml").look()


async def test_scrapes_at_the_same_time_share_a_look(nursery: Any) -> None:
    """That begins after they have come; and so does an error. One that is given up is made again for the others."""

    class Slow:
        looks = 0

        def __init__(self) -> None:
            self.go = trio.Event()
            self.error: Exception | None = None

        async def look(self, actors: tuple[str, ...] = ()) -> Reading:
            self.looks += 1
            await self.go.wait()
            if self.error is not None:
                raise self.error
            return reading(actor(handled=self.looks))

    source = Slow()
    scrapes = Scrapes(source)
    answers = []

    async def scrape() -> None:
        try:
            body, _ = await scrapes.answer("text/plain")
        except ControlError as error:
            answers.append(str(error))
        else:
            answers.append(re.search(rb"handled_total{[^}]*} (\d)", body)[1].decode())

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as first:
            first.start_soon(scrape)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(100):
                nursery.start_soon(scrape)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    source.go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (source.looks, answers) == (2, ["2"] * 100)
    source.go, source.error = trio.Event(), ControlError("x", "is silent")
    answers.clear()
    for _ in range(3):
        nursery.start_soon(scrape)
    await trio.testing.wait_all_tasks_blocked()
    source.go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (source.looks, answers) == (3, ["x: is silent"] * 3)
