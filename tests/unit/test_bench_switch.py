"""The bench of switches: what it makes of its samples."""

from __future__ import annotations

import pytest
from bench.switch import EXPECTATIONS, MOST_MS, results_of

from spore.migration.compare import MODES


@pytest.mark.parametrize(("worst", "met"), [(MOST_MS - 1, True), (MOST_MS + 1, False)])
def test_the_worst_pause_decides(worst: float, met: bool) -> None:
    """However short the others were; the median is shown beside it."""
    samples = {f"{figure}: {mode}": [10.0, worst, 20.0] for figure in ("pause", "held up") for mode in MODES}
    results = results_of(samples)
    assert results["pause: bundled"].value == 20.0
    assert results["pause, worst: bundled"].value == worst
    assert EXPECTATIONS[0].judge(results)[0] is met
