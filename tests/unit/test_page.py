"""The page of a comparison: what it says, that it loads nothing, and that nothing in it is taken for HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import attrs
import plotly.graph_objects
import pytest
from tests.made_up_comparison import comparison, divergence

from spore.deploy import Hop
from spore.migration.interval import Spread
from spore.migration.page import About, render
from spore.migration.page.bars import bars
from spore.migration.page.curves import curves
from spore.migration.page.markup import Markup, embedded, joined, tag
from spore.migration.page.words import amount, change, duration, ranged
from spore.migration.report import Criterion
from spore.migration.verdict import verdict_of

HOSTILE = "</script></title><img src=x onerror=alert(1)> \" ' & --bundled"


class Read(HTMLParser):
    """What a browser finds: elements with their attributes, and text outside of scripts and styles."""

    def __init__(self, source):
        super().__init__()
        self.elements = []
        self.said = []
        self._in = None
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in not in {"script", "style"}:
            self.said.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.said).split())

    def all(self, name):
        return [attributes for found, attributes in self.elements if found == name]


ABOUT = About(feed="sample", command="spore compare --feed sample", machine="a machine")


def page(found, **about):
    return Read(render(found, verdict_of(found), attrs.evolve(ABOUT, **about)))


# Elements and words


def test_text_is_escaped_and_markup_is_not():
    """Also in attributes."""
    assert tag("p", "1 < 2", tag("b", "&"), title='"') == '<p title="&quot;">1 &lt; 2<b>&amp;</b></p>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert joined(["<", Markup("<br>")]) == "&lt;<br>"


def test_data_cannot_end_the_script_that_holds_it():
    """Whatever text is in it comes back as it was."""
    found = embedded({"text": f"<!--<script>{HOSTILE}"})
    (text,) = re.findall(r"<script[^>]*>([^<]*)</script>$", found)
    assert json.loads(text) == {"text": f"<!--<script>{HOSTILE}"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (duration(999), "999 ns"),
        (duration(1_234), "1.23 µs"),
        (duration(12_345_678), "12.3 ms"),
        (duration(2e9), "2 s"),
        (amount(123_456.7), "123,457"),
        (change(-12.34, "more", "less"), "12.3 % less"),
        (change(0, "more", "less"), "0.0 % more"),
    ],
)
def test_numbers_are_said_as_people_say_them(said, words):
    """To three digits, in the unit that suits them."""
    assert said.replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-20.0, -10.0, "15.0 % less 10.0 to 20.0 % less"),
        (-20.0, 10.0, "15.0 % less 20.0 % less to 10.0 % more"),
        (-15.0, -15.0, "15.0 % less"),
    ],
)
def test_a_range_says_its_unit_once_where_it_has_one(low, high, words):
    """And the lower end first, as it is said."""
    found = Read(ranged(Spread(-15.0, low, high), lambda value: change(value, "more", "less")))
    assert found.text.replace("  ", " ") == words
    assert {float(each["value"]) for each in found.all("data")} == {-15.0, low, high}


# Charts


def test_a_curve_goes_through_the_percentiles():
    """From the quickest message to the slowest, which it tells exactly to three digits."""
    (line,) = curves({"bundled": [range(1, 10_001)]}, of="messages")["data"]
    at = dict(zip(line["x"], line["y"], strict=True))
    assert line["y"] == sorted(line["y"])
    for one_in, ns in ((10, 9_000), (100, 9_900), (1_000, 9_990), (10_000, 10_000)):
        assert at[min(at, key=lambda each: abs(each - one_in))] == pytest.approx(ns, rel=0.001)
    assert line["text"][-1].startswith("<b>bundled</b><br>99.99")


def test_single_runs_are_thin_lines_and_points():
    """Which a single run has no need of in a curve."""
    times = [range(1, 100), range(1, 200)]
    widths = [each["line"]["width"] for each in curves({"bundled": times, "relayed": times}, of="messages")["data"]]
    assert widths == [1, 1, 1, 1, 3, 3]
    figure = bars({"relayed": [3.0, 4.0], "bundled": [1.0, 2.0]}, {"relayed": 3.5, "bundled": 1.5}, str)
    assert [each["x"] for each in figure["data"]] == [[3.5], [1.5], [3.0, 4.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    "figure",
    [
        curves({"bundled": [[5]], "relayed": [[1_000] * 3]}, of="messages"),
        curves({"bundled": [range(1, 5_000)] * 2, "relayed": [range(1_000, 9_000)] * 2}, of="messages"),
        bars({"bundled": [0], "relayed": [0]}, {"bundled": 0, "relayed": 0}, str),
        bars({"bundled": [1.5], "relayed": [123_456]}, {"bundled": 1.5, "relayed": 123_456}, str),
    ],
    ids=["few messages", "many messages", "nothing", "one run"],
)
def test_plotly_takes_every_figure(figure):
    """It refuses properties that it does not know, and values that it cannot draw."""
    text = json.dumps(figure, allow_nan=False)
    plotly.graph_objects.Figure(json.loads(re.sub(r'"--[a-z-]+"', '"#123456"', text)))


# The page


def test_the_page_says_the_verdict_first():
    """And what was not met."""
    said = page(comparison()).text
    assert "Identical signals; 7 of 8 criteria met Not met: Cost of a bundled message" in said
    assert "not met" not in said.split("Verdict")[0]


def test_the_first_difference_is_told_field_by_field():
    """With the event behind it, the short input that shows it, and both digests."""
    said = page(comparison(found=divergence())).text
    assert "The signals or orders differ; 6 of 8 criteria met" in said
    assert "Number 3 of the signals, ArbitrageSignal ," in said
    assert "spread_bps 271 272" in said
    assert "The event behind it: TransactionEnd" in said
    assert "block_number 636" in said
    assert "The first 38 of 4,462 events show a difference, in 3 of 3 runs of both modes." in said
    assert "--feed difference-0123456789ab.frames" in said
    assert "ab" * 32 in said
    assert "cd" * 32 in said


def test_a_verdict_that_more_repeats_may_turn_says_so():
    """Where the interval of a value reaches across its target."""
    found = comparison()
    verdict = verdict_of(found)
    met, unmet = Criterion(99.0, 95.0, 103.0, 100, met=True), Criterion(101.0, 95.0, 103.0, 100, met=False)
    for criterion, noises in (
        (verdict.criteria["bundled_message_ns"], 0),
        (met, 1),
        (unmet, 2),
    ):  # where unmet, at the top as well
        near = attrs.evolve(verdict, criteria={**verdict.criteria, "bundled_message_ns": criterion})
        assert Read(render(found, near, ABOUT)).text.count("within noise") == noises


def test_the_latency_that_is_judged_is_named():
    """From event to signal, or where no event causes one, of the hop."""
    found = comparison()
    silent = [
        attrs.evolve(
            each,
            paced={
                mode: attrs.evolve(run, result=attrs.evolve(run.result, event_ns=()))
                for mode, run in each.paced.items()
            },
        )
        for each in found.repeats
    ]
    assert "mean time from an event to the signal" in page(found).text
    assert "mean time from market data to signals, as no event" in page(attrs.evolve(found, repeats=silent)).text


def test_what_was_not_measured_is_said_so():
    """No curve without a hop, and no range of a single repeat."""
    found = page(comparison(hop=None, repeats=1))
    assert "It was not measured" in found.text
    assert "not measured ✗ not met" in found.text
    assert "Of one repeat" in found.text
    assert [each for each in found.all("div") if each.get("class") == "drawing"] != []
    assert not any("Curves" in each["aria-label"] for each in found.all("div") if "aria-label" in each)


def test_whoever_sees_no_chart_is_told_what_it_shows():
    """In a sentence, and in a table that has a caption."""
    found = page(comparison())
    drawings = [each for each in found.all("div") if each.get("class") == "drawing"]
    assert len(drawings) == 7
    assert all(re.search(r"relayed .+ bundled ", each["aria-label"]) for each in drawings)
    assert len(found.all("caption")) == len(found.all("table")) == 9


def test_the_page_loads_nothing():
    """Nothing in it has an address but its own sections, and a browser is told to refuse what would."""
    found = page(comparison(found=divergence()))
    names = {name for name, _ in found.elements}
    assert names.isdisjoint({"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "image"})
    addresses = [value for _, each in found.elements for key, value in each.items() if key in {"src", "href", "srcset"}]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    (policy,) = [each["content"] for each in found.all("meta") if "http-equiv" in each]
    assert policy.split(";")[0] == "default-src 'none'"
    assert "http" not in policy


def test_names_and_values_from_the_input_are_only_text():
    """Wherever they come in: as feeds, actors or values of fields."""
    hostile = comparison(hop=Hop(sender=HOSTILE, port="out", receiver=HOSTILE), found=divergence(value=HOSTILE))
    found = page(hostile, feed=HOSTILE, command=HOSTILE, machine=HOSTILE)
    plain = page(comparison(found=divergence()))
    assert [name for name, _ in found.elements] == [name for name, _ in plain.elements]
    assert found.text.count(" ".join(HOSTILE.split())) >= 7
    assert not any(key.startswith("on") for _, each in found.elements for key in each)
