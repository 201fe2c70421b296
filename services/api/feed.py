"""The one reader of the log in this process: everything the api shows or tells follows from here.

A batch of commits is shown at once (`Views` hold it in memory) and whoever waits for it is woken.
Then it is written to the projection, with whatever came meanwhile, and told to the followers
(gateway, reactors). So a writer does not wait for the database, REST never lags behind what a
browser was told, and after a crash the followers hear of everything that the database lacks.
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
from .progress import Progress
from .projections import Projector
from .views import Views

FIRST_RETRY, LAST_RETRY = 0.05, 5.0  # seconds between tries while the database or the log is away
BACKLOG = 5_000  # steps that are shown and not yet written; then the log waits
WRITE = 2_000  # steps of one transaction
LINGER = 0.02  # seconds from one transaction to the next: what comes in between shares it

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
    """`start` once, then `run` in a task group.

    `in_memory`: followers that answers are made from, so they are told when a step is shown.
    """

    def __init__(
        self,
        event_log: EventLog,
        projector: Projector,
        views: Views,
        bus: CommandBus,
        followers: Sequence[Follower] = (),
        *,
        in_memory: Sequence[Follower] = (),
    ) -> None:
        self._log = event_log
        self._projector = projector
        self._views = views
        self._bus = bus
        self._followers = followers
        self._in_memory = in_memory
        self._shown = Progress()
        self._unwritten: list[Step] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._watches: dict[str, set[Watch]] = {}

    @property
    def position(self) -> int:
        """The sequence of the last commit that answers show."""
        return self._shown.sequence

    @property
    def written(self) -> int:
        """The sequence of the last commit that is in the database."""
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
            log.info("projection built", position=self.written)
        states = await self._views.open(self.written) + await nodes_at(self._log, self.written)
        self._shown.reach(self.written)
        for follower in (*self._in_memory, *self._followers):
            follower.adopt(states)

    async def run(self) -> None:
        """Follow the log until cancelled. Raises `LogDamaged` and `ProjectionShared`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._write())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def wait_for(self, sequence: int, timeout: float) -> None:  # noqa: ASYNC109
        """Until answers show the commit at `sequence`. Raises `TimeoutError`."""
        await self._shown.wait_for(sequence, timeout)

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

    async def _follow(self) -> None:
        delay = FIRST_RETRY
        while True:
            try:
                async with aclosing(follow(self._log, after=self.position)) as batches:
                    async for steps in batches:
                        self._show(steps)
                        await self._room.wait()
                        delay = FIRST_RETRY
            except LogUnavailable as error:
                log.warning("log away, trying again", error=str(error), seconds=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY)

    def _show(self, steps: list[Step]) -> None:
        self._views.take(steps)
        _tell(self._in_memory, steps)
        for step in steps:
            self._bus.observe(step)
            for watch in self._watches.get(step.session_id, ()):
                watch.put(step)
        self._unwritten += steps
        self._arrived.set()
        if len(self._unwritten) >= BACKLOG:
            self._room.clear()
        self._shown.reach(steps[-1].recorded.sequence)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            began = loop.time()
            steps = self._unwritten[:WRITE]
            await self._apply(steps)
            del self._unwritten[: len(steps)]
            if len(self._unwritten) < BACKLOG:
                self._room.set()
            if not self._unwritten:
                self._arrived.clear()
            self._views.written(steps)
            _tell(self._followers, steps)
            if len(steps) < WRITE:
                await asyncio.sleep(began + LINGER - loop.time())

    async def _apply(self, steps: list[Step]) -> None:
        """Never skips: a batch is tried until the database has it."""
        delay = FIRST_RETRY
        while True:
            try:
                await self._projector.apply(steps)
            except (SQLAlchemyError, OSError) as error:
                log.warning(
                    "projection not written, trying again", error=reason(error), seconds=delay
                )
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
            else:
                return


def _tell(followers: Sequence[Follower], steps: list[Step]) -> None:
    for follower in followers:
        try:
            follower.dispatch(steps)
        except Exception:
            log.exception("follower failed", follower=type(follower).__name__)
