"""Where all actors share a process, a message is never copied: the very objects of the feed are handled, and the very signals
that were made are recorded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import spore
from spore.codec.encode import encoded_classes
from spore.deploy import SystemConfig, load_config
from spore.deploy.system import SystemStatistics
from spore.feeds import open_feed
from spore.migration import Recorder, Recording, entries, tapped
from spore.migration.tap import RECORDER
from spore.nursery_bundle import Dispatch
from spore.samples import PIPELINE
from spore.services.market_data import MarketDataProcessor
from spore.services.messages import OrderRequest
from spore.services.paper_execution import PaperExecution
from spore.services.signal_generator import SignalGenerator

BUNDLES = Path(__file__).parents[2] / "config" / "bundles.toml"


class Watched:
    """What a service was given, and what it answered, in order."""

    def __init__(self, cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[Any] = []
        self.answered: list[Any] = []
        process: Callable[[Any, Any], Iterable[Any]] = cls.process

        def watched(service: Any, message: Any) -> list[Any]:
            self.given.append(message)
            answers = [*process(service, message)]
            self.answered += answers
            return answers

        monkeypatch.setattr(cls, "process", watched)


def queued(config: SystemConfig) -> SystemConfig:
    """Every message in a mailbox first, where it would be handled at once."""
    (bundle,) = config.bundles
    actors = {name: attrs.evolve(actor, dispatch=Dispatch.QUEUED) for name, actor in bundle.actors.items()}
    return attrs.evolve(config, bundles=(attrs.evolve(bundle, actors=actors),))


def played(config: SystemConfig) -> tuple[list[Any], Recording, SystemStatistics]:
    """The recorded session through a system, as `spore.migration.play` has it; what the feed has told, and what was recorded."""
    recording, told = Recording(), []

    async def main() -> SystemStatistics:
        local: Mapping[str, Any] = {RECORDER: (Recorder, {"recording": recording})}
        async with spore.open_system(tapped(config), local=local) as system, open_feed("sample") as feed:
            (head,) = [system.ref(name) for name in entries(config)]
            async for batch in feed.batches():
                told.extend(batch)
                await head.send_many(batch)
            await system.wait_idle()
            return await system.statistics()

    return told, recording, trio.run(main)


def are_same(ones: Iterable[object], others: Iterable[object]) -> bool:
    """Whether both have the same objects in the same order; equal ones will not do."""
    return all(one is other for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("is_queued", [False, True])
@pytest.mark.parametrize("config_file", [PIPELINE, BUNDLES])
def test_the_objects_that_are_sent_are_the_ones_that_arrive(
    config_file: Path, is_queued: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the feed to the market data, on to the signals, the orders and the recorder; and nothing is encoded."""
    monkeypatch.setattr(importlib.import_module("spore.codec.encode"), "_WRITERS", {})
    market, signals, paper = (
        Watched(cls, monkeypatch) for cls in (MarketDataProcessor, SignalGenerator, PaperExecution)
    )
    config = load_config(config_file)
    told, recording, statistics = played(queued(config) if is_queued else config)
    assert are_same(market.given, told)
    assert are_same(signals.given, market.answered)
    orders = [each for each in signals.answered if isinstance(each, OrderRequest)]
    assert are_same(recording.orders, orders)
    assert are_same(recording.signals, (each for each in signals.answered if not isinstance(each, OrderRequest)))
    assert len(recording.signals) > 100
    if config_file is PIPELINE:
        assert len(orders) > 100
        assert are_same((each for each in paper.given if isinstance(each, OrderRequest)), orders)
        assert are_same(recording.reports, paper.answered)
    assert encoded_classes() == ()
    assert statistics.client is None
