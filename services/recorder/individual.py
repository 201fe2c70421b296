"""One INDIVIDUAL recording, from `starting` to its zip (`recording.md` 4, 6, 9).

What shall happen is told by `update`, from the log; what did happen is reported as a command, and
comes back as an event. So a recording taken up by a new process goes on as if nothing had been.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Event

import msgspec
import structlog

from services.conference.commands import (
    Command,
    ReportRecordingFailed,
    ReportRecordingReady,
    ReportRecordingStarted,
)
from services.conference.errors import ConferenceError
from services.conference.model import RecordingStatus
from services.conference.state import Recording, Session
from services.eventlog.bus import CommandBus, utc_ms
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.log import CommitRefused, LogError

from .archive import Cancelled, NoMedia, archive, recover
from .plan import plan_streams
from .store import explain
from .stream import StreamRecorder
from .taps import Taps

START_TIMEOUT = 10.0  # seconds for the awaited streams to yield media
REPORT_RETRY = 1.0
MAX_MESSAGE = 500

_ACTOR = Actor(ActorKind.SERVICE, "recorder")
_RUNNING = (RecordingStatus.STARTING, RecordingStatus.STARTED)

log = structlog.get_logger(__name__)


class Reporter:
    """Sends what became of recordings. A report has its effect once, however often it is made."""

    def __init__(self, bus: CommandBus) -> None:
        self._bus = bus

    async def started(self, recording: Recording) -> None:
        await self._report(recording, ReportRecordingStarted(recording.id))

    async def ready(self, recording: Recording, size: int, duration: float) -> None:
        await self._report(recording, ReportRecordingReady(recording.id, size, duration))

    async def failed(self, recording: Recording, message: str) -> None:
        log.warning("recording failed", recording=recording.id, reason=message)
        await self._report(recording, ReportRecordingFailed(recording.id, message[:MAX_MESSAGE]))

    async def _report(self, recording: Recording, command: Command) -> None:
        """Insists until the log has it, or the recording is not in a state to have it."""
        command_id = _command_id(recording, type(command).__name__)
        while True:
            try:
                await self._bus.execute(
                    recording.session_id, command, actor=_ACTOR, command_id=command_id
                )
            except ConferenceError as error:
                log.info(
                    "report has no effect",
                    recording=recording.id,
                    report=type(command).__name__,
                    reason=str(error),
                )
                return
            except CommitRefused:
                log.exception("report refused", recording=recording.id)
                return
            except LogError as error:
                log.warning("report must wait", recording=recording.id, reason=str(error))
                await asyncio.sleep(REPORT_RETRY)
            else:
                return


class IndividualRecording:
    def __init__(
        self,
        recording: Recording,
        session: Session | None,
        *,
        folder: Path,
        taps: Taps,
        reporter: Reporter,
        host: str,
    ) -> None:
        self._recording = recording
        self._plans = plan_streams(session, recording)
        self._folder = folder
        self._taps = taps
        self._reporter = reporter
        self._host = host
        self._changed = asyncio.Event()
        self._streams: dict[str, StreamRecorder] = {}  # the latest of each stream, by its id
        self._awaited: list[StreamRecorder] | None = None
        self._start_reported = False
        self._disk_failed = False
        self._discarded = Event()

    def update(self, recording: Recording, session: Session | None) -> None:
        """The latest state; `run` acts on it."""
        self._recording = recording
        self._plans = plan_streams(session, recording)
        self._changed.set()

    def discard(self) -> None:
        """The recording was deleted: give up whatever is going on with its files."""
        self._discarded.set()
        self._changed.set()

    async def run(self) -> None:
        """Returns when there is nothing left to do for the recording."""
        try:
            await self._recover()
            async with asyncio.TaskGroup() as group:
                await self._follow(group)
                for stream in self._streams.values():
                    stream.stop()
            await self._report_disk_error()
            if (
                self._recording.status is RecordingStatus.STOPPED
                and not self._disk_failed
                and not self._discarded.is_set()
            ):
                await self._conclude()
        finally:
            self._discarded.set()  # a thread may still be at the zip

    async def _recover(self) -> None:
        """What an earlier process left; a broken file need not keep the streams waiting."""
        try:
            await asyncio.to_thread(recover, self._folder)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning(
                "file cannot be repaired", recording=self._recording.id, reason=explain(error)
            )

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Keep the streams as planned until the recording is stopped or has failed."""
        loop = asyncio.get_running_loop()
        age = (utc_ms() - self._recording.created_at) / 1000
        deadline = loop.time() + min(max(START_TIMEOUT - age, 0.0), START_TIMEOUT)
        while self._recording.status in _RUNNING and not self._discarded.is_set():
            self._changed.clear()
            self._apply_plans(group)
            await self._report_disk_error()
            starting = self._recording.status is RecordingStatus.STARTING
            if starting and not self._start_reported:
                await self._report_start(late=loop.time() >= deadline)
            with suppress(TimeoutError):
                waiting = starting and not self._start_reported
                async with asyncio.timeout_at(deadline if waiting else None):
                    await self._changed.wait()

    def _apply_plans(self, group: asyncio.TaskGroup) -> None:
        for stream_id, plan in self._plans.items():
            known = self._streams.get(stream_id)
            if known is None or known.stopped:
                stream = StreamRecorder(
                    plan,
                    recording_id=self._recording.id,
                    folder=self._folder,
                    taps=self._taps,
                    host=self._host,
                    on_progress=self._changed.set,
                )
                self._streams[stream_id] = stream
                group.create_task(stream.run())
            else:
                known.plan = plan
        for stream_id, stream in self._streams.items():
            if stream_id not in self._plans:
                stream.stop()
        if self._awaited is None:
            self._awaited = [
                stream for stream in self._streams.values() if stream.plan.expects_media
            ]

    async def _report_disk_error(self) -> None:
        """All streams share the disk: what one cannot write makes the recording incomplete."""
        broken = next((stream for stream in self._streams.values() if stream.disk_error), None)
        if broken is not None and not self._disk_failed:
            self._disk_failed = self._start_reported = True
            await self._reporter.failed(self._recording, broken.error or "The disk failed.")

    async def _report_start(self, *, late: bool) -> None:
        """Section 9: report the start once its outcome is known."""
        ignoring = self._recording.properties.ignore_failed_streams
        awaited = [stream for stream in self._awaited or () if not stream.stopped]
        failures = [
            f"{stream.plan.stream_id}: {stream.error or 'no media'}"
            for stream in awaited
            if (stream.error is not None and not (ignoring and stream.created))
            or (late and not ignoring and not stream.has_file)
        ]
        if failures:
            self._start_reported = True
            await self._reporter.failed(self._recording, "; ".join(failures))
        elif late or all(stream.created if ignoring else stream.flowing for stream in awaited):
            self._start_reported = True
            await self._reporter.started(self._recording)

    async def _conclude(self) -> None:
        """The recording was stopped and all files are closed."""
        recording = self._recording
        try:
            archived = await asyncio.to_thread(
                archive, self._folder, recording, self._discarded.is_set
            )
        except Cancelled:
            return
        except (OSError, ValueError, msgspec.MsgspecError, NoMedia) as error:
            await self._reporter.failed(recording, explain(error))
        else:
            await self._reporter.ready(recording, archived.size, archived.duration)


def _command_id(recording: Recording, report: str) -> str:
    """The same for the same report of the same recording; ids of deleted ones are used again."""
    text = f"{report} {recording.id} {recording.created_at}"
    return f"recorder-{sha256(text.encode()).hexdigest()[:32]}"
