"""From a handler to the log: a command is done when answers show it."""

from __future__ import annotations

from contextlib import suppress

from services.conference.commands import Command
from services.conference.errors import ConferenceError
from services.eventlog.bus import CommandBus, Outcome
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.log import LogUnavailable

from .feed import Feed

VISIBLE_SECONDS = 5.0

REST = Actor(ActorKind.REST)


class NotVisible(LogUnavailable):
    """The command was done, but the projection lags behind: answers do not show it yet."""


class Commands:
    def __init__(self, bus: CommandBus, feed: Feed) -> None:
        self._bus = bus
        self._feed = feed

    async def execute(
        self,
        session_id: str,
        command: Command,
        *,
        actor: Actor = REST,
        command_id: str | None = None,
        traceparent: str | None = None,
    ) -> Outcome:
        """As `CommandBus.execute`, and then the projection has it too: whatever is read next
        shows the command, or what was the reason to refuse it or to do nothing. Raises
        `NotVisible` beside what the bus raises."""
        try:
            outcome = await self._bus.execute(
                session_id,
                command,
                actor=actor,
                command_id=command_id,
                traceparent=traceparent,
            )
        except ConferenceError:
            with suppress(TimeoutError):
                await self._feed.wait_for(self._bus.position(session_id), VISIBLE_SECONDS)
            raise
        recorded = outcome.recorded
        sequence = recorded.sequence if recorded else self._bus.position(session_id)
        try:
            await self._feed.wait_for(sequence, VISIBLE_SECONDS)
        except TimeoutError:
            raise NotVisible(
                "The command was done, but the database of the answers lags behind. "
                "Read before you repeat it."
            ) from None
        return outcome
