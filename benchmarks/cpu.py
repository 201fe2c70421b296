"""CPU time of other processes, as Linux counts it."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULED = 2  # CPUCLOCK_SCHED of linux/posix-timers.h


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, also of those that have ended.

    What utime + stime in `/proc/<pid>/stat` say, in nanoseconds instead of ticks of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def busy_share(seconds: float = 1.0) -> float:
    """Of all the machine's CPU time in the next `seconds`, what is used or taken by its host."""
    before = _times()
    time.sleep(seconds)
    spent = [now - then for now, then in zip(_times(), before, strict=True)]
    idle = spent[3] + spent[4]  # also waiting for a disk
    return 1 - idle / max(sum(spent), 1)


def _times() -> list[int]:
    first = Path("/proc/stat").read_text().splitlines()[0]
    return [int(field) for field in first.split()[1:9]]
