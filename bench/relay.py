"""What a message costs that travels through a relay: Spore's beside bare relays and ZeroMQ, on the same work.

latency     one way, from the moment a message was due until it is a whole object in the receiver's hands: 256-byte frames,
            paced (open loop: who falls behind is late), 1,000 and 10,000 a second; exact percentiles of every run
throughput  as many as backpressure lets through, frames of 256 and of 2,400 bytes, to 1 and to 10 subscribers: messages a
            second, each taken by every subscriber
CPU         of all processes, for each message: sent at a pace, and as fast as it goes; µs for one is seconds for a million

Every sample is a run of its own: fresh processes for sender, relay and receiver, which share the clock; its first part
is thrown away. All encode and decode with Spore's codec, over Unix sockets; nothing is dropped, and what was taken is
compared with what was sent. Read `relay_contender` to add a transport, and `relay_play` for how a run goes. Linux only.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence

import attrs

from bench.measure import Case, Expectation, Result, arguments, conclude, progress_line
from bench.relay_asyncio import AsyncioRelay
from bench.relay_contender import Contender
from bench.relay_load import Load
from bench.relay_play import PERCENTILES, Outcome, play
from bench.relay_spore import SporeRelay
from bench.relay_trio import BatchedRelay, OneFrameRelay
from bench.relay_zmq import ZmqPushPull, ZmqRelay

CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (SporeRelay(), OneFrameRelay(), BatchedRelay(), ZmqRelay(), ZmqPushPull(), AsyncioRelay())
}

BASELINE = "trio, batched"
ONE_FRAME = "trio, one frame a send"
SPORE = "spore"
ROUNDS = 5
"""A round takes two minutes."""

Figure = tuple[str, str, Callable[[Outcome], float]]
"""Its title, its unit, and how to take it from what a run has shown."""


@attrs.frozen
class Scene:
    """A load, and the figures that its runs give."""

    title: str
    load: Load
    figures: tuple[Figure, ...]


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=None)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="contenders whose names contain this; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="short runs, and one round unless told otherwise")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    contenders = [
        contender for name, contender in CONTENDERS.items() if any(word in name for word in options.only or [""])
    ]
    if not contenders:
        parser.error(f"no contender is called so; there are: {', '.join(CONTENDERS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what ends the children
    try:
        results = compare(contenders, scenes(quick=options.quick), options.rounds)
    except KeyboardInterrupt:
        return 130
    return conclude(options, "relay: one message from process to process", results, EXPECTATIONS)


def scenes(*, quick: bool = False) -> list[Scene]:
    """All loads."""
    warm_s, paced_s, flood_s = (0.3, 0.7, 0.5) if quick else (0.3, 3.0, 1.5)
    cpu: Figure = ("CPU", "µs/msg", lambda outcome: outcome.cpu_s / outcome.messages * 1e6)
    lateness = tuple(_lateness(percent) for percent in PERCENTILES)
    rate: Figure = ("throughput", "msg/s", lambda outcome: outcome.rate_hz)
    found = []
    for rate_hz in (1_000, 10_000):
        load = Load(frame_size=256, rate_hz=rate_hz, warm_s=warm_s, run_s=paced_s)
        found.append(Scene(f"{rate_hz:,} Hz", load, (*lateness, cpu)))
    for frame_size in (256, 2_400):
        for subscribers in (1, 10):
            load = Load(frame_size=frame_size, subscribers=subscribers, warm_s=warm_s, run_s=flood_s)
            found.append(Scene(f"{frame_size:,} B to {subscribers}", load, (rate, cpu)))
    return found


def _lateness(percent: float) -> Figure:
    return f"latency p{percent:g}", "µs", lambda outcome: outcome.late_ns[percent] / 1e3


EXPECTATIONS = [
    Expectation(
        "at 1,000 a second, half of the messages come no later than through a bare batched relay",
        f"latency p50, 1,000 Hz: {SPORE}",
        (f"latency p50, 1,000 Hz: {BASELINE}",),
    ),
    Expectation(
        "100,000 messages a second from end to end",
        f"throughput, 256 B to 1: {SPORE}",
        limit=100_000,
        at_least=True,
    ),
    Expectation(
        "3 times the throughput of a relay that sends each frame by itself",
        f"throughput, 256 B to 1: {SPORE}",
        (f"throughput, 256 B to 1: {ONE_FRAME}",),
        limit=3,
        at_least=True,
    ),
    *(
        Expectation(
            f"of {size} bytes to 10 subscribers, at least 0.95 of the throughput through a bare batched relay",
            f"throughput, {size} B to 10: {SPORE}",
            (f"throughput, {size} B to 10: {BASELINE}",),
            limit=0.95,
            at_least=True,
        )
        for size in ("256", "2,400")
    ),
    *(
        Expectation(
            f"of {size} bytes to 10 subscribers, no more CPU a message than through a bare batched relay",
            f"CPU, {size} B to 10: {SPORE}",
            (f"CPU, {size} B to 10: {BASELINE}",),
        )
        for size in ("256", "2,400")
    ),
]


def compare(
    contenders: Sequence[Contender],
    scenes: Sequence[Scene],
    rounds: int,
    *,
    play: Callable[[Contender, Load], Outcome] = play,
) -> dict[str, Result]:
    """In every round, let each contender in turn carry each load; one result for each figure."""
    samples: dict[tuple[Scene, str, str, str], list[float]] = {}
    with progress_line() as progress:
        for number in range(1, rounds + 1):
            for scene in scenes:
                for contender in contenders:
                    progress(f"round {number} of {rounds}: {scene.title}: {contender.name}")
                    outcome = play(contender, scene.load)
                    for title, unit, take in scene.figures:
                        samples.setdefault((scene, title, unit, contender.name), []).append(take(outcome))
    has_baseline = any(contender.name == BASELINE for contender in contenders)
    results = {}
    for scene in scenes:
        for title, unit, _ in scene.figures:
            group = f"{title}, {scene.title}"
            for contender in contenders:
                baseline = f"{group}: {BASELINE}" if has_baseline and contender.name != BASELINE else None
                case = Case(f"{group}: {contender.name}", unit=unit, baseline=baseline)
                results[case.name] = Result(case, tuple(samples[scene, title, unit, contender.name]))
    return results


if __name__ == "__main__":
    sys.exit(main())
