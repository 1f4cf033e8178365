"""Actors of the small pipeline that can move: they hand over their state."""

from __future__ import annotations

from typing import Any

import attrs
from tests.pipeline_actors import Detector

__all__ = ["Summing"]


@attrs.define
class Summing(Detector):
    """Makes signals, and hands over what it has summed up."""

    def snapshot(self) -> Any:
        return self.inner.total

    def restore(self, state: Any) -> None:
        self.inner.total = state
