"""The REST objects of `rest-api.md`, as `contract/README.md` reads them.

Key order is constant and every key has one form (null, absent, empty), because the real clients
compare whole answers as text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from .calls import Heartbeat
from .model import (
    ConnectionType,
    KurentoOptions,
    OutputMode,
    RecordingLayout,
    RecordingProperties,
    RecordingStatus,
)
from .state import Connection, Node, Recording, Session, Stream

Object = dict[str, Any]


def token_url(session_id: str, token: str, websocket_url: str) -> str:
    """What clients pass to `Session.connect` (`signaling.md` 2.1)."""
    return f"{websocket_url}?sessionId={session_id}&token={token}"


def session_object(
    session: Session, *, recording: bool, websocket_url: str, pending: bool = False
) -> Object:
    """`pending`: list pending connections too, as `?pendingConnections=true` asks."""
    properties = session.properties
    connections = [
        connection_object(connection, session.id, websocket_url)
        for connection in session.connections.values()
        if pending or connection.active
    ]
    view: Object = {
        "id": session.id,
        "object": "session",
        "sessionId": session.id,
        "createdAt": session.created_at,
        "mediaMode": properties.media_mode.value,
        "recordingMode": properties.recording_mode.value,
        "defaultRecordingProperties": default_recording_properties(
            properties.default_recording_properties
        ),
        "customSessionId": properties.custom_session_id,
        "connections": {"numberOfElements": len(connections), "content": connections},
        "recording": recording,
        "broadcasting": False,
        "forcedVideoCodec": properties.forced_video_codec.value,
        "allowTranscoding": properties.allow_transcoding,
    }
    if session.media_node is not None:
        view["mediaNodeId"] = session.media_node.id
    return view


def default_recording_properties(properties: RecordingProperties) -> Object:
    """`recording.md` section 2, last paragraph."""
    view: Object = {
        "name": properties.name,
        "hasAudio": properties.has_audio,
        "hasVideo": properties.has_video,
        "outputMode": properties.output_mode.value,
    }
    if is_composed_video(properties):
        view["recordingLayout"] = properties.recording_layout.value
        if properties.recording_layout is RecordingLayout.CUSTOM:
            view["customLayout"] = properties.custom_layout
        view["resolution"] = properties.resolution
        view["frameRate"] = properties.frame_rate
        view["shmSize"] = properties.shm_size
    if properties.output_mode is OutputMode.INDIVIDUAL:
        view["ignoreFailedStreams"] = properties.ignore_failed_streams
    if properties.media_node is not None:
        view["mediaNode"] = properties.media_node
    return view


def is_composed_video(properties: RecordingProperties) -> bool:
    return properties.output_mode is not OutputMode.INDIVIDUAL and properties.has_video


def kurento_options(options: KurentoOptions | None) -> Object | None:
    return None if options is None else msgspec.to_builtins(options)


def connection_object(connection: Connection, session_id: str, websocket_url: str) -> Object:
    publishers: list[Object] | None = None
    subscribers: list[Object] | None = None
    camera = connection.type is ConnectionType.IPCAM
    if connection.active:
        stream = connection.stream
        publishers = [] if stream is None else [_publisher(stream)]
        subscribers = [
            {"createdAt": subscription.created_at, "streamId": subscription.stream_id}
            for subscription in connection.subscriptions.values()
        ]
    return {
        "id": connection.id,
        "object": "connection",
        "type": connection.type.value,
        "status": "active" if connection.active else "pending",
        "connectionId": connection.id,
        "sessionId": session_id,
        "createdAt": connection.created_at,
        "activeAt": connection.active_at,
        "location": connection.location,
        "ip": connection.ip,
        "platform": connection.platform,
        "token": None if camera else token_url(session_id, connection.token, websocket_url),
        "serverData": connection.server_data,
        "clientData": connection.client_data,
        "record": connection.record,
        "role": None if camera else connection.role.value,
        "kurentoOptions": kurento_options(connection.kurento_options),
        "customIceServers": msgspec.to_builtins(connection.custom_ice_servers),
        "rtspUri": None,
        "adaptativeBitrate": None,
        "onlyPlayWithSubscribers": None,
        "networkCache": None,
        "publishers": publishers,
        "subscribers": subscribers,
    }


def _publisher(stream: Stream) -> Object:
    return {
        "createdAt": stream.created_at,
        "streamId": stream.id,
        "mediaOptions": media_options(stream),
    }


def media_options(stream: Stream) -> Object:
    """What a stream carries now: `mediaOptions` in REST, the Stream object in signaling 4.4."""
    current = stream.current
    view: Object = {"hasAudio": current.has_audio}
    if current.has_audio and current.audio_active is not None:
        view["audioActive"] = current.audio_active
    view["hasVideo"] = current.has_video
    if current.has_video:
        video = {
            "videoActive": current.video_active,
            "typeOfVideo": current.type_of_video,
            "frameRate": current.frame_rate,
            "videoDimensions": current.video_dimensions,
        }
        view |= {key: value for key, value in video.items() if value is not None}
    view["filter"] = {} if current.filter is None else msgspec.json.decode(current.filter)
    return view


def stream_object(stream: Stream) -> Object:
    """The Stream object of `signaling.md` 4.4."""
    return {"id": stream.id, "createdAt": stream.created_at, **media_options(stream)}


def token_object(connection: Connection, session_id: str, websocket_url: str) -> Object:
    token = token_url(session_id, connection.token, websocket_url)
    view: Object = {
        "id": token,
        "token": token,
        "connectionId": connection.id,
        "createdAt": connection.created_at,
        "session": session_id,
        "role": connection.role.value,
        "data": connection.server_data,
        "record": connection.record,
    }
    if connection.kurento_options is not None:
        view["kurentoOptions"] = kurento_options(connection.kurento_options)
    return view


def extension(properties: RecordingProperties) -> str:
    """Of the public file (`recording.md` 5.1)."""
    if properties.output_mode is OutputMode.INDIVIDUAL:
        return "zip"
    return "mp4" if properties.has_video else "webm"


def recording_object(recording: Recording, public_url: str) -> Object:
    properties = recording.properties
    view: Object = {
        "id": recording.id,
        "object": "recording",
        "name": recording.name,
        "outputMode": properties.output_mode.value,
    }
    if is_composed_video(properties):
        view["resolution"] = properties.resolution
        view["frameRate"] = properties.frame_rate
        view["recordingLayout"] = properties.recording_layout.value
        if properties.recording_layout is RecordingLayout.CUSTOM:
            view["customLayout"] = properties.custom_layout
    view["sessionId"] = recording.session_id
    if properties.media_node is not None:
        view["mediaNode"] = properties.media_node
    finished = recording.status in (RecordingStatus.READY, RecordingStatus.FAILED)
    file = f"{recording.id}/{recording.name}.{extension(properties)}"
    return view | {
        "createdAt": recording.created_at,
        "size": recording.size,
        "duration": recording.duration,
        "url": f"{public_url}/openvidu/recordings/{file}" if finished else None,
        "hasAudio": properties.has_audio,
        "hasVideo": properties.has_video,
        "status": recording.status.value,
    }


class Link(NamedTuple):
    """How a server is connected to a media node. Times are UTC ms: since when, or until when;
    `None`: it never was. `load` in per cent of one core."""

    connected: bool = False
    since: int | None = None
    lost: int | None = None
    load: float = 0.0


def media_node_object(node: Node, link: Link) -> Object:
    view: Object = {
        "id": node.id,
        "object": "mediaNode",
        "environmentId": node.environment_id,
        "ip": node.ip,
        "uri": node.uri,
        "launchingTime": node.launched_at,
        "connected": link.connected,
        "connectionTime": link.since,
    }
    if not link.connected and link.lost is not None:
        view["disconnectionTime"] = link.lost
    return view | {"load": round(min(max(link.load, 0.0), 100.0), 2), "status": node.status.value}


def kurento_info(heartbeat: Heartbeat) -> Object:
    """What the original's media server says of itself, of ours; memory in KiB, as there."""
    return {
        "memory": heartbeat.memory // 1024,
        "version": heartbeat.version,
        "capabilities": list(heartbeat.capabilities),
        "modules": [{"name": "media", "version": heartbeat.version}],
    }
