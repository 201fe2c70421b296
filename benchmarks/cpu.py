"""CPU time of other processes, as Linux counts it."""

from __future__ import annotations

import time

_SCHEDULED = 2  # CPUCLOCK_SCHED of linux/posix-timers.h


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, also of those that have ended.

    What utime + stime in `/proc/<pid>/stat` say, in nanoseconds instead of ticks of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | _SCHEDULED)
