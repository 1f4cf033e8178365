"""``spore replay``: a feed through a pipeline once, and what came out of it."""

from __future__ import annotations

import json as jsonlib
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import trio
from cyclopts import Parameter
from rich.table import Table

from spore.cli.check import import_beside
from spore.cli.console import output_console
from spore.cli.files import open_recording
from spore.cli.modules import Modules, load_messages
from spore.cli.progress import LateProgress
from spore.deploy import Mode, SystemConfig, load_config
from spore.deploy.kinds import find_kind
from spore.errors import UsageError
from spore.feeds import Feed
from spore.migration import Played, digest, play
from spore.samples import PIPELINE
from spore.services import line_of

__all__ = ["MODES", "pipeline", "replay"]

MODES = {"bundled": Mode.SHARED_MEMORY, "relayed": Mode.RELAY}
LOST = 1
"""The exit code where messages were lost."""
PARTS = 1_000
"""In which the progress bar moves."""


def replay(
    *feeds: Annotated[str, Parameter(name="FEED")],
    config: Path | None = None,
    mode: Literal["bundled", "relayed"] | None = None,
    signals: Path | None = None,
    orders: Path | None = None,
    all_opportunities: bool = False,
    module: Modules | None = None,
    force: bool = False,
    json: bool = False,
) -> int:
    """Play feeds through a pipeline once, and sum up what came out: signals, orders, and a digest of each.

    The same feeds give the same digests in every mode and in every run. Files appear when everything is in them; at an error
    or Ctrl-C there are none. If messages were lost other than by an overflow policy, stderr names each actor that lost some. Only a live
    feed, which has no end, is played until Ctrl-C, SIGTERM or an error of its own, and what came by then counts.

    Exit codes: 0 played · 1 messages were lost · 2 bad input or configuration, or the feed has failed, also where what came before was
    played · 130 interrupted.

    Examples: `spore replay sample` plays the recorded session that comes with Spore; `spore replay evm-logs:logs.jsonl.gz --mode relayed
    --signals signals.jsonl` another one, with a process for each actor.

    Exit codes: 0 every message was handled, or given up by an overflow policy · 1 messages were lost · 2 bad input or configuration ·
    130 interrupted.

    Parameters
    ----------
    feeds
        What to play: sample, evm-logs:FILE, binance:FILE,FILE, jsonrpc:ws://HOST:PORT, sim:seed=1,events=100000 or FILE.frames. Several recorded
        ones are merged by event time.
    config
        The pipeline; by default the reference one: market data, signal generator, paper execution.
    mode
        Run all actors in this process (bundled), or each in one of its own (relayed); by default as the configuration says.
    signals
        Write the signals to this file, as JSON, one a line.
    orders
        Write the orders and their reports to this file, as JSON, one a line.
    all_opportunities
        Tell every direction that pays, before the thresholds in USD; orders are only for those that pass.
    force
        Replace files that are there.
    json
        Print the summary as JSON.
    """
    chosen = pipeline(config, module, all_opportunities=all_opportunities)
    if signals and orders and signals.resolve() == orders.resolve():
        raise UsageError(f"--signals and --orders both name {signals}; give each a file of its own")
    with ExitStack() as stack:
        # Opened first, so that nothing is played for a file that cannot be written.
        files = [stack.enter_context(open_recording(to, overwrite=force)) if to else None for to in (signals, orders)]
        played = trio.run(_play, feeds, chosen, MODES.get(mode or ""))
        for file, messages in zip(files, _written(played), strict=True):
            if file is not None:
                file.writelines(_lines(messages))
    facts = _facts(played, mode)
    if json:
        print(jsonlib.dumps(facts))
    else:
        _show(facts)
    for finding in played.findings:
        print(f"spore: {finding}", file=sys.stderr)
    if played.failure is not None:
        raise played.failure
    return 0 if played.whole else LOST


def pipeline(config: Path | None, modules: list[str] | None = None, *, all_opportunities: bool = False) -> SystemConfig:
    """The configuration in a file, whose modules may be in the folder one stands in, or the reference pipeline's; with more
    modules for every process to import.

    Raises:
        ConfigError: with every problem of the file.
        UsageError: if a module cannot be imported.
    """
    load_messages(modules or [])
    if config is not None:
        import_beside(config)
    loaded = load_config(config or PIPELINE)
    loaded = attrs.evolve(loaded, modules=tuple(dict.fromkeys((*loaded.modules, *(modules or ())))))
    return _with_all(loaded) if all_opportunities else loaded


def _with_all(config: SystemConfig) -> SystemConfig:
    bundles = []
    for bundle in config.bundles:
        actors = {
            name: attrs.evolve(actor, config={**actor.config, "all_opportunities": True})
            if "all_opportunities" in find_kind(actor.type).keys
            else actor
            for name, actor in bundle.actors.items()
        }
        bundles.append(attrs.evolve(bundle, actors=actors))
    return attrs.evolve(config, bundles=tuple(bundles))


async def _play(feeds: tuple[str, ...], config: SystemConfig, mode: Mode | None) -> Played:
    reading = trio.CancelScope()
    live = False
    shown = 0
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        LateProgress("replaying", PARTS, in_bytes=False) as progress,
    ):

        def watch(feed: Feed, sent: int) -> None:
            nonlocal live, shown
            live = feed.progress is None
            done = sent if live else int((feed.progress or 0) * PARTS)
            progress.advance(done - shown)
            shown = done

        async with trio.open_nursery() as nursery:

            async def stop_at_a_signal() -> None:
                async for _ in signals:
                    if not live or reading.cancel_called:
                        raise KeyboardInterrupt  # a part of a recording is not what was asked for
                    reading.cancel()

            nursery.start_soon(stop_at_a_signal)
            played = await play(*feeds, config=config, mode=mode, watch=watch, reading=reading)
            nursery.cancel_scope.cancel()
    return played


def _written(played: Played) -> tuple[Iterable[Any], Iterable[Any]]:
    return played.recording.signals, played.recording.executed()


def _lines(messages: Iterable[Any]) -> Iterable[bytes]:
    return (f"{jsonlib.dumps(line_of(message))}\n".encode() for message in messages)


def _facts(played: Played, mode: str | None) -> dict[str, Any]:
    recording, account = played.recording, played.account
    return {
        "mode": mode or "as configured",
        "processes": played.processes,
        "feed": {"read": account.read, "used": account.used, "skipped": account.skipped},
        "messages": played.messages,
        "lost": played.lost,
        "findings": [str(finding) for finding in played.findings],
        "skipped": {name: dict(sorted(found.items())) for name, found in _skipped(played)},
        "signals": dict(sorted(Counter(line_of(each)["kind"] for each in recording.signals).items())),
        "orders": len(recording.orders),
        "reports": dict(sorted(Counter(report.status.name.lower() for report in recording.reports).items())),
        "digest": {"signals": digest(recording.signals), "orders": digest(recording.executed())},
        "seconds": round(played.seconds, 3),
        "messages_per_second": round(played.messages / played.seconds),
    }


def _skipped(played: Played) -> Iterable[tuple[str, Mapping[str, int]]]:
    """What actors handled and did not use, by their names."""
    bundles = [unit.bundle for unit in played.statistics.units.values() if unit.bundle is not None]
    return ((name, actor.skipped) for bundle in bundles for name, actor in bundle.actors.items() if actor.skipped)


def _show(facts: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    feed = facts["feed"]
    processes = facts["processes"]
    table.add_row("mode", f"{facts['mode']}, {processes} process{'' if processes == 1 else 'es'}")
    table.add_row("read", f"{feed['read']:,}, of which {feed['used']:,} were used")
    for reason, count in feed["skipped"].items():
        table.add_row("", f"{count:,} {reason}")
    rate = f"{facts['messages']:,} in {facts['seconds']:.2f} s ({facts['messages_per_second']:,} a second)"
    table.add_row("messages", f"{rate}, {facts['lost']:,} lost")
    for name, found in facts["skipped"].items():
        for reason, count in found.items():
            table.add_row("", f"{name} skipped {count:,}: {reason}")
    table.add_row("signals", _counted(facts["signals"]))
    table.add_row("orders", f"{facts['orders']:,}")
    table.add_row("reports", _counted(facts["reports"]))
    table.add_row("sha256 signals", facts["digest"]["signals"])
    table.add_row("sha256 orders", facts["digest"]["orders"])
    output_console().print(table)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "none"
