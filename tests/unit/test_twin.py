"""What the twin of a bundle is, and the sentence for each bundle that cannot have one."""

import json

import pytest

from spore.cli.check import check
from spore.deploy import Mode, examine, make_plan
from spore.deploy.load import config_of
from spore.deploy.spec import UnitSpec, from_json, spec_of, to_json
from spore.errors import ConfigError

STEP = "tests.property.modes_world:Plain"
PLAN = "tests.plan_actors:"


def step(name, *outs, **options):
    """A small actor that sends to others."""
    return {"type": STEP, "config": {"who": name}, "wire": {"out": list(outs), "notes": []}, **options}


def elsewhere(*outs):
    """A bundle with one actor, ``o``."""
    return {"name": "other", "mode": "relay", "actors": {"o": step("o", *outs)}}


def system(*more, rate=1.0, mode="shared_memory", feeds=(), options=None, **actors):
    """A bundle in shadow mode, and others. For each actor there is said to whom it sends, or everything."""
    said = {name: actor if isinstance(actor, dict) else step(name, *actor) for name, actor in actors.items()}
    bundle = {"name": "core", "mode": mode, "shadow": {"rate": rate}, "actors": said, **(options or {})}
    return config_of({"bundles": [bundle, *more], "feeds": list(feeds)})


def twin(*more, **options):
    """The twin, whether or not there is anything to compare."""
    return examine(system(*more, **options)).twins["core"]


@pytest.mark.parametrize(
    ("actors", "fed"),
    [
        pytest.param({"a": "b", "b": "c", "c": ""}, "a", id="a chain at its head"),
        pytest.param({"a": "bc", "b": "d", "c": "d", "d": ""}, "ad", id="where ways meet again"),
        pytest.param({"a": "b", "b": "c", "c": "a"}, "a", id="a ring at its first actor"),
        pytest.param({"x": "a", "a": "b", "b": "c", "c": "a"}, "xa", id="a ring where messages come in"),
        pytest.param({"c": "a", "a": "b", "b": "a"}, "ca", id="a ring behind another"),
        pytest.param({"a": "a"}, "a", id="who sends to itself"),
        pytest.param(
            {"a": "b", "b": step("b", "c", overflow="drop_oldest"), "c": ""}, "ab", id="who may lose something"
        ),
    ],
)
def test_an_actor_is_fed_unless_its_order_is_the_same_in_every_mode(actors, fed):
    """Each is fed that has not exactly one sender, and at least one in a ring."""
    assert "".join(twin(**actors).fed) == "".join(name for name in actors if name in fed)


def test_who_is_reached_from_outside_of_the_bundle_is_fed():
    """By a feed, by another bundle: whatever else sends to it."""
    assert twin(elsewhere("b"), a="b", b="c", c="").fed == ("a", "b")
    market = {"type": "MarketDataActor", "wire": {"signals": "s"}}
    signals = {"type": "SignalGeneratorActor", "wire": {"execution": [], "recorder": []}}
    found = twin(m=market, s=signals, feeds=[{"source": "sim:events=1", "to": ["m"]}])
    assert (found.fed, found.compared) == (("m",), (("s", "execution"), ("s", "recorder")))


def test_what_leaves_a_bundle_or_leads_to_who_is_fed_is_compared():
    """In its place the twin's port leads to the comparison; all other wires are the bundle's."""
    found = twin(elsewhere(), a="bc", b="d", c="do", d="")
    assert found.compared == (("b", "out"), ("c", "out"))
    (bundle,) = found.config.bundles
    assert (bundle.mode, bundle.shadow) == (Mode.RELAY, None)
    assert {name: actor.wire["out"] for name, actor in bundle.actors.items()} == {
        "twin of a": ("twin of b", "twin of c"),
        "twin of b": ("b.out",),
        "twin of c": ("c.out",),
        "twin of d": (),
    }


def test_the_process_of_a_bundle_is_told_of_its_twin():
    """As JSON, with everything in it."""
    plan = make_plan(system(elsewhere(), a="b", b="o"))
    (unit,) = [unit for group in plan.units for unit in group if unit.bundle and unit.bundle.name == "core"]
    spec = spec_of(plan, unit, None)
    assert from_json(to_json(spec), UnitSpec) == spec
    assert spec.twin == plan.twins["core"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param(
            {"a": ""},
            "bundles[0].shadow: there is nothing to compare: no port leads out of the bundle, and none is called 'execution' "
            "or 'recorder'",
            id="no output",
        ),
        pytest.param(
            {"a": "o", "options": {"supervision": {"on_failure": "restart"}}},
            'bundles[0].shadow: cannot be had with supervision.on_failure = "restart" of the whole bundle: in the twin each '
            "actor's process has that for itself, and would be restarted alone",
            id="restart of the bundle",
        ),
        pytest.param(
            {"a": "b", "b": step("b", "o", overflow="fail")},
            "bundles[0].shadow: 'b' would make differences that are none: what its senders in the bundle are refused depends on "
            'timing; use another overflow than "fail"',
            id="fail",
        ),
        pytest.param(
            {"a": {"type": "tests.shadow_actors:Forgetting", "wire": {"out": "o"}}, "rate": 0.5},
            "bundles[0].shadow.rate: below 1 needs a snapshot of every actor, and 'a' has none: a twin that begins in between "
            "takes over where each actor stands",
            id="no snapshot",
        ),
        pytest.param(
            {"s": {"type": f"{PLAN}Sends", "wire": {"out": "c"}}, "c": {"type": f"{PLAN}Anything"}},
            "bundles[0].shadow: Unregistered goes to the twin of 's' through the relay, and is no registered message; declare it "
            "with @spore.message(type_id=…, domain=…)",
            id="fed with what cannot travel",
        ),
        pytest.param(
            {
                "a": {"type": "tests.shadow_actors:Passing", "wire": {"out": "s"}},
                "s": {"type": f"{PLAN}Sends", "wire": {"out": "c"}},
                "c": {"type": f"{PLAN}Anything"},
                "d": {"type": f"{PLAN}Desk", "wire": {"recorder": []}},
            },
            "bundles[0].shadow: its twin could not run: bundles[0].actors.'twin of a'.wire.out: Unregistered goes to 'twin of s' "
            "through the relay, and is no registered message; declare it with @spore.message(type_id=…, domain=…)",
            id="sends what cannot travel",
        ),
        pytest.param(
            {"a" * 195: "o"},
            f"bundles[0].shadow: the actor 'twin of {'a' * 195}' of the twin: a name has at most 200 bytes, and this has 203",
            id="a name that is too long",
        ),
    ],
)
def test_a_bundle_that_cannot_have_a_twin_is_refused_with_the_reason(options, problem):
    """Before anything is started."""
    assert problem in examine(system(elsewhere(), **options)).problems


def test_a_rate_is_a_share():
    """From 0 to 1."""
    with pytest.raises(ConfigError, match=r"bundles\[0\].shadow.rate: .*1.5"):
        system(a="", rate=1.5)


def test_a_bundle_whose_mode_is_flipped_has_no_twin():
    """In relay the key says nothing, so that to flip the mode there and back is to change one line."""
    config = system(elsewhere(), a="o")
    relayed = config.in_mode(Mode.RELAY)
    assert make_plan(relayed).twins == {}
    assert list(make_plan(relayed.in_mode(Mode.SHARED_MEMORY)).twins) == ["core"]


CHECKED = """
[[bundles]]
name = "core"
mode = "shared_memory"
shadow = { rate = 1.0 }
actors.sum = { type = "tests.shadow_actors:Summing", wire = { recorder = [], out = "middle" } }
actors.middle = { type = "tests.shadow_actors:Middle", wire = { recorder = [], out = [] } }
"""


def test_check_says_what_runs_in_the_shadow_of_a_bundle(tmp_path, capsys):
    """Who is fed, what is compared, and the processes of the twin, for which there is no edge."""
    path = tmp_path / "system.toml"
    path.write_text(CHECKED)
    assert check(path) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "shadow of 'core': sum is fed, sum.recorder and middle.recorder are compared",
        "process: bundle 'core', with middle, sum",
        "process: relay, in the shadow of 'core'",
        "process: actor 'twin of sum', in the shadow of 'core'",
        "process: actor 'twin of middle', in the shadow of 'core'",
    ]
    assert check(path, json=True) == 0
    compared = ["sum.recorder", "middle.recorder"]
    expected = [{"bundle": "core", "rate": 1.0, "fed": ["sum"], "compared": compared}]
    assert json.loads(capsys.readouterr().out)["shadows"] == expected
