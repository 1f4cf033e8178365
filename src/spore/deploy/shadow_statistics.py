"""What can be known of a bundle's twin, and of what was compared."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from spore.deploy.comparing import Difference

__all__ = ["ShadowState", "ShadowStatistics"]


class ShadowState(enum.StrEnum):
    """Where shadow mode is."""

    STARTING = "starting"
    """The twin's processes start; what it is to have is kept."""
    FOLLOWING = "following"
    """The twin handles what the bundle handles, and what both send is compared."""
    OUT_OF_STEP = "out of step"
    """The twin has died or fallen behind. One begins afresh as soon as it can take over."""
    RESTING = "resting"
    """With a rate below 1: between two windows."""
    PAUSED = "paused"
    """No twin can take over from this bundle before it is started again."""
    ENDED = "ended"
    """With the bundle."""


@attrs.frozen(kw_only=True)
class ShadowStatistics:
    """A moment's view of shadow mode in one bundle. ``inputs = copied + waiting + skipped``."""

    bundle: str
    state: ShadowState
    reason: str
    """Why it is out of step or paused, or ended so; empty while all is well."""
    twins: int
    """How many have begun."""
    inputs: int
    """Messages handled by the bundle's actors that are fed in the twin."""
    copied: int
    """Of these, how many a twin was sent."""
    waiting: int
    """How many wait to be sent."""
    skipped: int
    """How many no twin was sent, or will be."""
    equal: int
    """Messages that the bundle and its twin have sent alike."""
    different: int
    """Messages that they have sent differently, or that only one of them has sent."""
    first: Difference | None
    last: tuple[Difference, ...]
    """The last differences, the newest at the end."""
    processes: Mapping[str, int]
    """The numbers of the twin's processes, while it runs."""

    @property
    def compared(self) -> int:
        """``equal + different``."""
        return self.equal + self.different

    @property
    def summary(self) -> str:
        """In one line."""
        found = f"{self.compared:,} messages compared, {self.different:,} different"
        missed = f"{self.skipped:,} of {self.inputs:,} inputs skipped"
        state = f"{self.state}: {self.reason}" if self.reason else f"{self.state}"
        return f"{found}; {missed}; {state}"

    def plain(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {**attrs.asdict(self), "state": self.state.value, "compared": self.compared}
