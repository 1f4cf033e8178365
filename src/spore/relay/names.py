"""The names of receivers that a client has asked for, and another client has: denied one by one, and asked for again.

The relay says nothing where a name can be had. So what was asked for again is followed by a *fence*, a `Detach` of nobody, which the
relay answers in its turn: what it has not denied by then is had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from spore.relay.control import Deny

__all__ = ["ASK_AGAIN_S", "Names"]

ASK_AGAIN_S = 2.0
"""So often a name is asked for that another client has."""


class Names:
    """What a client knows of the names that it cannot have now."""

    def __init__(self) -> None:
        self.taken: dict[str, Deny] = {}
        """By name, with what the relay says of it."""
        self.fences = 0
        """How many fences the relay has come to."""
        self.ask_again_at: float | None = None
        """When to ask again; None where there is nothing to ask for, or nobody to ask."""
        self.on_taken: Callable[[Deny], None] = _nothing
        """Called with each name that another client turns out to have; not again until it was had."""
        self._ahead: deque[set[str]] = deque()
        """For each fence that the relay has not come to, the names that were asked for again before it, and not denied since."""

    def deny(self, denial: Deny, now_s: float) -> None:
        """The relay says that another client has a name."""
        name = denial.receiver
        for asked in self._ahead:
            if name in asked:
                asked.discard(name)
                break
        new = name not in self.taken
        self.taken[name] = denial
        if self.ask_again_at is None:
            self.ask_again_at = now_s + ASK_AGAIN_S
        if new:
            self.on_taken(denial)

    def asked(self, now_s: float) -> None:
        """They were asked for again."""
        self.ask_again_at = now_s + ASK_AGAIN_S if self.taken else None

    def fence(self, names: Iterable[str]) -> int:
        """A fence was said behind these names; return what `fences` is once the relay has come to it."""
        self._ahead.append(set(names))
        return self.fences + len(self._ahead)

    def come_to_fence(self) -> None:
        """The relay has come to the next fence: what was asked for before it, and not denied, is had."""
        if self._ahead:
            self.fences += 1
            for name in self._ahead.popleft():
                self.taken.pop(name, None)

    def forget(self, name: str) -> None:
        """Nobody asks for a name any more."""
        self.taken.pop(name, None)

    def disconnected(self) -> None:
        """Nobody can be asked for now. The names are asked for again with the next connection."""
        self._ahead.clear()
        self.ask_again_at = None


def _nothing(_: Deny) -> None:
    pass
