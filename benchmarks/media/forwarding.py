"""CPU for a forwarded packet: one publisher, 10 or 50 subscribers, all servers in turn."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import NamedTuple

from benchmarks.cpu import cpu_seconds

from .client import Publisher, Subscriber, payload
from .contenders import Contender, Floor, floor, janus, pumps, tertulia

SIZE = 1100  # bytes of RTP
RATE, BURST = 1000, 4
SECONDS = 3.0


class Window(NamedTuple):
    cost: float  # us for a packet that arrived
    share: float  # of the packets that arrived


class Contest(NamedTuple):
    windows: list[Window]
    profile: str
    transport_numbers: bool
    asked: int  # packets asked for again
    repeats: int  # that came as RTX


@asynccontextmanager
async def started(name: str, subscribers: list[Subscriber]) -> AsyncIterator[Contender]:
    """`name` is that of a row: floor, janus, janus1, or of a pump."""
    if name == "floor":
        start = floor(subscribers)
    elif name in ("janus", "janus1"):
        start = janus(1 if name == "janus1" else 0)  # type: ignore[assignment]
    else:
        start = tertulia(name)  # type: ignore[assignment]
    async with start as contender:
        yield contender


class Pace:
    """Bursts at a steady rate, and the reports of every second."""

    def __init__(self, publisher: Publisher, subscribers: list[Subscriber]) -> None:
        self._publisher, self._subscribers = publisher, subscribers
        self._reported = [0] * len(subscribers)
        self._next_report = 0.0

    async def send(self, seconds: float, rate: int = RATE, burst: int = BURST) -> int:
        start, sent = monotonic(), 0
        while sent < seconds * rate:
            self._publisher.frame(burst, SIZE, ticks=90 * 1000 * burst // rate)
            sent += burst
            now = monotonic()
            if now >= self._next_report and not self._publisher.plain:
                self._next_report = now + 1
                self._report()
            await asyncio.sleep(max(0.0, start + sent / rate - monotonic()))
        return sent

    def _report(self) -> None:
        self._publisher.report()
        for index, one in enumerate(self._subscribers):
            one.report(one.count - self._reported[index])
            self._reported[index] = one.count

    async def settled(self) -> int:
        """Packets at all subscribers, once no more come."""
        before, now = -1, 0
        while now != before:
            before = now
            await asyncio.sleep(0.2)
            now = sum(one.count for one in self._subscribers)
        return now


async def contest(name: str, count: int, windows: int, seconds: float) -> Contest:
    subscribers = [Subscriber() for _ in range(count)]
    publisher = Publisher()
    async with started(name, subscribers) as contender:
        try:
            await contender.publish(publisher, "str_P")
            for index, one in enumerate(subscribers):
                await contender.subscribe(one, "str_P", str(index))
            pace = Pace(publisher, subscribers)
            await pace.send(1.0)
            measured: list[Window] = []
            for _ in range(windows):
                before, arrived = cpu_seconds(contender.pid), await pace.settled()
                sent = await pace.send(seconds)
                arrived = await pace.settled() - arrived
                used = cpu_seconds(contender.pid) - before
                measured.append(Window(used / max(arrived, 1) * 1e6, arrived / (sent * count)))
            bare = isinstance(contender, Floor)
            if not bare:
                check(publisher, subscribers)
            return Contest(
                measured,
                "none" if bare else subscribers[0].profile(),
                publisher.transport_numbers,
                sum(one.asked for one in subscribers),
                sum(one.repeats for one in subscribers),
            )
        finally:
            for peer in (publisher, *subscribers):
                await peer.close(silent=peer.server[0] == "" or publisher.plain)


def check(publisher: Publisher, subscribers: list[Subscriber]) -> None:
    """The last packet came to everybody as it was sent. Header fields may have been rewritten."""
    for one in subscribers:
        if payload(one.decrypted(one.last)) != publisher.payload:
            raise SystemExit("a subscriber did not get the last packet as it was sent")


async def forwarding(quick: bool) -> None:
    names = (*pumps(), "janus1", "janus", "floor")
    rounds, windows, seconds = (1, 1, 1.0) if quick else (3, 3, SECONDS)
    print(
        f"## CPU for a forwarded packet: {RATE} packets/s of {SIZE} B in bursts of {BURST}; "
        f"{rounds} interleaved rounds of {windows} x {seconds:g} s"
    )
    if "c" not in names:
        print("The C pump is not here: only the twin is measured.")
    for count in (10, 50):
        results: dict[str, list[Contest]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                results[name].append(await contest(name, count, windows, seconds))
        print(f"\n1 publisher, {count} subscribers")
        medians = {name: row(name, results[name]) for name in names}
        for name, aim in (("c", 0.45), ("python", 1.2)):
            if name in medians:
                ratio = medians[name] / medians["janus1"]
                print(f"{TITLES[name]} / {TITLES['janus1']} = {ratio:.2f} (aim: at most {aim})")


TITLES = {
    "c": "Tertulia, C pump",
    "python": "Tertulia, Python twin",
    "janus1": "Janus 1.1.2, event_loops = 1",
    "janus": "Janus 1.1.2, default",
    "floor": "bare UDP, no crypto, no RTCP",
}


def row(name: str, contests: list[Contest]) -> float:
    costs = [window.cost for one in contests for window in one.windows]
    rounds = ", ".join(f"{statistics.median(w.cost for w in c.windows):.2f}" for c in contests)
    share = min(window.share for one in contests for window in one.windows)
    last = contests[-1]
    numbers = "with" if last.transport_numbers else "without"
    print(
        f"{TITLES[name]:30} {statistics.median(costs):6.2f} us (rounds {rounds}), "
        f"delivered {share:.2%}, SRTP {last.profile}"
        + ("" if name == "floor" else f", {numbers} transport-cc to the publisher, ")
        + ("" if name == "floor" else f"{last.repeats} RTX for {last.asked} NACKs")
    )
    return statistics.median(costs)
