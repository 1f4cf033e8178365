"""Errors and tables name what a person can act on: the option, the command, the file that was meant, the node."""

import inspect
import io

import pytest
from rich.console import Console
from rich.table import Table

import spore
from spore.cli.app import run
from spore.cli.compare_table import CRITERIA
from spore.cli.narrow import Fitting, counted
from spore.migration.interval import Spread
from spore.migration.report import MigrationReport, criteria


@pytest.fixture
def error(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def error(*words):
        assert run(list(words)) == 2
        return capsys.readouterr().err

    return error


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("smaple", "'sample'"),
        ("evm-log:x.jsonl", "'evm-logs:x.jsonl'"),
        ("bianance:a,b", "'binance:a,b'"),
        ("sims:seed=1", "'sim:seed=1'"),
    ],
)
def test_a_feed_that_is_misspelt_has_a_suggestion(error, spec, meant):
    """The scheme is mended, and the rest is as it was."""
    assert f"did you mean {meant}?" in error("replay", spec)


def test_a_recording_whose_name_lacks_its_end_is_suggested(error, tmp_path):
    """If there is such a file."""
    (tmp_path / "yesterday.frames").touch()
    assert "did you mean 'yesterday.frames'?" in error("replay", "yesterday")
    assert "did you mean" not in error("replay", "tomorrow")


@pytest.mark.parametrize(
    "command", [["monitor"], ["top", "--once"], ["metrics"], ["rollback"], ["switch", "core", "--to", "relay"]]
)
def test_a_file_that_nobody_has_named_is_said_to_be_the_default(error, command):
    """With how to name another one; and not where it was named."""
    assert f"no file was named, so config/bundles.toml is meant; name another as in: spore {command[0]}" in error(
        *command
    )
    if command[0] == "monitor":
        assert "no file was named" not in error("monitor", "config/bundles.toml")
        assert "no file was named" not in error("monitor", "other.toml")


def test_what_listens_for_others_names_its_options(error):
    """Those that are missing, and the one that says that all of this is meant."""
    said = error("relay", "--tcp", "0.0.0.0:0")
    assert all(option in said for option in ("--tcp 0.0.0.0:0", "--tls-cert", "--tls-key", "--tls-ca", "--plain-tcp"))
    assert "--tcp HOST:PORT" in error("relay", "--tcp", "7777")


def test_every_criterion_has_a_name_for_people():
    """None is called as in the JSON."""
    spread = Spread(1.0, 1.0, 1.0)
    report = MigrationReport(
        latency_reduction=None,
        throughput_increase=spread,
        serialization_saved_mb=spread,
        cpu_reduction=spread,
        memory_change=spread,
    )
    judged = criteria(report, tell_adds_ns=[1.0], identical=True, encoded_bundled=0, lost=0)
    assert set(CRITERIA) == set(judged)
    assert not any("_" in name for name in CRITERIA.values())


@pytest.mark.parametrize("width", [20, 40])
def test_a_table_that_does_not_fit_is_written_below_each_other(width):
    """Nothing is cut off, however narrow the terminal is; a wide one has the table."""
    table = Table(title="all of it")
    for heading in ("actor", "messages/s", "waiting", "queue"):
        table.add_column(heading, no_wrap=True)
    table.add_row("market_data", "123,456", "[red]17 µs[/]", "1/1,000")
    table.add_row("signals", "", "–", "0/1,000")
    out = io.StringIO()
    Console(file=out, width=width).print(Fitting(table))
    text = "".join(out.getvalue().split())
    assert "…" not in text
    assert text == "allofitmarket_datamessages/s:123,456waiting:17µsqueue:1/1,000signalswaiting:–queue:0/1,000"
    wide = io.StringIO()
    Console(file=wide, width=100).print(Fitting(table))
    assert "┃" in wide.getvalue()


def test_one_of_a_kind_is_one():
    """In words."""
    assert [counted(count, "actor") for count in (0, 1, 2)] == ["0 actors", "1 actor", "2 actors"]
    assert counted(1_000, "process", "processes") == "1,000 processes"


def test_the_signature_of_message_is_short():
    """It does not show all messages that there are."""
    assert len(str(inspect.signature(spore.message))) < 150
