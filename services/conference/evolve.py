"""Fold events into state. Every event of the log can be folded, whatever commit it came with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import msgspec
from msgspec.structs import replace

from .events import (
    ConnectionCreated,
    ConnectionPropertyChanged,
    ConnectionRemoved,
    Event,
    MediaNodeAdmitted,
    MediaNodeStatusChanged,
    ParticipantJoined,
    ParticipantLeft,
    RecordingDeleted,
    RecordingFailed,
    RecordingReady,
    RecordingRequested,
    RecordingStarted,
    RecordingStopped,
    SessionAllocated,
    SessionCollected,
    SessionCreated,
    SessionDestroyed,
    SignalSent,
    StreamPropertyChanged,
    WebrtcConnectionCreated,
    WebrtcConnectionDestroyed,
)
from .ids import unique_session_id
from .model import Direction, MediaOptions, NodeStatus, Reason, RecordingStatus
from .state import (
    Connection,
    MediaNode,
    Node,
    Recording,
    Session,
    State,
    Stream,
    Subscription,
)


def evolve(state: State, event: Event) -> State:
    """The state after the event. What the event leaves alone is the same object as before."""
    return _FOLDS[type(event)](state, event)


def evolve_all(state: State, events: Iterable[Event]) -> State:
    return reduce(evolve, events, state)


def _open(state: State) -> Session:
    if state.session is None:
        raise ValueError("The event needs an open session: the log is not in order.")
    return state.session


def _with_session(state: State, **changes: Any) -> State:
    return replace(state, session=replace(_open(state), **changes))


def _with_connection(state: State, connection: Connection, **changes: Any) -> State:
    connections = {**_open(state).connections, connection.id: connection}
    return _with_session(state, connections=connections, **changes)


def _without_connection(state: State, connection_id: str, **changes: Any) -> State:
    connections = dict(_open(state).connections)
    del connections[connection_id]
    return _with_session(state, connections=connections, **changes)


def _with_recording(state: State, recording_id: str, **changes: Any) -> State:
    recording = replace(state.recordings[recording_id], **changes)
    return replace(state, recordings={**state.recordings, recording_id: recording})


def _session_created(state: State, event: SessionCreated) -> State:
    session = Session(id=event.session_id, created_at=event.at, properties=event.properties)
    return replace(state, session=session)


def _session_allocated(state: State, event: SessionAllocated) -> State:
    return _with_session(state, media_node=MediaNode(event.media_node_id, event.media_instance))


def _session_ended(state: State, _: SessionDestroyed | SessionCollected) -> State:
    return replace(state, session=None)


def _connection_created(state: State, event: ConnectionCreated) -> State:
    return _with_connection(
        state,
        Connection(
            id=event.connection_id,
            token=event.token,
            type=event.type,
            role=event.role,
            record=event.record,
            server_data=event.server_data,
            created_at=event.at,
            kurento_options=event.kurento_options,
            custom_ice_servers=event.custom_ice_servers,
        ),
    )


def _connection_removed(state: State, event: ConnectionRemoved) -> State:
    return _without_connection(state, event.connection_id)


def _connection_property_changed(state: State, event: ConnectionPropertyChanged) -> State:
    connection = _open(state).connections[event.connection_id]
    if event.role is not None:
        connection = replace(connection, role=event.role)
    if event.record is not None:
        connection = replace(connection, record=event.record)
    return _with_connection(state, connection)


def _participant_joined(state: State, event: ParticipantJoined) -> State:
    connection = replace(
        _open(state).connections[event.connection_id],
        active_at=event.at,
        platform=event.platform,
        client_data=event.client_data,
        ip=event.ip,
        location=event.location,
        rpc_digest=event.rpc_digest,
    )
    return _with_connection(state, connection, joined=True)


def _participant_left(state: State, event: ParticipantLeft) -> State:
    state = _without_connection(state, event.connection_id)
    session = _open(state)
    recording = state.active_recording
    if (
        session.empty_since is None  # else the countdown runs on: only a publication ends it
        and recording is not None
        and recording.status is RecordingStatus.STARTED
        and not any(connection.active for connection in session.connections.values())
    ):
        return _with_session(state, empty_since=event.at)
    return state


def _webrtc_connection_created(state: State, event: WebrtcConnectionCreated) -> State:
    connection = _open(state).connections[event.connection_id]
    if event.media is not None:
        stream = Stream(
            id=event.stream_id, created_at=event.at, published=event.media, current=event.media
        )
        return _with_connection(state, replace(connection, stream=stream), empty_since=None)
    publisher = _open(state).connections[event.receiving_from or ""]
    if publisher.stream is None:
        raise ValueError("The publisher publishes nothing: the log is not in order.")
    subscription = Subscription(event.stream_id, publisher.id, event.at, publisher.stream.published)
    subscriptions = {**connection.subscriptions, event.stream_id: subscription}
    return _with_connection(state, replace(connection, subscriptions=subscriptions))


def _webrtc_connection_destroyed(state: State, event: WebrtcConnectionDestroyed) -> State:
    connection = _open(state).connections[event.connection_id]
    if event.direction is Direction.OUTBOUND:
        return _with_connection(state, replace(connection, stream=None))
    subscriptions = dict(connection.subscriptions)
    del subscriptions[event.stream_id]
    return _with_connection(state, replace(connection, subscriptions=subscriptions))


def _stream_property_changed(state: State, event: StreamPropertyChanged) -> State:
    connection = _open(state).connections[event.connection_id]
    stream = connection.stream
    if stream is None:
        raise ValueError("The connection publishes nothing: the log is not in order.")
    current = _changed_media(stream.current, event)
    if current is stream.current:
        return state
    return _with_connection(state, replace(connection, stream=replace(stream, current=current)))


def _changed_media(media: MediaOptions, event: StreamPropertyChanged) -> MediaOptions:
    """Only what later joiners must know is kept, and only of the tracks the stream has."""
    if event.property == "audioActive" and media.has_audio:
        return replace(media, audio_active=event.value == "true")
    if event.property == "videoActive" and media.has_video:
        return replace(media, video_active=event.value == "true")
    if event.property == "videoDimensions" and media.has_video:
        return replace(media, video_dimensions=msgspec.json.decode(event.value, type=str))
    return media


def _signal_sent(state: State, _: SignalSent) -> State:
    return state


def _recording_requested(state: State, event: RecordingRequested) -> State:
    session = _open(state)
    recording = Recording(
        id=event.recording_id,
        session_id=session.id,
        unique_session_id=unique_session_id(session.id, session.created_at),
        properties=event.properties,
        created_at=event.at,
        status=RecordingStatus.STARTING,
    )
    return replace(state, recordings={**state.recordings, recording.id: recording})


def _recording_started(state: State, event: RecordingStarted) -> State:
    state = _with_recording(state, event.recording_id, status=RecordingStatus.STARTED)
    publishing = any(connection.stream for connection in _open(state).connections.values())
    return state if publishing else _with_session(state, empty_since=event.at)


def _recording_stopped(state: State, event: RecordingStopped) -> State:
    state = _with_recording(
        state, event.recording_id, status=RecordingStatus.STOPPED, reason=event.reason
    )
    session = _open(state)
    by_rest = event.reason is Reason.RECORDING_STOPPED_BY_SERVER
    return _with_session(state, empty_since=None, autostart_off=session.autostart_off or by_rest)


def _recording_ready(state: State, event: RecordingReady) -> State:
    return _with_recording(
        state,
        event.recording_id,
        status=RecordingStatus.READY,
        size=event.size,
        duration=event.duration,
    )


def _recording_failed(state: State, event: RecordingFailed) -> State:
    ended_countdown = state.recordings[event.recording_id].status is RecordingStatus.STARTED
    state = _with_recording(
        state, event.recording_id, status=RecordingStatus.FAILED, message=event.message
    )
    return _with_session(state, empty_since=None) if ended_countdown else state


def _recording_deleted(state: State, event: RecordingDeleted) -> State:
    recordings = dict(state.recordings)
    del recordings[event.recording_id]
    return replace(state, recordings=recordings)


def _media_node_admitted(state: State, event: MediaNodeAdmitted) -> State:
    node = Node(
        id=event.node_id,
        environment_id=event.environment_id,
        ip=event.ip,
        uri=event.uri,
        cluster_id=event.cluster_id,
        launched_at=event.at,
    )
    return replace(state, node=node)


def _media_node_status_changed(state: State, event: MediaNodeStatusChanged) -> State:
    node = state.node
    if node is None:
        raise ValueError("The event needs a media node: the log is not in order.")
    node = replace(node, status=event.status)
    match event.status:
        case NodeStatus.LAUNCHING:
            node = replace(node, removed=False)
        case NodeStatus.RUNNING:
            node = replace(node, removed=False, connected_at=node.connected_at or event.at)
        case NodeStatus.CANCELED | NodeStatus.WAITING_IDLE_TO_TERMINATE:
            node = replace(node, removed=True)
        case NodeStatus.TERMINATING:
            removed = node.removed or not event.crashed
            node = replace(node, removed=removed, crashed=event.crashed)
    return replace(state, node=node)


_FOLDS: dict[type, Callable[[State, Any], State]] = {
    SessionCreated: _session_created,
    SessionAllocated: _session_allocated,
    SessionDestroyed: _session_ended,
    SessionCollected: _session_ended,
    ConnectionCreated: _connection_created,
    ConnectionRemoved: _connection_removed,
    ConnectionPropertyChanged: _connection_property_changed,
    ParticipantJoined: _participant_joined,
    ParticipantLeft: _participant_left,
    WebrtcConnectionCreated: _webrtc_connection_created,
    WebrtcConnectionDestroyed: _webrtc_connection_destroyed,
    StreamPropertyChanged: _stream_property_changed,
    SignalSent: _signal_sent,
    RecordingRequested: _recording_requested,
    RecordingStarted: _recording_started,
    RecordingStopped: _recording_stopped,
    RecordingReady: _recording_ready,
    RecordingFailed: _recording_failed,
    RecordingDeleted: _recording_deleted,
    MediaNodeAdmitted: _media_node_admitted,
    MediaNodeStatusChanged: _media_node_status_changed,
}
