"""Two actors between which a hop is timed, message by message, for `bench.observe`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns

import attrs

import spore
from spore.services.messages import MarketMessage

__all__ = ["End", "Head", "Stamp", "figures"]


@spore.message(type_id=75, domain=spore.Domain.SIGNAL)  # a number that no message of Spore's has
class Stamp:
    event_time_ns: spore.TimestampNs
    sent_ns: spore.U64


@attrs.define
class Head(spore.Actor[MarketMessage]):
    """Tells of each event when it has told of it."""

    out: spore.ActorRef[Stamp]

    def handle(self, message: MarketMessage) -> None:
        self.out.tell(Stamp(event_time_ns=message.event_time_ns, sent_ns=perf_counter_ns()))


@attrs.define
class End(spore.Actor[Stamp]):
    """Notes when each message came, and how long it took; in the end it writes what that comes to."""

    path: str
    settle_s: float
    """What comes in that time after the first message does not count."""
    hops_ns: list[int] = attrs.field(factory=list, init=False)
    at_ns: list[int] = attrs.field(factory=list, init=False)

    def handle(self, message: Stamp) -> None:
        now = perf_counter_ns()
        self.hops_ns.append(now - message.sent_ns)
        self.at_ns.append(now)

    def on_stop(self) -> None:
        text = json.dumps(figures(self.hops_ns, self.at_ns, settle_ns=int(self.settle_s * 1e9)))
        Path(self.path).write_text(text)


def figures(hops_ns: Sequence[int], at_ns: Sequence[int], *, settle_ns: int) -> dict[str, float]:
    """The median and the 99th percentile of a hop, in ns, and messages a second, of what came after a while."""
    first = next((index for index, at in enumerate(at_ns) if at - at_ns[0] >= settle_ns), None)
    if first is None or len(at_ns) - first < 1_000:
        raise ValueError(f"too little has come to measure: {len(at_ns):,} messages")
    hops = sorted(hops_ns[first:])
    seconds = (at_ns[-1] - at_ns[first]) / 1e9
    return {
        "p50": hops[len(hops) // 2],
        "p99": hops[len(hops) * 99 // 100],
        "rate": (len(hops) - 1) / seconds,
    }
