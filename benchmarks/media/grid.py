"""How many sessions of 7 x 7 one core carries: 540x360 at 30 frames/s and Opus, all to all.

The server is held on one core, what loads it on another. Sessions are added until more than 1 % of
the packets is lost or the delay passes 50 ms.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from benchmarks.cpu import cpu_seconds

from .contenders import Contender, rows, started
from .native import Drain, available
from .sessions import PEOPLE, Sessions
from .table import Table, percentile

LOST, DELAY = 0.01, 50.0  # share, ms of the 99th percentile
STEPS = (0.5, 0.8, 0.95, 1.05, 1.2, 1.4)  # of what the last point promises
BUDGET = 75.0  # seconds of one server, after which no more sessions are added
OWN_LATE = 15.0  # ms of the 99th percentile: then we are the limit
TRIES = 3  # windows before a point is too much: other guests of the same hardware stop us, too
SUBSCRIPTIONS = PEOPLE * (PEOPLE - 1)  # of a session


class Point(NamedTuple):
    sessions: int
    lost: float
    p50: float
    p99: float
    cpu: float  # share of a core, of the server
    own: float  # and of the load
    rate: float  # packets a second to all subscribers
    limited: str  # why the load itself was the limit, or ""

    @property
    def good(self) -> bool:
        return self.lost <= LOST and self.p99 <= DELAY


async def measure(contender: Contender, sessions: Sessions, count: int, seconds: float) -> Point:
    server, own, drops = 0.0, 0.0, 0

    def before() -> None:
        nonlocal server, own, drops
        server, own, drops = cpu_seconds(contender.pid), cpu_seconds(os.getpid()), dropped()

    window = await sessions.window(count, seconds, before)
    took = window.seconds
    server, own = cpu_seconds(contender.pid) - server, cpu_seconds(os.getpid()) - own
    limited = []
    late = percentile(window.late, 0.99)
    if late > OWN_LATE:
        limited.append(f"the load was late by {late:.0f} ms")
    if lost := dropped() - drops:
        limited.append(f"the load's own sockets dropped {lost} packets")
    return Point(
        count,
        1 - window.arrived / window.expected,
        percentile(window.delays, 0.5) if window.delays else float("inf"),
        percentile(window.delays, 0.99) if window.delays else float("inf"),
        server / took,
        own / took,
        window.expected / seconds,
        " and ".join(limited),
    )


def dropped() -> int:
    """Packets that our own sockets had no room for."""
    mine = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            mine.add(os.readlink(link))
        except OSError:  # it was closed meanwhile
            continue
    total = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in mine:
            total += int(fields[12])
    return total


@contextmanager
def held(pid: int) -> Iterator[None]:
    """The server on one core, we on another."""
    cores = sorted(os.sched_getaffinity(0))
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores[:1])
    os.sched_setaffinity(0, cores[1:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def contest(name: str, quick: bool) -> list[Point]:
    seconds = 1.0 if quick else 4.0
    points: list[Point] = []
    until = monotonic() + BUDGET
    async with started(name) as contender:
        with held(contender.pid), Drain().running() as drain:
            sessions = Sessions(contender, drain)
            try:
                target = 1 if quick else 4
                for step in STEPS[:1] if quick else STEPS:
                    await sessions.more(target - len(sessions))
                    for _ in range(TRIES):
                        points.append(await measure(contender, sessions, target, seconds))
                        if points[-1].good and not points[-1].limited:
                            break
                    else:
                        break
                    if monotonic() > until:
                        break
                    target = max(target + 1, int(target / max(points[-1].cpu, 0.01) * step))
                known = list(dict.fromkeys(one.sessions for one in points))
                between = sum(known[-2:]) // 2  # of one point, half of it
                if not points[-1].good and between not in (0, *known):
                    points.append(await measure(contender, sessions, between, seconds))
            finally:
                await sessions.close()
    return points


async def grid(quick: bool) -> None:
    print("## Sessions of 7 x 7 on one core\n")
    if len(os.sched_getaffinity(0)) < 2 or not available():
        print("Not measured: it needs two cores and a C compiler.\n")
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(
        f"A session is {PEOPLE} publishers (616 kbit/s of VP8 at 30 frames/s, Opus at 50 packets/s)"
        f" and {SUBSCRIPTIONS} subscriptions to both. Every point is in the table.\n"
    )
    heads = ("sessions", "subscriptions", "packets/s out", "lost", "delay p50", "p99, ms")
    table = Table("", *heads, "server CPU", "load CPU", "")
    verdicts = []
    for row in rows():
        if row.missing:
            table.add(row.title, f"not measured: {row.missing}")
            continue
        points = await contest(row.name, quick)
        for point in points:
            table.add(row.title, *shown(point))
        verdicts.append(verdict(row.title, points))
    table.print()
    print("\n".join(verdicts), flush=True)


def shown(point: Point) -> tuple[str, ...]:
    return (
        str(point.sessions),
        str(point.sessions * SUBSCRIPTIONS),
        f"{point.rate:,.0f}",
        f"{point.lost:.2%}",
        f"{point.p50:.1f}",
        f"{point.p99:.1f}",
        f"{point.cpu:.0%}",
        f"{point.own:.0%}",
        "; ".join(filter(None, ("" if point.good else "too much", point.limited))),
    )


def verdict(title: str, points: list[Point]) -> str:
    """The most that was measured, and what its CPU promises, which is no measurement."""
    good = [point for point in points if point.good]
    if not good:
        why = points[0].limited or "too many packets lost or too late"
        return f"- {title}: not even {points[0].sessions} sessions: {why}"
    best = max(good, key=lambda point: point.sessions)
    reached = any(not point.good and not point.limited for point in points)
    text = (
        f"- {title}: **{best.sessions} sessions, {best.sessions * SUBSCRIPTIONS} subscriptions** "
        f"measured at {best.cpu:.0%} of a core"
    )
    if reached:
        return text
    promised = int(best.sessions * SUBSCRIPTIONS / max(best.cpu, 0.01))
    return f"{text}; its limit was not reached, extrapolated to 100 % of the core: {promised}"
