"""Charts as plotly reads them: plain data, made from numbers and the names of the modes alone, so that no input is in them.

A colour is named as the stylesheet names it, such as ``--bundled``; the script of the page puts in what it is in light and in
dark. Modes differ in dash and in label as well as in colour. Nothing can be zoomed, so that a finger that scrolls
the page is not caught.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spore.migration.compare import BUNDLED, RELAYED
from spore.migration.latency import histogram_of
from spore.migration.page.words import SPACE, duration

__all__ = ["Figure", "bars", "curves"]

Figure = dict[str, Any]

DASH = {BUNDLED: "solid", RELAYED: "6px 3px"}
CLEAR = "rgba(0,0,0,0)"
POINTS_PER_DECADE = 24
LABELLED = 10
"""A curve is labelled at its ninetieth percentile: of ten messages, one takes longer."""


def curves(runs: Mapping[str, Sequence[Sequence[int]]], *, of: str) -> Figure:
    """How long messages took: for each share of them, within which time they were there.

    Both axes are logarithmic; the first one shows how many messages there are for one that takes longer: 10 is 90 %, 100 is 99 %.

    Args:
        runs: nanoseconds of each message, by mode and run.
        of: what was timed, in the plural.
    """
    whole = {mode: _curve(list(itertools.chain.from_iterable(values))) for mode, values in runs.items()}
    single = [(mode, _curve(run)) for mode, values in runs.items() if len(values) > 1 for run in values]
    top = max(LABELLED, *itertools.chain.from_iterable(whole.values()))
    times = [ns for curve in whole.values() for ns in curve.values()]
    shares = [2.0, *(10.0**power for power in range(1, math.ceil(math.log10(top)) + 1))]
    powers = range(math.floor(math.log10(min(times))), math.floor(math.log10(max(times))) + 2)
    return {
        "data": [
            *(_line(mode, curve, width=1, opacity=0.45, hoverinfo="skip") for mode, curve in single),
            *(_line(mode, curve, width=3, **_hover(mode, curve)) for mode, curve in whole.items()),
        ],
        "layout": {
            **_layout(left=56, bottom=48),
            "annotations": [_beside(mode, curve) for mode, curve in whole.items()],
            "xaxis": {
                **_axis(f"share of {of}"),
                "type": "log",
                "range": [0, math.log10(top) * 1.02],
                "tickvals": shares,
                "ticktext": [_percent(each) for each in shares],
            },
            "yaxis": {
                **_axis(""),
                "type": "log",
                "range": [powers[0], powers[-1]],
                "tickvals": [10.0**power for power in powers],
                "ticktext": [duration(10.0**power) for power in powers],
            },
        },
    }


def bars(runs: Mapping[str, Sequence[float]], value: Mapping[str, float], said: Callable[[float], str]) -> Figure:
    """A measure of each mode as a bar from zero, with its runs as points.

    Args:
        runs: what each run took, by mode.
        value: what they come to.
        said: a value in words.
    """
    modes = list(runs)
    top = max(*value.values(), *itertools.chain.from_iterable(runs.values())) or 1.0
    bar = {
        "type": "bar",
        "orientation": "h",
        "width": 0.3,
        "hoverinfo": "skip",
    }
    points = {
        "type": "scatter",
        "mode": "markers",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": "--ground", "size": 9, "line": {"color": "--text", "width": 1.5}},
        "cliponaxis": False,
    }
    return {
        "data": [
            *(
                {**bar, "x": [value[mode]], "y": [place], "marker": {"color": f"--{mode}"}}
                for place, mode in enumerate(modes)
            ),
            *(
                {
                    **points,
                    "x": list(runs[mode]),
                    "y": [place] * len(runs[mode]),
                    "text": [f"{mode}, run {number}: {said(each)}" for number, each in enumerate(runs[mode], start=1)],
                }
                for place, mode in enumerate(modes)
            ),
        ],
        "layout": {
            **_layout(left=8, bottom=28),
            "annotations": [
                _label(mode, f": {said(value[mode])}", x=0, y=place - 0.2, xanchor="left", yanchor="bottom")
                for place, mode in enumerate(modes)
            ],
            "xaxis": {
                **_axis(""),
                "range": [0, top * 1.04],
                "tickvals": (ticks := _ticks(top)),
                "ticktext": [said(each) for each in ticks],
            },
            "yaxis": {**_axis(""), "visible": False, "range": [len(modes) - 0.7, -0.6]},
        },
    }


def _curve(values_ns: Sequence[int]) -> dict[float, int]:
    """Nanoseconds within which all messages but one in so many were there, to the last one."""
    steps = max(1, round(POINTS_PER_DECADE * math.log10(len(values_ns))))
    one_in = [len(values_ns) ** (step / steps) for step in range(steps + 1)]
    percentiles = [100 - 100 / each for each in one_in[:-1]] + [100]
    found = histogram_of(values_ns).get_percentile_to_value_dict(percentiles)
    return {each: int(found[percentile]) for each, percentile in zip(one_in, percentiles, strict=True)}


def _percent(one_in: float) -> str:
    """The share of messages that takes no longer, if one in so many does."""
    return f"{round(100 - 100 / one_in, max(0, math.ceil(math.log10(one_in)) - 1)):g}{SPACE}%"


def _ticks(top: float) -> list[float]:
    """From zero in round steps, two to four of them."""
    decade = 10.0 ** math.floor(math.log10(top))
    step = decade * next(each for each in (0.5, 1, 2, 5) if top / decade / each < 5)
    return [step * number for number in range(int(top / step) + 1)]


def _line(mode: str, curve: Mapping[float, int], *, width: int, **more: Any) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": mode,
        "x": list(curve),
        "y": list(curve.values()),
        "line": {"color": f"--{mode}", "width": width, "dash": DASH[mode]},
        **more,
    }


def _hover(mode: str, curve: Mapping[float, int]) -> Figure:
    said = [f"<b>{mode}</b><br>{_percent(one_in)} within {duration(ns)}" for one_in, ns in curve.items()]
    return {"text": said, "hovertemplate": "%{text}<extra></extra>"}


def _beside(mode: str, curve: Mapping[float, int]) -> Figure:
    """The label of a curve, under it."""
    at = max(one_in for one_in in curve if one_in <= LABELLED)
    return _label(mode, x=math.log10(at), y=math.log10(curve[at]), xanchor="left", yanchor="top")


def _label(mode: str, rest: str = "", **place: Any) -> Figure:
    return {"text": f"<b>{mode}</b>{rest}", "font": {"color": f"--{mode}-text"}, "showarrow": False, **place}


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "font": {"size": 13}},
        "tickangle": 0,
        "gridcolor": "--line",
        "zeroline": False,
        "fixedrange": True,
    }


def _layout(*, left: int, bottom: int) -> Figure:
    return {
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--text"},
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": "--line", "font": {"color": "--text"}},
        "margin": {"l": left, "r": 16, "t": 8, "b": bottom},
        "showlegend": False,
        "dragmode": False,
    }
