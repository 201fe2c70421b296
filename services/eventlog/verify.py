"""Is the log what was written, whole and unchanged? Answers with the first bad commit."""

from __future__ import annotations

from contextlib import aclosing

from msgspec import Struct

from services.conference.ids import SESSION_ID

from .commit import GENESIS, Recorded
from .log import EventLog, LogDamaged, Stored, open_stored


class Damage(Struct, frozen=True):
    """`subject` is where the bad commit lies, such as `log.session.<id>`, or empty if it is
    missing."""

    sequence: int
    subject: str
    message: str


class Verification(Struct, frozen=True):
    """`commits` and `sessions` count what was found good, before `first_bad` if there is one.
    Commits of media nodes are counted, but of no session."""

    commits: int
    sessions: int
    first_bad: Damage | None = None

    @property
    def good(self) -> bool:
        return self.first_bad is None


async def verify(log: EventLog, *, up_to: int | None = None) -> Verification:
    """Read the log from its beginning and check every commit.

    Checked: nothing is missing, bytes are those that were written, each can be decoded, and within
    a session versions count from 1, times do not go back and the hash chain holds. A chain cannot
    show that its end was cut off: compare the last sequence with what you know of it.

    Holds about 200 bytes for each session.
    """
    checker = _Checker()
    async with aclosing(log.stored(up_to=up_to)) as batches:
        try:
            async for batch in batches:
                for stored in batch:
                    if damage := checker.check(stored):
                        return checker.result(damage)
        except LogDamaged as error:
            return checker.result(Damage(checker.sequence + 1, "", str(error)))
    return checker.result(None)


class _Last(Struct):
    version: int = 0
    digest: str = GENESIS
    time: int = 0


class _Checker:
    def __init__(self) -> None:
        self.sequence = 0
        self._sessions: dict[str, _Last] = {}

    def result(self, damage: Damage | None) -> Verification:
        sessions = sum(SESSION_ID.fullmatch(known) is not None for known in self._sessions)
        return Verification(self.sequence, sessions, damage)

    def check(self, stored: Stored) -> Damage | None:
        if stored.sequence != self.sequence + 1:
            return Damage(
                self.sequence + 1,
                "",
                f"The commits from {self.sequence + 1} to {stored.sequence - 1} are missing.",
            )
        try:
            recorded = open_stored(stored)
        except LogDamaged as error:
            return Damage(stored.sequence, stored.subject, str(error))
        session_id = recorded.commit.session_id
        last = self._sessions.get(session_id) or _Last()
        if message := _breaks(recorded, last):
            return Damage(stored.sequence, stored.subject, message)
        last.version = recorded.commit.version
        last.digest = recorded.digest
        last.time = recorded.commit.time
        self._sessions[session_id] = last
        self.sequence = stored.sequence
        return None


def _breaks(recorded: Recorded, last: _Last) -> str:
    commit = recorded.commit
    if commit.version != last.version + 1:
        return f"Version {commit.version} of {commit.session_id} follows version {last.version}."
    if commit.previous != last.digest:
        return (
            f"Version {commit.version} of {commit.session_id} was written after another version "
            f"{last.version} than the one in the log."
        )
    if commit.time < last.time:
        return f"Version {commit.version} of {commit.session_id} is older than its predecessor."
    return ""
