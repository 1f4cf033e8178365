"""A comparison that nobody has run, with numbers that differ from run to run and from mode to mode."""

from __future__ import annotations

import attrs

from spore.deploy import Hop
from spore.migration.compare import BUNDLED, RELAYED, Comparison, Repeat
from spore.migration.divergence import Divergence, FieldDifference
from spore.migration.launch import Measured
from spore.migration.run import Result
from spore.migration.shrink import Prefix
from spore.services.messages import GasPrice, TransactionEnd

__all__ = ["HOP", "comparison", "divergence"]

HOP = Hop(sender="market_data", port="signals", receiver="signal_generator")
SLOWER = {BUNDLED: 1, RELAYED: 60}


def comparison(*, repeats: int = 3, hop: Hop | None = HOP, found: Divergence | None = None) -> Comparison:
    """Bundled is better in everything, but for what `tell` costs, which is too much."""
    return Comparison(
        events=500,
        loops=2,
        rate=1_000.0,
        hop=hop,
        repeats=tuple(_repeat(turn, hop=hop, identical=found is None) for turn in range(repeats)),
        divergence=found,
        outputs={mode: {"signals": (), "orders": ()} for mode in SLOWER},
    )


def divergence(*, value: str = "271") -> Divergence:
    """A difference in one field, with the event behind it."""
    return Divergence(
        stream="signals",
        index=2,
        left="bundled, run 1",
        right="relayed, run 1",
        kind="ArbitrageSignal",
        fields=(FieldDifference("spread_bps", value, "272"),),
        event=TransactionEnd(
            event_time_ns=1_700_000_636_000_000_000, block_number=636, tx_index=4, tx_hash=b"\x07" * 32
        ),
        prefix=Prefix(
            messages=(GasPrice(1, 1, 1, 1),) * 38,
            whole=4_462,
            pairs=3,
            differed=3,
            file="difference-0123456789ab.frames",
        ),
    )


def _repeat(turn: int, *, hop: Hop | None, identical: bool) -> Repeat:
    full = {BUNDLED: _bundled(turn), RELAYED: _relayed(turn, "ab" if identical else "cd")}
    paced = {mode: attrs.evolve(run, result=_timed(run.result, mode, turn, hop=hop)) for mode, run in full.items()}
    return Repeat(full=full, paced=paced)


def _bundled(turn: int) -> Measured:
    result = Result(
        messages=1_000,
        seconds=0.011 + turn / 1_000,
        cpu_seconds=0.01 + turn / 2_000,
        memory_bytes=30_000_000,
        processes=1,
        encoded_messages=0,
        encoded_bytes=0,
        encoded_classes=0,
        lost=0,
        signals=7,
        orders=21,
        digest="ab" * 32,
        tell_adds_ns=120.5 + turn,
    )
    return Measured(result, 31_000_000 + 123_456 * turn)


def _relayed(turn: int, digest: str) -> Measured:
    result = Result(
        messages=1_000,
        seconds=0.053 + turn / 300,
        cpu_seconds=0.06 + turn / 700,
        memory_bytes=140_000_000,
        processes=5,
        encoded_messages=1_500,
        encoded_bytes=250_000,
        encoded_classes=9,
        lost=0,
        signals=7,
        orders=21,
        digest=digest * 32,
    )
    return Measured(result, 142_000_000 + 654_321 * turn)


def _timed(result: Result, mode: str, turn: int, *, hop: Hop | None) -> Result:
    times = _times(mode, turn) if hop is not None else ()
    return attrs.evolve(result, hop_ns=times, event_ns=tuple(3 * each for each in times[::9]))


def _times(mode: str, turn: int) -> tuple[int, ...]:
    return tuple(SLOWER[mode] * (2_000 + 100 * turn + each * 7_919 % 1_009) for each in range(500))
