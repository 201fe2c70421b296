"""Sessions of seven people who all see and hear one another.

What they send is made and encrypted before a window, so that sending costs little. Nearly all
subscribers are received in C and only counted; one of a session is watched, for the delay.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

import pylibsrtp

from .client import CHECK, STAMP, BenchPeer, Publisher, Subscriber, payload
from .contenders import Contender
from .native import Drain, Tally
from .pace import settled

PEOPLE = 7
FRAMES = (2, 2, 3)  # packets of the frames in turn: 616 kbit/s at 30 frames a second
KEY = 12  # packets of a key frame, one in each window
SIZE, SOUND = 1100, 120  # bytes of RTP
FRAME_SECONDS, SOUND_SECONDS = 1 / 30, 0.02
WATCHED = 12  # subscribers of all
JOINING = 8  # at once
MEETING = 20.0  # seconds at most until everybody has had a sender report
TICKS = 1000  # of a second


class Sent(NamedTuple):
    due: float  # seconds after the start of the window
    publisher: Publisher
    first: int  # number of the first packet
    datagrams: list[bytes]


class Window(NamedTuple):
    expected: int  # packets at all subscribers
    arrived: int
    delays: list[float]  # ms, of the watched
    late: list[float]  # ms after the time, of each of our own ticks
    seconds: float


class Seat:
    """A subscriber. `count` sees both kinds of packets, however they are received."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.watched = False
        self.tally: Tally | None = None
        self._reported = 0

    def leave_to(self, drain: Drain) -> None:
        self.subscriber.detach()
        self.tally = drain.take(self.subscriber.socket)
        self._reported = 0

    @property
    def count(self) -> int:
        if self.tally is not None:
            return self.tally.video + self.tally.audio
        return self.subscriber.count + self.subscriber.sounds

    def report(self) -> None:
        one = self.subscriber
        if self.tally is not None:
            one.count = self.tally.video
            if one.count:
                one.last = bytes(self.tally.last)
        one.report(one.count - self._reported)
        self._reported = one.count


class Session:
    def __init__(self, number: int) -> None:
        self.publishers = [Publisher() for _ in range(PEOPLE)]
        self.seats: list[Seat] = []
        self._name = f"ses_{number}"

    async def meet(self, contender: Contender) -> None:
        for index, one in enumerate(self.publishers):
            await contender.publish(one, f"{self._name}_{index}")
        for index in range(PEOPLE):
            for other in range(PEOPLE):
                if other != index:
                    subscriber = Subscriber()
                    self.seats.append(Seat(subscriber))
                    name = f"{self._name}_{index}"
                    await contender.subscribe(subscriber, f"{self._name}_{other}", name)

    async def warm(self) -> None:
        """Until everybody had a sender report, without which Janus keeps no history."""
        async with asyncio.timeout(MEETING):
            while not all(seat.subscriber.sender_reports for seat in self.seats):
                for one in self.publishers:
                    one.send(one.frame(1, SIZE, key=True))
                    one.report()
                await asyncio.sleep(0.1)
        for seat in self.seats:
            seat.report()

    @property
    def peers(self) -> list[BenchPeer]:
        return [*self.publishers, *(seat.subscriber for seat in self.seats)]

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()


class Sessions:
    def __init__(self, contender: Contender, drain: Drain) -> None:
        self._contender, self._drain = contender, drain
        self._all: list[Session] = []
        self._packets = 0  # of all windows: packets are numbered

    def __len__(self) -> int:
        return len(self._all)

    async def more(self, count: int) -> None:
        limit = asyncio.Semaphore(JOINING)
        added = [Session(len(self._all) + index) for index in range(count)]
        self._all += added

        async def one(session: Session) -> None:
            async with limit:
                await session.meet(self._contender)
                await session.warm()
                for seat in session.seats[1:]:
                    seat.leave_to(self._drain)

        async with asyncio.TaskGroup() as group:
            checking = group.create_task(self._checks())
            await asyncio.gather(*(group.create_task(one(session)) for session in added))
            checking.cancel()

    async def _checks(self) -> None:
        """Those who wait for the others stay connected."""
        while True:
            await asyncio.sleep(CHECK)
            for peer in (peer for session in self._all for peer in session.peers):
                if peer.connected.is_set():
                    peer.keep_alive()

    async def window(self, count: int, seconds: float, before: Callable[[], None]) -> Window:
        """The first `count` sessions talk. `before` is called when all is ready."""
        talking = self._all[:count]
        seats = [seat for session in talking for seat in session.seats]
        publishers = [one for session in talking for one in session.publishers]
        watched = [session.seats[0].subscriber for session in talking[:WATCHED]]
        first = self._packets
        schedule, self._packets = written(publishers, seconds, first)
        packets = self._packets - first
        gc.collect()
        gc.disable()  # we stop long with so many objects
        try:
            for subscriber in watched:
                subscriber.stamp()
            arrived, expected = sum(seat.count for seat in seats), packets * (PEOPLE - 1)
            before()
            started = monotonic()
            times, late = await spoken(schedule, publishers, seats)
            took = monotonic() - started
            came = await settled(lambda: sum(seat.count for seat in seats), arrived + expected)
        finally:
            gc.enable()
        delays = [delay for one in watched for delay in measured(one, times)]
        return Window(expected, came - arrived, delays, late, took)

    async def close(self) -> None:
        for session in self._all:
            await session.close()


def written(publishers: list[Publisher], seconds: float, number: int) -> tuple[list[Sent], int]:
    """What everybody sends, by time, and the number of the next packet."""
    schedule = []
    for one in publishers:
        phase = random.random() * FRAME_SECONDS
        frames = int(seconds / FRAME_SECONDS)
        key = random.randrange(frames)
        for index in range(frames):
            count = KEY if index == key else FRAMES[index % len(FRAMES)]
            made = list(one.frame(count, SIZE, key=index == key, stamp=number))
            schedule.append(Sent(phase + index * FRAME_SECONDS, one, number, made))
            number += count
        for index in range(int(seconds / SOUND_SECONDS)):
            due = phase + index * SOUND_SECONDS
            schedule.append(Sent(due, one, number, [one.sound(SOUND, number)]))
            number += 1
    schedule.sort(key=lambda sent: sent.due)
    return schedule, number


async def spoken(
    schedule: list[Sent], publishers: list[Publisher], seats: list[Seat]
) -> tuple[dict[int, int], list[float]]:
    """Send it all, with the reports of every second spread over it. UTC ns of each packet, by
    its number, and how late we were."""
    times: dict[int, int] = {}
    late: list[float] = []
    start, tick, position = monotonic(), 0, 0
    while position < len(schedule):
        now = monotonic() - start
        if now < tick / TICKS:
            await asyncio.sleep(tick / TICKS - now)
            continue
        late.append((now - tick / TICKS) * 1e3)
        while position < len(schedule) and schedule[position].due <= now:
            _, publisher, first, datagrams = schedule[position]
            position += 1
            now_ns = time.time_ns()
            for index, datagram in enumerate(datagrams):
                times[first + index] = now_ns
                publisher.raw(datagram)
        for seat in seats[tick % TICKS :: TICKS]:
            seat.report()
        for one in publishers[tick % TICKS :: TICKS]:
            one.report()
        tick += 1
        await asyncio.sleep(0)
    return times, late


def measured(subscriber: Subscriber, times: dict[int, int]) -> list[float]:
    delays = []
    for packet, at in subscriber.stamped():
        try:
            number = STAMP.unpack_from(payload(subscriber.decrypted(packet)), 4)[0]
        except pylibsrtp.Error:  # came twice
            continue
        if number in times:  # not of a window before
            delays.append((at - times[number]) / 1e6)
    return delays
