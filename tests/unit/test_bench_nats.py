"""The bench of NATS: what its runs are made into. The runs themselves need a server, and are the bench's."""

from __future__ import annotations

from bench.nats import EXPECTATIONS, compare
from bench.relay_contender import Contender
from bench.relay_load import Load
from bench.relay_play import PERCENTILES, Outcome


def played(contender: Contender, load: Load) -> Outcome:
    """Spore takes twice the time, and carries three times as many."""
    spore = contender.name == "spore"
    late = dict.fromkeys(PERCENTILES, 2_000 if spore else 1_000) if load.rate_hz else {}
    return Outcome(messages=100, cpu_s=1.0, late_ns=late, rate_hz=0.0 if load.rate_hz else 300.0 if spore else 100.0)


def test_each_figure_stands_beside_that_of_plain_nats_py() -> None:
    """As a ratio, of what the server passes on and of what it keeps; and what is expected is said of figures that there are."""
    results = compare(2, play=played)
    for kind in ("core", "persisted"):
        for figure, ratio in (("latency p50", 2), ("latency p99.9", 2), ("throughput", 3), ("CPU at 1,000 Hz", 1)):
            result = results[f"{figure}, {kind}: spore"]
            assert result.ratio(results[result.case.baseline]) == ratio
    assert [expectation.judge(results)[0] for expectation in EXPECTATIONS] == [False, True, False, True]
