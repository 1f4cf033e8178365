"""Bundles that are divided by a key: who gets which message, what the file's names stand for, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.relays import run

import spore
from spore.deploy import Plan, load_config, make_plan, open_system
from spore.deploy.config import SystemConfig
from spore.deploy.load import config_of
from spore.errors import AskFailed, ConfigError, UsageError
from spore.migration import Recording, entries, tapped
from spore.nursery_bundle import ActorRef, Bundle, open_bundle
from spore.nursery_bundle.sharded import ShardedRef, shard_of
from spore.services.messages import OrderCancel

HERE = "tests.plan_actors"
SIM = "sim:seed=1,events=5"
CARRIER = {"carrier": "nats://localhost"}
EXAMPLE = Path(__file__).parents[2] / "examples/nodes/shards.toml"

# Who gets which message


@attrs.frozen
class Order:
    book: str | None
    number: int


@attrs.define
class Keeper(spore.Actor[Order]):
    kept: list[int]
    gate: trio.Event | None = None

    async def handle(self, message: Order) -> int:
        if self.gate is not None:
            await self.gate.wait()
        self.kept.append(message.number)
        return len(self.kept)


@attrs.define
class Passing(spore.Actor[Any]):
    """Passes on what it gets, and answers what it is answered."""

    out: ActorRef[Order]

    async def handle(self, message: Any) -> Any:
        if isinstance(message, Order):
            return await self.out.ask(message)
        await self.out.send_many(message)
        self.out.advance(1)
        self.out.idle()
        return repr(self.out)


async def keepers(bundle: Bundle, **options: Any) -> tuple[ShardedRef[Order], list[list[int]]]:
    """Two. BTC and DAI are the first one's, ETH and LINK are the second one's."""
    kept: list[list[int]] = [[], []]
    refs = [await bundle.start(Keeper, name=f"k{n}", kept=each, **options) for n, each in enumerate(kept)]
    return ShardedRef(refs, "book"), kept


def orders(*books: str | None) -> list[Order]:
    return [Order(book, number) for number, book in enumerate(books)]


def test_a_key_belongs_to_the_shard_of_its_crc_32() -> None:
    """0xCBF43926 is the check value of CRC-32/ISO-HDLC for "123456789"; it is the same in every process and version."""
    assert [shard_of(key, 2**32) for key in ("123456789", b"123456789", 123456789)] == [0xCBF43926] * 3
    assert [shard_of(book, 2) for book in ("BTC", "DAI", "ETH", "LINK")] == [0, 0, 1, 1]


@pytest.mark.parametrize("key", [1.5, ("a",), [1]])
def test_what_is_neither_bytes_nor_text_nor_a_number_is_no_key(key: Any) -> None:
    """Its text, or its hash, could be another one in each process."""
    with pytest.raises(UsageError, match=r"is divided by bytes, text or a whole number, and .* is a \w+"):
        shard_of(key, 2)


def test_a_message_goes_to_the_one_of_its_key_and_without_a_key_to_all() -> None:
    """However it is sent; each has its messages in order."""

    async def main() -> None:
        for way in ("tell", "send", "tell_many", "send_many"):
            async with open_bundle("b") as bundle:
                ref, kept = await keepers(bundle)
                messages = orders("ETH", "BTC", None, "DAI", "LINK", "ETH", None)
                match way:
                    case "tell":
                        for message in messages:
                            ref.tell(message)
                    case "send":
                        for message in messages:
                            await ref.send(message)
                    case "tell_many":
                        ref.tell_many(iter(messages))
                    case _:
                        await ref.send_many(iter(messages))
                await bundle.wait_idle()
                assert kept == [[1, 2, 3, 6], [0, 2, 4, 5, 6]], way

    run(main)


def test_who_is_asked_is_the_one_of_the_key() -> None:
    """There is no one answer where there is no key."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            ref, kept = await keepers(bundle)
            assert [await ref.ask(each) for each in orders("ETH", "ETH", "BTC")] == [1, 2, 1]
            with pytest.raises(UsageError, match="ask needs one receiver, and here are 2: k0, k1"):
                await ref.ask(Order(None, 3))
            assert kept == [[2], [0, 1]]

    run(main)


def test_a_send_many_that_is_cancelled_has_sent_some_their_part_and_one_the_beginning_of_it() -> None:
    """What was sent is handled once, and nothing else is."""

    async def main() -> None:
        gate = trio.Event()
        async with open_bundle("b") as bundle:
            ref, kept = await keepers(bundle, gate=gate, capacity=2)
            with trio.move_on_after(1) as scope:
                await ref.send_many(orders("BTC", "ETH", "BTC", "ETH", "BTC", "ETH", "BTC", "ETH"))
            assert scope.cancelled_caught
            gate.set()
            await bundle.wait_idle()
            first, second = kept
            assert first == [0, 2, 4, 6][: len(first)]
            assert 0 < len(first) < 4
            assert second == []

    run(main)


def test_an_actor_may_be_wired_to_shards_that_start_after_it() -> None:
    """And is theirs as a sender: the edges are known by its name."""

    async def main() -> None:
        async with open_bundle("b") as bundle:
            early = ShardedRef([bundle.ref("k0"), bundle.ref("k1")], "book")
            passing = await bundle.start(Passing, name="passing", out=early)
            _, kept = await keepers(bundle)
            assert await passing.ask(orders("BTC", "ETH", None)) == "<ShardedRef k0, k1 by book>"
            assert await passing.ask(Order("ETH", 7)) == 3
            assert kept == [[0, 2], [1, 2, 7]]
            edges = {(edge.sender, edge.receiver): edge.sent for edge in bundle.statistics().edges}
            assert edges == {("passing", "k0"): 2, ("passing", "k1"): 3, ("outside", "passing"): 2}
            with pytest.raises(AskFailed, match="ask needs one receiver"):
                await passing.ask(Order(None, 8))

    with pytest.raises(ExceptionGroup):  # the last one has failed its handler
        run(main)


# What the file's names stand for


def system(*more: dict[str, Any], **bundle: Any) -> SystemConfig:
    """Market data and a strategy, divided by pool, before a desk that is not."""
    divided = {
        "name": "trading",
        "mode": "shared_memory",
        "shard_by": "pool",
        "actors": {"market_data": {"type": "MarketDataActor"}, "generator": {"type": "SignalGeneratorActor"}},
        **bundle,
    }
    desk = {"name": "desk", "mode": "shared_memory", "actors": {"execution": {"type": "ExecutionActor"}}}
    nodes = dict.fromkeys(("a", "b"), CARRIER) if "nodes" in bundle else {}
    desk |= {"node": "a"} if nodes else {}
    feed = {"source": SIM, "to": "market_data"}
    return config_of({"bundles": [divided, desk, *more], "feeds": [feed], "nodes": nodes})


def edges(plan: Plan) -> dict[tuple[str, str], tuple[str, str]]:
    return {(edge.sender, edge.receiver): (edge.route.value, edge.by) for edge in plan.edges}


def test_each_shard_is_a_bundle_whose_actors_are_wired_to_each_other() -> None:
    """Whoever sends to them from outside sends each its part; whom they send to gets it from all."""
    config = system(shards=2)
    assert [bundle.name for bundle in config.bundles] == ["trading_0", "trading_1", "desk"]
    assert edges(make_plan(config)) == {
        ("market_data_0", "generator_0"): ("reference", ""),
        ("market_data_1", "generator_1"): ("reference", ""),
        ("generator_0", "execution"): ("relay", ""),
        ("generator_1", "execution"): ("relay", ""),
        ("feeds[0]", "market_data_0"): ("relay", "pool"),
        ("feeds[0]", "market_data_1"): ("relay", "pool"),
    }


def test_an_actor_outside_is_wired_to_all_shards_by_the_name_in_the_file() -> None:
    """Whether it says so, or the name of its port or the type does."""

    def of(**strategy: Any) -> dict[tuple[str, str], tuple[str, str]]:
        name = "desk" if strategy else "execution"
        desk = {"name": "desks", "mode": "relay", "shard_by": "order_id", "shards": 3}
        first = {"name": "first", "mode": "relay", "actors": {"strategy": {"type": f"{HERE}:Strategy", **strategy}}}
        return edges(make_plan(config_of({"bundles": [{**desk, "actors": {name: {"type": f"{HERE}:Other"}}}, first]})))

    assert of() == {("strategy", f"execution_{number}"): ("relay", "order_id") for number in range(3)}
    all_three = {("strategy", f"desk_{number}"): ("relay", "order_id") for number in range(3)}
    assert of(capacity=5) == of(wire={"execution": "desk"}) == all_three
    assert of(wire={"execution": "desk_1"}) == {("strategy", "desk_1"): ("relay", "")}


def test_shards_run_on_their_nodes_in_turn() -> None:
    """One on each, if it is not said how many; their feed is read where the first one runs."""
    assert [config.node for config in system(nodes=["a", "b"]).bundles] == ["a", "b", "a"]
    config = system(nodes=["b", "a"], shards=3)
    assert [bundle.node for bundle in config.bundles] == ["b", "a", "b", "a"]
    plan = make_plan(config, node="a")
    assert edges(plan)["feeds[0]", "market_data_0"] == ("relay", "pool")
    assert edges(plan)["feeds[0]", "market_data_1"] == ("distributed", "pool")


def test_a_comparison_plays_to_all_shards_and_records_each() -> None:
    """What is divided is one actor to whoever names it."""
    config = system(shards=2)
    assert entries(config) == entries(attrs.evolve(config, feeds=())) == ("market_data",)
    wired = {name: actor.wire for bundle in tapped(config).bundles for name, actor in bundle.actors.items()}
    assert wired["generator_1"]["execution"] == ("execution", "tap_1")
    assert wired["execution"]["recorder"] == ("tap",)


def test_what_shards_have_recorded_is_joined_by_event_time() -> None:
    """Of one time in the order of the shards, whichever was first by the clock."""
    signals = [[OrderCancel(time, number, "") for number, time in enumerate(times)] for times in ((1, 3, 3), (2, 3, 4))]
    first, second = (Recording(signals=[*each], signals_at_ns=[n, n, n]) for n, each in enumerate(signals))
    both = Recording.joined((first, second))
    assert [signal.event_time_ns for signal in both.signals] == [1, 2, 3, 3, 3, 4]
    assert both.signals_at_ns == [0, 1, 0, 0, 1, 1]
    assert Recording.joined((first,)) is first


def test_the_reference_by_the_name_in_the_file_leads_to_all_shards() -> None:
    """That by a shard's own name to it alone."""

    async def main() -> None:
        actors = {"strategy": {"type": f"{HERE}:Anything"}}
        bundle = {"name": "core", "mode": "shared_memory", "shard_by": "order_id", "shards": 2, "actors": actors}
        async with open_system(config_of({"bundles": [bundle]})) as running:
            assert running.ref("strategy").name == "strategy_0, strategy_1"
            assert running.ref("strategy_1").name == "strategy_1"
            with pytest.raises(UsageError, match="did you mean 'strategy'"):
                running.ref("strateg")

    trio.run(main)


def test_the_example_is_divided_over_two_nodes() -> None:
    """By pool: the whole pipeline of a pool is on one node."""
    plan = make_plan(load_config(EXAMPLE), node="alpha")
    assert {edge.by for edge in plan.edges if edge.sender == "feeds[0]"} == {"pool"}
    assert {unit.node for group in plan.units for unit in group} == {"alpha", "beta"}
    assert {edge.route.value for edge in plan.edges if edge.sender != "feeds[0]"} == {"reference"}


# What is refused


@pytest.mark.parametrize(
    ("bundle", "sentence"),
    [
        ({}, "bundles[0].shards: is missing: how many there are to be, at least 2; or name several nodes"),
        ({"shards": 1}, "bundles[0].shards: must be >= 2"),
        ({"shards": 2, "nodes": ["c"]}, "bundles[0].nodes[0]: there is no node 'c'; there is 'a', 'b'"),
        ({"nodes": ["a", "b"], "node": "a"}, "bundles[0].node: cannot be had together with nodes"),
        ({"shard_by": "pol", "shards": 2}, "bundles[0].shard_by: Trade or "),
        ({"shard_by": "pol", "shards": 2}, "has no field 'pol', so every shard would get everything; did you mean 'pool'?"),
        ({"shard_by": "bids", "shards": 2}, "OrderBook.bids is neither bytes nor text nor a whole number"),
        ({"shards": 2, "part": {"bundle": "x", "number": 0, "by": "pool"}}, "bundles[0].part: is not for files"),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_is_refused(bundle: dict[str, Any], sentence: str) -> None:
    """With the key of the file, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        make_plan(system(**bundle))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("shards", 2), ("nodes", ["a"])])
def test_without_a_key_there_are_no_shards(key: str, value: Any) -> None:
    """The keys that go with it say so."""
    with pytest.raises(ConfigError, match=rf"bundles\[0\].{key}: is of a bundle that is divided"):
        config_of(
            {"bundles": [{"name": "b", "mode": "relay", key: value, "actors": {"x": {"type": f"{HERE}:Anything"}}}]}
        )


def test_names_of_shards_clash_with_nothing() -> None:
    """Neither as bundles nor as actors."""
    other = {"name": "trading_1", "mode": "relay", "actors": {"generator_0": {"type": f"{HERE}:Anything"}}}
    with pytest.raises(ConfigError) as caught:
        system(other, shards=2)
    assert "'trading_1' is the name of two bundles" in str(caught.value)
    assert "bundles[0].actors.generator: 'generator_0' is the name of two actors" in str(caught.value)


def test_what_is_wrong_with_a_shard_is_said_once_and_with_the_key_of_the_file() -> None:
    """Of three shards, and of the bundle behind them, which is the second table."""
    wrong = {"name": "last", "mode": "relay", "actors": {"x": {"type": "Nowhere"}}}
    with pytest.raises(ConfigError) as caught:
        make_plan(system(wrong, shards=3, actors={"market_data": {"type": "Nothing"}}))
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert [line.partition(":")[0] for line in lines] == [
        "bundles[0].actors.market_data.type",
        "bundles[2].actors.x.type",
    ]
