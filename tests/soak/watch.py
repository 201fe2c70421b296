"""What processes hold, sampled from outside, and whether it grows."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROCESSES = ("launcher", "nats-server", "api", "media", "recorder", "webhooks")
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """`at` in seconds since the start, `memory` in KiB, `cpu` in seconds since the process began.

    Memory is what the process wrote itself (`RssAnon`): what is resident beside that are pages of
    files, which come with the code that runs for the first time and cost nothing.
    """

    at: float
    memory: int
    files: int
    threads: int
    cpu: float


# How much a figure may rise in an hour, once it is warm. A leak of one object for each of the
# thousands of people of an hour is far above all of them: a file each, 10 KiB of media each. Pools
# fill up one by one: a reader of the database is a thread and three files.
ALLOWED = {"memory": 8 * 1024, "files": 30, "threads": 10}
# The broker keeps the block of the log that it writes in memory, 8 MB in buffers that double, and
# lets go of it when the block is full, after half an hour of this. So a trend tells nothing.
MOST_OF_BROKER = 64 * 1024
# A rise counts only if it is so many times its standard error: samples go up and down with the
# people who are there just then, and who is there in one is mostly there in the next.
CERTAIN = 5.0


def sample(pid: int, at: float) -> Sample:
    process = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    words = (process / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        at,
        int(status["RssAnon"].split()[0]),
        sum(1 for _ in (process / "fd").iterdir()),
        int(status["Threads"]),
        (int(words[11]) + int(words[12])) / _TICKS,
    )


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through samples."""

    first: float
    last: float
    per_hour: float  # what it rises
    error: float  # standard error of that

    def is_flat(self, allowed: float) -> bool:
        return self.per_hour <= max(allowed, CERTAIN * self.error)


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """Least squares. `points` are seconds and values, three at least."""
    count = len(points)
    middle = sum(at for at, _ in points) / count
    mean = sum(value for _, value in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    slope = sum((at - middle) * (value - mean) for at, value in points) / spread
    residue = sum((value - mean - slope * (at - middle)) ** 2 for at, value in points)
    error = math.sqrt(residue / (count - 2) / spread)
    return Trend(points[0][1], points[-1][1], slope * 3600, error * 3600)
