"""Migration: the same input through the same actors in either mode, and what came out of each.

Read in this order: `recording` (what comes out, and its digest), `tap` (where it is taken), `play` (one run); then how two
modes are compared: `loop` (the input of a run that is measured), `latency` with `cause`, `resources` and `tell_cost` (what is measured),
`worker` (a job in a process of its own), `run` (the job of one run), `launch` (starting it), `compare` (all runs), `divergence` (where two
part) and `shrink` (in how little of the input), `interval`, `report` and `verdict` (what it comes to), and `page` (all of it for a browser);
then how one mode is put under load: `bursts` (the input), `lateness` (what is measured), `load` (the job), `loadtest` (starting it),
`load_report` (what it comes to) and `find_max` (the search). Those need the packages of the extra ``cli``, and `page` that of ``report``,
so they are imported from their modules, but for the report.

A system that runs is watched and changed from outside: `health` (what is healthy) and `monitor` (looking); `rewrite` (the mode in the text
of a configuration), `config_file` (replacing that file) and `rollback` (both, together with the system).
"""

from spore.migration.interval import Spread
from spore.migration.play import Played, play, play_feed
from spore.migration.recording import Recorder, Recording, digest
from spore.migration.report import Criterion, MigrationMetrics, MigrationReport, report_of
from spore.migration.tap import entries, tapped

__all__ = [
    "Criterion",
    "MigrationMetrics",
    "MigrationReport",
    "Played",
    "Recorder",
    "Recording",
    "Spread",
    "digest",
    "entries",
    "play",
    "play_feed",
    "report_of",
    "tapped",
]
