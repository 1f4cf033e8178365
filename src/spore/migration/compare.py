"""The comparison: the same input in each mode, in turns, in fresh processes, and what differs.

After a warm-up that is thrown away, each repeat has two runs in each mode: one as fast as messages are handled, for
throughput, CPU and memory, and one at a rate that all carry, for latency: a queue that is full has no latency, only a
length. Every run counts for equality; if one differs, a short beginning of the input is looked for that does so again.

Relayed is what people run: the feed, each actor and the relay have a process each. The recorder, which takes what comes out, is in that of
the feed; what it costs counts, and relayed its messages travel through the relay as the others do. Bundled, all are in one process. Distributed, the engine is in place of the relay: a
real server, which is started for that unless the configuration names one.
"""

from __future__ import annotations

import math
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import trio

import spore
from spore.deploy import Hop, Mode, NodeConfig, SystemConfig
from spore.deploy.run_folder import open_run_folder
from spore.migration.divergence import Divergence, Side, first_divergence
from spore.migration.find_max import FoundMax, find_max
from spore.migration.latency import hop_of
from spore.migration.launch import Measured, launch
from spore.migration.loop import looped, read_whole
from spore.migration.run import ORDERS, SIGNALS, RunJob
from spore.migration.shrink import MAX_PAIRS, shrink
from spore.migration.tap import entries, tapped
from spore.relay.nats_server import open_servers
from spore.services.messages import MarketMessage

__all__ = ["BUNDLED", "DISTRIBUTED", "JUDGED", "MODES", "RATE", "RELAYED", "Comparison", "Repeat", "compare"]

BUNDLED, RELAYED, DISTRIBUTED = "bundled", "relayed", "distributed"
MODES = {BUNDLED: Mode.SHARED_MEMORY, RELAYED: Mode.RELAY, DISTRIBUTED: Mode.DISTRIBUTED}
JUDGED = (BUNDLED, RELAYED)
"""The modes of which the criteria speak. They are always compared."""
RATE = 1_000.0
"""Events a second of the runs for latency."""
MAX_LOAD = 0.5
"""Of what the slower mode can carry, the share that it gets there at the most."""
MAX_MESSAGES = 500_000
"""As many as a run keeps in memory; more only if the feed itself has more."""


@attrs.frozen(kw_only=True)
class Repeat:
    """One turn: of each mode a run for throughput and one for latency."""

    full: Mapping[str, Measured]
    paced: Mapping[str, Measured]


@attrs.frozen(kw_only=True)
class Comparison:
    """What was found."""

    events: int
    """In the feed."""
    loops: int
    """How often a run for throughput played it."""
    rate: float
    """Events a second in the runs for latency."""
    hop: Hop | None
    """Whose latency was measured; None where the pipeline has none of which that could be told."""
    repeats: tuple[Repeat, ...]
    divergence: Divergence | None
    outputs: Mapping[str, Mapping[str, tuple[Any, ...]]]
    """What came out of each mode's first run for throughput: signals, and orders with their reports."""
    sustained: Mapping[str, FoundMax] = attrs.field(factory=dict)
    """The highest rate that each mode sustains; empty if that was not searched."""
    own_server: bool = False
    """Whether the server of the mode ``distributed`` was started for it, so that it counts."""

    @property
    def modes(self) -> tuple[str, ...]:
        """Those that were compared, in the order of `MODES`."""
        return tuple(mode for mode in MODES if mode in self.repeats[0].full)

    @property
    def identical(self) -> bool:
        """Whether all runs over the same input gave the same signals and orders."""
        kinds = ([each.full for each in self.repeats], [each.paced for each in self.repeats])
        return all(len({run.result.digest for runs in kind for run in runs.values()}) == 1 for kind in kinds)

    @property
    def losses(self) -> dict[str, None]:
        """What was lost in any of the runs, other than by an overflow policy: sentences, each once, with the mode before it."""
        return dict.fromkeys(f"{mode}: {loss}" for mode, run in self.runs() for loss in run.result.losses)

    def runs(self) -> list[tuple[str, Measured]]:
        """All runs, each with the name of its mode."""
        return [pair for each in self.repeats for runs in (each.full, each.paced) for pair in runs.items()]


async def compare(
    *specs: str,
    config: SystemConfig,
    modes: Sequence[str] = JUDGED,
    repeat: int = 3,
    seconds: float = 2.0,
    sustained: bool = False,
    watch: Callable[[str, int, int], None] | None = None,
    note: Callable[[str, int, Measured], None] | None = None,
) -> Comparison:
    """Compare modes.

    Args:
        specs: recorded feeds, as `spore.feeds.open_feed` opens them.
        config: the pipeline. Its own feeds and its bundles' modes and nodes are left out; the first node's carrier is that of the mode
            ``distributed``.
        modes: which, of `MODES`, the first two among them.
        repeat: how many turns to measure.
        seconds: how long a run is to last about. A feed that is shorter is played again and again, with its clock moved on; one
            that is longer is played once, and whole.
        sustained: search the highest rate that each mode sustains, too; see `spore.migration.find_max`.
        watch: told what is run next, how many runs have ended, and of how many.
        note: told of each run that counts its mode, its turn, and what it has measured, once it has ended.

    Cancellation: always a checkpoint; what was started is ended.

    Raises:
        ConfigError, UsageError, FeedError: before anything was run.
        RunFailed: if a run has not come to its end.
    """
    modes = tuple(mode for mode in MODES if mode in modes)
    config = attrs.evolve(config, system=f"compare-{secrets.token_hex(8)}")  # whatever else is at that server
    async with AsyncExitStack() as stack:
        servers: tuple[int, ...] = ()
        if DISTRIBUTED in modes and not config.nodes:
            home = stack.enter_context(open_run_folder("nats"))
            started = await stack.enter_async_context(open_servers(home, [0]))
            config = attrs.evolve(config, nodes={"here": NodeConfig(carrier=started.address)})
            servers = tuple(process.pid for process in started.processes)
        entries(config.in_mode(Mode.SHARED_MEMORY))
        for mode in modes:
            tapped(config.in_mode(MODES[mode]))
        events = await read_whole(*specs)
        folder = stack.enter_context(open_run_folder("compare"))
        turns = _Turns(specs, config, modes, servers, events, folder, repeat, seconds, watch, note)
        comparison = await turns.run()
        return attrs.evolve(comparison, sustained=await _sustained(specs, config, modes, watch) if sustained else {})


async def _sustained(
    specs: tuple[str, ...],
    config: SystemConfig,
    modes: tuple[str, ...],
    watch: Callable[[str, int, int], None] | None,
) -> dict[str, FoundMax]:
    found = {}
    for mode in modes:

        def tell(tests: Sequence[object], rate: int, mode: str = mode) -> None:
            if watch is not None:
                watch(f"{mode}, highest rate: {rate:,} a second", len(tests), len(tests) + 1)

        found[mode] = await find_max(*specs, config=config.in_mode(MODES[mode]), mode=mode, watch=tell)
    return found


class _Turns:
    """A comparison at work."""

    def __init__(
        self,
        specs: tuple[str, ...],
        config: SystemConfig,
        modes: tuple[str, ...],
        servers: tuple[int, ...],
        events: list[MarketMessage],
        folder: Path,
        repeat: int,
        seconds: float,
        watch: Callable[[str, int, int], None] | None,
        note: Callable[[str, int, Measured], None] | None,
    ) -> None:
        self._specs = specs
        self._config = config
        self._modes = modes
        self._servers = servers
        """The processes of the engine, where they are ours."""
        self._events = events
        self._folder = folder
        self._repeat = repeat
        self._seconds = seconds
        self._watch = watch
        self._note = note
        self._done = 0
        self._folders: dict[tuple[str, bool, int], Path] = {}

    async def run(self) -> Comparison:
        warm = {mode: await self._run(mode, "warm-up", turn=-1) for mode in self._modes}
        slowest = max(warm.values(), key=lambda run: run.result.seconds).result
        loops = _times(self._seconds / slowest.seconds, len(self._events))
        rate = min(RATE, MAX_LOAD * slowest.messages / slowest.seconds)
        limit = max(1, int(rate * self._seconds))
        hop = hop_of(self._config)
        paced_loops = math.ceil(limit / len(self._events))
        paced: dict[str, Any] = {"rate": rate, "limit": limit, "loops": paced_loops, "hop": hop}
        repeats = []
        for turn in range(self._repeat):
            order = self._modes if turn % 2 == 0 else tuple(reversed(self._modes))
            repeats.append(
                Repeat(
                    full={
                        mode: await self._run(mode, "throughput", turn=turn, loops=loops, tell=mode == BUNDLED)
                        for mode in order
                    },
                    paced={mode: await self._run(mode, "latency", turn=turn, **paced) for mode in order},
                )
            )
        return Comparison(
            events=len(self._events),
            loops=loops,
            rate=rate,
            hop=hop,
            repeats=tuple(repeats),
            divergence=await self._divergence(
                repeats, full={"loops": loops}, paced={"loops": paced_loops, "limit": limit, "rate": rate}
            ),
            own_server=bool(self._servers),
            outputs={mode: _streams(self._folders[mode, False, 0]) for mode in self._modes},
        )

    async def _run(self, mode: str, what: str, *, turn: int, **options: Any) -> Measured:
        total = len(self._modes) * (1 + 2 * self._repeat)
        if self._watch is not None:
            self._watch(f"{mode}, {what}" + (f" {turn + 1} of {self._repeat}" if turn >= 0 else ""), self._done, total)
        folder, measured = await self._launch(mode, **options)
        self._folders[mode, "rate" in options, turn] = folder
        self._done += 1
        if self._note is not None and turn >= 0:
            self._note(mode, turn, measured)
        return measured

    async def _launch(self, mode: str, **options: Any) -> tuple[Path, Measured]:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        job = RunJob(
            path=tuple(entry or str(Path.cwd()) for entry in sys.path),
            feeds=self._specs,
            config=self._config,
            mode=MODES[mode],
            servers=self._servers if mode == DISTRIBUTED else (),
            folder=str(folder),
            **options,
        )
        return folder, await launch(job)

    async def _divergence(
        self, repeats: list[Repeat], *, full: dict[str, Any], paced: dict[str, Any]
    ) -> Divergence | None:
        """The first run that differs from the first bundled one over the same input, where it does, and in how little of it."""
        for is_paced, options in ((False, full), (True, paced)):
            first = (repeats[0].paced if is_paced else repeats[0].full)[BUNDLED].result.digest
            for turn, each in enumerate(repeats):
                for mode, run in (each.paced if is_paced else each.full).items():
                    if run.result.digest != first:
                        messages = looped(self._events, options["loops"])[: options.get("limit")]
                        one, other = self._side(BUNDLED, is_paced, 0), self._side(mode, is_paced, turn)
                        found = first_divergence(one, other, messages)
                        return await self._shrunk(found, messages, options.get("rate")) if found is not None else None
        return None

    async def _shrunk(self, found: Divergence, messages: list[MarketMessage], rate: float | None) -> Divergence:
        async def differs(length: int) -> bool:
            digests = set()

            async def run(mode: str) -> None:
                loops = math.ceil(length / len(self._events))
                _, measured = await self._launch(mode, loops=loops, limit=length, rate=rate)
                digests.add(measured.result.digest)

            async with trio.open_nursery() as nursery:  # only what comes out counts here, not how long it takes
                for mode in self._modes:
                    nursery.start_soon(run, mode)
            return len(digests) > 1

        def watch(length: int, pairs: int) -> None:
            if self._watch is not None:
                self._watch(f"a short input that differs: {length:,} of {len(messages):,} events", pairs, MAX_PAIRS)

        guess = found.position + 1 if found.position is not None else None
        return attrs.evolve(found, prefix=await shrink(messages, differs, guess=guess, watch=watch))

    def _side(self, mode: str, paced: bool, turn: int) -> Side:
        return Side(label=f"{mode}, run {turn + 1}", streams=_streams(self._folders[mode, paced, turn]))


def _times(wanted: float, length: int) -> int:
    return max(1, min(math.ceil(wanted), MAX_MESSAGES // length))


def _streams(folder: Path) -> dict[str, tuple[Any, ...]]:
    """What a run has written."""
    return {"signals": _messages(folder / SIGNALS), "orders": _messages(folder / ORDERS)}


def _messages(path: Path) -> tuple[Any, ...]:
    decoder = spore.codec.Decoder()
    decoder.feed(path.read_bytes())
    found = tuple(item for frame in decoder for item in frame.items)
    decoder.end()
    return found
