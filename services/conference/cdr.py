"""The events that webhook subscribers and the CDR file get (`events.md` section 4).

Keys are in the order of the original server. The webhook adds `event` at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from . import events as e
from .evolve import evolve
from .ids import unique_session_id
from .model import Direction, NodeStatus, RecordingLayout
from .state import Connection, Node, Recording, Session, State
from .views import is_composed_video

Fields = dict[str, object]


class Record(NamedTuple):
    """One event: its name, and its fields without `event`."""

    name: str
    fields: Fields


def records(before: State, events: Sequence[e.Event]) -> list[Record]:
    """What a commit tells, in order; `before` is the state it was decided on."""
    told: list[Record] = []
    state = before
    for event in events:
        tell = _TELLERS.get(type(event))
        after = evolve(state, event)
        if tell is not None:
            told.extend(tell(state, after, event))
        state = after
    return told


def _elapsed(start: int, end: int) -> int:
    """Whole seconds; a clock set back must not give a negative duration."""
    return max(0, end - start) // 1000


def _head(session_id: str, created_at: int, timestamp: int) -> Fields:
    return {
        "sessionId": session_id,
        "uniqueSessionId": unique_session_id(session_id, created_at),
        "timestamp": timestamp,
    }


def _in_session(session: Session, timestamp: int) -> Fields:
    return _head(session.id, session.created_at, timestamp)


def _ended(start: int, end: int, reason: str) -> Fields:
    return {"startTime": start, "duration": _elapsed(start, end), "reason": reason}


def _session_created(_: State, after: State, event: e.SessionCreated) -> Iterable[Record]:
    yield Record("sessionCreated", _head(event.session_id, event.at, event.at))


def _session_destroyed(before: State, _: State, event: e.SessionDestroyed) -> Iterable[Record]:
    if before.session is not None:
        start = before.session.created_at
        fields = _in_session(before.session, event.at) | _ended(start, event.at, event.reason.value)
        yield Record("sessionDestroyed", fields)


def _person(connection: Connection) -> Fields:
    return {
        "participantId": connection.id,
        "connectionId": connection.id,
        "location": connection.location,
        "ip": connection.ip,
        "platform": connection.platform,
        "clientData": connection.client_data,
        "serverData": connection.server_data,
    }


def _participant_joined(_: State, after: State, event: e.ParticipantJoined) -> Iterable[Record]:
    if after.session is not None:
        person = _person(after.session.connections[event.connection_id])
        yield Record("participantJoined", _in_session(after.session, event.at) | person)


def _participant_left(before: State, _: State, event: e.ParticipantLeft) -> Iterable[Record]:
    if before.session is not None:
        connection = before.session.connections[event.connection_id]
        start = connection.active_at or event.at
        yield Record(
            "participantLeft",
            _in_session(before.session, event.at)
            | _ended(start, event.at, event.reason.value)
            | _person(connection),
        )


def _media(
    connection: Connection, stream_id: str, direction: Direction
) -> tuple[int, Fields] | None:
    """Start time and the fields both media events share; media values are those of publish time."""
    fields: Fields = {
        "streamId": stream_id,
        "participantId": connection.id,
        "connectionId": connection.id,
        "connection": direction.value,
    }
    if direction is Direction.INBOUND:
        subscription = connection.subscriptions.get(stream_id)
        if subscription is None:
            return None
        fields["receivingFrom"] = subscription.publisher_id
        started, published = subscription.created_at, subscription.published
    elif connection.stream is not None:
        started, published = connection.stream.created_at, connection.stream.published
    else:
        return None
    if published.has_video:
        source = published.type_of_video
        fields["videoSource"] = None if source is None else source.value
        fields["videoFramerate"] = published.frame_rate
        fields["videoDimensions"] = published.video_dimensions
    fields["audioEnabled"] = published.has_audio
    fields["videoEnabled"] = published.has_video
    return started, fields


def _webrtc_connection_created(
    _: State, after: State, event: e.WebrtcConnectionCreated
) -> Iterable[Record]:
    connection = after.session.connections.get(event.connection_id) if after.session else None
    if after.session is None or connection is None:
        return
    media = _media(connection, event.stream_id, event.direction)
    if media is not None:
        fields = media[1]
        yield Record("webrtcConnectionCreated", _in_session(after.session, event.at) | fields)


def _webrtc_connection_destroyed(
    before: State, _: State, event: e.WebrtcConnectionDestroyed
) -> Iterable[Record]:
    connection = before.session.connections.get(event.connection_id) if before.session else None
    if before.session is None or connection is None:
        return
    media = _media(connection, event.stream_id, event.direction)
    if media is not None:
        started, fields = media
        yield Record(
            "webrtcConnectionDestroyed",
            _in_session(before.session, event.at)
            | _ended(started, event.at, event.reason.value)
            | fields,
        )


def _signal_sent(before: State, _: State, event: e.SignalSent) -> Iterable[Record]:
    if before.session is not None:
        yield Record(
            "signalSent",
            _in_session(before.session, event.at)
            | {
                "from": event.sender,
                "to": list(event.to),
                "type": event.type,
                "data": event.data,
            },
        )


def _recording_changed(_: State, after: State, event: _RecordingEvent) -> Iterable[Record]:
    recording = after.recordings.get(event.recording_id)
    if recording is None:
        return
    # `started` tells when the recording was made, the others when they happened (4.7).
    started = isinstance(event, e.RecordingStarted)
    timestamp = recording.created_at if started else event.at
    yield Record("recordingStatusChanged", _recording(recording, timestamp))


def _recording(recording: Recording, timestamp: int) -> Fields:
    properties = recording.properties
    fields: Fields = {
        "sessionId": recording.session_id,
        "uniqueSessionId": recording.unique_session_id,
        "timestamp": timestamp,
        "startTime": recording.created_at,
        "duration": recording.duration,
    }
    if recording.reason is not None:
        fields["reason"] = recording.reason.value
    fields |= {
        "id": recording.id,
        "name": recording.name,
        "outputMode": properties.output_mode.value,
    }
    if is_composed_video(properties):
        fields["resolution"] = properties.resolution
        fields["frameRate"] = properties.frame_rate
        fields["recordingLayout"] = properties.recording_layout.value
        if properties.recording_layout is RecordingLayout.CUSTOM and properties.custom_layout:
            fields["customLayout"] = properties.custom_layout
        if properties.media_node is not None:
            fields["media_node_id"] = properties.media_node
    return fields | {
        "hasAudio": properties.has_audio,
        "hasVideo": properties.has_video,
        "size": recording.size,
        "status": recording.status.value,
    }


def _node_changed(before: State, after: State, event: _NodeEvent) -> Iterable[Record]:
    if after.node is not None:
        entered = isinstance(event, e.MediaNodeAdmitted)  # again, perhaps: that is another life
        old = before.node.status if before.node is not None and not entered else None
        yield Record("mediaNodeStatusChanged", _node(after.node, old, event.at))


def _node(node: Node, old: NodeStatus | None, timestamp: int) -> Fields:
    return {
        "timestamp": timestamp,
        "id": node.id,
        "environmentId": node.environment_id,
        "ip": node.ip,
        "uri": node.uri,
        "newStatus": node.status.value,
        "oldStatus": None if old is None else old.value,
        "clusterId": node.cluster_id,
    }


_NodeEvent = e.MediaNodeAdmitted | e.MediaNodeStatusChanged
_RecordingEvent = e.RecordingStarted | e.RecordingStopped | e.RecordingReady | e.RecordingFailed

_TELLERS: dict[type[Any], Callable[[State, State, Any], Iterable[Record]]] = {
    e.SessionCreated: _session_created,
    e.SessionDestroyed: _session_destroyed,
    e.ParticipantJoined: _participant_joined,
    e.ParticipantLeft: _participant_left,
    e.WebrtcConnectionCreated: _webrtc_connection_created,
    e.WebrtcConnectionDestroyed: _webrtc_connection_destroyed,
    e.SignalSent: _signal_sent,
    e.RecordingStarted: _recording_changed,
    e.RecordingStopped: _recording_changed,
    e.RecordingReady: _recording_changed,
    e.RecordingFailed: _recording_changed,
    e.MediaNodeAdmitted: _node_changed,
    e.MediaNodeStatusChanged: _node_changed,
}
