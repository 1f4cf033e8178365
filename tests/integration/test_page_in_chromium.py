"""The page of a comparison in a real browser, of the width of a phone, without a network."""

from __future__ import annotations

import json
import os
import shutil

import attrs
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.made_up_comparison import comparison, divergence

from spore.migration.page import About, render
from spore.migration.verdict import verdict_of

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WIDTH = 380
SPREADS = ("messages_per_second", "cpu_seconds_per_million", "paced_cpu_percent", "peak_memory_bytes", "encoded_bytes")
LONG = "9" * 200
FOUND = comparison(found=divergence(value=LONG))
ABOUT = About(feed="sample", command=f"spore compare --feed {LONG}.frames", machine="a machine")

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]


@attrs.define
class Opened:
    """A page, and what it has done since it was opened."""

    page: Page
    address: str
    asked: list[str]
    wrong: list[str]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Opened once for all tests, which takes most of their time."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(render(FOUND, verdict_of(FOUND), ABOUT), encoding="utf-8")
    asked, wrong = [], []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=os.geteuid() != 0) as browser,
        browser.new_context(offline=True, viewport={"width": WIDTH, "height": 800}, color_scheme="light") as context,
    ):
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda message: wrong.append(message.text))
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        page = context.new_page()
        page.goto(file.as_uri())
        yield Opened(page, file.as_uri(), asked, wrong)


@pytest.fixture
def page(opened):
    return opened.page


def test_the_keyboard_reaches_every_section(page):
    """First of all the verdict, past everything else."""
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#verdict"
    links = page.locator("nav a").evaluate_all("all => all.map(each => each.hash.slice(1))")
    assert links == page.locator("main section").evaluate_all("all => all.map(each => each.id)")


def test_the_numbers_are_those_of_the_json(page):
    """All of them to the last digit: of the criteria, and of what each mode takes."""
    plain = json.loads(json.dumps(verdict_of(FOUND).plain(FOUND)))
    rows = page.locator("[data-criterion]").evaluate_all(
        "all => all.map(row => [row.dataset.criterion, [...row.querySelectorAll('data')].map(each => JSON.parse(each.value))])"
    )
    assert {name: set(values) for name, values in rows} == {
        name: {each["value"], each["low"], each["high"]} for name, each in plain["criteria"].items()
    }
    met = page.locator("[data-criterion]", has_text="✓ met")
    assert met.evaluate_all("all => all.map(row => row.dataset.criterion)") == [
        name for name, each in plain["criteria"].items() if each["met"]
    ]
    shown = set(page.locator("data").evaluate_all("all => all.map(each => JSON.parse(each.value))"))
    for mode in plain["modes"].values():
        spreads = [*mode["latency_ns"].values(), *mode["event_latency_ns"].values(), *(mode[name] for name in SPREADS)]
        assert {value for spread in spreads for value in spread.values()} <= shown


def test_every_chart_has_drawn_in_light_and_in_dark(page):
    """With its lines or bars, in the colours of the one and then of the other."""
    marks = "all => all.map(each => each.querySelectorAll('.scatterlayer path, .barlayer path').length)"
    drawings = page.locator(".drawing")
    drawn = drawings.evaluate_all(marks)
    assert len(drawn) == 7
    assert min(drawn) > 0
    line = page.locator(".scatterlayer .js-line").last
    light = line.evaluate("path => getComputedStyle(path).stroke")
    page.emulate_media(color_scheme="dark")
    expect(line).not_to_have_css("stroke", light)
    assert drawings.evaluate_all(marks) == drawn


def test_nothing_reaches_beyond_the_screen_of_a_phone(page):
    """No element, and no label of a chart, however long a value is."""
    assert page.get_by_text(LONG).count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTH
    beyond = "all => all.filter(each => each.getBoundingClientRect().right > innerWidth).map(each => each.outerHTML)"
    assert page.locator("body *").evaluate_all(beyond) == []


def test_the_page_asks_for_nothing_and_has_no_errors(opened):
    """From its opening on."""
    assert opened.asked == [opened.address]
    assert opened.wrong == []
