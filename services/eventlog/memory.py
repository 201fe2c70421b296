"""The log in memory, for unit tests: same promises, nothing durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import islice

from services.conference.ids import AGGREGATE_ID

from .commit import Commit, Recorded, encode, nodes_in, subject
from .log import CommitRefused, Conflict, LogDamaged, LogUnavailable, Stored, open_stored, seal

BATCH = 500


class MemoryLog:
    """Keeps encoded bytes, so that what comes back went through the same encoding."""

    def __init__(self) -> None:
        self._messages: list[Stored] = []
        self._sessions: dict[str, list[int]] = {}  # sequences by subject
        self._ids: set[tuple[str, str]] = set()
        self._grown = asyncio.Event()
        self._closed = False

    async def append(self, commit: Commit, *, expected: int) -> Recorded:
        self._check_open()
        if not AGGREGATE_ID.fullmatch(commit.session_id):
            raise CommitRefused(f"{commit.session_id!r} is no session id.")
        try:
            payload = encode(commit)
        except (TypeError, ValueError, OverflowError) as error:
            raise CommitRefused(f"The commit cannot be encoded: {error}") from error
        sealed = seal(commit, payload)
        name = subject(commit.session_id)
        sequences = self._sessions.get(name, [])
        if (sequences[-1] if sequences else 0) != expected:
            raise Conflict(f"{commit.session_id} has another last commit than {expected}.")
        if (name, commit.id) in self._ids:
            raise Conflict(f"{commit.session_id} has a commit with id {commit.id}.")
        sequence = len(self._messages) + 1
        self._messages.append(Stored(sequence, name, sealed, payload))
        self._sessions.setdefault(name, []).append(sequence)
        self._ids.add((name, commit.id))
        self._grown.set()
        self._grown = asyncio.Event()
        return Recorded(sequence, commit, sealed)

    async def read(
        self, session_id: str, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        self._check_open()
        for sequence in tuple(self._sessions.get(subject(session_id), ())):
            if after < sequence and (up_to is None or sequence <= up_to):
                yield open_stored(self._messages[sequence - 1])

    async def read_all(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        async for batch in self.stored(after=after, up_to=up_to):
            for message in batch:
                yield open_stored(message)

    async def stored(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[list[Stored], None]:
        self._check_open()
        end = len(self._messages) if up_to is None else min(up_to, len(self._messages))
        for start in range(after, end, BATCH):
            yield list(islice(self._messages, start, min(start + BATCH, end)))

    async def subscribe(self, *, after: int) -> AsyncGenerator[list[Recorded], None]:
        self._check_open()
        if after > len(self._messages):
            raise LogDamaged(f"The log ends at {len(self._messages)}, the reader is at {after}.")
        position = after
        while True:
            self._check_open()
            grown = self._grown
            if batch := self._messages[position : position + BATCH]:
                position += len(batch)
                yield [open_stored(message) for message in batch]
            else:
                await grown.wait()

    async def last_sequence(self) -> int:
        self._check_open()
        return len(self._messages)

    async def get(self, sequence: int) -> Recorded | None:
        self._check_open()
        if not 1 <= sequence <= len(self._messages):
            return None
        return open_stored(self._messages[sequence - 1])

    async def nodes(self) -> list[str]:
        self._check_open()
        return nodes_in(self._sessions)

    async def close(self) -> None:
        self._closed = True
        self._grown.set()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("The log is closed.")
