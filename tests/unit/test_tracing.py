"""Spans, in memory: the same tree of them bundled and relayed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.modes import opened
from tests.pipeline_actors import Tick, Turn

from spore import Actor, ActorRef
from spore.deploy import Mode
from spore.deploy.load import config_of
from spore.message import TraceContext, traced
from spore.observe import tracing
from spore.testing import run

TRACE = TraceContext(bytes([1]) * 16, bytes([2]) * 8, flags=1)
BOTH = [Mode.SHARED_MEMORY, Mode.RELAY]
Tree = Any
"""``(actor, message, children)``, sorted."""


@attrs.define
class First(Actor[Tick]):
    """Sends two turns for each tick."""

    turns: Sequence[ActorRef[Turn]] | ActorRef[Turn]

    def handle(self, message: Tick) -> None:
        for number in range(2):
            self.turns.tell(Turn(message.event_time_ns, message.number, number))  # type: ignore[union-attr]


@attrs.define
class Second(Actor[Turn]):
    """Passes a turn on, after a while."""

    last: ActorRef[Turn]

    async def handle(self, message: Turn) -> None:
        await trio.lowlevel.checkpoint()
        await self.last.send(message)


@attrs.define
class Last(Actor[Turn]):
    """Fails at number 3."""

    def handle(self, message: Turn) -> None:
        if message.number == 3:
            raise ValueError("three")


def config(traces: str | None = "console") -> Any:
    def kind(name: str, **more: Any) -> dict[str, Any]:
        return {"type": f"tests.unit.test_tracing:{name}", "supervision": {"on_failure": "resume"}, **more}

    actors = {
        "first": kind("First", wire={"turns": ["second", "third"]}),
        "second": kind("Second", wire={"last": "last"}),
        "third": kind("Second", wire={"last": "last"}),
        "last": kind("Last"),
    }
    observe = {"traces": traces} if traces else {}
    return config_of({"bundles": [{"name": "core", "mode": "relay", "actors": actors}], "observe": observe})


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where all spans of a test go."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))

    @asynccontextmanager
    async def open_tracing(where: str, part: str, *, every: int) -> AsyncIterator[tracing.Tracing]:
        yield tracing.Tracing(provider, every=every)

    monkeypatch.setattr(tracing, "open_tracing", open_tracing)
    return kept


def trees(spans: Sequence[ReadableSpan]) -> list[Tree]:
    """What stands below those whose parents are not among the spans."""
    known = {span.context.span_id for span in spans}
    below: dict[int | None, list[ReadableSpan]] = {}
    for span in spans:
        parent = span.parent.span_id if span.parent is not None and span.parent.span_id in known else None
        below.setdefault(parent, []).append(span)

    def of(parent: int | None) -> list[Tree]:
        return sorted((*span.name.split(), of(span.context.span_id)) for span in below.get(parent, ()))

    return of(None)


async def main(mode: Mode, traces: str | None) -> None:
    async with opened(config(traces), mode) as system:
        first = system.ref("first")
        await first.send(Tick(0, 0))
        with traced(TRACE):
            await first.send(Tick(1, 1))
        await system.wait_idle()


def test_the_same_input_makes_the_same_tree_in_both_modes(spans: InMemorySpanExporter) -> None:
    """Each message is a child of the handler that sent it; what belongs to no trace has no span."""
    found = []
    for mode in BOTH:
        run(main, mode, "console")
        finished = spans.get_finished_spans()
        assert {span.context.trace_id.to_bytes(16, "big") for span in finished} == {TRACE.trace_id}
        (root,) = (span for span in finished if span.name == "first Tick")
        assert root.parent is not None
        assert root.parent.span_id.to_bytes(8, "big") == TRACE.span_id
        found.append(trees(finished))
        spans.clear()
    last = ("last", "Turn", [])
    middle = [(name, "Turn", [last]) for name in ("second", "second", "third", "third")]
    assert found == [[("first", "Tick", middle)]] * 2


@pytest.mark.parametrize("mode", BOTH)
def test_where_traces_are_off_there_are_none(spans: InMemorySpanExporter, mode: Mode) -> None:
    """Although a message belongs to one."""
    run(main, mode, None)
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize("mode", BOTH)
def test_a_failure_is_in_its_span(spans: InMemorySpanExporter, mode: Mode) -> None:
    """And goes on to the supervisor."""

    async def fail() -> Any:
        async with opened(config(), mode) as system:
            with traced(TRACE):
                await system.ref("last").send(Turn(0, 3, 0))
            await system.wait_idle()
            return await system.statistics()

    statistics = run(fail)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.status.status_code) == ("last Turn", StatusCode.ERROR)
    assert span.events[0].attributes["exception.message"] == "three"
    actors = {name: actor for unit in statistics.units.values() for name, actor in unit.bundle.actors.items()}
    assert actors["last"].failed == 1


def test_one_in_so_many_messages_begins_a_trace_and_the_first_does(spans: InMemorySpanExporter) -> None:
    """At actors that begin any, and nowhere else."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    traces = tracing.Tracing(provider, every=3)
    for begins in (True, False):
        last = traces.factory(Last, actor="last", bundle="core", begins=begins)()
        for number in (10, 11, 12, 13):
            last.handle(Turn(0, number, 0))
    assert [(span.name, span.parent) for span in spans.get_finished_spans()] == [("last Turn", None)] * 2
