"""The input of a load test: what is due every 10 ms, for as long as it takes, out of a recording that is played over and over.

Each message is made when it is wanted, so that a long test takes no more memory than a short one. Its event time is the moment
when it was due, on the clock that all processes of a machine share (`time.perf_counter_ns`): whoever handles it, or what came of it,
can tell how late that is. What else counts up, such as the number of the block, is moved on from turn to turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from operator import attrgetter
from time import perf_counter_ns
from typing import Any, TypeAlias

import attrs
import trio

from spore.migration.lateness import Lateness
from spore.migration.loop import steps_of
from spore.services.messages import MarketMessage

__all__ = ["BURSTS_HZ", "BURST_NS", "Bursts", "Endless"]

BURSTS_HZ = 100
"""Bursts a second. Source: the acceptance criterion's load, 100 messages every 10 ms."""
BURST_NS = 1_000_000_000 // BURSTS_HZ

_Copier: TypeAlias = Callable[[MarketMessage, int, int], MarketMessage]


class Endless:
    """A recording without end.

    Args:
        messages: the recording, of at least one message.
    """

    def __init__(self, messages: Sequence[MarketMessage]) -> None:
        self._messages = messages
        self._copiers = {cls: _copier(cls, steps) for cls, steps in steps_of(messages).items()}
        self._at = 0
        self._turn = 0

    def take(self, count: int, event_time_ns: int) -> list[MarketMessage]:
        """The next messages, all with one event time."""
        found = []
        for _ in range(count):
            if self._at == len(self._messages):
                self._at = 0
                self._turn += 1
            message = self._messages[self._at]
            self._at += 1
            found.append(self._copiers[message.__class__](message, self._turn, event_time_ns))
        return found


def _copier(cls: type[Any], steps: dict[str, int]) -> _Copier:
    """Makes a message anew for a turn. Not by `attrs.evolve`, which takes longer: what the load itself takes is in all measures."""
    names = [field.name for field in attrs.fields(cls)]
    values_of = attrgetter(*names)
    time = (
        names.index("event_time_ns") if "event_time_ns" in names else None
    )  # a message of the user's own may have none
    moved = [(names.index(name), step) for name, step in steps.items() if name != "event_time_ns"]

    def copy(message: MarketMessage, turn: int, event_time_ns: int) -> MarketMessage:
        values = list(values_of(message))
        if time is not None:
            values[time] = event_time_ns
        for index, step in moved:
            values[index] += turn * step
        made: MarketMessage = cls(*values)
        return made

    return copy


class Bursts:
    """An open loop: a burst is due at its time, whatever has become of those before, and one that is late follows at once.

    Args:
        recording: where the messages come from.
        rate: messages a second.
        seconds: how long.
        patience_s: so long after the end the last of them may still go out; what is later than that is not sent.
        warm_up_s: so long after the beginning nothing counts as late: processes are fresh, and what is needed once is made then.
    """

    def __init__(self, recording: Endless, *, rate: int, seconds: float, patience_s: float, warm_up_s: float) -> None:
        self.planned = max(1, int(rate * seconds))
        """Messages in all."""
        self.late = Lateness()
        """Of each burst: when it went out, after it was due."""
        self.timed_from_ns = 0
        """The event time from which on lateness counts."""
        self._recording = recording
        self._rate = rate
        self._ends_s = seconds + patience_s
        self._warm_up_ns = int(warm_up_s * 1e9)
        self._began_s = 0.0
        self._began_ns = 0

    def begin(self) -> None:
        """Now the first burst is due."""
        self._began_s = trio.current_time()
        self._began_ns = perf_counter_ns()
        self.timed_from_ns = self._began_ns + self._warm_up_ns

    @property
    def age_s(self) -> float:
        """Seconds since the beginning."""
        return trio.current_time() - self._began_s

    def due(self) -> int:
        """How many messages are due by now."""
        return self._due_with(int(self.age_s * BURSTS_HZ))

    def _due_with(self, burst: int) -> int:
        """How many messages are due once a burst is, counted from 0."""
        return min(self._rate * (burst + 1) // BURSTS_HZ, self.planned)

    async def batches(self) -> AsyncGenerator[list[MarketMessage], None]:
        """The bursts, each when it is due or as soon after that as it is taken. Those of no message are left out.

        Cancellation: a checkpoint before each burst.
        """
        taken = burst = 0
        while taken < self.planned:
            count = self._due_with(burst) - taken
            event_time_ns = self._began_ns + burst * BURST_NS
            # Made before it is due, so that making it takes none of the time that the pipeline has for it.
            messages = self._recording.take(count, event_time_ns)
            due_s = burst / BURSTS_HZ
            await trio.sleep_until(self._began_s + due_s)
            age_s = self.age_s
            if age_s > self._ends_s:
                return
            burst += 1
            if messages:
                taken += count
                if event_time_ns >= self.timed_from_ns:
                    self.late.add(int((age_s - due_s) * 1e9))
                yield messages
