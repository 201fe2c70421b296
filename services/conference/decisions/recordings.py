"""Recordings: asked for, reported by the recorder, stopped and deleted."""

from __future__ import annotations

from itertools import count

from msgspec.structs import replace

from services.conference.commands import (
    AutostopRecording,
    DeleteRecording,
    ReportRecordingFailed,
    ReportRecordingReady,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
)
from services.conference.errors import (
    NoParticipants,
    NothingToRecord,
    NotRouted,
    RecordingInProgress,
    RecordingNotFound,
    RecordingStarting,
)
from services.conference.events import (
    RecordingDeleted,
    RecordingFailed,
    RecordingReady,
    RecordingRequested,
    RecordingStarted,
    RecordingStopped,
)
from services.conference.model import (
    MediaMode,
    OutputMode,
    Reason,
    RecordingMode,
    RecordingOptions,
    RecordingProperties,
    RecordingStatus,
)
from services.conference.state import Recording, Session, State

from .draft import Draft, active_connections, end_session_if_deserted, require_reason

STOPPING = frozenset(
    {
        Reason.LAST_PARTICIPANT_LEFT,
        Reason.RECORDING_STOPPED_BY_SERVER,
        Reason.SESSION_CLOSED_BY_SERVER,
        Reason.MEDIA_SERVER_DISCONNECT,
        Reason.MEDIA_SERVER_RECONNECT,
        Reason.NODE_CRASHED,
        Reason.OPENVIDU_SERVER_STOPPED,
        Reason.AUTOMATIC_STOP,
    }
)
ACTIVE = frozenset({RecordingStatus.STARTING, RecordingStatus.STARTED})


def start(draft: Draft, command: StartRecording) -> None:
    """Checked in the order of `recording.md` section 1. An automatic start that has lost its
    cause is no refusal, there is just nothing to do (10.1)."""
    session = draft.session
    if command.automatic and not _automatic_start_due(draft.state, session):
        return
    if session.properties.media_mode is not MediaMode.ROUTED:
        raise NotRouted("The media mode of the session is not ROUTED.")
    if draft.state.active_recording is not None:
        raise RecordingInProgress("The session is being recorded.")
    if not active_connections(session):
        raise NoParticipants("Nobody is connected to the session.")
    properties = resolve(command.options, session.properties.default_recording_properties)
    if not (properties.has_audio or properties.has_video):
        raise NothingToRecord("A recording has audio or video.")
    draft.add(
        RecordingRequested(
            recording_id=_free_id(session.id, draft.state.recordings),
            properties=properties,
            at=draft.at,
            automatic=command.automatic,
        )
    )


def report_started(draft: Draft, command: ReportRecordingStarted) -> None:
    recording = _recording(draft.state, command.recording_id)
    if recording.status is RecordingStatus.STARTING:
        draft.add(RecordingStarted(recording.id, draft.at))
    elif recording.status is not RecordingStatus.STARTED:
        raise RecordingNotFound(f"Recording {recording.id} is {recording.status}.")


def stop(draft: Draft, command: StopRecording) -> None:
    """With nobody connected it ends the session too (`events.md` 5.7)."""
    require_reason(command.reason, STOPPING)
    recording = _recording(draft.state, command.recording_id)
    if recording.status is RecordingStatus.STARTING:
        raise RecordingStarting(f"Recording {recording.id} is still starting.")
    if recording.status is not RecordingStatus.STARTED:
        raise RecordingNotFound(f"Recording {recording.id} is not running.")
    draft.add(RecordingStopped(recording.id, command.reason, draft.at))
    end_session_if_deserted(draft, command.reason)


def autostop(draft: Draft, command: AutostopRecording) -> None:
    recording = _recording(draft.state, command.recording_id)
    if recording.status not in ACTIVE:
        raise RecordingNotFound(f"Recording {recording.id} is not running.")
    session = draft.session
    if session.empty_since is None:  # somebody published, or the recording is still starting
        return
    deserted = not active_connections(session)
    last_left = command.immediate and deserted
    reason = Reason.LAST_PARTICIPANT_LEFT if last_left else Reason.AUTOMATIC_STOP
    draft.add(RecordingStopped(recording.id, reason, draft.at))
    end_session_if_deserted(draft, reason)


def report_ready(draft: Draft, command: ReportRecordingReady) -> None:
    recording = _recording(draft.state, command.recording_id)
    if recording.status in ACTIVE:
        raise RecordingInProgress(f"Recording {recording.id} has not been stopped.")
    if recording.status is RecordingStatus.FAILED:
        raise RecordingNotFound(f"Recording {recording.id} has failed.")
    if recording.status is RecordingStatus.STOPPED:
        draft.add(RecordingReady(recording.id, command.size, command.duration, draft.at))


def report_failed(draft: Draft, command: ReportRecordingFailed) -> None:
    """While it was starting, running or being processed. Whoever is recorded stays connected."""
    recording = _recording(draft.state, command.recording_id)
    if recording.status is RecordingStatus.READY:
        raise RecordingNotFound(f"Recording {recording.id} is ready.")
    if recording.status is RecordingStatus.FAILED:
        return
    draft.add(RecordingFailed(recording.id, command.message, draft.at))
    if recording.status in ACTIVE:
        end_session_if_deserted(draft, Reason.LAST_PARTICIPANT_LEFT)


def delete(draft: Draft, command: DeleteRecording) -> None:
    recording = _recording(draft.state, command.recording_id)
    if recording.status in ACTIVE:
        raise RecordingInProgress(f"Recording {recording.id} has not been stopped.")
    draft.add(RecordingDeleted(recording.id, draft.at))


def resolve(options: RecordingOptions, defaults: RecordingProperties) -> RecordingProperties:
    """What was asked for over the session's defaults, which also limit the output mode."""
    mode = _output_mode(options.output_mode, defaults.output_mode)
    return replace(overlay(options, defaults), output_mode=mode)


def overlay(options: RecordingOptions, defaults: RecordingProperties) -> RecordingProperties:
    """What was given over defaults; an empty name is none."""

    def given(name: str) -> object:
        value = getattr(options, name)
        return getattr(defaults, name) if value is None else value

    values = {name: given(name) for name in RecordingProperties.__struct_fields__}
    values["name"] = options.name or defaults.name
    return RecordingProperties(**values)  # type: ignore[arg-type]


def _output_mode(asked: OutputMode | None, default: OutputMode) -> OutputMode:
    """A composed recording starts quickly if the session was made for it, else it cannot."""
    if asked is None or asked is OutputMode.INDIVIDUAL:
        return asked or default
    if default is OutputMode.COMPOSED_QUICK_START:
        return default
    return OutputMode.COMPOSED


def _automatic_start_due(state: State, session: Session) -> bool:
    return (
        session.properties.recording_mode is RecordingMode.ALWAYS
        and session.properties.media_mode is MediaMode.ROUTED
        and not session.autostart_off
        and state.active_recording is None
        and any(connection.stream for connection in session.connections.values())
    )


def _free_id(session_id: str, taken: dict[str, Recording]) -> str:
    if session_id not in taken:
        return session_id
    return next(name for n in count(1) if (name := f"{session_id}~{n}") not in taken)


def _recording(state: State, recording_id: str) -> Recording:
    recording = state.recordings.get(recording_id)
    if recording is None:
        raise RecordingNotFound(f"There is no recording {recording_id}.")
    return recording
