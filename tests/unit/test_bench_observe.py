"""The bench of being watched: what its actors note, and what decides."""

from __future__ import annotations

import pytest
from bench.observe import EXPECTATIONS, results_of
from bench.observe_actors import EVERY, figures


def test_what_comes_at_first_does_not_count() -> None:
    """Neither for the percentiles nor for the rate."""
    at_ns = [0] * EVERY + [10**9 + 10**6 * number for number in range(EVERY + 1)]
    hops_ns = [10**9] * EVERY + [*range(1, EVERY + 2)]
    cpu_ns = [5, 10, 10 + 10**9 // 2]
    found = figures(hops_ns, at_ns, cpu_ns, settle_ns=10**9)
    assert found == {"p50": 501, "p99": 991, "rate": 1_000.0, "cpu_rate": 2_000.0}
    with pytest.raises(ValueError, match="too little"):
        figures(hops_ns, at_ns, cpu_ns, settle_ns=2 * 10**9)


@pytest.mark.parametrize(("p99", "throughput", "met"), [(1.09, 0.98, True), (1.11, 0.96, False)])
def test_a_tenth_more_and_three_percent_less_decide(p99: float, throughput: float, met: bool) -> None:
    """Each in its own round, against the same without anybody who watches."""
    samples = {
        f"{figure}: alone": [100.0, 300.0] for figure in ("hop p50", "hop p99", "paced", "throughput", "by the clock")
    }
    factors = {"hop p50": 1.0, "hop p99": p99, "paced": 1.0, "throughput": throughput, "by the clock": 1.0}
    samples |= {f"{figure}: watched": [100.0 * factor, 300.0 * factor] for figure, factor in factors.items()}
    assert [each.judge(results_of(samples))[0] for each in EXPECTATIONS] == [met, met]
