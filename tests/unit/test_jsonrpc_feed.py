"""The live node, without a network: whatever order things arrive in, the same is told; nonsense is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evm_chain import PAIRS, POOLS, POOLS_DATA, FakeBlock, branch, hashed
from tests.fake_node import FakeNode, Wire

from spore.errors import FeedError, UsageError
from spore.feeds import Account
from spore.feeds.chain_follower import AHEAD, ATTEMPTS, ChainFollower
from spore.feeds.evm import REMEMBERED, LogDecoder
from spore.feeds.jsonrpc import NodeFeed
from spore.feeds.node_session import PENDING_LIMIT, NodeSession
from spore.services.messages import ChainReorg, GasPrice, PoolListed, PoolSync

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=2).map(tuple)
BLOCKS = st.lists(st.lists(EVENTS, max_size=2).map(tuple), min_size=1, max_size=4)
"""What happens in some blocks: transactions of (pair, reserve); the third pair is none of ours."""


class Follow:
    """A follower, its connections, and what it has told."""

    def __init__(self, node: FakeNode, **options: Any) -> None:
        self.node = node
        self.account = Account()
        self.follower = ChainFollower(LogDecoder(POOLS, self.account), **options)
        self.told: list[Any] = []
        self.most_asked = 0
        self.connect()

    def connect(self) -> None:
        self.session = NodeSession(self.follower, POOLS)
        self.wire = Wire(self.node, self.session.receive)
        self.pass_on()

    def pass_on(self) -> None:
        for outgoing in self.session.take_outgoing():
            self.wire.send(outgoing.text)
        self.told += self.follower.take_messages()
        self.most_asked = max(self.most_asked, len(self.wire.waiting))

    def answer(self, index: int = 0) -> None:
        self.wire.answer(index)
        self.pass_on()

    def settle(self) -> list[Any]:
        """Answer until nothing is asked any more."""
        for _ in range(10_000):
            if not self.wire.waiting:
                return self.told
            self.answer()
        raise AssertionError("it asks for ever")

    def head(self, block: FakeBlock) -> None:
        self.wire.head(block)
        self.pass_on()

    def log(self, log: dict[str, Any]) -> None:
        self.wire.log(log)
        self.pass_on()


def recorded(chain: list[FakeBlock]) -> list[Any]:
    """What `evm-logs` makes of the chain's logs."""
    decoder = LogDecoder(POOLS, Account())
    messages = [message for block in chain for each in block.logs() for message in decoder.decode(each)]
    return messages + decoder.end()


def announcements(blocks: list[FakeBlock]) -> list[tuple[str, Any]]:
    return [
        each
        for block in blocks
        for each in [("head", block), *[("log", each) for each in block.logs() if each["address"] in PAIRS]]
    ]


def timeless(messages: list[Any]) -> list[Any]:
    return [attrs.evolve(message, event_time_ns=0) for message in messages]


def standing(messages: list[Any]) -> list[Any]:
    """What is left of it once everything is taken back that was to be, without listings."""
    left: list[Any] = []
    for message in messages:
        if isinstance(message, ChainReorg):
            left = [each for each in left if each.block_number <= message.block_number]
        elif not isinstance(message, PoolListed):
            left.append(message)
    return timeless(left)


def whole(chain: list[FakeBlock]) -> list[Any]:
    """What the chain amounts to, gas included, without listings."""
    messages: list[Any] = []
    for block in chain:
        messages.append(GasPrice(0, block.number, int(block.head()["baseFeePerGas"], 16), 0))
        messages += [each for each in recorded([block]) if not isinstance(each, PoolListed)]
    return timeless(messages)


# Any order


@given(BLOCKS, BLOCKS, st.data())
def test_any_order_of_arrival_tells_the_same(before: list[Any], after: list[Any], data: st.DataObject) -> None:
    """Heads, logs and answers in any order, announcements missing or twice: the messages are those of the recording."""
    old = branch(None, len(before), salt=0, transactions=before)
    new = branch(old[-1], len(after), salt=1, transactions=after)
    node = FakeNode(old)
    follow = Follow(node, first=3, last=new[-1].number)
    news: list[tuple[str, Any]] = []
    grown = 0
    for _ in range(data.draw(st.integers(0, 60))):
        if grown < len(new) and data.draw(st.booleans()):
            node.chain = old + new[: grown + 1]
            news += announcements([new[grown]])
            grown += 1
        elif follow.wire.waiting and data.draw(st.booleans()):
            follow.answer(data.draw(st.integers(0, len(follow.wire.waiting) - 1)))
        elif news:
            kind, what = news.pop(data.draw(st.integers(0, len(news) - 1)))
            for _ in range(data.draw(st.integers(0, 2))):
                getattr(follow, kind)(what)
    node.chain = old + new
    follow.settle()
    follow.head(new[-1])
    told = follow.settle()
    assert [message for message in told if not isinstance(message, GasPrice)] == recorded(old + new)
    assert [message.block_number for message in told if isinstance(message, GasPrice)] == [b.number for b in old + new]
    assert follow.follower.done
    assert follow.account.read == follow.account.used + sum(follow.account.skipped.values())
    assert follow.account.used == sum(1 for b in old + new for each in b.logs() if each["address"] in PAIRS)


@given(BLOCKS, st.data())
def test_whatever_the_chain_does_what_stands_is_what_it_is(start: list[Any], data: st.DataObject) -> None:
    """Through growth, reorganisations and lost connections, what was told and not taken back is the chain."""
    node = FakeNode(branch(None, 3 + len(start), salt=0, transactions=[(), (), (), *start]))
    follow = Follow(node, first=3)
    news: list[tuple[str, Any]] = []
    for step in range(data.draw(st.integers(0, 60))):
        match data.draw(st.sampled_from(["answer", "answer", "news", "news", "grow", "reorganise", "reconnect"])):
            case "answer" if follow.wire.waiting:
                follow.answer(data.draw(st.integers(0, len(follow.wire.waiting) - 1)))
            case "news" if news:
                kind, what = news.pop(data.draw(st.integers(0, len(news) - 1)))
                getattr(follow, kind)(what)
            case "grow":
                events = data.draw(BLOCKS)
                blocks = branch(node.chain[-1], len(events), salt=step, transactions=events)
                node.chain = node.chain + blocks
                news += announcements(blocks)
            case "reorganise":
                depth = data.draw(st.integers(1, len(node.chain) - 1))
                events = data.draw(BLOCKS)
                blocks = branch(node.chain[-1 - depth], len(events), salt=step, transactions=events)
                gone = node.reorganise(depth, blocks)
                news += announcements(blocks)
                news += [("log", each | {"removed": True}) for block in gone for each in block.logs()]
            case "reconnect":
                follow.connect()
                news.clear()
    follow.settle()
    # However short the branch has become, it goes on, and every new head is announced.
    last = branch(node.chain[-1], 40, salt=99)
    for block in last:
        node.chain = [*node.chain, block]
        follow.head(block)
        follow.settle()
    assert standing(follow.told) == whole(node.chain)
    times = [message.event_time_ns for message in follow.told]
    assert times == sorted(times)
    listed: set[bytes] = set()
    for message in follow.told:
        if isinstance(message, PoolListed):
            assert message.pool not in listed
            listed.add(message.pool)
        elif isinstance(message, PoolSync):
            assert message.pool in listed


# One thing at a time


def chain_of(length: int) -> list[FakeBlock]:
    return branch(None, length, salt=0, transactions=[(((0, number + 1),),) for number in range(length)])


def test_a_head_is_enough_and_saves_a_question() -> None:
    """Once a head is announced, all that is asked for is its logs."""
    node = FakeNode(chain_of(2))
    follow = Follow(node)
    follow.settle()
    block = branch(node.chain[-1], 1, salt=1)[0]
    node.chain = [*node.chain, block]
    follow.head(block)
    assert [request["method"] for request in follow.wire.waiting] == ["eth_getLogs"]


def test_a_log_alone_announces_its_block() -> None:
    """The block is told even if its head is never announced."""
    node = FakeNode(chain_of(1))
    follow = Follow(node)
    follow.settle()
    block = branch(node.chain[-1], 1, salt=1, transactions=[(((1, 8),),)])[0]
    node.chain = [*node.chain, block]
    follow.log(block.logs()[0])
    assert standing(follow.settle()) == whole(node.chain)


def test_it_begins_with_the_newest_block() -> None:
    """Without `from_block`, older blocks are not told; with `blocks`, so many are."""
    node = FakeNode(chain_of(9))
    follow = Follow(node, count=2)
    assert standing(follow.settle()) == whole(node.chain[-1:])
    assert not follow.follower.done
    node.chain = node.chain + branch(node.chain[-1], 5, salt=1)
    follow.head(node.chain[-1])
    assert standing(follow.settle()) == whole(node.chain[8:10])
    assert follow.follower.done


@pytest.mark.parametrize("first", [3, None])
def test_confirmations_hold_blocks_back(first: int | None) -> None:
    """A block is told once enough others stand on it, and not before."""
    node = FakeNode(chain_of(6))
    follow = Follow(node, first=first, confirmations=2)
    assert standing(follow.settle()) == whole(node.chain[:4] if first else node.chain[3:4])
    node.chain = node.chain + branch(node.chain[-1], 1, salt=1)
    follow.head(node.chain[-1])
    assert standing(follow.settle()) == whole(node.chain[:5] if first else node.chain[3:5])


def test_reorganisations_within_the_confirmations_are_not_noticed() -> None:
    """What was not told need not be taken back."""
    node = FakeNode(chain_of(6))
    follow = Follow(node, first=3, confirmations=3)
    follow.settle()
    node.reorganise(3, branch(node.chain[2], 5, salt=1))
    for block in node.chain[3:]:
        follow.head(block)
    told = follow.settle()
    assert not any(isinstance(message, ChainReorg) for message in told)
    assert standing(told) == whole(node.chain[:5])


def test_a_reorganisation_without_removed_logs_is_seen_by_its_heads() -> None:
    """Lower heads of another branch take back what they replace: once, from the block where the branches part."""
    node = FakeNode(chain_of(6))
    follow = Follow(node, first=3)
    follow.settle()
    node.reorganise(2, branch(node.chain[3], 2, salt=1, transactions=[(((1, 5),),)]))
    for block in node.chain[4:]:
        follow.head(block)
    told = follow.settle()
    assert [message.block_number for message in told if isinstance(message, ChainReorg)] == [6]
    assert standing(told) == whole(node.chain)


def test_a_reorganisation_that_is_seen_only_by_the_parent_is_followed() -> None:
    """A head whose parent is not the last that was told leads back to where the branches part."""
    node = FakeNode(chain_of(6))
    follow = Follow(node, first=3)
    follow.settle()
    node.reorganise(4, branch(node.chain[1], 5, salt=1))
    follow.head(node.chain[-1])
    told = follow.settle()
    assert [message.block_number for message in told if isinstance(message, ChainReorg)] == [4]
    assert standing(told) == whole(node.chain)


def test_everything_that_was_told_may_be_taken_back() -> None:
    """A reorganisation below the first block that was told leads back to just before it."""
    node = FakeNode(chain_of(6))
    follow = Follow(node, first=7)
    follow.settle()
    node.reorganise(5, branch(node.chain[0], 6, salt=1))
    follow.head(node.chain[-1])
    told = follow.settle()
    assert [message.block_number for message in told if isinstance(message, ChainReorg)] == [6]
    assert standing(told) == whole(node.chain[4:])


def test_a_reconnection_misses_nothing() -> None:
    """What happened while nobody listened, a reorganisation too, is told afterwards."""
    node = FakeNode(chain_of(4))
    follow = Follow(node, first=3)
    follow.settle()
    node.reorganise(1, branch(node.chain[2], 30, salt=1, transactions=[(((1, 5),),)] * 30))
    follow.connect()
    assert standing(follow.settle()) == whole(node.chain)
    follow.connect()
    assert standing(follow.settle()) == whole(node.chain), "and nothing is told twice"


def test_a_connection_may_be_lost_on_the_way_back() -> None:
    """What was taken back before the connection was lost is told to be so, even if the old branch has come back."""
    old = chain_of(6)
    node = FakeNode(old)
    follow = Follow(node, first=3)
    follow.settle()
    node.reorganise(3, branch(old[2], 4, salt=1))
    follow.head(node.chain[-1])
    while [hex(7), False] not in [request["params"] for request in follow.wire.waiting]:
        follow.answer()
    node.chain = old[:5] + branch(old[4], 1, salt=2)
    follow.connect()
    told = follow.settle()
    assert [message.block_number for message in told if isinstance(message, ChainReorg)] == [7]
    assert standing(told) == whole(node.chain)


def test_catching_up_asks_for_some_blocks_at_once() -> None:
    """However far behind it is, what is asked for and held is bounded."""
    node = FakeNode(chain_of(400))
    follow = Follow(node, first=3)
    assert standing(follow.settle()) == whole(node.chain)
    assert AHEAD / 2 < follow.most_asked <= AHEAD + 1


def test_a_check_finds_what_was_never_announced() -> None:
    """Asked for when nothing is heard for long, the newest block is told."""
    node = FakeNode(chain_of(2))
    follow = Follow(node, first=3)
    follow.settle()
    node.chain = node.chain + branch(node.chain[-1], 1, salt=1)
    follow.follower.check()
    follow.pass_on()
    assert standing(follow.settle()) == whole(node.chain)


def test_logs_that_an_answer_leaves_out_are_asked_for_again() -> None:
    """An answer without a log that was announced is none: the block is not told without it."""
    node = FakeNode(chain_of(1))
    follow = Follow(node, first=3)
    follow.settle()
    block = branch(node.chain[-1], 1, salt=1, transactions=[(((0, 4),),)])[0]
    node.chain = [*node.chain, block]
    follow.head(block)
    request = follow.wire.waiting.pop()
    follow.log(block.logs()[-1])
    follow.session.receive(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": block.logs()[:1]}))
    follow.pass_on()
    assert standing(follow.told) == whole(node.chain[:1])
    assert standing(follow.settle()) == whole(node.chain)


def test_a_block_that_was_told_without_a_log_is_taken_back() -> None:
    """A log that is announced after its block was told without it makes the block be told again."""
    node = FakeNode(chain_of(1))
    follow = Follow(node, first=3)
    follow.settle()
    block = branch(node.chain[-1], 1, salt=1, transactions=[(((0, 4),),)])[0]
    node.chain = [*node.chain, block]
    follow.head(block)
    request = follow.wire.waiting.pop()
    follow.session.receive(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": []}))
    follow.pass_on()
    follow.log(block.logs()[-1])
    assert follow.told[-1] == ChainReorg(follow.told[-2].event_time_ns, 3)
    assert standing(follow.settle()) == whole(node.chain)


# Nonsense


def answer_with(follow: Follow, method: str, result: Any, *, key: str = "result") -> None:
    """Answer everything until such a request comes, and that one with what is given."""
    for _ in range(1_000):
        request = follow.wire.waiting[0]
        if request["method"] == method:
            follow.wire.waiting.pop(0)
            follow.session.receive(json.dumps({"jsonrpc": "2.0", "id": request["id"], key: result}))
            follow.pass_on()
            return
        follow.answer()
    raise AssertionError(f"it never asks {method}")


def settle_with(follow: Follow, method: str, result: Any) -> None:
    answer_with(follow, method, result)
    follow.settle()


def refuse_logs_for_ever(follow: Follow) -> None:
    for _ in range(100):
        answer_with(follow, "eth_getLogs", {"code": -32000, "message": "unknown block"}, key="error")


def ask_for_ever(follow: Follow) -> None:
    for salt in range(2 * PENDING_LIMIT):
        follow.head(branch(follow.node.chain[salt % 2], 1, salt=salt)[0])
        follow.follower.connected()
        follow.pass_on()


BLOCK = chain_of(1)[0]
NONSENSE = {
    "chain": ("eth_chainId", "0x1", "the node is on chain 1, and the list of pools on chain 31337"),
    "chain as number": ("eth_chainId", 1, "eth_chainId: 1 is no quantity"),
    "subscription": ("eth_subscribe", {"a": 1}, "is no subscription"),
    "block": ("eth_getBlockByNumber", "0x1", "'0x1' is no block, which is a JSON object"),
    "no newest block": ("eth_getBlockByNumber", None, "None is no block"),
    "block without hash": ("eth_getBlockByNumber", {"number": "0x3"}, "the key 'hash' is missing"),
    "fee": ("eth_getBlockByNumber", BLOCK.head() | {"baseFeePerGas": "-1"}, "baseFeePerGas: '-1' is no quantity"),
    "logs": ("eth_getLogs", {}, "{} is no list of logs"),
    "log": ("eth_getLogs", [7], "7 is no log"),
    "log of another block": ("eth_getLogs", [BLOCK.logs()[0] | {"blockHash": hashed(1)}], "the answer has a log of"),
    "removed log": ("eth_getLogs", [BLOCK.logs()[0] | {"removed": True}], "removed: True in an answer"),
    "log twice": ("eth_getLogs", [BLOCK.logs()[0]] * 2, "logIndex: 0 in block 3 comes after 0"),
    "log without data": ("eth_getLogs", [BLOCK.logs()[0] | {"data": "0x"}], "data: '0x' is not 0x and 128 hex digits"),
    "time of a log": ("eth_getLogs", [BLOCK.logs()[0] | {"blockTimestamp": "0x1"}], "block 3 has two times"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_an_answer_that_makes_no_sense_is_refused(what: str) -> None:
    """The error says which key, and nothing of the block is told."""
    method, result, reason = NONSENSE[what]
    follow = Follow(FakeNode([BLOCK]), first=3)
    with pytest.raises(ValueError, match=reason):
        settle_with(follow, method, result)
    assert follow.follower.take_messages() == follow.told == []


@pytest.mark.parametrize("time", ["0x1", "0xffffffffffffffff"])
def test_a_block_at_an_impossible_time_is_refused(time: str) -> None:
    """The time of a block is not before that of its parent, and fits a message; the blocks before it are told."""
    node = FakeNode(chain_of(2))
    follow = Follow(node, first=3, last=4)
    head = node.chain[1].head() | {"timestamp": time}
    answer_with(follow, "eth_getBlockByNumber", node.chain[1].head())
    follow.answer()
    answer_with(follow, "eth_getBlockByNumber", head)
    with pytest.raises(ValueError, match=f"blockTimestamp: {int(time, 16)} of block 4 must be at least 1036"):
        follow.settle()
    assert standing(follow.told) == whole(node.chain[:1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "what the node sends is no JSON: 'nonsense'"),
        ("[]", "is no JSON-RPC message"),
        ("[" * 100_000, "nested too deeply"),
        ('{"id": 99, "result": 1}', "id: 99 was never asked"),
        ('{"id": 1}', "has neither result nor error"),
        ('{"id": null, "error": {"code": -32005, "message": "too many requests"}}', "the node says: too many requests"),
        ('{"id": 2, "error": {"code": 1, "message": "no"}}', "refuses eth_subscribe of newHeads: no .code 1"),
        ('{"method": "window.alert"}', "nothing but eth_subscription was asked for"),
        ('{"method": "eth_subscription", "params": 5}', "is no params of a notification"),
    ],
)
def test_a_text_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    """What is no answer to anything ends the connection with a reason."""
    follow = Follow(FakeNode([BLOCK]))
    with pytest.raises(ValueError, match=reason):
        follow.session.receive(text)


def test_notifications_are_checked() -> None:
    """Heads and logs that are none are refused; so is a subscription that was never given."""
    follow = Follow(FakeNode([BLOCK]))
    follow.settle()
    for params, reason in [
        ({"subscription": "0x00", "result": BLOCK.head()}, "subscription: '0x00' was never given"),
        ({"subscription": ["0x00"], "result": BLOCK.head()}, "was never given"),
        ({"subscription": f"0x{b'newHeads'.hex()}"}, "None is no block"),
        ({"subscription": f"0x{b'logs'.hex()}", "result": {}}, "the key 'blockNumber' is missing"),
    ]:
        with pytest.raises(ValueError, match=reason):
            follow.session.receive(json.dumps({"method": "eth_subscription", "params": params}))


def test_what_leads_nowhere_for_ever_is_given_up() -> None:
    """A node that never has the logs of its own blocks is refused, with the reason that it gives."""
    node = FakeNode([BLOCK])
    follow = Follow(node, first=3)
    with pytest.raises(ValueError, match=rf"unknown block .code -32000. .asked {ATTEMPTS + 1} times"):
        refuse_logs_for_ever(follow)


def test_blocks_that_do_not_fit_each_other_are_given_up() -> None:
    """A node whose blocks have parents that it does not know is refused."""
    node = FakeNode([*chain_of(2), *branch(FakeBlock(4, hashed("none"), 7), 3, salt=1)])
    follow = Follow(node, first=3)
    with pytest.raises(ValueError, match="block 5 is not a child of block 4, which the node says stands"):
        follow.settle()


def test_a_reorganisation_deeper_than_what_is_remembered_is_refused() -> None:
    """Another chain is not taken for a branch."""
    node = FakeNode(chain_of(REMEMBERED + 5))
    follow = Follow(node, first=3)
    follow.settle()
    node.reorganise(REMEMBERED + 4, branch(node.chain[0], REMEMBERED + 9, salt=1))
    follow.head(node.chain[-1])
    with pytest.raises(ValueError, match=f"a reorganisation of more than {REMEMBERED} blocks"):
        follow.settle()


def test_a_node_that_never_answers_is_refused() -> None:
    """Questions that wait for an answer are bounded."""
    node = FakeNode(chain_of(3))
    follow = Follow(node, first=3)
    follow.settle()
    with pytest.raises(ValueError, match=f"the node has not answered {PENDING_LIMIT} requests"):
        ask_for_ever(follow)


# The feed's name


@pytest.fixture
def pools(tmp_path: Path) -> str:
    (tmp_path / "pools.json").write_text(json.dumps(POOLS_DATA))
    return str(tmp_path / "pools.json")


def test_a_feed_by_its_name(pools: str) -> None:
    """The URL and the options are read; what may be secret in a URL is not shown."""
    options = {"from_block": "5", "to_block": "9", "confirmations": "2"}
    feed = NodeFeed.from_spec("wss://node.example:8546/v3/key", {"pools": pools} | options)
    assert feed.name == "jsonrpc:wss://node.example:8546/…"
    assert NodeFeed.from_spec("ws://[::1]:1", {"pools": pools, "blocks": "1"}).name == "jsonrpc:ws://[::1]:1"
    assert feed.progress is None


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("ws://h:1", {"block": "1"}, "there is no option 'block'; its options are pools, from_block"),
        ("ws://h:1", {"from_block": "-1"}, "from_block='-1' is no whole number of at least 0"),
        ("ws://h:1", {"from_block": "٣"}, "is no whole number"),
        ("ws://h:1", {"blocks": "0"}, "blocks='0' is no whole number of at least 1"),
        ("ws://h:1", {"blocks": "1", "to_block": "1"}, "both say where to end"),
        ("ws://h:1", {"from_block": "2", "to_block": "1"}, "to_block=1 is before from_block=2"),
        ("http://h:1", {}, "no URL of a WebSocket"),
        ("ws://h:99999", {}, "in the node's URL"),
        ("ws://user:secret@h:1", {}, "has a user or a password"),
        ("", {}, "no URL of a WebSocket"),
    ],
)
def test_a_feeds_name_with_a_mistake_is_refused(pools: str, url: str, options: dict[str, str], reason: str) -> None:
    """The error says which option, and what would be right."""
    with pytest.raises(UsageError, match=reason):
        NodeFeed.from_spec(url, {"pools": pools} | options)


def test_the_pools_must_be_named(pools: str) -> None:
    """A node has no file beside it."""
    with pytest.raises(UsageError, match="says nothing about pools"):
        NodeFeed.from_spec("ws://h:1", {})
    with pytest.raises(FeedError, match="cannot be read"):
        NodeFeed.from_spec("ws://h:1", {"pools": pools + "x"})


def test_without_the_extra_it_says_what_to_install(pools: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trio-websocket is missing, the error names the extra."""
    monkeypatch.delitem(sys.modules, "spore.feeds.node_link", raising=False)
    monkeypatch.setitem(sys.modules, "trio_websocket", None)
    with pytest.raises(UsageError, match=r"pip install 'spore-actors\[live\]'"):
        NodeFeed.from_spec("ws://h:1", {"pools": pools})
