"""The result of a comparison as one table, with what each line has to be, or the first difference, field by field."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spore.cli.prefix import prefix_lines
from spore.migration.compare import BUNDLED, RELAYED, Comparison
from spore.migration.divergence import Divergence, parts
from spore.migration.report import Criterion, Spread
from spore.migration.verdict import Verdict

__all__ = ["show"]

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))
NONE = "–"


def show(comparison: Comparison, verdict: Verdict, console: Console, *, feed: str) -> None:
    """Print a comparison."""
    if comparison.divergence is not None:
        _show_divergence(comparison.divergence, console)
    console.print(_table(comparison, verdict, feed))
    unmet = [name for name, each in verdict.criteria.items() if not each.met]
    same = "[green]identical[/] signals and orders" if verdict.identical else "[red]signals or orders differ[/]"
    met = "all criteria met" if not unmet else f"[yellow]not met: {', '.join(unmet)}[/]"
    console.print(f"{same} in {len(comparison.runs())} runs · {met}", highlight=False)
    console.print(_how(comparison), style="dim", highlight=False)


def _how(comparison: Comparison) -> str:
    hop = comparison.hop
    repeats = "once" if len(comparison.repeats) == 1 else f"{len(comparison.repeats)} times"
    medians = "" if len(comparison.repeats) == 1 else " Values are medians; in brackets the lowest and the highest."
    latency = (
        f" Latency: from the sending in {hop.sender} to the start of the handler of {hop.receiver}, at "
        f"{comparison.rate:,.0f} events a second."
        if hop is not None
        else ""
    )
    return (
        f"Each mode was run {repeats} for throughput, CPU and memory, as fast as it could, and as often for latency; in fresh "
        f"processes, of which all count.{latency}{medians}"
    )


def _table(comparison: Comparison, verdict: Verdict, feed: str) -> Table:
    before, after, judged = verdict.modes[RELAYED], verdict.modes[BUNDLED], verdict.criteria
    times = f", played {comparison.loops} times in a row" if comparison.loops > 1 else ""
    title = f"{escape(feed)}: {comparison.events:,} events{times}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("relayed", justify="right")
    table.add_column("bundled", justify="right")
    table.add_column("change")
    table.add_column("criterion")

    def row(name: str, relayed: str, bundled: str, change: str = "", criterion: str = "", target: str = "") -> None:
        verdict = _verdict(judged[criterion], target) if criterion else ""
        table.add_row(name, relayed, bundled, change, verdict)

    row("processes", str(before.processes), str(after.processes))
    digests = [f"{verdict.digest[mode][:8]}…" for mode in (RELAYED, BUNDLED)]
    row(
        "signals and orders",
        digests[0],
        digests[1],
        "same SHA-256" if verdict.identical else "",
        "identical_signals",
        "identical",
    )
    row("messages lost", f"{before.lost:,}", f"{after.lost:,}", "", "messages_lost", "none")
    change = _change(judged["latency_reduction_percent"], "lower", "higher")
    for name, said in (("mean", "mean"), ("p50", "median"), ("p99", "99 %"), ("p999", "99.9 %")):
        relayed, bundled = (_time(mode.latency_ns.get(name)) for mode in (before, after))
        if name == "mean":
            row(f"latency, {said}", relayed, bundled, change, "latency_reduction_percent", "≥ 50 % lower")
        else:
            row(f"         {said}", relayed, bundled)
    tell = judged["bundled_message_ns"]
    row("tell adds to a call", NONE, _time(_spread(tell)), _ends(tell, " ns"), "bundled_message_ns", "< 100 ns")
    row(
        "events a second",
        _number(before.messages_per_second),
        _number(after.messages_per_second),
        _change(judged["throughput_increase_percent"], "more", "less"),
        "throughput_increase_percent",
        "> 50 % more",
    )
    row(
        "CPU s a million events",
        _number(before.cpu_seconds_per_million, 1),
        _number(after.cpu_seconds_per_million, 1),
        _change(judged["cpu_reduction_percent"], "lower", "higher"),
        "cpu_reduction_percent",
        "> 30 % lower",
    )
    row(
        "peak memory, MB",
        _number(before.peak_memory_bytes, scale=1e6),
        _number(after.peak_memory_bytes, scale=1e6),
        _change(judged["memory_increase_percent"], "more", "less"),
        "memory_increase_percent",
        "< 10 % more",
    )
    relayed, bundled = (_number(mode.encoded_messages) for mode in (before, after))
    row("messages encoded", relayed, bundled, "", "zero_serialisation", "none bundled")
    row("MB encoded", _number(before.encoded_bytes, 1, 1e6), _number(after.encoded_bytes, 1, 1e6))
    return table


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
    for line in prefix_lines(found.prefix) if found.prefix is not None else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _verdict(criterion: Criterion, target: str) -> str:
    return f"[green]✓[/] {target}" if criterion.met else f"[red]✗[/] {target}"


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
    return f"({low:,.1f}–{high:,.1f}{unit})"


def _spread(criterion: Criterion) -> Spread | None:
    if criterion.value is None or criterion.low is None or criterion.high is None:
        return None
    return Spread(criterion.value, criterion.low, criterion.high)


def _time(found: Spread | None) -> str:
    """Nanoseconds in the unit that suits them."""
    if found is None:
        return NONE
    scale, unit = next(((scale, unit) for scale, unit in UNITS if found.value >= scale), UNITS[-1])
    return f"{_number(found, 0 if found.value / scale >= 10 else 1, scale)} {unit}"


def _number(found: Spread, digits: int = 0, scale: float = 1) -> str:
    return f"{found.value / scale:,.{digits}f}"
