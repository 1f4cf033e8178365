"""Spore's own relay, as a contender."""

from __future__ import annotations

from bench.relay_contender import Contender

__all__ = ["CONTENDERS"]

CONTENDERS: tuple[Contender, ...] = ()
"""The relay itself comes next; until then nothing of Spore's is measured here, and nothing is expected of it."""
