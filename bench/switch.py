"""What a switch of the reference pipeline takes, to the relay and back, at 10,000 simulated events a second.

pause      from the moment when senders are held up to the one when they go on, as `spore.deploy.Switched` says it
held up    the longest time that the one sender had to wait meanwhile, by its own clock: 100 events are due every 10 ms
ready      how long the new processes take to be ready, while the old mode runs
all        from the call to the end of the last old process

A round is there and back. All rounds are one system, in which no event may be lost and no sender may see an error; the events after
which the bundle is switched are wherever the feed is then.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from time import perf_counter

import trio

from bench.measure import Case, Expectation, Result, arguments, conclude, progress_line
from bench.pipeline import events
from spore.deploy import Mode, Switched, System, load_config, open_system
from spore.migration.compare import JUDGED, MODES
from spore.migration.loop import looped
from spore.samples import PIPELINE

RATE = 10_000
TOGETHER = 100
POOLS = 100
ROUND_S = 6
"""A round is shorter, and the events last as long as the rounds."""
MOST_MS = 250
BUNDLE = "trading_core"
NAMES = {mode: name for name, mode in MODES.items()}


class Sender:
    """Sends events, open loop, and knows how long it had to wait."""

    def __init__(self, system: System, seconds: float) -> None:
        recording = events(POOLS)
        self.longest_s = 0.0
        self.sent = 0
        self._events = iter(looped(recording, int(seconds * RATE) // len(recording) + 1))
        self._ref = system.ref("market_data")
        gc.collect()
        gc.freeze()  # the input is no part of what is measured

    async def run(self) -> None:
        """Send until the end."""
        began = trio.current_time()
        while batch := tuple(islice(self._events, TOGETHER)):
            before = perf_counter()
            await self._ref.send_many(batch)
            self.longest_s = max(self.longest_s, perf_counter() - before)
            self.sent += len(batch)
            await trio.sleep_until(began + self.sent / RATE)


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.set_defaults(rounds=10)
    options = parser.parse_args(argv)
    try:
        samples = trio.run(play, options.rounds)
    except KeyboardInterrupt:
        return 130
    title = f"switch: the reference pipeline at {RATE:,} events a second"
    return conclude(options, title, results_of(samples), EXPECTATIONS)


async def play(rounds: int) -> Mapping[str, list[float]]:
    """Switch there and back so often; return the samples of each figure, in milliseconds."""
    samples: dict[str, list[float]] = {}
    with progress_line() as progress:
        async with open_system(load_config(PIPELINE)) as system:
            sender = Sender(system, rounds * ROUND_S)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.run)
                for number in range(rounds):
                    for to in (Mode.RELAY, Mode.SHARED_MEMORY):
                        progress(f"round {number + 1} of {rounds}: to {NAMES[to]}")
                        await trio.sleep(0.5)
                        sender.longest_s = 0.0
                        switched = await system.switch(BUNDLE, to)
                        await trio.sleep(0.2)
                        for figure, value in figures(switched, sender).items():
                            samples.setdefault(f"{figure}: {NAMES[to]}", []).append(value * 1_000)
                nursery.cancel_scope.cancel()
            await system.wait_idle()
            await check(system)
    return samples


async def check(system: System) -> None:
    """Nothing may have been lost, or come twice."""
    for unit in (await system.statistics()).units.values():
        for actor in unit.bundle.actors.values() if unit.bundle is not None else ():
            if actor.failed or actor.lost:
                raise RuntimeError(f"{actor.name} has lost something: {actor}")


def figures(switched: Switched, sender: Sender) -> dict[str, float]:
    steps = {step.name: step.seconds for step in switched.steps}
    return {
        "pause": switched.pause_s,
        "held up": sender.longest_s,
        "ready": steps["prepare"],
        "all": sum(steps.values()),
    }


def results_of(samples: Mapping[str, Sequence[float]]) -> dict[str, Result]:
    """All samples of each figure, and the worst pauses as figures of their own."""
    found = {name: Result(Case(name, unit="ms"), tuple(values)) for name, values in samples.items()}
    for mode in JUDGED:
        name = f"pause, worst: {mode}"
        found[name] = Result(Case(name, unit="ms"), (max(samples[f"pause: {mode}"]),))
    return found


EXPECTATIONS = [
    Expectation(
        f"from the relay to the bundle, the worst pause is under {MOST_MS} ms", "pause, worst: bundled", limit=MOST_MS
    )
]


if __name__ == "__main__":
    sys.exit(main())
