"""The distribution of latency as a curve: both axes are logarithmic, so that the slowest messages have as much room as the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from spore.migration.compare import BUNDLED, RELAYED
from spore.migration.latency import curve_of
from spore.migration.page.look import Figure, axis, label, layout
from spore.migration.page.words import SPACE, duration

__all__ = ["curves"]

DASH = {BUNDLED: "solid", RELAYED: "6px 3px"}
LABELLED = 10
"""A curve is labelled at its ninetieth percentile: of ten messages, one takes longer."""


def curves(runs: Mapping[str, Sequence[Sequence[int]]], *, of: str) -> Figure:
    """How long messages took: for each share of them, within which time they were there.

    Both axes are logarithmic; the first one shows how many messages there are for one that takes longer: 10 is 90 %, 100 is 99 %.

    Args:
        runs: nanoseconds of each message, by mode and run.
        of: what was timed, in the plural.
    """
    whole = {mode: curve_of(list(itertools.chain.from_iterable(values))) for mode, values in runs.items()}
    single = [(mode, curve_of(run)) for mode, values in runs.items() if len(values) > 1 for run in values]
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
            **layout(left=56, bottom=48),
            "annotations": [_beside(mode, curve) for mode, curve in whole.items()],
            "xaxis": {
                **axis(f"share of {of}"),
                "type": "log",
                "range": [0, math.log10(top) * 1.02],
                "tickvals": shares,
                "ticktext": [_percent(each) for each in shares],
            },
            "yaxis": {
                **axis(),
                "type": "log",
                "range": [powers[0], powers[-1]],
                "tickvals": [10.0**power for power in powers],
                "ticktext": [duration(10.0**power) for power in powers],
            },
        },
    }


def _percent(one_in: float) -> str:
    """The share of messages that takes no longer, if one in so many does."""
    return f"{round(100 - 100 / one_in, max(0, math.ceil(math.log10(one_in)) - 1)):g}{SPACE}%"


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
    return label(mode, x=math.log10(at), y=math.log10(curve[at]), xanchor="left", yanchor="top", yshift=-4)
