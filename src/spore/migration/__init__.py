"""Migration: the same input through the same actors in either mode, and what came out of each.

Read in this order: `recording` (what comes out, and its digest), `tap` (where it is taken), `play` (one run); then how two
modes are compared: `loop` (the input of a run that is measured), `latency`, `resources` and `tell_cost` (what is measured),
`worker` (a job in a process of its own), `run` (the job of one run), `launch` (starting it), `compare` (all runs), `divergence` (where
two part), `report` and `verdict` (what it comes to); then how one mode is put under load: `bursts` (the input), `lateness` (what is
measured), `load` (the job), `loadtest` (starting it), `load_report` (what it comes to), `find_max` (the search). All but the first three
need the packages of the extra ``cli``, so they are imported from their modules.
"""

from spore.migration.play import Played, play, play_feed
from spore.migration.recording import Recorder, Recording, digest
from spore.migration.tap import entries, tapped

__all__ = ["Played", "Recorder", "Recording", "digest", "entries", "play", "play_feed", "tapped"]
