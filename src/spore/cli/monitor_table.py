"""A look at a running system as a table with a line an actor, and the verdict in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spore.cli.narrow import Fitting
from spore.deploy import SystemConfig
from spore.deploy.truth import Finding
from spore.migration.health import ActorHealth, Health
from spore.nursery_bundle.letters import MEANT

__all__ = ["shown_time", "table", "verdict"]

NONE = "–"
MOST = 20
"""Lines of one list."""


def table(health: Health) -> Group:
    """All actors, what is not healthy in red, and below them what is of no single actor."""
    bad = {excess.where for excess in health.excesses} | {finding.where for finding in health.findings}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("actor", no_wrap=True)
    for name in ("messages/s", "waiting", "handling", "queue", "lost", "restarts"):
        table.add_column(name, justify="right", no_wrap=True)
    bundle = None
    for actor in health.actors:
        if actor.bundle != bundle:
            bundle = actor.bundle
            table.add_section()
            table.add_row(escape(bundle), actor.mode, style="bold")
        table.add_row(*map(escape, _row(actor)), style="red" if f"actor {actor.name!r}" in bad else "")
    return Group(Fitting(table), Text(_rest(health)))


def _row(actor: ActorHealth) -> Iterator[str]:
    yield f"  {actor.name}" if actor.state == "running" else f"  {actor.name} ({actor.state})"
    yield f"{actor.per_second:,.0f}"
    yield shown_time(actor.waiting_us)
    yield shown_time(actor.handling_us)
    yield f"{actor.queued:,}/{actor.capacity:,}"
    yield f"{sum(actor.lost.values()):,}"
    yield f"{actor.restarts:,}"


def _rest(health: Health) -> str:
    lines = [
        f"{actor.name} has lost " + ", ".join(f"{count:,} {_reason(reason)}" for reason, count in actor.lost.items())
        for actor in health.actors
        if actor.lost
    ]
    lines += [f"processes restarted: {health.restarts:,} · dead letters: {health.dead_letters:,}"]
    lines += [
        f"shadow of {shadow.bundle}: {shadow.compared:,} compared, {shadow.different:,} different, {shadow.skipped:,} skipped; "
        + shadow.state
        + (f": {shadow.reason}" if shadow.reason else "")
        for shadow in health.shadows
    ]
    return "\n".join(lines)


def verdict(health: Health, config: SystemConfig, source: Path) -> Iterator[str]:
    """What it comes to, what had happened before, and what a person might not expect."""
    running = {actor.bundle: actor.mode for actor in health.actors}
    for bundle in config.bundles:
        mode = running.get(bundle.name)
        if mode is not None and mode != bundle.mode:
            yield f"bundle {bundle.name!r} runs in {mode}, and {source} says {bundle.mode}"
    yield from _listed("before the first look:", health.before)
    yield from _listed("to be known:", health.notes)
    if health.healthy:
        yield "healthy"
        return
    yield "not healthy:"
    for each in (*health.excesses, *health.findings):
        yield f"  {each}"


def _listed(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield title
        yield from (f"  {finding}" for finding in findings[:MOST])
        if len(findings) > MOST:
            yield f"  … and {len(findings) - MOST:,} more"


def _reason(reason: str) -> str:
    words = reason.replace("_", " ")
    return f"{words} (meant)" if reason in MEANT else words


def shown_time(us: float | None) -> str:
    """A time, as people read it."""
    if us is None:
        return NONE
    return f"{us:,.0f} µs" if us < 10_000 else f"{us / 1_000:,.0f} ms"
