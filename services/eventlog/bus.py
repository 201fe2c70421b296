"""The command bus: the only way to change anything.

A command is decided on the session's latest state and appended as one commit; if another writer
was first, it is decided again. A refused command (`ConferenceError`) and one with nothing to do
leave no trace in the log.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import uuid4

import structlog
from msgspec import Struct

from services.conference.commands import Command, InitializeSession
from services.conference.decide import decide
from services.conference.errors import ConferenceError
from services.conference.events import Event
from services.conference.evolve import evolve_all
from services.conference.state import EMPTY, State

from .commit import GENESIS, Actor, Commit, Recorded
from .follower import Step
from .log import CommitRefused, Conflict, EventLog, LogDamaged, LogFull, LogUnavailable

ATTEMPTS = 8  # appends of one command, when other writers are first
PATIENCE = 10.0  # seconds for the whole of a command, waiting for its turn included
QUEUE = 1000  # commands that may wait for one session
HELD_IDS = 1_000_000  # command ids kept in memory, of all cached sessions

_COMMAND_ID = re.compile(r"[!-~]{1,200}")

_logger = structlog.get_logger(__name__)


class SessionBusy(LogUnavailable):
    """Too many writers at once; nothing was written. Try again."""


class Outcome(NamedTuple):
    """`recorded` is `None` if there was nothing to do. `before` and `after` are the states around
    the commit, also where a command id was `repeated` and the commit is an old one."""

    recorded: Recorded | None
    events: tuple[Event, ...]
    before: State
    after: State
    repeated: bool = False


class Counters(Struct):
    """What happened since the start, for metrics."""

    commits: int = 0
    repeated: int = 0  # commands answered with their first outcome
    conflicts: int = 0
    unanswered: int = 0  # appends without an answer, resolved by reading the session


class _Aggregate(Struct):
    state: State = EMPTY
    sequence: int = 0
    version: int = 0
    digest: str = GENESIS
    time: int = 0
    commands: dict[str, int] = {}  # sequences by command id
    whole: bool = True  # has it all its command ids? Those of an ended session are not kept

    def extend(self, recorded: Recorded) -> None:
        commit = recorded.commit
        if commit.version != self.version + 1 or commit.previous != self.digest:
            raise LogDamaged(
                f"The commit at sequence {recorded.sequence} does not follow the commit before it "
                f"in session {commit.session_id}."
            )
        self.take(recorded, evolve_all(self.state, commit.events))

    def take(self, recorded: Recorded, state: State) -> None:
        self.state = state
        self.sequence = recorded.sequence
        self.version = recorded.commit.version
        self.digest = recorded.digest
        self.time = recorded.commit.time
        self.commands[recorded.commit.id] = recorded.sequence


class _Turn(Struct):
    lock: asyncio.Lock
    users: int = 0


def utc_ms() -> int:
    return time.time_ns() // 1_000_000


class CommandBus:
    def __init__(
        self,
        log: EventLog,
        *,
        clock: Callable[[], int] = utc_ms,
        capacity: int = 10_000,
        patience: float = PATIENCE,
    ) -> None:
        self.counters = Counters()
        self._log = log
        self._clock = clock
        self._capacity = capacity
        self._patience = patience
        self._cache: OrderedDict[str, _Aggregate] = OrderedDict()
        self._held_ids = 0
        self._turns: dict[str, _Turn] = {}

    async def execute(
        self,
        session_id: str,
        command: Command,
        *,
        actor: Actor,
        command_id: str | None = None,
        new_id: bool = False,
        traceparent: str | None = None,
    ) -> Outcome:
        """Decide and append. A repeated `command_id` (1 to 200 printable ASCII characters, unique
        in its session) gives the first outcome, however late; without one, or with a `new_id`,
        each call is new.

        Raises `ConferenceError` if the command is refused, `SessionBusy` if its turn never came,
        `LogUnavailable` if the log did not answer in time: then the command may have been done,
        and repeating it with the same id is safe.
        """
        if command_id is not None and not _COMMAND_ID.fullmatch(command_id):
            raise CommitRefused("A command id has 1 to 200 printable ASCII characters.")
        deadline = asyncio.get_running_loop().time() + self._patience
        async with self._turn(session_id, deadline):
            aggregate = self._taken(session_id)
            if aggregate is not None and not (aggregate.whole or new_id or command_id is None):
                aggregate = None  # was it done before the session ended? The log tells
            fresh = False
            if aggregate is None:
                aggregate = _Aggregate()
                if not isinstance(command, InitializeSession):  # which mostly makes a new one
                    aggregate = await self._read(session_id, aggregate)
                    fresh = True
            elif command_id is not None and command_id in aggregate.commands:
                return await self._repeated(session_id, aggregate, command_id)
            return await self._execute(
                session_id,
                command,
                actor=actor,
                command_id=command_id or uuid4().hex,
                traceparent=traceparent,
                aggregate=aggregate,
                fresh=fresh,
                deadline=deadline,
            )

    async def load(self, session_id: str) -> State:
        """The state after the session's last commit."""
        deadline = asyncio.get_running_loop().time() + self._patience
        async with self._turn(session_id, deadline):
            aggregate = await self._read(session_id, self._taken(session_id) or _Aggregate())
            self._keep(session_id, aggregate)
            return aggregate.state

    async def knows(self, session_id: str, command_id: str) -> bool:
        """Does the session have a commit of that command id?"""
        deadline = asyncio.get_running_loop().time() + self._patience
        async with self._turn(session_id, deadline):
            cached = self._taken(session_id)
            known = cached if cached is not None and cached.whole else _Aggregate()
            aggregate = await self._read(session_id, known)
            found = command_id in aggregate.commands
            self._keep(session_id, aggregate)
            return found

    def position(self, session_id: str) -> int:
        """The sequence of the session's last commit that its last decision here was based on; 0 if
        there was none, or it is forgotten."""
        aggregate = self._cache.get(session_id)
        return aggregate.sequence if aggregate else 0

    def observe(self, step: Step) -> None:
        """Keep a cached session warm with what a follower saw; others are left alone."""
        recorded = step.recorded
        aggregate = self._cache.get(step.session_id)
        if (
            aggregate is not None
            and recorded.commit.version == aggregate.version + 1
            and recorded.commit.previous == aggregate.digest
        ):
            self._taken(step.session_id)
            aggregate.take(recorded, step.after)
            self._keep(step.session_id, aggregate)

    async def _execute(
        self,
        session_id: str,
        command: Command,
        *,
        actor: Actor,
        command_id: str,
        traceparent: str | None,
        aggregate: _Aggregate,
        fresh: bool,
        deadline: float,
    ) -> Outcome:
        """`aggregate` is out of the cache meanwhile: only what is certain goes back into it."""
        loop = asyncio.get_running_loop()
        attempts = 0
        while True:
            if command_id in aggregate.commands:
                return await self._repeated(session_id, aggregate, command_id)
            before = aggregate.state
            at = max(aggregate.time, self._clock())
            try:
                events = decide(before, command, at)
                refusal = None
            except ConferenceError as error:
                events, refusal = (), error
            if not events:
                if not fresh:  # another process may know better
                    known = aggregate.sequence
                    aggregate = await self._read(session_id, aggregate)
                    fresh = True
                    if aggregate.sequence != known:
                        continue
                self._keep(session_id, aggregate)
                if refusal is not None:
                    try:
                        raise refusal
                    finally:
                        refusal = None  # it holds this frame, so neither would be freed
                return Outcome(None, (), before, before)
            after = evolve_all(before, events)
            commit = Commit(
                id=command_id,
                session_id=session_id,
                version=aggregate.version + 1,
                time=at,
                actor=actor,
                command=command,
                events=events,
                previous=aggregate.digest,
                traceparent=traceparent,
            )
            attempts += 1
            try:
                recorded = await self._log.append(commit, expected=aggregate.sequence)
            except Conflict:
                self.counters.conflicts += 1
                if attempts >= ATTEMPTS or loop.time() >= deadline:
                    _logger.warning("too many writers", session=session_id, attempts=attempts)
                    raise SessionBusy(
                        f"{session_id} changed {attempts} times while the command was decided."
                    ) from None
                if attempts > 1:
                    await asyncio.sleep(random.uniform(0, 0.002 * 2**attempts))  # noqa: S311
                aggregate = await self._read(session_id, aggregate)
            except (CommitRefused, LogFull):
                self._keep(session_id, aggregate)
                raise
            except LogUnavailable as error:
                # In the log or not? The session tells, once it can be read.
                self.counters.unanswered += 1
                aggregate = await self._read_patiently(session_id, aggregate, error, deadline)
            else:
                self.counters.commits += 1
                aggregate.take(recorded, after)
                self._keep(session_id, aggregate)
                return Outcome(recorded, events, before, after)
            fresh = True

    async def _repeated(self, session_id: str, aggregate: _Aggregate, command_id: str) -> Outcome:
        """The first outcome of a command, from the log."""
        self.counters.repeated += 1
        sequence = aggregate.commands[command_id]
        self._keep(session_id, aggregate)
        state = EMPTY
        async for recorded in self._log.read(session_id, up_to=sequence):
            before = state
            state = evolve_all(before, recorded.commit.events)
            if recorded.commit.id == command_id:
                return Outcome(recorded, recorded.commit.events, before, state, repeated=True)
        raise LogDamaged(f"The commit {command_id} of {session_id} is gone from the log.")

    async def _read(self, session_id: str, aggregate: _Aggregate) -> _Aggregate:
        """The same aggregate, with the commits it does not know yet."""
        async for recorded in self._log.read(session_id, after=aggregate.sequence):
            aggregate.extend(recorded)
        return aggregate

    async def _read_patiently(
        self, session_id: str, aggregate: _Aggregate, error: LogUnavailable, deadline: float
    ) -> _Aggregate:
        loop = asyncio.get_running_loop()
        while loop.time() < deadline:
            await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311
            try:
                return await self._read(session_id, aggregate)
            except LogUnavailable as again:
                error = again
        raise error

    @asynccontextmanager
    async def _turn(self, session_id: str, deadline: float) -> AsyncIterator[None]:
        """One command at a time for a session, in the order they came."""
        turn = self._turns.get(session_id)
        if turn is None:
            turn = self._turns[session_id] = _Turn(asyncio.Lock())
        if turn.users >= QUEUE:
            raise SessionBusy(f"{turn.users} commands wait for {session_id}.")
        turn.users += 1
        try:
            if turn.users == 1:
                await turn.lock.acquire()  # at once, and without the price of a time limit
            else:
                try:
                    async with asyncio.timeout_at(deadline):
                        await turn.lock.acquire()
                except TimeoutError:
                    raise SessionBusy(
                        f"The turn of a command of {session_id} never came."
                    ) from None
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[session_id]

    def _taken(self, session_id: str) -> _Aggregate | None:
        aggregate = self._cache.pop(session_id, None)
        if aggregate is not None:
            self._held_ids -= len(aggregate.commands)
        return aggregate

    def _keep(self, session_id: str, aggregate: _Aggregate) -> None:
        if not aggregate.version:
            return  # there is no such session
        if aggregate.state.session is None and aggregate.state.node is None:
            aggregate.commands = {}
            aggregate.whole = False
        self._cache[session_id] = aggregate
        self._held_ids += len(aggregate.commands)
        while len(self._cache) > self._capacity or (
            self._held_ids > HELD_IDS and len(self._cache) > 1
        ):
            _, oldest = self._cache.popitem(last=False)
            self._held_ids -= len(oldest.commands)
