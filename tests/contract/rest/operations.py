"""The operations of the REST API as its documentation lists them: statuses, fields, parameters.

Transcribed once. What is read into it where it leaves room stands beside the row.
"""

from __future__ import annotations

import json
from typing import NamedTuple

STRING, NUMBER, BOOLEAN, OBJECT, ARRAY = "string", "number", "boolean", "object", "array"


class Field(NamedTuple):
    """A field of a body, or a parameter of a query. `path` is the one that refusals name.

    `wrong`: JSON texts of the right type that are not taken all the same.
    """

    path: str
    takes: tuple[str, ...]
    wrong: tuple[str, ...] = ()
    mandatory: bool = False
    status: int = 400  # of `wrong`
    beside: tuple[tuple[str, str], ...] = ()  # what its object needs


class Operation(NamedTuple):
    """`path` is under `/openvidu/api`, its variables in the document's spelling."""

    method: str
    path: str
    statuses: tuple[int, ...]
    body: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def string(path: str, *wrong: str, mandatory: bool = False, **more: object) -> Field:
    texts = tuple(json.dumps(text) for text in wrong)
    return Field(path, (STRING,), texts, mandatory, **more)  # type: ignore[arg-type]


def one_of(path: str, *words: str) -> Field:
    """Words in capitals."""
    first = words[0]
    return string(path, "", first.lower(), f"{first} ", f" {first}", f"{first}\n", "OTHER")


def boolean(path: str) -> Field:
    return Field(path, (BOOLEAN,))


def integer(path: str, low: int, high: int, *, status: int = 400) -> Field:
    """And not beyond; `takes` a number, but none with a fraction and none of any size."""
    wrong = (low - 1, high + 1, 2**64, -(2**64), 10**40)
    return Field(path, (NUMBER,), tuple(map(str, wrong)), status=status)


def inside(path: str, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields of the object at `path`; there is no status but 400 for them."""
    return tuple(field._replace(path=f"{path}.{field.path}", status=400) for field in fields)


KURENTO = (
    *(
        integer(f"video{name}Bandwidth", 0, 2**31 - 1)
        for name in ("MaxRecv", "MinRecv", "MaxSend", "MinSend")
    ),
    Field("allowedFilters", (ARRAY,)),
    string("allowedFilters[0]", mandatory=True),
)
ICE_SERVER_URLS = (
    "", "stun", "http://a.example", "turn:", "turn:a b", "turn:a.example:0", "turn:a.example:70000",
    "turn:a.example?transport=sctp",
)  # fmt: skip
ICE_SERVERS = (  # not in the document: `customIceServers` came later
    Field("customIceServers", (ARRAY,)),
    Field("customIceServers[0]", (OBJECT,), mandatory=True),
    string("customIceServers[0].url", *ICE_SERVER_URLS, mandatory=True),
    *(
        string(
            f"customIceServers[0].{name}", "a,url=turn:b", beside=(("url", "turn:a.example"), *more)
        )
        for name, more in {
            "username": [("credential", "c")],
            "credential": [("username", "u")],
            "staticAuthSecret": [],
        }.items()
    ),
)
NODE = (
    Field("mediaNode", (OBJECT, STRING)),  # a bare string is taken, as by the reference
    string("mediaNode.id", mandatory=True),
)
RESOLUTIONS = (
    "", "1280", "1280x", "99x100", "100x99", "2000x100", "100x2000", "0100x100", "100X100",
    "1280x720 ", "1280x720\n", "-100x100", "1e3x100", "１００x100", "1280x720x1",
)  # fmt: skip
RECORDING = (
    string("name", "a/b", "..", "a b", "a.b", "ñ", "a\n", "a\0", "a" * 201),
    boolean("hasAudio"),
    boolean("hasVideo"),
    one_of("outputMode", "COMPOSED", "INDIVIDUAL", "COMPOSED_QUICK_START"),
    one_of(
        "recordingLayout", "BEST_FIT", "CUSTOM", "PICTURE_IN_PICTURE", "VERTICAL_PRESENTATION",
        "HORIZONTAL_PRESENTATION",
    ),
    string(
        "customLayout", "..", "../a", "a/..", "a/../../b", "/..", "a\\..\\b", "%2e%2e/a", "a/.%2E",
        "http://a.example/../b", "..?a", "a\0", "a\n", "a" * 1001,
    ),
    string("resolution", *RESOLUTIONS, status=422),  # malformed: 422 or 400
    integer("frameRate", 1, 120, status=422),  # the document's minima differ: 0 is 422
    integer("shmSize", 134217728, 2**63 - 1, status=422),  # not among the document's 422
    boolean("ignoreFailedStreams"),
    *NODE,
)  # fmt: skip
ROLE = one_of("role", "SUBSCRIBER", "PUBLISHER", "MODERATOR")
KURENTO_OPTIONS = (Field("kurentoOptions", (OBJECT,)), *inside("kurentoOptions", KURENTO))
PENDING = (boolean("pendingConnections"),)  # not in the document: see the upstream server
NODE_QUERY = (boolean("sessions"), boolean("recordings"), boolean("extra-info"))
NODE_URIS = (
    "", "ws", "172.17.0.5", "http://172.17.0.5:8888/kurento", "ws://", "ws://:8888/", "ws://a b/",
    "ws://a:0/", "ws://a:70000/", "ws://a:port/", "ws://u:p@a/", "ws://a/#b", "ws://a/\n", "ws://ñ/",
)  # fmt: skip
STATUSES = ("", "RUNNING", "running ", "running\n", "idle")
RESTART = tuple(
    Field(name, (kind, STRING), wrong)  # a text that holds the value is taken, too
    for kind, wrong, names in (
        (
            BOOLEAN,
            ('"text"', '"2"'),
            "OPENVIDU_CDR OPENVIDU_RECORDING OPENVIDU_RECORDING_PUBLIC_ACCESS OPENVIDU_WEBHOOK "
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING OPENVIDU_PRO_NETWORK_QUALITY",
        ),
        (
            STRING,
            ('"a\\nb"', '"a\\u0000"'),
            "OPENVIDU_RECORDING_PATH OPENVIDU_RECORDING_NOTIFICATION "
            "OPENVIDU_RECORDING_CUSTOM_LAYOUT OPENVIDU_WEBHOOK_ENDPOINT OPENVIDU_PRO_CLUSTER_ID "
            "OPENVIDU_PRO_CLUSTER_PATH",
        ),
        (
            NUMBER,
            ('"text"', '"1.5"', "-1", '"-1"', "18446744073709551616"),
            "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH "
            "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH "
            "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH OPENVIDU_SESSIONS_GARBAGE_INTERVAL "
            "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD OPENVIDU_PRO_CLUSTER_MEDIA_NODES "
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES "
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD "
            "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL OPENVIDU_PRO_STATS_MONITORING_INTERVAL "
            "OPENVIDU_PRO_STATS_WEBRTC_INTERVAL",
        ),
        (
            ARRAY,
            ('"text"', "[1]", "[[]]", "[null]"),
            "OPENVIDU_WEBHOOK_HEADERS OPENVIDU_WEBHOOK_EVENTS",
        ),
    )
    for name in names.split()
)

SESSION = "/sessions/<SESSION_ID>"
CONNECTION = f"{SESSION}/connection/<CONNECTION_ID>"
RECORDING_PATH = "/recordings/<RECORDING_ID>"
MEDIA_NODE = "/media-nodes/<MEDIA_NODE_ID>"

OPERATIONS = (
    Operation(
        "POST",
        "/sessions",
        (200, 400, 409),
        (
            one_of("mediaMode", "ROUTED", "RELAYED"),
            one_of("recordingMode", "MANUAL", "ALWAYS"),
            string("customSessionId", "a b", "a/b", "..", "ñ", "a.b", "a\n", "a\0", "a" * 256),
            one_of("forcedVideoCodec", "VP8", "H264", "NONE"),
            # a Boolean in the text, a String in the example: both are taken
            Field("allowTranscoding", (BOOLEAN,), ('"yes"', '""', '"True"', '"1"')),
            Field("defaultRecordingProperties", (OBJECT,)),
            *inside("defaultRecordingProperties", RECORDING),
            *NODE,
        ),
    ),
    Operation("GET", SESSION, (200, 404), query=PENDING),
    Operation("GET", "/sessions", (200,), query=PENDING),
    Operation("DELETE", SESSION, (204, 404)),
    Operation(
        "POST",
        f"{SESSION}/connection",
        (200, 400, 404, 500),
        (
            one_of("type", "WEBRTC", "IPCAM"),
            string("data"),
            boolean("record"),
            ROLE,
            *KURENTO_OPTIONS,
            string("rtspUri", "a" * 2049),  # more with type IPCAM
            boolean("adaptativeBitrate"),
            boolean("onlyPlayWithSubscribers"),
            integer("networkCache", 0, 2**31 - 1),
            *ICE_SERVERS,
        ),
    ),
    Operation("GET", CONNECTION, (200, 400, 404)),
    Operation("GET", f"{SESSION}/connection", (200, 404), query=PENDING),
    Operation("PATCH", CONNECTION, (200, 400, 404), (ROLE, boolean("record"))),
    Operation("DELETE", CONNECTION, (204, 400, 404)),
    Operation(
        "POST",
        "/recordings/start",
        (200, 400, 422, 404, 406, 409, 501),
        (string("session", "", mandatory=True), *RECORDING),
    ),
    Operation("POST", "/recordings/stop/<RECORDING_ID>", (200, 404, 406, 501)),
    Operation("GET", RECORDING_PATH, (200, 404, 501)),
    Operation("GET", "/recordings", (200, 501)),
    Operation("DELETE", RECORDING_PATH, (204, 404, 409, 501)),
    Operation("GET", MEDIA_NODE, (200, 404), query=NODE_QUERY),
    Operation("GET", "/media-nodes", (200,), query=NODE_QUERY),
    Operation(
        "POST",
        "/media-nodes",
        (200, 400, 404, 409, 501, 502),
        (
            string("uri", *NODE_URIS),  # mandatory, but without it the status is 501
            string("environmentId"),
            string("instanceType"),
            integer("volumeSize", 1, 2**31 - 1),
        ),
        (boolean("wait"),),
    ),
    Operation(
        "DELETE",
        MEDIA_NODE,
        (202, 204, 404, 409, 502),
        query=(boolean("wait"), string("deletion-strategy", "", "later")),
    ),
    Operation(
        "PATCH", MEDIA_NODE, (200, 204, 400, 404), (string("status", *STATUSES, mandatory=True),)
    ),
    Operation("PUT", "/media-nodes", (200,)),
    Operation(
        "POST",
        "/tokens",
        (200, 400, 404),
        (
            string("session", mandatory=True),
            ROLE,
            string("data"),
            boolean("record"),  # not in the document's body, but in its answer
            *KURENTO_OPTIONS,
            *ICE_SERVERS,
        ),
    ),
    Operation("DELETE", f"{SESSION}/stream/<STREAM_ID>", (204, 400, 404, 405)),
    Operation(
        "POST",
        "/signal",
        (200, 400, 404, 406),
        (
            string("session", mandatory=True),
            Field("to", (ARRAY,)),
            string("to[0]", mandatory=True),
            string("type"),
            string("data"),
        ),
    ),
    Operation("GET", "/config", (200,)),
    Operation("GET", "/health", (200, 503)),
    Operation("POST", "/restart", (200, 400), RESTART),
)
PAIRS = tuple((operation.name, status) for operation in OPERATIONS for status in operation.statuses)
UNREACHABLE = {
    ("POST /media-nodes", 502): "machines are never launched on premises (the document says so)",
    (f"DELETE {MEDIA_NODE}", 502): "nor ended there",
}
