"""What comes out of a pipeline: signals, orders and reports, each in the order of the one actor that sends them. Of shards each has a
recording of its own, and they are joined in the end.

Fan-in promises no order between senders, so each kind is kept by itself: then both modes write the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from heapq import merge
from time import perf_counter_ns
from typing import Any

import attrs

import spore
from spore.services.messages import ExecutionReport, OrderRequest

__all__ = ["Recorder", "Recording", "TimedRecorder", "digest"]


@attrs.define
class Recording:
    """Everything that came out of one run, in memory."""

    signals: list[Any] = attrs.field(factory=list)
    """Of any class: a pipeline may have messages of its own."""
    orders: list[OrderRequest] = attrs.field(factory=list)
    reports: list[ExecutionReport] = attrs.field(factory=list)
    signals_at_ns: list[int] = attrs.field(factory=list)
    """`time.perf_counter_ns` when each signal came; empty unless that was asked for."""

    @classmethod
    def joined(cls, recordings: Sequence[Recording]) -> Recording:
        """Several as one: by event time, and of one time in the order of the recordings, which are not in step with each other."""
        if len(recordings) == 1:
            return recordings[0]

        def merged(*lists: Iterable[Any]) -> list[Any]:
            return list(merge(*lists, key=lambda message: getattr(message, "event_time_ns", 0)))

        timed = merge(
            *(zip(each.signals, each.signals_at_ns, strict=False) for each in recordings),
            key=lambda pair: getattr(pair[0], "event_time_ns", 0),
        )
        return cls(
            signals=merged(*(each.signals for each in recordings)),
            orders=merged(*(each.orders for each in recordings)),
            reports=merged(*(each.reports for each in recordings)),
            signals_at_ns=[at_ns for _, at_ns in timed],
        )

    def executed(self) -> list[OrderRequest | ExecutionReport]:
        """Orders and reports in one order that both modes share: by event time, then order, and an order before its
        reports."""
        keyed: list[tuple[tuple[int, int, int, int], OrderRequest | ExecutionReport]] = []
        keyed += [((o.event_time_ns, o.order_id, 0, n), o) for n, o in enumerate(self.orders)]
        keyed += [((r.event_time_ns, r.order_id, 1, n), r) for n, r in enumerate(self.reports)]
        return [message for _, message in sorted(keyed, key=lambda pair: pair[0])]


@attrs.define
class Recorder(spore.Actor[Any]):
    """Keeps what it gets. What is neither an order nor a report is a signal, whatever its pipeline calls it."""

    recording: Recording

    def handle(self, message: Any) -> None:
        if isinstance(message, OrderRequest):
            self.recording.orders.append(message)
        elif isinstance(message, ExecutionReport):
            self.recording.reports.append(message)
        else:
            self.recording.signals.append(message)


@attrs.define
class TimedRecorder(Recorder):
    """Keeps when each signal came, too: at the start of its handler."""

    def handle(self, message: Any) -> None:
        if not isinstance(message, (OrderRequest, ExecutionReport)):
            self.recording.signals_at_ns.append(perf_counter_ns())
        Recorder.handle(self, message)


def digest(messages: Iterable[object]) -> str:
    """SHA-256, in hex, over the canonical encodings of messages, numbered from 0 and with no time of sending.

    Two lists have the same digest if, and only if, they hold equal messages in the same order.
    """
    total = hashlib.sha256()
    for number, message in enumerate(messages):
        total.update(spore.codec.encode(message, sequence=number, timestamp_ns=0))
    return total.hexdigest()
