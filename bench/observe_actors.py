"""Two actors between which a hop is timed, message by message, for `bench.observe`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns, process_time_ns

import attrs

import spore
from spore.services.messages import MarketMessage

__all__ = ["End", "Head", "Stamp", "figures"]


EVERY = 1_000


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
    cpu_ns: list[int] = attrs.field(factory=list, init=False)
    """Of the process, at one message in `EVERY`."""

    def handle(self, message: Stamp) -> None:
        now = perf_counter_ns()
        self.hops_ns.append(now - message.sent_ns)
        if len(self.at_ns) % EVERY == 0:
            self.cpu_ns.append(process_time_ns())
        self.at_ns.append(now)

    def on_stop(self) -> None:
        found = figures(self.hops_ns, self.at_ns, self.cpu_ns, settle_ns=int(self.settle_s * 1e9))
        Path(self.path).write_text(json.dumps(found))


def figures(hops_ns: Sequence[int], at_ns: Sequence[int], cpu_ns: Sequence[int], *, settle_ns: int) -> dict[str, float]:
    """Of what came after a while: the median and the 99th percentile of a hop in ns, messages a second, and in a second of CPU time."""
    marks = range(0, len(at_ns), EVERY)
    first = next((mark for mark in marks if at_ns[mark] - at_ns[0] >= settle_ns), None)
    if first is None or marks[-1] == first:
        raise ValueError(f"too little has come to measure: {len(at_ns):,} messages")
    last = marks[-1]
    hops = sorted(hops_ns[first:last])
    return {
        "p50": hops[len(hops) // 2],
        "p99": hops[len(hops) * 99 // 100],
        "rate": len(hops) * 1e9 / (at_ns[last] - at_ns[first]),
        "cpu_rate": len(hops) * 1e9 / (cpu_ns[last // EVERY] - cpu_ns[first // EVERY]),
    }
