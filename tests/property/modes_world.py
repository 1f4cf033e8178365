"""Drawn systems, and drawn input for them, whose answers may not depend on the mode.

Two kinds. `wirings` draws small actors of its own: chains, fan-out, fan-in by event time and rings, plain and async, with
small mailboxes, and some that fail. Their answers depend on everything that they have handled, and on its order, so that one
message too many, too few or out of turn changes all that follow. `markets` draws what a trading pipeline is told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import trio
from hypothesis import strategies as st
from tests import market

import spore
from spore import ActorStopped, Directive, Supervision
from spore.deploy import ActorConfig, BundleConfig, Mode, SystemConfig
from spore.deploy.place import Local
from spore.errors import LinkDenied
from spore.nursery_bundle import Dispatch, Overflow
from spore.services import MarketDataActor, SignalGeneratorActor
from spore.testing import Faults

__all__ = [
    "DRAIN_S",
    "NOTES",
    "Note",
    "Notes",
    "Plain",
    "Step",
    "Waiting",
    "faults",
    "lossy",
    "markets",
    "notes",
    "pipelines",
    "rings",
    "steps",
    "system_of",
    "wirings",
]

NOTES = "notes"
"""The name of the local actor that writes down what it is told."""
DRAIN_S = 3_000
"""Of the virtual clock: connections are lost again and again."""
MODULUS = 2**64 - 59


@spore.message(type_id=62, domain=spore.Domain.SIGNAL)
class Step:
    """What small actors pass on."""

    event_time_ns: spore.TimestampNs
    number: spore.U64
    hops: spore.U8
    value: spore.U64
    words: spore.Str = ""


@spore.message(type_id=63, domain=spore.Domain.SIGNAL)
class Note:
    """That somebody has handled a step, and what had come of all before."""

    who: spore.Str
    total: spore.U64
    step_value: spore.U64
    number: spore.U64
    hops: spore.U8
    words: spore.Str


@attrs.define
class Notes(spore.Actor[Note]):
    """Writes down what it is told, for each sender by itself: between senders there is no order."""

    seen: dict[str, list[object]]

    def handle(self, message: Note) -> None:
        self.seen.setdefault(message.who, []).append(message)


def notes(seen: dict[str, list[object]]) -> Local:
    return {NOTES: (Notes, {"seen": seen})}


@attrs.define
class Plain(spore.Actor[Step]):
    """Folds what it gets into a number and passes that on."""

    who: str
    out: spore.ActorRef[Step] | None = None
    notes: spore.ActorRef[Note] | None = None
    fail_at: int = -1
    """The step on which it fails."""
    late: bool = False
    """Whether it fails when it has passed that on."""
    forgetful: bool = False
    """Whether its answers depend on the message in hand alone."""
    total: int = attrs.field(default=0, init=False)

    def handle(self, message: Step) -> None:
        told, note = self._take(message)
        _tell(self.notes, note)
        if told is not None:
            _tell(self.out, told)
        self._fail(message, late=True)

    def _take(self, message: Step) -> tuple[Step | None, Note]:
        self._fail(message, late=False)
        total = ((0 if self.forgetful else self.total) * 31 + message.value + message.number + 1) % MODULUS
        self.total = total
        note = Note(self.who, total, message.value, message.number, message.hops, message.words)
        if not message.hops or (not self.forgetful and total % 5 == 0):  # some are swallowed
            return None, note
        return attrs.evolve(message, hops=message.hops - 1, value=total), note

    def _fail(self, message: Step, *, late: bool) -> None:
        if message.number == self.fail_at and late == self.late:
            raise ValueError(f"step {message.number}")


@attrs.define
class Waiting(Plain):
    """The same with waits: for time to pass, and for room."""

    async def handle(self, message: Step) -> None:  # type: ignore[override]
        told, note = self._take(message)
        await _send(self.notes, note)
        await trio.sleep(message.value % 3 / 100)
        if told is not None:
            await _send(self.out, told)
        self._fail(message, late=True)


class Moving(Plain):
    """One that hands over its state."""

    __slots__ = ()

    def snapshot(self) -> int:
        return self.total

    def restore(self, state: int) -> None:
        self.total = state


class MovingWaiting(Waiting):
    """The same with waits."""

    __slots__ = ()
    snapshot, restore = Moving.snapshot, Moving.restore  # type: ignore[assignment]


@attrs.define
class Sleeper(Plain):
    """Takes so long for its first message that all others have come by then."""

    async def handle(self, message: Step) -> None:  # type: ignore[override]
        if not self.total:
            await trio.sleep(200)
        _, note = self._take(message)
        await _send(self.notes, note)


def _tell(ref: spore.ActorRef[Any] | None, message: object) -> None:
    """How soon a sender hears that its receiver has stopped is the one thing that depends on the mode."""
    if ref is not None:
        with suppress(ActorStopped, LinkDenied):
            ref.tell(message)


async def _send(ref: spore.ActorRef[Any] | None, message: object) -> None:
    if ref is not None:
        with suppress(ActorStopped, LinkDenied):
            await ref.send(message)


# What is drawn


def steps(*, hops: st.SearchStrategy[int], most: int = 12) -> st.SearchStrategy[list[list[Step]]]:
    """Batches of steps, numbered, whose times never go back and are often the same."""

    def numbered(batches: list[list[tuple[int, int, int, str]]]) -> list[list[Step]]:
        number, time_ns, made = 0, 1, []
        for batch in batches:
            made.append([])
            for later, hop, value, words in batch:
                number, time_ns = number + 1, time_ns + later
                made[-1].append(Step(time_ns, number, hop, value, words))
        return made

    one = st.tuples(st.integers(0, 2), hops, st.integers(0, 2**64 - 1), st.text(max_size=3))
    return st.lists(st.lists(one, min_size=1, max_size=most), min_size=1, max_size=3).map(numbered)


_RATES = st.sampled_from([0.0, 0.0, 0.02, 0.2])


def faults(*, cut: bool = True) -> st.SearchStrategy[Faults]:
    """Of connections: everything that the link makes good."""
    return st.builds(
        Faults,
        delay=_RATES,
        split=_RATES,
        drop=_RATES,
        duplicate=_RATES,
        # Each of these two costs a connection, so only a few may befall one.
        corrupt=st.sampled_from([0.0, 0.0, 0.02]) if cut else st.just(0.0),
        cut=st.sampled_from([0.0, 0.0, 0.02]) if cut else st.just(0.0),
    )


def _actors(name: str, **options: Any) -> st.SearchStrategy[ActorConfig]:
    """One small actor, with drawn options."""

    def built(kind: str, late: bool, fail_at: int, directive: Directive, **drawn: Any) -> ActorConfig:
        config = {"who": name, "fail_at": fail_at, "late": late, **options.get("config", {})}
        return ActorConfig(
            type=f"tests.property.modes_world:{kind}",
            config=config,
            wire=options["wire"],
            merge=options.get("merge"),
            # A step that goes round a ring fails as often as it comes by.
            supervision=Supervision(on_failure=directive, backoff_s=0.1, backoff_max_s=1.0, max_restarts=1_000),
            **drawn,
        )

    return st.builds(
        built,
        kind=st.sampled_from(options.get("kinds", ["Plain", "Plain", "Waiting"])),
        late=st.booleans(),
        fail_at=st.one_of(st.just(-1), st.integers(1, 8)) if options.get("fails", True) else st.just(-1),
        directive=st.sampled_from([Directive.RESUME, Directive.RESTART, Directive.STOP]),
        capacity=st.sampled_from(options.get("capacities", [1, 2, 3, 100])),
        dispatch=st.sampled_from([None, Dispatch.INLINE, Dispatch.QUEUED]),
        verify=st.sampled_from([0.0, 1.0]),
    )


def system_of(actors: dict[str, ActorConfig]) -> SystemConfig:
    bundle = BundleConfig(name="drawn", mode=Mode.SHARED_MEMORY, actors=actors, drain_timeout_s=DRAIN_S)
    return SystemConfig(bundles=(bundle,))


@st.composite
def wirings(draw: st.DrawFn, *, moving: bool = False) -> SystemConfig:
    """Up to five small actors without a cycle; ``a`` is the first. Who has several senders merges by event time.

    Args:
        draw: draws.
        moving: whether they hand over their state.
    """
    kinds = ["Moving", "Moving", "MovingWaiting"] if moving else ["Plain", "Plain", "Waiting"]
    names = "abcde"[: draw(st.integers(1, 5))]
    outs: dict[str, list[str]] = {name: [] for name in names}
    merging = set()
    for place, name in enumerate(names[1:], start=1):
        senders = draw(st.sets(st.sampled_from(names[:place]), min_size=1, max_size=3))
        for sender in sorted(senders):
            outs[sender].append(name)
        if len(senders) > 1:
            merging.add(name)
    # Where ways part and meet again, a mailbox has to hold what comes by the one while the other is waited for.
    capacities = [1_000] if merging else [1, 2, 3, 100]
    return system_of(
        {
            name: draw(
                _actors(
                    name,
                    wire={"out": tuple(outs[name]), "notes": (NOTES,)},
                    merge="event_time" if name in merging else None,
                    capacities=capacities,
                    kinds=kinds,
                )
            )
            for name in names
        }
    )


@st.composite
def rings(draw: st.DrawFn, *, forgetful: bool, fails: bool = True) -> SystemConfig:
    """Up to four small actors, each of which sends to the next and the last to the first."""
    names = "abcd"[: draw(st.integers(2, 4))]
    following = names[1:] + names[:1]
    actors = {
        name: draw(
            _actors(name, wire={"out": (after,), "notes": (NOTES,)}, config={"forgetful": forgetful}, fails=fails)
        )
        for name, after in zip(names, following, strict=True)
    }
    return system_of(actors)


@st.composite
def lossy(draw: st.DrawFn) -> SystemConfig:
    """An actor with a small mailbox, which handles nothing until all has come, and any overflow policy but ``fail``: that
    refuses what comes, and over a relay the link has places of its own before it does."""
    overflow = draw(st.sampled_from([policy for policy in Overflow if policy is not Overflow.FAIL]))
    actor = ActorConfig(
        type="tests.property.modes_world:Sleeper",
        config={"who": "a"},
        wire={"out": (), "notes": (NOTES,)},
        capacity=5 if overflow is Overflow.CONFLATE else draw(st.integers(1, 4)),  # a place for each number of hops
        overflow=overflow,
        key=("hops",) if overflow is Overflow.CONFLATE else (),
    )
    return system_of({"a": actor})


# The trading pipeline


@attrs.define
class FragileMarketData(MarketDataActor):
    """Fails on what happens at one moment."""

    fail_at_ns: int = -1

    def handle(self, message: Any) -> None:
        if message.event_time_ns == self.fail_at_ns:
            raise ValueError(f"at {self.fail_at_ns}")
        super().handle(message)


@attrs.define
class FragileSignals(SignalGeneratorActor):
    """The same."""

    fail_at_ns: int = -1

    def handle(self, message: Any) -> None:
        if message.event_time_ns == self.fail_at_ns:
            raise ValueError(f"at {self.fail_at_ns}")
        super().handle(message)


def _mailboxes(*, conflating: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Small ones that lose nothing, and every policy where there is room for all: then none may lose anything.

    Args:
        conflating: whether no two messages of one class have the same time, so that each is the only one of its kind.
    """
    roomy = {"capacity": 10_000}
    lossy = [Overflow.FAIL, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST]
    policies = [{**roomy, "overflow": policy} for policy in lossy]
    if conflating:
        policies.append({**roomy, "overflow": Overflow.CONFLATE, "key": ("event_time_ns",)})
    return st.one_of(
        st.fixed_dictionaries(
            {
                "capacity": st.sampled_from([1, 2, 1_000]),
                "dispatch": st.sampled_from([None, Dispatch.INLINE, Dispatch.QUEUED]),
            }
        ),
        st.sampled_from(policies),
    )


@st.composite
def pipelines(draw: st.DrawFn) -> SystemConfig:
    """Market data → signals → execution, with drawn settings and mailboxes, and with actors that may fail."""
    options: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "verify": st.sampled_from([0.0, 1.0]),
            "supervision": st.sampled_from([Directive.RESUME, Directive.RESTART]).map(
                lambda directive: Supervision(on_failure=directive, max_restarts=1_000)
            ),
        }
    )
    moments = st.one_of(st.just(-1), st.integers(10, 30).map(lambda block: block * market.SECOND))
    module = "tests.property.modes_world"
    signals = {"all_opportunities": draw(st.booleans()), "fast_window": 2, "slow_window": 3, "min_profit_usd": 1}
    return system_of(
        {
            "market_data": ActorConfig(
                type=f"{module}:FragileMarketData",
                config={
                    "fail_at_ns": draw(moments),
                    "cross_venue_fee_bps": 2,
                    "pools_to_monitor": draw(st.sampled_from([100_000, 100_000, 3, 1])),
                },
                **draw(_mailboxes(conflating=True)),
                **draw(options),
            ),
            "signal_generator": ActorConfig(
                type=f"{module}:FragileSignals",
                config={"fail_at_ns": draw(moments), **signals},
                **draw(_mailboxes()),
                **draw(options),
            ),
            "execution": ActorConfig(
                type="ExecutionActor",
                config={
                    "latency_ms": draw(st.sampled_from([0, 1_500])),
                    "slice_bps": draw(st.sampled_from([10_000, 3_000])),
                },
                **draw(_mailboxes()),
                **draw(options),
            ),
        }
    )


_POOLS = [
    market.pool("p1", "USDC", "WETH", venue=1),
    market.pool("p2", "USDC", "WETH", venue=2),
    market.pool("q1", "DAI", "WETH", venue=1),
    market.pool("q2", "DAI", "WETH", venue=2),
]
_LISTED = [
    attrs.evolve(listed, event_time_ns=number)
    for number, listed in enumerate([*_POOLS, market.instrument("ETHUSDT", 1), market.instrument("ETHUSDT", 2)])
]


def _told(block: int, kind: int, which: int, moved: int) -> list[Any]:
    """What happens in one block: 200 WETH and what they were worth, moved by some percents."""
    name = ("p1", "p2", "q1", "q2")[which]
    usd = 400_000 * 10 ** (6 if which < 2 else 18) * (100 + moved) // 100
    weth = 200 * market.E18
    match kind:
        case 0 | 1 | 2 | 3:
            flow = market.swap(name, into=(1_000, 0), out=(0, 1_000), block=block)
            return [market.sync(name, usd, weth, block=block), flow, market.end(block=block)]
        case 4:
            price = (2_000 + 10 * moved) * 10**8
            return [market.quote(1 + which % 2, price, price + 10**7, at=block, update=block)]
        case 5:
            return [market.gas(10**9 * (10 + moved), block=block)]
        case 6:
            return [market.loan("borrower", market.E18, (1_700 + moved * 10) * 10**6, block=block)]
        case 7:
            return [market.reorg(max(1, block - 2), at=block)]
    return [market.trade(1 + which % 2, (2_000 + 10 * moved) * 10**8, 10**8, at=block)]


_SWAP, _QUOTE, _GAS, _TRADE = 0, 4, 5, 8
_OPENING = [
    (_GAS, 0, 0),
    *((_SWAP, which, 0) for which in range(4)),
    *((_QUOTE, which, 0) for which in range(2)),
    *((_TRADE, which, moved) for which in range(2) for moved in range(3)),
]
"""Each market has a price, and each trend a beginning, so that whatever moves means something."""


def markets() -> st.SearchStrategy[list[list[Any]]]:
    """Batches of market data: pools and instruments are listed, markets open, and then prices move."""
    happening = st.tuples(st.integers(0, 10), st.integers(0, 3), st.integers(-4, 4))

    def told(batches: list[list[tuple[int, int, int]]]) -> list[list[Any]]:
        block, made = 1, [[*_LISTED]]
        for batch in [_OPENING, *batches]:
            made.append([])
            for each in batch:
                made[-1] += _told(block, *each)
                block += 1
        return made

    return st.lists(st.lists(happening, min_size=3, max_size=20), min_size=1, max_size=3).map(told)
