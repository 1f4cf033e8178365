"""What ends its readers: which message of a stream a subscriber's process had in hand each time that it died, and how often.

A relay sees no more than a connection that is lost without farewell, and a successor that knows nothing; what was under way then is
*suspect*. Suspects are given one at a time to the successor, over all streams that the process reads, so that the next
death has one culprit. A message with as many deaths as are allowed is set aside.

Invariants: what is known is on the disk before it counts, so a relay that is restarted goes on counting; a process that comes again
itself, a clean farewell, and the end of the relay are no deaths.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import inf

import attrs
import trio

from spore.relay.journal_dead import Aside
from spore.relay.way import Way

__all__ = ["DEFAULT_DEATHS", "PATIENCE_S", "Deaths"]

DEFAULT_DEATHS = 3
PATIENCE_S = 10.0
"""A suspect of another stream is given, too, when one is not handled for so long: the subscriber may wait for both."""
_MANY = 1 << 30


@attrs.define
class _Suspicion:
    """What is known of one subscriber with one sender's messages."""

    upto: int = 0
    """Everything up to this number is suspect."""
    head: int = 0
    deaths: int = 0
    """Of processes that had message ``head`` in hand. Other suspects have been under way at one death."""
    vanished: int = 0
    """The process that had messages under way and may come again; 0 if there is none."""
    first: int = 0
    last: int = 0
    """What it had under way."""
    alone: bool = False
    """Whether that was one message, and the only one that it can have died of."""

    def deaths_of(self, number: int) -> int:
        if number == self.head:
            return self.deaths
        return 1 if number <= self.upto else 0


class Deaths:
    """The deaths of all subscribers of a journal.

    Args:
        records: what is known of them on the disk, as `spore.relay.journal_dead.DeadLetters` returns it.
        limit: a message is set aside when so many processes died of it.
    """

    def __init__(self, records: Mapping[tuple[str, str], str], limit: int = DEFAULT_DEATHS) -> None:
        self._limit = limit
        self._known: dict[tuple[str, str], _Suspicion] = {}
        for name, record in records.items():
            with suppress(
                ValueError, TypeError
            ):  # one that cannot be read is no reason not to start; counting begins anew
                self._known[name] = _Suspicion(**json.loads(record))
        self._unsaved: dict[tuple[str, str], None] = {}
        self._aside: list[Aside] = []
        self._given_at: dict[int, float] = {}
        """By process: when the last suspect was given to it."""

    # What has happened

    def vanished(self, ways: Iterable[Way]) -> None:
        """A process is gone, and nobody knows yet whether for good: all ways that led to it."""
        under_way = [(way, way.link.under_way) for way in ways if way.link.under_way]
        total = sum(len(numbers) for _, numbers in under_way)
        for way, numbers in under_way:
            known = self._known.setdefault(way.name, _Suspicion())
            known.vanished, known.first, known.last = way.process, numbers[0], numbers[-1]
            known.alone = total == 1 or (len(numbers) == 1 and numbers[0] <= known.upto)
            self._unsaved[way.name] = None

    def returned(self, way: Way, successor: bool) -> bool:
        """A process has come for a way; return whether a message was set aside."""
        known = self._known.get(way.name)
        if known is None or not known.vanished:
            return False
        known.vanished = 0
        self._unsaved[way.name] = None
        if not successor:
            return False
        before = known.deaths_of(known.first)
        known.head, known.deaths = known.first, before + 1 if known.alone else max(1, before)
        known.upto = max(known.upto, known.last)
        way.link.withdraw()
        if not known.alone or known.deaths < self._limit or way.link.acked_by_all + 1 != known.head:
            return False
        way.link.skip()
        self._aside.append(Aside(way.key, way.receiver, known.head, known.deaths))
        return True

    def forget(self, name: tuple[str, str]) -> None:
        """There is no such subscriber any more."""
        if self._known.pop(name, None) is not None:
            self._unsaved[name] = None

    def settle(self, way: Way) -> None:
        """A subscriber has come further."""
        known = self._known.get(way.name)
        if known is not None and not known.vanished and way.link.acked_by_all >= known.upto:
            self.forget(way.name)

    def is_known(self, name: tuple[str, str]) -> bool:
        """Whether a subscriber had a process that died, so that somebody may have had its messages."""
        return name in self._known

    # What may be given

    def allowed(self, way: Way, ways: Iterable[Way]) -> int:
        """How many messages a subscriber may have now: as many as it has room for, or, where one of them may be its end, one.

        Args:
            way: its way.
            ways: all there are.
        """
        if not self._known:
            return _MANY
        process = [each for each in ways if each.process == way.process and each.open]
        if not any(self._suspects(each) for each in process):
            return _MANY
        if not self._suspects(way) or way.link.under_way or way.link.to_send:
            return 0
        busy = any(each.link.under_way or each.link.to_send for each in process)
        return 0 if busy and trio.current_time() < self._given_at.get(way.process, -inf) + PATIENCE_S else 1

    def given(self, way: Way) -> None:
        """A subscriber was given a message."""
        if self._known and self._suspects(way):
            self._given_at[way.process] = trio.current_time()

    @property
    def pending(self) -> bool:
        """Whether there are suspects, so that time counts."""
        return bool(self._known)

    def _suspects(self, way: Way) -> bool:
        known = self._known.get(way.name)
        return known is not None and way.link.acked_by_all < known.upto

    # What is to be written

    def unsaved(self) -> tuple[list[Aside], dict[tuple[str, str], str | None]]:
        """What is to be set aside, and to be noted, and is not on the disk yet."""
        records = {
            name: json.dumps(attrs.asdict(self._known[name])) if name in self._known else None for name in self._unsaved
        }
        return list(self._aside), records

    def saved(self, aside: list[Aside], records: Mapping[tuple[str, str], str | None]) -> None:
        """What `unsaved` has returned is on the disk."""
        self._aside = [each for each in self._aside if each not in aside]
        now = self.unsaved()[1]
        for name, record in records.items():
            if now.get(name) == record:
                self._unsaved.pop(name, None)
