"""Asks the reactors what is due, and sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from services.conference.errors import ConferenceError
from services.conference.ids import aggregate_of_node
from services.conference.state import State
from services.eventlog.bus import CommandBus, utc_ms
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import Step
from services.eventlog.log import LogError

from .action import Action, Reactor

TICK = 0.5  # seconds between two looks
AT_ONCE = 16  # commands on their way
REST_MS = 2_000  # an action that is due yet is not sent again before

log = structlog.get_logger(__name__)


class Reactors:
    """A follower of the feed. `run` in a task group."""

    def __init__(
        self,
        bus: CommandBus,
        reactors: Iterable[Reactor],
        *,
        clock: Callable[[], int] = utc_ms,
        tick: float = TICK,
    ) -> None:
        self._bus = bus
        self._reactors = tuple(reactors)
        self._clock = clock
        self._tick = tick
        self._wake = asyncio.Event()
        self._resting: dict[tuple[str, str, str | None], int] = {}
        self._sending = asyncio.Semaphore(AT_ONCE)

    def adopt(self, states: Iterable[State]) -> None:
        for state in states:
            if state.session is not None:
                self._see(state.session.id, None, state)
            elif state.node is not None:
                self._see(aggregate_of_node(state.node.id), None, state)

    def dispatch(self, steps: list[Step]) -> None:
        for step in steps:
            self._see(step.session_id, step.before, step.after)

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            async with asyncio.TaskGroup() as tasks:
                for action in self._due(self._clock()):
                    tasks.create_task(self._send(action))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick):
                    await self._wake.wait()

    def _see(self, session_id: str, before: State | None, after: State) -> None:
        for reactor in self._reactors:
            try:
                if reactor.see(session_id, before, after):
                    self._wake.set()
            except Exception:
                log.exception("reactor failed", reactor=type(reactor).__name__)

    def _due(self, now: int) -> list[Action]:
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        actions: list[Action] = []
        for reactor in self._reactors:
            try:
                for action in reactor.due(now):
                    key = (action.timer, action.session_id, action.command_id)
                    if key not in self._resting:
                        self._resting[key] = now + REST_MS
                        actions.append(action)
            except Exception:
                log.exception("reactor failed", reactor=type(reactor).__name__)
        return actions

    async def _send(self, action: Action) -> None:
        session_id = action.session_id
        about = {"timer": action.timer, "session": session_id}
        async with self._sending:
            try:
                if not action.applies(await self._bus.load(session_id)):
                    return
                outcome = await self._bus.execute(
                    session_id,
                    action.command,
                    actor=Actor(ActorKind.TIMER, action.timer),
                    command_id=action.command_id,
                )
                if outcome.recorded is not None:
                    log.info("timer acted", **about)
            except ConferenceError as error:
                log.debug("timer refused", reason=str(error), **about)
            except LogError as error:
                log.warning("timer delayed", reason=str(error), **about)
            except Exception:
                log.exception("timer failed", **about)
