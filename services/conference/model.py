"""Values that commands, events and state share. Names follow the contract (`rest-api.md`)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Value(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """An immutable value. In JSON its keys are camelCase and defaults are left out.

    Made of values that were there before, it is in no cycle: the garbage collector leaves it alone.

    A default therefore becomes part of the log's format: never change one, add a field.
    """


class MediaMode(StrEnum):
    ROUTED = "ROUTED"
    RELAYED = "RELAYED"


class RecordingMode(StrEnum):
    MANUAL = "MANUAL"
    ALWAYS = "ALWAYS"


class VideoCodec(StrEnum):
    """`forcedVideoCodec` of a Session."""

    MEDIA_SERVER_PREFERRED = "MEDIA_SERVER_PREFERRED"
    NONE = "NONE"
    VP8 = "VP8"
    VP9 = "VP9"
    H264 = "H264"


class ConnectionType(StrEnum):
    WEBRTC = "WEBRTC"
    IPCAM = "IPCAM"


class Role(StrEnum):
    SUBSCRIBER = "SUBSCRIBER"
    PUBLISHER = "PUBLISHER"
    MODERATOR = "MODERATOR"


class VideoSource(StrEnum):
    """`typeOfVideo` of a stream."""

    CAMERA = "CAMERA"
    SCREEN = "SCREEN"
    CUSTOM = "CUSTOM"
    IPCAM = "IPCAM"


class Direction(StrEnum):
    """Of a media connection, seen from the client: OUTBOUND publishes, INBOUND subscribes."""

    OUTBOUND = "OUTBOUND"
    INBOUND = "INBOUND"


class OutputMode(StrEnum):
    COMPOSED = "COMPOSED"
    COMPOSED_QUICK_START = "COMPOSED_QUICK_START"
    INDIVIDUAL = "INDIVIDUAL"


class RecordingLayout(StrEnum):
    BEST_FIT = "BEST_FIT"
    PICTURE_IN_PICTURE = "PICTURE_IN_PICTURE"
    VERTICAL_PRESENTATION = "VERTICAL_PRESENTATION"
    HORIZONTAL_PRESENTATION = "HORIZONTAL_PRESENTATION"
    CUSTOM = "CUSTOM"


class RecordingStatus(StrEnum):
    STARTING = "starting"
    STARTED = "started"
    STOPPED = "stopped"
    READY = "ready"
    FAILED = "failed"


class NodeStatus(StrEnum):
    """Of a media node (`cluster.md` section 2)."""

    LAUNCHING = "launching"
    CANCELED = "canceled"
    FAILED = "failed"
    RUNNING = "running"
    WAITING_IDLE_TO_TERMINATE = "waiting-idle-to-terminate"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class DeletionStrategy(StrEnum):
    """What to do with a media node that is to go and hosts something (`cluster.md` 3.2)."""

    NOW = "now"
    IF_NO_SESSIONS = "if-no-sessions"
    WHEN_NO_SESSIONS = "when-no-sessions"


class Reason(StrEnum):
    """Why something ended: the closed list of `events.md` section 3."""

    UNSUBSCRIBE = "unsubscribe"
    UNPUBLISH = "unpublish"
    DISCONNECT = "disconnect"
    FORCE_UNPUBLISH_BY_USER = "forceUnpublishByUser"
    FORCE_UNPUBLISH_BY_SERVER = "forceUnpublishByServer"
    FORCE_DISCONNECT_BY_USER = "forceDisconnectByUser"
    FORCE_DISCONNECT_BY_SERVER = "forceDisconnectByServer"
    NETWORK_DISCONNECT = "networkDisconnect"
    LAST_PARTICIPANT_LEFT = "lastParticipantLeft"
    RECORDING_STOPPED_BY_SERVER = "recordingStoppedByServer"
    SESSION_CLOSED_BY_SERVER = "sessionClosedByServer"
    MEDIA_SERVER_DISCONNECT = "mediaServerDisconnect"
    MEDIA_SERVER_RECONNECT = "mediaServerReconnect"
    NODE_CRASHED = "nodeCrashed"
    OPENVIDU_SERVER_STOPPED = "openviduServerStopped"
    AUTOMATIC_STOP = "automaticStop"


class RecordingOptions(Value, frozen=True):
    """Recording properties as somebody asked for them; `None` means not given.

    `resolution` is `"<width>x<height>"` in pixels, `frame_rate` in frames a second, `shm_size` in
    bytes. See `recording.md` section 1.
    """

    name: str | None = None
    has_audio: bool | None = None
    has_video: bool | None = None
    output_mode: OutputMode | None = None
    recording_layout: RecordingLayout | None = None
    custom_layout: str | None = None
    resolution: str | None = None
    frame_rate: int | None = None
    shm_size: int | None = None
    ignore_failed_streams: bool | None = None
    media_node: str | None = None


class RecordingProperties(Value, frozen=True):
    """Recording properties with every default filled in (`recording.md` section 1)."""

    name: str = ""
    has_audio: bool = True
    has_video: bool = True
    output_mode: OutputMode = OutputMode.COMPOSED
    recording_layout: RecordingLayout = RecordingLayout.BEST_FIT
    custom_layout: str = ""
    resolution: str = "1280x720"
    frame_rate: int = 25
    shm_size: int = 536870912
    ignore_failed_streams: bool = False
    media_node: str | None = None


class KurentoOptions(Value, frozen=True):
    """Bandwidths in kbit/s, from the client's view; `None` means the server's setting."""

    video_max_recv_bandwidth: int | None = None
    video_min_recv_bandwidth: int | None = None
    video_max_send_bandwidth: int | None = None
    video_min_send_bandwidth: int | None = None
    allowed_filters: tuple[str, ...] | None = None


class IceServer(Value, frozen=True):
    url: str
    username: str | None = None
    credential: str | None = None


class SessionProperties(Value, frozen=True):
    media_mode: MediaMode = MediaMode.ROUTED
    recording_mode: RecordingMode = RecordingMode.MANUAL
    custom_session_id: str = ""
    forced_video_codec: VideoCodec = VideoCodec.VP8
    allow_transcoding: bool = False
    default_recording_properties: RecordingProperties = RecordingProperties()
    media_node: str | None = None


class MediaOptions(Value, frozen=True):
    """What a stream carries, as its publisher declared it (`signaling.md` 3.3).

    `video_dimensions` is a JSON text. `audio_active` is `None` without audio; `video_active`,
    `type_of_video` and `video_dimensions` are `None` without video. `filter` is a JSON text.
    """

    has_audio: bool
    has_video: bool
    audio_active: bool | None = None
    video_active: bool | None = None
    type_of_video: VideoSource | None = None
    frame_rate: int | None = None
    video_dimensions: str | None = None
    filter: str | None = None
