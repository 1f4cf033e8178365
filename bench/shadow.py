"""What shadow mode takes from a bundle: for each message, and when a twin takes over.

one message   `tell` to an actor that tells another one: neither watched; both watched, but with no twin; and with a twin
              that is to have and to be compared with each message. Nobody takes what is noted: that is what is added to the
              bundle's own work before anything is copied
an event      of a simulated market, through MarketDataActor → SignalGeneratorActor, fed 256 at a time: CPU time of the
              bundle's process alone, without a twin and with one that runs, is sent every message, and is compared: what is
              encoded, written, read and compared between the bundle's own work
taking over   the snapshots of both actors after those events, with that many pools: for so long a bundle does nothing
              else when a twin begins afresh

The twin's own processes are not counted; they need cores of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from time import process_time_ns
from typing import Any

import attrs
import trio

import spore
from bench.measure import Case, Expectation, arguments, run_bench
from bench.pipeline import events
from spore.deploy import (
    ActorConfig,
    BundleConfig,
    Mode,
    ShadowConfig,
    ShadowState,
    ShadowStatistics,
    System,
    SystemConfig,
    open_system,
)
from spore.deploy.comparing import Tap
from spore.deploy.shadow import KEPT_MESSAGES
from spore.deploy.tapping import tapped_port
from spore.deploy.unit import RunningUnit
from spore.deploy.watching import watched
from spore.feeds.feed import BATCH

TELLS = 200_000
POOLS = 100
EVENTS = 5_000
MOST_TIMES = 2


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__).parse_args(argv)
    return run_bench(options, "shadow mode: what it takes from the bundle", CASES, EXPECTATIONS)


@attrs.define
class Head(spore.Actor[int]):
    out: spore.ActorRef[int]

    def handle(self, message: int) -> None:
        self.out.tell(message)


@attrs.define
class End(spore.Actor[int]):
    def handle(self, message: int) -> None:
        pass


async def tell(taps: Sequence[Tap]) -> float:
    async with spore.open_bundle("bench") as bundle:
        out: Any = await bundle.start(End)
        make: Any = Head
        if taps:
            (out,) = tapped_port([out], "out", taps[1])
            make = watched(Head, taps[0])
        ref = await bundle.start(make, out=out, name="head")
        began = process_time_ns()
        for number in repeat(7, TELLS):
            ref.tell(number)
        return (process_time_ns() - began) / TELLS


def taps(*, begun: bool) -> list[Tap]:
    made = [Tap(KEPT_MESSAGES), Tap(KEPT_MESSAGES)]
    for tap in made if begun else ():
        tap.begin()
    return made


def pipeline(*, shadow: bool) -> SystemConfig:
    actors = {
        "market_data": ActorConfig(type="MarketDataActor"),
        "signal_generator": ActorConfig(type="SignalGeneratorActor"),
    }
    twin = ShadowConfig() if shadow else None
    bundle = BundleConfig(name="core", mode=Mode.SHARED_MEMORY, actors=actors, shadow=twin, drain_timeout_s=60)
    return SystemConfig(bundles=(bundle,))


async def play(system: System) -> None:
    rest = iter(events(POOLS)[:EVENTS])
    while batch := tuple(islice(rest, BATCH)):
        await system.ref("market_data").send_many(batch)


async def until(system: System, condition: Callable[[ShadowStatistics], bool]) -> None:
    while not condition((await system.statistics()).shadows["core"]):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.01)


async def event(*, shadow: bool) -> float:
    async with open_system(pipeline(shadow=shadow)) as system:
        if shadow:
            await until(system, lambda found: found.state is ShadowState.FOLLOWING)
        began = process_time_ns()
        await play(system)
        if shadow:
            await until(system, lambda found: not found.waiting)
        took = process_time_ns() - began
    if shadow:
        found = (await system.statistics()).shadows["core"]
        if found.different or found.skipped or not found.equal:
            raise RuntimeError(f"the twin is to be sent and compared with everything: {found.summary}")
    return took / EVENTS


async def take_over() -> float:
    async with open_system(pipeline(shadow=False)) as system:
        await play(system)
        await system.wait_idle()
        (unit,) = system.running.values()
        assert isinstance(unit, RunningUnit)
        assert unit.bundle is not None
        began = process_time_ns()
        for name in system.plan.actors:
            unit.bundle.snapshot(name)
        return process_time_ns() - began


CASES = [
    Case("one message: no shadow", lambda _: trio.run(tell, [])),
    Case("one message: no twin now", lambda _: trio.run(tell, taps(begun=False)), baseline="one message: no shadow"),
    Case("one message: a twin", lambda _: trio.run(tell, taps(begun=True)), baseline="one message: no shadow"),
    Case("an event: no shadow", lambda _: trio.run(lambda: event(shadow=False))),
    Case("an event: a twin", lambda _: trio.run(lambda: event(shadow=True)), baseline="an event: no shadow"),
    Case("taking over: snapshots", lambda _: trio.run(take_over)),
]
EXPECTATIONS = [
    Expectation(
        f"where it is noted twice, a message through actors that do nothing takes less than {MOST_TIMES:g} times as long",
        "one message: a twin",
        ("one message: no shadow",),
        limit=MOST_TIMES,
    ),
]


if __name__ == "__main__":
    sys.exit(main())
