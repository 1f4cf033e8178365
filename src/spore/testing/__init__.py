"""A test kit for bundles: a virtual clock, a schedule that a seed decides, and actors that remember.

A test that waits for real time is slow and still fails on a busy machine, and one that always sees the same schedule
misses what another one shows. `run` gives a test neither: time jumps to the next thing that is due, and the order in
which trio runs tasks depends on the seed alone, so that a failure comes back when its seed does.
"""

from spore.testing.faulty import Faults, FaultyCarrier, FaultyPipe
from spore.testing.probe import Probe, start_probe
from spore.testing.schedule import run, seeded_schedule, wait_idle

__all__ = ["Faults", "FaultyCarrier", "FaultyPipe", "Probe", "run", "seeded_schedule", "start_probe", "wait_idle"]
