"""What a system takes of a machine: CPU time and memory, summed over all of its processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from spore.deploy.resources import cpu_seconds
from spore.distribution import needs

with needs("cli"):
    import psutil

__all__ = ["CpuMeter", "cpu_seconds", "proportional_bytes", "written_bytes"]


class CpuMeter:
    """The CPU time of all processes of a run, from the first event until everything had been handled.

    The start of processes and their end do not count. It is a `spore.migration.play.Meter`.

    Args:
        say: told the numbers of the processes at the beginning, and of none at the end.
        besides: processes that count as well.
    """

    def __init__(self, say: Callable[[tuple[int, ...]], None], besides: Iterable[int] = ()) -> None:
        self.seconds = 0.0
        self.bytes = 0
        """Their memory at the end of it."""
        self._say = say
        self._besides = tuple(besides)
        self._processes: tuple[int, ...] = ()
        self._before = 0.0

    def begin(self, processes: Mapping[str, int]) -> None:
        self._processes = tuple(sorted({*processes.values(), *self._besides}))
        self._say(self._processes)
        self._before = cpu_seconds(self._processes)

    def end(self) -> None:
        self.seconds = cpu_seconds(self._processes) - self._before
        self.bytes = proportional_bytes(self._processes)
        self._say(())


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


def written_bytes(processes: Iterable[int]) -> int:
    """The memory that processes have filled themselves: what a program keeps is there, and what it maps from files is not.

    For growth it is the measure that others do not disturb: a share of a library's pages grows whenever somebody else who has used it
    ends. A process that has ended takes none.

    Source: ``RssAnon`` and ``VmSwap`` of ``/proc/PID/status``, proc(5).
    """
    total = 0
    for pid in processes:
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        # A process that has ended, and nobody has heard of it yet, has neither.
        total += sum(int(facts[name].split()[0]) * 1024 for name in ("RssAnon", "VmSwap") if name in facts)
    return total
