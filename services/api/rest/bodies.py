"""The bodies of requests, and what they mean in the language of the conference.

`extra["takes"]` of a `Meta` says what a field takes where its type does not say it well: refusals
read "<field> must be <takes>" (`misfit.py`). Patterns end in `$(?!\\n)` as `$` alone lets Python,
but not JSON Schema, end with a line feed.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from services.api.signaling.ice import turn_credentials
from services.conference.decisions.recordings import overlay
from services.conference.model import (
    ConnectionType,
    IceServer,
    KurentoOptions,
    MediaMode,
    OutputMode,
    RecordingLayout,
    RecordingMode,
    RecordingOptions,
    RecordingProperties,
    Role,
    SessionProperties,
    VideoCodec,
)
from services.settings import Streams
from services.settings.ice_servers import fields

from .errors import ApiError

MIN_SHM = 134217728
MAX_INT = 2**31 - 1

_SIDE = r"(1[0-9]{3}|[1-9][0-9]{2})"
_RESOLUTION = re.compile(f"{_SIDE}x{_SIDE}")
_CAMERA = re.compile(r"(rtsps?|https?)://[^\s\x00-\x1f\x7f\"<>\\^`{|}]+", re.IGNORECASE)

Kbps = Annotated[int, Meta(ge=0, le=MAX_INT)]
Milliseconds = Annotated[int, Meta(ge=0, le=MAX_INT)]
CustomSessionId = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=r"^[A-Za-z0-9_-]*$(?!\n)",
        extra={"takes": "a string of up to 255 letters, digits, dashes and underscores"},
    ),
]
RecordedSessionId = Annotated[str, Meta(min_length=1)]
Name = Annotated[
    str,
    Meta(
        max_length=200,  # it names files
        pattern=r"^[A-Za-z0-9_~-]*$(?!\n)",
        extra={"takes": "a string of up to 200 letters, digits, dashes, underscores and tildes"},
    ),
]
CustomLayout = Annotated[
    str,
    Meta(
        max_length=1000,
        pattern=r"^(?!(.*/)?(\.|%2[eE]){2}([/?#]|$))[^\\\x00-\x1f\x7f]*$(?!\n)",
        extra={
            "takes": "the path of a folder or a URL, of up to 1000 characters, without .., "
            "backslashes and control characters"
        },
    ),
]
# What follows is out of range with 422 or 400, if it counts at all: `check_ranges`.
TAKES_RESOLUTION = "a string such as 1280x720, width and height from 100 to 1999"
TAKES_FRAME_RATE = "an integer from 1 to 120"
TAKES_SHM = f"an integer from {MIN_SHM} (bytes)"
Resolution = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": f"^{_SIDE}x{_SIDE}$"},
        extra={"takes": TAKES_RESOLUTION},
    ),
]
FrameRate = Annotated[
    int,
    Meta(extra_json_schema={"minimum": 1, "maximum": 120}, extra={"takes": TAKES_FRAME_RATE}),
]
ShmSize = Annotated[
    int,
    Meta(extra_json_schema={"minimum": MIN_SHM, "maximum": 2**63 - 1}, extra={"takes": TAKES_SHM}),
]


class Body(Struct, rename="camel"):
    """`None`: not given."""


class NodeSelector(Body):
    id: str


def _node(selector: NodeSelector | str | None) -> str | None:
    return selector.id if isinstance(selector, NodeSelector) else selector


class RecordingBody(Body):
    name: Name | None = None
    has_audio: bool | None = None
    has_video: bool | None = None
    output_mode: OutputMode | None = None
    recording_layout: RecordingLayout | None = None
    custom_layout: CustomLayout | None = None
    resolution: Resolution | None = None
    frame_rate: FrameRate | None = None
    shm_size: ShmSize | None = None
    ignore_failed_streams: bool | None = None
    media_node: NodeSelector | str | None = None

    def options(self) -> RecordingOptions:
        """An empty name is none. Ranges: `check_ranges`."""
        return RecordingOptions(
            name=self.name or None,
            has_audio=self.has_audio,
            has_video=self.has_video,
            output_mode=self.output_mode,
            recording_layout=self.recording_layout,
            custom_layout=self.custom_layout,
            resolution=self.resolution,
            frame_rate=self.frame_rate,
            shm_size=self.shm_size,
            ignore_failed_streams=self.ignore_failed_streams,
            media_node=_node(self.media_node),
        )


def check_ranges(properties: RecordingProperties, status: int, inside: str = "") -> None:
    """The limits of `recording.md` section 1; `status` is what to answer beyond them, `inside` the
    path of the object that holds the fields, with a dot."""
    if not properties.has_audio and not properties.has_video:
        raise ApiError(status, f"{inside}hasAudio and {inside}hasVideo cannot both be false")
    if properties.output_mode is OutputMode.INDIVIDUAL:
        return
    if not _RESOLUTION.fullmatch(properties.resolution):
        raise ApiError(status, f"{inside}resolution must be {TAKES_RESOLUTION}")
    if not 1 <= properties.frame_rate <= 120:
        raise ApiError(status, f"{inside}frameRate must be {TAKES_FRAME_RATE}")
    if not MIN_SHM <= properties.shm_size < 2**63:
        raise ApiError(status, f"{inside}shmSize must be {TAKES_SHM}")


class SessionBody(Body):
    media_mode: MediaMode | None = None
    recording_mode: RecordingMode | None = None
    custom_session_id: CustomSessionId | None = None
    forced_video_codec: VideoCodec | None = None
    allow_transcoding: (
        Annotated[bool | Literal["true", "false"], Meta(extra={"takes": "true or false"})] | None
    ) = None
    default_recording_properties: RecordingBody | None = None
    media_node: NodeSelector | str | None = None

    def properties(self, streams: Streams) -> SessionProperties:
        """What is not given comes from the server's settings. Raises `ApiError` 400."""
        transcoding = self.allow_transcoding
        if transcoding is None:
            transcoding = streams.allow_transcoding
        elif isinstance(transcoding, str):
            transcoding = transcoding == "true"
        recording = self.default_recording_properties or RecordingBody()
        defaults = overlay(recording.options(), RecordingProperties())
        check_ranges(defaults, 400, "defaultRecordingProperties.")
        return SessionProperties(
            media_mode=self.media_mode or MediaMode.ROUTED,
            recording_mode=self.recording_mode or RecordingMode.MANUAL,
            custom_session_id=self.custom_session_id or "",
            forced_video_codec=self.forced_video_codec or streams.forced_video_codec,
            allow_transcoding=transcoding,
            default_recording_properties=defaults,
            media_node=_node(self.media_node),
        )


class KurentoBody(Body):
    video_max_recv_bandwidth: Kbps | None = None
    video_min_recv_bandwidth: Kbps | None = None
    video_max_send_bandwidth: Kbps | None = None
    video_min_send_bandwidth: Kbps | None = None
    allowed_filters: list[str] | None = None

    def options(self) -> KurentoOptions:
        filters = self.allowed_filters
        return KurentoOptions(
            self.video_max_recv_bandwidth,
            self.video_min_recv_bandwidth,
            self.video_max_send_bandwidth,
            self.video_min_send_bandwidth,
            None if filters is None else tuple(filters),
        )


class IceServerBody(Body):
    url: str
    username: str | None = None
    credential: str | None = None
    static_auth_secret: str | None = None

    def server(self, path: str) -> IceServer:
        """The rules of `config.md` 4.5; a static secret makes credentials for one day. `path` of
        the object, for the sentence of an `ApiError` 400."""
        given = {
            "url": self.url,
            "username": self.username,
            "credential": self.credential,
            "staticAuthSecret": self.static_auth_secret,
        }
        items = {key: value for key, value in given.items() if value is not None}
        if any("," in value for value in items.values()):
            raise ApiError(400, f"{path} may not hold commas")
        try:
            fields(",".join(f"{key}={value}" for key, value in items.items()))
        except ValueError as error:
            raise ApiError(400, f"{path}: {error}") from None
        if self.static_auth_secret is None:
            return IceServer(self.url, self.username, self.credential)
        now = time.time_ns() // 1_000_000
        return IceServer(self.url, *turn_credentials(self.static_auth_secret, now))


def ice_servers(bodies: list[IceServerBody] | None) -> tuple[IceServer, ...]:
    """Raises `ApiError` 400."""
    return tuple(
        body.server(f"customIceServers[{index}]") for index, body in enumerate(bodies or ())
    )


class TokenBody(Body):
    session: str
    role: Role | None = None
    data: str | None = None
    record: bool | None = None
    kurento_options: KurentoBody | None = None
    custom_ice_servers: list[IceServerBody] | None = None


class ConnectionBody(Body):
    type: ConnectionType | None = None
    role: Role | None = None
    data: str | None = None
    record: bool | None = None
    kurento_options: KurentoBody | None = None
    custom_ice_servers: list[IceServerBody] | None = None
    rtsp_uri: Annotated[str, Meta(max_length=2048)] | None = None
    adaptative_bitrate: bool | None = None
    only_play_with_subscribers: bool | None = None
    network_cache: Milliseconds | None = None

    def check_camera(self) -> None:
        """What holds for type IPCAM (`ip-cameras.md` 1.1); files of the server are no cameras."""
        if not self.rtsp_uri:
            raise ApiError(400, "rtspUri is mandatory for type IPCAM and must be a string")
        if not _CAMERA.fullmatch(self.rtsp_uri) or not _has_host(self.rtsp_uri):
            raise ApiError(
                400, "rtspUri must be a URI with a host: rtsp://, rtsps://, http:// or https://"
            )


class ModificationBody(Body):
    role: Role | None = None
    record: bool | None = None


class SignalBody(Body):
    session: str
    to: list[str] | None = None
    type: str | None = None
    data: str | None = None


class RecordedSession(Struct):
    """What is judged first in the body of a start."""

    session: RecordedSessionId


class RecordingStartBody(RecordingBody, kw_only=True):
    session: RecordedSessionId


def _has_host(uri: str) -> bool:
    """And a port that is one, or none."""
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
