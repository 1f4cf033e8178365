"""Paper execution: what becomes of orders, decided by their event times alone."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.market import SECOND, end, named

from spore.errors import SettingError, UsageError
from spore.services import PaperExecution
from spore.services.messages import (
    EventRef,
    ExecutionReport,
    MarketRef,
    OrderCancel,
    OrderRequest,
    OrderStatus,
    Side,
)
from spore.services.paper_execution import REMEMBERED

EXCHANGES = (MarketRef(1, 5), MarketRef(2, 5))
POOLS = (MarketRef(1, 0, named("p1")), MarketRef(2, 0, named("p2")))


def order(
    number: int = 1, *, at: int = 1, route: Any = EXCHANGES, amount: int = 1_000, expires: int = 100
) -> OrderRequest:
    cause = EventRef(at * SECOND, 7)
    times = (at * SECOND, expires * SECOND)
    return OrderRequest(times[0], number, Side.BUY, route, None, amount, 1_100, None, 30, times[1], cause)


def cancel(number: int = 1, *, at: int) -> OrderCancel:
    return OrderCancel(at * SECOND, number, "changed my mind")


def play(execution: PaperExecution, *messages: Any) -> list[tuple[int, int, str, int, int]]:
    """Reports as (second, order, status, filled in, filled out)."""
    return [
        (made.event_time_ns // SECOND, made.order_id, made.status.name, made.filled_in, made.filled_out)
        for message in messages
        for made in execution.process(message)
    ]


def test_an_order_is_filled_at_the_least_that_it_allows():
    """At once, by default, and with the most gas that it allows; both reports name its cause."""
    accepted, filled = PaperExecution().process(order())
    cause = EventRef(SECOND, 7)
    assert accepted == ExecutionReport(SECOND, 1, OrderStatus.ACCEPTED, 0, 0, 0, "", cause)
    assert filled == ExecutionReport(SECOND, 1, OrderStatus.FILLED, 1_000, 1_100, 30, "", cause)


def test_slices_fill_an_order_between_exchanges_bit_by_bit():
    """One each latency; what is due happens before what comes in later, in the order of time."""
    execution = PaperExecution(latency_ms=2_000, slice_bps=4_000)
    assert play(execution, order()) == [(1, 1, "ACCEPTED", 0, 0)]
    assert play(execution, order(2, at=6)) == [
        (3, 1, "PARTIALLY_FILLED", 400, 440),
        (5, 1, "PARTIALLY_FILLED", 800, 880),
        (6, 2, "ACCEPTED", 0, 0),
    ]
    assert play(execution, cancel(9, at=8)) == [(7, 1, "FILLED", 1_000, 1_100), (8, 2, "PARTIALLY_FILLED", 400, 440)]
    assert list(execution.open) == [2]


def test_an_order_through_pools_is_filled_whole_or_not_at_all():
    """It is one transaction."""
    execution = PaperExecution(slice_bps=1)
    assert play(execution, order(route=POOLS))[-1] == (1, 1, "FILLED", 1_000, 1_100)
    assert len(play(execution, order(2))) == 10_001


def test_an_order_expires_by_event_time():
    """With what was filled by then; one that comes too late is rejected."""
    execution = PaperExecution(latency_ms=2_000, slice_bps=5_000)
    assert play(execution, order(expires=4), cancel(9, at=50)) == [
        (1, 1, "ACCEPTED", 0, 0),
        (3, 1, "PARTIALLY_FILLED", 500, 550),
        (4, 1, "EXPIRED", 500, 550),
    ]
    assert play(execution, order(2, at=50, expires=50), order(3, at=20, expires=40)) == [
        (50, 2, "REJECTED", 0, 0),
        (20, 3, "REJECTED", 0, 0),
    ]


def test_what_is_due_as_it_expires_is_too_late():
    """The moment of expiry is the first one that is too late."""
    execution = PaperExecution(latency_ms=2_000)
    assert play(execution, order(expires=3), cancel(9, at=3))[-1] == (3, 1, "EXPIRED", 0, 0)


def test_what_is_cancelled_keeps_what_was_filled():
    """The reason comes back; a cancel that comes too late is counted."""
    execution = PaperExecution(latency_ms=2_000, slice_bps=5_000)
    play(execution, order())
    (_, report) = execution.process(cancel(at=4))
    assert (report.status, report.filled_in, report.gas_usd_e8) == (OrderStatus.CANCELLED, 500, 0)
    assert report.reason == "changed my mind"
    assert play(execution, cancel(at=5)) == []
    assert execution.stray_cancels == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"route": ()}, "the route is empty"),
        ({"amount": 0}, "amount_in is 0"),
        ({"expires": 1}, "it had expired when it came"),
        ({"number": 7}, "order 7 was taken before"),
        ({"number": 8}, "order 8 was taken before"),
        ({}, "2 orders are open, and no more are taken"),
    ],
)
def test_orders_are_rejected_with_a_reason(wrong, reason):
    """And nothing else changes: the same id may come again."""
    execution = PaperExecution(latency_ms=10_000, max_open_orders=2)
    play(execution, order(7, at=0, expires=1), order(8), order(9))
    (report,) = execution.process(order(**wrong))
    assert (report.status, report.reason) == (OrderStatus.REJECTED, reason)
    assert report.filled_in == report.filled_out == report.gas_usd_e8 == 0
    assert list(execution.open) == [8, 9]


def test_ids_are_remembered_for_a_while():
    """Memory is bounded: the oldest of so many is forgotten."""
    execution = PaperExecution()
    for number in range(REMEMBERED + 1):
        execution.process(order(number))
    assert play(execution, order(1))[0][2] == "REJECTED"
    assert play(execution, order(0))[0][2] == "ACCEPTED"


def test_the_same_orders_give_the_same_reports():
    """Whatever happened before in the process: two executions never differ."""
    script = [order(3), order(1, at=2), order(2, at=2, route=POOLS), cancel(3, at=3), order(4, at=9)]
    first, second = (PaperExecution(latency_ms=700, slice_bps=2_500) for _ in range(2))
    assert play(first, *script) == play(second, *script)


def test_other_messages_are_refused():
    """By name."""
    with pytest.raises(UsageError, match="does not handle TransactionEnd"):
        PaperExecution().process(end())


def test_settings_that_cannot_work_are_refused():
    """A slice of nothing would never fill an order."""
    with pytest.raises(SettingError, match="slice_bps = 0: must be an integer from 1 to 10000"):
        PaperExecution(slice_bps=0)
    assert attrs.fields(PaperExecution).slice_bps.default == 10_000
