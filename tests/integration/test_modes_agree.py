"""Processes of their own, and one process for all: on every feed that is at hand, in every configuration, one digest; through a real
server, too."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.exchanges import two_exchanges
from tests.modes import Seen, difference
from tests.nats_servers import NEEDS_SERVER, NatsServer, nats_server
from tests.shared_data import SHARED_DATA, needs_shared_data

from spore.deploy import ActorConfig, BundleConfig, Mode, SystemConfig, load_config
from spore.deploy.config import NodeConfig
from spore.feeds import feed_of
from spore.migration import Played, play
from spore.migration.run import frames_of
from spore.nursery_bundle import Dispatch
from spore.samples import PIPELINE
from spore.services.messages import ArbitrageSignal, MomentumSignal

__all__ = ["nats_server"]

BINANCE = SHARED_DATA / "binance_ethusdt"
BUNDLES = Path(__file__).parents[2] / "config" / "bundles.toml"
MAINNET = SHARED_DATA / "ethereum_mainnet"
SHORT = "sim:seed=3,events=2000,pools=20"
CONFIGURATIONS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "queued and verified, room for many pools": (
        {"dispatch": Dispatch.QUEUED, "verify": 1.0},
        {"pools_to_monitor": 1_000_000},
    ),
    "mailboxes for one": ({"capacity": 1}, {}),
    "queued, small mailboxes, orders in parts, not all pools": (
        {"dispatch": Dispatch.QUEUED, "capacity": 8},
        {"pools_to_monitor": 15, "slice_bps": 2_500, "latency_ms": 1_500},
    ),
}
"""For each the options of every actor, and settings of those that have them."""


def pipeline(
    options: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None, *, every: bool = True
) -> SystemConfig:
    """Market data → signals → execution."""
    known = {
        "market_data": ("MarketDataActor", {"cross_venue_fee_bps": 2}, ["pools_to_monitor"]),
        "signal_generator": ("SignalGeneratorActor", {"all_opportunities": every}, []),
        "execution": ("ExecutionActor", {}, ["slice_bps", "latency_ms"]),
    }
    actors = {
        name: ActorConfig(
            type=type_name,
            config={**config, **{key: value for key, value in (settings or {}).items() if key in keys}},
            **(options or {}),
        )
        for name, (type_name, config, keys) in known.items()
    }
    bundle = BundleConfig(name="core", mode=Mode.SHARED_MEMORY, actors=actors)
    return SystemConfig(bundles=(bundle,))


def both(config: SystemConfig, *specs: str) -> Iterator[Played]:
    """The same feed in both modes."""
    for mode in (Mode.SHARED_MEMORY, Mode.RELAY):

        async def main(mode: Mode = mode) -> Played:
            return await play(*specs, config=config, mode=mode)

        yield trio.run(main)


def recorded_in(run: Played) -> Seen:
    """By kind."""
    return {"signals": run.recording.signals, "orders": run.recording.orders, "reports": run.recording.reports}


def agreed(config: SystemConfig, *specs: str, processes: int = 5) -> Played:
    """What both modes have shown, if it is the same."""
    bundled, relayed = both(config, *specs)
    assert (said := difference(recorded_in(bundled), recorded_in(relayed))) is None, said
    assert (bundled.messages, bundled.lost, relayed.lost) == (relayed.messages, 0, 0)
    assert (bundled.processes, relayed.processes) == (1, processes)
    return bundled


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_each_configuration(name: str) -> None:
    """A short simulated market, with signals and orders in it."""
    found = agreed(pipeline(*CONFIGURATIONS[name]), SHORT)
    assert len(found.recording.signals) > 10
    assert found.recording.reports


@pytest.mark.long
@NEEDS_SERVER
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_each_configuration_through_a_server(name: str, nats_server: NatsServer) -> None:
    """The third mode: a process for each actor, and no relay."""
    config = pipeline(*CONFIGURATIONS[name])
    distributed = attrs.evolve(config, nodes={"here": NodeConfig(carrier=nats_server.address)})
    bundled, through = (
        trio.run(partial(play, SHORT, config=each, mode=mode))
        for each, mode in ((config, Mode.SHARED_MEMORY), (distributed, Mode.DISTRIBUTED))
    )
    assert (said := difference(recorded_in(bundled), recorded_in(through))) is None, said
    assert (bundled.messages, bundled.lost, through.lost, through.processes) == (through.messages, 0, 0, 4)


@pytest.mark.long
def test_a_larger_simulated_market() -> None:
    """Transactions of several swaps, at three venues."""
    spec = "sim:seed=2,events=5000,pools=30,venues=3,tx_swaps=3"
    assert agreed(pipeline(), spec).recording.signals


@pytest.mark.long
def test_the_shipped_session_in_small_mailboxes() -> None:
    """Its signals, orders and reports."""
    assert agreed(pipeline({"capacity": 16}, every=False), "sample").recording.reports


@pytest.mark.parametrize("file", [PIPELINE, BUNDLES], ids=["samples/pipeline.toml", "config/bundles.toml"])
def test_each_configuration_that_is_shipped(file: Path) -> None:
    """As it stands."""
    config = load_config(file)
    processes = len(config.bundles[0].actors) + 2
    found = agreed(config, "sample", processes=processes)
    assert found.recording.signals


def test_a_recording_merged_with_two_exchanges(tmp_path: Path) -> None:
    """The chain's session as frames, and quotes of the same time."""
    session = tmp_path / "session.frames"
    session.write_bytes(frames_of(feed_of("sample").messages()))
    found = agreed(pipeline(), str(session), two_exchanges(tmp_path))
    signals = found.recording.signals
    assert {type(each) for each in signals} == {ArbitrageSignal, MomentumSignal}
    venues = {each.first.venue for each in signals if isinstance(each, ArbitrageSignal)}
    assert {1, 2, 20, 21} == venues


@pytest.mark.long
@needs_shared_data
def test_two_blocks_of_mainnet() -> None:
    """Which leave nothing above the fees."""
    assert agreed(pipeline(), f"evm-logs:{MAINNET / 'blocks_17173049_17173050_logs.jsonl.gz'}").messages > 0


@pytest.mark.long
@needs_shared_data
def test_two_recorded_venues(tmp_path: Path) -> None:
    """The first frames of each; `test_replay` plays them all."""
    for name in ("spot_20240808.gz", "usdm_20240808.gz"):
        with gzip.open(BINANCE / name) as whole, gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
            file.writelines(islice(whole, 5_000))
    spec = f"binance:{tmp_path / 'spot_20240808.gz'},{tmp_path / 'usdm_20240808.gz'}"
    assert agreed(pipeline(), spec).recording.signals
