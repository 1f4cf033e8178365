"""What all charts of the page look like, as plotly reads it.

A figure is plain data, made from numbers and the names of the modes alone, so that no input is in it. A colour is named as the
stylesheet names it, such as ``--bundled``; the script of the page puts in what it is in light and in dark. Modes differ in dash and in
label as well as in colour. Nothing can be zoomed, so that a finger that scrolls the page is not caught.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Figure", "axis", "label", "layout"]

Figure = dict[str, Any]
CLEAR = "rgba(0,0,0,0)"


def layout(*, left: int, bottom: int) -> Figure:
    """What is around the axes, with margins in pixels."""
    return {
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--text"},
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": "--line", "font": {"color": "--text"}},
        "margin": {"l": left, "r": 16, "t": 8, "b": bottom},
        "showlegend": False,
        "dragmode": False,
    }


def axis(title: str = "") -> Figure:
    """An axis, whose range and ticks are still to be told."""
    return {
        "title": {"text": title, "font": {"size": 13}},
        "tickangle": 0,
        "gridcolor": "--line",
        "zeroline": False,
        "fixedrange": True,
    }


def label(mode: str, rest: str = "", **place: Any) -> Figure:
    """The name of a mode, and what else is told of it, at a place of the chart."""
    return {
        "text": f"<b>{mode}</b>{rest}",
        "font": {"color": f"--{mode}-text"},
        "bgcolor": "--ground",
        "showarrow": False,
        **place,
    }
