"""What processes of this machine take of it, seen from another one of the same user."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["age_s", "cpu_seconds", "resident_bytes"]

CPUCLOCK_SCHED = 2
"""All threads of a process together. Source: Linux, ``include/linux/posix-timers_types.h``."""


def cpu_seconds(processes: Iterable[int]) -> float:
    """User and system time that processes have taken so far, all threads included.

    It is read from their CPU clocks, exact to the nanosecond: the ticks of 10 ms that ``/proc`` counts in are too coarse.

    Source: clock_getcpuclockid(3), which makes the number of a process's clock from its own as it is made here.

    Raises:
        OSError: if one has ended, and its share with it.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in processes) / 1e9


def age_s(pid: int) -> float:
    """How long ago a process was started.

    Source: field 22 of ``/proc/PID/stat``, in ticks since the machine was booted, proc(5). The name before it may have any characters.

    Raises:
        OSError: if it has ended.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def resident_bytes(pid: int) -> int:
    """The memory that a process has in RAM, pages that it shares with others included.

    Source: the second number of ``/proc/PID/statm``, proc(5).

    Raises:
        OSError: if it has ended.
    """
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
