from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from services.conference.commands import SendSignal
from services.conference.events import SignalSent
from services.eventlog.commit import Actor, ActorKind, Commit, Recorded
from services.eventlog.log import EventLog
from services.eventlog.memory import MemoryLog


@dataclass
class Author:
    """Writes one session's commits as the command bus would, one after another."""

    session_id: str = "ses_A"
    sequence: int = 0
    version: int = 0
    previous: str = ""
    written: list[Recorded] = field(default_factory=list)

    def commit(self, data: str = "") -> Commit:
        """The session's next commit."""
        return Commit(
            id=uuid4().hex,
            session_id=self.session_id,
            version=self.version + 1,
            time=1_700_000_000_000 + self.version,
            actor=Actor(ActorKind.REST),
            command=SendSignal(data=data),
            events=(SignalSent(to=("con_A",), at=1, data=data),),
            previous=self.previous,
        )

    def wrote(self, recorded: Recorded) -> Recorded:
        self.sequence = recorded.sequence
        self.version = recorded.commit.version
        self.previous = recorded.digest
        self.written.append(recorded)
        return recorded

    async def write(self, log: EventLog, data: str = "") -> Recorded:
        return self.wrote(await log.append(self.commit(data), expected=self.sequence))


@pytest.fixture
def author() -> type[Author]:
    return Author


@pytest.fixture(params=["memory", "jetstream"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryLog()
    chosen: EventLog = request.getfixturevalue("event_log")
    return chosen
