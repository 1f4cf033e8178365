"""Who is wired to whom, by which route, in which process; and what is refused, with the sentence for it."""

import attrs
import pytest
from tests.pipeline_actors import Tick
from tests.plan_actors import Anything, Orders, Other, Service, Signals

from spore.deploy import Mode, RelayConfig, Route, UnitKind, examine, make_plan
from spore.deploy.kinds import find_kind
from spore.deploy.load import config_of
from spore.deploy.spec import spec_of
from spore.errors import ConfigError
from spore.message import REGISTRY
from spore.samples import UNISWAP_V2_SESSION
from spore.services.messages import OrderCancel, OrderRequest, QuoteUpdate

HERE = "tests.plan_actors"
SIM = "sim:seed=1,events=5"


def system(mode="shared_memory", /, feeds=(), modules=(), **actors):
    """A configuration of one bundle; an actor is a type, or a table."""
    tables = {name: {"type": actor} if isinstance(actor, str) else dict(actor) for name, actor in actors.items()}
    for table in tables.values():
        if table["type"] != "MarketDataActor" and ":" not in table["type"]:
            table["type"] = f"{HERE}:{table['type']}"
    bundle = {"name": "core", "mode": mode, "actors": tables}
    return config_of({"bundles": [bundle], "feeds": list(feeds), "modules": list(modules)})


def two(first, second, one, other):
    """A configuration of two bundles with these modes."""
    bundles = [
        attrs.evolve(system(first, **one).bundles[0], name="one"),
        attrs.evolve(system(second, **other).bundles[0], name="two"),
    ]
    return attrs.evolve(system(**one), bundles=tuple(bundles))


def edges(plan):
    return {(edge.sender, edge.port, edge.receiver): edge.route.value for edge in plan.edges}


def test_a_port_leads_to_the_only_actor_that_handles_all_that_it_sends():
    """One that handles only some of it has to be named."""
    plan = make_plan(system(market="Feedless", strategy="Strategy", desk="Other", part="Desk"))
    assert edges(plan) == {
        ("market", "signals", "strategy"): "reference",
        ("strategy", "execution", "desk"): "reference",
    }
    assert [edge.why for edge in plan.edges] == [
        "it alone handles ArbitrageSignal or MomentumSignal",
        "it alone handles OrderRequest or OrderCancel or ExecutionReport",
    ]


def test_the_actor_of_the_ports_name_comes_first():
    """Before any other that would fit; and a port for anything is wired by name alone."""
    plan = make_plan(system(strategy="Strategy", desk="Desk", execution="Other", recorder="Anything"))
    assert edges(plan) == {
        ("strategy", "execution", "execution"): "reference",
        ("strategy", "recorder", "recorder"): "reference",
        ("desk", "recorder", "recorder"): "reference",
    }


def test_the_file_has_the_last_word():
    """`wire` names several, or none."""
    strategy = {"type": "Strategy", "wire": {"execution": ["desk", "execution"], "recorder": []}}
    plan = make_plan(system(strategy=strategy, desk="Desk", execution="Other", recorder="Anything"))
    assert [edge.receiver for edge in plan.edges if edge.sender == "strategy"] == ["desk", "execution"]


def test_an_optional_port_stays_unwired_where_nothing_fits():
    """No error, and no edge."""
    assert make_plan(system(strategy="Strategy")).edges == ()


def test_the_route_follows_from_the_placement():
    """In one bundle of one process by reference, and else through the relay, with the reason."""
    actors = {"market": "Feedless", "strategy": "Strategy"}
    bundled, relayed = make_plan(system(**actors)), make_plan(system("relay", **actors))
    assert [(edge.route, edge.reason) for edge in bundled.edges] == [(Route.REFERENCE, "both run in bundle 'core'")]
    assert [(edge.route, edge.reason) for edge in relayed.edges] == [(Route.RELAY, "mode = \"relay\" in bundle 'core'")]
    between = make_plan(two("shared_memory", "shared_memory", {"market": "Feedless"}, {"strategy": "Strategy"}))
    assert [(edge.route, edge.reason) for edge in between.edges] == [
        (Route.RELAY, "'market' runs in bundle 'one', 'strategy' in bundle 'two'")
    ]


def test_processes_follow_from_the_modes():
    """One for a bundle in shared memory, unless the calling process takes it; one for each relayed actor; one for a feed."""
    feeds = [{"source": SIM, "to": "market"}]
    actors = {"market": "Feedless", "strategy": "Strategy"}

    def units(mode, **options):
        plan = make_plan(system(mode, feeds=feeds, **actors), **options)
        return [(unit.label, unit.here) for group in plan.units for unit in group], plan.relay

    assert units("shared_memory") == ([("feed 'feeds[0]'", False), ("bundle 'core'", True)], True)
    assert units("shared_memory", apart=True) == ([("feed 'feeds[0]'", False), ("bundle 'core'", False)], True)
    assert units("relay") == (
        [("feed 'feeds[0]'", False), ("actor 'market'", False), ("actor 'strategy'", False)],
        True,
    )


def test_a_relay_is_there_only_for_those_who_need_it():
    """Not for a single bundle; for whatever is reached from outside of its process."""
    assert not make_plan(system(strategy="Strategy")).relay
    assert not make_plan(system(strategy="Strategy"), apart=True).relay
    assert make_plan(system("relay", strategy="Strategy")).relay


def test_receivers_start_before_senders_and_processes_end_after_theirs():
    """Whatever the order of the file."""
    plan = make_plan(system(desk="Desk", market="Feedless", strategy="Strategy"))
    ((unit,),) = plan.units
    assert unit.actors == ("desk", "strategy", "market")
    relayed = make_plan(system("relay", desk="Desk", market="Feedless", strategy="Strategy"))
    assert [unit.name for group in relayed.units for unit in group] == ["market", "strategy", "desk"]


def test_an_actor_of_the_callers_own_is_wired_by_name_only():
    """By reference in the bundle of whoever sends to it, through the relay from other processes."""
    local = {"recorder": (Anything, {}), "execution2": (Other, {})}
    bundled = make_plan(system(strategy="Strategy", desk="Desk"), local=local)
    assert edges(bundled) == {
        ("strategy", "recorder", "recorder"): "reference",
        ("desk", "recorder", "recorder"): "reference",
    }
    assert bundled.unit_of("recorder").kind is UnitKind.BUNDLE
    relayed = make_plan(system("relay", strategy="Strategy", desk="Desk"), local=local)
    assert set(edges(relayed).values()) == {"relay"}
    unit = relayed.unit_of("recorder")
    assert (unit.kind, unit.here) == (UnitKind.LOCAL, True)


def test_a_cycle_over_the_relay_is_closed_by_one_edge_on_which_nobody_waits():
    """It leads back to where messages come in; within a process the bundle knows what to do."""
    ring = {
        name: {"type": "Quotes", "wire": {"out": [to]}}
        for name, to in {"a": "b", "b": "c", "c": "b", "d": "d", "start": "c"}.items()
    }

    def closing(mode):
        return [(edge.sender, edge.receiver) for edge in make_plan(system(mode, **ring)).edges if edge.feedback]

    assert closing("relay") == [("c", "b"), ("d", "d")]
    assert closing("shared_memory") == []


def test_a_service_is_built_from_the_configuration_of_its_actor():
    """Afresh each time; the actor's own settings stand beside it."""
    kind = find_kind(f"{HERE}:Serving")
    make = kind.factory({"profit": 5, "label": "x"})
    one, other = make(), make(out=None)
    assert one.inner == other.inner == Service(5, 10)
    assert one.inner is not other.inner
    assert one.label == "x"


def test_the_messages_that_all_processes_have_to_mean_alike_are_those_of_the_plan():
    """What else a caller has declared does not matter."""

    assert Tick in REGISTRY
    plan = make_plan(system(strategy="Strategy"))
    assert "spore.services.messages.market_data:Trade" in plan.messages
    assert not any(":Tick" in name for name in plan.messages)
    named = make_plan(system(strategy="Strategy", modules=["tests.pipeline_actors"]))
    assert "tests.pipeline_actors:Tick" in named.messages


def test_a_process_is_told_what_the_plan_says():
    """Ports with their targets, options, and who is reached from outside."""
    desk = {"type": "Quotes", "capacity": 7, "overflow": "conflate", "key": "instrument_id", "wire": {"out": "desk"}}
    plan = make_plan(system("relay", desk=desk))
    ((unit,),) = plan.units
    spec = spec_of(plan, unit, None)
    (target,) = spec.actors[0].ports["out"]
    assert (target.receiver, target.remote, target.feedback, target.capacity, target.key) == (
        "desk", True, True, 7, ("instrument_id",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "handles", "ports"),
    [
        ("Desk", (OrderRequest, OrderCancel), {"recorder": None}),
        ("Anything", None, {}),
        ("Plain", (QuoteUpdate,), {}),
        ("Quotes", (QuoteUpdate,), {"out": (QuoteUpdate,)}),
        ("Strategy", Signals.__args__, {"execution": Orders.__args__, "recorder": None}),
    ],
)
def test_a_class_tells_what_it_handles_and_where_it_sends(type_name, handles, ports):
    """By its annotations, also where they are strings, and through its bases."""
    kind = find_kind(f"{HERE}:{type_name}")
    assert kind.handles == handles
    assert {name: port.sends for name, port in kind.ports.items()} == ports


AT = "bundles[0].actors"


@pytest.mark.parametrize(
    ("actors", "sentence"),
    [
        ({"a": "Desq"}, f"{AT}.a.type: 'Desq' is not there in module 'tests.plan_actors'; did you mean 'Desk'?"),
        ({"a": "NOT_AN_ACTOR"}, f"{AT}.a.type: 'NOT_AN_ACTOR' is no actor in module 'tests.plan_actors'; there is 'Feedless', 'Strategy', 'Desk', 'Other', 'Anything', 'Plain', 'Passing', 'Quotes', 'Volumes', 'Serving', 'Sends', 'Unreadable'"),
        ({"a": "nowhere.at_all:Desk"}, f"{AT}.a.type: there is no module 'nowhere' here or among the installed packages"),
        ({"a": "tests.missing:Desk"}, f"{AT}.a.type: there is no module 'tests.missing' here or among the installed packages"),
        ({"a": "Unreadable"}, f"{AT}.a.type: the annotations of tests.plan_actors:Unreadable cannot be read: name 'Unseen' is not defined; import what they name, at run time"),
        ({"a": {"type": "Strategy", "config": {"limt": 1}}}, f"{AT}.a.config.limt: there is no such key here; did you mean 'limit'?"),
        ({"a": {"type": "Strategy", "config": {"limit": "5"}}}, f"{AT}.a.config.limit: must be an integer, not the string '5'"),
        ({"a": {"type": "Plain", "config": {"limit": 5}}}, f"{AT}.a.config.limit: there is no such key here; there is none"),
        ({"a": {"type": "Serving"}}, f"{AT}.a.config.profit: is missing"),
        ({"a": {"type": "Serving", "config": {"profit": 1, "pools": 101}}}, f"{AT}.a.config.pools: must be <= 100, not 101"),
        ({"a": {"type": "MarketDataActor", "config": {"update_frequency_ms": 0}, "wire": {"signals": "b"}}, "b": "Anything"}, f"{AT}.a.config.update_frequency_ms: must be an integer from 1 to 86400000; this is the integer 0"),
        ({"a": {"type": "Serving", "config": {"profit": 1, "out": "x"}}}, f"{AT}.a.config.out: there is no such key here; there is 'label', 'profit', 'pools'"),
        ({"a": {"type": "Strategy", "wire": {"exection": []}}}, f"{AT}.a.wire.exection: Strategy has no such port; did you mean 'execution'?"),
        ({"a": {"type": "Strategy", "wire": {"execution": "desc"}}, "desk": "Desk"}, f"{AT}.a.wire.execution[0]: there is no actor 'desc'; did you mean 'desk'?"),
        ({"a": {"type": "Strategy", "wire": {"execution": ["desk", "desk"]}}, "desk": "Desk"}, f"{AT}.a.wire.execution[1]: 'desk' is wired here already"),
        ({"a": {"type": "Strategy", "wire": {"execution": "v"}}, "v": "Volumes", "desk": "Desk"}, f"{AT}.a.wire.execution[0]: 'v' handles VolumeUpdate, and the port 'execution' sends OrderRequest or OrderCancel or ExecutionReport; 'desk' would fit"),
        ({"a": "Strategy", "execution": "Volumes"}, f"{AT}.a.wire.execution: 'execution' handles VolumeUpdate, and the port 'execution' sends OrderRequest or OrderCancel or ExecutionReport"),
        ({"a": "Strategy", "b": "Other", "c": "Other"}, f"{AT}.a.wire.execution: the port 'execution' of Strategy could lead to 'b', 'c'; write wire = {{ execution = […] }}, with [] for none"),
        ({"a": "Feedless"}, f"{AT}.a.wire.signals: the port 'signals' of Feedless has to lead somewhere; no other actor here handles ArbitrageSignal or MomentumSignal"),
        ({"a": {"type": "Feedless", "wire": {"signals": []}}, "b": "Strategy"}, f"{AT}.a.wire.signals: the port 'signals' of Feedless has to lead somewhere; 'b' would fit"),
        ({"a": "Feedless", "b": "Strategy", "c": "Strategy"}, f"{AT}.a.wire.signals: the port 'signals' of Feedless could lead to 'b', 'c'; write wire = {{ signals = […] }}"),
        ({"a": {"type": "Plain", "overflow": "conflate"}}, f'{AT}.a.key: is missing: overflow = "conflate" keeps the newest of each kind, and these fields tell the kind'),
        ({"a": {"type": "Plain", "overflow": "conflate", "key": "instrument"}}, f"{AT}.a.key[0]: QuoteUpdate has no field 'instrument'; did you mean 'instrument_id'?"),
        ({"a": {"type": "Plain", "key": "instrument_id"}}, f'{AT}.a.key: means something with overflow = "conflate" only, not with "block"'),
        ({"a": {"type": "Plain", "overflow": "fail", "dispatch": "inline"}}, f'{AT}.a.dispatch: "inline" cannot be had with overflow = "fail": what is lost depends on what waits'),
        ({"a": {"type": "Plain", "overflow": "drop_oldest", "merge": "event_time"}}, f'{AT}.a.merge: cannot be had with overflow = "drop_oldest": the order would not depend on timing, but what is lost would; use overflow = "block"'),
        ({"a": {"type": "tests.plan_actors:Sends", "merge": "event_time", "wire": {"out": "b"}}, "b": {"type": "Sends", "wire": {"out": "c"}}, "c": "Anything"}, f"{AT}.a.merge: messages are merged by their event_time_ns, and Unregistered has none"),
        ({"a": {"type": "Quotes", "merge": "event_time", "wire": {"out": "b"}}, "b": {"type": "Quotes", "wire": {"out": "a"}}}, f"{AT}.a.merge: it would wait for itself, in the cycle a → b → a"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_sentence(actors, sentence):
    """It has the path of the key, and the candidates."""
    with pytest.raises(ConfigError) as caught:
        make_plan(system(**actors))
    assert caught.value.problems == (sentence,)


def test_a_type_without_a_module_is_a_registered_one():
    """Those that `spore.services` exports."""
    config = config_of({"bundles": [{"name": "a", "mode": "relay", "actors": {"b": {"type": "Nothing"}}}]})
    (sentence,) = examine(config).problems
    assert sentence.startswith("bundles[0].actors.b.type: there is no registered type 'Nothing'; ")
    assert sentence.endswith("write package.module:Class")


def test_a_message_that_has_no_wire_form_cannot_leave_a_process():
    """In one process it may be anything."""
    actors = {"a": {"type": "Sends", "wire": {"out": "b"}}, "b": "Anything"}
    assert examine(system("shared_memory", **actors)).problems == ()
    assert examine(system("relay", **actors)).problems == (
        f"{AT}.a.wire.out: Unregistered goes to 'b' through the relay, and is no registered message; "
        "declare it with @spore.message(type_id=…, domain=…)",
    )


def test_a_bundle_that_is_distributed_needs_a_node_that_names_the_engine():
    """It is never replaced by another mode."""
    (sentence,) = examine(system("distributed", a="Anything")).problems
    assert sentence == (
        "bundles[0].mode: 'distributed' goes through an engine, and no node names one; "
        'write [nodes.NAME] carrier = "nats://HOST:PORT"'
    )


@pytest.mark.parametrize(
    ("feed", "sentence"),
    [
        ({"source": SIM, "to": "mrket"}, "feeds[0].to[0]: there is no actor 'mrket'; did you mean 'market'?"),
        ({"source": SIM, "to": "strategy"}, "feeds[0].to[0]: 'strategy' handles ArbitrageSignal or MomentumSignal, and a feed sends market data"),
        ({"source": SIM, "to": []}, "feeds[0].to: a feed has to lead somewhere; there is 'market', 'strategy'"),
        ({"source": f"jsonrpc:ws://127.0.0.1:1?pools={UNISWAP_V2_SESSION}/pools.json", "to": "market", "rate": 5}, "feeds[0].rate: a live feed comes when it comes; leave its rate out"),
        ({"source": [], "to": "market"}, "feeds[0].source: no feed was named; name one or more of sample, evm-logs:FILE, binance:FILE,FILE, jsonrpc:ws://HOST:PORT?pools=PATH, sim:seed=N,events=N, FILE.frames"),
        ({"source": "evm-log:x", "to": "market"}, "feeds[0].source: feed 'evm-log:x' is none; did you mean 'evm-logs:x'? Otherwise a feed is one of sample, evm-logs:FILE, binance:FILE,FILE, jsonrpc:ws://HOST:PORT?pools=PATH, sim:seed=N,events=N, FILE.frames"),
    ],
)  # fmt: skip
def test_a_feed_leads_to_actors_of_market_data(feed, sentence):
    """Anything else is refused."""
    assert examine(system(feeds=[feed], market="Feedless", strategy="Strategy")).problems == (sentence,)


@pytest.mark.parametrize(
    ("socket", "sentence"),
    [
        ("/nowhere/relay", "there is no folder '/nowhere'; make it, or name another place"),
        (f"/tmp/{'x' * 103}", f"/tmp/{'x' * 103}: a socket's path has at most 107 bytes, and this one 108"),
    ],
)
def test_a_relay_that_could_not_listen_is_refused(socket, sentence):
    """Before it is started, by the key that says where."""
    config = attrs.evolve(system(market="Feedless", strategy="Strategy"), relay=RelayConfig(socket=socket))
    assert examine(config).problems == (f"relay.socket: {sentence}",)


def test_an_unknown_class_is_one_problem_and_not_many():
    """What would have been wired to it is not complained about."""
    actors = {"market": {"type": "Feedless", "wire": {"signals": "strategy"}}, "strategy": "Stratgy"}
    assert len(examine(system(**actors, other="Feedless")).problems) == 1


def test_problems_of_all_kinds_are_said_at_once():
    """One run of `spore check` is enough."""
    actors = {"a": {"type": "Strategy", "config": {"limt": 1}, "wire": {"execution": "x"}}, "b": "Desq"}
    problems = examine(system("distributed", modules=["no.module"], **actors)).problems
    assert [sentence.split(":")[0] for sentence in problems] == [
        "modules[0]", "bundles[0].mode", f"{AT}.a.config.limt", f"{AT}.b.type", f"{AT}.a.wire.execution[0]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("local", "sentence"),
    [
        ({"strategy": (Anything, {})}, "local.strategy: an actor of the configuration has the name 'strategy'"),
        ({"a\nb": (Anything, {})}, "local.'a\\nb': a name has no control characters"),
    ],
)
def test_names_of_the_callers_own_actors_are_names_like_others(local, sentence):
    """Unique, and without control characters."""
    assert examine(system(strategy="Strategy"), local=local).problems == (sentence,)


def test_modes_change_routes_and_nothing_else():
    """The wiring is the same, edge by edge."""
    config = system(market="Feedless", strategy="Strategy", desk="Desk", recorder="Anything")
    bundled, relayed = (make_plan(config.in_mode(mode)) for mode in (Mode.SHARED_MEMORY, Mode.RELAY))
    assert list(edges(bundled)) == list(edges(relayed))
