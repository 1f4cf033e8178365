"""Migration: the same input through the same actors in either mode, and what came out of each.

Read in this order: `recording` (what comes out, and its digest), `tap` (where it is taken), `play` (one run).
"""

from spore.migration.play import Played, play
from spore.migration.recording import Recorder, Recording, digest
from spore.migration.tap import entries, tapped

__all__ = ["Played", "Recorder", "Recording", "digest", "entries", "play", "tapped"]
