"""What ends its readers, where streams are NATS's: found, although whoever reads dies with its process, and set aside.

JetStream counts no deliveries here, because a reader reads by sequence and acknowledges nothing. So the reader notes what it is about to
do, before it does: how far it may give messages (*ahead*), and, once a process has died, which of them it gives next (*trial*). A
process that ends in an orderly way says so in the note. What a successor finds in the note is therefore what its predecessor died of: first all that
was under way, then a batch of it, then one message. With `limit` deaths that message is set aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isqrt
from time import monotonic

import attrs

__all__ = ["AHEAD", "DEFAULT_DEATHS", "Caution", "RunNote", "Trials"]

DEFAULT_DEATHS = 3
AHEAD = 8_000
"""So many messages of a sender are given between two notes that more may be."""
PATIENCE_S = 10.0
"""Nobody waits longer for another reader's trial to begin or to end."""
UNSUSPECTED = 256
"""So many messages are given together that nobody has died of, while there are others of which somebody has."""


@attrs.frozen
class RunNote:
    """What is kept of one receiver's reading, beside its mark."""

    running: bool = False
    """Whether a process reads, or has ended without a farewell."""
    ahead: dict[str, int] = attrs.field(factory=dict)
    """By origin: what is numbered up to here may have been given."""
    suspects: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """By origin: the first and last number of what was under way at the last death, and has to be given in trials."""
    deaths: int = 0
    """Of processes that had all suspects under way."""
    trial: tuple[str, int, int] | None = None
    """The messages that are given alone: origin, first and last number."""
    trial_deaths: int = 0
    """Of processes that had all of these under way."""

    def to_json(self) -> bytes:
        return json.dumps(attrs.asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> RunNote:
        found = json.loads(data)
        trial = found.pop("trial", None)
        suspects = {key: (first, last) for key, (first, last) in found.pop("suspects", {}).items()}
        return cls(**found, suspects=suspects, trial=None if trial is None else (trial[0], trial[1], trial[2]))


class Caution:
    """Of all readers of a process: one trial at a time, and nothing else is given meanwhile, so that a death has one cause."""

    def __init__(self) -> None:
        self.orderly = True
        """Whether the process ends because it is to. Looked at when it ends."""
        self._careful: dict[Trials, Callable[[], None]] = {}
        self._moved_at = 0.0

    def begin(self, trials: Trials, wake: Callable[[], None]) -> None:
        """A reader has suspects."""
        self._careful[trials] = wake
        self.moved()

    def moved(self) -> None:
        """A trial begins. Who waits for it has patience anew."""
        self._moved_at = monotonic()

    def end(self, trials: Trials) -> None:
        """It has none any more."""
        if self._careful.pop(trials, None) is not None:
            self.moved()
            for wake in tuple(self._careful.values()):
                wake()

    def turn_of(self, trials: Trials) -> bool:
        """Whether a reader may give messages now."""
        if not self._careful or next(iter(self._careful)) is trials:
            return True
        return monotonic() > self._moved_at + PATIENCE_S  # its stream cannot be read, say, or its handler waits for us


class Trials:
    """One reader's trials.

    Args:
        note: as its predecessor has left it.
        handled: by origin, up to which number messages were handled.
        limit: a message is set aside when so many processes died of it.
    """

    def __init__(self, note: RunNote, handled: dict[str, int], limit: int) -> None:
        self._limit = limit
        self.ahead: dict[str, int] = {}
        self.trial: tuple[str, int, int] | None = None
        found, self.deaths = dict(note.suspects), note.deaths
        if note.running and note.trial is not None:
            key, *span = note.trial
            found, self.deaths = {key: (span[0], span[1])}, note.trial_deaths + 1
        elif note.running and not found:
            found = {key: (handled.get(key, 0) + 1, last) for key, last in note.ahead.items()}
            self.deaths = 1
        self.suspects: dict[str, tuple[int, int]] = {}
        """By origin: the first and last number of what may be somebody's end."""
        for key, (first, last) in found.items():
            begin = max(first, handled.get(key, 0) + 1)
            if begin <= last:
                self.suspects[key] = begin, last
        size = sum(last - first + 1 for first, last in self.suspects.values())
        # Few batches at first, so that few notes are written; one by one where the next death has to have one culprit.
        self._batch = max(1, isqrt(size)) if self.deaths + 2 <= limit else 1

    def is_aside(self, key: str, number: int) -> bool:
        """Whether a message is not to be given any more."""
        return self.suspects.get(key) == (number, number) and self.deaths >= max(2, self._limit)

    def is_suspect(self, key: str, number: int) -> bool:
        """Whether a message has to be given in a trial."""
        first, last = self.suspects.get(key, (1, 0))
        return first <= number <= last

    def begin(self, key: str, number: int) -> None:
        """Try messages from this one on; if it is no suspect, as many as were handled before anything was noted."""
        if self.is_suspect(key, number):
            self.trial = key, number, min(self.suspects[key][1], number + self._batch - 1)
        else:
            self.trial = key, number, number + UNSUSPECTED - 1

    def end(self) -> None:
        """The messages of the trial have been handled, or there are none."""
        if self.trial is not None:
            self.passed(self.trial[0], self.trial[2])
        self.trial = None

    def passed(self, key: str, number: int) -> None:
        """Nothing up to a number is suspect any more."""
        if key in self.suspects:
            first, last = max(self.suspects[key][0], number + 1), self.suspects[key][1]
            if first > last:
                del self.suspects[key]
            else:
                self.suspects[key] = first, last

    def note(self, *, running: bool = True) -> RunNote:
        """What is to be noted: while this process lives, or as its farewell."""
        trial = self.trial if running else None
        counts = trial is not None and self.is_suspect(*trial[:2])
        return RunNote(
            running,
            dict(self.ahead) if running else {},
            dict(self.suspects),
            self.deaths if self.suspects else 0,
            trial,
            self.deaths if counts else 0,
        )
