"""The services as actors: in both dispatches alike, handed over in the middle, and around a service of frames."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from tests.actors import both
from tests.market import E18, SECOND, book, end, gas, instrument, loan, named, pool, quote, reorg, swap, sync, trade

import spore
from spore.codec import wire_difference
from spore.errors import ConversionError, DecodeError, UsageError
from spore.services import (
    ExecutionActor,
    MarketDataActor,
    MarketDataProcessor,
    PaperExecution,
    RelayServiceAdapter,
    SignalGenerator,
    SignalGeneratorActor,
    line_of,
)
from spore.services.messages import (
    EventRef,
    GasPrice,
    LiquidationSignal,
    MarketRef,
    MomentumSignal,
    OrderCancel,
    OrderRequest,
    Side,
)
from spore.testing import run, start_probe

MARKET = {"update_frequency_ms": 1_000, "cross_venue_fee_bps": 1, "reorg_depth": 3}
SIGNALS = {"all_opportunities": True, "fast_window": 1, "slow_window": 2, "momentum_threshold_bps": 0}
PAPER = {"latency_ms": 1_500, "slice_bps": 5_000}


def script() -> list[Any]:
    """Something of everything: 20 blocks with arbitrage, quotes that cross, a book, loans, gas, a reorganisation."""
    messages: list[Any] = [
        pool("p1", "AAA", "WETH"),
        pool("p2", "AAA", "WETH", venue=2),
        pool("u1", "USDC", "WETH"),
        instrument("ETHUSDT", 1),
        instrument("ETHUSDT", 2),
        loan("l1", E18, 1_600 * 10**6),
        gas(10**9),
    ]
    for block in range(1, 21):
        price = 2_000 + 100 * (block % 3)
        messages += [
            sync("p1", (1_000 + 10 * block) * E18, 100 * E18, block=block, log=1),
            swap("p1", into=(10 * E18, 0), out=(0, E18), block=block),
            sync("u1", price * 10**10, 10_000 * E18, block=block, log=3),
            end(block=block),
            sync("p2", 1_000 * E18, 100 * E18, block=block, log=4),
            end(block=block, tx=1),
            quote(1, price * 10**8, (price + 1) * 10**8, at=block),
            quote(2, (price + 60) * 10**8, (price + 61) * 10**8, at=block),
            trade(1, price * 10**8, 10**8, at=block),
            book({block: 1}, {block + 1: 2}, first=block, last=block),
        ]
        if block == 12:
            messages.append(reorg(10, at=12))
    return messages


async def pipeline(
    bundle: spore.Bundle, states: dict[str, Any] | None = None
) -> tuple[spore.ActorRef[Any], dict[str, Any], Any]:
    """The three actors, wired; their objects; and what records."""
    inner = {
        "market": MarketDataProcessor(**MARKET),
        "signals": SignalGenerator(**SIGNALS),
        "paper": PaperExecution(**PAPER),
    }
    states = states or {}
    probe = await start_probe(bundle, "recorder", capacity=10_000)
    execution = await bundle.start(
        ExecutionActor, inner=inner["paper"], recorder=probe.ref, name="paper", state=states.get("paper")
    )
    signals = await bundle.start(
        SignalGeneratorActor,
        inner=inner["signals"],
        execution=execution,
        recorder=probe.ref,
        name="signals",
        state=states.get("signals"),
        verify=1.0,
    )
    market = await bundle.start(
        MarketDataActor, inner=inner["market"], signals=signals, name="market", state=states.get("market"), verify=1.0
    )
    return market, inner, probe


def recorded(messages: Iterable[Any], dispatch: str = "inline") -> list[dict[str, Any]]:
    async def main() -> list[Any]:
        async with spore.open_bundle("trading", dispatch=dispatch, verifier=wire_difference) as bundle:
            market, _, probe = await pipeline(bundle)
            for message in messages:
                await market.send(message)
            await bundle.wait_idle()
        return [line_of(message) for message in probe.received]

    return run(main)


def kinds(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By kind: how two senders interleave at the recorder is not promised."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault("report" if line["kind"] == "report" else "signal", []).append(line)
    return found


def test_both_dispatches_give_the_same():
    """Every signal and report, bit for bit; and each message that passed also survives the wire."""
    inline, queued = recorded(script()), recorded(script(), "queued")
    assert kinds(inline) == kinds(queued)
    assert {line["kind"] for line in inline} == {"arbitrage", "cross_venue", "momentum", "liquidation", "report"}
    json.dumps(inline)


@both
@pytest.mark.parametrize("cut", [3, 60, 125])
def test_a_successor_takes_over_in_the_middle(dispatch, cut):
    """What three actors tell about themselves survives JSON, and their successors go on as if nothing had happened."""

    async def main() -> list[Any]:
        messages = script()
        async with spore.open_bundle("before", dispatch=dispatch, verifier=wire_difference) as bundle:
            market, inner, probe = await pipeline(bundle)
            for message in messages[:cut]:
                await market.send(message)
            await bundle.wait_idle()
            states = {
                "market": MarketDataActor(inner["market"], market).snapshot(),
                "signals": SignalGeneratorActor(inner["signals"]).snapshot(),
                "paper": ExecutionActor(inner["paper"]).snapshot(),
            }
        before = [line_of(message) for message in probe.received]
        carried = json.loads(json.dumps(states))
        assert carried == states
        async with spore.open_bundle("after", dispatch=dispatch, verifier=wire_difference) as bundle:
            market, inner, probe = await pipeline(bundle, carried)
            assert MarketDataActor(inner["market"], market).snapshot() == states["market"]
            assert SignalGeneratorActor(inner["signals"]).snapshot() == states["signals"]
            assert ExecutionActor(inner["paper"]).snapshot() == states["paper"]
            for message in messages[cut:]:
                await market.send(message)
            await bundle.wait_idle()
        return before + [line_of(message) for message in probe.received]

    assert kinds(run(main)) == kinds(recorded(script()))


def test_a_state_that_contradicts_itself_is_refused():
    """It speaks of a pool or market that its own listings and the settings leave no room for."""
    market = MarketDataProcessor(**MARKET)
    for message in script()[:36]:  # up to the first trade
        market.process(message)
    state = MarketDataActor(market, None).snapshot()

    def restored(settings: dict[str, Any], **other: Any) -> None:
        MarketDataActor(MarketDataProcessor(**settings), None).restore({**state, **other})

    restored(MARKET)
    with pytest.raises(ConversionError, match="is not among the 1 that could be listed"):
        restored({**MARKET, "pools_to_monitor": 1})
    with pytest.raises(ConversionError, match="instrument 5 on venue 2 is beyond instruments_to_monitor"):
        restored({**MARKET, "instruments_to_monitor": 1})
    empty = MarketDataActor(market, None)
    with pytest.raises(ConversionError, match="missing"):
        empty.restore({"listed": []})
    paper = PaperExecution(**PAPER)
    open_order = json.loads(json.dumps(order_state()))
    with pytest.raises(ConversionError, match="2 open orders, and max_open_orders is 1"):
        ExecutionActor(attrs.evolve(paper, max_open_orders=1)).restore(open_order)


def order_state() -> Any:
    execution = PaperExecution(latency_ms=60_000)
    generator = SignalGenerator(**SIGNALS)
    market = MarketDataProcessor(**MARKET)
    for message in script():
        for told in market.process(message):
            for decision in generator.process(told):
                if type(decision).__name__ == "OrderRequest" and len(execution.open) < 2:
                    execution.process(decision)
    return ExecutionActor(execution).snapshot()


def test_ports_that_are_not_wired_are_left_out():
    """Neither the generator nor the execution needs anybody behind it."""

    async def main() -> int:
        async with spore.open_bundle("trading") as bundle:
            generator = SignalGenerator(**SIGNALS)
            signals = await bundle.start(SignalGeneratorActor, inner=generator, name="signals")
            market = await bundle.start(MarketDataActor, inner=MarketDataProcessor(**MARKET), signals=signals)
            for message in script():
                await market.send(message)
            await bundle.wait_idle()
            paper = await bundle.start(ExecutionActor, inner=PaperExecution())
            await paper.send(OrderCancel(SECOND, 1, ""))
            await paper.send(OrderRequest(SECOND, 1, Side.BUY, (), None, 1, 1, None, 0, 2 * SECOND, EventRef(1, 1)))
        return generator.orders

    assert run(main) > 0


# Lines


def test_lines_of_arbitrage_have_the_keys_that_others_read():
    """Amounts are decimal strings, addresses hex, USD have 8 decimals."""
    line = next(line for line in recorded(script()) if line["kind"] == "arbitrage")
    assert list(line)[:10] == [
        "kind", "block", "tx_index", "tx_hash", "first_pool", "second_pool", "token_in", "token_mid", "amount_in", "amount_mid",
    ]  # fmt: skip
    assert line["block"] == 1
    assert line["first_pool"] == f"0x{named('p2').hex()}" or line["first_pool"] == f"0x{named('p1').hex()}"
    assert all(line[key].isdecimal() for key in ("amount_in", "amount_mid", "profit"))
    assert line["gas_usd"].partition(".")[2].isdecimal()


def test_what_a_service_does_not_use_is_in_the_statistics():
    """Of each actor, by reason."""

    async def main() -> list[dict[str, int]]:
        async with spore.open_bundle("trading") as bundle:
            probe = await start_probe(bundle, "signals")
            inner = MarketDataProcessor(pools_to_monitor=1)
            market = await bundle.start(MarketDataActor, inner=inner, signals=probe.ref, name="market")
            await market.send_many([pool("p1", "AAA", "WETH"), pool("p2", "AAA", "WETH", venue=2), swap("p2")])
            await bundle.wait_idle()
            return [dict(actor.skipped) for actor in bundle.statistics().actors.values() if actor.skipped]

    assert run(main) == [{"pool listed beyond pools_to_monitor": 1, "pool not monitored": 1}]


def test_lines_of_other_messages():
    """Momentum, loans, cancels; a figure that nobody knows is null, and a negative one keeps its sign."""
    cause = EventRef(1, 2, 3, 4, b"h" * 32)
    momentum = line_of(MomentumSignal(5, MarketRef(1, 9), Side.SELL, 150_000_000, 1, 7, EventRef(5, 6)))
    assert momentum["side"] == "sell"
    assert (momentum["fast_average"], momentum["instrument_id"]) == ("1.50000000", "9")
    fields = (5, 1, b"a" * 20, b"b" * 20, b"c" * 20, 2**60, 1, 99_000_000, 500)
    told = line_of(LiquidationSignal(*fields, -150_000_000, cause))
    assert (told["net_profit_usd"], told["health_factor"], told["collateral_amount"]) == (
        "-1.50000000",
        "0.99000000",
        str(2**60),
    )
    assert line_of(LiquidationSignal(*fields, None, cause))["net_profit_usd"] is None
    assert line_of(OrderCancel(1, 2, "why")) == {
        "kind": "cancel",
        "order_id": "2",
        "reason": "why",
        "event_time_ns": "1",
    }
    assert line_of(GasPrice(1, 2, 2**60, 4)) == {
        "kind": "GasPrice",
        "event_time_ns": 1,
        "block_number": 2,
        "base_fee_wei": str(2**60),
        "priority_fee_wei": 4,
    }
    with pytest.raises(TypeError, match="EventRef is no message"):
        line_of(cause)


# A service of frames


class Doubler:
    """An existing service: it speaks frames and knows nothing of actors."""

    def __init__(self, *, form: str = "bytes") -> None:
        self.form = form
        self.headers: list[tuple[int, int, int]] = []

    def process_tlv(self, frame: bytes) -> Any:
        got = spore.codec.decode(frame)
        self.headers.append((got.sequence, got.timestamp_ns, got.source))
        price = attrs.evolve(got.message, base_fee_wei=2 * got.message.base_fee_wei)
        answers = [spore.codec.encode(price, sequence=n, timestamp_ns=0) for n in (1, 2)]
        unknown = spore.codec.encode_frame(
            spore.codec.Frame(
                spore.Domain.MARKET_DATA, 0, spore.codec.Flags(0), 3, 0, (spore.codec.UnknownTlv(7, b"?"),)
            )
        )
        return {
            "bytes": b"".join(answers),
            "list": [*answers, unknown],
            "none": None,
            "cut": [answers[0], answers[1][:-1]],
            "text": ["frame"],
        }[self.form]


class Counter(Doubler):
    """One that can say what it remembers."""

    def snapshot(self) -> Any:
        return self.headers

    def restore(self, state: Any) -> None:
        self.headers = [tuple(header) for header in state]


async def adapted(form: str, log: list[Any]) -> Any:
    service = Doubler(form=form)
    async with spore.open_bundle("legacy") as bundle:
        probe = await start_probe(bundle)
        adapter = RelayServiceAdapter(service, source=41)
        ref = await bundle.start(lambda: adapter, name="legacy")
        await bundle.wait_idle()
        adapter.out = probe.ref
        answer = await ref.ask(GasPrice(5, 6, 7, 8))
    log += [service, adapter, probe.received]
    return answer


@pytest.mark.parametrize(("form", "unknown"), [("bytes", 0), ("list", 1)])
def test_a_service_of_frames_is_an_actor(form, unknown):
    """It gets whole, numbered frames; what it answers, at once or in pieces, is sent on, and answers an ask."""
    log: list[Any] = []
    answer = run(adapted, form, log)
    service, adapter, received = log
    assert service.headers == [(1, 5, 41)]
    assert answer == GasPrice(5, 6, 14, 8)
    assert received == [answer, answer]
    assert adapter.unknown == unknown


def test_a_service_may_have_no_answer():
    """Then nothing is sent on; and what it answers may go nowhere."""
    assert run(adapted, "none", []) is None
    adapter = RelayServiceAdapter(Doubler())
    assert adapter.handle(GasPrice(5, 6, 7, 8)) == GasPrice(5, 6, 14, 8)


def test_what_is_no_frame_is_an_error():
    """Cut frames and what is not bytes, named; whole answers before it have been sent."""
    with pytest.raises(DecodeError, match="at byte"):
        RelayServiceAdapter(Doubler(form="cut")).handle(GasPrice(5, 6, 7, 8))
    with pytest.raises(UsageError, match="process_tlv of Doubler answered with str; frames are bytes"):
        RelayServiceAdapter(Doubler(form="text")).handle(GasPrice(5, 6, 7, 8))


def test_an_adapter_hands_over_its_count():
    """A successor numbers its frames on, and so does its service."""
    first = RelayServiceAdapter(Counter(form="list"))
    first.handle(GasPrice(5, 6, 7, 8))
    service = Counter()
    second = RelayServiceAdapter(service)
    second.restore(json.loads(json.dumps(first.snapshot())))
    second.handle(GasPrice(1, 1, 1, 1))
    assert service.headers == [(1, 5, 0), (2, 1, 0)]
    assert second.unknown == 1


def test_an_adapter_hands_nothing_over_for_a_service_that_does_not():
    """Its successor would begin without what the service remembers, and nobody would know."""
    with pytest.raises(NotImplementedError, match="Doubler has no snapshot and restore of its own"):
        RelayServiceAdapter(Doubler()).snapshot()
