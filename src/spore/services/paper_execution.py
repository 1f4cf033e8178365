"""Paper execution: orders in, fills and reports out, as if on a market that always gives the least that an order allows.

Strategy: nothing is drawn by chance and nothing asks a clock. Time is the event time of the orders and cancels that come in; what
was due before it happens first, in the order of its own time. An order through a pool is one atomic transaction: all of it is filled,
or none. One between exchanges may be filled in slices.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import attrs

import spore
from spore.errors import ConversionError, UsageError
from spore.services.messages import (
    ExecutionMessage,
    ExecutionReport,
    OrderCancel,
    OrderRequest,
    OrderStatus,
)
from spore.services.settings import BPS, MS, whole

__all__ = ["REMEMBERED", "OpenOrder", "PaperExecution", "PaperExecutionState"]

REMEMBERED = 10_000
"""How many orders that are done are remembered, so that the same id is not taken twice."""


@spore.record
class OpenOrder:
    """An order that is not done."""

    order: OrderRequest
    filled_bps: spore.U32
    due_ns: spore.TimestampNs
    """When the next slice is filled."""


@spore.record
class PaperExecutionState:
    """An execution between two messages."""

    open: tuple[OpenOrder, ...]
    done: tuple[spore.U64, ...]
    now_ns: spore.TimestampNs
    stray_cancels: spore.U64


@attrs.define
class PaperExecution:
    """Fills orders on paper."""

    latency_ms: int = attrs.field(default=0, validator=whole(0, 86_400_000))
    """How long after it came in an order is filled, in event time, and how long after a slice the next one is."""
    slice_bps: int = attrs.field(default=BPS, validator=whole(1, BPS))
    """How much of an order between exchanges is filled at once."""
    max_open_orders: int = attrs.field(default=10_000, validator=whole(1))
    """Orders beyond so many are rejected."""

    open: dict[int, OpenOrder] = attrs.field(factory=dict, init=False)
    """The orders that are not done, by id."""
    stray_cancels: int = attrs.field(default=0, init=False)
    """Cancels of orders that are not open."""
    _done: dict[int, None] = attrs.field(factory=dict, init=False)
    _now_ns: int = attrs.field(default=0, init=False)
    _due: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    """A heap of when something happens to an order, and its id; entries of orders that are done are passed over."""

    def process(self, message: ExecutionMessage) -> Sequence[ExecutionReport]:
        """Handle one message.

        Returns:
            The reports, in the order of their event times, as far as messages came in that order.

        Raises:
            UsageError: if it is neither an order nor a cancel.
        """
        if not isinstance(message, (OrderRequest, OrderCancel)):
            raise UsageError(f"execution does not handle {type(message).__qualname__}")
        reports: list[ExecutionReport] = []
        self._advance(message.event_time_ns, reports)
        if isinstance(message, OrderRequest):
            self._take(message, reports)
        else:
            self._cancel(message, reports)
        return reports

    def state(self) -> PaperExecutionState:
        """All of the state."""
        return PaperExecutionState(tuple(self.open.values()), tuple(self._done), self._now_ns, self.stray_cancels)

    def restore(self, state: PaperExecutionState) -> None:
        """Take over what another execution with these settings was. This one must be fresh.

        Raises:
            ConversionError: if there are more open orders than the settings allow.
        """
        if len(state.open) > self.max_open_orders:
            problem = f"{len(state.open)} open orders, and max_open_orders is {self.max_open_orders}"
            raise ConversionError(PaperExecutionState.__name__, (problem,))
        self._now_ns, self.stray_cancels = state.now_ns, state.stray_cancels
        self._done = dict.fromkeys(state.done)
        for entry in state.open:
            self._schedule(entry)

    def _take(self, order: OrderRequest, reports: list[ExecutionReport]) -> None:
        reason = self._objection(order)
        if reason is not None:
            reports.append(_report(order, order.event_time_ns, OrderStatus.REJECTED, reason=reason))
            return
        reports.append(_report(order, order.event_time_ns, OrderStatus.ACCEPTED))
        self._schedule(OpenOrder(order, 0, order.event_time_ns + self.latency_ms * MS))
        self._advance(order.event_time_ns, reports)

    def _objection(self, order: OrderRequest) -> str | None:
        if order.order_id in self.open or order.order_id in self._done:
            return f"order {order.order_id} was taken before"
        if not order.route:
            return "the route is empty"
        if order.amount_in == 0:
            return "amount_in is 0"
        if order.expires_at_ns <= max(order.event_time_ns, self._now_ns):
            return "it had expired when it came"
        if len(self.open) >= self.max_open_orders:
            return f"{self.max_open_orders} orders are open, and no more are taken"
        return None

    def _cancel(self, cancel: OrderCancel, reports: list[ExecutionReport]) -> None:
        entry = self.open.get(cancel.order_id)
        if entry is None:
            self.stray_cancels += 1
            return
        self._finish(cancel.order_id)
        status, reason = OrderStatus.CANCELLED, cancel.reason
        reports.append(_report(entry.order, cancel.event_time_ns, status, filled_bps=entry.filled_bps, reason=reason))

    def _schedule(self, entry: OpenOrder) -> None:
        self.open[entry.order.order_id] = entry
        heapq.heappush(self._due, (min(entry.due_ns, entry.order.expires_at_ns), entry.order.order_id))

    def _advance(self, now_ns: int, reports: list[ExecutionReport]) -> None:
        self._now_ns = max(self._now_ns, now_ns)
        while self._due and self._due[0][0] <= self._now_ns:
            when_ns, order_id = heapq.heappop(self._due)
            entry = self.open.get(order_id)
            if entry is not None:
                self._happen(entry, when_ns, reports)

    def _happen(self, entry: OpenOrder, when_ns: int, reports: list[ExecutionReport]) -> None:
        order = entry.order
        if order.expires_at_ns <= entry.due_ns:
            self._finish(order.order_id)
            status, reason = OrderStatus.EXPIRED, "it was not filled in time"
            reports.append(_report(order, when_ns, status, filled_bps=entry.filled_bps, reason=reason))
            return
        atomic = any(market.pool is not None for market in order.route)
        filled_bps = BPS if atomic else min(entry.filled_bps + self.slice_bps, BPS)
        if filled_bps == BPS:
            self._finish(order.order_id)
            reports.append(_report(order, when_ns, OrderStatus.FILLED, filled_bps=BPS))
            return
        reports.append(_report(order, when_ns, OrderStatus.PARTIALLY_FILLED, filled_bps=filled_bps))
        self._schedule(OpenOrder(order, filled_bps, when_ns + self.latency_ms * MS))

    def _finish(self, order_id: int) -> None:
        del self.open[order_id]
        self._done[order_id] = None
        if len(self._done) > REMEMBERED:
            del self._done[next(iter(self._done))]


def _report(
    order: OrderRequest, time_ns: int, status: OrderStatus, *, filled_bps: int = 0, reason: str = ""
) -> ExecutionReport:
    """What has become of an order. Amounts count from its beginning; gas is the most that the order allows, once filled."""
    filled_in, filled_out = order.amount_in * filled_bps // BPS, order.min_amount_out * filled_bps // BPS
    gas = order.max_gas_usd_e8 if filled_bps == BPS else 0
    return ExecutionReport(time_ns, order.order_id, status, filled_in, filled_out, gas, reason, order.cause)
