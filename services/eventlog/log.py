"""What a log promises. `memory.py` and `jetstream.py` pass the same contract suite."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

import msgspec

from .commit import Commit, Recorded, decode, digest, subject

MAX_COMMIT = 8 * 1024 * 1024 - 4096
"""Bytes of an encoded commit the default server takes: its `max_payload` less our headers."""


class LogError(Exception):
    """The log could not do what was asked; `str(error)` says why and what to do."""


class CommitRefused(LogError):
    """The commit is too large, or could not be read back; nothing was written."""


class Conflict(LogError):
    """The session has a later commit than the writer knew; nothing was written."""


class LogUnavailable(LogError):
    """The log cannot be reached, or did not answer in time. A commit may or may not be in it:
    read the session before trying again."""


class LogFull(LogUnavailable):
    """There is no room for commits; nothing was written. Reading goes on."""


class LogMisconfigured(LogError):
    """The stream or the server could lose commits; the service must not start on it."""


class LogDamaged(LogError):
    """The log does not hold what it once held (broken chain, lost tail, undecodable commit)."""


class Stored(NamedTuple):
    """One message of the log as it lies there. `digest` is what its header claims, or empty."""

    sequence: int
    subject: str
    digest: str
    payload: bytes


class EventLog(Protocol):
    async def append(self, commit: Commit, *, expected: int) -> Recorded:
        """Make the commit durable after the session's commit at sequence `expected` (0: none).

        Appending the same commit once more is harmless: it gives the first record or `Conflict`.
        Raises `Conflict` if another commit came between, `CommitRefused` if this one can never be
        stored, `LogFull`, and `LogUnavailable` without an answer.
        """
        ...

    def read(
        self, session_id: str, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        """The session's commits with `after < sequence <= up_to`, oldest first. Nothing for an id
        that no session can have."""
        ...

    def read_all(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        """All commits with `after < sequence <= up_to` that exist now, oldest first."""
        ...

    def stored(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[list[Stored], None]:
        """As `read_all`, undecoded and unchecked, in batches: for verification and export."""
        ...

    def subscribe(self, *, after: int) -> AsyncGenerator[list[Recorded], None]:
        """All commits after a sequence, for ever, in order and without a gap, in batches of at
        least one. Survives reconnections. Raises `LogDamaged` if `after` is beyond the log's end.
        """
        ...

    async def last_sequence(self) -> int:
        """Of the whole log; 0 if it is empty."""
        ...

    async def get(self, sequence: int) -> Recorded | None: ...

    async def nodes(self) -> list[str]:
        """What to `read` for the commits of each media node there ever was, in no order."""
        ...

    async def close(self) -> None: ...


def open_stored(stored: Stored) -> Recorded:
    """Check and decode one message. Raises `LogDamaged`."""
    found = digest(stored.payload)
    if found != stored.digest:
        raise LogDamaged(
            f"The commit at sequence {stored.sequence} ({stored.subject}) is not the one that "
            f"was written: its digest is {found}, its header says {stored.digest or 'nothing'}."
        )
    try:
        commit = decode(stored.payload)
    except msgspec.DecodeError as error:
        raise LogDamaged(
            f"The message at sequence {stored.sequence} ({stored.subject}) is no commit this "
            f"version can read: {error}"
        ) from error
    if subject(commit.session_id) != stored.subject:
        raise LogDamaged(
            f"The commit at sequence {stored.sequence} is of session {commit.session_id} but was "
            f"stored under {stored.subject}."
        )
    return Recorded(stored.sequence, commit, found)


def seal(commit: Commit, payload: bytes, *, limit: int = MAX_COMMIT) -> str:
    """The digest of an encoded commit about to be stored.

    Raises `CommitRefused` if readers could not take it, or would take it for something else: one
    such commit would stop them all, or make a replay differ from what was decided.
    """
    if len(payload) > limit:
        raise CommitRefused(
            f"The commit of {commit.session_id} has {len(payload)} bytes, the log takes {limit}."
        )
    try:
        same = decode(payload) == commit
    except msgspec.DecodeError as error:
        raise CommitRefused(
            f"The commit of {commit.session_id} could not be read back: {error}"
        ) from error
    if not same:
        raise CommitRefused(
            f"The commit of {commit.session_id} would be read back as another: some value has "
            "not its declared type."
        )
    return digest(payload)
