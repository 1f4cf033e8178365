"""The state of the signal generator as a record: what a successor, perhaps in another process, takes over."""

from __future__ import annotations

import spore
from spore.services.loans import LoanState
from spore.services.messages import ArbitrageSignal, TokenPrice
from spore.services.momentum import AveragesState
from spore.services.signal_generator import SignalGenerator

__all__ = ["SignalGeneratorState", "restore_signal_generator", "save_signal_generator"]


@spore.record
class SkippedInput:
    """How much was not used for a reason."""

    reason: spore.Str
    count: spore.U64


@spore.record
class SignalGeneratorState:
    """A generator between two messages."""

    averages: tuple[AveragesState, ...]
    loans: tuple[LoanState, ...]
    loan_prices: tuple[TokenPrice, ...]
    standing: tuple[ArbitrageSignal, ...]
    native_usd_q112: spore.U256 | None
    wei_per_gas: spore.U256
    orders: spore.U64
    skipped: tuple[SkippedInput, ...]


def save_signal_generator(generator: SignalGenerator) -> SignalGeneratorState:
    """What a generator is."""
    return SignalGeneratorState(
        averages=tuple(averages.state(market) for market, averages in generator.averages.values()),
        loans=tuple(generator.loans.states()),
        loan_prices=tuple(TokenPrice(*price) for price in generator.loans.prices.items()),
        standing=tuple(generator.standing),
        native_usd_q112=generator.native_q112,
        wei_per_gas=generator.wei_per_gas,
        orders=generator.orders,
        skipped=tuple(SkippedInput(*skipped) for skipped in generator.skipped.items()),
    )


def restore_signal_generator(generator: SignalGenerator, state: SignalGeneratorState) -> None:
    """Make a fresh generator, with the settings of its predecessor, what that was."""
    for entry in state.averages:
        averages = generator.fresh_averages()
        averages.restore(entry)
        generator.averages[entry.market.instrument_id, entry.market.venue] = (entry.market, averages)
    generator.loans.reprice(state.loan_prices)
    for loan in state.loans:
        generator.loans.put(loan.position, told=loan.told)
    for signal in state.standing:
        generator.standing.add(signal)
    generator.native_q112 = state.native_usd_q112
    generator.wei_per_gas = state.wei_per_gas
    generator.orders = state.orders
    generator.skipped.update({skipped.reason: skipped.count for skipped in state.skipped})
