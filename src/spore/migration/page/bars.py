"""A measure of both modes as bars, with single runs as circles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from spore.migration.page.look import Figure, axis, label, layout

__all__ = ["bars"]


def bars(runs: Mapping[str, Sequence[float]], value: Mapping[str, float], said: Callable[[float], str]) -> Figure:
    """A measure of each mode as a bar from zero, with its runs as circles.

    Args:
        runs: what each run took, by mode.
        value: what they come to.
        said: a value in words.
    """
    modes = list(runs)
    top = max(*value.values(), *itertools.chain.from_iterable(runs.values())) or 1.0
    bar = {"type": "bar", "orientation": "h", "width": 0.3, "hoverinfo": "skip"}
    circles = {
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
                    **circles,
                    "x": list(runs[mode]),
                    "y": [place] * len(runs[mode]),
                    "text": [f"{mode}, run {number}: {said(each)}" for number, each in enumerate(runs[mode], start=1)],
                }
                for place, mode in enumerate(modes)
            ),
        ],
        "layout": {
            **layout(left=8, bottom=28),
            "annotations": [
                label(mode, f": {said(value[mode])}", x=0, y=place - 0.2, xanchor="left", yanchor="bottom")
                for place, mode in enumerate(modes)
            ],
            "xaxis": {
                **axis(),
                "range": [0, top * 1.04],
                "tickvals": (ticks := _ticks(top)),
                "ticktext": [said(each) for each in ticks],
            },
            "yaxis": {**axis(), "visible": False, "range": [len(modes) - 0.7, -0.6]},
        },
    }


def _ticks(top: float) -> list[float]:
    """Round steps above zero, up to four."""
    decade = 10.0 ** math.floor(math.log10(top))
    step = decade * next(each for each in (0.5, 1, 2, 5) if top / decade / each < 5)
    return [step * number for number in range(1, int(top / step) + 1)]
