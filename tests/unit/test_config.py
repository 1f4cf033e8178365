"""What a configuration can say, and the sentence for each mistake that a person makes."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from spore import Directive, Supervision
from spore.deploy import (
    ActorConfig,
    BundleConfig,
    ControlConfig,
    FeedConfig,
    Mode,
    MonitorConfig,
    NodeConfig,
    ObserveConfig,
    RelayConfig,
    ShadowConfig,
    StreamConfig,
    SystemConfig,
    load_config,
)
from spore.deploy.load import config_of
from spore.deploy.spec import from_json, to_json
from spore.deploy.strict import Problem, structure
from spore.errors import ConfigError
from spore.nursery_bundle import Overflow

ROOT = Path(__file__).parents[2]
BUNDLE = '[[bundles]]\nname = "core"\nmode = "relay"\n'
ACTOR = f'{BUNDLE}[bundles.actors.desk]\ntype = "m:C"\n'


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "system.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path)

    return load


@pytest.fixture
def problems(load):
    def problems(text):
        with pytest.raises(ConfigError) as caught:
            load(text)
        return list(caught.value.problems)

    return problems


def test_the_file_that_users_write_loads_as_it_stands():
    """Its decimals are exact, and everything that it leaves out has its default."""
    config = load_config(ROOT / "config" / "bundles.toml")
    (bundle,) = config.bundles
    assert (bundle.name, bundle.mode, bundle.drain_timeout_s) == ("trading_core", Mode.SHARED_MEMORY, 10.0)
    assert bundle.actors == {
        "market_data": ActorConfig(
            type="MarketDataActor", config={"pools_to_monitor": 1000, "update_frequency_ms": 100}
        ),
        "signal_generator": ActorConfig(
            type="SignalGeneratorActor", config={"min_profit_usd": Decimal("10.0"), "max_gas_cost": Decimal("50.0")}
        ),
    }


def test_every_key_can_be_said(load):
    """One of each."""
    config = load(
        """
        modules = ["one", "two"]
        [relay]
        socket = "/run/relay"
        heartbeat_s = 1
        [control]
        socket = "run/control"
        [monitor]
        max_queue_share = 1
        max_latency_us = 250.5
        max_lost = 1
        max_restarts = 2
        max_dead_letters = 3
        max_shadow_differences = 4
        [[bundles]]
        name = "core"
        mode = "relay"
        drain_timeout_s = 2.5
        supervision = { on_failure = "restart", max_restarts = 1 }
        shadow = { rate = 0.5 }
        [bundles.actors.desk]
        type = "m:C"
        config = { a = 1, b = { c = [1.5] } }
        wire = { out = ["x", "y"], log = "z", none = [] }
        capacity = 5
        overflow = "conflate"
        key = ["instrument_id", "venue"]
        dispatch = "queued"
        verify = 1
        supervision = { on_failure = "escalate", max_restarts = 3, within_s = 9, backoff_s = 0.5, backoff_max_s = 4, jitter = 0 }
        [bundles.actors.both]
        type = "m:D"
        merge = "event_time"
        [[feeds]]
        source = "sim:seed=1"
        to = ["desk", "both"]
        rate = 500
        """
    )
    desk = config.bundles[0].actors["desk"]
    assert config.modules == ("one", "two")
    assert config.control.socket == "run/control"
    assert config.monitor == MonitorConfig(
        max_queue_share=1.0,
        max_latency_us=250.5,
        max_lost=1,
        max_restarts=2,
        max_dead_letters=3,
        max_shadow_differences=4,
    )
    assert (config.relay.socket, config.relay.heartbeat_s) == ("/run/relay", 1.0)
    assert config.bundles[0].supervision == Supervision(max_restarts=1)
    assert config.bundles[0].shadow == ShadowConfig(rate=0.5)
    assert desk.config == {"a": 1, "b": {"c": [Decimal("1.5")]}}
    assert desk.wire == {"out": ("x", "y"), "log": ("z",), "none": ()}
    assert (desk.capacity, desk.overflow, desk.key) == (5, "conflate", ("instrument_id", "venue"))
    assert (desk.dispatch, desk.verify, config.bundles[0].actors["both"].merge) == ("queued", 1.0, "event_time")
    assert desk.supervision == Supervision(
        on_failure=Directive.ESCALATE, max_restarts=3, within_s=9.0, backoff_s=0.5, backoff_max_s=4.0, jitter=0.0
    )
    assert config.feeds == (FeedConfig(source=("sim:seed=1",), to=("desk", "both"), rate=500.0),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bundles = []", "bundles: a system needs at least one bundle"),
        ("", "bundles: is missing"),
        ("[relay]\n", "bundles: is missing"),
        (f"{ACTOR}[relays]\n", "relays: there is no such key here; did you mean 'relay' or 'streams'?"),
        (f"{BUNDLE}actors = {{}}", "bundles[0].actors: a bundle needs at least one actor"),
        (BUNDLE, "bundles[0].actors: is missing"),
        (ACTOR.replace('"relay"', '"shared-memory"'), "bundles[0].mode: must be one of 'shared_memory', 'relay', 'distributed', not the string 'shared-memory'; did you mean 'shared_memory'?"),
        (ACTOR.replace('"relay"', "1"), "bundles[0].mode: must be one of 'shared_memory', 'relay', 'distributed', not the integer 1"),
        (ACTOR.replace('"m:C"', "5"), "bundles[0].actors.desk.type: must be a string, not the integer 5"),
        (f'{ACTOR}capacty = 5', "bundles[0].actors.desk.capacty: there is no such key here; did you mean 'capacity'?"),
        (f'{ACTOR}capacity = "5"', "bundles[0].actors.desk.capacity: must be an integer, not the string '5'"),
        (f"{ACTOR}capacity = 5.0", "bundles[0].actors.desk.capacity: must be an integer, not the number 5.0"),
        (f"{ACTOR}capacity = true", "bundles[0].actors.desk.capacity: must be an integer, not the boolean true"),
        (f"{ACTOR}capacity = 0", "bundles[0].actors.desk.capacity: must be >= 1, not 0"),
        (f"{ACTOR}verify = 1.5", "bundles[0].actors.desk.verify: must be <= 1, not 1.5"),
        (f"{ACTOR}verify = nan", "bundles[0].actors.desk.verify: must be a finite number, not the number NaN"),
        (f"{ACTOR}verify = 1e400", "bundles[0].actors.desk.verify: must be a finite number, not the number 1E+400"),
        (f"{ACTOR}verify = true", "bundles[0].actors.desk.verify: must be a number, not the boolean true"),
        (f'{ACTOR}overflow = "drop"', "bundles[0].actors.desk.overflow: must be one of 'block', 'fail', 'drop_oldest', 'drop_newest', 'conflate', not the string 'drop'"),
        (f'{ACTOR}merge = "time"', "bundles[0].actors.desk.merge: must be one of 'event_time', not the string 'time'"),
        (f"{ACTOR}config = 5", "bundles[0].actors.desk.config: must be a table, not the integer 5"),
        (f'{ACTOR}wire = ["a"]', "bundles[0].actors.desk.wire: must be a table, not a list"),
        (f"{ACTOR}wire = {{ out = [1] }}", "bundles[0].actors.desk.wire.out[0]: must be a string, not the integer 1"),
        (f'{ACTOR}supervision = {{ on_failure = "restrt" }}', "bundles[0].actors.desk.supervision.on_failure: must be one of 'resume', 'restart', 'stop', 'escalate', not the string 'restrt'; did you mean 'restart'?"),
        (f"{ACTOR}supervision = {{ jitter = 2 }}", "bundles[0].actors.desk.supervision.jitter: must be from 0 to 1, not 2.0"),
        (f"{ACTOR}[relay]\nheartbeat_s = 0", "relay.heartbeat_s: must be > 0, not 0.0"),
        (f"{ACTOR}[[feeds]]\nto = []", "feeds[0].source: is missing"),
        (ACTOR.replace("desk", '""'), "bundles[0].actors.'': a name cannot be empty"),
        (ACTOR.replace("desk", '"a\\u0000b"'), "bundles[0].actors.'a\\x00b': a name has no control characters"),
        (ACTOR.replace("desk", f'"{"é" * 101}"'), f"bundles[0].actors.{'é' * 101!r}: a name has at most 200 bytes, and this has 202"),
        (ACTOR.replace('"core"', '"co\\nre"'), "bundles[0].name: a name has no control characters"),
        (ACTOR + ACTOR.replace("desk", "desk2"), "bundles[1].name: 'core' is the name of bundles[0] already"),
        (ACTOR + ACTOR.replace("core", "other"), "bundles[1].actors.desk: 'desk' is the name of bundles[0].actors.desk already; names of actors are unique in a file"),
        ("bundles = 5", "bundles: must be a list, not the integer 5"),
        ("bundles = [5]", "bundles[0]: must be a table, not the integer 5"),
    ],
)  # fmt: skip
def test_each_mistake_has_a_sentence_with_the_path_of_its_key(problems, text, sentence):
    """It says what is there, what would be right, and what was probably meant."""
    assert problems(text) == [sentence]


def test_all_problems_of_a_file_are_said_at_once(load):
    """In one error, a line each, with the file in front."""
    with pytest.raises(ConfigError) as caught:
        load(f'{ACTOR}capacity = 0\nverfy = 1\noverflow = "x"\n[relay]\nheartbeat_s = "1"\n')
    assert len(caught.value.problems) == 4
    first, *rest = str(caught.value).splitlines()
    assert first == f"{caught.value.source} (4 problems): "
    assert [line.strip() for line in rest] == list(caught.value.problems)


def test_a_syntax_error_has_its_line_and_column(problems):
    """As the reader of TOML tells it."""
    assert problems("a = 1\nb = = 2\n") == ["is not TOML: Invalid value (at line 2, column 5)"]


def test_a_name_that_is_there_twice_is_an_error_of_the_syntax(problems):
    """TOML does not allow it."""
    (sentence,) = problems(ACTOR + '[bundles.actors.desk]\ntype = "m:D"\n')
    assert sentence.startswith("is not TOML: Cannot declare ('bundles', 'actors', 'desk') twice (at line 6, column")


def test_bytes_that_are_no_text_have_their_line(problems):
    """TOML is UTF-8."""
    assert problems(b"a = 1\nb = '\xff'\n") == ["line 2: is not UTF-8, as TOML has to be"]


def test_a_number_beyond_all_bounds_is_no_number(problems):
    """Whatever its exponent, it is refused and not cut."""
    (sentence,) = problems(f"{ACTOR}verify = 1e99999999999999999999")
    assert sentence.startswith("is not TOML: 1e99999999999999999999 is too large or too small")


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    """With its name."""
    with pytest.raises(FileNotFoundError, match=r"nothing\.toml"):
        load_config(tmp_path / "nothing.toml")


@attrs.frozen
class Inner:
    amount: Decimal
    ratio: float = 1.0
    names: list[str] = attrs.field(factory=list)
    sizes: dict[str, int] = attrs.field(factory=dict)
    pair: tuple[int, str] = (0, "")
    maybe: int | str | None = None
    day: date | None = None
    where: Path = Path()


@pytest.mark.parametrize(
    ("field", "value", "becomes"),
    [
        ("amount", 5, Decimal(5)),
        ("amount", Decimal("0.1"), Decimal("0.1")),
        ("ratio", 2, 2.0),
        ("ratio", Decimal("0.5"), 0.5),
        ("names", ["a", "b"], ["a", "b"]),
        ("sizes", {"a": 1}, {"a": 1}),
        ("pair", [1, "x"], (1, "x")),
        ("maybe", "x", "x"),
        ("maybe", 1, 1),
        ("day", date(2024, 1, 2), date(2024, 1, 2)),
        ("where", "/a/b", Path("/a/b")),
    ],
)
def test_settings_take_what_toml_has_for_their_type(field, value, becomes):
    """An integer will do where a decimal or a float is asked."""
    built = structure({"amount": 0, field: value}, Inner)
    assert getattr(built, field) == becomes
    assert type(getattr(built, field)) is type(becomes)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("amount", "5", "must be a decimal number, not the string '5'"),
        ("amount", 0.1, "must be a decimal number, not the number 0.1"),
        ("amount", True, "must be a decimal number, not the boolean true"),
        ("ratio", "1", "must be a number, not the string '1'"),
        ("names", "a", "must be a list, not the string 'a'"),
        ("pair", [1], "must be a list of 2, not a list"),
        ("maybe", 1.5, "must be int or str, not the number 1.5"),
        ("day", "2024-01-02", "must be a date, not the string '2024-01-02'"),
        ("where", 1, "must be a path, as a string, not the integer 1"),
    ],
)
def test_settings_take_nothing_else(field, value, sentence):
    """Nothing is converted that could mean something else."""
    with pytest.raises(Problem) as caught:
        structure({"amount": 0, field: value}, Inner)
    assert caught.value.found == ((field, sentence),)


def test_a_configuration_can_be_put_in_another_mode():
    """The modes of all bundles, and nothing else."""
    config = load_config(ROOT / "config" / "bundles.toml")
    relayed = config.in_mode(Mode.RELAY)
    assert [bundle.mode for bundle in relayed.bundles] == [Mode.RELAY]
    assert relayed.in_mode(Mode.SHARED_MEMORY) == config


def test_a_configuration_survives_the_way_to_another_process(load):
    """Decimals and dates too, which JSON has no words for."""
    config = load(
        f"{ACTOR}config = {{ a = 0.1, b = 2024-01-02, c = 07:30:00, d = 2024-01-02T07:30:00Z, e = [1, true] }}"
    )
    assert from_json(to_json(config), SystemConfig) == config


def test_plain_data_does_as_well_as_a_file():
    """For those who make a configuration in code."""
    config = config_of({"bundles": [{"name": "a", "mode": "relay", "actors": {"b": {"type": "m:C"}}}]})
    assert config.bundles[0].actors["b"].type == "m:C"
    with pytest.raises(ConfigError, match=r"^configuration: bundles: is missing$"):
        config_of({})


REFERENCE = (ROOT / "docs" / "reference" / "configuration.md").read_text()


@pytest.mark.parametrize(
    ("heading", "cls"),
    [
        ("## The file", SystemConfig),
        ("## `[[bundles]]`", BundleConfig),
        ("## `[bundles.actors.NAME]`", ActorConfig),
        ("## `shadow`", ShadowConfig),
        ("## `supervision`", Supervision),
        ("## `[nodes.NAME]`", NodeConfig),
        ("## `[streams]`", StreamConfig),
        ("## `[relay]`", RelayConfig),
        ("## `[control]`", ControlConfig),
        ("## `[monitor]`", MonitorConfig),
        ("## `[observe]`", ObserveConfig),
        ("## `[[feeds]]`", FeedConfig),
    ],
)
def test_the_reference_has_every_key_with_its_default(heading, cls):
    """And no other; in the order of the code. `part` is made, not read: a file that has it is refused."""
    section = REFERENCE.split(heading)[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]
    fields = [field for field in attrs.fields(cls) if field.name != "part"]
    assert [row[0].strip("`") for row in rows] == [field.name for field in fields]
    for row, field in zip(rows, fields, strict=True):
        assert (row[2] == "required") == (field.default is attrs.NOTHING)
        if type(field.default) in {int, float} or isinstance(field.default, Overflow):
            assert row[2] == f"`{field.default}`"


def test_the_reference_shows_the_file_that_loads():
    """Word for word."""
    shown = REFERENCE.split("```toml\n")[1].split("```")[0]
    assert shown == (ROOT / "config" / "bundles.toml").read_text()
