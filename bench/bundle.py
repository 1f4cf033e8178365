"""What the bundle runtime costs a message, beside its peers on the same work.

tell     inline: a handler called bare, through its bound method, and through `tell`; what `tell` adds to it is the
         difference, taken in turns; `tell_many` in batches of 100
send     from outside to an idle receiver, inline; trio's memory channel, `await send` against `async for`
burst    queued: n messages handed over by `tell`, or all at once by `tell_many`, and the last one handled; for each
ask      one question and its answer; trio: a request through one channel, the answer through another
chain    plain actors that pass on what they get; for each hop
fan-out  one actor that passes on what it gets to ten; for each delivery
actors   10,000 of them: to start them all, and the memory of one that has nothing to do (traced once a run)

A handler does next to nothing: it counts. The one called "first step" is small but realistic: what a signal generator
does first, it keeps the last price by instrument.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from time import perf_counter_ns
from typing import Any

import attrs
import trio

import spore
from bench.bundle_peers import (
    in_asyncio,
    pykka_ask,
    pykka_burst,
    queue_burst,
    trio_burst,
    trio_chain,
    trio_fan_out,
    trio_round_trip,
    trio_stream,
    xoscar_ask,
    xoscar_burst,
)
from bench.bundle_work import Counter, FirstStep, Latch, Once, Tally, difference, in_trio, quotes
from bench.measure import Case, Expectation, arguments, run_bench

BURSTS = (1, 10, 100, 1_000)
CHAINS = (2, 5, 10)
RECEIVERS = 10
ACTORS = 10_000
MANY = 1_000
"""Messages of an iteration where a single one is too short to time."""
BATCH = 100
QUOTES = quotes(MANY)

INLINE, QUEUED = "inline", "queued"
TRIVIAL, REALISTIC = "trivial", "first step"


@attrs.define
class TallyActor(Tally, spore.Actor[Any]):
    pass


@attrs.define
class CounterActor(Counter, spore.Actor[Any]):
    pass


@attrs.define
class FirstStepActor(FirstStep, spore.Actor[Any]):
    pass


@attrs.define
class AsyncCounterActor(spore.Actor[Any]):
    every: int
    done: Any
    left: int = attrs.field(default=attrs.Factory(lambda self: self.every, takes_self=True))

    async def handle(self, message: Any) -> None:
        self.left -= 1
        if not self.left:
            self.left = self.every
            self.done()


@attrs.define
class ForwardActor(spore.Actor[Any]):
    out: spore.ActorRef[Any]

    def handle(self, message: Any) -> None:
        self.out.tell(message)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__).parse_args(argv)
    cases = [
        *tell_cases(TRIVIAL),
        *tell_cases(REALISTIC),
        *send_cases(),
        *[case for size in BURSTS for case in burst_cases(size)],
        *ask_cases(),
        *[case for length in CHAINS for case in chain_cases(length)],
        *fan_out_cases(),
        Case("actors: start 10,000", start_actors, unit="ms"),
        Case("actors: memory of one", idle_memory, unit="bytes"),
    ]
    return run_bench(options, "bundle: one message from actor to actor", cases, EXPECTATIONS)


EXPECTATIONS = [
    Expectation("tell adds less than 100 ns (first step)", "tell first step: adds", limit=100),
    Expectation("tell adds less than 100 ns (trivial handler)", "tell trivial: adds", limit=100),
    Expectation(
        "tell adds less than 1.5 times the bare call (first step)",
        "tell first step: adds",
        ("tell first step: bare call",),
        limit=1.5,
    ),
    Expectation(
        "tell, handler included, less than 1.5 times the bare call (first step)",
        "tell first step: tell",
        ("tell first step: bare call",),
        limit=1.5,
    ),
    Expectation("tell_many under 60 ns a message, handler included", "tell trivial: tell_many", limit=60),
    Expectation(
        "tell at least 40 times cheaper than trio's channel, handler included",
        "tell trivial: tell",
        ("send: trio channel",),
        limit=1 / 40,
    ),
    Expectation(
        "queued, bursts of 100, message by message: at most half of asyncio.Queue",
        "burst of 100: spore",
        ("burst of 100: asyncio.Queue",),
        limit=0.5,
    ),
    Expectation(
        "queued, bursts of 100, by tell_many: at most half of asyncio.Queue",
        "burst of 100: spore, tell_many",
        ("burst of 100: asyncio.Queue",),
        limit=0.5,
    ),
    Expectation(
        "queued, one message: no slower than trio's channel", "burst of 1: spore", ("burst of 1: trio channel",)
    ),
    *[
        Expectation(
            f"ask ({how}) under 1.5 round trips of trio", f"ask: spore, {how}", ("ask: trio channels",), limit=1.5
        )
        for how in ("inline", "queued", "async handler")
    ],
    Expectation("10,000 actors start in under a second", "actors: start 10,000", limit=1_000),
    Expectation("an idle actor takes less than 4 kB", "actors: memory of one", limit=4_000),
]


# tell and send


def tell_cases(handler: str) -> list[Case]:
    kind = {TRIVIAL: TallyActor, REALISTIC: FirstStepActor}[handler]
    bare = f"tell {handler}: bare call"
    return [
        Case(bare, in_trio(bare_call, kind), per=MANY),
        Case(f"tell {handler}: tell", in_trio(tell, kind), per=MANY, baseline=bare),
        Case(
            f"tell {handler}: adds", lambda iterations: trio.run(tell_adds, iterations, kind), per=MANY, baseline=bare
        ),
        Case(f"tell {handler}: tell_many", in_trio(tell_many, kind), per=MANY, baseline=bare),
    ]


@asynccontextmanager
async def bare_call(kind: type[Any]) -> AsyncIterator[Once]:
    handle = kind().handle

    async def once() -> None:
        for message in QUOTES:
            handle(message)

    yield once


@asynccontextmanager
async def tell(kind: type[Any]) -> AsyncIterator[Once]:
    async with spore.open_bundle("bench") as bundle:
        tell = (await bundle.start(kind)).tell

        async def once() -> None:
            for message in QUOTES:
                tell(message)

        yield once


async def tell_adds(iterations: int, kind: type[Any]) -> float:
    async with spore.open_bundle("bench") as bundle:
        tell = (await bundle.start(kind)).tell
        handle = kind().handle

        def less() -> None:
            for message in QUOTES:
                handle(message)

        def more() -> None:
            for message in QUOTES:
                tell(message)

        return difference(iterations, less, more)


@asynccontextmanager
async def tell_many(kind: type[Any]) -> AsyncIterator[Once]:
    async with spore.open_bundle("bench") as bundle:
        tell_many = (await bundle.start(kind)).tell_many
        batch = quotes(BATCH)

        async def once() -> None:
            for _ in range(MANY // BATCH):
                tell_many(batch)

        yield once


def send_cases() -> list[Case]:
    channel = "send: trio channel"
    return [
        Case("send: spore", in_trio(send), per=MANY, baseline=channel),
        Case("send: spore, send_many", in_trio(send_many), per=MANY, baseline=channel),
        Case(channel, in_trio(trio_stream, MANY), per=MANY),
    ]


@asynccontextmanager
async def send() -> AsyncIterator[Once]:
    async with spore.open_bundle("bench") as bundle:
        send = (await bundle.start(TallyActor)).send

        async def once() -> None:
            for message in QUOTES:
                await send(message)

        yield once


@asynccontextmanager
async def send_many() -> AsyncIterator[Once]:
    async with spore.open_bundle("bench") as bundle:
        send_many = (await bundle.start(TallyActor)).send_many
        batch = quotes(BATCH)

        async def once() -> None:
            for _ in range(MANY // BATCH):
                await send_many(batch)

        yield once


# Bursts


def burst_cases(size: int) -> list[Case]:
    group, peer = f"burst of {size:,}", f"burst of {size:,}: asyncio.Queue"
    cases = [
        Case(f"{group}: spore", in_trio(burst, size, CounterActor), per=size, baseline=peer),
        Case(f"{group}: spore, tell_many", in_trio(burst, size, CounterActor, True), per=size, baseline=peer),
        Case(f"{group}: spore, async handler", in_trio(burst, size, AsyncCounterActor), per=size, baseline=peer),
        Case(f"{group}: trio channel", in_trio(trio_burst, size), per=size, baseline=peer),
        Case(peer, in_asyncio(queue_burst, size), per=size),
    ]
    if size in (1, 100):
        cases += [
            Case(f"{group}: Pykka", pykka_burst(size), per=size, baseline=peer),
            Case(f"{group}: xoscar", in_asyncio(xoscar_burst, size), per=size, baseline=peer),
        ]
    return cases


@asynccontextmanager
async def burst(size: int, kind: type[Any], whole: bool = False) -> AsyncIterator[Once]:
    latch = Latch()
    async with spore.open_bundle("bench", dispatch=QUEUED) as bundle:
        ref = await bundle.start(kind, every=size, done=latch.open)
        tell, tell_many = ref.tell, ref.tell_many
        messages = quotes(size)

        async def once() -> None:
            if whole:
                tell_many(messages)
            else:
                for message in messages:
                    tell(message)
            await latch.wait()

        yield once


# Ask


def ask_cases() -> list[Case]:
    channels = "ask: trio channels"
    return [
        Case("ask: spore, inline", in_trio(ask, CounterActor, INLINE), baseline=channels),
        Case("ask: spore, queued", in_trio(ask, CounterActor, QUEUED), baseline=channels),
        Case("ask: spore, async handler", in_trio(ask, AsyncCounterActor, INLINE), baseline=channels),
        Case(channels, in_trio(trio_round_trip)),
        Case("ask: Pykka", pykka_ask, baseline=channels),
        Case("ask: xoscar", in_asyncio(xoscar_ask), baseline=channels),
    ]


@asynccontextmanager
async def ask(kind: type[Any], dispatch: str) -> AsyncIterator[Once]:
    (message,) = quotes(1)
    async with spore.open_bundle("bench", dispatch=dispatch) as bundle:
        ref = await bundle.start(kind, every=-1, done=int)
        yield lambda: ref.ask(message)


# Chains and fan-out


def chain_cases(length: int) -> list[Case]:
    group, per = f"chain of {length}", BATCH * length
    baseline = f"{group}: trio channels"
    return [
        Case(f"{group}: inline", in_trio(chain, length, INLINE), per=per, baseline=baseline),
        Case(f"{group}: queued", in_trio(chain, length, QUEUED), per=per, baseline=baseline),
        Case(baseline, in_trio(trio_chain, BATCH, length), per=per),
    ]


@asynccontextmanager
async def chain(length: int, dispatch: str) -> AsyncIterator[Once]:
    latch = Latch()
    async with spore.open_bundle("bench", dispatch=dispatch) as bundle:
        ref = await bundle.start(CounterActor, every=BATCH, done=latch.open)
        for _ in range(length - 1):
            ref = await bundle.start(ForwardActor, out=ref)
        yield _telling(ref, latch)


def fan_out_cases() -> list[Case]:
    group, per = f"fan-out to {RECEIVERS}", BATCH * RECEIVERS
    baseline = f"{group}: trio channels"
    return [
        Case(f"{group}: inline", in_trio(fan_out, INLINE), per=per, baseline=baseline),
        Case(f"{group}: queued", in_trio(fan_out, QUEUED), per=per, baseline=baseline),
        Case(baseline, in_trio(trio_fan_out, BATCH, RECEIVERS), per=per),
    ]


@asynccontextmanager
async def fan_out(dispatch: str) -> AsyncIterator[Once]:
    latch = Latch()
    async with spore.open_bundle("bench", dispatch=dispatch) as bundle:
        out = [await bundle.start(CounterActor) for _ in range(RECEIVERS - 1)]
        out.append(await bundle.start(CounterActor, every=BATCH, done=latch.open))  # the last to be told, and to handle
        yield _telling(await bundle.start(ForwardActor, out=out), latch)


def _telling(ref: spore.ActorRef[Any], latch: Latch) -> Once:
    messages = quotes(BATCH)

    async def once() -> None:
        for message in messages:
            ref.tell(message)
        await latch.wait()

    return once


# Many actors


def start_actors(iterations: int) -> float:
    """Milliseconds, with the garbage collector on, as it would be."""
    return sum(trio.run(_start_actors) for _ in range(iterations)) / iterations


async def _start_actors() -> float:
    async with spore.open_bundle("bench") as bundle:
        gc.enable()
        began = perf_counter_ns()
        for n in range(ACTORS):
            await bundle.start(TallyActor, name=f"counter {n}")
        took = perf_counter_ns() - began
        gc.disable()
    return took / 1e6


@cache
def _idle_memory() -> float:
    async def traced() -> float:
        async with spore.open_bundle("bench") as bundle:
            await bundle.start(TallyActor)
            tracemalloc.start()
            for n in range(ACTORS):
                await bundle.start(TallyActor, name=f"counter {n}")
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return size / ACTORS

    return trio.run(traced)


def idle_memory(_: int) -> float:
    """Bytes, traced once: they are the same every time."""
    return _idle_memory()


if __name__ == "__main__":
    sys.exit(main())
