"""A log in memory and what happens in it."""

from __future__ import annotations

from typing import Any

import pytest

from services.conference.commands import (
    Command,
    CreateConnection,
    InitializeSession,
    JoinSession,
    PublishStream,
)
from services.conference.model import MediaOptions, SessionProperties
from services.conference.state import State
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import Step, replay
from services.eventlog.memory import MemoryLog


class Story:
    """Commands on a log, at times of its own."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.now = 1_000_000
        self.bus = CommandBus(self.log, clock=lambda: self.now)

    async def do(self, command: Command, session: str = "salon") -> State:
        self.now += 1
        outcome = await self.bus.execute(session, command, actor=Actor(ActorKind.SERVICE))
        return outcome.after

    async def open(self, session: str = "salon", **properties: Any) -> State:
        command = InitializeSession(session, SessionProperties(**properties))
        return await self.do(command, session)

    async def connect(self, name: str, session: str = "salon") -> State:
        return await self.do(CreateConnection(f"con_{name}", f"tok_{name}"), session)

    async def join(self, name: str, session: str = "salon", instance: str = "one") -> State:
        await self.connect(name, session)
        command = JoinSession(f"tok_{name}", "Chrome", "", "0" * 64, "media_1", instance)
        return await self.do(command, session)

    async def publish(self, name: str, session: str = "salon") -> State:
        media = MediaOptions(has_audio=True, has_video=False, audio_active=True)
        command = PublishStream(f"con_{name}", f"str_{name}", media, created_at=self.now)
        return await self.do(command, session)

    async def steps(self, after: int = 0) -> list[Step]:
        return [step async for batch in replay(self.log, after=after) for step in batch]


@pytest.fixture
def story() -> Story:
    return Story()
