"""A comparison as a page: one HTML file that needs nothing else, no network and no other document.

Read in this order: `markup` (elements as calls, escaped), `words` (numbers as people read them), `look`, `curves` and `bars` (charts as
plotly reads them), `charts` (a chart and its table), then the sections `criteria`, `outcome`, `latency`, `costs` and `method`, and
here how they come together. ``page.css`` and ``page.js`` go into the page as they are, and plotly's own script. A content security
policy forbids the page to load anything, so that no defect here could.

It needs the package of the extra ``report``.
"""

from __future__ import annotations

from importlib.resources import files

from spore.distribution import needs
from spore.migration.compare import Comparison
from spore.migration.page.costs import costs
from spore.migration.page.criteria import headline, table
from spore.migration.page.latency import latency
from spore.migration.page.markup import Markup, tag
from spore.migration.page.method import About, method, modes
from spore.migration.page.outcome import difference, outcome
from spore.migration.verdict import Verdict

with needs("report"):
    from plotly.offline import get_plotlyjs

__all__ = ["About", "render"]

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def render(comparison: Comparison, verdict: Verdict, about: About) -> str:
    """The page.

    Args:
        comparison: what was found.
        verdict: what it comes to.
        about: what it does not know of itself.
    """
    sections = [("verdict", "Verdict", table(verdict))]
    if comparison.divergence is not None:
        sections.append(("difference", "The first difference", difference(comparison.divergence)))
    sections += [
        ("latency", "Latency", latency(comparison, verdict)),
        ("costs", "Throughput, CPU, memory", costs(comparison, verdict)),
        ("outcome", "What came out", outcome(comparison, verdict)),
        ("method", "How this was measured", method(comparison, about)),
    ]
    body = tag(
        "body",
        tag("a", "To the verdict", href="#verdict", class_="skip"),
        tag(
            "header",
            tag("p", "spore compare · ", about.feed, class_="over"),
            headline(verdict),
            modes(),
            tag("nav", *(tag("a", title, href=f"#{name}") for name, title, _ in sections), aria_label="Sections"),
            tag("noscript", tag("p", "Charts need JavaScript. Every number is in the tables as well.")),
        ),
        tag(
            "main",
            *(
                tag("section", tag("h2", title, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title")
                for name, title, content in sections
            ),
        ),
        tag("script", Markup(get_plotlyjs())),
        tag("script", _own("page.js")),
    )
    return f"<!doctype html>\n{tag('html', _head(about), body, lang='en')}\n"


def _head(about: About) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "Bundled and relayed: ", about.feed),
        tag("style", _own("page.css")),
    )


def _own(name: str) -> Markup:
    return Markup(files(__name__).joinpath(name).read_text(encoding="utf-8"))
