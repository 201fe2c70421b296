"""What a campaign measures: how long a loop was busy, how much memory a process holds."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import time
from pathlib import Path

STALL_LIMIT = 100.0  # ms of CPU
GROWTH_LIMIT = 20 * 1024  # KiB from the warm state to the end
BEAT = 0.005  # seconds
_PAGE = resource.getpagesize()


class Heartbeat:
    """A task that wants to run each 5 ms. What the loop's thread computed between two of its beats
    is a stall; that does not count the time which other processes took from us, `wall` does."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0  # ms, the largest
        self._begun_anew = False

    async def run(self) -> None:
        while True:
            cpu, wall = time.thread_time(), time.perf_counter()
            await asyncio.sleep(BEAT)
            if self._begun_anew:
                self._begun_anew = False
                continue
            self.cpu = max(self.cpu, (time.thread_time() - cpu) * 1000)
            self.wall = max(self.wall, (time.perf_counter() - wall - BEAT) * 1000)

    def reset(self) -> None:
        """Forget all, and what was computed since the last beat."""
        self.cpu = self.wall = 0.0
        self._begun_anew = True


def resident() -> int:
    """KiB of this process, after all that can be freed was freed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE // 1024


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
