"""What the handlers need, handed to each `routes(api)`."""

from __future__ import annotations

from random import Random
from secrets import SystemRandom
from typing import Any

from litestar import HttpMethod, Request
from msgspec import Struct

from services.api.commands import Commands
from services.api.feed import Feed
from services.api.nodes import Nodes
from services.api.registry import Registry
from services.api.restarting import Restarting
from services.api.views import Views
from services.conference.commands import Command
from services.conference.ids import RandomSource
from services.eventlog.bus import CommandBus, Outcome
from services.settings import Settings

from .idempotency import Drawn, check_same, command_id, key_of
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

    def source(self, request: HttpRequest, session_id: str = "") -> RandomSource:
        """For the ids that a POST makes, in `session_id` if it is there already."""
        key = key_of(request.scope["headers"])
        if key is None:
            return self.rng
        purpose = f"{_operation(request)} {session_id} {key}"
        return Drawn(self.settings.access.secret, purpose)

    async def execute(self, request: HttpRequest, session_id: str, command: Command) -> Outcome:
        """Done and visible. The request's `traceparent`, if it is one, goes into the log. A POST
        with an `Idempotency-Key` that was used gives the first outcome; raises `ApiError` 422 if
        that was of another command."""
        headers = request.scope["headers"]
        key = key_of(headers) if request.method == HttpMethod.POST else None
        outcome = await self.commands.execute(
            session_id,
            command,
            command_id=None if key is None else command_id(_operation(request), key),
            traceparent=traceparent(headers),
        )
        if key is not None and outcome.recorded is not None:
            check_same(outcome.recorded.commit.command, command)
        return outcome

    async def repeats(self, request: HttpRequest, session_id: str) -> bool:
        """Was the request's `Idempotency-Key` used here before? Then `execute` at once: checks
        that held at that time need not hold now."""
        key = key_of(request.scope["headers"])
        if key is None:
            return False
        return await self.bus.knows(session_id, command_id(_operation(request), key))


def _operation(request: HttpRequest) -> str:
    return str(request.route_handler.operation_id)
