"""The result of a comparison as one table, with what each line has to be, or the first difference, field by field."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spore.cli.narrow import Fitting
from spore.migration.compare import BUNDLED, DISTRIBUTED, JUDGED, RELAYED, Comparison
from spore.migration.divergence import Divergence, parts
from spore.migration.interval import CONFIDENCE_PERCENT, Spread
from spore.migration.report import Criterion
from spore.migration.units import unit_of
from spore.migration.verdict import ModeMeasures, Verdict

__all__ = ["show"]

NONE = "–"
CRITERIA = {
    "bundled_message_ns": "what tell adds to a call",
    "latency_reduction_percent": "latency",
    "throughput_increase_percent": "events a second",
    "cpu_reduction_percent": "CPU",
    "memory_increase_percent": "peak memory",
    "identical_signals": "identical signals and orders",
    "zero_serialisation": "no message encoded when bundled",
    "messages_lost": "no message lost",
}
"""What the criteria are called in a sentence."""
PERCENTILES = (("mean", "mean"), ("p50", "median"), ("p99", "99 %"), ("p999", "99.9 %"))


def show(comparison: Comparison, verdict: Verdict, console: Console, *, feed: str) -> None:
    """Print a comparison."""
    if comparison.divergence is not None:
        _show_divergence(comparison.divergence, console)
    console.print(Fitting(_table(comparison, verdict, feed)))
    unmet = [
        f"{CRITERIA[name]} (within noise)" if each.within_noise else CRITERIA[name]
        for name, each in verdict.criteria.items()
        if not each.met
    ]
    first = comparison.repeats[0].full[BUNDLED].result
    if not verdict.identical:
        same = "[red]signals or orders differ[/]"
    elif first.signals or first.orders:
        same = "[green]identical[/] signals and orders"
    else:
        same = "[yellow]no signal and no order[/] came out, so there was nothing that could differ,"
    met = "all criteria met" if not unmet else f"[yellow]not met: {', '.join(unmet)}[/]"
    console.print(f"{same} in {len(comparison.runs())} runs · {met}", highlight=False)
    console.print(_how(comparison, verdict), style="dim", highlight=False)


def _how(comparison: Comparison, verdict: Verdict) -> str:
    """How it was measured, and so what the numbers mean."""
    hop, repeats, bundled = comparison.hop, len(comparison.repeats), verdict.modes[BUNDLED]
    said = [
        f"Each mode was run {'once' if repeats == 1 else f'{repeats} times'} for throughput, CPU and memory, as fast as it could, and as "
        f"often for latency, at {comparison.rate:,.0f} events a second; in fresh processes, of which all count: relayed, of the feed, each "
        f"actor and the relay; bundled, one of all{_engine(comparison)}. The recorder of what comes out is with the feed, and counts in both."
    ]
    if bundled.signals_timed:
        said.append(
            f"Event → signal: from the moment when an event is handed in to the start of the handler of who records signals; of "
            f"the {bundled.signals_timed:,} signals that came of it."
        )
    if hop is not None:
        said.append(
            f"Hop: from the sending in {hop.sender} to the start of the handler of {hop.receiver}; of {bundled.messages_timed:,} messages."
        )
    said.append(
        "One repeat has no interval."
        if repeats == 1
        else f"Values are geometric means over the repeats; in brackets the {CONFIDENCE_PERCENT} % interval of what is judged (Student's "
        f"t, on the log ratios of the pairs). Within noise: the target lies in it."
    )
    return " ".join(said)


def _engine(comparison: Comparison) -> str:
    """What counts in the third mode."""
    if DISTRIBUTED not in comparison.modes:
        return ""
    server = ", and the NATS server" if comparison.own_server else ", but not the server that the configuration names"
    return f"; distributed, of the feed and each actor{server}"


def _table(comparison: Comparison, verdict: Verdict, feed: str) -> Table:
    names = (*(mode for mode in comparison.modes if mode not in JUDGED), RELAYED, BUNDLED)
    modes = [verdict.modes[name] for name in names]
    judged = verdict.criteria
    times = f", played {comparison.loops} times in a row" if comparison.loops > 1 else ""
    title = f"{escape(feed)}: {comparison.events:,} events{times}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("change")
    table.add_column("criterion")

    def row(name: str, cells: Iterable[str], change: str = "", criterion: str = "", target: str = "") -> None:
        verdict = _verdict(judged[criterion], target) if criterion else ""
        table.add_row(name, *cells, change, verdict)

    row("processes", [str(mode.processes) for mode in modes])
    digests = [f"{verdict.digest[name][:8]}…" for name in names]
    first = [comparison.repeats[0].full[name].result for name in names]
    row("signals", [f"{run.signals:,}" for run in first])
    row("orders and reports", [f"{run.orders:,}" for run in first])
    row("all of them", digests, "same SHA-256" if verdict.identical else "", "identical_signals", "identical")
    row("messages lost", [f"{mode.lost:,}" for mode in modes], "", "messages_lost", "none")
    for name, end_to_end in (("event → signal", True), ("hop", False)):
        found = [_latency(mode, end_to_end) for mode in modes]
        for key, said in PERCENTILES:
            label = f"{name}, {said}" if key == "mean" else f"{'':{len(name) + 1}} {said}"
            cells = [_time(each.get(key)) for each in found]
            if key == "mean" and end_to_end is verdict.end_to_end:
                change = _change(judged["latency_reduction_percent"], "lower", "higher")
                row(label, cells, change, "latency_reduction_percent", "≥ 50 % lower")
            elif all(found):
                row(label, cells)
    tell = judged["bundled_message_ns"]
    nones = [NONE] * (len(names) - 1)
    row("tell adds to a call", [*nones, _time(_spread(tell))], _ends(tell, " ns"), "bundled_message_ns", "< 100 ns")
    row(
        "events a second",
        [_number(mode.messages_per_second) for mode in modes],
        _change(judged["throughput_increase_percent"], "more", "less"),
        "throughput_increase_percent",
        "> 50 % more",
    )
    if comparison.sustained:
        row("sustained, events a second", [_sustained(mode) for mode in modes])
    row(
        "CPU s a million events",
        [_number(mode.cpu_seconds_per_million, 1) for mode in modes],
        _change(judged["cpu_reduction_percent"], "lower", "higher"),
        "cpu_reduction_percent",
        "> 30 % lower",
    )
    row(f"CPU at {comparison.rate:,.0f} events/s", [f"{_number(mode.paced_cpu_percent, 1)} %" for mode in modes])
    row(
        "peak memory, MB",
        [_number(mode.peak_memory_bytes, scale=1e6) for mode in modes],
        _change(judged["memory_increase_percent"], "more", "less"),
        "memory_increase_percent",
        "< 10 % more",
    )
    encoded = [_number(mode.encoded_messages) for mode in modes]
    row("messages encoded", encoded, "", "zero_serialisation", "none bundled")
    row("MB encoded", [_number(mode.encoded_bytes, 1, 1e6) for mode in modes])
    return table


def _sustained(measures: ModeMeasures) -> str:
    return f"{measures.sustained_rate:,}" if measures.sustained_rate is not None else "none"


def _latency(measures: ModeMeasures, end_to_end: bool) -> dict[str, Spread]:
    return measures.event_latency_ns if end_to_end else measures.latency_ns


def _show_divergence(found: Divergence, console: Console) -> None:
    console.print(
        f"The first difference: number {found.index + 1:,} of the {found.stream}, {found.kind}", highlight=False
    )
    table = Table()
    table.add_column("field")
    table.add_column(found.left, overflow="fold")
    table.add_column(found.right, overflow="fold")
    for each in found.fields:
        table.add_row(each.path or "the whole message", escape(each.left), escape(each.right))
    console.print(table)
    if found.event is not None:
        console.print(f"The event behind it: {type(found.event).__name__}")
        for name, value in parts(found.event):
            console.print(f"  {name} = {escape(value)}", highlight=False)
    for line in found.prefix.sentences() if found.prefix is not None else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _verdict(criterion: Criterion, target: str) -> str:
    noise = "\n  [yellow]within noise[/]" if criterion.within_noise else ""
    return f"[green]✓[/] {target}{noise}" if criterion.met else f"[red]✗[/] {target}{noise}"


def _change(criterion: Criterion, above: str, below: str) -> str:
    if criterion.value is None:
        return "not measured"
    return f"{abs(criterion.value):,.1f} % {above if criterion.value >= 0 else below} {_ends(criterion)}".rstrip()


def _ends(criterion: Criterion, unit: str = "") -> str:
    if criterion.low is None or criterion.high is None or criterion.low == criterion.high:
        return ""
    low, high = criterion.low, criterion.high
    if low < 0 and high < 0:  # the word beside it says the direction
        low, high = -high, -low
    digits = 1 if max(abs(low), abs(high)) < 1_000 else 0
    return f"({low:,.{digits}f} to {high:,.{digits}f}{unit})"


def _spread(criterion: Criterion) -> Spread | None:
    if criterion.value is None or criterion.low is None or criterion.high is None:
        return None
    return Spread(criterion.value, criterion.low, criterion.high)


def _time(found: Spread | None) -> str:
    """Nanoseconds in the unit that suits them."""
    if found is None:
        return NONE
    scale, unit = unit_of(found.value)
    return f"{_number(found, 0 if found.value / scale >= 10 else 1, scale)} {unit}"


def _number(found: Spread, digits: int = 0, scale: float = 1) -> str:
    return f"{found.value / scale:,.{digits}f}"
