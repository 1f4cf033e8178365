"""The services as actors: each hands its messages to a plain object and sends on what that returns, in order.

A restart after a failure calls the factory again: let it make a fresh ``inner``, as a deployment from a file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

import spore
from spore.services.market_data import MarketDataProcessor
from spore.services.market_state import MarketDataState, restore_market_data, save_market_data
from spore.services.messages import (
    ExecutionMessage,
    ExecutionReport,
    MarketMessage,
    OrderRequest,
    Signal,
    SignalMessage,
)
from spore.services.paper_execution import PaperExecution, PaperExecutionState
from spore.services.signal_generator import SignalGenerator
from spore.services.signal_state import SignalGeneratorState, restore_signal_generator, save_signal_generator

__all__ = ["ExecutionActor", "MarketDataActor", "SignalGeneratorActor"]


@attrs.define
class MarketDataActor(spore.Actor[MarketMessage]):
    """Tells the signal generator what it detects."""

    inner: MarketDataProcessor
    signals: spore.ActorRef[SignalMessage]

    def handle(self, message: MarketMessage) -> None:
        for told in self.inner.process(message):
            self.signals.tell(told)

    def skipped(self) -> Mapping[str, int]:
        return self.inner.skipped

    def snapshot(self) -> Any:
        return spore.to_plain(save_market_data(self.inner))

    def restore(self, state: Any) -> None:
        restore_market_data(self.inner, spore.from_plain(MarketDataState, state))


@attrs.define
class SignalGeneratorActor(spore.Actor[SignalMessage]):
    """Sends orders to the execution and signals to a recorder."""

    inner: SignalGenerator
    execution: spore.ActorRef[ExecutionMessage] | None = None
    recorder: spore.ActorRef[Signal] | None = None

    def handle(self, message: SignalMessage) -> None:
        for decision in self.inner.process(message):
            if isinstance(decision, OrderRequest):
                if self.execution is not None:
                    self.execution.tell(decision)
            elif self.recorder is not None:
                self.recorder.tell(decision)

    def skipped(self) -> Mapping[str, int]:
        return self.inner.skipped

    def snapshot(self) -> Any:
        return spore.to_plain(save_signal_generator(self.inner))

    def restore(self, state: Any) -> None:
        restore_signal_generator(self.inner, spore.from_plain(SignalGeneratorState, state))


@attrs.define
class ExecutionActor(spore.Actor[ExecutionMessage]):
    """Sends reports to a recorder."""

    inner: PaperExecution
    recorder: spore.ActorRef[ExecutionReport] | None = None

    def handle(self, message: ExecutionMessage) -> None:
        for report in self.inner.process(message):
            if self.recorder is not None:
                self.recorder.tell(report)

    def snapshot(self) -> Any:
        return spore.to_plain(self.inner.state())

    def restore(self, state: Any) -> None:
        self.inner.restore(spore.from_plain(PaperExecutionState, state))
