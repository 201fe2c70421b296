"""Recordings: `rest-api.md`, "The Recording object"; statuses and order of checks of
`recording.md` sections 1 and 14."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.api.feed import Watch
from services.api.registry import Registry
from services.conference.commands import (
    DeleteRecording,
    ReportRecordingFailed,
    StartRecording,
    StopRecording,
)
from services.conference.decide import decide
from services.conference.decisions.recordings import resolve
from services.conference.errors import ConferenceError, RecordingNotFound, SessionNotFound
from services.conference.events import RecordingRequested
from services.conference.ids import session_of_recording
from services.conference.model import NodeStatus, OutputMode, RecordingOptions, RecordingStatus
from services.conference.state import Recording, Session, State
from services.conference.views import is_composed_video
from services.eventlog.bus import Outcome

from . import examples, replies, schemas
from .api import Api, HttpRequest
from .bodies import RecordedSession, RecordingStartBody, check_ranges
from .errors import ApiError
from .openapi import Empty, Plain, operation
from .parsing import fit, read
from .replies import Reply

TAGS = ["Recordings"]

_NO_RECORDING = "No recording exists for the passed id"
_OFF = "The recording module is off (OPENVIDU_RECORDING)"
_THIS = {"recording_id": "$response.body#/id"}
_FILE = {**_THIS, "name": "{$response.body#/name}.zip"}


def routes(api: Api) -> list[HTTPRouteHandler]:
    enabled = api.settings.recording.enabled

    async def unless_off(_: HttpRequest) -> Reply | None:
        return None if enabled else replies.empty(501)

    async def find(recording_id: str) -> Reply:
        found = await api.views.recording(recording_id)
        if found is None:
            raise RecordingNotFound(_NO_RECORDING)
        return replies.ok(found)

    async def drop(request: HttpRequest, recording_id: str) -> None:
        session_id = session_of_recording(recording_id)
        await api.execute(request, session_id, DeleteRecording(recording_id))

    async def options_for(
        request: HttpRequest, session_id: str, given: dict[str, Any]
    ) -> RecordingOptions:
        if await api.repeats(request, session_id):
            return fit(given, RecordingStartBody).options()
        session = _recordable(await api.bus.load(session_id))
        options = fit(given, RecordingStartBody).options()
        properties = resolve(options, session.properties.default_recording_properties)
        check_ranges(properties, 422)
        if is_composed_video(properties) and properties.media_node is not None:
            _check_recorder(api.registry, properties.media_node, session_id)
        if properties.output_mode is not OutputMode.INDIVIDUAL:
            raise ApiError(501, "This version records with outputMode INDIVIDUAL only")
        return options

    @post(
        "/recordings/start",
        operation_id="startRecording",
        summary="Start the recording of a session",
        description="What is not given comes from the `defaultRecordingProperties` of the session. "
        "The state of the session is judged before properties other than `session`.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The recording, started: its files exist and it can be stopped",
            schemas.Recording,
            takes=RecordingStartBody,
            examples=examples.START_RECORDING,
            fails={
                400: "Problem with some body parameter",
                404: Empty("No session exists for the passed session"),
                406: Empty("The session has no connected participants"),
                409: Empty("The session is not ROUTED, or is being recorded"),
                422: "resolution, frameRate or shmSize out of range, or neither audio nor video",
                500: Plain("The recording could not be started"),
                501: Empty(f"{_OFF}, or the output mode is not supported yet"),
            },
            links={"stopRecording": _THIS, "getRecording": _THIS, "deleteRecording": _THIS},
        ),
    )
    async def start(request: HttpRequest) -> Reply:
        given = await read(request)
        if not enabled:
            return replies.empty(501)
        session_id = fit(given, RecordedSession).session
        options = await options_for(request, session_id, given)
        with api.feed.watch(session_id) as watch:
            outcome = await api.execute(request, session_id, StartRecording(options))
            recording = await _started(api, watch, outcome)
        if isinstance(recording, str):
            return replies.text(f"Error starting recording: {recording}", 500)
        return replies.ok(api.views.render_recording(recording))

    @post(
        "/recordings/stop/{recording_id:str}",
        operation_id="stopRecording",
        summary="Stop the recording of a session",
        tags=TAGS,
        status_code=200,
        before_request=unless_off,
        operation_class=operation(
            "The recording, `stopped`; it is `ready` when its files are",
            schemas.Recording,
            fails={
                404: Empty("No active recording has the passed id"),
                406: Empty("It is still `starting`"),
                501: Empty(_OFF),
            },
            links={"getRecording": _THIS, "deleteRecording": _THIS, "downloadRecording": _FILE},
        ),
    )
    async def stop(request: HttpRequest, recording_id: str) -> Reply:
        session_id = session_of_recording(recording_id)
        outcome = await api.execute(request, session_id, StopRecording(recording_id))
        return replies.ok(api.views.render_recording(outcome.after.recordings[recording_id]))

    @get(
        "/recordings/{recording_id:str}",
        operation_id="getRecording",
        summary="Retrieve a recording",
        tags=TAGS,
        before_request=unless_off,
        operation_class=operation(
            "The recording",
            schemas.Recording,
            fails={404: Empty(_NO_RECORDING), 501: Empty(_OFF)},
        ),
    )
    async def retrieve(recording_id: str) -> Reply:
        return await find(recording_id)

    @get(
        "/recordings",
        operation_id="listRecordings",
        summary="Retrieve all recordings",
        tags=TAGS,
        before_request=unless_off,
        operation_class=operation("All recordings", schemas.Recordings, fails={501: Empty(_OFF)}),
    )
    async def retrieve_all() -> Reply:
        found = await api.views.recordings()
        return replies.ok({"count": len(found), "items": found})

    @delete(
        "/recordings/{recording_id:str}",
        operation_id="deleteRecording",
        summary="Delete a recording",
        tags=TAGS,
        status_code=204,
        before_request=unless_off,
        operation_class=operation(
            "The recording is gone, files and all",
            fails={
                404: Empty(_NO_RECORDING),
                409: Empty("It goes on: stop it first"),
                501: Empty(_OFF),
            },
        ),
    )
    async def remove(request: HttpRequest, recording_id: str) -> None:
        await drop(request, recording_id)

    def reserved(name: str) -> list[HTTPRouteHandler]:
        """A session may be called `start` or `stop`, and its recording is."""

        @get(
            f"/recordings/{name}",
            operation_id="getRecording",
            before_request=unless_off,
            include_in_schema=False,
        )
        async def retrieve_this() -> Reply:
            return await find(name)

        @delete(
            f"/recordings/{name}",
            operation_id="deleteRecording",
            status_code=204,
            before_request=unless_off,
            include_in_schema=False,
        )
        async def remove_this(request: HttpRequest) -> None:
            await drop(request, name)

        return [retrieve_this, remove_this]

    handlers = [start, stop, retrieve, retrieve_all, remove]
    return [*handlers, *reserved("start"), *reserved("stop")]


def _check_recorder(registry: Registry, node_id: str, session_id: str) -> None:
    """Can this media node record the session (`cluster.md` section 8)? Raises `ApiError`."""
    node = registry.find(node_id)
    if node is None:
        raise ApiError(400, "mediaNode must be the id of a media node that exists")
    drains = node.status is NodeStatus.WAITING_IDLE_TO_TERMINATE
    hosts_it = session_id in registry.sessions(node_id)
    if node.status is not NodeStatus.RUNNING and not (drains and hosts_it):
        raise ApiError(503, f"The media node is {node.status}")


def _recordable(state: State) -> Session:
    """The session, if it could be recorded now: its state is judged before the other properties.

    What cannot be wrong is decided for a trial.
    """
    if state.session is None:
        raise SessionNotFound("The session does not exist")
    decide(state, StartRecording(RecordingOptions(has_audio=True)), at=0)
    return state.session


async def _started(api: Api, watch: Watch, outcome: Outcome) -> Recording | str:
    """Wait for the recorder; the recording once it runs, else why it does not."""
    requested = next(e for e in outcome.events if isinstance(e, RecordingRequested))
    state = outcome.after
    if outcome.repeated:
        state = await api.bus.load(session_of_recording(requested.recording_id))
    sequence = outcome.recorded.sequence if outcome.recorded else 0
    try:
        async with asyncio.timeout(api.recording_start_seconds):
            while _is_starting(state, requested.recording_id):
                step = await watch.next()
                if step.recorded.sequence > sequence:
                    state = step.after
    except TimeoutError:
        state = await _give_up(api, requested.recording_id)
    recording = state.recordings.get(requested.recording_id)
    if recording is None:
        return "it was deleted"
    if recording.status is RecordingStatus.FAILED:
        return recording.message or "it failed"
    return recording


def _is_starting(state: State, recording_id: str) -> bool:
    recording = state.recordings.get(recording_id)
    return recording is not None and recording.status is RecordingStatus.STARTING


async def _give_up(api: Api, recording_id: str) -> State:
    """The state after the recording was reported as failed, or started after all."""
    session_id = session_of_recording(recording_id)
    command = ReportRecordingFailed(recording_id, "The recorder did not answer in time")
    state = await api.bus.load(session_id)
    if _is_starting(state, recording_id):
        try:
            state = (await api.commands.execute(session_id, command)).after
        except ConferenceError:
            state = await api.bus.load(session_id)
    return state
