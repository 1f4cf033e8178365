"""What a configuration says of nodes: who runs where, by which route messages go, and what is refused, with the sentence for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spore.deploy import Mode, Plan, Route, examine, load_config, make_plan
from spore.deploy.change import Change, in_mode
from spore.deploy.config import SystemConfig
from spore.deploy.engine import EngineSpec, options_of
from spore.deploy.load import config_of
from spore.deploy.spec import LinkSpec, UnitSpec, spec_of, to_json
from spore.errors import ConfigError, UsageError

pytest.importorskip("nats", reason="needs nats-py; the extra nats brings it")

HERE = "tests.plan_actors"
SIM = "sim:seed=1,events=5"
CARRIER = {"carrier": "nats://localhost"}


def system(*nodes: str, modes: tuple[str, str] = ("shared_memory", "shared_memory"), **more: Any) -> SystemConfig:
    """Market data on the first node, a strategy and a desk on the last one."""
    first, last = (nodes[0], nodes[-1]) if nodes else (None, None)
    bundles = [
        {"name": "market", "mode": modes[0], "actors": {"market": {"type": f"{HERE}:Feedless"}}},
        {
            "name": "trading",
            "mode": modes[1],
            "actors": {
                "strategy": {"type": f"{HERE}:Strategy", **more.pop("strategy", {})},
                "desk": {"type": f"{HERE}:Other", **more.pop("desk", {})},
            },
        },
    ]
    for bundle, node in zip(bundles, (first, last), strict=True):
        bundle.update({"node": node} if node is not None else {})
    feeds = [{"source": SIM, "to": "market", **more.pop("feed", {})}]
    return config_of({"bundles": bundles, "feeds": feeds, "nodes": dict.fromkeys(nodes, CARRIER), **more})


def routes(plan: Plan) -> dict[tuple[str, str], Route]:
    return {(edge.sender, edge.receiver): edge.route for edge in plan.edges}


# Who runs where, and by which route


def test_between_two_nodes_it_is_the_engine_and_on_one_it_is_what_it_always_was() -> None:
    """By reference in a bundle, and through the relay from a feed; and each edge says why."""
    plan = make_plan(system("alpha", "beta"), node="alpha")
    assert routes(plan) == {
        ("feeds[0]", "market"): Route.RELAY,
        ("market", "strategy"): Route.DISTRIBUTED,
        ("strategy", "desk"): Route.REFERENCE,
    }
    reasons = {edge.sender: edge.reason for edge in plan.edges}
    assert reasons["market"] == "'market' runs on node 'alpha', 'strategy' on node 'beta'"
    assert [unit.name for unit in plan.own] == ["feeds[0]", "market"]
    assert (plan.relays, plan.others) == (("alpha",), ("beta",))


def test_a_bundle_that_is_distributed_sends_and_takes_through_the_engine_on_its_own_node_too() -> None:
    """And needs no relay."""
    plan = make_plan(system("here", modes=("distributed", "distributed")))
    assert set(routes(plan).values()) == {Route.DISTRIBUTED}
    assert {edge.reason for edge in plan.edges} == {
        "mode = \"distributed\" in bundle 'market'",
        "mode = \"distributed\" in bundle 'trading'",
    }
    assert not plan.relay


def test_a_feed_runs_where_its_first_actor_does_unless_it_says_where() -> None:
    """From another node it reaches the actor through the engine."""
    assert routes(make_plan(system("alpha", "beta")))["feeds[0]", "market"] is Route.RELAY
    elsewhere = make_plan(system("alpha", "beta", feed={"node": "beta"}))
    (edge,) = (edge for edge in elsewhere.edges if edge.sender == "feeds[0]")
    assert (edge.route, edge.reason) == (
        Route.DISTRIBUTED,
        "the feed runs on node 'beta', and the actor on node 'alpha'",
    )


def test_a_process_is_told_only_what_it_needs() -> None:
    """A bundle that nobody reaches through the engine has no inlet, and one that no relay reaches has no relay."""
    plan = make_plan(system("alpha", "beta"), apart=True, node="beta")
    engine = EngineSpec(system="main", node=plan.config.nodes["beta"])
    link = LinkSpec(address=None, heartbeat_s=2, messages=plan.messages, engine=engine)
    (unit,) = plan.own
    spec = spec_of(plan, unit, link)
    assert isinstance(spec, UnitSpec)
    assert spec.link is not None
    assert (spec.link.inlet, spec.admitted, spec.attached) == ("bundle 'trading'", ("strategy",), ())
    alone = make_plan(system("here"), apart=True)
    market = next(unit for unit in alone.own if unit.name == "market")
    told = spec_of(alone, market, LinkSpec(address="unix:/r", heartbeat_s=2, messages=(), engine=engine))
    assert told.link is not None
    assert (told.link.engine, told.link.inlet) == (None, "")


def test_whom_nobody_sends_to_is_reached_from_other_nodes_too() -> None:
    """Or whoever starts another node could not begin anything there."""
    plan = make_plan(system("alpha", "beta", feeds=[], strategy={"wire": {"execution": []}}), node="beta")
    assert plan.unit_of("market").admitted == ("market",)
    assert plan.unit_of("desk").admitted == ("strategy", "desk")


def test_what_is_durable_is_so_where_the_engine_carries_it() -> None:
    """And nowhere else."""
    plan = make_plan(system("alpha", "beta", strategy={"durable": True}))
    assert {(edge.sender, edge.receiver): edge.durable for edge in plan.edges} == {
        ("market", "strategy"): True,
        ("strategy", "desk"): False,
        ("feeds[0]", "market"): False,
    }
    assert {unit.name for group in plan.units for unit in group if unit.keeps} == {"market", "trading"}


def test_what_is_durable_waits_for_no_other_node() -> None:
    """What is not waits for all with which it is connected, however far away."""
    config = system("alpha", "beta")
    assert make_plan(config, node="alpha").awaited == ("beta",)
    durable = system("alpha", "beta", strategy={"durable": True})
    plan = make_plan(durable, node="alpha")
    assert (plan.others, plan.awaited) == (("beta",), ())


def test_in_one_mode_everything_is_on_one_node() -> None:
    """As a comparison needs it: of the nodes the first is left where there has to be one."""
    config = system("alpha", "beta", feed={"node": "beta"})
    assert config.in_mode(Mode.RELAY).nodes == {}
    assert list(config.in_mode(Mode.DISTRIBUTED).nodes) == ["alpha"]
    assert set(routes(make_plan(config.in_mode(Mode.DISTRIBUTED))).values()) == {Route.DISTRIBUTED}


# What is refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"feed": {"node": "alfa"}}, "feeds[0].node: there is no node 'alfa'; did you mean 'alpha'?"),
        ({"system": "a\x07"}, "system: a name has no control characters"),
        (
            {"desk": {"durable": True}},
            "bundles[1].actors.desk.durable: nothing comes to 'desk' through the engine, so nothing would be kept; "
            'put a sender on another node, or the bundle in mode "distributed"',
        ),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], sentence: str) -> None:
    """With the path of its key."""
    assert examine(system("alpha", "beta", **options)).problems == (sentence,)


def test_a_bundle_without_a_node_is_refused_where_there_are_several() -> None:
    """With one there is nothing to say."""
    text = system("alpha", "beta")
    raw = {"bundles": [{"name": "b", "mode": "relay", "actors": {"a": {"type": f"{HERE}:Anything"}}}]}
    assert examine(config_of({**raw, "nodes": {"alpha": CARRIER}})).problems == ()
    several = config_of({**raw, "nodes": dict.fromkeys(text.nodes, CARRIER)})
    assert examine(several).problems == (
        "bundles[0].node: is missing: there are several nodes, and a bundle runs on one; there is 'alpha', 'beta'",
    )


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ({"carrier": "nats://u:hunter2@host"}, "carrier: a user, a password or a token does not belong here: name them with"),
        ({"carrier": "amqp://host"}, "carrier: an address of NATS begins with nats:// or tls://"),
        ({**CARRIER, "user": "u"}, "password: is missing: there is a user"),
        ({**CARRIER, "token": {"env": "hunter2"}, "credentials": "f"}, "credentials: cannot be had together with token"),
        ({**CARRIER, "certificate": "c"}, "key: is missing: there is a certificate"),
    ],
)  # fmt: skip
def test_settings_of_a_node_that_contradict_each_other_are_refused(node: dict[str, Any], problem: str) -> None:
    """And no secret is told."""
    raw = {"bundles": [{"name": "b", "mode": "relay", "actors": {"a": {"type": f"{HERE}:Anything"}}}]}
    (said,) = examine(config_of({**raw, "nodes": {"alpha": node}})).problems
    assert said.startswith(f"nodes.alpha.{problem}")
    assert "hunter2" not in said


@pytest.mark.parametrize("password", ["hunter2", {"file": "hunter2", "env": "hunter2"}, {}])
def test_a_secret_is_said_to_be_somewhere_and_never_stands_in_the_file(password: Any) -> None:
    """The error does not repeat it."""
    nodes = {"alpha": {**CARRIER, "user": "u", "password": password}}
    with pytest.raises(ConfigError) as refused:
        config_of({"bundles": [], "nodes": nodes})
    said = next(problem for problem in refused.value.problems if "password" in problem)
    assert said.startswith('nodes.alpha.password: must be where to find it, { env = "NAME" } or { file = "PATH" }')
    assert "hunter2" not in said


# Secrets and files


def test_secrets_are_looked_up_by_whoever_connects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files as seen from the configuration's folder; and what travels to a process, or is printed, holds none of them."""
    (tmp_path / "secret").write_text("hunter2\n")
    path = tmp_path / "system.toml"
    path.write_text(
        """
        nodes.alpha = { carrier = "tls://h:1,h:2", user = "u", password = { file = "secret" }, ca = "ca.pem" }
        nodes.beta = { carrier = "nats://h", token = { env = "SPORE_TEST_TOKEN" } }

        [[bundles]]
        name = "b"
        node = "alpha"
        mode = "relay"
        actors.a = { type = "tests.plan_actors:Anything" }
        """
    )
    config = load_config(path)
    monkeypatch.setenv("SPORE_TEST_TOKEN", "hunter3")
    alpha, beta = (options_of(node) for node in config.nodes.values())
    assert (alpha.servers, alpha.user, alpha.password) == (("h:1", "h:2"), "u", "hunter2")
    assert alpha.tls_ca == tmp_path / "ca.pem"
    assert beta.token == "hunter3"
    assert "hunter" not in f"{config!r}{alpha!r}{beta!r}{to_json(config)}"


def test_a_secret_is_not_in_the_variable_that_processes_do_not_get() -> None:
    """It lets others in, and is not for those who run somebody's code."""
    with pytest.raises(ConfigError) as refused:
        config_of({"bundles": [_bundle()], "nodes": {"a": {**CARRIER, "token": {"env": "SPORE_TOKEN"}}}})
    assert "must have another name than SPORE_TOKEN" in str(refused.value)


def test_a_secret_that_is_not_where_it_is_said_to_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is missing."""
    monkeypatch.delenv("SPORE_TEST_TOKEN", raising=False)
    raw = {**CARRIER, "token": {"env": "SPORE_TEST_TOKEN"}}
    node = config_of({"bundles": [_bundle()], "nodes": {"a": raw}}).nodes["a"]
    with pytest.raises(UsageError, match="environment variable SPORE_TEST_TOKEN, which is not set"):
        options_of(node)
    raw = {**CARRIER, "token": {"file": "/no/such/file"}}
    node = config_of({"bundles": [_bundle()], "nodes": {"a": raw}}).nodes["a"]
    with pytest.raises(UsageError, match="cannot be read from /no/such/file: No such file"):
        options_of(node)


def _bundle() -> dict[str, Any]:
    return {"name": "b", "mode": "relay", "actors": {"a": {"type": f"{HERE}:Anything"}}}


# A switch


def test_a_bundle_whose_edges_go_through_the_engine_is_not_switched() -> None:
    """What is on its way there cannot be handed over."""
    config = system("alpha", "beta")
    before = make_plan(config, node="beta")
    after = make_plan(in_mode(config, "trading", Mode.RELAY), node="beta")
    assert Change(before, after).problem("trading").startswith("market.signals → strategy goes through the engine")
