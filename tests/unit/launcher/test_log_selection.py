"""`tertulia log --from --to --session`."""

from __future__ import annotations

import pytest

from services.conference.commands import CloseSession
from services.conference.model import Reason
from services.eventlog.commit import Actor, ActorKind, Commit
from services.eventlog.memory import MemoryLog
from services.launcher.history import Moment, select

HOUR = 3_600_000  # ms
NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z


async def _log() -> MemoryLog:
    """Commits 1 to 4 at noon, one, two and three o'clock, of the sessions a, b, a, b."""
    log = MemoryLog()
    last: dict[str, tuple[int, int, str]] = {}
    for number, session_id in enumerate(["a", "b", "a", "b"]):
        sequence, version, digest = last.get(session_id, (0, 0, ""))
        commit = Commit(
            id=f"command-{number}",
            session_id=session_id,
            version=version + 1,
            time=NOON + number * HOUR,
            actor=Actor(ActorKind.REST),
            command=CloseSession(Reason.SESSION_CLOSED_BY_SERVER),
            events=(),
            previous=digest,
        )
        recorded = await log.append(commit, expected=sequence)
        last[session_id] = (recorded.sequence, commit.version, recorded.digest)
    return log


@pytest.mark.parametrize(
    ("session", "first", "last", "sequences"),
    [
        (None, None, None, [1, 2, 3, 4]),
        ("a", None, None, [1, 3]),
        ("nobody", None, None, []),
        (None, "2", "3", [2, 3]),
        (None, "0", None, [1, 2, 3, 4]),
        (None, "3", "2", []),
        ("b", "3", None, [4]),
        (None, "2026-01-31T13:00", None, [2, 3, 4]),
        (None, "2026-01-31T13:00:00.001", None, [3, 4]),
        (None, None, "2026-01-31T14:00:00Z", [1, 2, 3]),
        (None, "2026-01-31T14:00+01:00", "2", [2]),
        (None, "2026-01-31", "2026-02-01", [1, 2, 3, 4]),
    ],
)
async def test_commits_are_chosen_by_session_sequence_and_time(
    session: str | None, first: str | None, last: str | None, sequences: list[int]
) -> None:
    log = await _log()
    start, end = Moment(first) if first else None, Moment(last) if last else None
    assert [found.sequence async for found in select(log, session, start, end)] == sequences


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1.5", "12:00"])
def test_what_is_neither_sequence_nor_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Moment(text)
