"""``spore compare``: the same input in each mode; whether the results are identical, and what bundling saves."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter

from spore.cli.compare_page import page_maker
from spore.cli.compare_table import show
from spore.cli.console import kept_in, output_console
from spore.cli.files import open_recording
from spore.cli.modules import Modules
from spore.cli.prefix import keep_prefix
from spore.cli.progress import LateProgress
from spore.cli.replay import pipeline
from spore.deploy.strict import among
from spore.errors import UsageError
from spore.migration.compare import JUDGED, MODES
from spore.migration.compare import compare as compare_modes
from spore.migration.launch import Measured
from spore.migration.told import measured_facts
from spore.migration.verdict import verdict_of
from spore.observe.records import keep_record
from spore.services import line_of

__all__ = ["DIFFERENT", "UNMET", "compare"]

DIFFERENT = 1
"""The exit code where signals or orders differ, or something was lost."""
UNMET = 3
"""The exit code where a criterion is not met, and all are required."""
WIDTH = 100
"""Of the table in columns, where no terminal says how many there are."""


def compare(
    config: Path | None = None,
    *,
    feed: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = ("sample",),
    modes: str = ",".join(JUDGED),
    repeat: int = 3,
    seconds: float = 2.0,
    json: Path | None = None,
    html: Path | None = None,
    signals: Path | None = None,
    find_max: bool = False,
    require_criteria: bool = False,
    module: Modules | None = None,
    force: bool = False,
) -> int:
    """Run the same input through a pipeline bundled and relayed, in turns, and say what differs.

    Bundled, all actors share one process and hand messages over by reference. Relayed, each has a process of its own, as the relay has,
    and messages are encoded. Distributed, if that is asked for, they go from process to process through a NATS server. The signals and orders
    must be identical; a difference is shown field by field, with the event behind it, and
    a short beginning of the input that shows it is looked for and kept beside the signals, or else here, as difference-….frames, which
    is a feed. Then the table says what each mode takes: means over the repeats, with 95 % intervals of what is judged. All runs are in
    fresh processes.

    Exit codes: 0 identical, and nothing lost · 1 signals or orders differ, or messages were lost other than by an overflow policy · 2 bad input or configuration · 3 criteria unmet, with --require-criteria.

    Examples: `spore compare` takes under a minute with the recorded session that comes with Spore; `spore compare pipeline.toml --feed
    evm-logs:logs.jsonl.gz --json result.json --html result.html`.

    Parameters
    ----------
    config
        The pipeline; by default the reference one: market data, signal generator, paper execution.
    feed
        What to play, recorded: sample, evm-logs:FILE, binance:FILE,FILE, sim:seed=1,events=100000 or FILE.frames. Given several
        times, they are merged by event time.
    modes
        Which modes, separated by commas: bundled and relayed, of which the criteria speak, and distributed. That needs the extra nats, and
        starts a server for itself, unless the configuration names one in [nodes].
    repeat
        How many times to measure each mode, after a warm-up.
    seconds
        How long a run lasts about. A feed that is shorter is played again and again, with its clock moved on.
    json
        Write the result to this file.
    html
        Write the result to this file as a page, with charts and with how all of it was measured. It needs no network.
    signals
        Write what came out of each mode to this folder, as JSON, one a line.
    find_max
        Search the highest rate that each mode sustains, too, as spore loadtest --find-max does. It takes some minutes.
    require_criteria
        Exit with 3 unless every criterion is met.
    force
        Replace files that are there.
    """
    if repeat < 1:
        raise UsageError(f"--repeat is 1 or more, not {repeat}")
    if not 0 < seconds <= 3_600:
        raise UsageError(f"--seconds is more than 0 and at most 3600, not {seconds:g}")
    if html is not None and html == json:
        raise UsageError(f"--json and --html both say {html}; give each a file of its own")
    chosen, compared = pipeline(config, module), _modes(modes)
    make_page = (
        page_maker(config, feed=feed, modes=compared, repeat=repeat, seconds=seconds) if html is not None else None
    )
    facts = {"feed": " + ".join(feed), "config": str(config) if config is not None else None}
    with ExitStack() as stack:
        # Opened first, so that nothing is run for a file that cannot be written.
        file = stack.enter_context(open_recording(json, overwrite=force)) if json is not None else None
        page = stack.enter_context(open_recording(html, overwrite=force)) if html is not None else None
        outputs = {}
        if signals is not None:
            signals.mkdir(parents=True, exist_ok=True)
            for mode in compared:
                for stream in ("signals", "orders"):
                    to = signals / f"{mode}-{stream}.jsonl"
                    outputs[mode, stream] = stack.enter_context(open_recording(to, overwrite=force))
        record = stack.enter_context(keep_record("compare", **facts, repeat=repeat, seconds=seconds))
        with LateProgress("comparing", None, in_bytes=False) as progress:

            def watch(what: str, done: int, total: int) -> None:
                progress.reach(done, total=total, what=what)
                record.tell("progress", what=what, done=done, total=total)

            def note(mode: str, turn: int, measured: Measured) -> None:
                record.tell("measured", **measured_facts(mode, turn, measured))

            play = partial(
                compare_modes,
                config=chosen,
                modes=compared,
                repeat=repeat,
                seconds=seconds,
                sustained=find_max,
                watch=watch,
                note=note,
            )
            comparison = trio.run(play, *feed)
        comparison = keep_prefix(comparison, signals or Path())
        verdict = verdict_of(comparison)
        record.tell("end", **verdict.plain(comparison))
        if file is not None:
            file.write(jsonlib.dumps(verdict.plain(comparison), indent=2).encode() + b"\n")
        if page is not None and make_page is not None:
            page.write(make_page(comparison, verdict))
        for (mode, stream), output in outputs.items():
            output.writelines(f"{jsonlib.dumps(line_of(each))}\n".encode() for each in comparison.outputs[mode][stream])
    console = output_console(width=WIDTH)
    with kept_in(json, html, record.path):
        show(comparison, verdict, console, feed=" + ".join(feed))
        if html is not None:
            link = f"Open the report in a browser: {html.absolute().as_uri()}"
            console.print(link, markup=False, highlight=False, soft_wrap=True)
        sys.stdout.flush()
    for loss in comparison.losses:
        print(f"spore: {loss}", file=sys.stderr)
    if not verdict.identical or comparison.losses:
        return DIFFERENT
    return UNMET if require_criteria and not verdict.all_met else 0


def _modes(text: str) -> tuple[str, ...]:
    """The modes that are named, in the order of `MODES`."""
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in MODES:
            raise UsageError(f"--modes: there is no mode {name!r}; {among(name, MODES)}")
    for name in JUDGED:
        if name not in named:
            raise UsageError(f"--modes: {name} is missing: the criteria are of {' and '.join(JUDGED)}")
    return tuple(mode for mode in MODES if mode in named)
