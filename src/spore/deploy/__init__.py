"""Deployment: from a TOML file to running bundles and processes. Where an actor runs is decided here and nowhere else.

Read in this order: `config` (what a file can say), `load` (reading it, strictly), `kinds` (actor classes by name, and what
can be told from them), `nodes`, `place`, `wires`, `cycles` and `plan` (who is wired to whom, by which route, in which process),
`spec` (what a process is told), `logs` (how it writes its own), `engine` and `links` (how it reaches others), `watching` and `hops` (how the
way of messages is timed), `unit` and `feeding` (what one process runs), `child` (such a process), `supervise` (keeping processes alive),
`neighbours` (other nodes), `ground` and `standing` (what outlives a unit), `system` (all of it together), `change`, `handover` and
`switching` (a bundle goes on in the other mode). Shadow mode is for itself:
`twin` (what runs beside a bundle), `differences` and `comparing` (what both send), `tapping` (where it is noted), `follower` (the
life of one twin), `shadow` (from one to the next), `shadow_statistics` (what is known of it). So are commands to a system that
runs: `control_socket` (where it is reached), `control_words`, `resources` and `reading` (what is said there), `control` (who answers),
`control_client` (who asks).
"""

from spore.deploy.config import (
    ActorConfig,
    BundleConfig,
    ControlConfig,
    FeedConfig,
    Mode,
    MonitorConfig,
    NodeConfig,
    ObserveConfig,
    RelayConfig,
    Secret,
    ShadowConfig,
    StreamConfig,
    SystemConfig,
)
from spore.deploy.hops import Hop, HopTimes
from spore.deploy.load import load_config
from spore.deploy.plan import Edge, Plan, Route, Unit, UnitKind, examine, make_plan
from spore.deploy.shadow_statistics import ShadowState, ShadowStatistics
from spore.deploy.switching import STEPS, Step, Switched
from spore.deploy.system import System, SystemStatistics, open_system, run_plan

__all__ = [
    "STEPS",
    "ActorConfig",
    "BundleConfig",
    "ControlConfig",
    "Edge",
    "FeedConfig",
    "Hop",
    "HopTimes",
    "Mode",
    "MonitorConfig",
    "NodeConfig",
    "ObserveConfig",
    "Plan",
    "RelayConfig",
    "Route",
    "Secret",
    "ShadowConfig",
    "ShadowState",
    "ShadowStatistics",
    "Step",
    "StreamConfig",
    "Switched",
    "System",
    "SystemConfig",
    "SystemStatistics",
    "Unit",
    "UnitKind",
    "examine",
    "load_config",
    "make_plan",
    "open_system",
    "run_plan",
]
