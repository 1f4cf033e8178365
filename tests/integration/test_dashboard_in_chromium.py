"""The dashboard in a real browser: of a real run, and of ten thousand actors.

What it looks like is kept in ``screenshots``, for people.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trio
from playwright.sync_api import Page, expect, sync_playwright
from tests.controlled import short_folder
from tests.made_up_comparison import comparison
from tests.made_up_system import ERROR, MadeUpSystem, actor, reading

from spore.deploy.control_client import open_control
from spore.deploy.control_socket import socket_path
from spore.deploy.ended import Ended
from spore.migration.told import measured_facts
from spore.migration.verdict import verdict_of
from spore.observe.dashboard import Board, open_dashboard
from spore.observe.listen import Access, Place
from spore.observe.records import keep_record
from spore.observe.runs import Runs

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "screenshots"
EVENTS = 500
SYSTEM = f"""\
modules = ["tests.pipeline_feed"]

[[bundles]]
name = "core"
mode = "shared_memory"
actors.signals = {{ type = "SignalGeneratorActor" }}

[[bundles]]
name = "files"
mode = "shared_memory"
actors.writer = {{ type = "tests.pipeline_feed:Syncs", config = {{ path = "PATH" }} }}

[[feeds]]
source = "count:{EVENTS}…"
to = "writer"

[observe]
dashboard = "127.0.0.1:PORT"
"""
ENDED = (Ended(name="before", lost={"stopped": 3}),)
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}

expect.set_options(timeout=30_000)  # a machine with much else to do takes its time to read five megabytes of script

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]


@pytest.fixture(scope="module")
def chromium():
    """Started once for all tests, which takes most of their time."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=os.geteuid() != 0) as browser,
    ):
        yield browser


@attrs.define
class Opened:
    """A page, and what it has done since it was opened."""

    page: Page
    asked: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    def errors(self) -> list[str]:
        """Those of the page, without what the browser says of a server that has gone."""
        return [text for text in self.wrong if "net::ERR" not in text]


@pytest.fixture
def opened(chromium):
    with chromium.new_context(viewport=DESKTOP, color_scheme="light") as context:
        found = Opened(context.new_page())
        context.on("request", lambda request: found.asked.append(request.url))
        context.on("weberror", lambda error: found.wrong.append(str(error.error)))
        context.on("console", lambda message: found.wrong.append(message.text) if message.type == "error" else None)
        yield found


class Run:
    """``spore run`` of a system with a dashboard, again and again at the same address."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.config = folder / "system.toml"
        self.config.write_text(SYSTEM.replace("PATH", str(folder / "out")).replace("PORT", str(port)))
        (folder / "run").mkdir()
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        self.environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        self.popen: subprocess.Popen[str] | None = None
        self.begin()

    def begin(self) -> None:
        """Run it until it runs."""
        command = [sys.executable, "-m", "spore", "run", str(self.config)]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment, cwd=ROOT)
        while (line := self.popen.stdout.readline()) != "runs\n":
            assert line
            if line.startswith("dashboard: "):
                self.address = line.removeprefix("dashboard: ").strip()

    def again(self, *, events: int) -> None:
        """Run it with more events."""
        self.config.write_text(self.config.read_text().replace(f"count:{EVENTS}", f"count:{events}"))
        self.begin()

    def end(self, number: int) -> None:
        self.popen.send_signal(number)
        self.popen.communicate(timeout=30)

    def handled(self) -> dict[str, int]:
        """What the system itself says."""

        async def ask() -> dict[str, int]:
            async with open_control(socket_path(self.config), self.config) as control:
                return {actor.name: actor.handled for actor in (await control.statistics()).actors}

        return trio.run(ask)


@pytest.fixture
def run(monkeypatch):
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        running = Run(folder)
        yield running
        if running.popen.poll() is None:
            running.end(signal.SIGKILL)


@contextmanager
def served(source, runs, *, looks=0, access=None, **options):
    """A dashboard in a thread, after so many looks; yields its address."""
    began, address, token = threading.Event(), [], []

    async def serve() -> None:
        board = Board(source, name="system.toml", runs=runs, **options)
        for _ in range(looks):
            await board.look()
        async with open_dashboard(board, Place("127.0.0.1", 0), access=access) as at:
            address.append(at)
            token.append(trio.lowlevel.current_trio_token())
            with trio.CancelScope() as scope:
                address.append(scope)
                began.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert began.wait(10)
    try:
        yield address[0]
    finally:
        trio.from_thread.run_sync(address[1].cancel, trio_token=token[0])
        thread.join()


def connection(page, state):
    return page.locator(f"[data-connection={state}]")


def test_the_page_shows_what_the_system_says_and_comes_back_with_it(run, opened):
    """Its own numbers, asked for at the same server and nowhere else; also of the run after this one, which counts anew."""
    page = opened.page
    page.goto(run.address)
    expect(connection(page, "live")).to_be_visible()
    assert page.evaluate("location.href") == run.address.partition("?")[0]  # the code is not left in the address
    assert page.evaluate("document.cookie") == ""  # and no script sees what it was exchanged for
    page.evaluate("location.hash = '#/actor/writer'")
    handled = page.locator("[data-fact=handled]")
    expect(handled).to_have_attribute("value", str(EVENTS))
    assert run.handled() == {"signals": 0, "writer": EVENTS}
    run.end(signal.SIGKILL)
    expect(connection(page, "lost")).to_be_visible()
    run.again(events=EVENTS + 7)
    expect(handled).to_have_attribute("value", str(EVENTS + 7), timeout=10_000)
    expect(connection(page, "live")).to_be_visible()
    assert run.handled() == {"signals": 0, "writer": EVENTS + 7}
    origin = run.address.partition("?")[0]
    assert {url for url in opened.asked if not url.startswith(origin)} == set()
    assert opened.errors() == []


def test_the_buttons_roll_back_and_drain(run, opened):
    """Only for a browser that had the code, and after asking once more: the bundle is relayed, its file says so, and then all has ended."""
    page = opened.page
    page.goto(run.address.partition("?")[0])
    page.get_by_role("button", name="Drain and stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain and stop").click()
    expect(page.locator("dialog output")).to_contain_text("this browser may look, and change nothing")
    page.goto(run.address)
    page.locator("[data-rollback=core]").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    steps = page.locator("dialog output")
    expect(steps).to_contain_text("to undo this: spore rollback core", timeout=20_000)
    assert run.config.read_text().count('mode = "relay"') == 1
    expect(page.locator("[data-rollback=core]")).to_have_count(0)
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Drain and stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain and stop").click()
    expect(steps).to_have_text("the system handles what was sent, and ends")
    run.popen.communicate(timeout=30)
    assert run.popen.returncode == 0


def test_ten_thousand_actors_stay_usable(opened, tmp_path):
    """Only those that can be seen are in the document; all are sorted, filtered, and reached by keys."""
    page = opened.page
    with served(MadeUpSystem(count=10_000), Runs(tmp_path)) as address:
        page.goto(f"{address}#/actors")
        expect(page.locator("output")).to_have_text("10,000 actors", timeout=15_000)
        rows = page.locator(".grid-row:visible")
        expect(rows.first).to_contain_text("market_data")
        assert rows.count() < 100
        grid = page.get_by_role("grid")
        expect(grid).to_have_attribute("aria-rowcount", "10001")
        page.get_by_role("button", name="actor", exact=True).click()
        grid.focus()
        page.keyboard.press("End")
        expect(page.locator(".grid-row.active")).to_contain_text("signal_generator")
        page.keyboard.press("/")
        page.keyboard.type("suspended")
        expect(page.locator("output")).to_have_text("1 of 10,000 actors")
        grid.focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.locator(".error")).to_contain_text("ValueError: <b>no</b> price above zero")
        page.keyboard.press("3")
        expect(page.get_by_role("treegrid")).to_contain_text("pools_0")
    assert opened.errors() == []


def test_both_modes_are_seen_side_by_side_while_they_are_compared(opened, tmp_path, monkeypatch):
    """First how far it is, then what was measured so far, and in the end the verdict, with the numbers of the JSON."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    page, made = opened.page, comparison(repeats=2)
    with (
        served(None, None, hint="Start it with: spore run") as address,
        keep_record("compare", feed="sample") as record,
    ):
        record.tell("progress", what="bundled, warm-up", done=0, total=10)
        page.goto(address)
        expect(page.locator("main")).to_contain_text("Start it with: spore run")
        page.keyboard.press("2")
        expect(page.locator("[data-run=live]")).to_have_text("running")
        for turn, repeat in enumerate(made.repeats):
            for mode in ("bundled", "relayed"):
                record.tell("measured", **measured_facts(mode, turn, repeat.full[mode]))
                record.tell("measured", **measured_facts(mode, turn, repeat.paced[mode]))
        expect(page.locator("main")).to_contain_text("medians of 8 runs so far")
        expect(page.locator(".js-plotly-plot")).to_have_count(2)
        verdict = verdict_of(made)
        record.tell("end", **verdict.plain(made))
        expect(page.locator("[data-run=done]")).to_be_visible()
        shown = page.locator("[data-criterion]").evaluate_all(
            "all => all.map(each => [each.dataset.criterion, JSON.parse(each.value)])"
        )
        plain = json.loads(json.dumps(verdict.plain(made)["criteria"]))
        assert dict(shown) == {name: each["value"] for name, each in plain.items()}
        pictures(page, "migration")
    assert opened.errors() == []


def test_nothing_reaches_beyond_the_screen_of_a_phone(opened, tmp_path):
    """In no view; what is wider scrolls in itself."""
    page = opened.page
    source = MadeUpSystem()
    with served(source, Runs(tmp_path), looks=90, clock=lambda: 1_700_000_000_000 + 1_000 * source.looks) as address:
        page.goto(address)
        expect(page.locator(".warnings")).to_contain_text("shadow difference")
        for view in ("overview", "migration", "nursery", "actors", "edges", "letters", "actor/actor_00006"):
            page.set_viewport_size(PHONE)
            page.evaluate(f"location.hash = '#/{view}'")
            expect(page.locator("main > div")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert page.evaluate("document.querySelector('main').scrollWidth") == PHONE["width"]
            if view != "migration":  # of which there is a better one
                pictures(page, view.replace("/", "-"))
    assert opened.errors() == []


def test_dead_letters_are_found_by_actor_reason_and_words(opened, tmp_path):
    """Failures beside many that a policy gave up; with what was raised and where, which stays open while others come. Text is text."""
    page = opened.page
    source = MadeUpSystem()
    with served(source, Runs(tmp_path)) as address:
        page.goto(f"{address}#/letters")
        found, rows = page.locator("output"), page.locator(".letters tbody tr")
        expect(found).to_have_text("20 kept")
        expect(rows.first).to_contain_text("ValueError: <b>no</b> price above zero")
        expect(rows.first.locator("time")).to_have_attribute("datetime", "2023-11-14T22:12:00.000Z")
        page.get_by_label("Reason").select_option("-policies")
        expect(found).to_have_text("2 of 20 kept")
        page.locator("summary").click()
        expect(page.locator("pre")).to_contain_text('File "/srv/desk/prices.py", line 31, in handle')
        looks = source.looks
        while source.looks < looks + 3:
            page.wait_for_timeout(200)
        expect(page.locator("pre")).to_be_visible()
        pictures(page, "letters-open")
        page.get_by_label("Actor", exact=True).select_option("recorder")
        expect(found).to_have_text("1 of 20 kept")
        page.get_by_label("Actor", exact=True).select_option("")
        page.get_by_label("Search").fill("prices.py")
        expect(rows).to_have_count(1)
        page.get_by_label("Search").fill("nobody")
        expect(page.locator("main")).to_contain_text("No dead letter is like that.")
    assert opened.errors() == []


def test_nothing_is_said_to_be_well_that_is_not(opened, tmp_path):
    """Of an actor that has failed, was restarted or has lost something; and of a system before there is any warning."""
    page = opened.page
    clean, failed = actor("clean"), actor("failed", failed=22, restarts=21, error=ERROR)
    restarted = actor("restarted", restarts=1)
    policy = actor("policy", lost={"dropped_oldest": 5_669})
    before = actor("before")

    class Source(MadeUpSystem):
        async def look(self, actors=()):
            self.looks += 1
            return reading(clean, failed, restarted, policy, before, at_s=self.looks, ended=ENDED)

    with served(Source(), Runs(tmp_path)) as address:
        page.goto(address)
        expect(page.locator("#warnings-title")).to_have_class("unwell")
        for name, told in {
            "failed": "failed: its handler raised22It was restarted 21 times, each time without its state.",
            "restarted": "It was restarted once, each time without its state.",
            "policy": "dropped oldest5,669",
            "before": "stopped3",
        }.items():
            page.evaluate(f"location.hash = '#/actor/{name}'")
            expect(page.locator("main h2").first).to_contain_text(name)
            expect(page.locator("main")).to_contain_text(told)
            expect(page.locator("main")).not_to_contain_text("Nothing was lost here")
        page.evaluate("location.hash = '#/actor/clean'")
        expect(page.locator("main")).to_contain_text("Nothing was lost here")
    assert opened.errors() == []


def test_one_sees_who_waits_for_whom(opened, tmp_path):
    """Along the whole row, from those who wait to the one that holds them up; and the page is no higher than the window."""
    page = opened.page
    with served(MadeUpSystem(), Runs(tmp_path)) as address:
        page.goto(address)
        rows = page.get_by_role("table", name="Senders that wait").locator("tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("actor_00004actor_00005")
        expect(rows.first).to_contain_text("actor_00006")
        expect(rows.last).to_contain_text("actor_00005actor_00006suspended")
        page.evaluate("location.hash = '#/actor/actor_00004'")
        expect(page.locator(".held")).to_have_text("It waits for room at actor_00005, which waits for actor_00006.")
        page.evaluate("location.hash = '#/actor/actor_00006'")
        expect(page.locator(".held")).to_have_text(re.compile("^actor_00005 waits for room here: it is suspended"))
        for view in ("overview", "actors", "letters", "actor/actor_00006"):
            page.evaluate(f"location.hash = '#/{view}'")
            assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert opened.errors() == []


def test_a_browser_gets_in_with_the_token_where_one_is_needed(opened, tmp_path):
    """Typed into the form, which a person finds at the address without a code, and finds again when the server has forgotten the browser."""
    page = opened.page
    with served(MadeUpSystem(), Runs(tmp_path), access=Access(token="right")) as address:
        site = address.partition("?")[0]
        page.goto(site)
        for typed in ("wrong", "right"):
            page.get_by_label("Token").fill(typed)
            page.get_by_role("button", name="Log in").click()
            if typed == "wrong":
                expect(page.get_by_role("alert")).to_have_text("This token is wrong.")
        expect(connection(page, "live")).to_be_visible()
        assert page.url == site
        page.context.clear_cookies()
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()
    assert [text for text in opened.errors() if "401" not in text] == []


def pictures(page, name):
    """As a person sees it: on a phone and on a desktop, by day and by night."""
    SHOTS.mkdir(exist_ok=True)
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for drawing in page.locator(".drawing").all():
            width = drawing.evaluate("drawing => Math.floor(drawing.getBoundingClientRect().width)")
            expect(drawing.locator(".main-svg").first).to_have_attribute("width", re.compile(rf"{width}(\.|$)"))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png")
