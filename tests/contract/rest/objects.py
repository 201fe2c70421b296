"""The objects of the REST API: their keys, all of them, and what each holds.

From the tables of the document, with the later keys that real clients need. What has to be there
in one situation only ends in `?`. Key sets are exact: another key is a defect.
"""

from __future__ import annotations

import re
from typing import Any

SESSION_ID = re.compile(r"[0-9A-Za-z_-]{1,255}")
NEW_SESSION_ID = re.compile(r"ses_[A-Z][0-9A-Za-z]{9}")
CONNECTION_ID = re.compile(r"con_[A-Z][0-9A-Za-z]{9}")
TOKEN = re.compile(
    r"wss?://[a-z0-9.]+:\d+\?sessionId=[0-9A-Za-z_-]+&token=tok_[A-Z][0-9A-Za-z]{15}"
)
STREAM_ID = re.compile(r"str_(CAM|SCR|CUS|MIC)_[A-Z][0-9A-Za-z]{3}_con_[A-Z][0-9A-Za-z]{9}")
RESOLUTION = re.compile(r"\d{3,4}x\d{3,4}")
URL = re.compile(r"https?://[^/]+/openvidu/recordings/[^/]+/[^/]+\.(zip|mp4|webm)")

NULL = type(None)

ROLE = {"SUBSCRIBER", "PUBLISHER", "MODERATOR"}
OUTPUT_MODE = {"COMPOSED", "COMPOSED_QUICK_START", "INDIVIDUAL"}
LAYOUT = {
    "BEST_FIT", "CUSTOM", "PICTURE_IN_PICTURE", "VERTICAL_PRESENTATION", "HORIZONTAL_PRESENTATION",
}  # fmt: skip

KURENTO_OPTIONS = {
    "videoMaxRecvBandwidth?": int,
    "videoMinRecvBandwidth?": int,
    "videoMaxSendBandwidth?": int,
    "videoMinSendBandwidth?": int,
    "allowedFilters?": [str],
}
_CONNECTION = {
    "id": CONNECTION_ID,
    "object": {"connection"},
    "type": {"WEBRTC"},
    "connectionId": CONNECTION_ID,
    "sessionId": SESSION_ID,
    "createdAt": int,
    "token": TOKEN,
    "serverData": str,
    "record": bool,
    "role": ROLE,
    "kurentoOptions": (NULL, KURENTO_OPTIONS),
    "customIceServers": [{"url": str, "username?": str, "credential?": str}],
    "rtspUri": NULL,
    "adaptativeBitrate": NULL,
    "onlyPlayWithSubscribers": NULL,
    "networkCache": NULL,
}
_LATER = (
    "activeAt", "location", "ip", "platform", "clientData", "publishers", "subscribers",
)  # fmt: skip
PENDING = {**_CONNECTION, "status": {"pending"}, **dict.fromkeys(_LATER, NULL)}
PUBLISHER = {
    "streamId": STREAM_ID,
    "createdAt": int,
    "mediaOptions": {
        "hasAudio": bool,
        "audioActive?": bool,
        "hasVideo": bool,
        "videoActive?": bool,
        "typeOfVideo?": {"CAMERA", "SCREEN", "CUSTOM"},
        "frameRate?": int,
        "videoDimensions?": str,
        "filter": {},
    },
}
ACTIVE = {
    **_CONNECTION,
    "status": {"active"},
    "activeAt": int,
    "location": {"unknown"},
    "ip": str,
    "platform": str,
    "clientData": str,
    "publishers": [PUBLISHER],
    "subscribers": [{"streamId": STREAM_ID, "createdAt": int}],
}
CONNECTION = (PENDING, ACTIVE)


def page(item: object) -> dict[str, object]:
    return {"numberOfElements": int, "content": [item]}


SESSION = {
    "id": SESSION_ID,
    "object": {"session"},
    "sessionId": SESSION_ID,
    "createdAt": int,
    "mediaMode": {"ROUTED", "RELAYED"},
    "recordingMode": {"ALWAYS", "MANUAL"},
    "defaultRecordingProperties": {
        "name": str,
        "hasAudio": bool,
        "hasVideo": bool,
        "outputMode": OUTPUT_MODE,
        "recordingLayout?": LAYOUT,
        "customLayout?": str,
        "resolution?": RESOLUTION,
        "frameRate?": int,
        "shmSize?": int,
        "ignoreFailedStreams?": bool,
        "mediaNode?": str,
    },
    "customSessionId": str,
    "connections": page(CONNECTION),
    "recording": bool,
    "broadcasting": {False},
    "forcedVideoCodec": {"VP8", "H264", "NONE", "VP9", "MEDIA_SERVER_PREFERRED"},
    "allowTranscoding": bool,
    "mediaNodeId?": str,
}
RECORDING = {
    "id": str,
    "object": {"recording"},
    "name": str,
    "outputMode": OUTPUT_MODE,
    "hasAudio": bool,
    "hasVideo": bool,
    "resolution?": RESOLUTION,
    "frameRate?": int,
    "recordingLayout?": LAYOUT,
    "customLayout?": str,
    "mediaNode?": str,
    "sessionId": SESSION_ID,
    "createdAt": int,
    "size": int,
    "duration": (int, float),
    "url": (NULL, URL),
    "status": {"starting", "started", "stopped", "ready", "failed"},
}
TOKEN_OBJECT = {
    "id": TOKEN,
    "token": TOKEN,
    "connectionId": CONNECTION_ID,
    "createdAt": int,
    "session": SESSION_ID,
    "role": ROLE,
    "data": str,
    "record": bool,
    "kurentoOptions?": KURENTO_OPTIONS,
}
MEDIA_NODE = {
    "id": re.compile(r"media_.+"),
    "object": {"mediaNode"},
    "environmentId": str,
    "ip": str,
    "uri": str,
    "launchingTime": int,
    "connected": bool,
    "connectionTime": (int, NULL),  # null until it is connected
    "disconnectionTime?": int,
    "load": (int, float),
    "status": {
        "launching", "canceled", "failed", "running", "waiting-idle-to-terminate", "terminating",
        "terminated",
    },
}  # fmt: skip
MEDIA_NODE_IN_FULL = {
    **MEDIA_NODE,
    "sessions": [SESSION],
    "recordingIds": [str],
    "kurentoInfo": {
        "memory": int,
        "version": str,
        "capabilities": [str],
        "modules": [{"name": str, "version": str}],
    },
}
ERROR = {
    "timestamp": int,
    "status": int,
    "error": str,
    "message": str,
    "path": re.compile("/openvidu/api/.*"),
}


def misfit(value: Any, shape: Any, where: str = "$") -> str | None:
    """Where a JSON value differs from a shape; `None` if it does not.

    A shape is a type, a pattern, a set of values, a list of one shape, an object of shapes, or a
    tuple of alternatives.
    """
    match shape:
        case tuple():
            misfits = [misfit(value, one, where) for one in shape]
            return None if None in misfits else " / ".join(filter(None, misfits))
        case dict() if isinstance(value, dict):
            return _misfit_of_keys(value, shape, where)
        case list() if isinstance(value, list):
            items = (misfit(item, shape[0], f"{where}[{n}]") for n, item in enumerate(value))
            return next(filter(None, items), None)
        case re.Pattern():
            fits = isinstance(value, str) and shape.fullmatch(value) is not None
        case set():
            fits = any(type(value) is type(one) and value == one for one in shape)
        case _:
            fits = type(value) is shape
    return None if fits else f"{where} is {value!r}, not {shape}"


def _misfit_of_keys(value: dict[str, Any], shape: dict[str, Any], where: str) -> str | None:
    required = {key for key in shape if not key.endswith("?")}
    known = {key.removesuffix("?") for key in shape}
    if missing := required - value.keys():
        return f"{where} lacks {sorted(missing)}"
    if unknown := value.keys() - known:
        return f"{where} has the unknown {sorted(unknown)}"
    items = (
        misfit(value[key.removesuffix("?")], of, f"{where}.{key.removesuffix('?')}")
        for key, of in shape.items()
        if key.removesuffix("?") in value
    )
    return next(filter(None, items), None)
