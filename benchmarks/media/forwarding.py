"""CPU for a forwarded packet: one publisher, 10 or 50 subscribers, all servers in turn."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.cpu import cpu_seconds

from .contenders import JANUS, THREADS, Row, rows, started, threads
from .floor import FLOORS, floor, floors
from .pace import RATE, SIZE, Pace, complaints, stage
from .table import Table

COUNTS = (10, 50)
BURSTS = (4, 1)  # packets that are sent at once


class Load(NamedTuple):
    subscribers: int
    burst: int

    def __str__(self) -> str:
        return f"1 to {self.subscribers}, {'bursts of 4' if self.burst > 1 else 'no bursts'}"


LOADS = [Load(count, burst) for burst in BURSTS for count in COUNTS]


class Contest(NamedTuple):
    """One server in one round."""

    costs: dict[Load, float]  # us for a packet that arrived
    share: float  # of the packets that arrived, of the worst window
    profile: str = ""
    answered: str = ""
    transport_numbers: bool = False
    complaints: tuple[str, ...] = ()


async def contest(name: str, count: int, seconds: float) -> Contest:
    async with started(name) as contender, stage(contender, count) as pace:
        costs, share = await measured(pace, contender.pid, seconds)
        wrong = await complaints(pace, share)
        asked = sum(one.asked for one in pace.subscribers)
        answered = sum(one.answered for one in pace.subscribers)
        return Contest(
            costs,
            share,
            pace.subscribers[0].profile(),
            f"{answered} of {asked}",
            pace.publisher.transport_numbers,
            wrong,
        )


async def measured(pace: Pace, pid: int, seconds: float) -> tuple[dict[Load, float], float]:
    count, costs, shares = len(pace.subscribers), {}, []
    for burst in BURSTS:
        arrived, before = await pace.settled(), cpu_seconds(pid)
        sent = await pace.send(seconds, burst)
        arrived = await pace.settled(arrived + sent * count) - arrived
        used = cpu_seconds(pid) - before
        costs[Load(count, burst)] = used / max(arrived, 1) * 1e6
        shares.append(arrived / (sent * count))
    return costs, min(shares)


async def bare(kind: str, count: int, seconds: float) -> Contest:
    async with floor(kind, count) as (pid, pace):
        await pace.send(0.5, 4)
        return Contest(*await measured(pace, pid, seconds))


def everybody() -> list[Row]:
    return [*rows(), threads()]


async def forwarding(quick: bool) -> None:
    rounds, seconds = (1, 1.0) if quick else (3, 3.0)
    results: dict[str, list[Contest]] = {row.name: [] for row in everybody()}
    bottoms: dict[str, list[Contest]] = {kind: [] for kind in floors()}
    for number in range(rounds):
        for count in COUNTS:
            for row in everybody():
                if not row.missing and (number == 0 or row.name != THREADS):
                    results[row.name].append(await contest(row.name, count, seconds))
            if number == 0:
                for kind, found in bottoms.items():
                    found.append(await bare(kind, count, seconds))
    print("## CPU for a forwarded packet\n")
    print(
        f"{RATE} packets/s of {SIZE} B; µs of the server's CPU, median and range of {rounds} "
        f"interleaved rounds of {seconds:g} s (`{threads().title}` and bare UDP: one round).\n"
    )
    report(results, bottoms)
    for row in rows():
        if row.aim is not None:
            ratios(row, results)
    print(flush=True)


def report(results: dict[str, list[Contest]], bottoms: dict[str, list[Contest]]) -> None:
    heads = ("delivered", "NACKs answered", "SRTP", "transport-cc from the publisher")
    table = Table("", *map(str, LOADS), *heads)
    for row in everybody():
        if row.missing:
            table.add(row.title, f"not measured: {row.missing}")
            continue
        contests = results[row.name]
        last = contests[-1]
        numbers = "yes" if last.transport_numbers else "no"
        table.add(row.title, *cells(contests), last.answered, last.profile, numbers)
    for kind, contests in bottoms.items():
        table.add(f"bare UDP: {FLOORS[kind]}", *cells(contests), "", "", "")
    table.print()


def cells(contests: list[Contest]) -> list[str]:
    found = []
    for load in LOADS:
        costs = [one.costs[load] for one in contests if load in one.costs]
        spread = f" ({min(costs):.1f}-{max(costs):.1f})" if len(costs) > 1 else ""
        found.append(f"{statistics.median(costs):.2f}{spread}")
    return [*found, f"{min(one.share for one in contests):.1%}"]


def ratios(row: Row, results: dict[str, list[Contest]]) -> None:
    """Of each round, ours by Janus's; none where we did not do all the work. Where Janus did not,
    its cost is that of the packets it should have sent, so that the ratio is one against us."""
    for load in LOADS:
        what = f"{row.title} / Janus, event_loops = 1, {load}"
        ours, theirs = (
            [one for one in results[name] if load in one.costs] for name in (row.name, JANUS)
        )
        if not ours or not theirs:
            print(f"- {what}: not measured")
            continue
        wrong = refusal(row.title, ours)
        if not wrong and {one.profile for one in ours} != {one.profile for one in theirs}:
            wrong = "they negotiated different SRTP profiles"
        if wrong:
            print(f"- {what}: NOT VALID: {wrong}")
            continue
        less = refusal("Janus", theirs)
        pairs = zip(ours, theirs, strict=True)
        found = [mine.costs[load] / its.costs[load] / min(1, its.share) for mine, its in pairs]
        each = ", ".join(f"{ratio:.2f}" for ratio in found)
        most = "at most " if less else ""
        print(
            f"- {what}: {most}**{statistics.median(found):.2f}** (rounds {each}; aim {row.aim})"
            + (f"; {less}" if less else "")
        )


def refusal(title: str, contests: list[Contest]) -> str:
    wrong = {complaint for one in contests for complaint in one.complaints}
    return f"{title} {' and '.join(sorted(wrong))}" if wrong else ""
