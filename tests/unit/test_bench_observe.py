"""The bench of being watched: what its actors note, and what decides."""

from __future__ import annotations

import pytest
from bench.observe import EXPECTATIONS, results_of
from bench.observe_actors import figures


def test_what_comes_at_first_does_not_count() -> None:
    """Neither for the percentiles nor for the rate."""
    at_ns = [0, *range(10**9, 2 * 10**9 + 1, 10**6)]
    hops_ns = [10**9, *range(1, 1_002)]
    assert figures(hops_ns, at_ns, settle_ns=10**9) == {"p50": 501, "p99": 991, "rate": 1_000.0}
    with pytest.raises(ValueError, match="too little"):
        figures(hops_ns, at_ns, settle_ns=2 * 10**9)


@pytest.mark.parametrize(("p99", "throughput", "met"), [(1.09, 0.98, True), (1.11, 0.96, False)])
def test_a_tenth_more_and_three_percent_less_decide(p99: float, throughput: float, met: bool) -> None:
    """Each in its own round, against the same without anybody who watches."""
    samples = {f"{figure}: alone": [100.0, 300.0] for figure in ("hop p50", "hop p99", "paced", "throughput")}
    factors = {"hop p50": 1.0, "hop p99": p99, "paced": 1.0, "throughput": throughput}
    samples |= {f"{figure}: watched": [100.0 * factor, 300.0 * factor] for figure, factor in factors.items()}
    assert [each.judge(results_of(samples))[0] for each in EXPECTATIONS] == [met, met]
