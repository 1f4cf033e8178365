"""A simulated market is the same for a seed, and what its pools do is what such pools do."""

import hashlib
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spore
from spore.errors import UsageError
from spore.feeds.market_model import FEE, MarketModel, trade
from spore.feeds.simulator import SimFeed
from spore.services.messages import GasPrice, PoolListed, PoolSwap, PoolSync, TransactionEnd


def told(rest):
    return list(SimFeed.from_spec(rest, {}).messages())


def encoded(messages):
    return b"".join(spore.codec.encode(m, sequence=n, timestamp_ns=m.event_time_ns) for n, m in enumerate(messages))


@given(st.integers(0, 2**64 - 1), st.integers(0, 400), st.integers(2, 4), st.integers(1, 3))
def test_the_same_settings_give_the_same_bytes(seed, events, venues, tx_swaps):
    """As many messages as were asked for, and all of them can travel."""
    rest = f"seed={seed},events={events},pools={venues * 3},venues={venues},tx_swaps={tx_swaps}"
    first = told(rest)
    assert len(first) == events
    assert encoded(first) == encoded(told(rest))


def test_another_seed_is_another_market():
    """Not only other amounts: other pools."""
    assert told("seed=1,events=1")[0].pool != told("seed=2,events=1")[0].pool


def test_the_numbers_of_a_seed_are_known():
    """The same on every machine and version of Python, so a digest in a report means something elsewhere, too."""
    syncs = [m for m in told("seed=7,events=20000,pools=24,venues=3,tx_swaps=2") if type(m) is PoolSync]
    text = " ".join(f"{m.pool.hex()} {m.tx_hash.hex()} {m.reserve0} {m.reserve1}" for m in syncs)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "05520c4aa7ec5897bbfd39f7c11633f1f06a213fdef01c6287727866f4db7ccb"
    )


def test_a_shorter_run_is_the_beginning_of_a_longer_one():
    """How many messages are asked for changes none of them."""
    assert told("seed=3,events=777") == told("seed=3,events=2000")[:777]


@pytest.fixture(scope="module")
def market():
    """The first 60,000 messages of a market of 12 pools at 3 venues, two swaps in a transaction."""
    model = MarketModel(seed=5, pools=12, venues=3, tx_swaps=2)
    return [message for messages in islice(model.transactions(), 12_000) for message in messages]


def test_every_pair_of_tokens_has_a_pool_at_each_venue(market):
    """Pools are listed before anything else, tokens in order, and each only once."""
    pools = [message for message in market if type(message) is PoolListed]
    assert market[:12] == pools
    assert len({pool.pool for pool in pools}) == 12
    assert all(pool.token0 < pool.token1 for pool in pools)
    pairs = {(pool.token0, pool.token1) for pool in pools}
    assert {(pair, venue) for pair in pairs for venue in (1, 2, 3)} == {
        ((pool.token0, pool.token1), pool.venue) for pool in pools
    }


def test_swaps_are_those_of_constant_product_pools(market):
    """Each is in the Sync before it, pays what the formula says to the unit, and what is kept only grows."""
    reserves = {}
    swaps = 0
    for sync, swap in pairwise(market):
        if type(sync) is PoolSync:
            before, after = reserves.get(sync.pool), (sync.reserve0, sync.reserve1)
            reserves[sync.pool] = after
            if type(swap) is PoolSwap:
                assert (swap.pool, swap.tx_hash, swap.log_index) == (sync.pool, sync.tx_hash, sync.log_index + 1)
                given, taken = (swap.amount0_in, swap.amount1_in), (swap.amount0_out, swap.amount1_out)
                assert after == tuple(b + g - t for b, g, t in zip(before, given, taken, strict=True))
                way = 0 if given[0] else 1
                kept = given[way] * FEE[0]
                assert taken[1 - way] == kept * before[1 - way] // (before[way] * FEE[1] + kept) > 0
                assert (given[1 - way], taken[way]) == (0, 0)
                swaps += 1
    assert swaps > 20_000


def test_order_and_time_are_those_of_a_chain(market):
    """Blocks, transactions and logs only go up; each transaction ends once, with its own hash."""
    placed = [m for m in market if type(m) in {PoolSync, PoolSwap}]
    places = [(m.event_time_ns, m.block_number, m.log_index) for m in placed]
    assert places == sorted(set(places))
    ends = [m for m in market if type(m) is TransactionEnd]
    assert [(m.block_number, m.tx_index) for m in ends] == sorted({(m.block_number, m.tx_index) for m in placed})
    assert len({m.tx_hash for m in ends}) == len(ends)
    gas = [m for m in market if type(m) is GasPrice]
    assert [m.block_number for m in gas] == sorted({m.block_number for m in gas})
    assert all(abs(b.base_fee_wei - a.base_fee_wei) * 8 <= a.base_fee_wei for a, b in pairwise(gas))


def test_opportunities_arise_now_and_then(market):
    """Two pools of a pair are further apart than two fees after some transactions, and after most they are not."""
    pair = {m.pool: (m.token0, m.token1) for m in market if type(m) is PoolListed}
    reserves, paying, ends = {}, 0, 0
    for message in market:
        if type(message) is PoolSync:
            reserves[message.pool] = (message.reserve0, message.reserve1)
        elif type(message) is TransactionEnd:
            ends += 1
            paying += any(
                FEE[0] ** 2 * y * other_x > FEE[1] ** 2 * x * other_y
                for pool, (x, y) in reserves.items()
                for other, (other_x, other_y) in reserves.items()
                if pair[pool] == pair[other]
            )
    assert 0.01 < paying / ends < 0.5


def test_pools_that_have_grown_are_halved():
    """Fees would carry the reserves out of 112 bits after years; before that, somebody takes theirs out."""
    (pool, _) = MarketModel(seed=1, pools=2).make_pools(Random(1))
    pool.reserve0, pool.reserve1 = 4 * pool.start0, 4 * pool.start1
    sync, swap, halved = trade(pool, 0, (1, 2, 3), log_index=4, tx_hash=b"")
    assert (type(swap), halved.log_index) == (PoolSwap, 6)
    assert (halved.reserve0, halved.reserve1) == (sync.reserve0 // 2, sync.reserve1 // 2)
    assert (pool.reserve0, pool.reserve1) == (halved.reserve0, halved.reserve1)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "seed and events must be given, as in sim:seed=1,events=100000"),
        ("seed=1", "events must be given"),
        ("seed=1,events=x", "events='x' is no whole number"),
        ("seed=1,events=-1", "events='-1' is no whole number"),
        ("seed=1,seed=2,events=1", "seed is given twice"),
        ("seed=1,events=1,pool=2", "there is no option 'pool'; its options are seed, events, pools, venues"),
        ("seed=1,events=1,pools=3", "3 pools do not divide among 2 venues"),
        ("seed=1,events=1,venues=5", "venues is 2 to 4, not 5"),
        ("seed=1,events=1,pools=70000", "pools is 2 to 65536, not 70000"),
        ("seed=1,events=1,tx_swaps=0", "tx_swaps is 1 to 1000, not 0"),
    ],
)
def test_settings_that_are_wrong(rest, said):
    """Each error says what would be right."""
    with pytest.raises(UsageError) as caught:
        SimFeed.from_spec(rest, {})
    assert said in str(caught.value)


def test_the_account_and_the_progress_follow():
    """Each message is read and used."""
    feed = SimFeed.from_spec("seed=1,events=1000", {})
    assert feed.progress == 0
    assert len(list(feed.messages())) == 1_000
    assert (feed.progress, feed.account.read, feed.account.used) == (1.0, 1_000, 1_000)
    assert SimFeed.from_spec("seed=1,events=0", {}).progress == 1.0
