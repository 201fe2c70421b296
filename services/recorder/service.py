"""Follows the log and keeps one recorder for each recording that is not finished.

The position kept on disk says up to which commit the folders reflect the log. After an outage the
recorder first takes every recording that changed since, or that its folder shows unfinished, in
its present state; then it follows the log commit by commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client

from services.conference.events import (
    RecordingDeleted,
    RecordingFailed,
    RecordingReady,
    RecordingRequested,
    RecordingStarted,
    RecordingStopped,
)
from services.conference.evolve import evolve_all
from services.conference.model import OutputMode, RecordingStatus
from services.conference.state import EMPTY, Recording, Session, State
from services.eventlog.bus import CommandBus
from services.eventlog.follower import Step, follow
from services.eventlog.log import EventLog

from .individual import IndividualRecording, Reporter
from .store import Store, UnsafeName, explain
from .taps import Taps

POSITION_INTERVAL = 1000  # commits after which the position is kept though nothing was recorded
DISCARD_TIMEOUT = 15.0  # seconds for a deleted recording to let go of its files

_RECORDING_EVENTS = (
    RecordingRequested,
    RecordingStarted,
    RecordingStopped,
    RecordingReady,
    RecordingFailed,
    RecordingDeleted,
)
_FINISHED = (RecordingStatus.READY, RecordingStatus.FAILED)

log = structlog.get_logger(__name__)


class _Running(msgspec.Struct):
    recorder: IndividualRecording
    task: asyncio.Task[None] | None = None


class RecorderService:
    """`host` is the address on which media nodes reach us."""

    def __init__(
        self, event_log: EventLog, bus: CommandBus, client: Client, store: Store, *, host: str
    ) -> None:
        self._log = event_log
        self._reporter = Reporter(bus)
        self._taps = Taps(client)
        self._store = store
        self._host = host
        self._running: dict[str, dict[str, _Running]] = {}  # by session id, by recording id
        self._unreflected: dict[str, int] = {}  # by recording id: sequences no folder shows
        self._kept = 0

    async def run(self) -> None:
        """For ever. When it is cancelled, the files are closed and the recordings can go on."""
        head = await self._log.last_sequence()
        async with asyncio.TaskGroup() as group:
            await self._catch_up(group, head)
            async with aclosing(follow(self._log, after=head)) as batches:
                async for steps in batches:
                    recorded = False
                    for step in steps:
                        recorded |= await self._step(group, step)
                    sequence = steps[-1].recorded.sequence
                    if recorded or sequence - self._kept >= POSITION_INTERVAL:
                        await self._keep_position(sequence)

    async def _catch_up(self, group: asyncio.TaskGroup, head: int) -> None:
        position = await asyncio.to_thread(self._store.position)
        if position > head:
            log.warning("the log is shorter than what was recorded", position=position, head=head)
            position = 0
        touched: set[str] = set()
        deleted: list[tuple[str, str]] = []  # session id, recording id
        async for recorded in self._log.read_all(after=position, up_to=head):
            for event in recorded.commit.events:
                if isinstance(event, _RECORDING_EVENTS):
                    touched.add(recorded.commit.session_id)
                if isinstance(event, RecordingDeleted):
                    deleted.append((recorded.commit.session_id, event.recording_id))
        for entity in await asyncio.to_thread(self._store.entities):
            if entity.status not in _FINISHED:
                touched.add(entity.session_id)
        states = {session_id: await self._state(session_id, head) for session_id in touched}
        for session_id, recording_id in deleted:
            recording = states[session_id].recordings.get(recording_id)
            if recording is None or not await asyncio.to_thread(self._store.holds, recording):
                await self._delete(session_id, recording_id)
        for state in states.values():
            for recording in state.recordings.values():
                if recording.status not in _FINISHED or await asyncio.to_thread(
                    self._store.holds, recording
                ):
                    await self._take(group, recording, state.session, head)
        await self._keep_position(head)

    async def _state(self, session_id: str, head: int) -> State:
        state = EMPTY
        async for recorded in self._log.read(session_id, up_to=head):
            state = evolve_all(state, recorded.commit.events)
        return state

    async def _step(self, group: asyncio.TaskGroup, step: Step) -> bool:
        """Whether a recording changed."""
        session_id = step.session_id
        before, after = step.before.recordings, step.after.recordings
        for recording_id, recording in before.items():
            left = after.get(recording_id)
            if left is None or left.created_at != recording.created_at:
                await self._delete(session_id, recording_id)
        for recording_id, recording in after.items():
            known = before.get(recording_id)
            if known is not recording and known != recording:
                await self._take(group, recording, step.after.session, step.recorded.sequence)
        for recording_id, running in self._running.get(session_id, {}).items():
            if (current := after.get(recording_id)) is not None:
                running.recorder.update(current, step.after.session)
        return before is not after

    async def _take(
        self,
        group: asyncio.TaskGroup,
        recording: Recording,
        session: Session | None,
        sequence: int,
    ) -> None:
        """A recording is new or changed: show it in its folder and do what is to be done."""
        if recording.id in self._running.get(recording.session_id, {}):
            await self._show(recording)
            return  # it is updated with the session
        problem = await self._show(recording)
        if recording.status in _FINISHED:
            return
        if problem is not None:
            self._unreflected[recording.id] = sequence
            self._spawn(group, recording, partial(self._reporter.failed, recording, problem))
        elif recording.properties.output_mode is not OutputMode.INDIVIDUAL:
            message = f"Output mode {recording.properties.output_mode} cannot be recorded here."
            self._spawn(group, recording, partial(self._reporter.failed, recording, message))
        else:
            recorder = IndividualRecording(
                recording,
                session,
                folder=self._store.folder(recording.id),
                taps=self._taps,
                reporter=self._reporter,
                host=self._host,
            )
            running = _Running(recorder)
            self._running.setdefault(recording.session_id, {})[recording.id] = running
            running.task = self._spawn(group, recording, recorder.run, running)

    async def _show(self, recording: Recording) -> str | None:
        """Write the entity file; what went wrong, if it did."""
        try:
            await asyncio.to_thread(self._store.write_entity, recording)
        except (OSError, UnsafeName) as error:
            problem = explain(error)
            log.error("entity file not written", recording=recording.id, reason=problem)
            return problem
        return None

    def _spawn(
        self,
        group: asyncio.TaskGroup,
        recording: Recording,
        work: Callable[[], Coroutine[Any, Any, None]],
        running: _Running | None = None,
    ) -> asyncio.Task[None]:
        """One recording may break, the others go on."""

        async def guarded() -> None:
            try:
                await work()
            except Exception:
                log.exception("recording broke", recording=recording.id)
                await self._reporter.failed(recording, "Internal error of the recorder.")
            finally:
                self._forget(recording, running)
            self._unreflected.pop(recording.id, None)

        return group.create_task(guarded())

    def _forget(self, recording: Recording, running: _Running | None) -> None:
        of_session = self._running.get(recording.session_id, {})
        if running is not None and of_session.get(recording.id) is running:
            del of_session[recording.id]
            if not of_session:
                del self._running[recording.session_id]

    async def _delete(self, session_id: str, recording_id: str) -> None:
        running = self._running.get(session_id, {}).get(recording_id)
        if running is not None and running.task is not None:
            running.recorder.discard()
            _, pending = await asyncio.wait({running.task}, timeout=DISCARD_TIMEOUT)
            for task in pending:
                task.cancel()
                await asyncio.wait({task}, timeout=DISCARD_TIMEOUT)
        try:
            await asyncio.to_thread(self._store.delete, recording_id)
        except (OSError, UnsafeName) as error:
            log.error("recording not deleted", recording=recording_id, reason=explain(error))

    async def _keep_position(self, sequence: int) -> None:
        """After a crash everything from here on is looked at again."""
        self._kept = sequence
        reflected = min([sequence, *(held - 1 for held in self._unreflected.values())])
        try:
            await asyncio.to_thread(self._store.keep_position, reflected)
        except OSError as error:
            log.error("position not kept", reason=explain(error))
