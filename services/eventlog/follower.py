"""Following the log with the state before and after each commit, each folded once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from msgspec import Struct

from services.conference.evolve import evolve_all
from services.conference.state import EMPTY, State

from .commit import GENESIS, Recorded
from .log import EventLog, LogDamaged, LogUnavailable

CAPACITY = 10_000  # sessions whose state is kept; others are read again when they change
ENDED_PER_OPEN = 10  # sessions that left nothing behind; their ids are often used again
PATIENCE = 30.0  # seconds for reading a session while the log is away
RETRY = 0.5  # seconds between attempts
BATCH = 500  # steps of one batch of a replay


class Step(Struct, frozen=True, gc=False):
    """One commit and the session's states around it."""

    recorded: Recorded
    before: State
    after: State

    @property
    def session_id(self) -> str:
        return self.recorded.commit.session_id


class _Folded(NamedTuple):
    state: State
    version: int
    digest: str


class Folder:
    """Turns commits into steps. Checks that each follows its predecessor in the session.

    Commits must come in the log's order; gaps are filled from the log.
    """

    def __init__(self, log: EventLog, capacity: int = CAPACITY) -> None:
        self._log = log
        self._capacity = capacity
        self._folded: OrderedDict[str, _Folded] = OrderedDict()
        self._ended: OrderedDict[str, _Folded] = OrderedDict()  # nothing left: cheap to keep

    async def fold(self, recorded: Recorded) -> Step:
        commit = recorded.commit
        session_id = commit.session_id
        last = self._folded.pop(session_id, None) or self._ended.pop(session_id, None)
        if last is None:
            last = await self._read(session_id, recorded)
        if commit.version != last.version + 1 or commit.previous != last.digest:
            raise LogDamaged(
                f"The commit at sequence {recorded.sequence} does not follow the commit before it "
                f"in session {session_id}: version {commit.version} after {last.version}."
            )
        after = evolve_all(last.state, commit.events)
        kept, most = (
            (self._folded, self._capacity)
            if after != EMPTY
            else (self._ended, self._capacity * ENDED_PER_OPEN)
        )
        kept[session_id] = _Folded(after, commit.version, recorded.digest)
        if len(kept) > most:
            kept.popitem(last=False)
        return Step(recorded, last.state, after)

    async def fold_patiently(self, recorded: Recorded) -> Step:
        """As `fold`; if the log is away, tries again for `PATIENCE`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                return await self.fold(recorded)
            except LogUnavailable:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(RETRY)

    async def _read(self, session_id: str, recorded: Recorded) -> _Folded:
        folded = _Folded(EMPTY, 0, GENESIS)
        if recorded.commit.version == 1:
            return folded
        async for earlier in self._log.read(session_id, up_to=recorded.sequence - 1):
            commit = earlier.commit
            if commit.version != folded.version + 1 or commit.previous != folded.digest:
                raise LogDamaged(
                    f"The commit at sequence {earlier.sequence} does not follow the commit before "
                    f"it in session {session_id}."
                )
            folded = _Folded(
                evolve_all(folded.state, commit.events), commit.version, earlier.digest
            )
        return folded


async def nodes_at(log: EventLog, sequence: int) -> list[State]:
    """The states of all media nodes after the commit at that sequence."""
    states = []
    for node in await log.nodes():
        state = EMPTY
        async for recorded in log.read(node, up_to=sequence):
            state = evolve_all(state, recorded.commit.events)
        if state.node is not None:
            states.append(state)
    return states


async def follow(
    log: EventLog, *, after: int, capacity: int = CAPACITY
) -> AsyncGenerator[list[Step], None]:
    """All steps after a sequence, for ever, in batches of at least one."""
    folder = Folder(log, capacity)
    async with aclosing(log.subscribe(after=after)) as batches:
        async for batch in batches:
            yield [await folder.fold_patiently(recorded) for recorded in batch]


async def replay(
    log: EventLog, *, after: int = 0, up_to: int | None = None, capacity: int = CAPACITY
) -> AsyncGenerator[list[Step], None]:
    """The steps with `after < sequence <= up_to` that exist now, in batches of at least one."""
    folder = Folder(log, capacity)
    steps: list[Step] = []
    async with aclosing(log.read_all(after=after, up_to=up_to)) as commits:
        async for recorded in commits:
            steps.append(await folder.fold_patiently(recorded))
            if len(steps) >= BATCH:
                yield steps
                steps = []
    if steps:
        yield steps
