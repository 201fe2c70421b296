"""Properties of all OpenVidu editions (`config.md` section 4)."""

from __future__ import annotations

from pathlib import Path

from services.conference.model import VideoCodec

from . import VERSION
from .ice_servers import ICE_SERVERS, servers
from .kinds import (
    BOOL,
    BOOL_OPTIONAL,
    COUNT,
    HEADERS,
    HOST,
    HTTP_URL_OPTIONAL,
    IMAGE,
    IP_PAIRS,
    PATH,
    PORT,
    SECRET,
    TEXT,
    TEXT_REQUIRED,
    TURN_ADDRESS,
    URL_OPTIONAL,
    WS_URIS,
    enum,
    event_names,
    header,
)
from .property import Property, in_data_dir, when_on_loopback

EVENTS = (
    "sessionCreated", "sessionDestroyed", "participantJoined", "participantLeft",
    "webrtcConnectionCreated", "webrtcConnectionDestroyed", "recordingStatusChanged",
    "filterEventDispatched", "signalSent", "mediaNodeStatusChanged", "autoscaling",
    "nodeCrashed", "nodeRecovered", "broadcastStarted", "broadcastStopped",
    "HANodeRegistered", "HANodeDeregistered",
)  # fmt: skip
"""All events there are (`events.md` section 2)."""

_ALL_EVENTS = "[" + ",".join(f'"{name}"' for name in EVENTS) + "]"


def _headers(items: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(header(item) for item in items)


ADDRESSING = (
    Property(
        "DOMAIN_OR_PUBLIC_IP", HOST, "localhost",
        "Public name or address of the server, as clients reach it.",
        "access.domain",
    ),
    Property(
        "HTTPS_PORT", PORT, "4443",
        "Public port of the API. 443 (or 80 with plain HTTP) is left out of URLs.",
        "access.https_port",
    ),
    Property(
        "SERVER_PORT", PORT, lambda values: str(values["HTTPS_PORT"]),
        "Port on which the API listens, if a proxy in front has HTTPS_PORT. Default: HTTPS_PORT.",
        "access.listen_port", alias="server.port",
    ),
    Property(
        "FORCE_PLAIN_HTTP", BOOL, when_on_loopback,
        "Public URLs are http:// and ws://. Default: true while TERTULIA_HOST is loopback "
        "(browsers allow cameras on http://localhost), else false.",
        "access.plain_http",
    ),
    Property(
        "OPENVIDU_SECRET", SECRET, "MY_SECRET",
        "Password of the REST user OPENVIDUAPP. The default is refused unless everything listens "
        "on loopback.",
        "access.secret", secret=True,
    ),
    Property(
        "HTTP_PORT", PORT, "80",
        "Port that redirects to HTTPS_PORT.",
        inert=True,
    ),
    Property(
        "CERTIFICATE_TYPE", enum("selfsigned", "owncert", "letsencrypt"), "selfsigned",
        "Where the TLS certificate comes from. Here TERTULIA_TLS_CERTIFICATE decides.",
        inert=True,
    ),
    Property(
        "SUPPORT_DEPRECATED_API", BOOL, "false",
        "Serve the REST paths from before 2.16, too.",
        inert=True,
    ),
    Property(
        "OPENVIDU_DEV", BOOL_OPTIONAL, "",
        "Marks an installation that is not for production.",
        inert=True,
    ),
)  # fmt: skip

WEBHOOK = (
    Property("OPENVIDU_CDR", BOOL, "false", "Write CDR files.", "cdr.enabled", changeable=True),
    Property(
        "OPENVIDU_CDR_PATH", PATH, in_data_dir("cdr"),
        "Folder of the CDR files. Default: cdr in TERTULIA_DATA_DIR.",
        "cdr.path", Path,
    ),
    Property(
        "OPENVIDU_WEBHOOK", BOOL, "false",
        "Send webhooks.",
        "webhook.enabled", changeable=True,
    ),
    Property(
        "OPENVIDU_WEBHOOK_ENDPOINT", HTTP_URL_OPTIONAL, "",
        "URL that gets a POST for each event.",
        "webhook.endpoint", changeable=True,
    ),
    Property(
        "OPENVIDU_WEBHOOK_HEADERS", HEADERS, "[]",
        'More headers for it, each "Name: value".',
        "webhook.headers", _headers, sensitive=True, changeable=True,
    ),
    Property(
        "OPENVIDU_WEBHOOK_EVENTS", event_names(frozenset(EVENTS)), _ALL_EVENTS,
        "Events to send; [] sends nothing.",
        "webhook.events", frozenset, changeable=True,
    ),
)  # fmt: skip

RECORDING = (
    Property(
        "OPENVIDU_RECORDING", BOOL, "true",
        "Sessions can be recorded. On by default, as the recorder is a part of Tertulia and needs "
        "no Docker.",
        "recording.enabled", changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_PATH", PATH, in_data_dir("recordings"),
        "Folder of the recordings. Default: recordings in TERTULIA_DATA_DIR.",
        "recording.path", Path, changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_PUBLIC_ACCESS", BOOL, "false",
        "Recordings can be fetched without the secret.",
        "recording.public_access", changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_NOTIFICATION",
        enum("none", "moderator", "publisher_moderator", "all"), "publisher_moderator",
        "Roles whose clients are told when a recording starts and stops.",
        "recording.notification", changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_CUSTOM_LAYOUT", PATH, in_data_dir("custom-layout"),
        "Folder of custom layouts. Default: custom-layout in TERTULIA_DATA_DIR.",
        "recording.custom_layout", Path, changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT", COUNT, "120",
        "Seconds that a recorded session may be without a publisher before the recording stops; "
        "0: stop at once.",
        "recording.autostop_timeout", changeable=True,
    ),
    Property(
        "OPENVIDU_RECORDING_VERSION", TEXT_REQUIRED, VERSION,
        "Version of the original's recording module.",
        inert=True,
    ),
    Property(
        "OPENVIDU_RECORDING_COMPOSED_URL", URL_OPTIONAL, "",
        "Base URL that a layout browser uses instead of the public one.",
        inert=True,
    ),
    Property(
        "OPENVIDU_RECORDING_COMPOSED_BASICAUTH", BOOL, "true",
        "Put the secret into the URL of a layout browser.",
        inert=True,
    ),
    Property(
        "OPENVIDU_RECORDING_DEBUG", BOOL, "false",
        "Keep logs of composed recordings beside them.",
        inert=True,
    ),
    Property(
        "OPENVIDU_RECORDING_IMAGE", IMAGE, "",
        "Docker image of the original's recording module.",
        inert=True,
    ),
    Property(
        "OPENVIDU_RECORDING_ENABLE_GPU", BOOL, "false",
        "GPU for the original's recording module.",
        inert=True,
    ),
)  # fmt: skip

STREAMS = (
    Property(
        "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH", COUNT, "1000",
        "Most that a client receives for each stream, kbit/s; 0: no limit.",
        "streams.video_max_recv_bandwidth", changeable=True,
    ),
    Property(
        "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH", COUNT, "300",
        "Least that a client should receive for each stream, kbit/s; 0: no limit.",
        "streams.video_min_recv_bandwidth", changeable=True,
    ),
    Property(
        "OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH", COUNT, "1000",
        "Most that a client sends for each stream, kbit/s; 0: no limit.",
        "streams.video_max_send_bandwidth", changeable=True,
    ),
    Property(
        "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH", COUNT, "300",
        "Least that a client should send for each stream, kbit/s; 0: no limit.",
        "streams.video_min_send_bandwidth", changeable=True,
    ),
    Property(
        "OPENVIDU_STREAMS_FORCED_VIDEO_CODEC", enum(*VideoCodec), "VP8",
        "Video codec of a session that names none.",
        "streams.forced_video_codec", VideoCodec,
    ),
    Property(
        "OPENVIDU_STREAMS_ALLOW_TRANSCODING", BOOL, "false",
        "allowTranscoding of a session that does not say it.",
        "streams.allow_transcoding",
    ),
    Property(
        "OPENVIDU_WEBRTC_SIMULCAST", BOOL, "false",
        "Simulcast by default for publishers.",
        inert=True,
    ),
    Property(
        "OPENVIDU_SESSIONS_GARBAGE_INTERVAL", COUNT, "900",
        "Seconds between two searches for sessions that nobody ever joined; 0: never.",
        "sessions.garbage_interval", changeable=True,
    ),
    Property(
        "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD", COUNT, "3600",
        "Age in seconds beyond which such a session is dropped.",
        "sessions.garbage_threshold", changeable=True,
    ),
)  # fmt: skip

ICE = (
    Property(
        "COTURN_IP", TURN_ADDRESS, "",
        "Address of the TURN server told to clients. Empty: DOMAIN_OR_PUBLIC_IP. Nothing is "
        "detected here: auto-ipv4 and auto-ipv6 mean empty.",
        "ice.turn_host",
    ),
    Property("COTURN_PORT", PORT, "3478", "Port of the TURN server.", "ice.turn_port"),
    Property(
        "COTURN_SHARED_SECRET_KEY", TEXT, "",
        "static-auth-secret of the TURN server. Empty: OPENVIDU_SECRET.",
        "ice.turn_secret", secret=True,
    ),
    Property(
        "COTURN_INTERNAL_RELAY", BOOL, "false",
        "Relay candidates of the TURN server use its private address.",
        inert=True,
    ),
    Property(
        "COTURN_MIN_PORT", PORT, "57001",
        "First relay port of the TURN server, read by its container.",
    ),
    Property(
        "COTURN_MAX_PORT", PORT, "65535",
        "Last relay port of the TURN server, read by its container.",
    ),
    Property(
        "OPENVIDU_WEBRTC_ICE_SERVERS", ICE_SERVERS, "[]",
        "ICE servers told to clients instead of our own.",
        "ice.servers", servers, sensitive=True,
    ),
    Property(
        "MEDIA_NODES_PUBLIC_IPS", IP_PAIRS, "[]",
        "Public addresses of media nodes behind NAT.",
    ),
    Property(
        "KMS_URIS", WS_URIS, '["ws://localhost:8888/kurento"]',
        "Media nodes expected at the start. Here media nodes announce themselves.",
        inert=True,
    ),
)  # fmt: skip

COMMUNITY = ADDRESSING + WEBHOOK + RECORDING + STREAMS + ICE
