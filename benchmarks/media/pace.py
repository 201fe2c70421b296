"""The load: packets at a steady rate, the reports of every second, and what is valid of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from .client import Publisher, Subscriber, payload
from .contenders import Contender

SIZE = 1100  # bytes of RTP
RATE = 1000  # packets a second
STREAM = "str_P"
WARM = 3.5  # seconds: until both servers have a sender report and a history
LEAST = 0.99  # share of packets that must arrive, of NACKs that must be answered


class Pace:
    def __init__(self, publisher: Publisher, subscribers: list[Subscriber]) -> None:
        self.publisher, self.subscribers = publisher, subscribers
        self.reporting = True
        self._reported = [0] * len(subscribers)
        self._next_report = 0.0

    async def send(
        self,
        seconds: float,
        burst: int,
        *,
        rate: int = RATE,
        size: int = SIZE,
        out: Callable[[bytes], None] | None = None,
    ) -> int:
        """`burst` packets make a frame and go at once. Key frames go when they are asked for."""
        publisher, out = self.publisher, out or self.publisher.raw
        start, sent = monotonic(), 0
        while sent < seconds * rate:
            key = publisher.key_wanted.is_set()
            publisher.key_wanted.clear()
            for datagram in publisher.frame(burst, size, ticks=90_000 * burst // rate, key=key):
                out(datagram)
            sent += burst
            now = monotonic()
            if now >= self._next_report and self.reporting:
                self._next_report = now + 1
                self._report()
            await asyncio.sleep(max(0.0, start + sent / rate - monotonic()))
        return sent

    def _report(self) -> None:
        self.publisher.report()
        for index, one in enumerate(self.subscribers):
            one.report(one.count - self._reported[index])
            self._reported[index] = one.count

    async def settled(self, wanted: int | None = None) -> int:
        """Packets at all subscribers, once `wanted` are there or no more come."""
        return await settled(lambda: sum(one.count for one in self.subscribers), wanted)


async def settled(count: Callable[[], int], wanted: int | None = None) -> int:
    """What `count` says once it is `wanted`, or has not changed for half a second."""
    before, quiet = count(), 0
    while quiet < 5 and (wanted is None or before < wanted):
        await asyncio.sleep(0.1)
        now = count()
        quiet = 0 if now != before else quiet + 1
        before = now
    return before


@asynccontextmanager
async def stage(contender: Contender, count: int) -> AsyncIterator[Pace]:
    """A publisher and its subscribers, warmed up: reports have gone both ways."""
    subscribers = [Subscriber() for _ in range(count)]
    publisher = Publisher()
    try:
        await contender.publish(publisher, STREAM)
        for index, one in enumerate(subscribers):
            await contender.subscribe(one, STREAM, str(index))
        pace = Pace(publisher, subscribers)
        await pace.send(WARM, 4)
        for one in subscribers:
            one.begin()
            one.want_key_frame()
        yield pace
    finally:
        for peer in (publisher, *subscribers):
            await peer.close(silent=peer.server[0] == "")


async def complaints(pace: Pace, share: float) -> tuple[str, ...]:
    """Why the figures of this stage mean nothing beside another server's."""
    publisher, subscribers = pace.publisher, pace.subscribers
    found = []
    if share < LEAST:
        found.append(f"delivered {share:.1%} of the packets")
    asked = sum(one.asked for one in subscribers)
    answered = await settled(lambda: sum(one.answered for one in subscribers), asked)
    if answered < LEAST * asked or not asked:
        found.append(f"answered {answered} of {asked} NACKs by RTX")
    if not all(one.sender_reports for one in subscribers):
        found.append("sent no sender reports to a subscriber")
    for count, what in (
        (publisher.reports, "receiver reports"),
        (publisher.estimates, "REMB or transport feedback"),
        (publisher.key_requests, "requests for key frames"),
    ):
        if not count:
            found.append(f"sent no {what} to the publisher")
    for one in subscribers:
        if payload(one.decrypted(one.last)) != publisher.payload:
            found.append("did not give a subscriber the last packet as it was sent")
            break
    return tuple(found)
