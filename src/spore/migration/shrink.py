"""A short beginning of the input in which the modes still differ: what to look at, and an example to keep.

The search begins behind the event that caused the first difference, and tries each length by running both modes: farther and
farther on until they differ, then back until they do not, and then between the two. It takes for granted that what differs
goes on differing when more follows. A difference that is a matter of chance does not, so only a length that was seen to
differ counts, and the shortest of these is run again: how often it differed is part of the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from typing import Any

import attrs
import trio

from spore.errors import RunFailed
from spore.services.messages import MarketMessage

__all__ = ["AGAIN", "MAX_PAIRS", "MAX_S", "Prefix", "shrink"]

MAX_PAIRS = 12
"""So often both modes are run at the most: enough to halve an input of a thousand events down to one."""
AGAIN = 2
"""Of these, how often what was found is run again."""
MAX_S = 60.0
"""So long the search may take: as long as the comparison itself does, and nobody waits for more."""


@attrs.frozen(kw_only=True)
class Prefix:
    """The shortest beginning of the input that was seen to differ."""

    messages: tuple[MarketMessage, ...] = attrs.field(repr=False)
    """Empty if none was: then the difference has not come again."""
    whole: int
    """How many messages the input has."""
    pairs: int
    """How often this beginning was run in both modes; if there is none, how often any was."""
    differed: int
    """And how often of these the modes differed."""
    ended: str | None = None
    """What ended the search before it was done."""
    file: str | None = None
    """Where it was written to, as a feed."""

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "events": len(self.messages) or None,
            "of": self.whole,
            "pairs": self.pairs,
            "differed": self.differed,
            "ended": self.ended,
            "file": self.file,
        }

    def sentences(self) -> Iterator[str]:
        """As people read it."""
        if self.messages:
            events, whole = len(self.messages), f"{self.whole:,} events"
            first = f"The first of {whole} shows" if events == 1 else f"The first {events:,} of {whole} show"
            yield f"{first} a difference, in {self.differed} of {self.pairs} runs of both modes."
        elif self.pairs:
            yield f"It has not come again: in {self.pairs} runs of both modes over that input, or a part of it, they agreed."
        if self.ended is not None:
            yield f"The search for a shorter input ended early: {self.ended}."
        if self.file is not None:
            yield f"Kept as a feed: --feed {self.file}"


async def shrink(
    messages: Sequence[MarketMessage],
    differs: Callable[[int], Awaitable[bool]],
    *,
    guess: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Prefix:
    """Look for a short prefix that differs.

    Args:
        messages: the input, which was seen to differ.
        differs: runs both modes over so many of the first messages, and answers whether they differ.
        guess: a length at which they probably do.
        watch: told the length that is tried next, and how many pairs of runs have ended.

    Cancellation: always a checkpoint. After `MAX_S` the pair of runs that is under way is cancelled, and what was found by then
    is the answer; so it is after a run that failed.
    """
    search = _Search(differs, watch)
    ended = None
    with trio.move_on_after(MAX_S) as scope:
        try:
            ended = await search.run(_lengths(guess or len(messages), len(messages), known=guess is not None))
        except* RunFailed as failed:
            ended = str(failed.exceptions[0])
    if scope.cancelled_caught:
        ended = f"after {MAX_S:g} s"
    found = search.shortest
    seen = search.seen[found] if found is not None else [each for pairs in search.seen.values() for each in pairs]
    return Prefix(
        messages=tuple(messages[: found or 0]), whole=len(messages), pairs=len(seen), differed=sum(seen), ended=ended
    )


class _Search:
    """What was tried so far."""

    def __init__(self, differs: Callable[[int], Awaitable[bool]], watch: Callable[[int, int], None] | None) -> None:
        self.seen: dict[int, list[bool]] = {}
        """For each length whether it differed, each time."""
        self._differs = differs
        self._watch = watch
        self._pairs = 0

    @property
    def shortest(self) -> int | None:
        return min((length for length, seen in self.seen.items() if any(seen)), default=None)

    async def run(self, lengths: Generator[int, bool, None]) -> str | None:
        """Try lengths, and then the shortest that differed again. Return what has ended it too early, if anything has."""
        ended = None
        length: int | None = next(lengths)
        while length is not None:
            if self._pairs == MAX_PAIRS - AGAIN:
                ended = f"after {self._pairs} runs of both modes"
                break
            try:
                length = lengths.send(await self._try(length))
            except StopIteration:
                length = None
        if (found := self.shortest) is not None:
            for _ in range(AGAIN):
                await self._try(found)
        return ended

    async def _try(self, length: int) -> bool:
        if self._watch is not None:
            self._watch(length, self._pairs)
        differed = await self._differs(length)
        self._pairs += 1
        self.seen.setdefault(length, []).append(differed)
        return differed


def _lengths(guess: int, whole: int, *, known: bool) -> Generator[int, bool, None]:
    """The lengths to try, one after the other; it is sent whether each has differed."""
    low, at, step = 0, guess, 1
    while not (yield at):
        if at == whole:
            return
        low, at, step = at, min(at + step, whole), step * 4
    high, step = at, 1 if known else whole
    while high - low > 1:
        at = max(high - step, (low + high) // 2)
        if (yield at):
            high, step = at, step * 2
        else:
            low = at
