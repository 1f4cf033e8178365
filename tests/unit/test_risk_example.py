"""The pair of the migration guide: what a desk holds, and whether that is too much."""

import json

import pytest
from examples.risk.limits import RiskMonitor, RiskState
from examples.risk.messages import Limit, LimitAlert, PositionUpdate
from examples.risk.positions import PositionKeeper, PositionState
from examples.risk.relay_service import PositionService

import spore
from spore.feeds import feed_of
from spore.services.messages import EventRef, PoolListed, PoolSwap, PoolSync, TransactionEnd

WETH, TOKEN = b"\x01" * 20, b"\x02" * 20
POOL, HASH = b"p" * 20, bytes(32)
ETH = 10**18


def listed(*, coin_is_0=True, coin="WETH"):
    symbols = (coin, "T") if coin_is_0 else ("T", coin)
    tokens = (WETH, TOKEN) if coin_is_0 else (TOKEN, WETH)
    return PoolListed(0, POOL, 1, "v", *tokens, *symbols, 18, 18, 997, 1000)


def pair(coin, token, coin_is_0):
    return (coin, token) if coin_is_0 else (token, coin)


def transaction(*, token_in=0, coin_in=0, token_out=0, coin_out=0, coin_is_0=True):
    """A swap that leaves 200 coins and 1,000 tokens."""
    reserves = pair(200, 1_000, coin_is_0)
    amounts = (*pair(coin_in, token_in, coin_is_0), *pair(coin_out, token_out, coin_is_0))
    return [
        PoolSync(5, 6, 7, 8, HASH, POOL, *reserves),
        PoolSwap(5, 6, 7, 9, HASH, POOL, *amounts),
        TransactionEnd(5, 6, 7, HASH),
    ]


@pytest.mark.parametrize("coin_is_0", [True, False])
def test_the_desk_takes_its_share_of_the_other_side_of_a_swap(coin_is_0):
    """At the price of the pool after it, whichever of its tokens values are counted in."""
    keeper = PositionKeeper(share_bps=5_000)
    keeper.process(listed(coin_is_0=coin_is_0))
    *before, end = transaction(token_in=100, coin_out=20, coin_is_0=coin_is_0)
    assert [keeper.process(event) for event in before] == [(), ()]
    cause = EventRef(5, 6, 7, 0, HASH)
    assert keeper.process(end) == [PositionUpdate(5, TOKEN, 50, 10, cause)]
    told = [update for event in transaction(token_out=201, coin_is_0=coin_is_0) for update in keeper.process(event)]
    assert [(update.amount, update.value_wei) for update in told] == [(-50, -10)]
    assert keeper.process(end) == []


def test_a_pool_without_the_coin_is_passed_over():
    """And one that was never listed."""
    keeper = PositionKeeper()
    keeper.process(listed(coin="DAI"))
    assert [list(keeper.process(event)) for event in transaction(token_in=100)] == [[], [], []]


def update(token, value_wei):
    return PositionUpdate(5, bytes([token]) * 20, 1, value_wei, EventRef(5, 6))


def test_a_limit_that_is_exceeded_is_told_once_and_once_when_it_is_kept_by_a_margin():
    """Long or short; a value at the limit is within it."""
    monitor = RiskMonitor(max_position_eth=10, max_gross_eth=100)
    values = [10 * ETH, -10 * ETH - 1, 20 * ETH, 9 * ETH + 1, 9 * ETH, 10 * ETH]
    told = [[(a.limit, a.exceeded, a.value_wei) for a in monitor.process(update(1, value))] for value in values]
    assert told == [
        [],
        [(Limit.POSITION, True, 10 * ETH + 1)],
        [],
        [],
        [(Limit.POSITION, False, 9 * ETH)],
        [],
    ]


def test_all_positions_together_have_a_limit_of_their_own():
    """Long and short do not cancel out; the alert is of no token."""
    monitor = RiskMonitor(max_position_eth=100, max_gross_eth=10)
    assert monitor.process(update(1, 6 * ETH)) == []
    (alert,) = monitor.process(update(2, -5 * ETH))
    assert (alert.limit, alert.token, alert.value_wei, alert.limit_wei) == (Limit.GROSS, None, 11 * ETH, 10 * ETH)
    assert [a.exceeded for a in monitor.process(update(1, 0))] == [False]


@pytest.mark.parametrize("cut", range(1_000, 1_004))
def test_a_successor_goes_on_where_the_pair_stood(cut):
    """Whatever was under way; and the service of frames tells what the keeper does."""
    events = list(feed_of("sim:seed=7,events=4000,pools=20").messages())
    keepers, monitors = [PositionKeeper() for _ in range(3)], [RiskMonitor(1, 2) for _ in range(3)]

    def told(keeper, monitor, events):
        updates = (update for event in events for update in keeper.process(event))
        return [each for update in updates for each in (update, *monitor.process(update))]

    expected = told(keepers[0], monitors[0], events)
    found = told(keepers[1], monitors[1], events[:cut])
    keepers[2].restore(travelled(PositionState, keepers[1].state()))
    monitors[2].restore(travelled(RiskState, monitors[1].state()))
    found += told(keepers[2], monitors[2], events[cut:])
    assert found == expected
    assert sum(isinstance(each, LimitAlert) for each in found) > 5


def test_the_service_of_frames_says_what_the_keeper_says():
    """In frames that are numbered on by its successor."""
    events = list(feed_of("sim:seed=7,events=1000,pools=20").messages())
    keeper, first, second = PositionKeeper(), PositionService(), PositionService()
    expected = [told for event in events for told in keeper.process(event)]
    frames = [frame for event in events[:700] for frame in first.process_tlv(framed(event))]
    second.restore(json.loads(json.dumps(first.snapshot())))
    frames += [frame for event in events[700:] for frame in second.process_tlv(framed(event))]
    found = [spore.codec.decode(frame) for frame in frames]
    assert [frame.message for frame in found] == expected
    assert [frame.sequence for frame in found] == list(range(1, len(found) + 1))


def framed(event):
    return spore.codec.encode(event, sequence=1, timestamp_ns=0)


def travelled(cls, state):
    return spore.from_plain(cls, json.loads(json.dumps(spore.to_plain(state))))
