"""Sends what is in an outbox: in order within each session, sessions beside each other.

A failing delivery holds back its own session and no other. What was sent is recorded in groups,
behind the sending: after a crash the last few deliveries are made again, with the same ids.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from .endpoint import Failure
from .outbox import Delivery, Failed, Lane, Left, Outbox, Settlement
from .schedule import RandomSource, Schedule

CONCURRENCY = 16  # sessions that are sent beside each other
WINDOW = 1024  # lanes in memory
ROOM = 32 * 1024 * 1024  # bytes of bodies in memory, or one delivery
TURN = 5.0  # seconds of one lane, until others are sent
SHORTEST_SLEEP = 0.005  # seconds
LONGEST_SLEEP = 60.0  # seconds; the clock may be set meanwhile
OUTAGE = 5.0  # seconds without any answer, until an answer means that the endpoint is back
SETTLE_PAUSE = 0.05  # seconds between two records of what was sent, while there is more to send
FLUSH_TIME = 1.0  # seconds to record what was sent when the process stops

_logger = structlog.get_logger(__name__)


class Receiver(Protocol):
    @property
    def name(self) -> str: ...

    async def post(self, delivery: Delivery, now: float) -> Failure | None: ...


def utc_ms() -> int:
    return time.time_ns() // 1_000_000


class Sender:
    def __init__(
        self,
        outbox: Outbox,
        receiver: Receiver,
        *,
        schedule: Schedule | None = None,
        concurrency: int = CONCURRENCY,
        clock: Callable[[], int] = utc_ms,
        rng: RandomSource | None = None,
    ) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._schedule = schedule or Schedule()
        self._concurrency = concurrency
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311
        self._log = _logger.bind(endpoint=receiver.name)
        self._ready: asyncio.Queue[Lane] = asyncio.Queue()  # bounded by WINDOW
        self._busy: set[str] = set()  # sessions of lanes in memory
        self.held = 0  # bytes of their bodies, for tests and metrics
        self._news = asyncio.Event()
        self._settlement = Settlement()
        self._settling = Settlement()
        self._unsettled = asyncio.Event()
        self._idle = asyncio.Event()  # what is settled next may be what is sent next
        self._away_since: int | None = None
        self._probe_at = 0

    def wake(self) -> None:
        """There is more in the outbox."""
        self._news.set()

    async def run(self) -> None:
        """Until it is cancelled. What is on its way then may be sent again by the next run."""
        if await self._outbox.unreachable():
            self._away_since = 0
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._dispatch())
                group.create_task(self._settle())
                for _ in range(self._concurrency):
                    group.create_task(self._work())
        finally:
            await self._flush()

    async def _dispatch(self) -> None:
        """Brings lanes into memory when it is their turn."""
        while True:
            self._news.clear()
            wait = LONGEST_SLEEP
            if len(self._busy) <= WINDOW // 2 and self.held < ROOM:
                now = self._clock()
                if self._away_since is not None and now >= self._probe_at:
                    self._probe_at = now + round(self._schedule.probe * 1000)
                    await self._outbox.probe(now)
                due = await self._outbox.due(
                    now, self._busy, lanes=WINDOW - len(self._busy), room=ROOM - self.held
                )
                for lane in due.lanes:
                    self._busy.add(lane.session_id)
                    self.held += lane.size
                    self._ready.put_nowait(lane)
                next_at = due.next_at
                if self._away_since is not None and next_at is not None:
                    next_at = min(next_at, self._probe_at)
                if next_at is not None:
                    wait = min(wait, max(SHORTEST_SLEEP, (next_at - self._clock()) / 1000))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _work(self) -> None:
        while True:
            lane = await self._ready.get()
            left = await self._send(lane)
            self.held -= lane.size
            self._settlement.left.append(left)
            self._unsettled.set()
            if self._ready.empty():
                self._idle.set()

    async def _send(self, lane: Lane) -> Left:
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + TURN
        for delivery in lane.deliveries:
            failure = await self._receiver.post(delivery, self._clock() / 1000)
            if failure is None:
                self._answered(self._clock())
                self._settlement.delivered.append(delivery.id)
            elif left := self._failed(delivery, failure, self._clock()):
                return left
            self._unsettled.set()
            if loop.time() > turn_ends:
                break
        return Left(lane.session_id)

    def _answered(self, now: int) -> None:
        if self._away_since is None:
            return
        if now - self._away_since >= OUTAGE * 1000:
            self._log.info("webhook endpoint answers again")
            self._settlement.reached = True
        self._away_since = None

    def _failed(self, delivery: Delivery, failure: Failure, now: int) -> Left | None:
        """How the lane is left, or `None` if it goes on because the delivery was given up."""
        attempts = delivery.attempts + 1
        first = now if delivery.first_attempt_at is None else delivery.first_attempt_at
        given_up = now - first >= self._schedule.give_up_after * 1000
        self._settlement.failed.append(
            Failed(delivery.id, attempts, first, failure.error, now if given_up else None)
        )
        if failure.unreachable and self._away_since is None:
            self._away_since = now
            self._probe_at = now + round(self._schedule.probe * 1000)
            self._log.warning("webhook endpoint cannot be reached", error=failure.error)
        delay = self._schedule.delay(attempts, failure.retry_after, self._rng)
        log = self._log.bind(
            webhook=delivery.event,
            session=delivery.session_id,
            id=delivery.event_id,
            attempts=attempts,
            error=failure.error,
        )
        if given_up:
            log.error("webhook given up, kept as a dead letter")
            return None
        tell = log.debug if failure.unreachable else log.warning
        tell("webhook refused, its session waits", again_in=f"{delay:.1f} s")
        return Left(delivery.session_id, now + round(delay * 1000), failure.unreachable)

    async def _settle(self) -> None:
        """Records in groups: one a delivery would cost more than the delivery."""
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            self._idle.clear()
            self._settling, self._settlement = self._settlement, Settlement()
            await self._outbox.settle(self._settling, self._clock())
            settled, self._settling = self._settling, Settlement()
            self._busy.difference_update(left.session_id for left in settled.left)
            if settled.left or settled.reached:
                self._news.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_PAUSE):
                    await self._idle.wait()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_TIME):
                await self._outbox.settle(self._settling, self._clock())
                await self._outbox.settle(self._settlement, self._clock())
        except TimeoutError:
            self._log.warning("the last deliveries could not be recorded and will be repeated")
