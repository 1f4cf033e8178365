"""Traces for OpenTelemetry: a span for each handled message that belongs to a trace, and the same tree of them in every mode.

Strategy: a message carries the span of the handler that has sent it, by reference or in its frame (`spore.message.trace`). So the parent
of a span is who sent the message, and never who happened to call whom. What is around a handler is there only where traces are on.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio

from spore.deploy.watching import Handle, around
from spore.distribution import needs
from spore.message import TraceContext, current_trace, set_trace
from spore.nursery_bundle import Actor

with needs("traces"):
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

__all__ = ["Tracing", "exporter_for", "open_tracing"]

GOODBYE_S = 5.0
"""So long the last spans may take to get where they go."""


class Tracing:
    """The spans of one process, or of one bundle.

    Args:
        provider: where they go.
        every: of messages that belong to no trace, one in so many begins one, the first among them, at actors that begin any.
    """

    def __init__(self, provider: trace.TracerProvider, *, every: int) -> None:
        self._tracer = provider.get_tracer("spore")
        self._every = every

    def factory(
        self, factory: Callable[..., Actor[Any]], *, actor: str, bundle: str, begins: bool
    ) -> Callable[..., Actor[Any]]:
        """A factory of the same actors, whose handlers have spans.

        Args:
            factory: of the actors.
            actor: their name.
            bundle: their bundle's.
            begins: whether messages that belong to no trace may begin one there.
        """
        seen = 0

        def to_be_traced() -> tuple[bool, TraceContext | None]:
            nonlocal seen
            context = current_trace()
            if context is not None or not begins:
                return context is not None, context
            seen += 1
            return (seen - 1) % self._every == 0, None

        def span(context: TraceContext | None, message: Any) -> Any:
            return self._span(actor, bundle, context, type(message).__name__)

        def wrap(handle: Handle, is_async: bool) -> Handle:
            if is_async:

                async def handle_async(self: Actor[Any], message: Any) -> Any:
                    traced, context = to_be_traced()
                    if not traced:
                        return await handle(self, message)
                    with span(context, message):
                        return await handle(self, message)

                return handle_async

            def handle_plain(self: Actor[Any], message: Any) -> Any:
                traced, context = to_be_traced()
                if not traced:
                    return handle(self, message)
                with span(context, message):
                    return handle(self, message)

            return handle_plain

        return around(factory, wrap)

    @contextmanager
    def _span(self, actor: str, bundle: str, context: TraceContext | None, message: str) -> Iterator[None]:
        """A block that is a span, and the parent of what is sent in it."""
        attributes = {"spore.actor": actor, "spore.bundle": bundle, "spore.message": message}
        span = self._tracer.start_span(
            f"{actor} {message}", _parent(context), kind=trace.SpanKind.CONSUMER, attributes=attributes
        )
        with trace.use_span(span, end_on_exit=True):
            token = set_trace(_as_message(span.get_span_context()))
            try:
                yield
            finally:
                token.var.reset(token)


def _parent(context: TraceContext | None) -> Context:
    """The parent as OpenTelemetry knows it; none for the first span of a trace."""
    if context is None:
        return Context()
    parent = trace.SpanContext(
        int.from_bytes(context.trace_id, "big"),
        int.from_bytes(context.span_id, "big"),
        is_remote=True,
        trace_flags=trace.TraceFlags(context.flags),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _as_message(context: trace.SpanContext) -> TraceContext:
    return TraceContext(
        context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), int(context.trace_flags)
    )


@asynccontextmanager
async def open_tracing(where: str, part: str, *, every: int) -> AsyncIterator[Tracing]:
    """Traces for the length of a block.

    Args:
        where: ``console``, which is stderr, or the URL of an OTLP endpoint for traces.
        part: which part of the system this process runs.
        every: as for `Tracing`.

    Cancellation: leaving waits until the last spans are on their way, for up to five seconds, whether or not it is cancelled.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "spore", "service.instance.id": part}))
    provider.add_span_processor(BatchSpanProcessor(exporter_for(where)))
    try:
        yield Tracing(provider, every=every)
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(GOODBYE_S):
            await trio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)


def exporter_for(where: str) -> SpanExporter:
    """What takes spans there; see `open_tracing`."""
    if where == "console":
        return ConsoleSpanExporter(out=sys.stderr, formatter=_on_one_line)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only where it is asked for

    return OTLPSpanExporter(endpoint=where)


def _on_one_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"
