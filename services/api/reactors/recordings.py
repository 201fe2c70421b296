"""Recordings that start, stop or fail by themselves (`recording.md` 10, `events.md` 5.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog

from services.conference.commands import (
    AutostopRecording,
    ReportRecordingFailed,
    StartRecording,
)
from services.conference.ids import unique_session_id
from services.conference.model import (
    MediaMode,
    OutputMode,
    RecordingMode,
    RecordingOptions,
    RecordingStatus,
)
from services.conference.state import Recording, Session, State
from services.settings import Recording as Settings

from .action import Action

START_MS = 30_000  # a recorder that has said nothing by then is not there

log = structlog.get_logger(__name__)


class _Since(NamedTuple):
    recording_id: str
    at: int


class RecordingTimers:
    """The countdown runs from `Session.empty_since`; so it survives restarts."""

    def __init__(self, settings: Settings) -> None:
        self._enabled = settings.enabled
        self._timeout = settings.autostop_timeout * 1000
        self._starting: dict[str, _Since] = {}
        self._empty: dict[str, _Since] = {}
        self._triggers: dict[str, str] = {}  # the stream that starts a recording, by session

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        session, recording = after.session, after.active_recording
        for timers in (self._starting, self._empty):
            timers.pop(session_id, None)
        if recording is not None and recording.status is RecordingStatus.STARTING:
            self._starting[session_id] = _Since(recording.id, recording.created_at)
        elif recording is not None and session is not None and session.empty_since is not None:
            self._empty[session_id] = _Since(recording.id, session.empty_since)
        stream = self._trigger(before, after) or self._triggers.get(session_id)
        if stream is not None and session is not None and _waits(session, stream, recording):
            self._triggers[session_id] = stream
            return True
        self._triggers.pop(session_id, None)
        return session_id in self._empty and not self._timeout

    def _trigger(self, before: State | None, after: State) -> str | None:
        """The stream whose publication starts a recording by `recordingMode` ALWAYS: the first
        one while nobody published. At the start: one that the process before may have missed."""
        session = after.session
        if (
            not self._enabled
            or session is None
            or session.properties.recording_mode is not RecordingMode.ALWAYS
            or session.properties.media_mode is not MediaMode.ROUTED
        ):
            return None
        streams = _streams(session)
        if before is None:
            life = unique_session_id(session.id, session.created_at)
            if any(known.unique_session_id == life for known in after.recordings.values()):
                return None
        elif before.session is not None and _streams(before.session):
            return None
        if streams and not _supported(session):
            log.warning("only INDIVIDUAL recordings start by themselves", session=session.id)
            return None
        return streams[0] if streams else None

    def due(self, now: int) -> Iterator[Action]:
        for session_id, starting in self._starting.items():
            if now - starting.at >= START_MS:
                failed = ReportRecordingFailed(
                    starting.recording_id, "The recorder did not answer in time"
                )
                yield Action("recordingStart", session_id, failed, _is_starting)
        for session_id, empty in self._empty.items():
            if now - empty.at >= self._timeout:
                stop = AutostopRecording(empty.recording_id, immediate=not self._timeout)
                yield Action("autostop", session_id, stop, _counts_since(empty.at))
        for session_id, stream in self._triggers.items():
            start = StartRecording(RecordingOptions(), automatic=True)
            command_id = f"autostart-{stream}"
            yield Action("autostart", session_id, start, _is_not_recorded, command_id)


def _streams(session: Session) -> list[str]:
    return [c.stream.id for c in session.connections.values() if c.stream is not None]


def _waits(session: Session, stream: str, recording: Recording | None) -> bool:
    return recording is None and not session.autostart_off and stream in _streams(session)


def _supported(session: Session) -> bool:
    mode = session.properties.default_recording_properties.output_mode
    return mode is OutputMode.INDIVIDUAL


def _is_starting(state: State) -> bool:
    recording = state.active_recording
    return recording is not None and recording.status is RecordingStatus.STARTING


def _counts_since(at: int) -> Callable[[State], bool]:
    """Does the same countdown still run?"""
    return lambda state: state.session is not None and state.session.empty_since == at


def _is_not_recorded(state: State) -> bool:
    return state.active_recording is None
