"""What a whole pipeline takes for an event, and what of it is Spore's share.

The events are a simulated market's (`spore.feeds.market_model`): swaps and syncs of 10 to 1,000 constant-product pools.

services   MarketDataProcessor, SignalGenerator and PaperExecution, called one by another as plainly as Python can
bundled    the same three as MarketDataActor → SignalGeneratorActor → ExecutionActor in a bundle, which is fed as
           `spore.feeds` hands events on: 256 at a time

Each sample makes fresh services and handles the same events from the beginning. The feed's own work is done before,
and shown apart. Everything is one thread of one process, and the times are its CPU time: of one core, whatever else
the machine does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from time import process_time_ns

import trio

import spore
from bench.measure import Case, Expectation, arguments, run_bench
from spore.feeds.feed import BATCH
from spore.feeds.simulator import SimFeed
from spore.services import (
    ExecutionActor,
    MarketDataActor,
    MarketDataProcessor,
    PaperExecution,
    SignalGenerator,
    SignalGeneratorActor,
)
from spore.services.messages import MarketMessage, OrderRequest

POOLS = (10, 100, 1_000)
EVENTS = 20_000
"""Beside the three messages that each pool takes to be listed and filled."""
LEAST_RATE = 50_000
MOST_SHARE = 0.15


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__).parse_args(argv)
    cases = [case for pools in POOLS for case in cases_of(pools)]
    return run_bench(options, "pipeline: one simulated event", cases, EXPECTATIONS)


def cases_of(pools: int) -> list[Case]:
    services = f"{pools:,} pools: services"
    return [
        Case(f"{pools:,} pools: feed", lambda _: read_feed(pools)),
        Case(services, lambda _: call_services(pools)),
        Case(f"{pools:,} pools: bundled", lambda _: trio.run(run_bundle, pools), baseline=services),
    ]


EXPECTATIONS = [
    expectation
    for pools in POOLS
    for expectation in (
        Expectation(
            f"at least {LEAST_RATE:,} events a second ({pools:,} pools)",
            f"{pools:,} pools: bundled",
            limit=1e9 / LEAST_RATE,
        ),
        Expectation(
            f"the framework's share is under {MOST_SHARE:.0%}, so bundled takes less than {1 / (1 - MOST_SHARE):.3f} times "
            f"what the services take ({pools:,} pools)",
            f"{pools:,} pools: bundled",
            (f"{pools:,} pools: services",),
            limit=1 / (1 - MOST_SHARE),
        ),
    )
]


def feed_of(pools: int) -> SimFeed:
    return SimFeed.from_spec(f"seed=1,events={EVENTS + 3 * pools},pools={pools}", {})


@cache
def events(pools: int) -> tuple[MarketMessage, ...]:
    """All messages of the market, and a check that they lead to signals and orders: nothing is measured otherwise."""
    found = tuple(feed_of(pools).messages())
    orders = [order for order in signals_of(found) if isinstance(order, OrderRequest)]
    if not orders:
        raise RuntimeError(f"the market of {pools} pools leads to no order")
    return found


def signals_of(messages: Iterable[MarketMessage]) -> Iterable[object]:
    market, signals = MarketDataProcessor(), SignalGenerator()
    for message in messages:
        for told in market.process(message):
            yield from signals.process(told)


def read_feed(pools: int) -> float:
    feed = feed_of(pools)
    began = process_time_ns()
    count = sum(1 for _ in feed.messages())
    return (process_time_ns() - began) / count


def call_services(pools: int) -> float:
    messages = events(pools)
    market, signals, execution = MarketDataProcessor(), SignalGenerator(), PaperExecution()
    began = process_time_ns()
    for message in messages:
        for told in market.process(message):
            for decision in signals.process(told):
                if isinstance(decision, OrderRequest):
                    for _ in execution.process(decision):
                        pass
    return (process_time_ns() - began) / len(messages)


async def run_bundle(pools: int) -> float:
    messages = events(pools)
    async with spore.open_bundle("trading_core") as bundle:
        execution = await bundle.start(ExecutionActor, inner=PaperExecution(), name="execution")
        signals = await bundle.start(SignalGeneratorActor, inner=SignalGenerator(), execution=execution, name="signals")
        market = await bundle.start(MarketDataActor, inner=MarketDataProcessor(), signals=signals, name="market")
        began = process_time_ns()
        rest = iter(messages)
        while batch := tuple(islice(rest, BATCH)):
            await market.send_many(batch)
    # Leaving the bundle handles all that is queued.
    return (process_time_ns() - began) / len(messages)


if __name__ == "__main__":
    sys.exit(main())
