"""What is sent in the relay bench, and what becomes of it: the same for every contender.

A `Source` has the messages that a sender sends: paced, each stamped with the moment it was due; or as fast as the
transport takes them, from a ring of ready-made ones, so that making them is not measured. A `Sink` takes whole
messages, checks that none is missing, and notes how late each is, or how quickly they come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from time import monotonic_ns

import attrs

import spore
from bench.relay_timer import Ticker

__all__ = ["BenchQuote", "Load", "Sink", "Source", "percentile"]

RING = 64
"""Ready-made messages. They are numbered, and the numbers go round: that is how a sink sees a gap."""


@spore.message(type_id=19, domain=spore.Domain.MARKET_DATA)  # a number that no message of Spore's has
class BenchQuote:
    """A message of any size: few fields, because all contenders use the same codec and it is not what is compared."""

    number: spore.U64
    due_ns: spore.TimestampNs
    last: spore.Bool
    bid_price: spore.PriceE8
    ask_price: spore.PriceE8
    body: spore.Bytes


@attrs.frozen(kw_only=True)
class Load:
    """How much is sent, and how."""

    frame_size: int
    """Bytes of a message as a frame, header included."""
    subscribers: int = 1
    rate_hz: int | None = None
    """None: as fast as backpressure allows."""
    warm_s: float
    """The first part of a run, which is thrown away."""
    run_s: float

    @property
    def warm_count(self) -> int:
        """Messages of a paced run that are thrown away."""
        return round((self.rate_hz or 0) * self.warm_s)

    @property
    def count(self) -> int:
        """Messages of a paced run, the warm-up included."""
        return round((self.rate_hz or 0) * (self.warm_s + self.run_s))


def quote(frame_size: int, number: int, *, due_ns: int = 0, last: bool = False) -> BenchQuote:
    """A message that is a frame of this size."""
    body = b"\x5a" * (frame_size - _bare_size(frame_size))
    return BenchQuote(number=number, due_ns=due_ns, last=last, bid_price=1, ask_price=2, body=body)


def _bare_size(frame_size: int) -> int:
    # 32 bytes of frame header; a TLV head of 2, or 5 for more than 255 bytes; the fields before the body.
    return 32 + (2 if frame_size <= 32 + 2 + 255 else 5) + 8 + 8 + 1 + 8 + 8 + 2


class Source:
    """The messages of a run, and when to send them.

    A sender connects, calls `start`, and then sends what `due` returns whenever the file descriptor is readable, until
    `finished`; or, if the load is not `paced`, all of `flood`. The last message says that it is the last.
    """

    def __init__(self, load: Load, started: Callable[[], object] = int) -> None:
        self.sent = 0
        self.subscribers = load.subscribers
        self._load = load
        self._started = started
        self._began_ns = 0
        self._ticker = Ticker(1_000_000_000 // load.rate_hz) if load.rate_hz else None
        self.finished = False

    @property
    def paced(self) -> bool:
        return self._ticker is not None

    def start(self) -> None:
        """The sender is connected, and time begins."""
        self._began_ns = monotonic_ns()
        if self._ticker is not None:
            self._ticker.start()
        self._started()

    def fileno(self) -> int:
        """Readable when messages are due; for the loop that a sender runs in, and a plain sender need not wait."""
        assert self._ticker is not None
        return self._ticker.fileno()

    def due(self) -> list[BenchQuote]:
        """The messages that are due by now and were not due before; blocks until there is one."""
        ticker, load = self._ticker, self._load
        assert ticker is not None
        first, end = self.sent, min(self.sent + ticker.read(), load.count)
        messages = [
            quote(load.frame_size, number % RING, due_ns=ticker.begin_ns + number * ticker.interval_ns)
            for number in range(first, end)
        ]
        self.sent = end
        if end == load.count:
            messages.append(self._end())
        return messages

    def flood(self) -> Iterator[BenchQuote]:
        """Messages until the time is up."""
        load = self._load
        ring = [quote(load.frame_size, number) for number in range(RING)]
        until_ns = self._began_ns + round((load.warm_s + load.run_s) * 1e9)
        while monotonic_ns() < until_ns:
            yield from ring
            self.sent += RING
        yield self._end()

    def _end(self) -> BenchQuote:
        self.finished = True
        return quote(self._load.frame_size, self.sent % RING, last=True)


class Sink:
    """What one subscriber takes: give it each message as soon as it is a whole object again."""

    def __init__(self, load: Load, subscriber: int) -> None:
        self.done = False
        """The last message was taken."""
        self.count = 0
        self.subscriber = subscriber
        self.late_ns: list[int] = []
        """Of a paced load: how long after it was due each message was taken."""
        self.turns_ns: list[int] = []
        """Of another: when each round of the ring began."""
        self._paced = load.rate_hz is not None
        self._load = load
        self._next = 0

    def take(self, message: object) -> None:
        """Take one, in the order in which they were sent.

        Raises:
            ValueError: if it is not the next one.
        """
        assert isinstance(message, BenchQuote)
        number = message.number
        if number != self._next or self.done:
            raise ValueError(f"message {number} came after {self.count} messages, and {self._next} is the next")
        if message.last:
            self.done = True
            return
        self.count += 1
        self._next = (number + 1) % RING
        if self._paced:
            self.late_ns.append(monotonic_ns() - message.due_ns)
        elif number == 0:
            self.turns_ns.append(monotonic_ns())

    @property
    def measured_ns(self) -> list[int]:
        """How late the messages behind the warm-up were."""
        return self.late_ns[self._load.warm_count :]

    @property
    def rate_hz(self) -> float:
        """Messages a second behind the warm-up; none of a run too short to tell."""
        begin_ns = self.turns_ns[0] + round(self._load.warm_s * 1e9)
        turns = [end - begin for begin, end in pairwise(self.turns_ns) if begin >= begin_ns]
        return RING * len(turns) / sum(turns) * 1e9 if turns else 0.0


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of the samples do not exceed: always one that was seen."""
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]
