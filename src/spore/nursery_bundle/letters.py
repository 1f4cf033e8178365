"""Dead letters: what was not handled, counted, and some of each actor and reason kept to be looked at.

Rules: a letter keeps what an error said and where it was raised, and neither the error nor its frames, which would keep every failed actor alive.
And one actor's losses never hide another's: the most numerous letters make room first, those that an overflow policy gave up before all others.
"""

from __future__ import annotations

import itertools
import time
import traceback
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from spore.nursery_bundle.policy import Loss

__all__ = ["MEANT", "DeadLetter", "DeadLetters", "LetterError"]

MEANT = (Loss.FULL, Loss.DROPPED_OLDEST, Loss.DROPPED_NEWEST, Loss.CONFLATED)
"""What overflow policies give up. Who chose one has meant it."""
FRAMES = 50
"""Of a traceback, the innermost so many calls are kept: of a recursion without end the rest says nothing new."""


@attrs.frozen
class LetterError:
    """What a handler raised, in words. As a string it is the error's text."""

    kind: str
    """The name of the error's class."""
    text: str
    """What the error says; empty where it says nothing, or cannot."""
    notes: tuple[str, ...] = ()
    """What was added to it; see `BaseException.add_note`."""
    _captured: traceback.TracebackException | None = attrs.field(default=None, eq=False, repr=False)

    @classmethod
    def of(cls, error: BaseException) -> LetterError:
        """What is to be kept of an error. No error is so odd that this raises."""
        try:
            notes = tuple(str.__str__(note) for note in getattr(error, "__notes__", ()) if isinstance(note, str))
        except Exception:  # noqa: BLE001 - notes that cannot be read are none
            notes = ()
        try:
            captured = traceback.TracebackException.from_exception(error, limit=-FRAMES, lookup_lines=False)
        except Exception:  # noqa: BLE001 - an error whose own attributes raise is an error all the same
            captured = None
        return cls(type(error).__name__, _text(error), notes, captured)

    @property
    def traceback(self) -> str:
        """Where it was raised, and what led to it, as Python prints it: formatted when it is asked for."""
        if self._captured is not None:
            try:
                return "".join(self._captured.format())
            except Exception:  # noqa: BLE001, S110 - then its line is all that there is
                pass
        return f"{self.kind}: {self.text}\n" if self.text else f"{self.kind}\n"

    def __str__(self) -> str:
        return self.text


def _text(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # of a subclass of str, a plain copy
    except Exception:  # noqa: BLE001 - an error that cannot be said is still one
        return ""


@attrs.frozen
class DeadLetter:
    """A message that was not handled, or not to its end."""

    actor: str
    reason: Loss
    message: Any
    error: LetterError | None = None
    """What the handler raised, where the reason is ``failed``."""
    at_ns: int = attrs.field(factory=time.time_ns, kw_only=True, eq=False)
    """When it became one, since the Unix epoch."""


_Key: TypeAlias = tuple[str, Loss]
_Numbered: TypeAlias = tuple[int, DeadLetter]


class _Shelf:
    """Letters in a pile for each actor and reason. Adding one, and taking the oldest of the highest pile, take the same time however many there are."""

    def __init__(self) -> None:
        self.piles: dict[_Key, deque[_Numbered]] = {}
        self._by_height: dict[int, dict[_Key, None]] = {}
        self.height = 0
        """Of the highest pile."""

    def add(self, number: int, letter: DeadLetter) -> None:
        key = (letter.actor, letter.reason)
        pile = self.piles.setdefault(key, deque())
        pile.append((number, letter))
        self._move(key, len(pile) - 1, len(pile))
        self.height = max(self.height, len(pile))

    def take(self) -> None:
        """Let go of the oldest letter of a highest pile: of the one that has been so high for longest."""
        key = next(iter(self._by_height[self.height]))
        pile = self.piles[key]
        pile.popleft()
        self._move(key, len(pile) + 1, len(pile))
        if not pile:
            del self.piles[key]
        if self.height not in self._by_height:
            self.height -= 1

    def _move(self, key: _Key, old: int, new: int) -> None:
        if old:
            level = self._by_height[old]
            del level[key]
            if not level:
                del self._by_height[old]
        if new:
            self._by_height.setdefault(new, {})[key] = None


class DeadLetters:
    """Letters of a bundle, some of each actor and reason, and how many there were. Iterate it for those that are kept, oldest first.

    Args:
        keep: how many to keep in all. What gives way is the oldest letter of the actor and reason that has most of them: first among
            those that overflow policies gave up, as long as there is more than one of an actor and reason, and then among all others.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._meant = _Shelf()
        self._others = _Shelf()
        self._kept = 0
        self.total = 0

    def add(self, letter: DeadLetter) -> None:
        self.total += 1
        (self._meant if letter.reason in MEANT else self._others).add(self.total, letter)
        self._kept += 1
        if self._kept > self._keep:
            self._fullest().take()
            self._kept -= 1

    def _fullest(self) -> _Shelf:
        if self._meant.height > 1 or self._others.height == 0:
            return self._meant
        return self._others if self._others.height > 1 or not self._meant.height else self._meant

    def last(self, count: int, most: int) -> list[tuple[int, DeadLetter]]:
        """The newest letters of each actor and reason, in order of time, with their numbers from 1.

        Args:
            count: so many of each.
            most: so many in all: the newest of each before the second newest of any, and what policies gave up after all others.
        """
        piles = [*self._others.piles.values(), *self._meant.piles.values()]
        by_turns = (pile[-turn] for turn in range(1, count + 1) for pile in piles if turn <= len(pile))
        return sorted(itertools.islice(by_turns, most), key=_number)

    def __iter__(self) -> Iterator[DeadLetter]:
        piles = itertools.chain(self._others.piles.values(), self._meant.piles.values())
        return iter([letter for _, letter in sorted(itertools.chain.from_iterable(piles), key=_number)])

    def __len__(self) -> int:
        return self._kept


def _number(numbered: _Numbered) -> int:
    return numbered[0]
