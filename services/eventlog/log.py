"""What a log promises. `memory.py` and `jetstream.py` pass the same contract suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from .commit import Commit, Recorded


class LogError(Exception):
    """The log could not do what was asked; `str(error)` says why and what to do."""


class Conflict(LogError):
    """The session has a later commit than the writer knew."""


class LogUnavailable(LogError):
    """The log cannot be reached, or did not answer in time. A commit may or may not be in it:
    read the session before trying again."""


class LogMisconfigured(LogError):
    """The stream or the server could lose commits; the service must not start on it."""


class LogDamaged(LogError):
    """The log does not hold what it once held (broken chain, lost tail, undecodable commit)."""


class EventLog(Protocol):
    async def append(self, commit: Commit, *, expected: int) -> Recorded:
        """Make the commit durable after the session's commit at sequence `expected` (0: none).

        Raises `Conflict` if another commit came between, `LogUnavailable` without an answer.
        """
        ...

    def read(
        self, session_id: str, *, after: int = 0, up_to: int | None = None
    ) -> AsyncIterator[Recorded]:
        """The session's commits with `after < sequence <= up_to`, oldest first."""
        ...

    def read_all(self, *, after: int = 0, up_to: int | None = None) -> AsyncIterator[Recorded]:
        """All commits with `after < sequence <= up_to` that exist now, oldest first."""
        ...

    def subscribe(self, *, after: int) -> AsyncIterator[list[Recorded]]:
        """All commits after a sequence, for ever, in order and without a gap, in batches of at
        least one. Survives reconnections. Raises `LogDamaged` if `after` is beyond the log's end.
        """
        ...

    async def last_sequence(self) -> int:
        """Of the whole log; 0 if it is empty."""
        ...

    async def get(self, sequence: int) -> Recorded | None: ...

    async def close(self) -> None: ...
