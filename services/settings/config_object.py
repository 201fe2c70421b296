"""`GET /openvidu/api/config` (`config.md` 8.1, `rest-api.md`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import VERSION, Settings
from .ice_servers import masked
from .table import CONTRACT, MEDIA_SERVER_PREFIX

_STREAMS = (
    "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH",
    "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH",
    "OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH",
    "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH",
    "OPENVIDU_STREAMS_FORCED_VIDEO_CODEC",
    "OPENVIDU_STREAMS_ALLOW_TRANSCODING",
    "OPENVIDU_WEBRTC_SIMULCAST",
)
_GARBAGE = ("OPENVIDU_SESSIONS_GARBAGE_INTERVAL", "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD")
_RECORDING = (
    "OPENVIDU_RECORDING_VERSION",
    "OPENVIDU_RECORDING_PATH",
    "OPENVIDU_RECORDING_PUBLIC_ACCESS",
    "OPENVIDU_RECORDING_NOTIFICATION",
    "OPENVIDU_RECORDING_CUSTOM_LAYOUT",
    "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT",
)
_WEBHOOK = ("OPENVIDU_WEBHOOK_ENDPOINT", "OPENVIDU_WEBHOOK_HEADERS", "OPENVIDU_WEBHOOK_EVENTS")
_STATISTICS_AND_CLUSTER = (
    "KMS_URIS",
    "OPENVIDU_PRO_STATS_SESSION_INTERVAL",
    "OPENVIDU_PRO_STATS_SERVER_INTERVAL",
    "OPENVIDU_PRO_STATS_MONITORING_INTERVAL",
    "OPENVIDU_PRO_STATS_WEBRTC_INTERVAL",
    "OPENVIDU_PRO_CLUSTER_ID",
    "OPENVIDU_PRO_CLUSTER_ENVIRONMENT",
    "OPENVIDU_PRO_CLUSTER_MEDIA_NODES",
    "OPENVIDU_PRO_CLUSTER_PATH",
    "OPENVIDU_PRO_CLUSTER_RECONNECTION_TIMEOUT",
)
_AUTOSCALING = (
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES",
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES",
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD",
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD",
)
_EXTRAS = (
    "OPENVIDU_PRO_RECORDING_STORAGE",
    "OPENVIDU_EDITION",
    "OPENVIDU_PRO_SPEECH_TO_TEXT",
    "OPENVIDU_ENTERPRISE_MEDIA_SERVER",
)


def config_object(settings: Settings) -> dict[str, Any]:
    """All properties of the contract in its order and types, secrets left out.

    The Pro set is always there. A key with a condition (recording, webhook, … on) is left out
    while that does not hold; properties the original never shows follow at the end.
    """
    values = settings.properties
    config: dict[str, Any] = {
        "VERSION": VERSION,
        "OPENVIDU_SERVER_DEPENDENCY_VERSION": VERSION,
        "DOMAIN_OR_PUBLIC_IP": settings.access.domain,
        "HTTPS_PORT": settings.access.https_port,
        "OPENVIDU_PUBLICURL": settings.access.public_url,
    }
    conditional: set[str] = set()
    for names, shown in _blocks(settings):
        conditional.update(names)
        if shown:
            config |= {name: values[name] for name in names}
    config["OPENVIDU_PRO_KIBANA"] = False
    config |= {name: values[name] for name in _EXTRAS}
    for item in CONTRACT:
        if not item.secret and item.name not in config and item.name not in conditional:
            config[item.name] = values[item.name]
    config |= {name: values[name] for name in values if name.startswith(MEDIA_SERVER_PREFIX)}
    config["OPENVIDU_WEBRTC_ICE_SERVERS"] = masked(config["OPENVIDU_WEBRTC_ICE_SERVERS"])
    return config


def _blocks(settings: Settings) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Keys of one block and whether they are shown, in the contract's order."""
    values = settings.properties
    recording, webhook = settings.recording.enabled, settings.webhook.enabled
    yield ("OPENVIDU_CDR",), True
    yield ("OPENVIDU_CDR_PATH",), settings.cdr.enabled
    yield _STREAMS, True
    yield _GARBAGE, True
    yield ("OPENVIDU_RECORDING",), True
    yield _RECORDING, recording
    composed_url = "OPENVIDU_RECORDING_COMPOSED_URL"
    yield (composed_url,), recording and bool(values[composed_url])
    yield ("OPENVIDU_WEBHOOK",), True
    yield _WEBHOOK, webhook
    yield _STATISTICS_AND_CLUSTER, True
    autoscaling = "OPENVIDU_PRO_CLUSTER_AUTOSCALING"
    yield (autoscaling,), True
    yield _AUTOSCALING, bool(values[autoscaling])
    quality = "OPENVIDU_PRO_NETWORK_QUALITY"
    yield (quality,), True
    yield (f"{quality}_INTERVAL",), bool(values[quality])
    elasticsearch = "OPENVIDU_PRO_ELASTICSEARCH"
    yield (elasticsearch,), True
    yield (f"{elasticsearch}_HOST",), bool(values[elasticsearch])
    yield ("OPENVIDU_PRO_KIBANA_HOST",), False  # OPENVIDU_PRO_KIBANA is false
