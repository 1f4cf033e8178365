"""Dead letters: what was not handled, counted by actor and reason, and the last ones kept to be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs

from spore.nursery_bundle.policy import Loss

__all__ = ["DeadLetter", "DeadLetters"]


@attrs.frozen
class DeadLetter:
    """A message that was not handled, or not to its end."""

    actor: str
    reason: Loss
    message: Any
    error: BaseException | None = None
    """What the handler raised, where the reason is ``failed``."""


class DeadLetters:
    """The last letters of a bundle, and how many there were. Iterate it for the letters, oldest first."""

    def __init__(self, keep: int) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=keep)
        self.total = 0

    def add(self, letter: DeadLetter) -> None:
        self.total += 1
        self._kept.append(letter)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
