"""A sender on a real database, with a receiver that does as it is told and a clock that is set."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from services.webhooks.endpoint import Failure
from services.webhooks.outbox import Delivery, Outbox, Outgoing
from services.webhooks.schedule import Schedule
from services.webhooks.sender import Sender
from services.webhooks.store import Cursor, Store

SECONDS = 20.0  # for anything that must happen
QUIET = 0.15  # seconds in which something that must not happen would

REFUSED = Failure("status 500", unreachable=False)
AWAY = Failure("no answer in time", unreachable=True)

Answer = Callable[[Delivery], Failure | None]


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Middle:
    """No jitter."""

    def uniform(self, a: float, b: float, /) -> float:
        return (a + b) / 2


class Receiver:
    """Answers as `answer` says; while `gate` is closed nobody gets an answer."""

    name = "test"

    def __init__(self) -> None:
        self.calls: list[Delivery] = []
        self.accepted: dict[str, list[int]] = defaultdict(list)  # sequences by session
        self.answer: Answer = lambda delivery: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.open = 0
        self.most_open = 0

    async def post(self, delivery: Delivery, now: float) -> Failure | None:
        self.calls.append(delivery)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.gate.wait()
        finally:
            self.open -= 1
        failure = self.answer(delivery)
        if failure is None:
            self.accepted[delivery.session_id].append(delivery.sequence)
        return failure

    def tried(self, sequence: int) -> int:
        return sum(delivery.sequence == sequence for delivery in self.calls)


class World:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.outbox = Outbox(store, "test")
        self.receiver = Receiver()
        self.clock = Clock()
        self.schedule = Schedule()
        self.sender: Sender | None = None
        self._last = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[World]:
        store = await Store.open(path)
        try:
            world = cls(store)
            await world.outbox.open("", world.clock())
            yield world
        finally:
            await store.close()

    async def enqueue(self, *sessions: str, body: bytes = b"{}") -> None:
        """One event for each, with the next sequences of the log."""
        events = []
        for session in sessions:
            self._last += 1
            events.append(Outgoing(self._last, 0, f"evt_{self._last}", session, "signalSent", body))
        await self.outbox.enqueue(events, Cursor(self._last, ""), self.clock())
        if self.sender is not None:
            self.sender.wake()

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += round(seconds * 1000)
        if self.sender is not None:
            self.sender.wake()

    @asynccontextmanager
    async def sending(self, concurrency: int = 16) -> AsyncIterator[None]:
        """The sender runs; afterwards it has stopped, as a process does at SIGTERM."""
        self.sender = Sender(
            self.outbox,
            self.receiver,
            schedule=self.schedule,
            concurrency=concurrency,
            clock=self.clock,
            rng=Middle(),
        )
        task = asyncio.create_task(self.sender.run())
        try:
            yield
        finally:
            self.sender = None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until_accepted(self, session: str, sequences: list[int]) -> None:
        await eventually(lambda: len(self.receiver.accepted[session]) >= len(sequences))
        assert self.receiver.accepted[session] == sequences

    async def until_tried(self, sequence: int, times: int) -> None:
        await eventually(lambda: self.receiver.tried(sequence) >= times)
        assert self.receiver.tried(sequence) == times

    async def until_empty(self) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                if not (await self.outbox.totals()).waiting:
                    return
                await asyncio.sleep(0.005)
