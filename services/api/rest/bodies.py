"""The bodies of requests, and what they mean in the language of the conference."""

from __future__ import annotations

import re
import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from services.api.signaling.ice import turn_credentials
from services.conference.decisions.recordings import overlay
from services.conference.ids import SESSION_ID
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

MAX_NAME = 200  # characters of a recording's name: it names files
MIN_SHM = 134217728

_NAME = re.compile(r"[A-Za-z0-9_~-]*")
_SIDE = r"(1[0-9]{3}|[1-9][0-9]{2})"
_RESOLUTION = re.compile(f"{_SIDE}x{_SIDE}")

Kbps = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Body(Struct, rename="camel"):
    """`None`: not given."""


class NodeSelector(Body):
    id: str


def _node(selector: NodeSelector | str | None) -> str | None:
    return selector.id if isinstance(selector, NodeSelector) else selector


class RecordingBody(Body):
    name: Annotated[str, Meta(max_length=MAX_NAME)] | None = None
    has_audio: bool | None = None
    has_video: bool | None = None
    output_mode: OutputMode | None = None
    recording_layout: RecordingLayout | None = None
    custom_layout: str | None = None
    resolution: str | None = None
    frame_rate: int | None = None
    shm_size: int | None = None
    ignore_failed_streams: bool | None = None
    media_node: NodeSelector | str | None = None

    def options(self) -> RecordingOptions:
        """Raises `ApiError` 400 for a bad name; an empty one is none. Ranges: `check_ranges`."""
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ApiError(400, "name may hold letters, digits, _, - and ~ only")
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


def check_ranges(properties: RecordingProperties, status: int) -> None:
    """The limits of `recording.md` section 1; `status` is what to answer beyond them."""
    if not properties.has_audio and not properties.has_video:
        raise ApiError(status, "hasAudio and hasVideo cannot both be false")
    if properties.output_mode is OutputMode.INDIVIDUAL:
        return
    if not _RESOLUTION.fullmatch(properties.resolution):
        raise ApiError(status, "resolution must be <width>x<height>, each from 100 to 1999")
    if not 1 <= properties.frame_rate <= 120:
        raise ApiError(status, "frameRate must be from 1 to 120")
    if not MIN_SHM <= properties.shm_size < 2**63:
        raise ApiError(status, f"shmSize must be {MIN_SHM} or more")


class SessionBody(Body):
    media_mode: MediaMode | None = None
    recording_mode: RecordingMode | None = None
    custom_session_id: str | None = None
    forced_video_codec: VideoCodec | None = None
    allow_transcoding: bool | Literal["true", "false"] | None = None
    default_recording_properties: RecordingBody | None = None
    media_node: NodeSelector | str | None = None

    def properties(self, streams: Streams) -> SessionProperties:
        """What is not given comes from the server's settings. Raises `ApiError` 400."""
        custom_id = self.custom_session_id or ""
        if custom_id and not SESSION_ID.fullmatch(custom_id):
            raise ApiError(
                400, "customSessionId may hold letters, digits, - and _ only, 255 at most"
            )
        transcoding = self.allow_transcoding
        if transcoding is None:
            transcoding = streams.allow_transcoding
        elif isinstance(transcoding, str):
            transcoding = transcoding == "true"
        recording = self.default_recording_properties or RecordingBody()
        defaults = overlay(recording.options(), RecordingProperties())
        check_ranges(defaults, 400)
        return SessionProperties(
            media_mode=self.media_mode or MediaMode.ROUTED,
            recording_mode=self.recording_mode or RecordingMode.MANUAL,
            custom_session_id=custom_id,
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

    def server(self) -> IceServer:
        """The rules of `config.md` 4.5; a static secret makes credentials for one day."""
        given = {
            "url": self.url,
            "username": self.username,
            "credential": self.credential,
            "staticAuthSecret": self.static_auth_secret,
        }
        items = {key: value for key, value in given.items() if value is not None}
        if any("," in value for value in items.values()):
            raise ApiError(400, "customIceServers may not hold commas")
        try:
            fields(",".join(f"{key}={value}" for key, value in items.items()))
        except ValueError as error:
            raise ApiError(400, f"customIceServers: {error}") from None
        if self.static_auth_secret is None:
            return IceServer(self.url, self.username, self.credential)
        now = time.time_ns() // 1_000_000
        return IceServer(self.url, *turn_credentials(self.static_auth_secret, now))


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
    rtsp_uri: str | None = None
    adaptative_bitrate: bool | None = None
    only_play_with_subscribers: bool | None = None
    network_cache: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class ModificationBody(Body):
    role: Role | None = None
    record: bool | None = None


class SignalBody(Body):
    session: str
    to: list[str] | None = None
    type: str | None = None
    data: str | None = None


class RecordingStartBody(RecordingBody, kw_only=True):
    session: Annotated[str, Meta(min_length=1)]
