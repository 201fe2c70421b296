"""What the handlers need, handed to each `routes(api)`."""

from __future__ import annotations

from random import Random
from secrets import SystemRandom
from typing import Any

from litestar import Request
from msgspec import Struct

from services.api.commands import Commands
from services.api.feed import Feed
from services.api.nodes import Nodes
from services.api.registry import Registry
from services.api.restarting import Restarting
from services.api.views import Views
from services.conference.commands import Command
from services.eventlog.bus import CommandBus, Outcome
from services.settings import Settings

from .tracing import traceparent

HttpRequest = Request[Any, Any, Any]


class Api(Struct, frozen=True):
    settings: Settings
    bus: CommandBus
    feed: Feed
    commands: Commands
    views: Views
    nodes: Nodes
    registry: Registry
    restarting: Restarting
    recording_start_seconds: float
    rng: Random = SystemRandom()

    async def execute(self, request: HttpRequest, session_id: str, command: Command) -> Outcome:
        """Done and visible. The request's `traceparent`, if it is one, goes into the log."""
        return await self.commands.execute(
            session_id,
            command,
            traceparent=traceparent(request.scope["headers"]),
        )
