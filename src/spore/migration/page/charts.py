"""A chart and the table that says the same, for whoever cannot see it or wants the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spore.migration.page.look import Figure
from spore.migration.page.markup import Markup, embedded, tag

__all__ = ["chart", "columns"]


def chart(figure: Figure, table: Markup, *, title: str, meaning: str, summary: str) -> Markup:
    """A figure of the page.

    Args:
        figure: what the script of the page draws.
        table: its numbers.
        title: what is measured.
        meaning: what that is, and how to read it.
        summary: what the drawing shows, for whoever does not see it.
    """
    drawing = tag("div", class_="drawing", role="img", aria_label=summary)
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", meaning)),
        tag("div", drawing, embedded(figure), class_="chart"),
        table,
    )


def columns(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table of which each row begins with its name."""
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
        tag(
            "tbody",
            *(tag("tr", tag("th", name, scope="row"), *(tag("td", each) for each in cells)) for name, *cells in rows),
        ),
    )
