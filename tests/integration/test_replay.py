"""``spore replay`` as users run it: the same signals in every mode and every run, right to the last unit, or a sentence."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from tests.shared_data import SHARED_DATA, needs_shared_data

from spore.samples import UNISWAP_V2_SESSION

LOW_FEE = """
[[bundles]]
name = "core"
mode = "shared_memory"
[bundles.actors.market_data]
type = "MarketDataActor"
config = { cross_venue_fee_bps = 2 }
[bundles.actors.signal_generator]
type = "SignalGeneratorActor"
[bundles.actors.execution]
type = "ExecutionActor"
"""


def spore(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd)


def summary(*arguments: str | Path) -> dict:
    done = spore("replay", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["bundled", "relayed"])
def test_every_opportunity_of_the_recorded_session_is_found_and_none_is_invented(mode: str, tmp_path: Path) -> None:
    """After each transaction, for each direction: its exact best profit, and amounts that pay exactly that."""
    to = tmp_path / "signals.jsonl"
    facts = summary("sample", "--mode", mode, "--all-opportunities", "--signals", to)
    assert (facts["lost"], facts["processes"]) == (0, 1 if mode == "bundled" else 5)
    found = defaultdict(dict)
    for line in map(json.loads, to.read_text().splitlines()):
        found[line["tx_hash"]][line["first_pool"], line["second_pool"]] = line
    with gzip.open(UNISWAP_V2_SESSION / "truth.jsonl.gz", "rt") as file:
        truth = [json.loads(line) for line in file]
    # The last block holds four swaps, and the recording describes only the state after the last of them.
    undescribed = [tx_hash for tx_hash in found if tx_hash not in {after["tx_hash"] for after in truth}]
    assert {line["block"] for tx_hash in undescribed for line in found[tx_hash].values()} == {3_058}
    assert len(undescribed) == 3
    for after in truth:
        best = {(each["first_pool"], each["second_pool"]): each for each in after["best"]}
        assert set(best) == set(found.get(after["tx_hash"], {}))
        for route, each in best.items():
            line = found[after["tx_hash"]][route]
            assert (line["block"], line["tx_index"]) == (after["block"], after["tx_index"])
            middle = _out(int(line["amount_in"]), route[0], after["reserves"])
            back = _out(middle, route[1], after["reserves"], reverse=True)
            assert (middle, back - int(line["amount_in"])) == (int(line["amount_mid"]), int(line["profit"]))
            assert line["profit"] == each["profit"]


def _out(amount: int, pool: str, reserves: dict, *, reverse: bool = False) -> int:
    """What a pool gives, by the published formula; the arbitrages of the session all begin with WETH."""
    pools = json.loads((UNISWAP_V2_SESSION / "pools.json").read_text())
    weth = next(token["address"] for token in pools["tokens"] if token["symbol"] == "WETH")
    listed = next(each for each in pools["pools"] if each["address"] == pool)
    r0, r1 = map(int, reserves[pool])
    weth_in = (r0, r1) if listed["token0"] == weth else (r1, r0)
    r_in, r_out = weth_in[::-1] if reverse else weth_in
    return 997 * amount * r_out // (1000 * r_in + 997 * amount)


@pytest.mark.long
def test_both_modes_and_a_recording_give_one_digest(tmp_path: Path) -> None:
    """Of the signals, and of the orders with their reports; whichever process was where."""
    frames = tmp_path / "sample.frames"
    assert spore("record", "sample", "--to", frames).returncode == 0
    runs = [
        summary("sample", "--mode", "bundled"),
        summary("sample", "--mode", "relayed"),
        summary(frames, "--mode", "bundled"),
    ]
    assert len({json.dumps(run["digest"]) for run in runs}) == 1
    assert runs[0]["signals"]["arbitrage"] == runs[0]["orders"] > 100


def test_what_is_divided_by_pool_gives_one_digest_in_both_modes() -> None:
    """And the signals of the whole: of this session, whose two shards have both pools of a pair each."""
    config = Path(__file__).parents[2] / "examples/nodes/shards.toml"
    bundled, relayed = (summary("sample", "--config", config, "--mode", mode) for mode in ("bundled", "relayed"))
    assert bundled["digest"] == relayed["digest"]
    assert (bundled["processes"], relayed["processes"]) == (1, 8)
    assert bundled["digest"]["signals"] == summary("sample")["digest"]["signals"]


@pytest.mark.long
def test_a_simulated_market_gives_one_digest_in_both_modes(tmp_path: Path) -> None:
    """Whatever it draws."""
    runs = [
        summary("sim:seed=7,events=20000", "--all-opportunities", "--mode", mode) for mode in ("bundled", "relayed")
    ]
    assert runs[0]["digest"] == runs[1]["digest"]
    assert runs[0]["signals"]["arbitrage"] > 1_000


@pytest.mark.long
@needs_shared_data
def test_two_recorded_venues_give_one_digest_in_every_mode_and_run(tmp_path: Path) -> None:
    """Each of 108,273 frames is used; momentum and cross-venue signals are the same to the last bit. One snapshot of a
    book came later than changes that it does not have, and whichever process notices says so."""
    config = tmp_path / "low_fee.toml"
    config.write_text(LOW_FEE)
    folder = SHARED_DATA / "binance_ethusdt"
    feed = f"binance:{folder / 'spot_20240808.gz'},{folder / 'usdm_20240808.gz'}"
    options = ("--config", config, "--all-opportunities")
    runs = [summary(feed, *options, "--mode", mode) for mode in ("bundled", "relayed", "bundled")]
    assert {json.dumps(run["digest"]) for run in runs} == {json.dumps(runs[0]["digest"])}
    assert runs[0]["feed"] == {"read": 108_273, "used": 108_273, "skipped": {}}
    missing = {"market_data": {"order book updates missing: book goes on with a gap": 1}}
    assert [run["skipped"] for run in runs] == [missing, missing, missing]
    assert min(runs[0]["signals"]["cross_venue"], runs[0]["signals"]["momentum"]) > 0
    assert [run["lost"] for run in runs] == [0, 0, 0]


@pytest.mark.long
@needs_shared_data
def test_every_log_of_two_mainnet_blocks_is_accounted_for() -> None:
    """Used, or counted by reason; no two of these pools leave anything above their fees."""
    feed = f"evm-logs:{SHARED_DATA / 'ethereum_mainnet' / 'blocks_17173049_17173050_logs.jsonl.gz'}"
    runs = [summary(feed, "--all-opportunities", "--mode", mode) for mode in ("bundled", "relayed")]
    assert runs[0]["feed"]["read"] == 681 == runs[0]["feed"]["used"] + sum(runs[0]["feed"]["skipped"].values())
    assert runs[0]["digest"] == runs[1]["digest"]
    assert runs[0]["signals"] == {}


def _truncated(folder: Path) -> str:
    data = (UNISWAP_V2_SESSION / "logs.jsonl.gz").read_bytes()
    (folder / "logs.jsonl.gz").write_bytes(data[: len(data) // 2])
    return "logs.jsonl.gz"


def _no_json(folder: Path) -> str:
    with gzip.open(UNISWAP_V2_SESSION / "logs.jsonl.gz", "rt") as file:
        lines = file.readlines()[:100]
    (folder / "logs.jsonl").write_text("".join([*lines[:50], "{nonsense\n", *lines[50:]]))
    return "logs.jsonl"


def _out_of_order(folder: Path) -> str:
    with gzip.open(UNISWAP_V2_SESSION / "logs.jsonl.gz", "rt") as file:
        lines = file.readlines()[:100]
    (folder / "logs.jsonl").write_text("".join([*lines[60:], *lines[:60]]))
    return "logs.jsonl"


@pytest.mark.parametrize(
    ("make", "where"),
    [(_truncated, "logs.jsonl.gz:"), (_no_json, "logs.jsonl:51: "), (_out_of_order, "logs.jsonl:41: ")],
)
@pytest.mark.parametrize("mode", ["bundled", "relayed"])
def test_a_feed_that_breaks_off_is_a_sentence_with_its_place(make, where: str, mode: str, tmp_path: Path) -> None:
    """One line on stderr with file and line, exit code 2, and no file that is half of something."""
    (tmp_path / "pools.json").write_bytes((UNISWAP_V2_SESSION / "pools.json").read_bytes())
    feed = f"evm-logs:{make(tmp_path)}"
    before = set(tmp_path.iterdir())
    done = spore("replay", feed, "--mode", mode, "--signals", "s.jsonl", "--orders", "o.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"spore: {where}"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "feed 'nothing' is none; a feed is one of sample, evm-logs:FILE"),
        ([], "no feed was named; name one or more of sample"),
        (["evm-logs:missing.jsonl"], "missing.jsonl"),
        (["sample", "--config", "missing.toml"], "missing.toml"),
        (["sample", "--signals", "missing/s.jsonl"], "missing/s.jsonl"),
        (["sample", "--signals", "s.jsonl", "--orders", "../{name}/s.jsonl"], "both name s.jsonl"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    """Before anything is played; exit code 2."""
    done = spore("replay", *(argument.format(name=tmp_path.name) for argument in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    """It says how to."""
    file = tmp_path / "s.jsonl"
    file.write_text("mine")
    done = spore("replay", "sample", "--signals", file)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "add --force to replace it" in done.stderr
    assert spore("replay", "sample", "--signals", file, "--force").returncode == 0
    assert file.read_text().startswith('{"kind": "arbitrage"')


@pytest.mark.parametrize("mode", ["bundled", "relayed"])
def test_ctrl_c_ends_a_replay_without_a_trace(mode: str, tmp_path: Path) -> None:
    """No traceback, no file, no process that goes on; 130, as a shell reports it."""
    command = [sys.executable, "-m", "spore", "replay", "sim:seed=1,events=100000000", "--mode", mode]
    with subprocess.Popen(
        [*command, "--signals", str(tmp_path / "s.jsonl")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while not any(child.name.startswith(".s.jsonl") for child in tmp_path.iterdir()):
                assert process.poll() is None
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []
