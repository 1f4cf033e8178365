"""The trace context: which trace a message belongs to, carried beside it and known to its handler.

Strategy: a context variable. A handler that runs on the spot sees its sender's; what is queued, or travels, carries it
along, and it is set again around the handler. Both only where tracing is on, so that nobody else pays for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated

from spore.message.define import message
from spore.message.registry import Domain
from spore.message.wire import U8, FixedBytes

__all__ = ["TraceContext", "current_trace", "set_trace", "traced"]


@message(type_id=108, domain=Domain.SYSTEM)
class TraceContext:
    """The part of a trace that crosses processes.

    Source: W3C Trace Context, "traceparent Header Field Values".
    """

    trace_id: Annotated[bytes, FixedBytes(16)]
    span_id: Annotated[bytes, FixedBytes(8)]
    """The sender's span: the parent of what the receiver does."""
    flags: U8 = 0
    """Bit 0: the sender records this trace."""


_CURRENT: ContextVar[TraceContext | None] = ContextVar("spore_trace", default=None)

current_trace = _CURRENT.get
"""The trace context of what runs now, or None."""
set_trace = _CURRENT.set
"""Change it for the rest of this task, or until the token that it returns is used. For Spore's own use; see `traced`."""


@contextmanager
def traced(context: TraceContext | None) -> Iterator[None]:
    """Have what is sent in this block belong to a trace."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)
