"""What a message costs that travels over NATS: Spore's link beside plain nats-py on asyncio, on the same work.

core        the server passes on what comes; what it drops, and what is lost with a connection, the link sends again
persisted   a stream of JetStream: acknowledged once the server has it on its disk

latency     one way, from the moment a message was due until it is a whole object in the receiver's hands: 256-byte frames,
            1,000 a second (open loop: who falls behind is late); exact percentiles of every run
throughput  256-byte frames, as many as backpressure lets through
CPU         of sender, server and receiver, for each message: sent at a pace, and as fast as it goes

Every sample is a run of its own: fresh processes for sender, server and receiver, which share the clock; its first part is thrown away.
All encode and decode with Spore's codec. Plain nats-py keeps to a window of as many messages as a link does, because a
server drops what a slow consumer does not take; it keeps none of the other promises of a link. Linux only; needs the extra `nats`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from bench.measure import Case, Expectation, Result, arguments, conclude, progress_line
from bench.nats_contenders import PlainNats, PlainStream, SporeNats, SporeStream
from bench.relay_contender import Contender
from bench.relay_load import Load
from bench.relay_play import PERCENTILES, Outcome, play

SPORE, PLAIN = "spore", "nats-py"
KINDS: Mapping[str, tuple[Contender, Contender]] = {
    "core": (SporeNats(), PlainNats()),
    "persisted": (SporeStream(), PlainStream()),
}
ROUNDS = 5
"""A round takes half a minute."""

Samples = dict[tuple[str, str, str], list[float]]
"""By group, contender and unit."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=ROUNDS)
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what ends the children
    try:
        results = compare(options.rounds)
    except KeyboardInterrupt:
        return 130
    return conclude(options, "NATS: one message from process to process", results, EXPECTATIONS)


def compare(rounds: int, *, play: Callable[[Contender, Load], Outcome] = play) -> dict[str, Result]:
    """In every round, let each contender in turn carry each load; one result for each figure."""
    paced = Load(frame_size=256, rate_hz=1_000, warm_s=0.5, run_s=2.0)
    flood = Load(frame_size=256, warm_s=0.5, run_s=2.0)
    samples: Samples = {}
    with progress_line() as progress:
        for number in range(1, rounds + 1):
            for kind, contenders in KINDS.items():
                for load in (paced, flood):
                    for contender in contenders:
                        progress(f"round {number} of {rounds}: {kind}: {contender.name}")
                        note(samples, kind, contender.name, load, play(contender, load))
    results = {}
    groups = list(dict.fromkeys(group for group, _, _ in samples))
    for (group, name, unit), values in sorted(samples.items(), key=lambda item: groups.index(item[0][0])):
        baseline = f"{group}: {PLAIN}" if name == SPORE else None
        case = Case(f"{group}: {name}", unit=unit, baseline=baseline)
        results[case.name] = Result(case, tuple(values))
    return results


def note(samples: Samples, kind: str, name: str, load: Load, outcome: Outcome) -> None:
    """Take the figures of one run."""

    def take(figure: str, unit: str, value: float) -> None:
        samples.setdefault((f"{figure}, {kind}", name, unit), []).append(value)

    if load.rate_hz is not None:
        for percent in PERCENTILES:
            take(f"latency p{percent:g}", "µs", outcome.late_ns[percent] / 1e3)
        take("CPU at 1,000 Hz", "µs/msg", outcome.cpu_s / outcome.messages * 1e6)
    else:
        take("throughput", "msg/s", outcome.rate_hz)
        take("CPU as fast as it goes", "µs/msg", outcome.cpu_s / outcome.messages * 1e6)


EXPECTATIONS = [
    expectation
    for kind in KINDS
    for expectation in (
        Expectation(
            f"{kind}: half of the messages come within 1.3 times what they take through plain nats-py",
            f"latency p50, {kind}: {SPORE}",
            (f"latency p50, {kind}: {PLAIN}",),
            limit=1.3,
        ),
        Expectation(
            f"{kind}: at least as many messages a second",
            f"throughput, {kind}: {SPORE}",
            (f"throughput, {kind}: {PLAIN}",),
            limit=1,
            at_least=True,
        ),
    )
]


if __name__ == "__main__":
    sys.exit(main())
