"""Market data: from events to state and opportunities."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from tests.market import (
    E18,
    SECOND,
    book,
    end,
    gas,
    instrument,
    loan,
    named,
    pool,
    q,
    quote,
    reorg,
    swap,
    sync,
    trade,
)

from spore.errors import SettingError, UsageError
from spore.services import MarketDataProcessor
from spore.services.market_data import WATCH_LIMIT
from spore.services.messages import (
    BookLevel,
    EventRef,
    MarketRef,
    MarketSnapshot,
    MarketVolume,
    PoolEvaluation,
    PoolHop,
    PriceTick,
    TokenPrice,
    VenueOpportunity,
    VolumeUpdate,
)

HOUR_MS = 3_600_000


def processor(*listed: Any, **settings: Any) -> MarketDataProcessor:
    """One that tells no snapshots while a test looks at something else."""
    made = MarketDataProcessor(**{"update_frequency_ms": HOUR_MS, **settings})
    made.initialize(listed or (pool("p1", "AAA", "WETH"), pool("p2", "AAA", "WETH", venue=2)))
    return made


def play(market: MarketDataProcessor, *messages: Any) -> list[Any]:
    return [told for message in messages for told in market.process(message)]


def routes(evaluation: PoolEvaluation) -> list[tuple[bytes, bytes]]:
    return [(found.first.market.pool, found.second.market.pool) for found in evaluation.opportunities]


def reserves(market: MarketDataProcessor, name: str) -> tuple[int, int]:
    known = market.pools.pools[named(name)]
    return known.reserve0, known.reserve1


# Pools


def test_an_opportunity_is_told_with_all_that_sizing_it_needs():
    """After the transaction: which pools changed, and the direction that pays, begun with the native token."""
    market = processor()
    play(market, sync("p1", 1_000 * E18, 10 * E18), end())
    (told,) = play(market, sync("p2", 900 * E18, 10 * E18, block=2), end(block=2, tx=3))
    cause = EventRef(2 * SECOND, 2, 3, 0, end(block=2, tx=3).tx_hash)
    assert (told.event_time_ns, told.cause, told.changed) == (2 * SECOND, cause, (named("p2"),))
    assert told.native_usd_q112 == q(2_000, 18)
    (found,) = told.opportunities
    assert (found.token_in, found.token_mid, found.usd_q112) == (named("WETH"), named("AAA"), q(2_000, 18))
    assert found.first == PoolHop(MarketRef(1, 0, named("p1")), 10 * E18, 1_000 * E18, 997, 1000)
    assert found.second == PoolHop(MarketRef(2, 0, named("p2")), 900 * E18, 10 * E18, 997, 1000)


def test_a_transaction_is_looked_at_when_it_is_over():
    """Between two Syncs of a transaction nothing is told, however far apart the pools are."""
    market = processor()
    assert play(market, sync("p1", E18, E18), sync("p2", 2 * E18, E18, log=2), sync("p2", E18, E18, log=3)) == []
    (told,) = play(market, end())
    assert told.opportunities == ()
    assert told.native_usd_q112 is None
    assert told.changed == (named("p1"), named("p2"))
    assert play(market, end(tx=1)) == []


def test_of_two_pools_that_changed_each_direction_is_told_once():
    """Both in one transaction, and a third one that did not change."""
    market = processor(*(pool(f"p{number}", "AAA", "WETH") for number in (1, 2, 3)))
    play(market, sync("p3", 4 * E18, E18), end())
    (told,) = play(market, sync("p1", E18, E18, block=2), sync("p2", 2 * E18, E18, block=2, log=2), end(block=2))
    p1, p2, p3 = named("p1"), named("p2"), named("p3")
    assert routes(told) == [(p2, p1), (p3, p1), (p3, p2)]


def test_only_pools_of_the_same_pair_are_compared():
    """Another pair's prices mean nothing."""
    market = processor(pool("p1", "AAA", "WETH"), pool("p2", "BBB", "WETH"))
    assert [routes(told) for told in play(market, sync("p1", 1, 5), sync("p2", 5, 1, log=2), end())] == [[]]


def test_a_transaction_never_looks_at_other_pairs():
    """Of 1,000 pools only those of the pair that changed are compared, so that more pairs cost nothing."""

    class Untouchable(list):
        def __iter__(self) -> Any:
            raise AssertionError("another pair was looked at")

    listed = [pool(f"p{number}", f"A{number // 4:03}", "WETH", venue=number % 4) for number in range(1_000)]
    market = processor(*listed)
    play(market, *(sync(f"p{number}", E18, E18, log=number + 1) for number in range(1_000)), end())
    for pair in dict.fromkeys(known.pair for known in market.pools.pools.values()):
        if pair.token_mid != named("A007"):
            pair.pools = Untouchable(pair.pools)
    (told,) = play(market, sync("p28", 2 * E18, E18, block=2), end(block=2))
    assert len(told.opportunities) == 3
    with pytest.raises(AssertionError):
        play(market, sync("p0", 2 * E18, E18, block=3), end(block=3))


@pytest.mark.parametrize(
    ("token0", "token1", "begins"),
    [
        ("AAA", "WETH", "WETH"),
        ("WETH", "ZZZ", "WETH"),
        ("AAA", "USDC", "USDC"),
        ("USDC", "WETH", "WETH"),
        ("AAA", "BBB", "AAA"),
    ],
)
def test_an_arbitrage_begins_with_the_token_to_be_paid_in(token0, token1, begins):
    """The native token, else one whose price is set, else token0."""
    market = processor(pool("p1", token0, token1), pool("p2", token0, token1))
    (told,) = play(market, sync("p1", E18, E18), sync("p2", 2 * E18, E18, log=2), end())
    assert told.opportunities[0].token_in == named(begins)


def test_a_pool_with_an_empty_side_pays_nothing():
    """Zero reserves are a state as any other, and nobody can trade with it."""
    market = processor()
    (told,) = play(market, sync("p1", 0, E18), sync("p2", E18, E18, log=2), end())
    assert told.opportunities == ()


def test_at_most_so_many_pools_are_monitored_and_the_rest_is_counted():
    """Neither a listing nor an event beyond the limit gets lost silently."""
    market = processor(pool("p1", "AAA", "WETH"), pool("p2", "AAA", "WETH"), pools_to_monitor=1)
    assert play(market, sync("p2", 1, 1), swap("p2"), end()) == []
    assert market.skipped == {"pool listed beyond pools_to_monitor": 1, "pool not monitored": 2}


def test_a_pool_listed_again_is_the_same_pool():
    """The same listing changes nothing; another one for the same address is counted and not believed."""
    market = processor(pool("p1", "AAA", "WETH"))
    play(market, sync("p1", 3, 4), pool("p1", "AAA", "WETH", event_time_ns=9))
    assert market.skipped == {}
    play(market, pool("p1", "AAA", "WETH", fee_numerator=998))
    assert market.skipped == {"pool listed again as something else": 1}
    assert reserves(market, "p1") == (3, 4)


@pytest.mark.parametrize("wrong", [{"fee_numerator": 0}, {"fee_numerator": 1001}, {"token1": named("A")}])
def test_a_pool_that_cannot_be_is_not_monitored(wrong):
    """A fee above all that goes in, or tokens in the wrong order."""
    market = processor(attrs.evolve(pool("p1", "AAA", "WETH"), **wrong))
    assert market.skipped == {"pool listed with an impossible fee, or with its tokens out of order": 1}


def test_events_out_of_order_are_counted_and_change_nothing():
    """An older block, an older log of the same block, and the same log again."""
    market = processor()
    play(market, sync("p1", 5, 5, block=3, log=7), swap("p1", block=3, log=8))
    play(market, sync("p1", 1, 1, block=2), sync("p2", 1, 1, block=2), sync("p1", 1, 1, block=3, log=6))
    play(market, sync("p1", 5, 5, block=3, log=7), swap("p1", block=3, log=8))
    assert market.skipped == {"pool event out of order": 5}
    assert reserves(market, "p1") == (5, 5)
    assert reserves(market, "p2") == (0, 0)


def test_reserves_that_no_pair_can_hold_make_a_pool_unknown():
    """Beyond uint112 something is wrong with the event: the pool is not traded with until its next Sync."""
    market = processor()
    play(market, sync("p1", E18, E18), sync("p1", 2**112, 1, log=2))
    assert reserves(market, "p1") == (0, 0)
    play(market, sync("p1", 2**112 - 1, 1, log=3))
    assert reserves(market, "p1") == (2**112 - 1, 1)
    assert market.skipped == {"reserves beyond uint112: pool unknown until its next Sync": 1}


def test_a_message_that_is_none_of_its_own_is_refused():
    """By name."""
    with pytest.raises(UsageError, match="does not handle MarketRef"):
        processor().process(MarketRef(1, 2))


# Reorganisations


def test_a_reorganisation_rolls_pools_back():
    """To the state after the block that still stands, and events of the other branch are taken from there."""
    market = processor()
    play(market, sync("p1", 10, 10), end(), sync("p1", 20, 20, block=2), sync("p2", 7, 7, block=2, log=2), end(block=2))
    play(market, sync("p1", 30, 30, block=3), swap("p1", block=3), end(block=3))
    assert play(market, reorg(1, at=4)) == []
    assert (reserves(market, "p1"), reserves(market, "p2")) == ((10, 10), (0, 0))
    (told,) = play(market, sync("p1", 21, 21, block=2), swap("p1", block=2), end(block=2))
    assert reserves(market, "p1") == (21, 21)
    assert set(told.changed) == {named("p1"), named("p2")}
    assert market.skipped == {}


def test_the_middle_of_a_reorganisation():
    """Blocks up to the one that stands stay, and each pool goes back as far as it had changed since."""
    market = processor()
    for block in (1, 2, 3, 4):
        play(market, sync("p1", block, block, block=block))
    play(market, sync("p2", 9, 9, block=4, log=2), sync("p1", 44, 44, block=4, log=3), reorg(3, at=5))
    assert (reserves(market, "p1"), reserves(market, "p2")) == ((3, 3), (0, 0))
    play(market, reorg(2, at=5), reorg(2, at=6))
    assert reserves(market, "p1") == (2, 2)


def test_beyond_the_depth_pools_that_have_changed_since_are_lost():
    """They are unknown until their next Sync, which is counted; one that had not changed keeps its state."""
    market = processor(*(pool(name, "AAA", "WETH") for name in ("p1", "p2")), reorg_depth=2)
    play(market, sync("p2", 5, 5))
    for block in (2, 3, 4, 5):
        play(market, sync("p1", block, block, block=block))
    play(market, reorg(2, at=6))
    assert (reserves(market, "p1"), reserves(market, "p2")) == ((0, 0), (5, 5))
    assert market.skipped == {"pool state lost: reorganisation deeper than reorg_depth": 1}
    play(market, sync("p1", 33, 33, block=3))
    assert reserves(market, "p1") == (33, 33)
    play(market, reorg(2, at=7))
    assert reserves(market, "p1") == (0, 0)
    assert sum(market.skipped.values()) == 1


def test_within_the_depth_nothing_is_lost():
    """The oldest block that is kept can be undone."""
    market = processor(reorg_depth=2)
    for block in (1, 2, 3):
        play(market, sync("p1", block, block, block=block))
    play(market, reorg(1, at=4))
    assert reserves(market, "p1") == (1, 1)
    assert market.skipped == {}


# Prices


def priced(**settings: Any) -> MarketDataProcessor:
    return processor(
        pool("u1", "USDC", "WETH"),
        pool("u2", "USDT", "WETH"),
        pool("a1", "AAA", "WETH"),
        pool("a2", "AAA", "WETH"),
        pool("b1", "BBB", "CCC"),
        **settings,
    )


def test_a_price_comes_from_the_pool_that_holds_most_usd():
    """Of the pools that pair the native token with a stable one; other tokens follow through it."""
    market = priced()
    assert market.prices.q112(named("WETH")) == q(2_000, 18)
    play(market, sync("u1", 3_000 * 10**6, E18), sync("u2", 62_000 * 10**6, 20 * E18, log=2))
    assert market.prices.q112(named("WETH")) == q(62_000, 6) * 10**6 // (20 * E18) == q(3_100, 18)
    play(market, sync("a1", 100 * E18, E18, log=3), sync("a2", 10 * E18, E18 - 1, log=4))
    assert market.prices.q112(named("AAA")) == q(31, 18)
    assert market.prices.q112(named("USDC")) == q(1, 6)
    assert market.prices.q112(named("BBB")) is None
    play(market, sync("u2", 0, 0, log=5))
    assert market.prices.q112(named("WETH")) == q(3_000, 18)


def test_of_pools_that_hold_as_much_the_first_one_listed_decides():
    """Against tokens whose price is set, and against the native one."""
    market = priced()
    play(market, sync("u1", 10**6, E18), sync("u2", 10**6, 2 * E18, log=2))
    play(market, sync("a1", E18, E18, log=3), sync("a2", 2 * E18, E18, log=4))
    assert market.prices.q112(named("WETH")) == q(1, 18) == market.prices.q112(named("AAA"))


def test_prices_can_be_set():
    """By symbol or address; a price that is set holds, whatever a pool says."""
    address = f"0x{named('AAA').hex().upper()}"
    market = priced(usd_prices={"WETH": Decimal("1500.5"), address: Decimal("0.25")}, native_token="CCC")
    play(market, sync("u1", 3_000 * 10**6, E18), sync("b1", E18, 3 * E18, log=2))
    assert market.prices.q112(named("WETH")) == (150_050_000_000 << 112) // E18
    assert market.prices.q112(named("AAA")) == (25_000_000 << 112) // E18
    assert market.prices.q112(named("CCC")) == q(2_000, 18)
    assert market.prices.native_token == named("CCC")
    assert abs(market.prices.q112(named("BBB")) - q(6_000, 18)) < 4
    assert market.prices.q112(named("USDC")) is not None


def test_the_native_token_can_be_named_by_its_address():
    """A namesake of it is another token."""
    market = processor(pool("p1", "AAA", "WETH"), native_token=f"0x{named('AAA').hex()}")
    assert market.prices.native_token == named("AAA")
    assert market.prices.q112(named("WETH")) is None


def test_a_later_namesake_of_the_native_token_is_another_token():
    """The first one keeps the role."""
    market = processor(pool("p1", "AAA", "WETH"), pool("p2", "AAA", "ZZZ", symbol1="WETH"))
    assert market.prices.native_q112() == q(2_000, 18)
    assert market.prices.q112(named("ZZZ")) is None


def test_a_price_too_large_to_be_told_is_unknown():
    """A pool with one unit on a side gives such prices."""
    market = processor(pool("p1", "AAA", "USDX", decimals1=0), usd_prices={"USDX": Decimal(10**10)})
    play(market, sync("p1", 1, 2**112 - 1))
    assert market.prices.q112(named("AAA")) is None
    assert processor(pool("p1", "AAA", "BBB")).prices.native_q112() is None


# Exchanges


def test_two_venues_whose_quotes_cross_by_more_than_the_fees():
    """Buy where the ask is lower, sell where the bid is higher; both directions are looked at."""
    market = processor(instrument("ETHUSDT", 1), instrument("ETHUSDT", 2), cross_venue_fee_bps=10)
    play(market, quote(1, 100_00, 100_10))
    assert not [told for told in play(market, quote(2, 100_20, 100_21)) if isinstance(told, VenueOpportunity)]
    told = [told for told in play(market, quote(2, 100_21, 100_22, at=2, size=7)) if isinstance(told, VenueOpportunity)]
    cause = EventRef(2 * SECOND, 2)
    buy, sell = MarketRef(1, 5), MarketRef(2, 5)
    assert told == [VenueOpportunity(2 * SECOND, buy, sell, 100_10, 10**8, 100_21, 7, 10, True, cause)]
    (back,) = [told for told in play(market, quote(2, 98_00, 99_00, at=3)) if isinstance(told, VenueOpportunity)]
    assert (back.buy, back.sell) == (sell, buy)


def test_other_instruments_and_other_currencies():
    """Different instruments are never compared; and whether a price is in USD follows from both symbols."""
    market = processor(instrument("ETHBTC", 1), instrument("ETHUSD", 2))
    assert play(market, quote(1, 1, 2, number=6), quote(2, 5, 6, number=7))[0].price == 1
    told = play(market, quote(1, 100, 101), quote(2, 200, 201))
    assert [found.in_usd for found in told if isinstance(found, VenueOpportunity)] == [False]


def test_quotes_that_are_not_used_are_counted():
    """Older than the last one, without a positive bid, or with its bid above its ask."""
    market = processor()
    play(market, quote(1, 100, 101, at=5), quote(1, 1, 2, at=4), quote(1, 0, 5, at=6), quote(1, 6, 5, at=7))
    assert market.skipped == {"quote out of order": 1, "quote without a positive bid at or below its ask": 2}


def test_at_most_so_many_instruments_are_followed():
    """Of one more, neither quotes, trades, books nor volumes are used."""
    market = processor(instrument("A", 1), instrument("B", 2), instruments_to_monitor=1)
    volume = VolumeUpdate(5, 2, SECOND, SECOND, 1, 1, 1)
    update = book({1: 1}, {2: 2}, first=1, last=1, number=9)
    assert play(market, quote(2, 1, 2), trade(2, 5, 5), volume, update) == []
    assert market.skipped == {"instrument beyond instruments_to_monitor": 5}


def test_ticks_are_changes_of_the_middle_price():
    """A quote whose middle is the same tells nothing new."""
    market = processor()
    told = play(market, quote(1, 100, 102), quote(1, 99, 103, at=2), quote(1, 100, 103, at=3), quote(1, 103, 104, at=4))
    market_ref = MarketRef(1, 5)
    assert told == [
        PriceTick(SECOND, market_ref, 101, EventRef(SECOND, 1)),
        PriceTick(4 * SECOND, market_ref, 103, EventRef(4 * SECOND, 4)),
    ]


def test_ticks_may_be_trades_instead():
    """Then quotes make none."""
    market = processor(tick_source="trades")
    told = play(market, quote(1, 100, 102), trade(1, 101, 5), trade(1, 101, 6, at=2), trade(1, 0, 6, at=3))
    assert told == [PriceTick(SECOND, MarketRef(1, 5), 101, EventRef(SECOND, 1))]
    assert market.skipped == {"trade without a positive price": 1}
    assert play(processor(), trade(1, 101, 5)) == []


def test_an_order_book_follows_its_updates():
    """Sizes replace sizes, nothing removes a level, a snapshot replaces all, older updates and gaps are counted."""
    market = processor()
    play(market, book({10: 1, 9: 2}, {11: 3}, first=1, last=2), book({10: 0, 8: 4}, {12: 5, 11: 6}, first=3, last=4))
    kept = market.books[5, 1]
    assert kept.bids() == (BookLevel(9, 2), BookLevel(8, 4))
    assert kept.asks() == (BookLevel(11, 6), BookLevel(12, 5))
    play(market, book({1: 1}, {}, first=3, last=4), book({7: 1}, {}, first=9, last=9))
    assert len(kept.bids()) == 3
    assert market.skipped == {
        "order book update out of order": 1,
        "order book updates missing: book goes on with a gap": 1,
    }
    play(market, book({1: 1}, {2: 2}, first=1, last=1, snapshot=True))
    assert (kept.bids(), kept.asks(), kept.last_update) == ((BookLevel(1, 1),), (BookLevel(2, 2),), 1)


def test_an_order_book_keeps_the_levels_nearest_to_the_market():
    """So many of each side are shown, and memory stays bounded whatever is sent."""
    market = processor(book_depth=2)
    play(market, book(dict.fromkeys(range(1, 50), 1), dict.fromkeys(range(50, 99), 1), first=1, last=1))
    kept = market.books[5, 1]
    assert [level.price for level in kept.bids()] == [49, 48]
    assert [level.price for level in kept.asks()] == [50, 51]
    assert len(kept.state(5, 1).bids) == len(kept.state(5, 1).asks) == 2


# Snapshots


def test_snapshots_end_windows_of_event_time():
    """The first event beyond a window closes it; windows without changes tell nothing; nothing asks a clock."""
    market = processor(update_frequency_ms=1_000)
    assert play(market, sync("p1", 5, 5), swap("p1", into=(3, 0), out=(0, 4)), end())[0].changed == (named("p1"),)
    told = play(market, swap("p1", into=(0, 1), out=(2, 0), block=2), trade(1, 3 * 10**8, 2, at=2))
    p1 = MarketRef(1, 0, named("p1"))
    first = MarketSnapshot(2 * SECOND, SECOND, 1, 1, q(2_000, 18), (), (MarketVolume(p1, 1, 3, 4),))
    assert told == [first]
    volumes = (MarketVolume(p1, 1, 2, 1), MarketVolume(MarketRef(1, 5), 1, 2, 6))
    assert play(market, end(block=9)) == [MarketSnapshot(3 * SECOND, SECOND, 1, 0, q(2_000, 18), (), volumes)]
    assert play(market, end(block=20), end(block=30)) == []


def test_a_venues_own_volume_counts():
    """As so many trades as it says; no trades are no volume."""
    market = processor(update_frequency_ms=1_000)
    play(market, VolumeUpdate(5, 1, SECOND, SECOND, 3, 2**127, 2**128 - 1), VolumeUpdate(5, 1, SECOND, SECOND, 0, 1, 1))
    play(market, VolumeUpdate(5, 1, SECOND, SECOND, 1, 2**127, 1))
    (told,) = play(market, end(block=5))
    assert told.volumes == (MarketVolume(MarketRef(1, 5), 4, 2**128 - 1, 2**128 - 1),)


def test_the_prices_of_loans_are_told_as_they_change():
    """From the window on in which a loan came; tokens of other pools are not told."""
    market = priced(update_frequency_ms=1_000)
    assert play(market, loan("l1", E18, 10**6), gas(7)) == [loan("l1", E18, 10**6), gas(7)]
    (told,) = play(market, end(block=2))
    assert told.prices == (TokenPrice(named("WETH"), q(2_000, 18)), TokenPrice(named("USDC"), q(1, 6)))
    play(market, sync("u1", 2_500 * 10**6, E18, block=2))
    told, _ = play(market, end(block=3))
    assert told.prices == (TokenPrice(named("WETH"), q(2_500, 18)),)
    assert told.native_usd_q112 == q(2_500, 18)
    play(market, sync("u1", 5_000 * 10**6, 2 * E18, block=3))
    told, _ = play(market, end(block=4))
    assert (told.prices, told.pools_changed) == ((), 1)


def test_the_tokens_of_loans_are_bounded():
    """What is beyond is passed on, and counted."""
    market = processor()
    for number in range(WATCH_LIMIT):
        play(market, loan("l", 1, 1, tokens=("SAME", f"T{number}")))
    assert market.skipped == {"token of a loan beyond the limit: its price is not told": 1}


# Settings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pools_to_monitor": 0}, "pools_to_monitor = 0: must be an integer from 1"),
        ({"update_frequency_ms": 1.5}, "update_frequency_ms = 1.5: must be an integer"),
        ({"reorg_depth": True}, "reorg_depth = True"),
        ({"tick_source": "guess"}, "must be one of quotes, trades"),
        ({"native_token": ""}, "native_token = '': must be a token's symbol"),
        ({"native_price_usd": 2000.0}, r'write|must be a decimal amount of USD, such as Decimal\("2000.0"\)'),
        ({"native_price_usd": Decimal("NaN")}, "must be from 0 to"),
        ({"native_price_usd": Decimal(-1)}, "must be from 0 to"),
        ({"native_price_usd": Decimal("0.123456789")}, "more than the 8 decimals"),
        ({"usd_prices": ["USDC"]}, "must be a table of prices"),
        ({"usd_prices": {"USDC": 0}}, "usd_prices.USDC = 0: a price must be above 0"),
        ({"usd_prices": {"": 1}}, "must be a token's symbol"),
        ({"usd_prices": {"USDC": "1"}}, "usd_prices.USDC = '1'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, complaint):
    """With the name of the setting, its value, and what would be right."""
    with pytest.raises(SettingError, match=complaint) as caught:
        MarketDataProcessor(**settings)
    assert caught.value.setting.split(".")[0] == next(iter(settings))
