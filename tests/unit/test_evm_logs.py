"""Recorded logs of Uniswap V2 pairs: what becomes of each, and what is refused, with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import eth_abi
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.evm_chain import BURN, OTHER, PAIRS, POOLS, POOLS_DATA, TRANSFER, hashed, log, swap_data, sync_data, words
from tests.shared_data import SHARED_DATA, needs_shared_data

from spore import codec
from spore.errors import FeedError, UsageError
from spore.feeds import Account
from spore.feeds.evm import REMEMBERED, SWAP, SYNC, LogDecoder
from spore.feeds.evm_logs import EvmLogsFeed
from spore.feeds.evm_words import four_uint112, two_uint112
from spore.feeds.lines import LINE_LIMIT
from spore.services.messages import ChainReorg, PoolListed, PoolSwap, PoolSync, TransactionEnd

UINT112 = st.integers(0, 2**112 - 1)


def kinds(messages: list[Any]) -> list[str]:
    return [type(message).__name__ for message in messages]


def decode(*logs: Any) -> tuple[list[Any], Account]:
    account = Account()
    decoder = LogDecoder(POOLS, account)
    messages = [message for each in logs for message in decoder.decode(each)]
    return messages + decoder.end(), account


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pools.json").write_text(json.dumps(POOLS_DATA))
    return tmp_path


def feed_of(folder: Path, *lines: Any, name: str = "logs.jsonl") -> EvmLogsFeed:
    data = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return EvmLogsFeed.from_spec(str(folder / name), {})


def read(feed: EvmLogsFeed) -> tuple[list[Any], FeedError]:
    """What a feed hands on before it fails, and how it fails."""
    messages: list[Any] = []
    with pytest.raises(FeedError) as caught:
        messages.extend(iter(feed.messages()))
    return messages, caught.value


# Decoding


@given(UINT112, UINT112)
def test_sync_data_is_read_as_eth_abi_reads_it(reserve0: int, reserve1: int) -> None:
    """Whatever eth-abi writes for a Sync is read back, and so by eth-abi."""
    data = eth_abi.encode(["uint112", "uint112"], [reserve0, reserve1])
    assert two_uint112("0x" + data.hex()) == (reserve0, reserve1) == eth_abi.decode(["uint112", "uint112"], data)


@given(st.tuples(UINT112, UINT112, UINT112, UINT112))
def test_swap_data_is_read_as_eth_abi_reads_it(amounts: tuple[int, ...]) -> None:
    """Whatever eth-abi writes for a Swap is read back, and so by eth-abi."""
    data = eth_abi.encode(["uint256"] * 4, amounts)
    assert four_uint112("0x" + data.hex().upper()) == amounts == eth_abi.decode(["uint256"] * 4, data)


@given(st.integers(1, 2**256 - 1), st.integers(0, 3))
def test_a_word_that_is_no_uint112_is_refused(value: int, word: int) -> None:
    """No amount of a pair has more than 112 bits, in whichever word."""
    values = [0, 0, 0, 0]
    values[word] = value
    if value >> 112:
        with pytest.raises(ValueError, match=f"word {word} is {value:#x}"):
            four_uint112(words(*values))
        with pytest.raises(ValueError, match=f"word {word % 2} is {value:#x}"):
            two_uint112(words(*[value if index == word % 2 else 0 for index in range(2)]))
    else:
        assert four_uint112(words(*values)) == tuple(values)


def test_a_transaction_is_told_whole() -> None:
    """Listing, sync, swap and the end of the transaction follow each other, with place and time of their block."""
    swap = log(topics=[SWAP, hashed(1), hashed(2)], data=swap_data(5, 0, 0, 9), logIndex="0x1")
    messages, account = decode(log(), swap)
    tx_hash, pool = bytes.fromhex(hashed("tx", 7, 0)[2:]), bytes.fromhex(PAIRS[0][2:])
    listed = POOLS.pools[0].listed(100_000_000_000)
    place = (100_000_000_000, 7, 0)
    assert messages == [
        listed,
        PoolSync(*place, 0, tx_hash, pool, 1_000, 2_000),
        PoolSwap(*place, 1, tx_hash, pool, 5, 0, 0, 9),
        TransactionEnd(*place, tx_hash),
    ]
    assert (listed.venue, listed.venue_name, listed.symbol0, listed.symbol1) == (1, "east", "WETH", "")
    assert (listed.decimals0, listed.decimals1) == (18, 18)
    assert account == Account(read=2, used=2)
    for message in messages:
        codec.encode(message, sequence=1, timestamp_ns=0, source=0)


def test_a_pool_is_listed_once() -> None:
    """Each pool is listed just before the first that is told of it."""
    later = {"transactionHash": hashed("tx", 7, 1), "transactionIndex": "0x1"}
    messages, _ = decode(log(), log(logIndex="0x1"), log(address=PAIRS[1], logIndex="0x2", **later))
    assert kinds(messages) == [
        "PoolListed", "PoolSync", "PoolSync", "TransactionEnd", "PoolListed", "PoolSync", "TransactionEnd",
    ]  # fmt: skip


def test_a_transaction_of_nothing_used_has_no_end() -> None:
    """Where a transaction tells nothing, nothing has ended; the one before it has."""
    other = log(address=OTHER, logIndex="0x1", transactionIndex="0x1", transactionHash=hashed("tx", 7, 1))
    account = Account()
    decoder = LogDecoder(POOLS, account)
    assert kinds(decoder.decode(log())) == ["PoolListed", "PoolSync"]
    assert kinds(decoder.decode(other)) == ["TransactionEnd"]
    assert decoder.end() == []


def test_what_is_not_used_is_counted_by_reason() -> None:
    """Other pools, other events and anonymous logs have a reason each."""
    unused = [
        log(address=OTHER, data="0x00"),
        log(topics=[TRANSFER, hashed(1), hashed(2)], logIndex="0x1"),
        log(topics=[BURN, hashed(1), hashed(2)], logIndex="0x2"),
        log(topics=[hashed(3)], logIndex="0x3"),
        log(topics=[], logIndex="0x4"),
    ]
    messages, account = decode(*unused)
    assert messages == []
    assert account.read == 5
    assert account.skipped == {
        "unknown pool": 1,
        "not a swap or sync: Transfer": 1,
        "not a swap or sync: Burn": 1,
        "not a swap or sync: an event that no pair has": 1,
        "not a swap or sync: no topic": 1,
    }


def test_upper_case_and_a_missing_removed_are_read_alike() -> None:
    """Hex digits may be of either case, and `removed` may be left out."""
    shouted = {
        key: value.upper().replace("0X", "0x") if isinstance(value, str) else value
        for key, value in log(removed=None, topics=[SYNC.upper().replace("0X", "0x")]).items()
    }
    assert decode(shouted) == decode(log())


# Reorganisations


def at(number: int, salt: int = 0, index: int = 0, **changes: Any) -> dict[str, Any]:
    place = {
        "blockNumber": hex(number),
        "blockHash": hashed("block", number, salt),
        "blockTimestamp": hex(100 + number - 5 * salt),
        "transactionHash": hashed("tx", number, salt),
        "logIndex": hex(index),
    }
    return log(**(place | changes))


@pytest.mark.parametrize("backwards", [False, True])
def test_removed_logs_roll_back(backwards: bool) -> None:
    """A row of removed logs, in whichever order, says once which block still stands; what follows is the new branch."""
    removed = [at(number, removed=True) for number in (8, 9)]
    if backwards:
        removed.reverse()
    messages, account = decode(at(7), at(8), at(9), *removed, at(8, salt=1))
    assert kinds(messages)[-4:] == ["TransactionEnd", "ChainReorg", "PoolSync", "TransactionEnd"]
    reorg, sync = messages[-3:-1]
    assert reorg == ChainReorg(109_000_000_000, 7)
    assert (sync.block_number, sync.event_time_ns) == (8, 109_000_000_000), "time does not go back"
    assert account == Account(read=6, used=6)


def test_a_file_may_end_with_removed_logs() -> None:
    """The roll-back is told at the end, too."""
    assert decode(at(7), at(7, removed=True))[0][-1] == ChainReorg(107_000_000_000, 6)


def test_what_was_never_told_need_not_be_taken_back() -> None:
    """Removed logs of blocks that were not told are counted."""
    never = [at(8, removed=True), at(7, salt=1, removed=True), at(5, removed=True), at(6, salt=1, removed=True)]
    messages, account = decode(at(6), at(7), *never, at(8))
    assert not any(isinstance(message, ChainReorg) for message in messages)
    assert account.skipped == {"removed, but never told": 4}


def test_what_is_removed_too_late_is_refused() -> None:
    """Blocks are remembered for a while, and a reorganisation that is deeper is an error."""
    logs = [at(number) for number in range(1, REMEMBERED + 2)]
    assert decode(*logs, at(2, removed=True))[0][-1].block_number == 1
    with pytest.raises(ValueError, match=f"blockNumber: 1 is removed, more than {REMEMBERED} blocks with logs after"):
        decode(*logs, at(1, removed=True))


# Bad input

GOOD = log()
MISTAKES = {
    "no object": ([1], "is no log, which is a JSON object"),
    **{
        f"no {key}": (log(**{key: None}), f"the key '{key}' is missing")
        for key in GOOD
        if key != "removed"
    },
    "number as number": (log(blockNumber=7), "blockNumber: 7 is no quantity such as 0x1b4"),
    "number with spaces": (log(blockNumber=" 0x7"), "blockNumber: ' 0x7' is no quantity"),
    "number with underscore": (log(logIndex="0x1_0"), "logIndex: '0x1_0' is no quantity"),
    "number without digits": (log(logIndex="0x"), "logIndex: '0x' is no quantity"),
    "number of other digits": (log(logIndex="0x١"), "logIndex: '0x١' is no quantity"),
    "number too large": (log(logIndex="0x100000000"), "logIndex: '0x100000000' does not fit 32 bits"),
    "time too large": (log(blockTimestamp="0xffffffffff"), "blockTimestamp: 1099511627775 of block 7 must be"),
    "hash too short": (log(blockHash="0x12"), "blockHash: '0x12' is not 0x and 64 hex digits"),
    "hash with spaces": (log(transactionHash="0x" + "1 " * 32), "transactionHash: '0x1 1 .* is not 0x and 64 hex"),
    "hash with no digits": (log(transactionHash="0x" + "zz" * 32), "transactionHash: .* is not 0x and 64 hex"),
    "address too long": (log(address=OTHER + "00"), "address: .* is not 0x and 40 hex digits"),
    "address as number": (log(address=3), "address: 3 is not 0x and 40 hex digits"),
    "topics as text": (log(topics=SYNC), "topics: .* is no array of at most four hashes"),
    "five topics": (log(topics=[SYNC] * 5), "topics: .* is no array of at most four hashes"),
    "topic as number": (log(topics=[1]), "topics: .* is no array of at most four hashes"),
    "a sync with two topics": (log(topics=[SYNC, SYNC]), "topics: 2, and this event has 1"),
    "a swap with one topic": (log(topics=[SWAP]), "topics: 1, and this event has 3"),
    "data too short": (log(data=sync_data(1, 2)[:-2]), "data: .* is not 0x and 128 hex digits"),
    "data too long": (log(data=sync_data(1, 2) + "00"), "data: .* is not 0x and 128 hex digits"),
    "data with no digits": (log(data=sync_data(1, 2)[:-2] + "g0"), "data: .* is not 0x and 128 hex digits"),
    "data without prefix": (log(data="00" + sync_data(1, 2)[2:]), "data: .* is not 0x and 128 hex digits"),
    "a reserve too large": (log(data=sync_data(1, 1 << 112)), "data: word 1 is 0x10+, and an amount of a pair has 112"),
    "removed as text": (log(removed="yes"), "removed: 'yes' is neither true nor false"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_log_with_a_mistake_is_refused_with_its_line(folder: Path, mistake: str) -> None:
    """What came before is handed on; the error names the file, the line, the key, and what would be right."""
    wrong, reason = MISTAKES[mistake]
    early = {"blockTimestamp": "0x10"}
    messages, error = read(feed_of(folder, at(3, **early), at(4, **early), wrong))
    assert kinds(messages[:4]) == ["PoolListed", "PoolSync", "TransactionEnd", "PoolSync"]
    assert (error.source, error.line) == (str(folder / "logs.jsonl"), 3)
    assert str(error).startswith(f"{folder / 'logs.jsonl'}:3: ")
    with pytest.raises(FeedError, match=reason):
        raise error


ORDERS = {
    "twice": ([at(7), at(7)], "logIndex: 0 in block 7 comes after 0: out of order, or twice"),
    "log back": ([at(7, index=2), at(7, index=1)], "logIndex: 1 in block 7 comes after 2"),
    "block back": ([at(7), at(6)], "blockNumber: 6 comes after block 7, and no log was removed"),
    "two hashes": ([at(7), at(7, salt=1, index=1)], "blockHash: block 7 has two hashes"),
    "two times": ([at(7), at(7, index=1, blockTimestamp="0x1")], "blockTimestamp: block 7 has two times, 107 and 1"),
    "time back": ([at(7), at(8, blockTimestamp="0x1")], "blockTimestamp: 1 of block 8 must be at least 107"),
    "two transactions of one index": (
        [at(7), at(7, index=1, transactionHash=hashed("x"))],
        "transactionIndex: 0 in block 7 comes after another transaction of index 0",
    ),
    "transaction back": (
        [at(7, transactionIndex="0x2"), at(7, index=1, transactionIndex="0x1")],
        "transactionIndex: 1 in block 7 comes after another transaction of index 2",
    ),
    "the block that stands, again": (
        [at(7), at(8), at(8, removed=True), at(7, index=5)],
        "blockNumber: 7 comes after block 7, which is told, and stands",
    ),
    "the first block removed": ([at(0), at(0, removed=True)], "the first block of a chain cannot be removed"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ORDERS)
def test_logs_out_of_order_are_refused(folder: Path, mistake: str) -> None:
    """Positions only grow, unless a log is removed."""
    logs, reason = ORDERS[mistake]
    _, error = read(feed_of(folder, *logs))
    assert error.line == len(logs)
    with pytest.raises(FeedError, match=reason):
        raise error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'a': 1}", "no JSON: .* at character 2"),
        ("", "no JSON: "),
        ('{"address": "0x', "no JSON: Unterminated string starting at character 13;"),
        ("[" * 100_000, "nested too deeply"),
        ("\udcff", "no UTF-8"),
    ],
)
def test_a_line_that_is_not_json_is_refused(folder: Path, line: str, reason: str) -> None:
    """The error has the line and says what a line is."""
    path = folder / "logs.jsonl"
    path.write_bytes(json.dumps(log()).encode() + b"\n" + line.encode("utf-8", "surrogateescape") + b"\n")
    messages, error = read(EvmLogsFeed.from_spec(str(path), {}))
    assert (kinds(messages), error.line) == (["PoolListed", "PoolSync"], 2)
    with pytest.raises(FeedError, match=reason):
        raise error


def test_a_line_without_an_end_is_refused_before_it_is_held(folder: Path) -> None:
    """A line has a limit."""
    feed = feed_of(folder, log(), "x" * (LINE_LIMIT + 1))
    _, error = read(feed)
    assert (error.line, error.reason) == (2, f"a line of more than {LINE_LIMIT} bytes")


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_truncated_gzip_file_gives_what_it_has(folder: Path, cut: int) -> None:
    """What can be unpacked is handed on, then the error says at which line the file ends."""
    path = folder / "logs.jsonl.gz"
    lines = [at(number, data=sync_data(int(hashed(number)[2:30], 16), 1)) for number in range(500)]
    feed_of(folder, *lines, name=path.name)
    path.write_bytes(path.read_bytes()[:-cut])
    messages, error = read(EvmLogsFeed.from_spec(str(path), {}))
    assert [m.block_number for m in messages if isinstance(m, PoolSync)] == list(range(error.line - 1))
    assert error.line > 400
    assert error.reason == "the gzip file ends in the middle: it was cut off"


@pytest.mark.parametrize("at_byte", [0, 40, -6])
def test_a_damaged_gzip_file_is_refused(folder: Path, at_byte: int) -> None:
    """Damage to the head, the body or the checksum is found."""
    path = folder / "logs.jsonl.gz"
    feed_of(folder, *[at(number) for number in range(50)], name=path.name)
    data = bytearray(path.read_bytes())
    data[at_byte] ^= 0xFF
    path.write_bytes(data)
    _, error = read(EvmLogsFeed.from_spec(str(path), {}))
    assert error.source == str(path)
    assert error.line is not None


# The feed


def test_plain_and_compressed_files_give_the_same(folder: Path) -> None:
    """Compression changes nothing, and an empty file has no messages."""
    logs = [at(number) for number in range(300)]
    plain, packed = feed_of(folder, *logs), feed_of(folder, *logs, name="logs.gz")
    assert list(plain.messages()) == list(packed.messages()) == decode(*logs)[0]
    assert plain.progress == packed.progress == 1.0
    assert list(feed_of(folder, name="none").messages()) == []


def test_progress_grows_with_the_bytes_read(folder: Path) -> None:
    """It begins with nothing and ends with all."""
    feed = feed_of(folder, *[at(number, data=sync_data(number, 1)) for number in range(3_000)], name="logs.gz")
    seen = [feed.progress, *[feed.progress for _ in feed.messages()]]
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    assert 0.0 < seen[len(seen) // 2] < 1.0


async def test_batches_hand_on_what_came_before_an_error(folder: Path) -> None:
    """Read by batches, too, everything before a mistake is handed on."""
    got: list[Any] = []

    async def take_all() -> None:
        async for batch in feed_of(folder, at(7), "nonsense").batches():
            got.extend(batch)

    with pytest.raises(FeedError):
        await take_all()
    assert kinds(got) == ["PoolListed", "PoolSync"]


def test_pools_may_be_elsewhere(folder: Path) -> None:
    """`?pools=PATH` names the list of pools."""
    feed_of(folder, at(7))
    (folder / "pools.json").rename(folder / "mine.json")
    feed = EvmLogsFeed.from_spec(str(folder / "logs.jsonl"), {"pools": str(folder / "mine.json")})
    assert len(list(feed.messages())) == 3
    with pytest.raises(FeedError, match=r"pools\.json: the list of pools cannot be read: No such file"):
        EvmLogsFeed.from_spec(str(folder / "logs.jsonl"), {})


def test_options_and_files_that_are_not_there_are_refused(folder: Path) -> None:
    """Each mistake in the feed's name has a sentence."""
    with pytest.raises(UsageError, match="there is no option 'pool'; its options are pools"):
        EvmLogsFeed.from_spec("x", {"pool": "y"})
    with pytest.raises(UsageError, match="names no file"):
        EvmLogsFeed.from_spec("", {})
    with pytest.raises(FeedError, match="none: there is no such file"):
        EvmLogsFeed.from_spec(str(folder / "none"), {})
    with pytest.raises(FeedError, match="is a folder"):
        EvmLogsFeed.from_spec(str(folder), {})


def change(path: str, value: Any) -> dict[str, Any]:
    """The list of pools with one value changed, or left out if it is `...`."""
    data = json.loads(json.dumps(POOLS_DATA))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = data
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("chain_id", ..., "chain_id"),
        ("chain_id", "one", "chain_id"),
        ("pools", [], "pools: there is none"),
        ("pools.1.address", PAIRS[0], r"pools\[1\].address: 0xa1.* is there 2 times"),
        ("pools.1.address", "0x12", r"pools\[1\].address"),
        ("pools.0.venue", "", r"pools\[0\].venue: is empty"),
        ("pools.0.venue", 3, r"pools\[0\].venue"),
        ("pools.0.token0", "0x" + "33" * 20, r"pools\[0\].token0: is not below token1"),
        ("pools.0.token1", ..., r"json: pools\[0\].token1: the key 'token1' is missing"),
        ("pools.0.address", "0x12", r"json: pools\[0\].address: 1 bytes, and bytes20 has 20$"),
        ("pools.0.fee_numerator", 1001, r"pools\[0\].fee_numerator: 1001 of fee_denominator 1000"),
        ("pools.0.fee_numerator", 0, r"pools\[0\].fee_numerator: 0 of"),
        ("pools.0.fee_numerator", 0.3, r"pools\[0\].fee_numerator"),
        ("pools.0.fee", 30, "unknown keys fee"),
        ("tokens.0.decimals", 256, r"tokens\[0\].decimals"),
        ("tokens.1", {"address": TRANSFER[:42], "symbol": "X"}, "decimals"),
    ],
)  # fmt: skip
def test_a_list_of_pools_with_a_mistake_is_refused(folder: Path, path: str, value: Any, reason: str) -> None:
    """The error names the file and the key."""
    data = change("tokens", [*POOLS_DATA["tokens"], value]) if path == "tokens.1" else change(path, value)
    (folder / "pools.json").write_text(json.dumps(data))
    with pytest.raises(FeedError, match=reason) as caught:
        feed_of(folder)
    assert caught.value.source == str(folder / "pools.json")


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "\udcff"])
def test_a_list_of_pools_that_is_not_json_is_refused(folder: Path, text: str) -> None:
    """The error says so."""
    (folder / "pools.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FeedError, match="no JSON"):
        feed_of(folder)


# Real recordings


@needs_shared_data
def test_the_recorded_session_has_the_reserves_that_the_contracts_had() -> None:
    """After every transaction the reserves are those that the pair contracts reported; and every log is accounted for."""
    folder = SHARED_DATA / "uniswap_v2_session"
    with gzip.open(folder / "truth.jsonl.gz") as lines:
        truth = [json.loads(line) for line in lines]
    feed = EvmLogsFeed.from_spec(str(folder / "logs.jsonl.gz"), {})
    reserves = {address: ["0", "0"] for address in truth[0]["reserves"]}
    ends = []
    times = []
    for message in feed.messages():
        times.append(message.event_time_ns)
        if isinstance(message, PoolListed):
            assert message.fee_numerator == 997
        elif isinstance(message, PoolSync):
            reserves[f"0x{message.pool.hex()}"] = [str(message.reserve0), str(message.reserve1)]
        elif isinstance(message, TransactionEnd):
            ends.append((message.block_number, message.tx_index, f"0x{message.tx_hash.hex()}", dict(reserves)))
    expected = [(line["block"], line["tx_index"], line["tx_hash"], line["reserves"]) for line in truth]
    # The truth has one line for the last block, whose four swaps came in one block; it is after the last of them.
    assert [end for end in ends if end[0] < 3_058 or end[1] == 7] == expected
    assert len(ends) == len(truth) + 3
    assert times == sorted(times)
    assert feed.account == Account(
        read=3_346,
        used=2_972,
        skipped={"not a swap or sync: Transfer": 227, "not a swap or sync: Mint": 71, "not a swap or sync: Burn": 76},
    )


@needs_shared_data
def test_every_log_of_two_mainnet_blocks_is_accounted_for() -> None:
    """681 logs: the syncs and swaps of the listed pairs are used, the others have a reason."""
    feed = EvmLogsFeed.from_spec(str(SHARED_DATA / "ethereum_mainnet" / "blocks_17173049_17173050_logs.jsonl.gz"), {})
    messages = trio.run(_all_of, feed)
    assert kinds(messages).count("PoolSync") == kinds(messages).count("PoolSwap") == 69
    account = feed.account
    assert (account.read, account.used) == (681, 138)
    assert account.read == account.used + sum(account.skipped.values())
    assert account.skipped == {"unknown pool": 533, "not a swap or sync: an event that no pair has": 10}


@needs_shared_data
def test_the_decoder_reads_real_logs_as_eth_abi_does() -> None:
    """Every Sync and Swap of the recorded session, compared with eth-abi."""
    folder = SHARED_DATA / "uniswap_v2_session"
    with gzip.open(folder / "logs.jsonl.gz") as lines:
        logs = [json.loads(line) for line in lines]
    expected = []
    for each in logs:
        data = bytes.fromhex(each["data"][2:])
        if each["topics"][0] == SYNC:
            expected.append(eth_abi.decode(["uint112", "uint112"], data))
        elif each["topics"][0] == SWAP:
            expected.append(eth_abi.decode(["uint256"] * 4, data))
    got: list[Any] = []
    for message in EvmLogsFeed.from_spec(str(folder / "logs.jsonl.gz"), {}).messages():
        if isinstance(message, PoolSync):
            got.append((message.reserve0, message.reserve1))
        elif isinstance(message, PoolSwap):
            got.append((message.amount0_in, message.amount1_in, message.amount0_out, message.amount1_out))
    assert got == expected


async def _all_of(feed: EvmLogsFeed) -> list[Any]:
    return [message async for batch in feed.batches() for message in batch]
