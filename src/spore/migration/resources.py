"""What a system takes of a machine: CPU time and memory, summed over all of its processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import psutil

__all__ = ["CpuMeter", "cpu_seconds", "proportional_bytes"]

CPUCLOCK_SCHED = 2
"""All threads of a process together. Source: Linux, ``include/linux/posix-timers_types.h``."""


class CpuMeter:
    """The CPU time of all processes of a run, from the first event until everything had been handled.

    The start of processes and their end do not count. It is a `spore.migration.play.Meter`.

    Args:
        say: told the numbers of the processes at the beginning, and of none at the end.
    """

    def __init__(self, say: Callable[[tuple[int, ...]], None]) -> None:
        self.seconds = 0.0
        self.bytes = 0
        """Their memory at the end of it."""
        self._say = say
        self._processes: tuple[int, ...] = ()
        self._before = 0.0

    def begin(self, processes: Mapping[str, int]) -> None:
        self._processes = tuple(sorted(set(processes.values())))
        self._say(self._processes)
        self._before = cpu_seconds(self._processes)

    def end(self) -> None:
        self.seconds = cpu_seconds(self._processes) - self._before
        self.bytes = proportional_bytes(self._processes)
        self._say(())


def cpu_seconds(processes: Iterable[int]) -> float:
    """User and system time that processes have taken so far, all threads included.

    It is read from their CPU clocks, exact to the nanosecond: the ticks of 10 ms that ``/proc`` counts in are too coarse.

    Source: clock_getcpuclockid(3), which makes the number of a process's clock from its own as it is made here.

    Raises:
        OSError: if one has ended, and its share with it.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in processes) / 1e9


def proportional_bytes(processes: Iterable[int]) -> int:
    """The memory of processes as the system can tell it best: pages that several share count once, in equal parts.

    Source: the proportional set size of ``smaps_rollup``, proc(5); the resident set size where there is none. A process that
    has ended takes none.
    """
    total = 0
    for pid in processes:
        try:
            info = psutil.Process(pid).memory_full_info()
        except psutil.Error:
            continue
        total += getattr(info, "pss", info.rss)
    return total
