"""Connections in memory that fail as a seed says: bytes that are late, split, damaged or cut off, and whole frames that
are dropped or repeated.

A `FaultyPipe` is one direction, sans-IO: a schedule moves its bytes, and harms its frames, by hand. A `FaultyCarrier` is
one end of a connection for `spore.relay.open_client` and `spore.relay.Relay.serve`, and draws its faults from a seed.

Being late, split, damaged or cut off is what a stream of bytes can do. Dropping and repeating is what a relay could do
that forgets or stutters, so it befalls only frames that have a number in their link: for control messages and answers the
protocol relies on the stream.
"""

from __future__ import annotations

import random
from collections import deque

import attrs
import trio

from spore.codec import HEADER_SIZE, Flags
from spore.message import Domain
from spore.relay.carrier import Carrier
from spore.relay.control import FIRST_CONTROL, FIRST_IN_LINK

__all__ = ["Faults", "FaultyCarrier", "FaultyPipe"]


def _rate() -> float:
    return attrs.field(default=0.0, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1)))


@attrs.frozen(kw_only=True)
class Faults:
    """How often, from 0 for never to 1 for always, each fault befalls what it can befall."""

    delay: float = _rate()
    """A read waits, up to ``delay_s``."""
    delay_s: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    split: float = _rate()
    """A read or a write takes a part only, down to one byte."""
    drop: float = _rate()
    """A frame with a message is gone."""
    duplicate: float = _rate()
    """A frame with a message comes twice."""
    corrupt: float = _rate()
    """One byte of a frame is another one."""
    cut: float = _rate()
    """The connection is lost somewhere in a frame."""


class FaultyPipe:
    """One direction of a connection, sans-IO: what is written comes out in order, but for what is done to it between."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        """The whole frames that are on the way, or what is left of the first one."""
        self._part = bytearray()
        """The beginning of a frame whose end has not been written yet."""
        self._begun = False
        """Whether some of the first frame was read."""

    def __len__(self) -> int:
        return sum(map(len, self.frames)) + len(self._part)

    def write(self, data: bytes | bytearray | memoryview) -> list[int]:
        """Put bytes in; return the places of the frames that are whole by them."""
        first = len(self.frames)
        self._part += data
        at, part = 0, self._part
        while len(part) - at >= HEADER_SIZE:
            end = at + HEADER_SIZE + int.from_bytes(part[at + 24 : at + 28], "little")
            if end > len(part):
                break
            self.frames.append(bytes(part[at:end]))
            at = end
        del part[:at]
        return list(range(first, len(self.frames)))

    def read(self, most: int | None = None) -> bytes:
        """Take out so many bytes, or all; fewer if there are fewer. Bytes of a frame come once its end was written."""
        frames = self.frames
        if most is None:
            data = b"".join(frames)
            frames.clear()
            self._begun = False
            return data
        parts = []
        while frames and most > 0:
            frame = frames.popleft()
            parts.append(frame[:most])
            self._begun = len(frame) > most
            if self._begun:
                frames.appendleft(frame[most:])
            most -= len(frame)
        return b"".join(parts)

    def is_numbered(self, place: int) -> bool:
        """Whether the frame at a place is whole, and has a number in its link, so that its loss is noticed there."""
        if place == 0 and self._begun:
            return False
        frame = self.frames[place]
        system = frame[4] == Domain.SYSTEM and len(frame) > HEADER_SIZE
        control = system and FIRST_CONTROL <= frame[HEADER_SIZE] < FIRST_IN_LINK
        return not control and not frame[7] & Flags.REPLY

    def drop(self, place: int) -> None:
        """Lose the frame at a place."""
        del self.frames[place]

    def duplicate(self, place: int) -> None:
        """Have the frame at a place come twice."""
        self.frames.insert(place, self.frames[place])

    def corrupt(self, place: int, offset: int, change: int) -> None:
        """Change some bits of the byte at an offset of a frame; the offset is taken modulo the frame's length."""
        frame = bytearray(self.frames[place])
        frame[offset % len(frame)] ^= change
        self.frames[place] = bytes(frame)


class _Way:
    """A pipe that two carriers share, and what trio needs for it."""

    def __init__(self, faults: Faults, chances: random.Random) -> None:
        self.pipe = FaultyPipe()
        self.faults = faults
        self.chances = chances
        self.ended = False
        """Whether nothing more is put in."""
        self.lost = False
        """Whether the connection is lost, and not closed."""
        self.changed = trio.lowlevel.ParkingLot()

    def happens(self, rate: float) -> bool:
        return rate > 0 and self.chances.random() < rate

    def write(self, data: bytes | memoryview) -> None:
        pipe, faults = self.pipe, self.faults
        for place in reversed(pipe.write(data)):  # from behind, so that places stay what they are
            numbered = pipe.is_numbered(place)
            if numbered and self.happens(faults.duplicate):
                pipe.duplicate(place)
            if self.happens(faults.corrupt):  # one of them: two copies with the same damage are not what a line makes
                pipe.corrupt(place, self.chances.randrange(1 << 20), self.chances.randrange(1, 256))
            if numbered and self.happens(faults.drop):
                pipe.drop(place)
        self.changed.unpark_all()

    def end(self, *, lost: bool) -> None:
        self.ended = True
        self.lost = self.lost or lost
        self.changed.unpark_all()


class FaultyCarrier(Carrier):
    """One end of a connection in memory. `pair` makes both.

    It holds ``capacity`` bytes each way, as a socket does: who writes more has to wait.
    """

    def __init__(self, out: _Way, in_: _Way, *, capacity: int) -> None:
        self._out = out
        self._in = in_
        self._capacity = capacity
        self._closed = False

    @classmethod
    def pair(
        cls, faults: Faults | None = None, *, seed: int = 0, capacity: int = 64 * 1024
    ) -> tuple[FaultyCarrier, FaultyCarrier]:
        """Both ends of a new connection.

        Args:
            faults: how often what happens; by default nothing does.
            seed: decides when. The same seed, and the same bytes, meet the same faults.
            capacity: bytes that may be under way each way.
        """
        chances = random.Random(seed)  # noqa: S311 - for faults
        one, other = (_Way(faults or Faults(), chances) for _ in range(2))
        return cls(one, other, capacity=capacity), cls(other, one, capacity=capacity)

    def cut(self) -> None:
        """Lose the connection: what is under way is gone, and both ends notice."""
        for way in (self._out, self._in):
            way.pipe.frames.clear()
            way.end(lost=True)

    def send_nowait(self, data: bytes) -> int:
        way = self._out
        if way.ended:
            raise trio.BrokenResourceError("the connection is lost")
        room = min(len(data), max(0, self._capacity - len(way.pipe)))
        if room and way.happens(way.faults.cut):
            way.write(data[: way.chances.randrange(room)])
            self.cut()
            raise trio.BrokenResourceError("the connection was cut")
        if room and way.happens(way.faults.split):
            room = way.chances.randint(1, room)
        way.write(data[:room])
        return room

    async def send_all(self, data: bytes | memoryview) -> None:
        left = bytes(data)
        await trio.lowlevel.checkpoint()
        while left:
            done = self.send_nowait(left)
            left = left[done:]
            if not done:
                await self._out.changed.park()

    async def receive(self) -> bytes:
        way = self._in
        self.waited = False
        while not way.pipe.frames:
            if way.lost or self._closed:
                raise trio.BrokenResourceError("the connection is lost")
            if way.ended:
                return b""
            self.waited = True
            await way.changed.park()
        if way.happens(way.faults.delay):
            self.waited = True
            await trio.sleep(way.chances.random() * way.faults.delay_s)
        data = way.pipe.read(way.chances.randint(1, 64) if way.happens(way.faults.split) else None)
        way.changed.unpark_all()
        return data

    def close(self) -> None:
        self._closed = True
        self._out.end(lost=False)
        self._in.end(lost=False)
