"""``spore compare`` as users run it: a table, a file, and an exit code that says which it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.exchanges import two_exchanges
from tests.nats_servers import BINARY

from spore.deploy import Mode, load_config
from spore.deploy.spec import to_json
from spore.migration.run import RunJob
from spore.samples import PIPELINE as PIPELINE_FILE
from spore.samples import UNISWAP_V2_SESSION

PIPELINE = """
[[bundles]]
name = "core"
mode = "shared_memory"
[bundles.actors.market_data]
type = "MarketDataActor"
[bundles.actors.signal_generator]
type = "{type}"
config = {{ all_opportunities = true }}
"""


def compare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return spore("compare", *arguments)


def spore(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def pipeline(folder: Path, kind: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(PIPELINE.format(type=kind))
    return path


@pytest.mark.long
def test_the_recorded_session_is_the_same_in_every_mode(tmp_path: Path) -> None:
    """Same digests, nothing lost, nothing encoded where all is in one process; the files say what the table says. Through a server, too,
    where there is one to start."""
    to, page, signals = tmp_path / "result.json", tmp_path / "result.html", tmp_path / "out"
    modes = ["bundled", "relayed", *(["distributed"] if BINARY is not None else [])]
    options = ("--modes", ",".join(modes), "--repeat", "1", "--seconds", "0.5")
    done = compare(*options, "--json", to, "--html", page, "--signals", signals)
    assert done.returncode == 0, done.stderr
    found = json.loads(to.read_text())
    assert list(found) == ["identical", "signals", "digest", "first_divergence", "modes", "criteria"]
    assert found["identical"] is True
    assert found["first_divergence"] is None
    assert list(found["digest"]) == list(found["modes"]) == modes
    assert len(set(found["digest"].values())) == 1
    if BINARY is not None:
        through = found["modes"]["distributed"]
        assert (through["processes"], through["lost"]) == (
            5,
            0,
        )  # the feed, three actors, and the server in place of the relay
        assert through["encoded_messages"]["value"] == found["modes"]["relayed"]["encoded_messages"]["value"]
    bundled, relayed = found["modes"]["bundled"], found["modes"]["relayed"]
    assert (bundled["processes"], relayed["processes"]) == (1, 5)
    assert (bundled["encoded_bytes"]["value"], bundled["encoded_messages"]["value"]) == (0, 0)
    assert relayed["encoded_bytes"]["value"] > 32 * relayed["encoded_messages"]["value"] > 0
    for mode in (bundled, relayed):
        assert 0 < mode["latency_ns"]["p50"]["value"] <= mode["latency_ns"]["p999"]["value"]
        assert mode["latency_ns"]["p50"]["value"] < mode["event_latency_ns"]["p50"]["value"]
        assert mode["cpu_seconds_per_million"]["value"] > 0
        assert mode["paced_cpu_percent"]["value"] > 0
        assert mode["peak_memory_bytes"]["value"] > 1_000_000
    assert bundled["signals_timed"] == relayed["signals_timed"] > 0
    criteria = found["criteria"]
    assert list(criteria) == [
        "bundled_message_ns",
        "latency_reduction_percent",
        "throughput_increase_percent",
        "cpu_reduction_percent",
        "memory_increase_percent",
        "identical_signals",
        "zero_serialisation",
        "messages_lost",
    ]
    assert all(set(each) == {"value", "low", "high", "target", "met"} for each in criteria.values())
    assert all(criteria[name]["met"] for name in ("identical_signals", "zero_serialisation", "messages_lost"))
    written = [(signals / f"{mode}-signals.jsonl").read_bytes() for mode in modes]
    assert len(set(written)) == 1
    assert written[0].count(b"\n") == found["signals"] > 0
    assert f"identical signals and orders in {2 * len(modes)} runs" in done.stdout
    assert page.as_uri() in done.stdout
    shown = set(re.findall(r'<data value="([^"]+)">', page.read_text(encoding="utf-8")))
    assert {json.dumps(each["value"]) for each in criteria.values()} <= shown


@pytest.mark.long
def test_a_difference_is_shown_field_by_field(tmp_path: Path) -> None:
    """With the number of the message, both values, the event that caused it, and a short input that shows it again; the exit code
    is 1. A simulated chain and two exchanges are compared as any feed is."""
    to, out = tmp_path / "result.json", tmp_path / "out"
    config = pipeline(tmp_path, "tests.mode_dependent:ModeDependent")
    feeds = ("--feed", "sim:seed=3,events=2000,pools=20", "--feed", two_exchanges(tmp_path))
    done = compare(config, *feeds, "--repeat", "1", "--seconds", "0.2", "--json", to, "--signals", out)
    assert done.returncode == 1, done.stderr
    found = json.loads(to.read_text())
    first = found["first_divergence"]
    assert (found["identical"], first["stream"], first["index"], first["kind"]) == (
        False,
        "signals",
        2,
        "ArbitrageSignal",
    )
    (field,) = first["fields"]
    assert field["field"] == "spread_bps"
    bundled, relayed = map(int, field["values"])
    assert relayed == bundled + 1
    assert first["event"]["kind"] == "QuoteUpdate"
    assert "number 3 of the signals" in done.stdout
    assert "spread_bps" in done.stdout
    prefix = first["prefix"]
    assert (prefix["pairs"], prefix["differed"], prefix["ended"]) == (3, 3, None)
    assert f"The first {prefix['events']} of " in done.stdout
    assert f"--feed {prefix['file']}" in done.stdout
    assert Path(prefix["file"]).parent == out
    bundled, relayed = (replayed(prefix["file"], config, mode) for mode in ("bundled", "relayed"))
    assert bundled["messages"] == relayed["messages"] == prefix["events"]
    assert bundled["signals"] == relayed["signals"] == {"cross_venue": 3}
    assert bundled["digest"]["signals"] != relayed["digest"]["signals"]


def replayed(feed: str, config: Path, mode: str) -> dict:
    done = spore("replay", feed, "--config", config, "--mode", mode, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--feed", "sampel"], "feed 'sampel' is none"),
        (["--feed", f"jsonrpc:ws://127.0.0.1:9?pools={UNISWAP_V2_SESSION / 'pools.json'}"], "is live"),
        (["--repeat", "0"], "--repeat is 1 or more"),
        (["--modes", "bundled,relayd"], "there is no mode 'relayd'; did you mean 'relayed'?"),
        (["--modes", "bundled,distributed"], "--modes: relayed is missing"),
        (["--seconds", "0"], "--seconds is more than 0"),
        (["no-such.toml"], "no-such.toml"),
    ],
)
def test_bad_input_is_told_before_anything_runs(arguments: list[str], sentence: str) -> None:
    """In a sentence, with exit code 2."""
    done = compare(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_fails_is_no_difference(tmp_path: Path) -> None:
    """What an actor raised is told, and nothing is compared."""
    done = compare(pipeline(tmp_path, "tests.mode_dependent:Failing"), "--repeat", "1", "--seconds", "0.2")
    assert done.returncode == 2
    assert "has failed: ValueError: no more" in done.stderr


def test_a_run_ends_with_whoever_has_started_it(tmp_path: Path) -> None:
    """However that ends: nothing is left behind that plays on."""
    job = RunJob(
        path=tuple(sys.path),
        feeds=("sample",),
        config=load_config(PIPELINE_FILE),
        mode=Mode.RELAY,
        folder=str(tmp_path),
        rate=1.0,
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "spore.migration.run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(to_json(job).encode() + b"\n")
    run.stdin.flush()
    processes = [psutil.Process(pid) for pid in json.loads(run.stdout.readline())["processes"]]
    assert len(processes) == 5
    run.stdin.close()
    assert run.wait(30) == 1
    run.stdout.close()
    assert psutil.wait_procs(processes, timeout=30)[1] == []
