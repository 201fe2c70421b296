"""The one reader of the log in this process: everything the api shows or tells follows from here.

A batch of commits is written to the projection first, then told to the followers (gateway,
reactors), then whoever waits for it is woken. So REST never lags behind what a browser was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.conference.state import State
from services.eventlog.bus import CommandBus
from services.eventlog.follower import Step, follow, nodes_at, replay
from services.eventlog.log import EventLog, LogUnavailable

from .database import reason
from .projections import Changes, Projector
from .views import Views

FIRST_RETRY, LAST_RETRY = 0.05, 5.0  # seconds between tries while the database or the log is away

log = structlog.get_logger(__name__)


class Follower(Protocol):
    """Neither may block or wait."""

    def adopt(self, states: Iterable[State]) -> None:
        """Once, before the first `dispatch`: the states of all open sessions and all nodes."""
        ...

    def dispatch(self, steps: list[Step]) -> None: ...


class Watch:
    """The latest step of one session since the last look."""

    def __init__(self) -> None:
        self._latest: Step | None = None
        self._changed = asyncio.Event()

    def put(self, step: Step) -> None:
        self._latest = step
        self._changed.set()

    async def next(self) -> Step:
        while self._latest is None:
            self._changed.clear()
            await self._changed.wait()
        step, self._latest = self._latest, None
        return step


class Feed:
    """`start` once, then `run` in a task group."""

    def __init__(
        self,
        event_log: EventLog,
        projector: Projector,
        views: Views,
        bus: CommandBus,
        followers: Sequence[Follower] = (),
    ) -> None:
        self._log = event_log
        self._projector = projector
        self._views = views
        self._bus = bus
        self._followers = followers
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._watches: dict[str, set[Watch]] = {}

    @property
    def position(self) -> int:
        """The sequence of the last commit that answers show."""
        return self._projector.position.sequence

    async def start(self) -> None:
        """Bring an empty database up to the log's present end in silence, then have the followers
        adopt the open sessions. A database with a position keeps it: what came after, while this
        process was away, is dispatched by `run` like everything new."""
        position = await self._projector.open(self._log)
        if not position.sequence:
            end = await self._log.last_sequence()
            async for steps in replay(self._log, up_to=end):
                await self._apply(steps)
            log.info("projection built", position=self.position)
        states = await self._views.open_states() + await nodes_at(self._log, self.position)
        for follower in self._followers:
            follower.adopt(states)

    async def run(self) -> None:
        """Follow the log until cancelled. Raises `LogDamaged` and `ProjectionShared`."""
        delay = FIRST_RETRY
        while True:
            try:
                async with aclosing(follow(self._log, after=self.position)) as batches:
                    async for steps in batches:
                        self._tell(steps, await self._apply(steps))
                        delay = FIRST_RETRY
            except LogUnavailable as error:
                log.warning("log away, trying again", error=str(error), seconds=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY)

    async def wait_for(self, sequence: int, timeout: float) -> None:  # noqa: ASYNC109
        """Until answers show the commit at `sequence`. Raises `TimeoutError`."""
        if self.position >= sequence:
            return
        reached = asyncio.get_running_loop().create_future()
        self._waiting[reached] = sequence
        try:
            async with asyncio.timeout(timeout):
                await reached
        finally:
            del self._waiting[reached]

    @contextmanager
    def watch(self, session_id: str) -> Iterator[Watch]:
        """See what happens to a session from now on."""
        watch = Watch()
        watches = self._watches.setdefault(session_id, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop(session_id, None)

    async def _apply(self, steps: list[Step]) -> Changes:
        """Never skips: a batch is tried until the database has it."""
        delay = FIRST_RETRY
        while True:
            try:
                return await self._projector.apply(steps)
            except (SQLAlchemyError, OSError) as error:
                log.warning(
                    "projection not written, trying again", error=reason(error), seconds=delay
                )
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)

    def _tell(self, steps: list[Step], changes: Changes) -> None:
        self._views.cache.forget(changes.touched)
        for step in steps:
            self._bus.observe(step)
            for watch in self._watches.get(step.session_id, ()):
                watch.put(step)
        for follower in self._followers:
            try:
                follower.dispatch(steps)
            except Exception:
                log.exception("follower failed", follower=type(follower).__name__)
        position = self.position
        for reached, sequence in self._waiting.items():
            if sequence <= position and not reached.done():
                reached.set_result(None)
