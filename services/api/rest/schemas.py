"""The objects that REST answers with, as types: the document's schemas (`rest-api.md`).

Answers themselves are made as plain objects (`services/conference/views.py`); tests hold the two
together. A field that may be absent has the default `UNSET`. What the fields mean stands in
`rest/glossary.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from services.conference.model import (
    ConnectionType,
    MediaMode,
    OutputMode,
    RecordingLayout,
    RecordingMode,
    RecordingStatus,
    Role,
    VideoCodec,
    VideoSource,
)

Milliseconds = int  # UTC


class Answer(Struct, rename="camel", forbid_unknown_fields=True):
    pass


class Error(Answer):
    timestamp: Milliseconds
    status: int
    error: str
    message: str
    path: str


class DefaultRecordingProperties(Answer):
    name: str
    has_audio: bool
    has_video: bool
    output_mode: OutputMode
    recording_layout: RecordingLayout | UnsetType = UNSET
    custom_layout: str | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    frame_rate: int | UnsetType = UNSET
    shm_size: int | UnsetType = UNSET
    ignore_failed_streams: bool | UnsetType = UNSET
    media_node: str | UnsetType = UNSET


class KurentoOptions(Answer):
    video_max_recv_bandwidth: int | UnsetType = UNSET
    video_min_recv_bandwidth: int | UnsetType = UNSET
    video_max_send_bandwidth: int | UnsetType = UNSET
    video_min_send_bandwidth: int | UnsetType = UNSET
    allowed_filters: list[str] | UnsetType = UNSET


class IceServer(Answer):
    url: str
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


class MediaOptions(Answer, kw_only=True):
    has_audio: bool
    audio_active: bool | UnsetType = UNSET
    has_video: bool
    video_active: bool | UnsetType = UNSET
    type_of_video: VideoSource | UnsetType = UNSET
    frame_rate: int | UnsetType = UNSET
    video_dimensions: str | UnsetType = UNSET
    filter: dict[str, Any]


class Publisher(Answer):
    created_at: Milliseconds
    stream_id: str
    media_options: MediaOptions


class Subscriber(Answer):
    created_at: Milliseconds
    stream_id: str


class Connection(Answer):
    id: str
    object: Literal["connection"]
    type: ConnectionType
    status: Literal["pending", "active"]
    connection_id: str
    session_id: str
    created_at: Milliseconds
    active_at: Milliseconds | None
    location: str | None
    ip: str | None
    platform: str | None
    token: str | None
    server_data: str
    client_data: str | None
    record: bool
    role: Role | None
    kurento_options: KurentoOptions | None
    custom_ice_servers: list[IceServer]
    rtsp_uri: str | None
    adaptative_bitrate: bool | None
    only_play_with_subscribers: bool | None
    network_cache: int | None
    publishers: list[Publisher] | None
    subscribers: list[Subscriber] | None


class Connections(Answer):
    number_of_elements: int
    content: list[Connection]


class Session(Answer):
    id: str
    object: Literal["session"]
    session_id: str
    created_at: Milliseconds
    media_mode: MediaMode
    recording_mode: RecordingMode
    default_recording_properties: DefaultRecordingProperties
    custom_session_id: str
    connections: Connections
    recording: bool
    broadcasting: bool
    forced_video_codec: VideoCodec
    allow_transcoding: bool
    media_node_id: str | UnsetType = UNSET


class Sessions(Answer):
    number_of_elements: int
    content: list[Session]


class Token(Answer):
    id: str
    token: str
    connection_id: str
    created_at: Milliseconds
    session: str
    role: Role
    data: str
    record: bool
    kurento_options: KurentoOptions | UnsetType = UNSET


class Recording(Answer, kw_only=True):
    id: str
    object: Literal["recording"]
    name: str
    output_mode: OutputMode
    resolution: str | UnsetType = UNSET
    frame_rate: int | UnsetType = UNSET
    recording_layout: RecordingLayout | UnsetType = UNSET
    custom_layout: str | UnsetType = UNSET
    session_id: str
    media_node: str | UnsetType = UNSET
    created_at: Milliseconds
    size: int
    duration: float
    url: str | None
    has_audio: bool
    has_video: bool
    status: RecordingStatus


class Recordings(Answer):
    count: int
    items: list[Recording]


class MediaNode(Answer, kw_only=True):
    id: str
    object: Literal["mediaNode"]
    environment_id: str | None
    ip: str | None
    uri: str | None
    launching_time: Milliseconds
    connected: bool
    connection_time: Milliseconds | None
    disconnection_time: Milliseconds | UnsetType = UNSET
    load: float
    status: Literal[
        "launching",
        "canceled",
        "failed",
        "running",
        "waiting-idle-to-terminate",
        "terminating",
        "terminated",
    ]
    sessions: list[Session] | UnsetType = UNSET
    recording_ids: list[str] | UnsetType = UNSET
    kurento_info: dict[str, Any] | UnsetType = UNSET


class MediaNodes(Answer):
    number_of_elements: int
    content: list[MediaNode]


class Health(Answer):
    status: Literal["UP", "DOWN"]


class Config(Answer):
    """Its schema is that of `rest/config_schema.py`."""
